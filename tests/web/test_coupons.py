"""A customer's coupons on her own page: shown when they can be used, and what became of them."""

import pytest
from flask import Flask

from referral import actions
from referral.clock import HeldClock
from referral.deployment import Deployment
from referral.web import coupons
from tests.cast import Brand
from tests.pools import open_with, undo, use
from tests.readers import Reader
from tests.web.test_me import words
from tests.web.test_pages import WIRE_BYTES_MAX

CODES = [f"TEA-000{number}" for number in range(1, 7)]


@pytest.fixture
def brand(deployment: Deployment) -> Brand:
    return open_with(deployment, *CODES)


def claim(brand: Brand, reader: Reader, *indexes: int) -> None:
    for index in indexes:
        reader.claim(f"/01/{brand.product.gtin}/21/{brand.code(index).text}")


def test_a_coupon_is_there_with_its_code_and_its_use(brand: Brand, app: Flask) -> None:
    alice = Reader(app, lang="zh-CN")
    alice.sign_in("13800138000")
    claim(brand, alice, 0)
    assert "满减十元" in words(alice)
    alice.get("/me")
    assert "TEA-0001" in words(alice)
    assert "结账时出示。" in words(alice)
    assert len(alice.page.encode()) < WIRE_BYTES_MAX
    bob = Reader(app)
    bob.sign_in("bob@example.com")
    bob.get("/me")
    assert "TEA-" not in bob.page
    bob.get("/me/coupons")
    assert "TEA-" not in bob.page


def test_a_code_is_hidden_while_its_reward_is_on_hold(
    deployment: Deployment, alice: Reader, clock: HeldClock
) -> None:
    brand = open_with(deployment, "TEA-0001", hold_days=7)
    alice.sign_in("13800138000")
    claim(brand, alice, 0)
    for page in ("/me", "/me/coupons"):
        alice.get(page)
        assert "TEA-0001" not in alice.page
    clock.advance(days=7)
    actions.release_rewards(deployment)
    for page in ("/me", "/me/coupons"):
        alice.get(page)
        assert "TEA-0001" in alice.page


def test_it_says_what_became_of_each(
    brand: Brand, alice: Reader, deployment: Deployment, clock: HeldClock
) -> None:
    alice.sign_in("13800138000")
    claim(brand, alice, 0, 1, 2)
    use(deployment, "TEA-0001", "order:1")
    undo(deployment, "claim:2")
    alice.get("/me/coupons")
    assert "TEA-0001 Used on" in words(alice)
    assert "Withdrawn" in words(alice)
    assert "TEA-0002" not in alice.page
    assert "TEA-0003 Good until" in words(alice)
    clock.advance(days=30)
    alice.get("/me/coupons")
    assert "Expired" in words(alice)
    assert "TEA-0003" not in alice.page


def test_many_are_on_pages_of_their_own(
    brand: Brand, alice: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coupons, "SHOWN_ALONE", 4)
    alice.sign_in("13800138000")
    claim(brand, alice, *range(6))
    alice.get("/me")
    assert [code for code in CODES if code in alice.page] == CODES[3:]
    assert "/me/coupons" in alice.page
    alice.get("/me/coupons")
    assert [code for code in CODES if code in alice.page] == CODES[2:]
    assert "offset=4" in alice.page
    alice.get("/me/coupons?offset=4")
    assert [code for code in CODES if code in alice.page] == CODES[:2]
    for wrong in ("x", "-1", "9" * 40):
        assert alice.get(f"/me/coupons?offset={wrong}").status_code == 200


def test_a_stranger_is_asked_to_sign_in(brand: Brand, alice: Reader) -> None:
    answer = alice.get("/me/coupons")
    assert answer.status_code == 302
    assert answer.location.startswith("/sign-in?next=")
