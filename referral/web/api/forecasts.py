"""What a campaign may come to, and what its rules would have come to. It changes nothing."""

from dataclasses import asdict
from datetime import datetime
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from pydantic import Field, create_model

from referral import actions, campaigns, catalog
from referral.campaigns import UnknownCampaign
from referral.forecast import SEED_DEFAULT, Day, Interval, forecast
from referral.forecast.assumptions import Assumptions
from referral.reports import dry_run as trials
from referral.reports import forecasts
from referral.reports.dry_run import DAYS_MAX, Line, Totals
from referral.reports.spread_rates import Rate
from referral.rewards import RULES_MAX, Rule
from referral.web.api.endpoint import Output, get, post
from referral.web.api.reading import Input, Query, checked
from referral.web.context import deployment
from referral.web.problems import invalid_field

RUNS_MAX = 1_000
NODES_MAX = 5_000_000
"""How many people all runs of one answer have: it takes two or three seconds."""


class Source(StrEnum):
    """Where assumptions come from that are not said."""

    all = "all"
    """The figures of all campaigns."""
    own = "own"
    """Those of this one."""
    field = "field"
    """Field studies."""


class RatesQuery(Query):
    """Which figures."""

    of: Source = Source.own
    days: int = Field(default=forecasts.LOOK_BACK_DAYS, ge=1, le=DAYS_MAX)
    """Of how many last days."""


class RatesOut(Output):
    """How links have spread so far. What is null could not be measured."""

    since: datetime
    until: datetime
    people: int
    """Who came through somebody's link, and are old enough to have had children."""
    left_out: int
    """Those who are too young for it."""
    ripe_days: float
    """How old that is."""
    reproduction: Rate | None
    """R: how many open the link of somebody who opened one; 95 % interval."""
    dispersion: Rate | None
    """k: the smaller, the more of it comes from a few people."""
    per_seed: Rate | None
    """How many open the link of somebody who began."""
    seeds: int
    """People who began."""
    conversion: Rate | None
    """How many of those who opened a link bought and claimed."""
    wait_days: float | None
    """The median time between an opening and the next one below it."""
    wait_spread: float | None
    buying_days: float | None
    """The median time between opening a link and the first purchase."""
    buying_spread: float | None
    purchases: int
    """Claims and orders without a friend's link."""
    new_share: float | None
    """How many of those were first ones."""
    referred_share: float | None
    repeat: float | None
    """How many more packages somebody who was brought in claims in 30 days."""
    orders: float | None
    """How many of all purchases were orders."""
    order_amount: int | None


class _ForecastIn(Input):
    """What to assume. What is left out comes from one's own figures, or else from field studies."""

    rates: Source = Field(default=Source.all, strict=False)
    """Where what is left out comes from."""
    look_back: int = Field(default=forecasts.LOOK_BACK_DAYS, ge=1, le=DAYS_MAX)
    """Of how many last days one's own figures are taken."""
    runs: int = Field(default=RUNS_MAX, ge=1, le=RUNS_MAX)
    seed: int = Field(default=SEED_DEFAULT, ge=0, le=2**63 - 1)
    """The same seed gives the same figures."""


def _optional(name: str) -> tuple[Any, Any]:
    field = Assumptions.model_fields[name]
    assert field.annotation is not None
    return field.annotation | None, Field(default=None, description=field.description)


ForecastIn = create_model(
    "ForecastIn",
    __base__=_ForecastIn,
    __doc__=_ForecastIn.__doc__,
    **{name: _optional(name) for name in Assumptions.model_fields},  # type: ignore[call-overload]
)


class ForecastOut(Output):
    """What a campaign may come to. Intervals hold nine runs of ten; money is in minor units."""

    runs: int
    """Of how many runs it is made: fewer than were asked for where they have very many people."""
    seed: int
    cut: int
    """How many runs were cut off because they had too many people."""
    assumptions: Assumptions
    measured: list[str]
    """Which of them come from one's own figures."""
    currency: str | None
    reach: Interval
    """People who open a link."""
    hops: Interval
    """How far the link goes that goes furthest."""
    purchases: Interval
    new_customers: Interval
    brought_in: Interval
    """New customers whom another customer brought in."""
    paid: dict[str, Interval]
    """By unit."""
    wanted: dict[str, Interval]
    """What it would be without a budget."""
    cost: Interval
    """In money."""
    per_new_customer: Interval | None
    per_brought_in: Interval | None
    ends_early: float
    """In what share of the runs a budget runs out."""
    last_day: Interval | None
    """The day on which it does, among those."""
    by_day: list[Day]
    """How far things are at the end of each day."""


class DryRunQuery(Query):
    """Of how many days."""

    days: int | None = Field(default=None, ge=1, le=DAYS_MAX)
    """Of how many last days. Left out: 30 for a draft, all its time for another."""


class DryRunIn(Input):
    """Which rules to try."""

    rules: list[Rule] | None = Field(default=None, max_length=RULES_MAX)
    """In the place of the campaign's; left out, its own."""


class PaidOut(Output):
    """What purchases were paid."""

    by_unit: dict[str, Totals]
    by_rule: list[Line]


class DryRunOut(Output):
    """What rules would have paid, beside what was paid for the same purchases."""

    since: datetime
    until: datetime
    purchases: int
    orders: int
    """How many of them are orders of the shop."""
    first: int
    """How many are the first ones of a customer."""
    brought_in: int
    """How many of those are of customers whom somebody brought in."""
    would: PaidOut
    really: PaidOut
    """What was granted, whatever was taken back since."""
    most: dict[str, int]
    """The most that one purchase would have been paid, by unit."""
    withheld: dict[str, int]
    """How many rewards are promised and not paid, by why."""


@get("/campaigns/<slug>/rates", query=RatesQuery, answer=RatesOut, problems=[UnknownCampaign])
def get_rates(slug: str, query: RatesQuery) -> RatesOut:
    """Get how links have spread.

    R and k with their intervals, who buys, and how soon: what a forecast begins with.
    """
    now = deployment().clock.now()
    with deployment().db.read() as tx:
        campaign = campaigns.campaign_by_slug(tx, slug)
        if query.of is Source.field:
            raise invalid_field("of", "The field's figures are the defaults of a forecast.")
        of = campaign if query.of is Source.own else None
        return RatesOut(**asdict(forecasts.measured(tx, now, days=query.days, campaign=of)))


@post(
    "/campaigns/<slug>/forecast",
    body=ForecastIn,
    answer=ForecastOut,
    statuses={200: "Simulated"},
    problems=[UnknownCampaign],
)
def simulate(slug: str, body: _ForecastIn) -> ForecastOut:
    """Simulate a campaign.

    How far it may reach, whom it may bring in and what it may cost, many times over. Nothing is
    changed.
    """
    now = deployment().clock.now()
    with deployment().db.read() as tx:
        campaign = campaigns.campaign_by_slug(tx, slug)
        products = catalog.products_in(tx, campaign.gtins)
        rates = None
        if body.rates is not Source.field:
            of = campaign if body.rates is Source.own else None
            rates = forecasts.measured(tx, now, days=body.look_back, campaign=of)
        currency = forecasts.terms_of(campaign, products, {}).currency
        worth = actions.worth_of(tx, campaign.checked_rules, currency)
    begun = forecasts.beginning(campaign, products, rates)
    said = body.model_dump(exclude_none=True, include=set(Assumptions.model_fields))
    assumptions = checked(Assumptions, {**begun.assumptions.model_dump(), **said})
    terms = forecasts.terms_of(campaign, products, worth)
    rng = np.random.default_rng(body.seed)
    found = forecast(rng, assumptions, terms, body.runs, most=NODES_MAX)
    told = {name: value for name, value in vars(found).items() if name != "asked"}
    return ForecastOut(
        **told,
        seed=body.seed,
        assumptions=assumptions,
        measured=sorted(begun.measured - said.keys()),
        currency=terms.currency,
    )


@post(
    "/campaigns/<slug>/dry-run",
    body=DryRunIn,
    query=DryRunQuery,
    answer=DryRunOut,
    statuses={200: "Tried"},
    problems=[UnknownCampaign],
)
def try_rules(slug: str, body: DryRunIn, query: DryRunQuery) -> DryRunOut:
    """Try rules on purchases that were made.

    What the campaign's rules, or those that are sent, would have paid in the last days. Nothing is
    changed.
    """
    if body.rules and len({rule.id for rule in body.rules}) < len(body.rules):
        raise invalid_field("rules", "Two rules promise the same; add their amounts up instead.")
    with deployment().db.read() as tx:
        campaign = campaigns.campaign_by_slug(tx, slug)
        found = trials.of_campaign(
            tx,
            deployment().keys,
            ZoneInfo(deployment().config.timezone),
            campaign,
            deployment().clock.now(),
            days=query.days,
            rules=body.rules,
        )
    return DryRunOut.model_validate(asdict(found))
