"""Visitors: browsers, anonymous until somebody signs in; and which of them run what they load."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from referral.chance import random_bits
from referral.db import Base, insert_new, is_sqlite, run
from referral.db.bulk import COPIED_FROM, Given, among, copy_rows, insert_many, numbers, update_many
from referral.people.customers import Customer

PROOF_TIME = timedelta(hours=1)
"""How long a browser has to prove that it runs the pages it loads."""


class Visitor(Base):
    """One browser. Its id is a random 63-bit number made before anything is stored."""

    __tablename__ = "visitors"

    id: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    customer_id: Mapped[int | None] = mapped_column(sa.ForeignKey("customers.id"))
    created_at: Mapped[datetime]
    ran_at: Mapped[datetime | None]
    """When it proved to be a person's browser: it ran a page, somebody signed in on it, or people
    opened its link."""
    sift_at: Mapped[datetime | None]
    """When it is to be looked at whether it did, see `actions.sift`; None when there is no need."""
    sifted_at: Mapped[datetime | None]
    """Since when its openings are not taken for a person's; None while they are."""

    __table_args__ = (
        sa.Index(
            None,
            "customer_id",
            sqlite_where=sa.text("customer_id IS NOT NULL"),
            postgresql_where=sa.text("customer_id IS NOT NULL"),
        ),
        sa.Index(
            None,
            "sift_at",
            sqlite_where=sa.text("sift_at IS NOT NULL"),
            postgresql_where=sa.text("sift_at IS NOT NULL"),
        ),
    )


def new_visitor_id() -> int:
    return random_bits(63)


def remember_visitor(tx: Session, visitor_id: int, now: datetime) -> bool:
    """Whether it is a new one. It has `PROOF_TIME` to show that it runs pages."""
    row = {"id": visitor_id, "customer_id": None, "created_at": now, "sift_at": now + PROOF_TIME}
    return insert_new(tx, Visitor, row) == 1


_KNOWN = sa.select(Visitor.id).where(among(Visitor.id, "visitors"))


def remember_visitors(tx: Session, seen: Mapping[int, datetime]) -> set[int]:
    """The same of many visitors, each with the moment it was first seen; those that are new."""
    rows = [
        {"id": visitor, "created_at": at, "sift_at": at + PROOF_TIME}
        for visitor, at in sorted(seen.items())
    ]
    if len(rows) >= COPIED_FROM and not is_sqlite(tx):
        known = set(run(tx, _KNOWN, visitors=numbers(tx, seen)).scalars())
        new = [row for row in rows if row["id"] not in known]
        if copy_rows(tx, Visitor, new):
            return seen.keys() - known
    return insert_many(tx, Visitor, rows, ("id",))


# Through the table, like all statements of every visit. Who was taken out is to be put back.
_VISITOR = Visitor.__table__.c
_TIME = _VISITOR.ran_at.type
_GIVEN = {"visitor": _VISITOR.id, "at": _VISITOR.created_at}


def _proven(at: Any) -> dict[str, Any]:
    return {
        "ran_at": sa.func.coalesce(_VISITOR.ran_at, at),
        "sift_at": sa.case((_VISITOR.sifted_at.is_not(None), at)),
    }


def _ran(given: Given) -> sa.Update:
    is_news = _VISITOR.ran_at.is_(None)
    return sa.update(Visitor).where(_VISITOR.id == given.visitor, is_news).values(_proven(given.at))


def _look_again(given: Given) -> sa.Update:
    due = sa.func.coalesce(_VISITOR.sift_at, given.at)
    has_proved_nothing = _VISITOR.ran_at.is_(None)
    return (
        sa.update(Visitor)
        .where(_VISITOR.id == given.visitor, has_proved_nothing)
        .values(sift_at=due)
    )


_RAN = _ran(SimpleNamespace(visitor=sa.bindparam("visitor"), at=sa.bindparam("at", type_=_TIME)))


def note_ran(tx: Session, visitor_id: int, at: datetime) -> bool:
    """Keep that this visitor's browser ran a page: a person's does. Whether that is news."""
    return run(tx, _RAN, visitor=visitor_id, at=at).rowcount == 1


def note_all_ran(tx: Session, ran: Mapping[int, datetime]) -> None:
    """The same of many visitors, each with the moment it ran a page."""
    rows = [{"visitor": visitor, "at": at} for visitor, at in sorted(ran.items())]
    update_many(tx, _ran, _GIVEN, rows)


def look_again(tx: Session, visitor_id: int, due: datetime) -> None:
    """Have a visitor that has proved nothing looked at once more.

    Until the end of this transaction nobody else does so.
    """
    look_again_at(tx, {visitor_id: due})


def look_again_at(tx: Session, due: Mapping[int, datetime]) -> None:
    """The same of many visitors, each with the moment it is due."""
    rows = [{"visitor": visitor, "at": at} for visitor, at in sorted(due.items())]
    update_many(tx, _look_again, _GIVEN, rows)


# Through the table: a session may be older than a database that was set up anew, and its customer
# may have been merged into another one, or be so at this moment.
_WHO = sa.select(sa.func.coalesce(Customer.merged_into, Customer.id)).where(
    Customer.id == sa.bindparam("customer")
)
_FOLD = (
    sa.update(Visitor)
    .where(Visitor.id == sa.bindparam("visitor"))
    .where(sa.or_(Visitor.customer_id.is_(None), Visitor.customer_id == _WHO.scalar_subquery()))
    .values(
        customer_id=_WHO.with_for_update(key_share=True, read=True).scalar_subquery(),
        **_proven(sa.bindparam("at", type_=_TIME)),
    )
)


def fold_visitor(tx: Session, visitor_id: int, customer_id: int, now: datetime) -> bool:
    """Make a visitor this customer's. False when it is another customer's already."""
    remember_visitor(tx, visitor_id, now)
    return run(tx, _FOLD, visitor=visitor_id, customer=customer_id, at=now).rowcount == 1


_VISITORS_OF = (
    sa.select(Visitor.id)
    .where(Visitor.customer_id == sa.bindparam("customer"))
    .order_by(Visitor.created_at, Visitor.id)
)


def visitors_of(tx: Session, customer_id: int) -> list[int]:
    """The customer's visitors, oldest first."""
    return list(run(tx, _VISITORS_OF, customer=customer_id).scalars())


def own_visitor(tx: Session, customer_id: int, fresh_id: int, now: datetime) -> int:
    """The visitor a customer shares as where no browser is at hand, made if there is none yet."""
    visitors = visitors_of(tx, customer_id)
    if visitors:
        return visitors[0]
    fold_visitor(tx, fresh_id, customer_id, now)
    return fresh_id


def customer_of(tx: Session, visitor_id: int) -> int | None:
    """Which customer a visitor is, if any."""
    return tx.scalar(sa.select(Visitor.customer_id).where(Visitor.id == visitor_id))


@dataclass(frozen=True)
class Suspect:
    """A visitor to be looked at: whether its browser has proved to be a person's."""

    id: int
    has_run: bool


_DUE = (
    sa.select(Visitor.id, Visitor.ran_at)
    .where(Visitor.sift_at <= sa.bindparam("now", type_=_TIME))
    .order_by(Visitor.sift_at)
    .limit(sa.bindparam("most"))
    .with_for_update(skip_locked=True)
)
_IS_ONE = Visitor.id.in_(sa.bindparam("visitors", expanding=True))
_PROVEN_ONES = sa.select(Visitor.id).where(_IS_ONE, Visitor.ran_at.is_not(None))
_TAKE_FOR_PERSONS = (
    sa.update(Visitor)
    .where(_IS_ONE)
    .values(
        ran_at=sa.func.coalesce(_VISITOR.ran_at, sa.bindparam("now", type_=_TIME)),
        sift_at=None,
        sifted_at=None,
    )
)
_TAKE_FOR_MACHINES = (
    sa.update(Visitor).where(_IS_ONE).values(sift_at=None, sifted_at=sa.bindparam("now"))
)
_SUSPECT = (
    sa.update(Visitor).where(_IS_ONE, Visitor.ran_at.is_(None)).values(sift_at=sa.bindparam("due"))
)


def suspects(tx: Session, now: datetime, most: int) -> list[Suspect]:
    """Visitors that are due to be looked at, locked; those that others are at are left out."""
    return [Suspect(row.id, row.ran_at is not None) for row in run(tx, _DUE, now=now, most=most)]


def proven_among(tx: Session, visitors: Collection[int]) -> set[int]:
    """Those of these visitors whose browsers have proved to be people's."""
    return set(run(tx, _PROVEN_ONES, visitors=list(visitors)).scalars())


def take_for_persons(tx: Session, visitors: Collection[int], now: datetime) -> None:
    """Keep that these visitors are people, for good."""
    run(tx, _TAKE_FOR_PERSONS, visitors=list(visitors), now=now)


def take_for_machines(tx: Session, visitors: Collection[int], now: datetime) -> None:
    """Keep that these visitors have not proved anything so far."""
    run(tx, _TAKE_FOR_MACHINES, visitors=list(visitors), now=now)


def hold_visitors(tx: Session, visitors: Collection[int]) -> None:
    """Let nobody else change these visitors until the end of this transaction."""
    held = sa.select(Visitor.id).where(Visitor.id.in_(visitors)).order_by(Visitor.id)
    tx.execute(held.with_for_update(key_share=True))


def suspect(tx: Session, visitors: Collection[int], due: datetime) -> None:
    """Have those of these visitors looked at again who have not proved anything."""
    if visitors:
        run(tx, _SUSPECT, visitors=list(visitors), due=due)
