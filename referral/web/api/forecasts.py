"""What a campaign may come to, and what its rules would have come to. It changes nothing."""

from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from pydantic import Field, create_model

from referral import actions, campaigns, catalog
from referral.campaigns import UnknownCampaign
from referral.forecast import SEED_DEFAULT, Forecast, forecast
from referral.forecast.assumptions import Assumptions
from referral.reports import audiences, forecasts
from referral.reports import dry_run as trials
from referral.reports.dry_run import DAYS_MAX, DryRun
from referral.reports.spread_rates import Rates
from referral.rewards import RULES_MAX, Rule
from referral.segments import UnknownSegment
from referral.web.api.endpoint import get, post
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


class ForecastOut(Forecast):
    """What a campaign may come to. Intervals hold nine runs of ten; money is in minor units."""

    seed: int
    assumptions: Assumptions
    measured: list[str]
    """Which of them come from one's own figures."""
    currency: str | None


class DryRunQuery(Query):
    """Of how many days."""

    days: int | None = Field(default=None, ge=1, le=DAYS_MAX)
    """Of how many last days. Left out: 30 for a draft, all its time for another."""


class DryRunIn(Input):
    """Which rules to try."""

    rules: list[Rule] | None = Field(default=None, max_length=RULES_MAX)
    """In the place of the campaign's; left out, its own."""


@get("/campaigns/<slug>/rates", query=RatesQuery, answer=Rates, problems=[UnknownCampaign])
def get_rates(slug: str, query: RatesQuery) -> Rates:
    """Get how links have spread.

    R and k with their intervals, who buys, and how soon: what a forecast begins with.
    """
    now = deployment().clock.now()
    with deployment().db.read() as tx:
        campaign = campaigns.campaign_by_slug(tx, slug)
        if query.of is Source.field:
            raise invalid_field("of", "The field's figures are the defaults of a forecast.")
        of = campaign if query.of is Source.own else None
        return forecasts.measured(tx, now, days=query.days, campaign=of)


@post(
    "/campaigns/<slug>/forecast",
    body=ForecastIn,
    answer=ForecastOut,
    statuses={200: "Simulated"},
    problems=[UnknownCampaign, UnknownSegment],
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
        whom = audiences.size(tx, campaign, now)
    begun = forecasts.beginning(campaign, products, rates, whom)
    said = body.model_dump(exclude_none=True, include=set(Assumptions.model_fields))
    assumptions = checked(Assumptions, {**begun.assumptions.model_dump(), **said})
    terms = forecasts.terms_of(campaign, products, worth)
    rng = np.random.default_rng(body.seed)
    found = forecast(rng, assumptions, terms, body.runs, most=NODES_MAX)
    return ForecastOut(
        **dict(found),
        seed=body.seed,
        assumptions=assumptions,
        measured=sorted(begun.measured - said.keys()),
        currency=terms.currency,
    )


@post(
    "/campaigns/<slug>/dry-run",
    body=DryRunIn,
    query=DryRunQuery,
    answer=DryRun,
    statuses={200: "Tried"},
    problems=[UnknownCampaign, UnknownSegment],
)
def try_rules(slug: str, body: DryRunIn, query: DryRunQuery) -> DryRun:
    """Try rules on purchases that were made.

    What the campaign's rules, or those that are sent, would have paid in the last days. Nothing is
    changed.
    """
    if body.rules and len({rule.id for rule in body.rules}) < len(body.rules):
        raise invalid_field("rules", "Two rules promise the same; add their amounts up instead.")
    with deployment().db.read() as tx:
        campaign = campaigns.campaign_by_slug(tx, slug)
        return trials.of_campaign(
            tx,
            deployment().keys,
            ZoneInfo(deployment().config.timezone),
            campaign,
            deployment().clock.now(),
            days=query.days,
            rules=body.rules,
        )
