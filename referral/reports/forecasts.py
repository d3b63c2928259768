"""Where a forecast of a campaign begins: from one's own figures, or else from the field's."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral.campaigns import Campaign
from referral.catalog import Product
from referral.claims import Claim
from referral.forecast import Terms
from referral.forecast.assumptions import DAYS_MAX, Assumptions
from referral.graph import SpreadNode
from referral.reports.spread_rates import Rates, Scope, rates
from referral.rewards import Rule
from referral.rollups import rates as kept_rates

LOOK_BACK_DAYS = 90
LARGE = 5_000
"""So many people in a spread, or claims, are gone through by the hour and not for each page."""
AUDIENCE_DEFAULT = 100_000
"""Where a measured R is 1 or more."""
NOTHING: Mapping[str, Any] = {}
_SEEDS_MAX, _CLAIMS_MAX = 1_000_000, 10_000_000


@dataclass(frozen=True)
class Beginning:
    """The assumptions that a forecast begins with."""

    assumptions: Assumptions
    measured: frozenset[str]
    """Which of them come out of one's own figures."""
    rates: Rates | None
    """Those figures; None where they were not asked for."""


def terms_of(campaign: Campaign, products: Sequence[Product], worth: Mapping[str, int]) -> Terms:
    """What a campaign promises, in the currency of its products."""
    currency = campaign.currency or (products[0].currency if products else None)
    is_for_some = bool(campaign.audience)
    return Terms(campaign.checked_rules, campaign.all_budgets, currency, worth, is_for_some)


def measured(
    tx: Session, now: datetime, *, days: int = LOOK_BACK_DAYS, campaign: Campaign | None = None
) -> Rates:
    """The rates of a campaign, or of all of the last days.

    Where there is much to be gone through, those of the default time are the ones that were kept
    when it was last done (`actions.measure_rates`): they say up to when.
    """
    if days == LOOK_BACK_DAYS and is_large(tx, campaign):
        kept = kept_rates.kept(tx, campaign.id if campaign else kept_rates.ALL)
        if kept is not None:
            return Rates.model_validate(kept.rates)
    return measured_now(tx, now, days=days, campaign=campaign)


def is_large(tx: Session, campaign: Campaign | None) -> bool:
    """Whether going through people and purchases takes longer than somebody waits for a page."""
    for model in (SpreadNode, Claim):
        some: sa.Select[Any] = sa.select(sa.literal_column("1")).select_from(model).limit(LARGE)
        if campaign is not None:
            some = some.where(model.campaign_id == campaign.id)
        if (tx.scalar(sa.select(sa.func.count()).select_from(some.subquery())) or 0) >= LARGE:
            return True
    return False


def measured_now(
    tx: Session, now: datetime, *, days: int = LOOK_BACK_DAYS, campaign: Campaign | None = None
) -> Rates:
    """The same, measured however long that takes."""
    since = now - timedelta(days=days)
    if campaign is None:
        return rates(tx, Scope(since, now))
    until = min(campaign.ends_at, now)
    return rates(
        tx, Scope(max(campaign.starts_at, until - timedelta(days=days)), until, campaign.id)
    )


def beginning(
    campaign: Campaign, products: Sequence[Product], of: Rates | None, audience: int | None = None
) -> Beginning:
    """What to assume for a campaign, unless somebody says otherwise.

    `audience` is how many customers it is for (`audiences.size`), who begin then; None for
    everybody.
    """
    by_rules = _by_rules(campaign.checked_rules, products)
    begun = of_rates(of, days_of(campaign), by_rules)
    if audience is None:
        return begun
    invited = begun.assumptions.model_copy(update={"seeds": audience})
    return replace(begun, assumptions=invited, measured=begun.measured | {"seeds"})


def of_rates(of: Rates | None, days: int, otherwise: Mapping[str, Any] = NOTHING) -> Beginning:
    """What to assume by some rates, and `otherwise` where they do not say it."""
    known = _known(of, days) if of else {}
    values: dict[str, Any] = {"days": days, **otherwise, **known}
    if values.get("reproduction", 0) >= 1:
        values["audience"] = AUDIENCE_DEFAULT
    return Beginning(Assumptions(**values), frozenset(known), of)


def days_of(campaign: Campaign) -> int:
    """How long a campaign runs, in whole days, up to what a forecast holds."""
    length = campaign.ends_at - campaign.starts_at
    return min(max(math.ceil(length / timedelta(days=1)), 1), DAYS_MAX)


def _by_rules(rules: Sequence[Rule], products: Sequence[Product]) -> dict[str, Any]:
    """Whether there are orders, and of how much."""
    of_orders = any(rule.when.of_orders and not rule.when.of_claims for rule in rules)
    if not of_orders:
        return {}
    of_claims = any(rule.when.of_claims for rule in rules)
    price = round(float(np.mean([product.price for product in products]))) if products else 0
    return {"orders": 0.5 if of_claims else 1.0, "order_amount": price}


def _known(of: Rates, days: int) -> dict[str, Any]:
    """What was measured, as a forecast takes it."""
    longer, bought_longer = days / of.spread_days, days / of.days
    found = {
        "seeds": min(round(of.seeds * longer), _SEEDS_MAX) if of.seeds else None,
        "reproduction": of.reproduction.value if of.reproduction else None,
        "per_seed": of.per_seed.value if of.per_seed else None,
        "dispersion": of.dispersion.value if of.dispersion else None,
        "conversion": of.conversion.value if of.conversion else None,
        "wait_days": of.wait_days,
        "wait_spread": of.wait_spread,
        "buying_days": of.buying_days,
        "buying_spread": of.buying_spread,
        "claims": min(round(of.purchases * bought_longer), _CLAIMS_MAX) if of.purchases else None,
        "new_share": of.new_share,
        "referred_share": of.referred_share,
        "repeat": of.repeat,
        "orders": of.orders or None,
        "order_amount": of.order_amount,
    }
    return {name: _rounded(value) for name, value in found.items() if value is not None}


def _rounded(value: float) -> float:
    """To three figures that count: no rate is known more finely."""
    return value if isinstance(value, int) else float(f"{value:.3g}")
