"""What each customer is worth and how far she has come: a row a customer, worked out in bulk.

Whoever buys writes nothing here. Every hour the rows follow of those about whom something was
written since (`changed`), every night all of them, as time alone changes some. Who has changed is
found by the numbers and times of rows, looked at once more for those that were committed late
(`LATE`). What the figures mean is said in `life`; how they are worked out here is tested against a
count without any of this.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral.batches import Batch
from referral.catalog import Product
from referral.claims import Claim
from referral.config import ValueSettings
from referral.db import lock, no_hurry, run
from referral.db.bulk import among, numbers, upsert_many
from referral.graph import Referral, SpreadNode
from referral.orders import Order, Refund
from referral.people import Customer, Merge, Visitor
from referral.rollups import life, quadrants
from referral.rollups.customer_values import NOWHERE, CustomerValue, quietly
from referral.rollups.habits import NOT_REFUNDED, habits
from referral.rollups.life import Buy, Life, Stage
from referral.rollups.measures import Measures, keep, measures
from referral.visits import ScannedCode

AT_ONCE = 5_000
"""How many customers one transaction works out."""
LATE = timedelta(hours=1)
"""So long after its time nothing is committed any more."""
_LOCK = "customer values"


def begin(tx: Session, settings: ValueSettings, now: datetime) -> Measures:
    """Measure what all customers do, and see to it that each has a row."""
    no_hurry(tx)
    lock(tx, _LOCK)
    known = measures(tx)
    made = Measures(now, now, settings, habits(tx, settings, now), marks=_marks(tx, now))
    if known is not None:  # until the lines are drawn anew
        made = replace(made, own_line=known.own_line, referral_line=known.referral_line)
    gone = sa.select(Customer.id).where(Customer.merged_into.is_not(None))
    tx.execute(quietly(sa.delete(CustomerValue).where(CustomerValue.customer_id.in_(gone))))
    _add_missing(tx, now)
    _note_scans(tx)
    return made


def highest(tx: Session) -> int:
    """The largest number of a customer."""
    return tx.scalar(sa.select(sa.func.max(Customer.id))) or 0


def work_out(
    tx: Session, made: Measures, zone: ZoneInfo, customers: range | Collection[int]
) -> int:
    """Work out rows, but for what depends on others'. Returns how many were not as they are now."""
    no_hurry(tx)
    lock(tx, _LOCK)
    which = _Which(tx, customers)
    lives = _lives(tx, which, made.settings)
    kept = {row.customer_id: row for row in tx.execute(which.of(_KEPT, CustomerValue.customer_id))}
    new_year = datetime(made.at.astimezone(zone).year, 1, 1, tzinfo=zone).astimezone(UTC)
    rows = []
    for number, known in sorted(lives.items()):
        scanned_at = kept[number].scanned_at if number in kept else None
        row = _row(number, replace(known, scanned_at=scanned_at), made, zone, new_year)
        if number not in kept or any(getattr(kept[number], n) != row[n] for n in _WORKED_OUT):
            rows.append(row)
    upsert_many(tx, CustomerValue, rows, _anew)
    return len(rows)


def finish(tx: Session, made: Measures, customers: Collection[int] | None = None) -> Measures:
    """Work out what depends on other rows, of these customers or of all; and keep what was
    measured. With all, the lines between the quadrants are drawn anew."""
    no_hurry(tx)
    lock(tx, _LOCK)
    quadrants.add_up_referrals(tx, made.settings, customers)
    if customers is None:
        own, referral = quadrants.lines(tx)
        made = replace(made, own_line=own, referral_line=referral)
    quadrants.place(tx, made, customers)
    stages, sums = quadrants.sums(tx)
    made = replace(made, stages=stages, quadrants=sums, sample=quadrants.sample(tx))
    keep(tx, made)
    return made


def changed(tx: Session, known: Measures, now: datetime) -> tuple[list[int], Measures]:
    """Those about whom something was written since values were last worked out, with who brought
    them in; and what was measured, as of now."""
    no_hurry(tx)
    since = known.at - LATE
    places = sa.select(Referral.customer_id).where(Referral.at >= since)
    orders = sa.select(Order.customer_id).where(Order.reported_at >= since)
    refunded = sa.select(Order.customer_id).join(Refund, Refund.order_id == Order.id)
    found = set(
        tx.scalars(
            sa.union(
                sa.select(Claim.customer_id).where(Claim.id > known.marks["claims"]),
                orders,
                refunded.where(Refund.id > known.marks["refunds"]),
                places,
                sa.select(Customer.id).where(Customer.created_at >= since),
            )
        )
    )
    for merge in tx.scalars(sa.select(Merge).where(Merge.id > known.marks["merges"])):
        found |= {merge.kept_id, *_above(merge)}
    found |= _referrers(tx, found)
    found &= set(_selected(tx, _CURRENT, found))
    return sorted(found), replace(known, at=now, marks=_marks(tx, now))


def forget(tx: Session, customer_id: int) -> None:
    """Drop the row of a customer who goes into another one."""
    tx.execute(quietly(sa.delete(CustomerValue).where(CustomerValue.customer_id == customer_id)))


def _marks(tx: Session, now: datetime) -> dict[str, int]:
    """The last rows that were written so long ago that all before them are committed."""
    marks = {}
    for model in (Claim, Refund, Merge):
        found = sa.select(model.id).where(model.at < now - LATE).order_by(model.id.desc())
        marks[model.__tablename__] = tx.scalar(found.limit(1)) or 0
    return marks


def _above(merge: Merge) -> set[int]:
    """Who had brought in the two who are one now."""
    places = merge.details.get("places", [])
    return {each["referrer_id"] for each in places if each.get("referrer_id") is not None}


_CURRENT = sa.select(Customer.id).where(
    among(Customer.id, "customers"), Customer.merged_into.is_(None)
)
_REFERRERS = sa.select(Referral.referrer_id).where(
    among(Referral.customer_id, "customers"), Referral.referrer_id.is_not(None)
)


def _referrers(tx: Session, customers: Iterable[int]) -> set[int]:
    return set(_selected(tx, _REFERRERS, customers))


def _selected(tx: Session, statement: sa.Executable, customers: Iterable[int]) -> Sequence[int]:
    return run(tx, statement, customers=numbers(tx, customers)).scalars().all()


# A customer's own row


class _Which:
    """Some customers: those whose numbers are in a range, or named."""

    def __init__(self, tx: Session, customers: range | Collection[int]) -> None:
        self._range = customers if isinstance(customers, range) else None
        self._named = None if self._range is not None else numbers(tx, customers)

    def of(self, statement: Any, column: Any) -> Any:
        """A statement about these customers only, by the column that names them."""
        if self._range is not None:
            return statement.where(column >= self._range.start, column < self._range.stop)
        return statement.where(among(column, "customers")).params(customers=self._named)


_WORKED_OUT = ("stage", "purchases", "first_at", "last_at", "past", "year", "potential", "brought")
_KEPT = sa.select(*CustomerValue.__table__.c)


def _anew(_old: Any, new: Any) -> dict[str, Any]:
    # Not when something was scanned: that is noted elsewhere.
    return {name: new[name] for name in (*_WORKED_OUT, "own", "at")}


def _lives(tx: Session, which: _Which, settings: ValueSettings) -> dict[int, Life]:
    """What is known of these customers, but for their scans."""
    there = which.of(sa.select(Customer.id).where(Customer.merged_into.is_(None)), Customer.id)
    buys: dict[int, list[Buy]] = {number: [] for number in tx.scalars(there)}
    found: list[Any] = []
    if settings.purchases != "orders":
        found += tx.execute(which.of(_claims(settings.currency), Claim.customer_id))
    if settings.purchases != "claims":
        found += tx.execute(which.of(_orders(settings.currency), Order.customer_id))
    for number, at, amount in sorted(found, key=lambda row: row.at):
        if number in buys:
            buys[number].append(Buy(at, amount))
    looked = set(tx.scalars(which.of(_LOOKED, Visitor.customer_id)))
    counted = which.of(_BROUGHT, Referral.referrer_id).group_by(Referral.referrer_id)
    brought = dict(tx.execute(counted).all())
    return {
        number: Life(tuple(bought), number in looked, None, brought.get(number, 0))
        for number, bought in buys.items()
    }


def _claims(currency: str) -> sa.Select[Any]:
    amount = sa.case((Product.currency == currency, Product.price), else_=0)
    return (
        sa.select(Claim.customer_id, Claim.at, amount)
        .join(Batch, Batch.id == Claim.batch_id)
        .join(Product, Product.id == Batch.product_id)
    )


def _orders(currency: str) -> sa.Select[Any]:
    amount = sa.case((Order.currency == currency, Order.amount - Order.refunded), else_=0)
    return sa.select(Order.customer_id, Order.at, amount).where(NOT_REFUNDED)


_LOOKED = (
    sa.select(Visitor.customer_id)
    .distinct()
    .join(SpreadNode, SpreadNode.visitor_id == Visitor.id)
    .where(Visitor.ran_at.is_not(None))
)
_BROUGHT = sa.select(Referral.referrer_id, sa.func.count())


def _row(
    number: int, known: Life, made: Measures, zone: ZoneInfo, new_year: datetime
) -> dict[str, Any]:
    worth = life.worth_of(known.buys, made.habits, made.settings, new_year, made.at)
    return {
        "customer_id": number,
        "stage": life.stage_of(known, zone).value,
        "quadrant": NOWHERE,
        "purchases": len(known.buys),
        "first_at": known.buys[0].at if known.buys else None,
        "last_at": known.buys[-1].at if known.buys else None,
        "past": worth.past,
        "year": worth.year,
        "potential": worth.potential,
        "own": worth.own,
        "brought": known.brought,
        "referral": 0,
        "at": made.at,
    }


_NUMBERS = ("purchases", "past", "year", "potential", "own", "brought", "referral")


def _add_missing(tx: Session, now: datetime) -> None:
    there = sa.select(CustomerValue.customer_id)
    empty = {
        "stage": Stage.discovered.value,
        "quadrant": NOWHERE,
        **dict.fromkeys(_NUMBERS, 0),
    }
    values = [sa.literal(value) for value in empty.values()]
    new = sa.select(Customer.id, *values, sa.literal(now, CustomerValue.at.type)).where(
        Customer.merged_into.is_(None), Customer.id.not_in(there)
    )
    tx.execute(sa.insert(CustomerValue).from_select(["customer_id", *empty, "at"], new))


def _note_scans(tx: Session) -> None:
    """Keep when customers last scanned a code for the first time."""
    last = (
        sa.select(Visitor.customer_id, sa.func.max(ScannedCode.first_at).label("at"))
        .join(ScannedCode, ScannedCode.visitor_id == Visitor.id)
        .where(Visitor.customer_id.is_not(None))
        .group_by(Visitor.customer_id)
        .subquery()
    )
    theirs = sa.update(CustomerValue).where(
        CustomerValue.customer_id == last.c.customer_id,
        CustomerValue.scanned_at.is_distinct_from(last.c.at),
    )
    tx.execute(quietly(theirs.values(scanned_at=last.c.at)))
