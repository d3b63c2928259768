"""The pages of members, of one's own account and of invitations."""

import re
from urllib.parse import urlsplit

import pytest
import sqlalchemy as sa
from flask import Flask

from referral import actions, audit
from referral.deployment import Deployment
from referral.staff import Role, StaffMember, StaffSession, staff_by_email
from referral.stores import StoreKind
from tests.readers import Reader
from tests.web.staff.conftest import PASSWORD, add_member, sign_in, text

OTHER = "five other ordinary words"
ANN = "ann@brand.example"


def member(deployment: Deployment, email: str) -> StaffMember:
    with deployment.db.read() as tx:
        found = staff_by_email(tx, email)
    assert found is not None
    return found


def noted(deployment: Deployment, subject: str) -> list[tuple[str, str]]:
    with deployment.db.read() as tx:
        return [(entry.by, entry.action) for entry in audit.of_subject(tx, subject)]


def invite(owner: Reader, **fields: str) -> str:
    """Invite somebody; the path of the link."""
    owner.get("/staff/members")
    answer = owner.send("/staff/members", **{"email": ANN, "role": "analyst", **fields})
    assert answer.status_code == 200, text(owner)
    found = re.search(r'id="link" value="([^"]+)"', owner.page)
    assert found
    return urlsplit(found[1]).path


def test_an_invited_member_sets_a_password_and_is_in(
    app: Flask, owner: Reader, deployment: Deployment
) -> None:
    path = invite(owner, name="Ann")
    owner.get("/staff/members")
    assert "Ann ann@brand.example Analyst invited" in text(owner)
    assert path not in owner.page, "the link is shown once"
    ann = Reader(app)
    ann.get(path)
    assert "Set a password for ann@brand.example." in text(ann)
    assert ann.send(path, password="short").status_code == 422
    assert "Use at least 10 characters" in text(ann)
    assert ann.send(path, password=OTHER).status_code == 303
    assert ann.get("/staff/").status_code == 200
    assert ann.get(path).status_code == 404
    who = member(deployment, ANN)
    assert noted(deployment, who.subject) == [
        ("olga@brand.example", "member added"),
        ("olga@brand.example", "member invited"),
        (ANN, "password set"),
        (ANN, "signed in"),
    ]


def test_a_link_that_is_none_is_said_so(app: Flask) -> None:
    for secret in ("x", "A" * 3000, "é"):
        reader = Reader(app)
        assert reader.get(f"/staff/invitation/{secret}").status_code == 404
        assert "This invitation does not work any more." in text(reader)


def test_somebody_is_added_with_a_first_password(
    app: Flask, owner: Reader, deployment: Deployment
) -> None:
    actions.add_store(deployment, slug="east", name="East", kind=StoreKind.store, region=None)
    owner.get("/staff/members")
    told = {"email": "mo@brand.example", "role": "store_manager", "store": "east"}
    assert owner.send("/staff/members", **told, password=PASSWORD).status_code == 303
    owner.get("/staff/members")
    assert "mo@brand.example Store manager East" in text(owner)
    assert PASSWORD not in owner.page
    mo = sign_in(Reader(app), "mo")
    assert mo.get("/staff/").location == "/staff/store"
    assert mo.get("/staff/members").status_code == 403


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"email": "nobody"}, "wrong"),
        ({"email": "olga@brand.example"}, "There is an account with this e-mail address already."),
        ({"role": "king"}, "Please choose one of these."),
        ({"role": "store_manager"}, "A store manager has one store, and nobody else has any."),
        ({"store": "west", "role": "store_manager"}, "store"),
        ({"password": "short"}, "This password is too short."),
        ({"name": "x" * 81}, "at most 80 fit"),
        ({"email": ""}, "Please fill this in."),
    ],
)
def test_a_refused_member_keeps_what_was_typed(
    owner: Reader, fields: dict[str, str], says: str
) -> None:
    owner.get("/staff/members")
    sent = {"email": ANN, "role": "analyst", "name": "Ann", **fields}
    assert owner.send("/staff/members", **sent).status_code == 422
    assert (f'class="{says}"' if says == "wrong" else says) in (
        owner.page if says == "wrong" else text(owner)
    )
    assert f'value="{sent["name"]}"' in owner.page


def test_another_role_signs_the_member_out(
    app: Flask, owner: Reader, analyst: Reader, deployment: Deployment
) -> None:
    path = f"/staff/members/{member(deployment, ANN).id}"
    owner.get(path)
    assert "WeChat, iPhone" in text(owner)
    assert owner.send(path, name="Ann", role="support", store="").status_code == 303
    assert analyst.get("/staff/").status_code == 303
    owner.get(path)
    assert "Signed in nowhere." in text(owner)
    assert "Role changed role: support · store: — · was: analyst" in text(owner)


def test_the_last_owner_is_told_and_stays(owner: Reader, deployment: Deployment) -> None:
    path = f"/staff/members/{member(deployment, 'olga@brand.example').id}"
    owner.get(path)
    assert owner.send(path, name="", role="analyst", store="").status_code == 422
    assert "This is the last owner." in text(owner)
    assert owner.send(f"{path}/off").status_code == 409
    assert "This is the last owner." in text(owner)
    assert owner.get("/staff/").status_code == 200


def test_a_member_who_is_switched_off_is_out_at_once_and_back_when_switched_on(
    app: Flask, owner: Reader, analyst: Reader, deployment: Deployment
) -> None:
    path = f"/staff/members/{member(deployment, ANN).id}"
    owner.get(path)
    assert owner.send(f"{path}/off").status_code == 303
    assert analyst.get("/staff/").status_code == 303
    stranger = Reader(app)
    stranger.get("/staff/sign-in")
    assert stranger.send("/staff/sign-in", email=ANN, password=PASSWORD).status_code == 403
    owner.get(path)
    assert owner.send(f"{path}/on").status_code == 303
    sign_in(Reader(app), "ann")


def test_an_owner_ends_a_session_or_all(
    app: Flask, owner: Reader, analyst: Reader, deployment: Deployment
) -> None:
    path = f"/staff/members/{member(deployment, ANN).id}"
    other, third = sign_in(Reader(app), "ann"), sign_in(Reader(app), "ann")
    with deployment.db.read() as tx:
        first = tx.scalar(
            sa.select(sa.func.min(StaffSession.id)).where(
                StaffSession.staff_id == member(deployment, ANN).id
            )
        )
    owner.get(path)
    assert owner.send(f"{path}/sessions", session=str(first)).status_code == 303
    assert analyst.get("/staff/").status_code == 303
    assert other.get("/staff/").status_code == 200
    owner.get(path)
    owner.send(f"{path}/sessions", session="others")
    assert [each.get("/staff/").status_code for each in (other, third)] == [303, 303]
    assert owner.get(path).status_code == 200, "and the owner's own stays"
    for nonsense in ("", "x", "9" * 30, str(first)):
        owner.get(path)
        assert owner.send(f"{path}/sessions", session=nonsense).status_code == 303
    owner.get(path)
    assert "0 sessions are ended." in text(owner)


def test_a_member_of_no_number_is_not_found(owner: Reader) -> None:
    assert owner.get("/staff/members/99").status_code == 404
    owner.get("/staff/members")
    assert owner.send("/staff/members/99/off").status_code == 404


def test_members_are_paged_by_their_addresses(
    owner: Reader, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(52):
        add_member(deployment, f"m{number:02}", Role.analyst)
    owner.get("/staff/members")
    assert "m49@" in owner.page
    assert "m50@" not in owner.page
    assert "olga@brand.example" in owner.page
    owner.get("/staff/members?after=m49@brand.example")
    assert [f"m{number}@" in owner.page for number in (49, 50, 51)] == [False, True, True]
    assert owner.get("/staff/members?after=%00%ff").status_code == 200


# One's own account


def test_everybody_sees_and_ends_his_own_sessions(
    app: Flask, analyst: Reader, deployment: Deployment
) -> None:
    other = sign_in(Reader(app), "ann")
    analyst.get("/staff/account")
    assert "this one" in text(analyst)
    assert "End all others" in text(analyst)
    assert analyst.send("/staff/account/sessions", session="others").status_code == 303
    assert other.get("/staff/").status_code == 303
    assert analyst.get("/staff/").status_code == 200


def test_nobody_ends_somebody_elses_session_from_his_own_account(
    owner: Reader, analyst: Reader, deployment: Deployment
) -> None:
    with deployment.db.read() as tx:
        of = sa.select(StaffSession.id).join(StaffMember).where(StaffMember.role == Role.owner)
        olgas = tx.scalar(of)
    analyst.get("/staff/account")
    analyst.send("/staff/account/sessions", session=str(olgas))
    assert owner.get("/staff/").status_code == 200


def test_a_new_password_takes_the_old_one_and_ends_the_others(app: Flask, analyst: Reader) -> None:
    other = sign_in(Reader(app), "ann")
    path = "/staff/account/password"
    analyst.get("/staff/account")
    assert analyst.send(path, old="wrong", new=OTHER).status_code == 422
    assert "This is not your password." in text(analyst)
    assert analyst.send(path, old=PASSWORD, new="short").status_code == 422
    assert "Use at least 10 characters" in text(analyst)
    assert OTHER not in analyst.page
    assert analyst.send(path, old=PASSWORD, new=OTHER).status_code == 303
    assert other.get("/staff/").status_code == 303
    assert analyst.get("/staff/").status_code == 200
    stranger = Reader(app)
    stranger.get("/staff/sign-in")
    assert stranger.send("/staff/sign-in", email=ANN, password=PASSWORD).status_code == 403
    assert stranger.send("/staff/sign-in", email=ANN, password=OTHER).status_code == 303


def test_passwords_are_not_guessed_from_a_browser_left_open(analyst: Reader) -> None:
    analyst.get("/staff/account")
    token = analyst.form_token()
    sent = {"csrf_token": token, "old": "wrong", "new": OTHER}
    answers = [analyst.post("/staff/account/password", sent).status_code for _ in range(11)]
    assert answers == [422] * 10 + [429]


def test_what_is_in_the_menu_is_what_one_may_see(
    app: Flask, owner: Reader, analyst: Reader, deployment: Deployment
) -> None:
    actions.add_store(deployment, slug="east", name="East", kind=StoreKind.store, region=None)
    told = {"email": "mo@brand.example", "password": PASSWORD}
    actions.add_staff(deployment, **told, role=Role.store_manager, store="east")
    mo = sign_in(Reader(app), "mo")
    seen = {}
    for name, reader in (("owner", owner), ("analyst", analyst), ("mo", mo)):
        reader.get("/staff/account")
        (menu,) = re.findall(r'<nav class="menu".*?</nav>', reader.page, re.DOTALL)
        seen[name] = set(re.findall(r'href="([^"]+)"', menu))
        for path in seen[name]:
            assert reader.get(path).status_code == 200, f"{name} at {path}"
    assert seen["owner"] >= {"/staff/members", "/staff/audit", "/staff/campaigns"}
    assert not seen["analyst"] & {"/staff/members", "/staff/audit", "/staff/store"}
    assert seen["mo"] == {"/staff/store"}
