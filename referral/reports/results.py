"""What a campaign brought and what that cost: new customers, who brought them in, and the price of
one."""

from dataclasses import dataclass

from sqlalchemy.orm import Session

from referral.campaigns import Campaign
from referral.reports import funnel
from referral.reports.funnel import Span
from referral.reports.spread_rates import Rate, share
from referral.rewards import POINT_VALUE
from referral.rollups import tallies


@dataclass(frozen=True)
class Cost:
    """What was granted of one unit, less what was taken back."""

    unit: str
    granted: int
    reversed: int
    money: int | None
    """What the difference is worth, in minor units of the campaign's currency; None where nobody
    said what one is worth."""

    @property
    def net(self) -> int:
        return self.granted - self.reversed


@dataclass(frozen=True)
class Results:
    """Of some days."""

    new: int
    """Customers whose first purchase fell to the campaign."""
    brought_in: int
    """Those of them whom another customer brought in."""
    costs: list[Cost]

    @property
    def share(self) -> Rate | None:
        """How many of the new ones were brought in by old ones; None without new ones."""
        return share(self.brought_in, self.new) if self.new else None

    @property
    def money(self) -> int | None:
        """What it cost in all; None where some of it has no worth in money."""
        each = [cost.money for cost in self.costs]
        known = [money for money in each if money is not None]
        return sum(known) if len(known) == len(each) else None

    @property
    def per_new(self) -> float | None:
        """What one new customer cost, in minor units."""
        return self.money / self.new if self.new and self.money is not None else None


def results(tx: Session, campaign: Campaign, span: Span) -> Results:
    new = tallies.newcomers_between(tx, campaign.id, span.since, span.until)
    costs = [
        Cost(unit, out, back, _money(campaign, unit, out - back))
        for unit, (out, back) in funnel.granted(tx, campaign.id, span).items()
    ]
    return Results(new.all, new.referred, costs)


def _money(campaign: Campaign, unit: str, amount: int) -> int | None:
    if unit == "points":
        return amount * POINT_VALUE
    if unit == campaign.currency:
        return amount
    worth = (campaign.worth or {}).get(unit)
    return None if worth is None else amount * int(worth)
