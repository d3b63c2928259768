"""Budgets over time, and the day they will be spent.

The forecast takes the whole days of the last `LOOK_BACK`, and how much net of what came back was
spent on each. If these days are alike, what t more days spend has the mean m·t and the variance
s²·t + s²·t²/n: by chance from day to day, and because n days know the mean only so well. The budget
ends when that reaches what is left: at m·t, and with `SHARE` probability between the days on which
m·t plus and minus z times the root reaches it. With fewer than `DAYS_LEAST` days, or where nothing
was spent, nothing is said.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from statistics import fmean, stdev

import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral.campaigns import Campaign, CampaignState
from referral.ledger import Account, Kind
from referral.reports.lists import PAGE, Listed, listed
from referral.reports.money_sums import Sums
from referral.rollups.money import Moved

LOOK_BACK = 28
DAYS_LEAST = 5
LATELY = 7
SHARE = 0.8
Z = 1.2816
"""A normal variable is within so many deviations with `SHARE` probability."""
DAYS_MAX = 3_650
"""What lasts longer lasts for good, as far as anybody can say."""
PUT_UP = "budget"
"""What the ledger says of an entry that puts up a budget."""


@dataclass(frozen=True)
class Forecast:
    """In how many days from today a budget ends."""

    days: float
    soonest: float
    latest: float | None
    """None where it may as well last."""
    a_day: float
    """What is spent on a day."""
    of_days: int
    """From so many days."""


def forecast(left: int, spent: Sequence[int]) -> Forecast | None:
    """When what is left is spent, after what was spent on each of the last days; None where that
    cannot be said."""
    days = spent[-LOOK_BACK:]
    if len(days) < DAYS_LEAST or left <= 0:
        return None
    mean = fmean(days)
    if mean <= 0:
        return None
    spread = stdev(days)
    middle = left / mean
    if middle > DAYS_MAX:
        return None
    soonest = _reaches(left, mean, spread, len(days), Z)
    latest = _reaches(left, mean, spread, len(days), -Z)
    return Forecast(
        middle,
        soonest if soonest is not None else 0.0,
        latest if latest is not None and latest <= DAYS_MAX else None,
        mean,
        len(days),
    )


def _reaches(left: float, mean: float, spread: float, n: int, z: float) -> float | None:
    """The first t with m·t + z·s·√(t + t²/n) = left; None where it is never reached.

    Squared it is a quadratic in t, of whose roots those count at which z has the right sign.
    """
    if spread == 0:
        return left / mean
    a = mean * mean - (z * spread) ** 2 / n
    b = -(2 * mean * left + (z * spread) ** 2)
    c = float(left) * left
    inside = b * b - 4 * a * c
    if inside < 0:
        return None
    root = math.sqrt(inside)
    # The stable form: one of the roots may be lost to rounding otherwise.
    q = -(b - root) / 2 if b < 0 else -(b + root) / 2
    roots = [q / a] if a else []
    if q:
        roots.append(c / q)
    good = [t for t in roots if t > 0 and (left - mean * t) * z >= -1e-9 * left]
    return min(good, default=None)


@dataclass(frozen=True)
class BudgetLine:
    """A campaign's budget of one unit."""

    campaign: Campaign
    unit: str
    put_up: int
    left: int
    spent_lately: int
    """In the last `LATELY` days before today, net of what came back."""
    forecast: Forecast | None

    @property
    def share_left(self) -> float:
        return self.left / self.put_up if self.put_up > 0 else 0.0


def budgets(tx: Session, sums: Sums, *, offset: int = 0, limit: int = PAGE) -> Listed[BudgetLine]:
    """The budgets of the campaigns that were published, newest first."""
    found = tx.scalars(
        sa.select(Campaign)
        .where(Campaign.state == CampaignState.published)
        .order_by(Campaign.id.desc())
        .offset(offset)
        .limit(limit + 1)
    ).all()
    page = listed(found, offset, limit)
    return Listed(_lines(tx, sums, page.rows), page.next)


def of_campaign(tx: Session, sums: Sums, campaign: Campaign) -> list[BudgetLine]:
    return _lines(tx, sums, [campaign])


def _lines(tx: Session, sums: Sums, campaigns: Sequence[Campaign]) -> list[BudgetLine]:
    ids = [campaign.id for campaign in campaigns]
    rows = tx.execute(
        sa.select(Account.owner, Account.unit, sa.func.sum(Account.balance))
        .where(Account.kind == Kind.budget, Account.owner.in_(ids))
        .group_by(Account.owner, Account.unit)
        .order_by(Account.owner, Account.unit)
    ).all()
    put_up = sums.moved(("owner", "unit", "what"), kinds=[Kind.budget], owners=ids)
    today = _today(sums)
    moved = sums.moved(
        ("owner", "unit", "day", "what"),
        kinds=[Kind.budget],
        owners=ids,
        first=today - timedelta(days=LOOK_BACK),
        last=today,
    )
    lines = []
    for campaign in campaigns:
        for owner, unit, held in rows:
            if owner != campaign.id:
                continue
            spent: Counter[date] = Counter()
            for (whose, of, day, what), each in moved.items():
                if (whose, of) == (owner, unit) and what != PUT_UP:
                    spent[day] -= each.net
            days = _whole_days(spent, campaign, sums)
            funded = put_up.get((owner, unit, PUT_UP), Moved())
            lines.append(
                BudgetLine(
                    campaign,
                    unit,
                    funded.plus,
                    int(held),
                    sum(spent[today - timedelta(days=n)] for n in range(1, LATELY + 1)),
                    forecast(int(held), days) if _is_running(campaign, sums) else None,
                )
            )
    return lines


def _is_running(campaign: Campaign, sums: Sums) -> bool:
    return campaign.starts_at <= sums.now < campaign.ends_at


def _today(sums: Sums) -> date:
    return sums.now.astimezone(sums.zone).date()


def _whole_days(spent: Mapping[date, int], campaign: Campaign, sums: Sums) -> list[int]:
    """What was spent on each of the last whole days in which the campaign ran, earliest first."""
    today = _today(sums)
    begun = campaign.starts_at.astimezone(sums.zone).date()
    # The day on which it begins is not a whole one.
    first = max(today - timedelta(days=LOOK_BACK), begun + timedelta(days=1))
    return [spent.get(first + timedelta(days=n), 0) for n in range((today - first).days)]


@dataclass(frozen=True)
class Day:
    """A budget on one day: what was spent net of what came back, and what was left at its end."""

    day: date
    put_up: int
    spent: int
    left: int


def days(sums: Sums, campaign_id: int, unit: str) -> list[Day]:
    """Every day from the first entry to today, those without any among them."""
    moved = sums.moved(("day", "what"), kinds=[Kind.budget], owners=[campaign_id], unit=unit)
    put_up: Counter[date] = Counter()
    spent: Counter[date] = Counter()
    for (day, what), each in moved.items():
        if what == PUT_UP:
            put_up[day] += each.net
        else:
            spent[day] -= each.net
    every = {*put_up, *spent}
    if not every:
        return []
    first, last = min(every), max(_today(sums), *every)
    found, left = [], 0
    for n in range((last - first).days + 1):
        day = first + timedelta(days=n)
        left += put_up[day] - spent[day]
        found.append(Day(day, put_up[day], spent[day], left))
    return found
