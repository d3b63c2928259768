"""What customers are worth, as pages show it: one of them explained, and all in four quadrants."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction

import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral.crypto import KeyRing
from referral.people import Visitor
from referral.reports import lists
from referral.risk.devices import SharedDevice
from referral.rollups import life
from referral.rollups.customer_values import CustomerValue, value_of
from referral.rollups.life import Quadrant, Stage
from referral.rollups.measures import Measures, Sum, measures

DEVICES_SHOWN = 10


@dataclass(frozen=True)
class Explained:
    """A customer's value, and what it was worked out with."""

    value: CustomerValue
    measures: Measures
    further: Fraction | None
    """How many purchases customers like her made in the year that followed, on average; None where
    too little is known for that."""
    alike: int
    """How many customers that was seen of."""


def explained(tx: Session, customer_id: int) -> Explained | None:
    """None before anything was worked out of her."""
    measured, value = measures(tx), value_of(tx, customer_id)
    if measured is None or value is None:
        return None
    found = None
    if value.last_at is not None and measured.habits.days:
        further = measured.habits.further(life.class_of(value.purchases, value.last_at, value.at))
        if further.people:
            days = Fraction(life.YEAR_DAYS, measured.habits.days)
            found = further.people, Fraction(further.purchases, further.people) * days
    return Explained(value, measured, found[1] if found else None, found[0] if found else 0)


@dataclass(frozen=True)
class Point:
    """A customer in the picture."""

    customer_id: int
    name: str | None
    own: int
    referral: int
    quadrant: Quadrant


@dataclass(frozen=True)
class Overview:
    """All customers by what they are worth, as of `measures.at`."""

    measures: Measures
    stages: list[tuple[Stage, int]]
    quadrants: list[tuple[Quadrant, Sum]]
    points: list[Point]
    """Some who stand for all."""

    @property
    def people(self) -> int:
        return sum(count for _stage, count in self.stages)

    @property
    def placed(self) -> int:
        return sum(each.people for _quadrant, each in self.quadrants)


def overview(tx: Session, keys: KeyRing) -> Overview | None:
    """From what is kept: the same few rows for ten customers and for ten million. None before the
    first time."""
    measured = measures(tx)
    if measured is None:
        return None
    names = lists.names(tx, keys, [number for number, _own, _referral in measured.sample])
    return Overview(
        measured,
        [(stage, measured.stages.get(stage.value, 0)) for stage in Stage],
        [(each, measured.quadrants.get(each.value, Sum())) for each in Quadrant],
        [
            Point(number, names.get(number), own, referral, _quadrant(measured, own, referral))
            for number, own, referral in measured.sample
        ],
    )


def _quadrant(measures: Measures, own: int, referral: int) -> Quadrant:
    if own > measures.own_line:
        return Quadrant.champions if referral > measures.referral_line else Quadrant.affluents
    return Quadrant.advocates if referral > measures.referral_line else Quadrant.misers


@dataclass(frozen=True)
class Devices:
    """The browsers that somebody signed in with."""

    firsts: Sequence[datetime]
    """When each was seen first, the latest first; at most `DEVICES_SHOWN`."""
    count: int
    shared_with: int
    """How many other customers used one of them."""


def devices_of(tx: Session, customer_id: int) -> Devices:
    theirs = Visitor.customer_id == customer_id
    firsts = sa.select(Visitor.created_at).where(theirs).order_by(Visitor.created_at.desc())
    others = sa.select(sa.func.count()).select_from(SharedDevice)
    return Devices(
        tx.scalars(firsts.limit(DEVICES_SHOWN)).all(),
        tx.scalar(sa.select(sa.func.count()).select_from(Visitor).where(theirs)) or 0,
        tx.scalar(others.where(SharedDevice.customer_id == customer_id)) or 0,
    )
