"""What each customer is worth and how far she has come: a row a customer, worked out in bulk.

Whoever buys writes nothing here. Every hour the rows follow of those about whom something was
written since (`changed`), every night all of them, as time alone changes some. Who has changed is
found by the numbers and times of rows, looked at once more for those that were committed late
(`LATE`). What the figures mean is said in `life`; how they are worked out here is tested against a
count without any of this.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Self
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from referral.batches import Batch
from referral.catalog import Product
from referral.claims import Claim
from referral.config import ValueSettings
from referral.db import Base, lock, no_hurry, run
from referral.db.bulk import among, numbers, upsert_many
from referral.graph import Referral, SpreadNode
from referral.orders import Order, Refund
from referral.people import Customer, Merge, Visitor
from referral.rollups import life
from referral.rollups.life import Buy, Further, Habits, Life, Quadrant, Stage
from referral.visits import ScannedCode

AT_ONCE = 5_000
"""How many customers one transaction works out."""
LATE = timedelta(hours=1)
"""So long after its time nothing is committed any more."""
SAMPLE = 300
"""How many customers stand for all of them in a picture."""
NOWHERE = ""
"""The quadrant of whoever has not bought and brought nobody in."""
_LOCK = "customer values"
_ONLY = 1


class CustomerValue(Base):
    """A customer's value and stage, as of `at`. There is none for who has gone into another."""

    __tablename__ = "customer_values"

    customer_id: Mapped[int] = mapped_column(
        sa.ForeignKey("customers.id"), primary_key=True, autoincrement=False
    )
    stage: Mapped[str] = mapped_column(sa.String(10))
    """A `Stage`."""
    quadrant: Mapped[str] = mapped_column(sa.String(10))
    """A `Quadrant`, or `NOWHERE`."""
    purchases: Mapped[int] = mapped_column(sa.Integer)
    """Claims, and orders of which something is left after refunds."""
    first_at: Mapped[datetime | None]
    """The first of them, and the last."""
    last_at: Mapped[datetime | None]
    scanned_at: Mapped[datetime | None]
    """When a code was last scanned that a browser of hers had not scanned before."""
    past: Mapped[int] = mapped_column(sa.BigInteger)
    """The three parts of her own value, and their sum: see `life.Worth`."""
    year: Mapped[int] = mapped_column(sa.BigInteger)
    potential: Mapped[int] = mapped_column(sa.BigInteger)
    own: Mapped[int] = mapped_column(sa.BigInteger)
    brought: Mapped[int] = mapped_column(sa.Integer)
    """How many customers she brought in."""
    referral: Mapped[int] = mapped_column(sa.BigInteger)
    """What those are worth, and what they would have cost in advertising."""
    at: Mapped[datetime]

    __table_args__ = (
        sa.Index(None, "own", "customer_id"),
        sa.Index(None, "quadrant", "own", "customer_id"),
    )


class ValueMeasures(Base):
    """What was measured of all customers together, when values were last worked out. One row."""

    __tablename__ = "value_measures"

    id: Mapped[int] = mapped_column(sa.SmallInteger, primary_key=True, autoincrement=False)
    at: Mapped[datetime]
    whole_at: Mapped[datetime]
    measures: Mapped[dict[str, Any]]
    """The rest of `Measures`."""


@dataclass(frozen=True)
class Sum:
    """How many customers are somewhere, and what they are worth together."""

    people: int = 0
    own: int = 0
    referral: int = 0


@dataclass(frozen=True)
class Measures:
    """What holds for all customers: what was assumed, and where the lines are drawn."""

    at: datetime
    """When values were last worked out, and when all of them were."""
    whole_at: datetime
    settings: ValueSettings
    habits: Habits
    own_line: int = 0
    """Who is above it, by own value, is worth more than most who are in a quadrant."""
    referral_line: int = 0
    """The same by the value of those brought in."""
    stages: Mapping[str, int] = field(default_factory=dict)
    quadrants: Mapping[str, Sum] = field(default_factory=dict)
    sample: Sequence[tuple[int, int, int]] = ()
    """Some customers who are in a quadrant: number, own value, value of those brought in."""
    marks: Mapping[str, int] = field(default_factory=dict)
    """The last claim, refund and merge that were certainly seen."""

    def dump(self) -> dict[str, Any]:
        return {
            "settings": asdict(self.settings),
            "days": self.habits.days,
            "classes": [[*of, n.people, n.purchases] for of, n in self.habits.classes.items()],
            "lines": [self.own_line, self.referral_line],
            "stages": dict(self.stages),
            "quadrants": {
                name: [n.people, n.own, n.referral] for name, n in self.quadrants.items()
            },
            "sample": [list(each) for each in self.sample],
            "marks": dict(self.marks),
        }

    @classmethod
    def load(cls, row: ValueMeasures) -> Self:
        told = row.measures
        classes = {
            (bought, since): Further(people, purchases)
            for bought, since, people, purchases in told["classes"]
        }
        return cls(
            at=row.at,
            whole_at=row.whole_at,
            settings=ValueSettings(**told["settings"]),
            habits=Habits(told["days"], classes),
            own_line=told["lines"][0],
            referral_line=told["lines"][1],
            stages=told["stages"],
            quadrants={name: Sum(*each) for name, each in told["quadrants"].items()},
            sample=[(number, own, referral) for number, own, referral in told["sample"]],
            marks=told["marks"],
        )


# Reading


def measures(tx: Session) -> Measures | None:
    """What was measured last; None before the first time."""
    row = tx.get(ValueMeasures, _ONLY)
    return Measures.load(row) if row else None


def value_of(tx: Session, customer_id: int) -> CustomerValue | None:
    return tx.get(CustomerValue, customer_id)


# Working out


def begin(tx: Session, settings: ValueSettings, now: datetime) -> Measures:
    """Measure what all customers do, and see to it that each has a row."""
    no_hurry(tx)
    lock(tx, _LOCK)
    known = measures(tx)
    made = Measures(now, now, settings, _habits(tx, settings, now), marks=_marks(tx, now))
    if known is not None:  # until the lines are drawn anew
        made = replace(made, own_line=known.own_line, referral_line=known.referral_line)
    gone = sa.select(Customer.id).where(Customer.merged_into.is_not(None))
    tx.execute(_quietly(sa.delete(CustomerValue).where(CustomerValue.customer_id.in_(gone))))
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
    _add_up_referrals(tx, made.settings, customers)
    if customers is None:
        made = replace(
            made, own_line=_median(tx, CustomerValue.own), referral_line=_median(tx, _REFERRAL)
        )
    _place(tx, made, customers)
    stages, quadrants = _sums(tx)
    made = replace(made, stages=stages, quadrants=quadrants, sample=_sample(tx))
    row = ValueMeasures(id=_ONLY, at=made.at, whole_at=made.whole_at, measures=made.dump())
    tx.merge(row)
    tx.flush()
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
    tx.execute(_quietly(sa.delete(CustomerValue).where(CustomerValue.customer_id == customer_id)))


# What customers do


_NOT_REFUNDED = Order.amount > Order.refunded


def _bought(settings: ValueSettings, *columns: str) -> sa.CompoundSelect[Any] | sa.Select[Any]:
    """All purchases that count."""
    claims = sa.select(*(getattr(Claim, name) for name in columns))
    orders = sa.select(*(getattr(Order, name) for name in columns)).where(_NOT_REFUNDED)
    if settings.purchases == "both":
        return sa.union_all(claims, orders)
    return claims if settings.purchases == "claims" else orders


def _habits(tx: Session, settings: ValueSettings, now: datetime) -> Habits:
    """What customers went on to buy, by the class that they were of."""
    bought = _bought(settings, "customer_id", "at").subquery()
    first = tx.scalar(sa.select(sa.func.min(bought.c.at)))
    days = life.watched_days(first, now)
    if not days:
        return Habits()
    cut = now - timedelta(days=days)
    was_before = bought.c.at < cut
    was_watched = sa.and_(bought.c.at >= cut, bought.c.at <= now)
    states = (
        sa.select(
            sa.func.sum(sa.case((was_before, 1), else_=0)).label("before"),
            sa.func.max(sa.case((was_before, bought.c.at))).label("last"),
            sa.func.sum(sa.case((was_watched, 1), else_=0)).label("further"),
        )
        .group_by(bought.c.customer_id)
        .subquery()
    )
    most = life.PURCHASES_TOLD_APART
    purchases = sa.case((states.c.before < most, states.c.before), else_=most)
    ends = [(states.c.last >= cut - end, place) for place, end in enumerate(life.SINCE_LAST)]
    since = sa.case(*ends, else_=len(life.SINCE_LAST))
    classes: Any = sa.select(
        purchases.label("purchases"), since.label("since"), states.c.further
    ).where(states.c.before > 0)
    of = classes.subquery().c
    counted = sa.select(of.purchases, of.since, sa.func.count(), sa.func.sum(of.further))
    rows = tx.execute(counted.group_by(of.purchases, of.since).order_by(of.purchases, of.since))
    return Habits(days, {(int(n), int(ago)): Further(p, int(more)) for n, ago, p, more in rows})


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
    return sa.select(Order.customer_id, Order.at, amount).where(_NOT_REFUNDED)


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
        **dict.fromkeys(
            ("purchases", "past", "year", "potential", "own", "brought", "referral"), 0
        ),
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
    tx.execute(_quietly(theirs.values(scanned_at=last.c.at)))


# What depends on the rows of others

_REFERRAL = CustomerValue.referral
_IN_A_QUADRANT = sa.or_(CustomerValue.purchases > 0, CustomerValue.brought > 0)


def _add_up_referrals(
    tx: Session, settings: ValueSettings, customers: Collection[int] | None
) -> None:
    friend = sa.orm.aliased(CustomerValue)
    each = friend.own + sa.literal(settings.new_customer, sa.BigInteger)
    sums = (
        sa.select(
            Referral.referrer_id,
            sa.cast(sa.func.sum(each), sa.BigInteger).label("value"),
            sa.func.count().label("people"),
        )
        .join(friend, friend.customer_id == Referral.customer_id)
        .where(Referral.referrer_id.is_not(None))
    )
    none = sa.update(CustomerValue).where(CustomerValue.brought == 0, _REFERRAL != 0)
    given: dict[str, str] = {}
    if customers is not None:
        given = {"customers": numbers(tx, customers)}
        sums = sums.where(among(Referral.referrer_id, "customers"))
        none = none.where(among(CustomerValue.customer_id, "customers"))
    added = sums.group_by(Referral.referrer_id).subquery()
    theirs = sa.update(CustomerValue).where(
        CustomerValue.customer_id == added.c.referrer_id,
        sa.or_(added.c.value != _REFERRAL, CustomerValue.brought != added.c.people),
    )
    theirs = theirs.values(referral=added.c.value, brought=added.c.people)
    tx.execute(_quietly(theirs), given)
    tx.execute(_quietly(none.values(referral=0)), given)


def _median(tx: Session, column: Any) -> int:
    """Of those who are in a quadrant: half of them have no more."""
    everybody = sa.select(sa.func.count()).select_from(CustomerValue).where(_IN_A_QUADRANT)
    people = tx.scalar(everybody) or 0
    middle = sa.select(column).where(_IN_A_QUADRANT).order_by(column).limit(1)
    return tx.scalar(middle.offset(max(people - 1, 0) // 2)) or 0


def _place(tx: Session, made: Measures, customers: Collection[int] | None) -> None:
    has_more = CustomerValue.own > made.own_line
    brings_more = made.referral_line < _REFERRAL
    place = sa.case(
        (sa.not_(_IN_A_QUADRANT), NOWHERE),
        (sa.and_(has_more, brings_more), Quadrant.champions.value),
        (has_more, Quadrant.affluents.value),
        (brings_more, Quadrant.advocates.value),
        else_=Quadrant.misers.value,
    )
    moved = sa.update(CustomerValue).where(CustomerValue.quadrant != place)
    given: dict[str, str] = {}
    if customers is not None:
        given = {"customers": numbers(tx, customers)}
        moved = moved.where(among(CustomerValue.customer_id, "customers"))
    tx.execute(_quietly(moved.values(quadrant=place)), given)


def _sums(tx: Session) -> tuple[dict[str, int], dict[str, Sum]]:
    """How many customers there are at each stage, and in each quadrant with their values."""
    own, referral = sa.func.sum(CustomerValue.own), sa.func.sum(_REFERRAL)
    columns = (CustomerValue.stage, CustomerValue.quadrant)
    rows = tx.execute(sa.select(*columns, sa.func.count(), own, referral).group_by(*columns)).all()
    stages = {
        stage.value: sum(row[2] for row in rows if row.stage == stage.value) for stage in Stage
    }
    quadrants = {}
    for quadrant in Quadrant:
        theirs = [row[2:] for row in rows if row.quadrant == quadrant.value]
        quadrants[quadrant.value] = Sum(*(int(sum(part)) for part in zip(*theirs, strict=True)))
    return stages, quadrants


def _sample(tx: Session) -> list[tuple[int, int, int]]:
    """Some customers who are in a quadrant, as if drawn by lot, but the same ones every time."""
    number = CustomerValue.customer_id
    lot = (number * 40_503) % 65_537
    some = sa.select(number, CustomerValue.own, _REFERRAL).where(_IN_A_QUADRANT)
    rows = tx.execute(some.order_by(lot, number).limit(SAMPLE))
    return [(row[0], row[1], row[2]) for row in rows]


def _quietly(statement: Any) -> Any:
    """Nothing of these tables is held by the session."""
    return statement.execution_options(synchronize_session=False)
