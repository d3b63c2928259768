"""What a ticket drew, said at once to whoever bought; and the seed on the page with the rules."""

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask

from referral.clock import HeldClock
from referral.deployment import Deployment
from tests.cast import Brand, add_product, issue, publish
from tests.pools import add_pool
from tests.readers import Reader
from tests.web.test_me import words
from tests.web.test_pages import WIRE_BYTES_MAX


def open_draw(deployment: Deployment, *rows: dict[str, Any], **terms: Any) -> Brand:
    rule = {"when": "claim", "for": "person", "amount": {"odds": list(rows)}}
    product = add_product(deployment, price=20_000)
    terms = {"rules": [rule], "organiser": "Tea Brand Ltd", **terms}
    return Brand(deployment, product, issue(deployment), publish(deployment, **terms))


def claim(brand: Brand, reader: Reader, index: int = 1) -> None:
    reader.sign_in("13800138000")
    reader.claim(f"/01/{brand.product.gtin}/21/{brand.code(index).text}")


def test_a_winner_is_told_what_she_won(deployment: Deployment, alice: Reader) -> None:
    brand = open_draw(deployment, {"per_million": 1_000_000, "amount": 300})
    claim(brand, alice)
    assert "You won in the draw: 300 points." in words(alice)
    assert "Ticket claim:1|claim:person:points:draw|0" in words(alice)
    assert "/rules/spring" in alice.page
    alice.get("/rules/spring")
    assert brand.campaign.draw_commitment in alice.page


def test_a_loser_is_told_so_in_as_few_words(deployment: Deployment, alice: Reader) -> None:
    brand = open_draw(deployment, {"per_million": 1, "amount": 300})
    claim(brand, alice)
    assert "No luck in the draw this time." in words(alice)
    assert "again" not in words(alice).lower(), "nothing leads on to another try"
    assert "used up" not in words(alice)


def test_a_win_that_cannot_be_paid_is_not_called_bad_luck(
    deployment: Deployment, alice: Reader
) -> None:
    brand = open_draw(deployment, {"per_million": 1_000_000, "amount": 300}, budget=299)
    claim(brand, alice)
    assert "Your ticket won, but there is nothing left to give for it." in words(alice)
    assert "No luck" not in words(alice)


def test_a_coupon_that_was_won_is_named_by_its_title(deployment: Deployment, alice: Reader) -> None:
    add_pool(deployment, "TEA-0001")
    row = {"per_million": 1_000_000, "what": "coupon", "of": "tea"}
    brand = open_draw(deployment, row, budget=0, budgets={"coupon:tea": 1})
    claim(brand, alice)
    assert "You won in the draw: 10 yuan off." in words(alice)
    assert "TEA-0001" not in alice.page, "the code is on her own page"
    assert len(alice.page.encode()) < WIRE_BYTES_MAX
    alice.get("/me")
    assert "TEA-0001" in words(alice)


def test_only_the_own_tickets_are_shown(deployment: Deployment, app: Flask) -> None:
    rule = {
        "when": "referred_first_claim",
        "for": "both",
        "amount": {"odds": [{"per_million": 1_000_000, "amount": 300}]},
    }
    product = add_product(deployment, price=20_000)
    campaign = publish(deployment, rules=[rule], organiser="Tea Brand Ltd")
    brand = Brand(deployment, product, issue(deployment), campaign)
    alice, bob = Reader(app), Reader(app)
    claim(brand, alice)
    bob.get(alice.own_link)
    bob.sign_in("bob@example.com")
    bob.claim(f"/01/{product.gtin}/21/{brand.code(2).text}")
    assert words(bob).count("You won in the draw") == 1
    assert "draw|0" in words(bob)
    assert "draw|1" not in words(bob)


def test_the_seed_is_on_the_page_when_the_campaign_is_over(
    deployment: Deployment, alice: Reader, clock: HeldClock
) -> None:
    ends = clock.now() + timedelta(days=9)
    brand = open_draw(deployment, {"per_million": 500_000, "amount": 300}, ends_at=ends)
    claim(brand, alice)
    seed = deployment.keys.decrypt(brand.campaign.draw_seed_encrypted or "")
    alice.get("/rules/spring")
    assert "the number itself is shown here" in words(alice)
    assert alice.get("/rules/spring/draws.csv").status_code == 404
    clock.advance(days=9)
    alice.get("/rules/spring")
    assert seed in alice.page
    assert len(alice.page.encode()) < WIRE_BYTES_MAX
    answer = alice.get("/rules/spring/draws.csv")
    assert answer.mimetype == "text/csv"
    assert answer.text.splitlines()[0] == "ticket,number,outcome,unit,amount"
    assert len(answer.text.splitlines()) == 2


@pytest.mark.parametrize("slug", ["autumn", "%00", "x" * 300])
def test_there_is_no_list_of_what_there_is_not(
    deployment: Deployment, alice: Reader, slug: str
) -> None:
    assert alice.get(f"/rules/{slug}/draws.csv").status_code == 404


def test_a_campaign_without_a_draw_has_no_list(
    deployment: Deployment, alice: Reader, clock: HeldClock
) -> None:
    add_product(deployment)
    publish(deployment)
    clock.advance(days=100)
    assert alice.get("/rules/spring/draws.csv").status_code == 404
    alice.get("/rules/spring")
    assert "How to check the draw" not in alice.page
