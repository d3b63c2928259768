"""The console's forms: a brand set up from nothing, exact numbers, everything typed wrong."""

import itertools
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from stdnum import ean

from referral import ranges
from referral.campaigns import Campaign, Draft, campaign_by_slug
from referral.campaigns.payouts import units_of
from referral.catalog import product_by_gtin
from referral.coupons import PoolExists, PoolOver, UnknownPool
from referral.deployment import Deployment
from referral.rewards import Rule
from referral.web.staff import drafts, rule_rows
from referral.web.staff.forms import Form
from tests.readers import Reader
from tests.rules import rule_sets
from tests.web.conftest import Brand
from tests.web.staff.conftest import CAMPAIGN, rule, text

ZONE = ZoneInfo("Asia/Shanghai")
AWKWARD = {
    "empty": "",
    "spaces": "   ",
    "nul": "a\0b",
    "emoji": "👩‍👩‍👧 🍵",
    "long": "x" * 4000,
    "negative": "-1",
    "huge": "9" * 400,
    "just too big for 64 bits": str(2**63),
    "commas": "1,0,0",
    "float": "1e9",
    "infinity": "Infinity",
    "markup": "<script>alert(1)</script>",
    "per cent": "100 %s %(x)s",
    "a line break": "a\r\nb",
    "not a digit to int()": "²",
    "reversed": "\u202eabc",
}

TERMS = ("lot", "made_on", "expires_on", "market", "store", "sale_from", "sale_until")


def test_what_an_action_refuses_is_said_beside_its_field(app: Flask) -> None:
    form, fields = Form(), {PoolExists: "slug", PoolOver: "expires_at"}
    with app.test_request_context("/staff/", headers={"Accept-Language": "en"}):
        for problem in (PoolExists(), PoolOver()):
            with form.refusing(fields):
                raise problem
        with pytest.raises(UnknownPool), form.refusing(fields):
            raise UnknownPool()
    assert form.errors == {
        "slug": "There is a pool of coupons with this short name already.",
        "expires_at": "The coupons of this pool have expired. Make a new pool with a later date.",
    }


def test_an_owner_sets_up_a_brand_from_nothing(owner: Reader, deployment: Deployment) -> None:
    owner.get("/staff/")
    assert "Set up your first campaign" in text(owner)
    owner.get("/staff/products")
    owner.send(
        "/staff/products",
        gtin="690 1234 567892",
        name=" 茶  Tea ",
        price="1,012.50",
        currency="cny",
    )
    with deployment.db.read() as tx:
        product = product_by_gtin(tx, "06901234567892")
    assert (product.name, product.price, product.currency) == ("茶 Tea", 101_250, "CNY")

    owner.get("/staff/batches")
    answer = owner.send("/staff/batches", gtin=product.gtin, count="1,000", name="Lot 1")
    owner.get(answer.location)
    assert "1,000 codes are issued" in text(owner)
    owner.send(answer.location, state="activated", start="0", end="600", reason="shipped")
    owner.get(answer.location)
    owner.send(answer.location, state="voided", start="10", end="20", reason="stolen")
    with deployment.db.read() as tx:
        spans = [(s.start, s.end, str(s.state)) for s in ranges.ranges(tx, 1)]
    assert spans == [
        (0, 10, "activated"),
        (10, 20, "voided"),
        (20, 600, "activated"),
        (600, 1000, "issued"),
    ]
    owner.get(answer.location)
    assert "olga@brand.example Voided 10–20 stolen" in text(owner)

    owner.get("/staff/new-campaign")
    answer = owner.send("/staff/new-campaign", **CAMPAIGN, **{"en-title": "Harvest", "gtins": "x"})
    owner.get(answer.location)
    answer = owner.send(answer.location)
    owner.get(answer.location)
    assert "Published. 10,000 points are put up for it." in text(owner)
    owner.get("/staff/")
    assert "Set up your first campaign" not in text(owner)


def test_a_price_is_read_exactly(owner: Reader, deployment: Deployment) -> None:
    for number, (price, currency, minor) in enumerate(
        [
            ("20", "CNY", 2000),
            ("0.01", "CNY", 1),
            ("１２．５０", "CNY", 1250),
            ("19.90", "USD", 1990),
            ("1.10", "EUR", 110),
            ("2,380", "JPY", 2380),
            ("1.005", "KWD", 1005),
            ("20.00", "JPY", 20),
        ]
    ):
        gtin = ean.calc_check_digit(f"69012345{number:04}")
        gtin = f"69012345{number:04}{gtin}"
        owner.get("/staff/products")
        owner.send("/staff/products", gtin=gtin, name="Tea", price=price, currency=currency)
        with deployment.db.read() as tx:
            assert product_by_gtin(tx, gtin).price == minor


def test_a_refused_product_keeps_what_was_typed(owner: Reader) -> None:
    fields = {"gtin": "6901234567892", "name": "Kept tea", "price": "20", "currency": "CNY"}
    for field, value, says in [
        ("gtin", "6901234567893", "This is not a GTIN"),
        ("gtin", "690123456789é", "This is not a GTIN"),
        ("name", "", "Please fill this in"),
        ("name", "x" * 121, "This has 121 characters; at most 120 fit."),
        ("price", "12,50", "with a point"),
        ("price", "0", "not possible"),
        ("price", "12.505", "CNY has 2 digits after the point"),
        ("price", "999999999999", "not possible"),
        ("currency", "ZZZ", "three letters"),
    ]:
        owner.get("/staff/products")
        answer = owner.send("/staff/products", **{**fields, field: value})
        assert answer.status_code == 422
        assert says in text(owner)
        for kept in {**fields, field: value}.values():
            assert f'value="{kept}"' in owner.page
        assert 'aria-invalid="true"' in owner.page
        assert "No product yet" in text(owner)


def test_the_same_product_twice_is_said_at_the_field(owner: Reader) -> None:
    fields = {"gtin": "6901234567892", "name": "Tea", "price": "20", "currency": "CNY"}
    owner.get("/staff/products")
    assert owner.send("/staff/products", **fields).status_code == 303
    owner.get("/staff/products")
    assert owner.send("/staff/products", **fields).status_code == 422
    assert "There is a product with this GTIN already." in text(owner)


def test_a_range_outside_the_batch_changes_nothing(brand: Brand, owner: Reader) -> None:
    with brand.deployment.db.read() as tx:
        before = ranges.ranges(tx, 1)
    for start, end in [("5", "5"), ("9", "3"), ("0", "1001"), ("", ""), ("-1", "2")]:
        owner.get("/staff/batches/1")
        answer = owner.send("/staff/batches/1", state="voided", start=start, end=end, reason="r")
        assert answer.status_code == 422
    with brand.deployment.db.read() as tx:
        assert ranges.ranges(tx, 1) == before


def test_voiding_needs_a_reason(brand: Brand, owner: Reader) -> None:
    owner.get("/staff/batches/1")
    assert owner.send("/staff/batches/1", state="voided", start="0", end="9").status_code == 422
    assert owner.send("/staff/batches/1", state="burnt", start="0", end="9").status_code == 422


# Campaigns


def test_a_campaign_that_pays_too_much_is_refused_kindly_and_can_be_put_right(
    brand: Brand, owner: Reader
) -> None:
    owner.get("/staff/new-campaign")
    owner.send("/staff/new-campaign", **{**CAMPAIGN, "rule-2-amount": "5000"})
    owner.get("/staff/campaigns/autumn")
    answer = owner.send("/staff/campaigns/autumn")
    assert answer.status_code == 422
    assert "It could pay out CN¥50.50; CN¥4.00 is the most allowed" in text(owner)
    assert "20 % of the price" in text(owner)

    owner.get("/staff/campaigns/autumn/edit")
    assert 'value="5000"' in owner.page
    owner.send("/staff/campaigns/autumn/edit", **CAMPAIGN)
    owner.get("/staff/campaigns/autumn")
    assert owner.send("/staff/campaigns/autumn").status_code == 303
    assert owner.get("/staff/campaigns/autumn/edit").status_code == 409
    assert owner.send("/staff/campaigns/autumn").status_code == 409
    assert owner.send("/staff/campaigns/autumn/edit", **CAMPAIGN).status_code == 409


def test_a_campaign_that_ends_before_it_starts_is_refused_at_the_field(
    brand: Brand, owner: Reader
) -> None:
    past = {**CAMPAIGN, "ends_at": "2026-01-01T09:00"}
    for fields in (past, {**past, "starts_at": "2026-02-01T09:00"}):
        owner.get("/staff/new-campaign")
        assert owner.send("/staff/new-campaign", **fields).status_code == 422
        assert "The end must lie after the start." in text(owner)
        assert 'value="2026-01-01T09:00"' in owner.page


def test_a_campaign_keeps_every_field(brand: Brand, owner: Reader) -> None:
    fields = {
        **CAMPAIGN,
        **rule(3, "first_claim", "person", "5"),
        "organiser": "Brand Ltd",
        "buy_url": "https://shop.example/茶",
        "gtins": brand.product.gtin,
        "starts_at": "2026-04-01T09:00",
        "ends_at": "2026-05-01T09:00",
        "zh-Hans-title": "秋收",
        "zh-Hans-body": "第一段\r\n\r\n第二段",
        "zh-Hans-share_text": "我们都得积分",
        "en-body": "Only a body",
    }
    owner.get("/staff/new-campaign")
    assert owner.send("/staff/new-campaign", **fields).status_code == 303
    with brand.deployment.db.read() as tx:
        campaign = campaign_by_slug(tx, "autumn")
    # Typed in the deployment's time zone, eight hours ahead of UTC.
    assert campaign.starts_at.isoformat() == "2026-04-01T01:00:00+00:00"
    assert [(r.id, r.amount) for r in campaign.checked_rules] == [
        ("claim:person:points", 20),
        ("referred_first_claim:person:points", 30),
        ("referred_first_claim:referrer:points", 50),
        ("first_claim:person:points", 5),
    ]
    assert campaign.content["zh-Hans"]["body"] == "第一段\n\n第二段"
    assert campaign.content["en"]["title"] == "Autumn harvest"
    assert set(campaign.content) == {"zh-Hans", "en"}
    owner.get("/staff/campaigns/autumn/edit")
    for kept in ("2026-04-01T09:00", "秋收", "Brand Ltd", "10000"):
        assert f'value="{kept}"' in owner.page


def drafted(rules: Sequence[Rule] = ()) -> Campaign:
    """A draft with these rules, and dates with seconds in them."""
    start = datetime(2026, 4, 1, 1, 2, 3, 456, UTC)
    return Campaign(
        slug="autumn",
        title="Autumn",
        content={},
        rules=[rule.dump() for rule in rules],
        budget=1000,
        budgets=dict.fromkeys(units_of(rules, "CNY") - {"points"}, 7),
        gtins=[],
        more_pictures=[],
        video_url="https://video.example/v/1",
        buy_url=None,
        landing="page",
        organiser="",
        starts_at=start,
        ends_at=start + timedelta(days=9, seconds=9),
        hold_days=7,
        lasts_days=90,
        window_days=30,
        touch="last",
        market="ID",
        permit="K/7",
    )


def resaved(campaign: Campaign, **changed: str) -> Draft:
    form = drafts.form_of(campaign, ZONE, "CNY")
    draft = drafts.read(Form(form.values | changed), [], ZONE, campaign, "CNY")
    assert draft is not None, form.errors
    return draft


@given(rule_sets())
def test_an_unchanged_save_changes_nothing(rules: list[Rule]) -> None:
    """For every kind of rule there is, in any number and order."""
    campaign = drafted(rules)
    draft = resaved(campaign)
    assert draft.rules == campaign.checked_rules
    assert draft.budgets == campaign.budgets
    assert (draft.market, draft.permit, draft.lasts_days) == ("ID", "K/7", 90)
    assert (draft.touch, draft.landing) == (campaign.touch, campaign.landing)
    assert str(draft.video_url) == campaign.video_url
    assert (draft.starts_at, draft.ends_at) == (campaign.starts_at, campaign.ends_at)


@given(rule_sets(least=2), st.data())
def test_a_rule_taken_away_leaves_the_others(rules: list[Rule], data: st.DataObject) -> None:
    gone = data.draw(st.integers(0, len(rules) - 1))
    form = drafts.form_of(drafted(rules), ZONE, "CNY")
    rule_rows.drop(form, str(gone))
    draft = drafts.read(form, [], ZONE, drafted(rules), "CNY")
    assert draft is not None
    assert draft.rules == [*rules[:gone], *rules[gone + 1 :]]


def test_a_typed_time_takes_the_place_of_the_old_one() -> None:
    draft = resaved(drafted(), starts_at="2026-04-02T09:00", ends_at="")
    assert draft.starts_at == datetime(2026, 4, 2, 1, tzinfo=UTC)
    assert draft.ends_at is None


def test_awkward_input_is_never_an_error_of_ours(brand: Brand, owner: Reader) -> None:
    owner.get("/staff/new-campaign")
    owner.send("/staff/new-campaign", **CAMPAIGN)
    owner.get("/staff/search")
    token = {"csrf_token": owner.form_token()}
    for path, fields in {
        "/staff/products": ("gtin", "name", "price", "currency"),
        "/staff/batches": ("gtin", "count", "name"),
        "/staff/batches/1": ("state", "start", "end", "reason"),
        "/staff/new-campaign": (
            "slug",
            "rule-0-amount",
            "buy_url",
            "starts_at",
            "ends_at",
            "en-body",
        ),
        "/staff/campaigns/autumn/edit": ("title", "budget", "hold_days", "gtins", "en-title"),
        "/staff/search": ("q",),
    }.items():
        good = {**CAMPAIGN, "slug": "other"} if "campaign" in path else {}
        for field, (kind, value) in itertools.product(fields, AWKWARD.items()):
            answer = owner.post(path, {**token, **good, field: value})
            assert answer.status_code in {200, 303, 404, 422}, f"{kind} as {field} of {path}"
            assert "<script>alert" not in owner.page


def test_awkward_terms_codes_and_stores_are_refused_or_kept(brand: Brand, owner: Reader) -> None:
    owner.get("/staff/search")
    token = {"csrf_token": owner.form_token()}
    ends = {"start": "0", "end": "9"}
    issued = {"gtin": brand.product.gtin, "count": "1", "name": "x"}
    for path, good, fields in [
        ("/staff/batches/1", {"form": "terms", **ends}, (*TERMS, "clear", "reason")),
        ("/staff/batches/1", {"form": "code"}, ("code", "reason")),
        ("/staff/batches/1", ends, ("form", "state", "reinstate", "reason")),
        ("/staff/batches", issued, (*TERMS, "scheme")),
        ("/staff/stores", {}, ("name", "slug", "kind", "region")),
    ]:
        for kind, value in AWKWARD.items():
            answer = owner.post(path, {**token, **good, **dict.fromkeys(fields, value)})
            assert answer.status_code in {303, 422}, f"{kind} in {fields} of {path}"
            assert "<script>alert" not in owner.page
