"""Cases in the console: who may decide, what it says, and that it is done once."""

import pytest

from referral import actions, risk
from referral.actions import Claimed
from referral.deployment import Deployment
from referral.rewards import of_event
from referral.risk import Mode
from tests.actions import test_judging as judging
from tests.cast import Brand, Person, cast_of, open_brand
from tests.readers import Reader
from tests.web.staff.conftest import text


@pytest.fixture
def shop(deployment: Deployment) -> Brand:
    return open_brand(deployment, hold_days=7)


@pytest.fixture
def claimed(shop: Brand) -> Claimed:
    """Alice, a suspicious Bob whom nobody brought in, and a case about him."""
    alice, *_ = cast_of(shop)
    alice.claim(400)
    return judging.suspicious(shop)


@pytest.fixture
def case_path(shop: Brand, claimed: Claimed) -> str:
    with shop.deployment.db.read() as tx:
        found = risk.verdict_of(tx, claimed.claim.event)
    assert found is not None
    return f"/staff/cases/{found.id}"


def test_open_cases_are_listed_with_what_was_found(
    owner: Reader, claimed: Claimed, case_path: str
) -> None:
    assert owner.get("/staff/cases").status_code == 200
    said = text(owner)
    assert "Many customers in one browser" in said
    assert "Wrong codes before this one" in said
    assert "Open 1" in said
    assert case_path in owner.page
    owner.get("/staff/cases?state=reversed")
    assert "No case here." in text(owner)
    assert owner.get("/staff/cases?state=nonsense&offset=x").status_code == 200


def test_a_case_says_what_was_found_in_numbers(owner: Reader, case_path: str) -> None:
    assert owner.get(case_path).status_code == 200
    said = text(owner)
    assert "3 other customers signed in on the buyer's browsers." in said
    assert "12 codes that do not exist were tried within the hour." in said
    assert "50" in said
    assert "20 points" in said


@pytest.mark.parametrize(
    ("choice", "state"), [("accept", "Accepted"), ("hold", "Held"), ("reverse", "Taken back")]
)
def test_a_case_is_decided_and_says_who_did(
    owner: Reader, case_path: str, choice: str, state: str
) -> None:
    owner.get(case_path)
    answer = owner.send(case_path, choice=choice, reason="talked to them", seen="open")
    assert answer.status_code == 303
    owner.get(case_path)
    said = text(owner)
    assert f"Decided: {state}." in said
    assert "talked to them" in said
    assert "olga@brand.example" in said


def test_what_is_taken_back_cannot_be_accepted(owner: Reader, case_path: str) -> None:
    owner.get(case_path)
    owner.send(case_path, choice="reverse", reason="abuse", seen="open")
    owner.get(case_path)
    assert 'value="accept"' not in owner.page
    answer = owner.send(case_path, choice="accept", reason="no", seen="reversed")
    assert answer.status_code == 422
    assert "taken back already" in text(owner)


def test_what_somebody_else_decided_meanwhile_is_said(owner: Reader, case_path: str) -> None:
    owner.get(case_path)
    owner.send(case_path, choice="hold", reason="first", seen="open")
    owner.get(case_path)
    answer = owner.send(case_path, choice="accept", reason="second", seen="open")
    assert answer.status_code == 422
    assert "Somebody else has decided" in text(owner)
    assert "first" in text(owner)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"choice": "accept", "reason": " "}, "Please say why"),
        ({"choice": "accept", "reason": "x" * 301}, "characters"),
        ({"choice": "dance", "reason": "why"}, "choose one of these"),
        ({"reason": "why"}, "choose one of these"),
    ],
)
def test_what_is_missing_is_said(
    owner: Reader, case_path: str, fields: dict[str, str], words: str
) -> None:
    owner.get(case_path)
    assert owner.send(case_path, **fields).status_code == 422
    if words != "choose one of these":
        assert words in text(owner)
    owner.get("/staff/cases")
    assert "Open 1" in text(owner)


def test_somebody_is_blocked_and_unblocked(
    owner: Reader, shop: Brand, claimed: Claimed, case_path: str
) -> None:
    customer = claimed.rewards[0].beneficiary_id
    owner.get(case_path)

    def send(what: str, who: int = customer, reason: str = "sells codes") -> int:
        owner.get(case_path)
        fields = {"customer": str(who), "what": what, f"reason-{who}": reason}
        return owner.send(f"{case_path}/block", **fields).status_code

    assert send("block", reason="") == 422
    assert send("block", who=9999) == 422
    assert send("smile") == 422
    assert send("block") == 303
    owner.get(case_path)
    assert "sells codes" in text(owner)
    with shop.deployment.db.read() as tx:
        assert risk.is_blocked(tx, customer)
    assert send("unblock") == 303
    with shop.deployment.db.read() as tx:
        assert not risk.is_blocked(tx, customer)


def test_an_analyst_sees_and_does_not_decide(analyst: Reader, case_path: str) -> None:
    analyst.get(case_path)
    assert analyst.page.count("<form") == 2, "the search and the way out"
    token = analyst.form_token()
    for path in (case_path, f"{case_path}/block"):
        sent = {"csrf_token": token, "choice": "accept", "reason": "no", "seen": "open"}
        assert analyst.post(path, sent).status_code == 403
    analyst.get("/staff/cases")
    assert "Open 1" in text(analyst)


def test_a_forged_form_is_refused(owner: Reader, case_path: str) -> None:
    owner.get(case_path)
    sent = {"choice": "reverse", "reason": "forged", "seen": "open"}
    assert owner.post(case_path, sent).status_code == 400


def test_an_unknown_case_is_said(owner: Reader) -> None:
    assert owner.get("/staff/cases/999").status_code == 404
    assert owner.get("/staff/cases/9223372036854775808").status_code == 404


def test_the_holder_of_what_is_held_is_told_kindly_and_nothing_of_the_rule(
    shop: Brand, app: object
) -> None:
    actions.set_risk_rule(shop.deployment, "shared_browsers", Mode.on, points=60, by="tests")
    for number in range(3):
        other = Person(shop, judging.friend(shop, number).contact)
        other.sign_in()
    reader = Reader(app)  # type: ignore[arg-type]
    for number in range(4):
        reader.sign_in(f"friend-{number}@example.com")
        reader.get("/me")
        reader.send("/sign-out")
    reader.sign_in("friend-0@example.com")
    code = shop.code(7)
    reader.claim(f"/01/{shop.product.gtin}/21/{code.text}")
    assert "We are looking at this one before it can be spent." in text(reader)
    reader.get("/me")
    said = text(reader)
    assert "We are looking at this one before it can be spent." in said
    assert "Yours to spend" not in said
    assert "They are yours to spend" not in said
    assert "browser" not in said.partition("How far your links went")[0]
    with shop.deployment.db.read() as tx:
        assert not of_event(tx, "claim:1")[0].is_cleared
