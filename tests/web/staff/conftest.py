"""The console's staff: Olga owns the account, Ann may only look."""

import html
import re
from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import urlencode

import pytest
from flask import Flask

from referral import actions
from referral.actions import Said, Wish
from referral.campaigns import Draft
from referral.clock import HeldClock
from referral.complaints import Kind
from referral.deployment import Deployment
from referral.exports.jobs import Asked, Form
from referral.orders import OrderIn
from referral.pictures import made_ready
from referral.risk import Mode
from referral.segments import Conditions
from referral.staff import Role, staff_by_email
from tests.photos import photo_file
from tests.pools import add_pool, order
from tests.readers import Reader
from tests.rewarded import add_item, add_till, give
from tests.web.conftest import Brand

PASSWORD = "four ordinary words here"


def rule(number: int, when: str, for_whom: str, amount: str, **more: str) -> dict[str, str]:
    """The fields of one rule, by their names in the form."""
    told = {"when": when, "for": for_whom, "what": "points", "how": "fixed", "amount": amount}
    return {f"rule-{number}-{part}": value for part, value in {**told, **more}.items()}


CAMPAIGN = {
    "title": "Autumn harvest",
    "slug": "autumn",
    "budget": "10,000",
    "hold_days": "7",
    "window_days": "30",
    "lasts_days": "365",
    **rule(0, "claim", "person", "20"),
    **rule(1, "referred_first_claim", "person", "30"),
    **rule(2, "referred_first_claim", "referrer", "50"),
}


def add_member(deployment: Deployment, name: str, role: Role) -> None:
    actions.add_staff(deployment, email=f"{name}@brand.example", password=PASSWORD, role=role)


def sign_in(reader: Reader, name: str, then: str = "/staff/") -> Reader:
    reader.get(f"/staff/sign-in?{urlencode({'next': then})}")
    answer = reader.send(
        "/staff/sign-in", email=f"{name}@brand.example", password=PASSWORD, next=then
    )
    assert answer.status_code == 303, reader.page
    return reader


@pytest.fixture
def olga(deployment: Deployment) -> None:
    add_member(deployment, "olga", Role.owner)


@pytest.fixture
def ann(deployment: Deployment) -> None:
    add_member(deployment, "ann", Role.analyst)


@pytest.fixture
def owner(app: Flask, olga: None) -> Reader:
    return sign_in(Reader(app), "olga")


@pytest.fixture
def analyst(app: Flask, ann: None) -> Reader:
    return sign_in(Reader(app), "ann")


@pytest.fixture
def spread_brand(brand: Brand, alice: Reader, bob: Reader, charlie: Reader) -> Brand:
    """Alice's link reaches Charlie through Bob, who never signs in; a draft waits beside it."""
    alice.sign_in("13800138000")
    alice.claim(brand.path(1))
    bob.get(alice.own_link)
    charlie.get(bob.own_link)
    charlie.sign_in("charlie@example.com")
    charlie.claim(brand.path(2))
    actions.rename(brand.deployment, 1, "Alice")
    return brand


@pytest.fixture
def busy_brand(spread_brand: Brand) -> Brand:
    """The same with one of all else that has a page: a till, an item and a voucher for it, a pool
    and a coupon that an order used, and a case."""
    d = spread_brand.deployment
    add_till(d)
    add_item(d)
    give(spread_brand, 1, 100)
    actions.redeem(d, 1, "cup", key="press")
    add_pool(d, "TEA-0001", "TEA-0002")
    give_coupon = {"when": "order", "for": "person", "what": "coupon", "of": "tea", "amount": 1}
    terms = {"rules": [{**give_coupon, "least": 10_000}], "budgets": {"coupon:tea": 2}}
    draft = Draft(slug="coupons", title="Coupons", hold_days=0, budget=0, **terms)
    actions.add_campaign(d, draft)
    actions.publish_campaign(d, "coupons")
    placed = {"external_id": "A-1", "customer_id": 1, "amount": 10_000, "currency": "CNY"}
    actions.place_order(d, OrderIn.model_validate(placed))
    order(d, "A-2", "TEA-0001")
    actions.set_risk_rule(d, "misses_first", Mode.on, points=60, by="tests")
    for _ in range(12):
        d.guessing.wrong_code(2, None, None)
    actions.claim(d, spread_brand.code(3), 2)
    return spread_brand


@pytest.fixture
def full_brand(busy_brand: Brand) -> Brand:
    """The same with something on every page of the console, for a browser: what runs out was made
    just now, by the clock of the machine, and days are tallied and customers valued."""
    d = replace(busy_brand.deployment, clock=HeldClock(datetime.now(UTC)))
    draft = Draft.model_validate({"slug": "autumn", "title": "Autumn harvest", "budget": 10})
    actions.add_campaign(d, draft)
    actions.open_store_links(d, "east", by="tests")
    limits = {"budget_max": 100, "days_max": 9, "running_max": 2}
    actions.set_store_limits(d, "east", templates=["spring"], **limits, by="tests")
    picture = made_ready(photo_file(640, 480))
    said = Said(Kind.damaged, "The cap was open.", (busy_brand.batch.id, 1), picture)
    actions.complain(d, 1, said, key="capped")
    add_member(d, "sam", Role.support)
    with d.db.read() as tx:
        sam = staff_by_email(tx, "sam@brand.example")
    assert sam
    for key, amount in (("small", 1), ("large", d.config.credit_limit + 1)):
        actions.credit_by_hand(d, Wish(key, 1, 1, amount, "late parcel", "Sorry"), member=sam)
    for form in Form:
        asked = Asked("spread", form, {"campaign": busy_brand.campaign.id}, [])
        actions.ask_export(d, asked, member=sam)
    actions.invite_staff(d, email="ann@brand.example", role=Role.analyst, by="tests")
    actions.refresh_values(d)
    actions.add_segment(d, "Buyers", Conditions(purchases_least=1), by="tests")
    actions.tally(d)
    return busy_brand


def text(reader: Reader) -> str:
    """What the page says, without its markup."""
    body = re.sub(r"<(script|style)\b.*?</\1>", " ", reader.page, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())
