"""All that a campaign's page says of its spread: the rates, the shape, and who brings people in.

Going through a large spread takes longer than somebody waits for a page: those are measured by the
hour (`actions.measure_rates`), and the page says up to when.
"""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict
from sqlalchemy.orm import Session

from referral.campaigns import Campaign
from referral.reports import forecasts, shape, sharers
from referral.reports.shape import Shape
from referral.reports.sharers import Sharer
from referral.reports.spread_rates import Rates
from referral.rollups import rates as kept_rates


class SpreadFigures(BaseModel):
    """What was found at a moment."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    at: datetime
    rates: Rates
    shape: Shape
    sharers: list[Sharer]
    """Those through whom most people bought."""


def figures(tx: Session, campaign: Campaign, now: datetime) -> SpreadFigures | None:
    """Of a campaign since it began; None where there is much and nobody has measured it yet."""
    if not forecasts.is_large(tx, campaign):
        return measured_now(tx, campaign, now)
    kept = kept_rates.kept(tx, campaign.id)
    if kept is None or "shape" not in kept.rates:
        return None
    rates = Rates.model_validate(kept.rates)
    more = {name: kept.rates[name] for name in ("shape", "sharers")}
    return SpreadFigures.model_validate({"at": kept.at, "rates": rates, **more})


def measured_now(tx: Session, campaign: Campaign, now: datetime) -> SpreadFigures:
    """The same, however long that takes."""
    rates = forecasts.measured_now(tx, now, campaign=campaign)
    return SpreadFigures(
        at=now,
        rates=rates,
        shape=shape.measure(tx, campaign.id, now, rates.ripe_days),
        sharers=sharers.top(tx, campaign.id),
    )


def as_kept(found: SpreadFigures) -> dict[str, Any]:
    """As it is kept: the rates as they always were, and the rest beside them."""
    told = found.model_dump(mode="json")
    return {**told["rates"], "shape": told["shape"], "sharers": told["sharers"]}
