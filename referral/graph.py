"""The graphs: the referral tree of customers, and with it the spread of visitors (`spread`)."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from referral import people
from referral.db import Base, run
from referral.db.round_trips import Answer, Ask, ask, in_one_trip
from referral.errors import Unavailable
from referral.spread import (
    SpreadNode,
    Step,
    attach,
    hop_of,
    path_up,
    step_of,
    touches_of,
)

__all__ = [
    "Referral",
    "SpreadNode",
    "Step",
    "TouchOutcome",
    "asking_nearest",
    "asking_place",
    "asking_to_settle",
    "attach",
    "hop_of",
    "is_settled",
    "merge",
    "nearest",
    "path_up",
    "referrer_held",
    "referrer_of",
    "referrers_above",
    "settle",
    "step_of",
    "touches_of",
]

SETTLE_TRIES_MAX = 10
"""How often the end of a chain may move while we wait for its lock."""


class TouchOutcome(StrEnum):
    """What became of an opening that was considered when a referrer was settled."""

    credited = "credited"
    too_old = "too_old"
    nobody = "nobody"
    """Nobody up its path is a customer."""
    came_later = "came_later"
    """The campaign credits the first touch."""
    came_earlier = "came_earlier"
    """The campaign credits the last touch."""
    other_campaign = "other_campaign"
    """A link of another campaign was opened before."""
    below = "below"
    """Whoever is up its path was brought in by this customer."""


class Referral(Base):
    """A customer's place in the referral tree, settled at the first proof of purchase."""

    __tablename__ = "referrals"

    customer_id: Mapped[int] = mapped_column(
        sa.ForeignKey("customers.id"), primary_key=True, autoincrement=False
    )
    referrer_id: Mapped[int | None] = mapped_column(sa.ForeignKey("customers.id"))
    """None for a customer nobody brought in."""
    event: Mapped[str] = mapped_column(sa.String(60))
    """The first proof of purchase, e.g. ``claim:17``."""
    campaign_id: Mapped[int | None] = mapped_column(sa.ForeignKey("campaigns.id"))
    why: Mapped[dict[str, Any]]
    """Path, rule and touches considered, as `actions` found them: see `reports.referrals`."""
    at: Mapped[datetime] = mapped_column(index=True)

    __table_args__ = (
        sa.CheckConstraint("referrer_id <> customer_id", name="not_own_referrer"),
        sa.Index(None, "referrer_id", "at"),
        sa.Index(None, "campaign_id", "at"),
    )

    @property
    def link_campaign_id(self) -> int | None:
        """The campaign of the link that brought the customer in; None where there was none, and
        where it was not kept."""
        return self.why.get("campaign")


_PLACE = sa.select(Referral.referrer_id, Referral.event).where(
    Referral.customer_id == sa.bindparam("customer")
)


def is_settled(tx: Session, customer: int) -> bool:
    """Whether a customer has had a first proof of purchase."""
    return run(tx, _PLACE, customer=customer).one_or_none() is not None


def asking_place(customer: int) -> Ask:
    """A row of `referrer_id` and `event`, once there has been a first proof of purchase."""
    return ask(_PLACE, customer=customer)


def referrer_of(tx: Session, customer: int) -> int | None:
    """Who brought a customer in; None for nobody, and before the first proof of purchase."""
    referrer: int | None = run(tx, _PLACE, customer=customer).scalar()
    return referrer


def referrers_above(tx: Session, customer: int, most: int) -> list[int]:
    """Who brought a customer in, who brought in that one, and so on: so many of them at most."""
    return list(run(tx, _NEAREST_FIRST, customer=customer, most=most).scalars())


def referrer_held(tx: Session, customer: int) -> int | None:
    """The same, kept from being merged until the end of the transaction: for whoever pays her."""
    referrer = referrer_of(tx, customer)
    return None if referrer is None else people.hold(tx, referrer)


_COUNT = (
    sa.select(sa.func.count())
    .select_from(Referral)
    .where(Referral.referrer_id == sa.bindparam("referrer"))
)


def referral_count(tx: Session, referrer: int) -> int:
    """How many customers somebody brought in."""
    return int(run(tx, _COUNT, referrer=referrer).scalar_one())


def asking_nearest(candidates: Sequence[int]) -> list[Ask]:
    """What `nearest` has to know of the first of these."""
    return [
        each
        for candidate in candidates[:1]
        for each in (people.asking_hold(candidate), ask(_CHAIN_UP, customer=candidate))
    ]


def nearest(
    tx: Session, customer: int, candidates: Sequence[int], known: Sequence[Answer] = ()
) -> int | None:
    """The first candidate who may have brought `customer` in: one who is not below the customer.

    Call it in the transaction that settles the customer's place. Until its end the one who is found
    is not merged into anybody. `known` is what `asking_nearest` was answered in this transaction.
    """
    for candidate in candidates:
        held, chain = known or in_one_trip(tx, *asking_nearest([candidate]))
        known = ()
        is_there = held.first is not None and held.first.merged_into is None
        referrer = candidate if is_there else people.hold(tx, candidate)
        up = chain if referrer == candidate else None
        if referrer != customer and _may_refer(tx, referrer, customer, up):
            return referrer
    return None


def settle(tx: Session, customer: int, referrer: int | None, **said: Any) -> None:
    """Does what `asking_to_settle` asks."""
    in_one_trip(tx, asking_to_settle(customer, referrer, **said))


def asking_to_settle(
    customer: int,
    referrer: int | None,
    *,
    event: str,
    campaign_id: int | None,
    why: dict[str, Any],
    now: datetime,
) -> Ask:
    """Fixes who brought a customer in, in the transaction of the first proof of purchase.

    `referrer` is what `nearest` found in the same transaction.
    """
    row = {"customer_id": customer, "referrer_id": referrer, "campaign_id": campaign_id}
    return ask(_SETTLE, **row, event=event, why=why, at=now)


_SETTLE = sa.insert(Referral.__table__)  # type: ignore[arg-type]


def _may_refer(tx: Session, candidate: int, customer: int, up: Answer | None) -> bool:
    """Whether the tree stays a tree with `candidate` above `customer`.

    A chain of referrers ends in somebody who is not settled yet, or at a root. Only the first kind
    can close a circle, in this transaction or in one that runs beside it; so the one at the end is
    locked (`customer` is locked by the claim) and the chain walked again until it holds. A merge
    that brings a root below somebody does the same with the end of the chain it is brought to.
    """
    return _held_end(tx, candidate, {customer}, up) not in {None, customer}


def _held_end(tx: Session, start: int, own: set[int], up: Answer | None = None) -> int | None:
    """The end of the chain above somebody, which is locked unless it is a root or among one's own.

    None when it moves too often. `up` is the chain as it was found in this transaction.
    """
    locked: set[int] = set()
    if up is None:
        [up] = in_one_trip(tx, ask(_CHAIN_UP, customer=start))
    for _ in range(SETTLE_TRIES_MAX):
        end, is_root = _chain_end(up, start)
        if is_root or end in locked or end in own:
            return end
        lock, up = in_one_trip(tx, people.asking_lock(end), ask(_CHAIN_UP, customer=start))
        if lock.first is None or lock.first.merged_into is not None:
            people.lock_customer(tx, end)
            [up] = in_one_trip(tx, ask(_CHAIN_UP, customer=start))
        locked.add(end)
    return None


def _chain() -> sa.CTE:
    above = sa.orm.aliased(Referral)
    chain = (
        sa.select(Referral.customer_id, Referral.referrer_id, sa.literal(1).label("steps"))
        .where(Referral.customer_id == sa.bindparam("customer"))
        .cte("chain", recursive=True)
    )
    return chain.union_all(
        sa.select(above.customer_id, above.referrer_id, chain.c.steps + 1).join(
            chain, above.customer_id == chain.c.referrer_id
        )
    )


_CHAIN = _chain().c
_CHAIN_UP = sa.select(_CHAIN.customer_id, _CHAIN.referrer_id).order_by(_CHAIN.steps.desc()).limit(1)
_ALL_ABOVE = sa.select(_CHAIN.referrer_id)
_NEAREST_FIRST = (
    sa.select(_CHAIN.referrer_id)
    .where(_CHAIN.referrer_id.is_not(None))
    .order_by(_CHAIN.steps)
    .limit(sa.bindparam("most"))
)


def _chain_end(up: Answer, start: int) -> tuple[int, bool]:
    """The last customer on the way up from `start`, and whether that one is settled as a root."""
    last = up.first
    if last is None:
        return start, False
    return (last.customer_id, True) if last.referrer_id is None else (last.referrer_id, False)


# Merging: two places become one


def merge(tx: Session, gone: int, kept: int) -> list[dict[str, Any]]:
    """Give one customer the other's friends, and the two of them one place.

    If one is above the other, it is the upper one's place; else the one that was settled earlier.
    The tree stays a tree, whatever claims run beside this. Both are held by `people.hold_pair`.
    Returns the places as they were.
    """
    places = _places(tx, gone, kept)
    before = [_kept_of(place) for place in places.values()]
    final = _final(tx, gone, kept, places)
    for place in places.values():
        tx.expunge(place)
    run(tx, _GIVE_UP, customers=[gone, kept])
    if final is not None:
        run(tx, _SETTLE, **{**final, "customer_id": kept})
    run(tx, _FOLLOW, gone=gone, kept=kept)
    return before


_COLUMNS = ("customer_id", "referrer_id", "event", "campaign_id", "why", "at")
_GIVE_UP = sa.delete(Referral).where(
    Referral.customer_id.in_(sa.bindparam("customers", expanding=True))
)
_FOLLOW = (
    sa.update(Referral)
    .where(Referral.referrer_id == sa.bindparam("gone"))
    .values(referrer_id=sa.bindparam("kept"))
)


def _places(tx: Session, *customers: int) -> dict[int, Referral]:
    found = sa.select(Referral).where(Referral.customer_id.in_(customers))
    return {place.customer_id: place for place in tx.scalars(found)}


def _columns(place: Referral) -> dict[str, Any]:
    return {name: getattr(place, name) for name in _COLUMNS}


def _kept_of(place: Referral) -> dict[str, Any]:
    """A place, as it is written down when it is given up."""
    return {**_columns(place), "at": place.at.isoformat()}


def _final(tx: Session, gone: int, kept: int, places: dict[int, Referral]) -> dict[str, Any] | None:
    """The place that the two have from now on; None for none yet.

    The friends of the one whose place it is not come below whoever is above it. Who is at the end
    of that chain may just be settling a place below them, so that one is waited for.
    """
    if not places:
        return None
    chosen = min(places.values(), key=lambda place: (place.at, place.event)).customer_id
    end = _held_end(tx, chosen, {gone, kept})
    if end is None:
        raise Unavailable()
    for upper, lower in ((gone, kept), (kept, gone)):
        if upper in _all_above(tx, lower):
            if upper in places:
                return _columns(places[upper])
            # Bought something as the lower one, whom the upper one had brought in: nobody else.
            return {
                **_columns(places[lower]),
                "referrer_id": None,
                "why": _by_nobody(places[lower]),
            }
    return _columns(places[chosen])


def _all_above(tx: Session, customer: int) -> set[int | None]:
    return set(run(tx, _ALL_ABOVE, customer=customer).scalars())


def _by_nobody(place: Referral) -> dict[str, Any]:
    touches = [
        {**touch, "customer": None, "outcome": TouchOutcome.nobody}
        if touch.get("outcome") == TouchOutcome.credited
        else touch
        for touch in place.why.get("touches", [])
    ]
    return {**place.why, "rule": "nobody", "path": [], "touches": touches}
