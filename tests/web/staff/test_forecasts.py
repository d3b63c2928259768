"""Forecasts and dry runs in the console."""

import re
from urllib.parse import urlencode

import pytest

from referral import actions
from referral.clock import HeldClock
from referral.reports import spread_rates
from referral.segments import Conditions
from tests.cast import cast_of, draft
from tests.readers import Reader
from tests.web.conftest import Brand
from tests.web.staff.conftest import sign_in, text

FORECAST = "/staff/campaigns/spring/forecast"
FORM = {
    "from": "field",
    "seeds": "1,000",
    "days": "30",
    "claims": "500",
    "new_share": "50",
    "reproduction": "0.4",
    "conversion": "20",
    "audience": "",
    "per_seed": "",
    "dispersion": "0.2",
    "wait_days": "0.4",
    "wait_spread": "1.6",
    "buying_days": "0.8",
    "buying_spread": "1.2",
    "repeat": "0",
    "referred_share": "0",
    "orders": "0",
    "order_spread": "0.5",
    "order_amount": "",
}


def asked(**changes: str) -> str:
    return f"{FORECAST}?{urlencode({**FORM, **changes})}"


def test_the_form_says_where_its_figures_come_from(brand: Brand, owner: Reader) -> None:
    page = owner.get(FORECAST)
    assert page.status_code == 200
    assert "Too few people came through links" in text(owner)
    assert re.search(r'name="reproduction"[^>]*value="0\.35"', owner.page)
    assert owner.get(f"{FORECAST}?from=field").status_code == 200
    assert "Figures of field studies" in text(owner)
    assert owner.get(f"{FORECAST}?from=own").status_code == 200


def test_a_running_campaign_with_enough_figures_begins_with_its_own(
    brand: Brand, owner: Reader, clock: HeldClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def chosen() -> str:
        assert owner.get(FORECAST).status_code == 200
        found = re.search(r'from=(\w+)" aria-current="true"', owner.page)
        assert found
        return found[1]

    monkeypatch.setattr(spread_rates, "FEW", 1)
    alice, bob, _charlie = cast_of(brand)
    alice.claim(0)
    bob.open(alice.link())
    assert chosen() == "all", "Bob is too young to tell"
    clock.advance(days=20)
    sign_in(owner, "olga")
    assert chosen() == "own"
    clock.advance(days=100)
    sign_in(owner, "olga")
    assert chosen() == "all", "it is over"


def test_a_forecast_shows_figures_charts_and_the_same_in_a_table(
    brand: Brand, owner: Reader
) -> None:
    assert owner.get(asked()).status_code == 200
    said = text(owner)
    assert "Out of 400 simulated runs." in said
    assert "Cost for each new customer" in said
    assert owner.page.count('role="img"') == 3
    assert len(re.findall(r"<tr><td>\d+</td>", owner.page)) == 30
    assert "day 30" in said


def test_analysts_may_look_and_nobody_else(brand: Brand, analyst: Reader, bob: Reader) -> None:
    assert analyst.get(asked()).status_code == 200
    assert bob.get(asked()).status_code == 303


def test_what_is_wrong_is_said_beside_the_field(brand: Brand, owner: Reader) -> None:
    assert owner.get(asked(reproduction="much", seeds="-1", conversion="101")).status_code == 422
    said = text(owner)
    assert "Please enter a number from 0 to 20" in said
    assert "Please enter a number from 0 to 100" in said
    assert "Please enter a whole number from 0 to 1,000,000." in said
    assert owner.get(asked(reproduction="1.2")).status_code == 422
    assert "say how many people there are" in text(owner)
    assert owner.get(asked(orders="10")).status_code == 422
    assert "some of the purchases are orders" in text(owner)
    for odd in ("nan", "1e5", "inf", "9" * 400, "-0.1", "\0"):
        assert owner.get(asked(reproduction=odd)).status_code == 422
    assert owner.get(asked(reproduction="1.2", audience="5000")).status_code == 200
    assert owner.get("/staff/campaigns/none/forecast").status_code == 404


def test_a_drafts_page_leads_to_what_its_rules_would_have_paid(
    brand: Brand, alice: Reader, owner: Reader
) -> None:
    alice.sign_in("13800138000")
    alice.claim(brand.path(1))
    rules = [{"when": "claim", "for": "person", "amount": 30}]
    actions.add_campaign(brand.deployment, draft(slug="autumn", rules=rules))
    owner.get("/staff/campaigns/autumn")
    assert "/staff/campaigns/autumn/dry-run" in owner.page
    assert owner.get("/staff/campaigns/autumn/dry-run?days=7").status_code == 200
    said = text(owner)
    assert "Points 30 30 0 30" in said
    assert "For each purchase" in said
    assert owner.get("/staff/campaigns/autumn/dry-run?days=0").status_code == 422
    assert "Please enter a whole number from 1 to 3,650." in text(owner)


def test_a_campaign_for_a_segment_begins_with_its_customers(
    spread_brand: Brand, owner: Reader
) -> None:
    d = spread_brand.deployment
    actions.refresh_values(d)
    said = Conditions.model_validate({"brought_least": 1})
    number = actions.add_segment(d, "Friends", said, by="olga")
    rules = [{"when": "claim", "for": "person", "amount": 5}]
    actions.add_campaign(d, draft(slug="evening", rules=rules, audience=number))
    evening = "/staff/campaigns/evening"
    owner.get(f"{evening}/forecast")
    assert re.search(r'name="seeds"[^>]*value="1"', owner.page)
    assert "Begun with: all customers of its segment." in text(owner)
    assert "who comes through a link or buys for the first time is in none yet" in text(owner)
    owner.get(FORECAST)
    assert "segment" not in text(owner)
    owner.get(f"{evening}/dry-run")
    assert "looked at is what its customers of today bought" in text(owner)
    assert re.search(r"Purchases 1 ", text(owner)), "Alice's alone"
    actions.remove_segment(d, number, by="olga")
    for page in ("forecast", "dry-run"):
        assert owner.get(f"{evening}/{page}").status_code == 404
        assert owner.heading == "There is no such segment."
