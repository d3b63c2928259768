"""Why a customer was credited to somebody, as it was written down when that was settled."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from referral.campaigns import CreditedTouch
from referral.graph import Referral

_OLD_RULE = "first touch, nearest customer"
IN_TIME = "in_time"
"""The outcome of a touch of which no more was kept than that it was."""


@dataclass(frozen=True)
class Touch:
    """Somebody's link that the customer had opened, and what became of it."""

    campaign_id: int
    at: datetime
    customer_id: int | None
    """The nearest customer up its path."""
    outcome: str
    """A `graph.TouchOutcome`; `IN_TIME` where no more was kept."""
    window_days: int | None
    """How long the campaign lets a link count, where that was kept."""


@dataclass(frozen=True)
class Reasons:
    """How a customer's referrer was found."""

    rule: CreditedTouch | None
    """Which touch the campaign credits; None when no touch led to anybody."""
    path: list[int | None]
    """Customers and, as None, visitors who were nobody's yet, from the referrer down to whose link
    the customer opened."""
    touches: list[Touch]
    """In the order in which the links were opened."""

    @property
    def passed_over(self) -> list[int]:
        """Customers on the path who are nearer, and whom this customer had brought in."""
        return [customer for customer in self.path[1:] if customer is not None]

    @property
    def anonymous(self) -> int:
        """How many people on the path were nobody's yet."""
        return self.path.count(None)

    @property
    def customers(self) -> Iterable[int]:
        """Everybody who is mentioned."""
        yield from (step for step in self.path if step is not None)
        yield from (touch.customer_id for touch in self.touches if touch.customer_id is not None)


def mentioned(referral: Referral) -> set[int]:
    """The numbers of all customers in what was kept, as they were then."""
    found = [step.get("customer") for step in referral.why.get("path", [])]
    found += [touch.get("customer") for touch in referral.why.get("touches", [])]
    return {each for each in found if each is not None}


def reasons(referral: Referral, now: Mapping[int, int] | None = None) -> Reasons:
    """What was kept of how a customer's referrer was found.

    `now` tells whom those who are `mentioned` stand for, where they have been merged since.
    """
    kept = _of_today(referral.why, now or {})
    rule = kept.get("rule", "")
    return Reasons(
        CreditedTouch.first if rule == _OLD_RULE else CreditedTouch.__members__.get(rule),
        _path(kept, referral.referrer_id),
        [_touch(touch) for touch in kept.get("touches", [])],
    )


def _of_today(kept: dict[str, Any], now: Mapping[int, int]) -> dict[str, Any]:
    def renamed(each: dict[str, Any]) -> dict[str, Any]:
        return {**each, "customer": now.get(each["customer"], each["customer"])}

    lists = {
        name: [renamed(each) if each.get("customer") else each for each in kept.get(name, [])]
        for name in ("path", "touches")
    }
    return {**kept, **lists}


def _path(kept: dict[str, Any], referrer: int | None) -> list[int | None]:
    if referrer is None:
        return []
    path: list[int | None] = [step.get("customer") for step in kept.get("path", [])]
    if referrer in path:
        path = path[: path.index(referrer)]  # whoever is above the referrer had no part in it
    return [referrer, *reversed(path)]


def _touch(kept: dict[str, Any]) -> Touch:
    outcome = kept.get("outcome") or (IN_TIME if kept.get("in_window") else "too_old")
    at = datetime.fromisoformat(kept["at"])
    return Touch(kept["campaign"], at, kept.get("customer"), outcome, kept.get("window_days"))
