"""What depends on the rows of others: the value of those brought in, and the quadrant."""

from collections.abc import Collection
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral.config import ValueSettings
from referral.db.bulk import among, numbers
from referral.graph import Referral
from referral.rollups.customer_values import NOWHERE, CustomerValue, quietly
from referral.rollups.life import Quadrant, Stage
from referral.rollups.measures import Measures, Sum

SAMPLE = 300
"""How many customers stand for all of them in a picture."""
_REFERRAL = CustomerValue.referral
_IN_A_QUADRANT = sa.or_(CustomerValue.purchases > 0, CustomerValue.brought > 0)


def add_up_referrals(
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
    tx.execute(quietly(theirs), given)
    tx.execute(quietly(none.values(referral=0)), given)


def lines(tx: Session) -> tuple[int, int]:
    """Where own value, and the value of those brought in, part those in a quadrant in halves."""
    return _median(tx, CustomerValue.own), _median(tx, _REFERRAL)


def _median(tx: Session, column: Any) -> int:
    """Of those who are in a quadrant: half of them have no more."""
    everybody = sa.select(sa.func.count()).select_from(CustomerValue).where(_IN_A_QUADRANT)
    people = tx.scalar(everybody) or 0
    middle = sa.select(column).where(_IN_A_QUADRANT).order_by(column).limit(1)
    return tx.scalar(middle.offset(max(people - 1, 0) // 2)) or 0


def place(tx: Session, made: Measures, customers: Collection[int] | None) -> None:
    has_more = CustomerValue.own > made.own_line
    brings_more = made.referral_line < _REFERRAL
    where = sa.case(
        (sa.not_(_IN_A_QUADRANT), NOWHERE),
        (sa.and_(has_more, brings_more), Quadrant.champions.value),
        (has_more, Quadrant.affluents.value),
        (brings_more, Quadrant.advocates.value),
        else_=Quadrant.misers.value,
    )
    moved = sa.update(CustomerValue).where(CustomerValue.quadrant != where)
    given: dict[str, str] = {}
    if customers is not None:
        given = {"customers": numbers(tx, customers)}
        moved = moved.where(among(CustomerValue.customer_id, "customers"))
    tx.execute(quietly(moved.values(quadrant=where)), given)


def sums(tx: Session) -> tuple[dict[str, int], dict[str, Sum]]:
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


def sample(tx: Session) -> list[tuple[int, int, int]]:
    """Some customers who are in a quadrant, as if drawn by lot, but the same ones every time."""
    number = CustomerValue.customer_id
    lot = (number * 40_503) % 65_537
    some = sa.select(number, CustomerValue.own, _REFERRAL).where(_IN_A_QUADRANT)
    rows = tx.execute(some.order_by(lot, number).limit(SAMPLE))
    return [(row[0], row[1], row[2]) for row in rows]
