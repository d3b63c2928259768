"""Where a forecast begins: from what was measured, or else from the field's figures."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from referral import actions, people
from referral.campaigns import Campaign
from referral.catalog import Product
from referral.clock import HeldClock
from referral.deployment import Deployment
from referral.forecast.assumptions import DAYS_MAX, Assumptions
from referral.reports import forecasts
from referral.reports.spread_rates import Rate, Rates
from tests.cast import Brand, Person, add_product, cast_of, draft, issue, open_brand, publish

START = datetime(2026, 3, 2, tzinfo=UTC)
CLAIM = {"when": "claim", "for": "person", "amount": 5}
ORDER = {"when": "order", "for": "person", "amount": {"basis_points": 100, "cap": 50}}
BOTH = {"when": "referred_first_purchase", "for": "referrer", "amount": 5, "least": 100}


def rates(**known: Any) -> Rates:
    """Figures of 30 days, of which only these could be measured."""
    unknown = dict.fromkeys(Rates.model_fields)
    counted = {"people": 0, "left_out": 0, "ripe_days": 1.0, "seeds": 0, "purchases": 0}
    times = {"since": START, "until": START + timedelta(days=30)}
    return Rates.model_validate({**unknown, **counted, **times, **known})


def rate(value: float) -> Rate:
    return Rate(value=value, low=value / 2, high=value * 2)


def campaign(rules: list[dict[str, Any]], **said: Any) -> Campaign:
    times = {"starts_at": START, "ends_at": START + timedelta(days=60)}
    return Campaign(**{"rules": rules, "budget": 500, "budgets": {}, **times, **said})


def products(*prices: int) -> list[Product]:
    return [Product(price=price, currency="CNY") for price in prices]


@pytest.mark.parametrize(
    ("length", "days"),
    [
        (timedelta(seconds=1), 1),
        (timedelta(days=1), 1),
        (timedelta(days=1, seconds=1), 2),
        (timedelta(days=DAYS_MAX), DAYS_MAX),
        (timedelta(days=4000), DAYS_MAX),
    ],
)
def test_days_are_whole_ones_and_no_more_than_a_forecast_holds(
    length: timedelta, days: int
) -> None:
    assert forecasts.days_of(campaign([CLAIM], ends_at=START + length)) == days


@pytest.mark.parametrize(
    ("rules", "orders"), [([CLAIM], 0.0), ([ORDER], 1.0), ([CLAIM, ORDER], 0.5), ([BOTH], 0.0)]
)
def test_whether_there_are_orders_follows_from_the_rules(
    rules: list[dict[str, Any]], orders: float
) -> None:
    begun = forecasts.beginning(campaign(rules), products(1000, 2001), None)
    assert begun.assumptions.orders == orders
    assert begun.assumptions.order_amount == (1500 if orders else 0)
    assert (begun.measured, begun.rates, begun.assumptions.days) == (frozenset(), None, 60)
    nothing = forecasts.beginning(campaign(rules), [], None)
    assert nothing.assumptions.order_amount == 0


def test_as_many_begin_as_a_campaign_is_for() -> None:
    of = rates(seeds=700, conversion=rate(0.2))
    for_some = campaign([CLAIM], audience={"segment": 1})
    begun = forecasts.beginning(for_some, products(1000), of, 40)
    assert (begun.assumptions.seeds, begun.assumptions.conversion) == (40, 0.2)
    assert {"seeds", "conversion"} <= begun.measured
    nobody = forecasts.beginning(for_some, products(1000), None, 0)
    assert (nobody.assumptions.seeds, nobody.measured) == (0, frozenset({"seeds"}))
    assert forecasts.terms_of(for_some, products(1000), {}).is_for_some
    for_all = forecasts.beginning(campaign([CLAIM]), products(1000), of)
    assert for_all.assumptions.seeds == 1_400
    assert not forecasts.terms_of(campaign([CLAIM]), products(1000), {}).is_for_some


def test_what_was_measured_comes_before_what_the_rules_say() -> None:
    of = rates(orders=0.25, order_amount=777, conversion=rate(0.2))
    begun = forecasts.beginning(campaign([ORDER]), products(1000), of)
    said = begun.assumptions
    assert (said.orders, said.order_amount, said.conversion) == (0.25, 777, 0.2)
    assert begun.measured == {"orders", "order_amount", "conversion"}
    assert begun.rates is of
    assert said.reproduction == Assumptions().reproduction, "the field's, where nothing is known"


def test_counts_are_stretched_to_the_campaign_s_time() -> None:
    said = forecasts.of_rates(rates(seeds=90, purchases=7), 60).assumptions
    assert (said.seeds, said.claims) == (180, 14)
    much = forecasts.of_rates(rates(seeds=10**6, purchases=10**7), 366).assumptions
    assert (much.seeds, much.claims) == (10**6, 10**7), "no more than a forecast holds"


def test_who_began_is_stretched_by_the_days_in_which_somebody_could() -> None:
    of = rates(seeds=90, purchases=7, spread_since=START + timedelta(days=15))
    said = forecasts.of_rates(of, 60).assumptions
    assert (said.seeds, said.claims) == (360, 14)


def test_a_measured_r_of_one_or_more_gets_an_audience() -> None:
    audience = [
        forecasts.of_rates(rates(reproduction=rate(r)), 60).assumptions.audience
        for r in (0.994, 0.9996, 1.0, 3.2)
    ]
    default = forecasts.AUDIENCE_DEFAULT
    assert audience == [None, default, default, default], "as it is rounded"


@given(
    st.floats(0, 20), st.floats(0.01, 100), st.floats(0, 1), st.floats(1e-6, 365), st.floats(0, 1)
)
def test_whatever_was_measured_a_forecast_can_begin(
    r: float, k: float, share: float, wait: float, orders: float
) -> None:
    of = rates(
        reproduction=rate(r), dispersion=rate(k), conversion=rate(share), wait_days=wait,
        orders=orders,
    )  # fmt: skip
    begun = forecasts.of_rates(of, 60)
    assert begun.assumptions.reproduction == pytest.approx(r, rel=5e-3)
    assert begun.assumptions.wait_days == pytest.approx(wait, rel=5e-3)
    assert ("orders" in begun.measured) == (orders > 0)


def test_terms_are_in_the_currency_of_the_products() -> None:
    draft = campaign([CLAIM], budgets={"coupon:tea": 3})
    terms = forecasts.terms_of(draft, products(1000), {"coupon:tea": 9})
    assert (terms.currency, terms.budgets) == ("CNY", {"points": 500, "coupon:tea": 3})
    assert forecasts.terms_of(campaign([CLAIM], currency="SGD"), products(1), {}).currency == "SGD"
    assert forecasts.terms_of(draft, [], {}).currency is None


def test_a_campaign_is_measured_over_its_own_time(deployment: Deployment, clock: HeldClock) -> None:
    brand = open_brand(deployment)
    alice, *_ = cast_of(brand)
    alice.claim(0)
    begun, ends = clock.now(), brand.campaign.ends_at
    clock.advance(days=40)
    alice.claim(1)
    with deployment.db.read() as tx:
        whole = forecasts.measured(tx, clock.now(), campaign=brand.campaign)
        lately = forecasts.measured(tx, clock.now(), days=7, campaign=brand.campaign)
        of_all = forecasts.measured(tx, clock.now(), days=7)
        after = forecasts.measured(tx, ends + timedelta(days=500), campaign=brand.campaign)
    assert (whole.since, whole.until, whole.purchases) == (begun, begun + timedelta(days=40), 1)
    assert (lately.since, of_all.since) == (clock.now() - timedelta(days=7),) * 2
    assert (lately.purchases, of_all.purchases) == (0, 0)
    assert after.until == ends
    with deployment.db.read() as tx:
        later = forecasts.measured(tx, clock.now() + timedelta(minutes=1), days=7)
    assert later.purchases == 1, "up to and not including its end"


def test_a_young_brand_is_measured_over_its_own_days(
    deployment: Deployment, clock: HeldClock
) -> None:
    """Its campaign of 90 days runs for 10: what came in these is not spread over 90."""
    brand = open_brand(deployment)
    for number, person in enumerate(cast_of(brand)):
        person.claim(number)
    begun = clock.now()
    clock.advance(days=10)
    with deployment.db.read() as tx:
        found = forecasts.measured(tx, clock.now())
        own = forecasts.measured(tx, clock.now(), campaign=brand.campaign)
    assert (found.since, found.spread_since, found.purchases) == (begun, begun, 3)
    assert forecasts.of_rates(found, 90).assumptions.claims == 27
    assert forecasts.of_rates(own, 90).assumptions.claims == 27
    clock.advance(days=100)
    with deployment.db.read() as tx:
        later = forecasts.measured(tx, clock.now())
    assert later.since == later.spread_since == clock.now() - timedelta(days=90)


def test_nobody_could_begin_before_the_first_campaign(
    deployment: Deployment, clock: HeldClock
) -> None:
    """Packages are claimed 20 days before it; a draft is no campaign yet."""
    product, batch, begun = add_product(deployment), issue(deployment), clock.now()
    actions.add_campaign(deployment, draft(slug="autumn"))
    early = Person(Brand(deployment, product, batch, Campaign()), people.email("a@example.com"))
    early.claim(0)
    clock.advance(days=20)
    with deployment.db.read() as tx:
        before = forecasts.measured(tx, clock.now())
    campaign = publish(deployment)
    late, bob = cast_of(Brand(deployment, product, batch, campaign))[:2]
    late.claim(1)
    bob.open(late.link())
    clock.advance(days=10)
    with deployment.db.read() as tx:
        found = forecasts.measured(tx, clock.now())
    assert (before.since, before.purchases) == (begun, 1)
    assert (found.since, found.spread_since) == (begun, begun + timedelta(days=20))
    assert (found.purchases, found.seeds) == (2, 1)
    said = forecasts.of_rates(found, 60).assumptions
    assert (said.claims, said.seeds) == (4, 6)
