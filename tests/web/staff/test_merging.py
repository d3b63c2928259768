"""Two customers who are one person, in the console."""

from referral import actions, people
from referral.deployment import Deployment
from tests.readers import Reader
from tests.web.conftest import Brand

REASON = "called from both numbers"


def two(brand: Brand) -> tuple[int, int]:
    d = brand.deployment
    return (
        actions.add_customer(d, [people.phone("13800138000")], "Alice")[0],
        actions.add_customer(d, [people.external("MEMBER-0017")], "Ally")[0],
    )


def test_staff_look_at_both_and_make_them_one(brand: Brand, owner: Reader) -> None:
    alice, ally = two(brand)
    owner.get(f"/staff/customers/{ally}")
    answer = owner.send(f"/staff/customers/{ally}/same", other="138 0013 8000")
    assert (answer.status_code, answer.location) == (303, f"/staff/customers/{ally}/same/{alice}")
    owner.get(answer.location)
    assert "Alice" in owner.page
    assert "Ally" in owner.page
    assert "MEMBER-0017" not in owner.page
    assert f'name="keep" value="{alice}" required checked' in owner.page
    answer = owner.send(answer.location or "", keep=str(alice), reason=REASON)
    assert (answer.status_code, answer.location) == (303, f"/staff/customers/{alice}")
    owner.get(f"/staff/customers/{alice}")
    assert REASON in owner.page
    assert "olga@brand.example" in owner.page
    assert owner.get(f"/staff/customers/{ally}").location == f"/staff/customers/{alice}"
    assert owner.get(f"/staff/customers/{ally}/same/{alice}").location == (
        f"/staff/customers/{alice}"
    )
    assert owner.get(f"/staff/tree/{ally}").location == f"/staff/tree/{alice}"
    owner.get(f"/staff/customers/{alice}")
    assert owner.send("/staff/search", q=f"{ally}").location == f"/staff/customers/{alice}"


def test_what_is_missing_is_asked_for_and_nothing_is_done(brand: Brand, owner: Reader) -> None:
    alice, ally = two(brand)
    path = f"/staff/customers/{alice}/same/{ally}"
    owner.get(path)
    for fields in ({"keep": str(alice)}, {"reason": REASON}, {"keep": "4711", "reason": REASON}):
        assert owner.send(path, **fields).status_code == 422
    assert owner.get(f"/staff/customers/{ally}").status_code == 200
    assert owner.get(f"/staff/customers/{alice}/same/4711").status_code == 404


def test_who_is_nobody_else_is_said(brand: Brand, owner: Reader) -> None:
    alice, _ = two(brand)
    owner.get(f"/staff/customers/{alice}")
    for other, said in (
        ("13800138000", "whose page you came from"),
        ("no such member", "We know no other customer"),
        ("", "aria-invalid"),
    ):
        assert owner.send(f"/staff/customers/{alice}/same", other=other).status_code == 422
        assert said in owner.page


def test_an_analyst_cannot(brand: Brand, analyst: Reader, deployment: Deployment) -> None:
    alice, ally = two(brand)
    analyst.get(f"/staff/customers/{alice}")
    assert "Is the same person as" not in analyst.page
    assert analyst.get(f"/staff/customers/{alice}/same/{ally}").status_code == 403
