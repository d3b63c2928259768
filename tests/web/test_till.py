"""A store's page: who may accept a voucher, what a clerk sees, and that it is accepted once."""

import re
from urllib.parse import urlsplit

import pytest
from flask import Flask

from referral import actions
from referral.clock import HeldClock
from referral.deployment import Deployment
from referral.limits import Limits
from referral.redemption import vouchers
from referral.redemption.tills import Till, TillTokens
from referral.redemption.vouchers import Voucher
from tests.cast import Brand, open_brand
from tests.readers import Reader
from tests.rewarded import add_item, add_till, give, states
from tests.web.test_pages import WIRE_BYTES_MAX
from tests.web.test_redeeming import STATIC, words

ALICE = 1


@pytest.fixture
def brand(deployment: Deployment) -> Brand:
    return open_brand(deployment)


@pytest.fixture
def alice(app: Flask, brand: Brand) -> Reader:
    """A customer with points, and an item to spend them on."""
    reader = Reader(app)
    reader.sign_in("13800138000")
    give(brand, ALICE, 1000)
    add_item(brand.deployment)
    return reader


@pytest.fixture
def voucher(alice: Reader, deployment: Deployment) -> Voucher:
    return actions.redeem(deployment, ALICE, "cup", key="k").voucher


def path_of(deployment: Deployment, voucher: Voucher) -> str:
    return f"/v/{vouchers.code_of(deployment.keys, voucher.seed, voucher.key_id)}"


def link(deployment: Deployment, till: Till) -> str:
    return f"/till/{TillTokens(deployment.keys).token(till.id)}"


def clerk_of(app: Flask, deployment: Deployment, store: str) -> Reader:
    """Somebody at a new till of a store that is new."""
    reader = Reader(app)
    reader.get(link(deployment, add_till(deployment, store)))
    return reader


@pytest.fixture
def clerk(app: Flask, deployment: Deployment) -> Reader:
    return clerk_of(app, deployment, "east")


def press(reader: Reader, path: str, **headers: str) -> dict[str, str]:
    """Open a voucher and press accept; returns what was sent."""
    reader.get(path)
    names = r'<input type="hidden" name="(csrf_token|press)" value="([^"]+)">'
    sent = dict(re.findall(names, reader.page))
    reader.post(f"{path}/accept", sent, **headers)
    return sent


# Signing a device in


def test_a_till_link_signs_the_device_in_and_leaves_the_address(
    app: Flask, deployment: Deployment
) -> None:
    till = add_till(deployment)
    reader = Reader(app)
    answer = reader.get(link(deployment, till))
    assert (answer.status_code, urlsplit(answer.location).path) == (302, "/till")
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert reader.get("/till").headers["Permissions-Policy"].startswith("camera=(self)")
    assert reader.heading == "East Store"
    assert "Counter 1" in words(reader)
    reader.send("/till/leave")
    reader.get("/till")
    assert "not signed in as a till" in words(reader)


def test_a_link_that_was_cut_off_or_closed_lets_nobody_in(
    app: Flask, deployment: Deployment, clerk: Reader
) -> None:
    till = add_till(deployment, "west")
    good = link(deployment, till)
    actions.close_till(deployment, till.id, store="west", by="tests")
    reader = Reader(app)
    for path in (good, good[:-1], "/till/x", f"/till/{'é' * 5}"):
        assert reader.get(path).status_code == 404
        assert reader.cookie("referral_till") is None
    actions.close_till(deployment, 1, store="east", by="tests")
    clerk.get("/till")
    assert "not signed in as a till" in words(clerk)


# What a clerk sees


def test_a_clerk_sees_what_to_hand_over_and_to_whom(
    deployment: Deployment, alice: Reader, voucher: Voucher, clerk: Reader
) -> None:
    actions.rename(deployment, ALICE, "Mingming")
    clerk.get(path_of(deployment, voucher))
    assert clerk.heading == "Thermos cup"
    assert "For whom M**" in words(clerk)
    assert "Mingming" not in clerk.page
    assert states(deployment) == ["issued"], "looking changes nothing"


def test_a_typed_code_leads_to_the_voucher(
    deployment: Deployment, voucher: Voucher, clerk: Reader
) -> None:
    path = path_of(deployment, voucher)
    code = vouchers.grouped(path.removeprefix("/v/"))
    for typed in (code, code.lower(), code.replace("-", " "), f"http://localhost{path}"):
        answer = clerk.get(f"/v?code={typed}")
        assert urlsplit(answer.location).path == path
    for typed in ("", "x", "A" * 5000, "💥"):
        answer = clerk.get(f"/v?code={typed}")
        assert (answer.status_code, "There is no such voucher." in words(clerk)) == (404, True)


def test_it_is_accepted_once_and_says_where_and_when(
    app: Flask, deployment: Deployment, voucher: Voucher, clerk: Reader, clock: HeldClock
) -> None:
    path = path_of(deployment, voucher)
    sent = press(clerk, path)
    answer = clerk.post(f"{path}/accept", sent)
    assert answer.status_code == 303, "the same press again is the first answer again"
    clerk.get(answer.location)
    assert clerk.heading == "Accepted: hand it over"
    clock.advance(minutes=10)
    other = clerk_of(app, deployment, "west")
    for reader in (clerk, other):
        reader.get(path)
        assert reader.heading == "This voucher was handed over already."
        assert "East Store" in words(reader)
        assert "<form" not in reader.page.partition("<main")[2]
    other.get("/till")
    token = other.form_token()
    assert other.post(f"{path}/accept", {"csrf_token": token, "press": "q" * 20}).status_code == 409
    assert other.heading == "This voucher was handed over already."
    clerk.get("/till")
    assert "Thermos cup" in words(clerk)


def test_a_script_is_answered_in_json(
    deployment: Deployment, voucher: Voucher, clerk: Reader
) -> None:
    path = path_of(deployment, voucher)
    clerk.get(path)
    sent = dict(re.findall(r'name="(csrf_token|press)" value="([^"]+)"', clerk.page))
    json = {"Accept": "application/json"}
    for _ in range(2):
        answer = clerk.post(f"{path}/accept", sent, **json)
        assert (answer.status_code, answer.json["accepted"]) == (200, True)
        assert answer.json["text"] == "Thermos cup"
    answer = clerk.post(f"{path}/accept", {**sent, "press": "another" * 3}, **json)
    assert (answer.status_code, answer.json["accepted"]) == (409, False)
    assert clerk.post(f"{path}/accept", {"press": "p" * 20}, **json).status_code == 400


@pytest.mark.parametrize("sent", ["", "short", "x" * 65, "with\nbreaks" * 2])
def test_a_press_without_a_name_accepts_nothing(
    deployment: Deployment, voucher: Voucher, clerk: Reader, sent: str
) -> None:
    path = path_of(deployment, voucher)
    clerk.get(path)
    assert clerk.send(f"{path}/accept", press=sent).status_code == 403
    assert states(deployment) == ["issued"]


def test_a_voucher_of_another_store_says_where(
    app: Flask, deployment: Deployment, alice: Reader, clerk: Reader
) -> None:
    west = clerk_of(app, deployment, "west")
    add_item(deployment, slug="mug", titles={"en": "Mug"}, stores=["west"])
    path = path_of(deployment, actions.redeem(deployment, ALICE, "mug", key="m").voucher)
    clerk.get(path)
    assert clerk.heading == "This is handed over at another store."
    assert "West Store" in words(clerk)
    press(west, path)
    assert states(deployment) == ["accepted"]


def test_what_is_undone_or_expired_is_not_handed_over(
    deployment: Deployment, voucher: Voucher, clerk: Reader, clock: HeldClock
) -> None:
    late = actions.redeem(deployment, ALICE, "cup", key="late").voucher
    actions.undo_redemption(deployment, voucher.id, reason="a slip", by="tests")
    clerk.get(path_of(deployment, voucher))
    assert clerk.heading == "This voucher was undone."
    clock.advance(days=30)
    clerk.get(path_of(deployment, late))
    assert clerk.heading == "This voucher has expired."


# Who is no till


def test_a_customer_sees_her_own_voucher_and_cannot_accept_it(
    deployment: Deployment, alice: Reader, voucher: Voucher
) -> None:
    path = path_of(deployment, voucher)
    assert urlsplit(alice.get(path).location).path == f"/me/vouchers/{voucher.id}"
    alice.get("/me")
    assert alice.send(f"{path}/accept", press="p" * 20).status_code == 403
    assert states(deployment) == ["issued"]


def test_a_stranger_sees_what_it_is_and_a_hint(
    deployment: Deployment, voucher: Voucher, bob: Reader
) -> None:
    bob.get(path_of(deployment, voucher))
    assert bob.heading == "Thermos cup"
    assert "Open your till link on this device first" in words(bob)
    assert bob.get(f"/v/{'0' * 12}").status_code == 404


def test_the_device_of_a_till_is_signed_out_when_it_is_closed(
    deployment: Deployment, voucher: Voucher, clerk: Reader
) -> None:
    path = path_of(deployment, voucher)
    clerk.get(path)
    sent = dict(re.findall(r'name="(csrf_token|press)" value="([^"]+)"', clerk.page))
    actions.close_till(deployment, 1, store="east", by="tests")
    assert clerk.post(f"{path}/accept", sent).status_code == 403
    assert "not signed in as a till" in words(clerk)
    assert states(deployment) == ["issued"]


# Guessing


def test_guessing_codes_ends_and_takes_nobody_elses_turn(
    app: Flask, deployment: Deployment, voucher: Voucher, clerk: Reader
) -> None:
    path = path_of(deployment, voucher)
    for number in range(30):
        assert clerk.get(f"/v/{number:012d}").status_code == 404
    answer = clerk.get(path)
    assert answer.status_code == 429, "a hit is not told either"
    assert int(answer.headers["Retry-After"]) > 0
    assert clerk_of(app, deployment, "west").get(path).status_code == 200


def test_right_codes_do_not_count_as_guesses(
    deployment: Deployment, voucher: Voucher, clerk: Reader
) -> None:
    path = path_of(deployment, voucher)
    assert {clerk.get(path).status_code for _ in range(40)} == {200}


def test_without_redis_guesses_are_counted_all_the_same(
    deployment: Deployment, voucher: Voucher, clerk: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("referral.limits.RedisCounters.add", lambda *_args, **_more: None)
    assert isinstance(deployment.limits, Limits)
    for number in range(30):
        clerk.get(f"/v/{number:012d}")
    assert clerk.get(path_of(deployment, voucher)).status_code == 429


def test_the_pages_of_a_till_are_light(
    deployment: Deployment, voucher: Voucher, clerk: Reader
) -> None:
    shell = sum((STATIC / name).stat().st_size for name in ("site.css", "icon.svg", "till.js"))
    for path in ("/till", path_of(deployment, voucher)):
        assert len(clerk.get(path).get_data()) + shell <= WIRE_BYTES_MAX
