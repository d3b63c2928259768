"""Who brought a customer in: the nearest customer up the path of the touch that counts, and why."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from referral.actions.knowing import Known
from referral.campaigns import Campaign, CreditedTouch
from referral.graph import Step, TouchOutcome
from referral.links import Touch, visitor_name
from referral.spread import Reached

SAME_SECONDS = timedelta(seconds=2)
"""A cookie keeps whole seconds: touches of one link this near to each other are one."""


@dataclass(frozen=True)
class Way:
    """Somebody's link that a customer opened in a campaign."""

    at: datetime
    campaign: int
    sharer: int
    """The visitor whose link it was."""
    below: int | None = None
    """The customer's own visitor that the spread has right below the sharer; None where it has
    none there, because that visitor's place was taken before."""
    in_link: int | None = None
    """Whom the link says to credit, for a path that has not wholly arrived yet."""

    def is_same(self, other: "Way") -> bool:
        is_same_link = (self.campaign, self.sharer) == (other.campaign, other.sharer)
        return is_same_link and abs(self.at - other.at) <= SAME_SECONDS


@dataclass(frozen=True)
class Considered:
    """A way in, with the visitors and customers up its path."""

    way: Way
    path: list[Step]
    candidates: list[int]
    """The customers up the path but for the one who is brought in, nearest first."""
    in_window: bool

    @property
    def counts(self) -> bool:
        return self.in_window and bool(self.candidates)


@dataclass(frozen=True)
class Credit:
    """Who may be credited for a customer, best first, and why."""

    considered: list[Considered]
    """In the order in which they were looked at: the first that counts is taken."""
    rules: dict[int, Campaign]

    @property
    def taken(self) -> Considered | None:
        return next((each for each in self.considered if each.counts), None)

    @property
    def candidates(self) -> list[int]:
        return self.taken.candidates if self.taken else []

    @property
    def campaign_id(self) -> int | None:
        return self.taken.way.campaign if self.taken else None

    def why(self, referrer: int | None) -> dict[str, Any]:
        """What is kept of it, for staff and for the customer: see `reports.referrals`."""
        taken = self.taken
        campaign = self.rules[taken.way.campaign] if taken else None
        return {
            "campaign": self.campaign_id,
            "rule": campaign.touch if campaign else "nobody",
            "path": [
                {"visitor": visitor_name(step.visitor), "customer": step.customer}
                for step in (taken.path if taken else [])
            ],
            "touches": [
                {
                    "campaign": each.way.campaign,
                    "at": each.way.at.isoformat(),
                    "sharer": visitor_name(each.way.sharer),
                    "customer": next(iter(each.candidates), None),
                    "outcome": self._outcome(each, taken, referrer),
                    "window_days": self.rules[each.way.campaign].window_days,
                }
                for each in sorted(self.considered, key=lambda each: each.way.at)
            ],
        }

    def _outcome(
        self, each: Considered, taken: Considered | None, referrer: int | None
    ) -> TouchOutcome:
        if not each.in_window:
            return TouchOutcome.too_old
        if taken is None or not each.candidates:
            return TouchOutcome.nobody
        if each is taken:
            return TouchOutcome.below if referrer is None else TouchOutcome.credited
        if each.way.campaign != taken.way.campaign:
            return TouchOutcome.other_campaign
        return TouchOutcome.came_later if taken.way.at <= each.way.at else TouchOutcome.came_earlier


def credit(
    tx: Session,
    known: Known,
    touches: Sequence[Touch],
    reached: Reached,
    at: datetime,
    now: datetime,
) -> Credit:
    """Who may be credited for a purchase made `at` a moment, by the spread and the cookie.

    An order may be reported late: what the customer opened after it did not lead to it. Of a
    purchase made `now` everything came before, also what lies ahead since the clock was set back.
    Within a campaign its own choice decides, the first or the last touch; between campaigns the
    one whose touch is the earlier.
    """
    rules: dict[int, Campaign] = {}
    by_campaign: dict[int, list[Considered]] = {}
    is_late = now - at > SAME_SECONDS
    for way in _ways_in(reached, touches):
        if is_late and way.at - at > SAME_SECONDS:
            continue
        campaign = rules.get(way.campaign) or known.terms.by_id(way.campaign)
        if campaign is not None:
            rules[way.campaign] = campaign
            in_window = at - way.at <= campaign.window
            found = _consider(tx, way, reached, known.customer, in_window=in_window)
            by_campaign.setdefault(way.campaign, []).append(found)
    for campaign_id, found_in in by_campaign.items():
        is_last = rules[campaign_id].touch == CreditedTouch.last
        found_in.sort(key=lambda each: each.way.at, reverse=is_last)
    ordered = sorted(by_campaign.values(), key=_first_that_counts)
    return Credit([each for found_in in ordered for each in found_in], rules)


def _first_that_counts(found: Sequence[Considered]) -> tuple[bool, datetime, int]:
    way = next((each for each in found if each.counts), found[0])
    return not way.counts, way.way.at, way.way.campaign


def _consider(
    tx: Session, way: Way, reached: Reached, customer_id: int, *, in_window: bool
) -> Considered:
    if way.below is not None:
        path = reached.above(tx, way.campaign, way.below)
    else:
        path = reached.from_(tx, way.campaign, way.sharer)
    above = [*(step.customer for step in path), way.in_link]
    candidates = list(dict.fromkeys(each for each in above if each and each != customer_id))
    return Considered(way, path, candidates, in_window)


def _ways_in(reached: Reached, touches: Sequence[Touch]) -> list[Way]:
    """How a customer was reached, as far as the spread and the browser's cookie know."""
    ways = [
        Way(touch.at, touch.link.campaign, touch.link.visitor, None, touch.link.customer)
        for touch in touches
    ]
    for node in reached.touches:
        for way in _kept(node):
            same = next((each for each in ways if each.is_same(way)), None)
            if same is None:
                ways.append(way)
            else:
                ways[ways.index(same)] = replace(way, in_link=same.in_link)
    return ways


def _kept(node: Any) -> list[Way]:
    """The first and the last touch of a visitor, as the spread has them."""
    ways = []
    if node.touched_by is not None:
        below = node.visitor_id if node.parent_id == node.touched_by else None
        ways.append(Way(node.at, node.campaign_id, node.touched_by, below))
    if node.last_by is not None and node.last_at is not None:
        last = Way(node.last_at, node.campaign_id, node.last_by)
        if not any(last.is_same(way) for way in ways):
            ways.append(last)
    return ways
