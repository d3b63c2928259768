"""Two customers who turn out to be one person: one is kept, the other is gone into it.

Whoever is about to write something about a customer holds that customer's row first (`hold`,
`lock_customer`) and goes on with whom they name: a merge takes both rows for itself, so what was
written before it is moved by it, and whoever comes after it is told of the kept one.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from referral.audit import BY_LENGTH_MAX
from referral.db import Base, RowId, insert_new, lock, run
from referral.people.customers import (
    Consent,
    Customer,
    Identity,
    UnknownCustomer,
    stands_for,
)
from referral.people.names import forget_names, hand_over_name
from referral.people.visitors import Visitor

REASON_LENGTH_MAX = 200


class Merge(Base):
    """One merge, for good. What was moved is kept by number, nobody's personal data."""

    __tablename__ = "merges"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    kept_id: Mapped[int] = mapped_column(sa.ForeignKey("customers.id"), index=True)
    """Who was kept then, and may have gone into somebody else since."""
    gone_id: Mapped[int] = mapped_column(sa.ForeignKey("customers.id"), unique=True)
    by: Mapped[str] = mapped_column(sa.String(BY_LENGTH_MAX))
    """Who decided: a staff member, an API key, or the customer."""
    reason: Mapped[str] = mapped_column(sa.String(REASON_LENGTH_MAX))
    details: Mapped[dict[str, Any]]
    at: Mapped[datetime]

    __table_args__ = (sa.CheckConstraint("kept_id <> gone_id", name="two_customers"),)


@dataclass(frozen=True)
class Pair:
    """Two customers, both locked: the one that is kept, and the one that goes."""

    kept: Customer
    gone: Customer


# Not even a key to refer to: a reward or a friend that is being written for one of them waits.
_LOCK_ALONE = (
    sa.select(Customer)
    .where(Customer.id == sa.bindparam("customer"))
    .with_for_update()
    .execution_options(populate_existing=True)
)


def hold_pair(tx: Session, one: int, other: int, keep: int | None = None) -> Pair | None:
    """Take both customers for oneself; None when they are one already.

    One merge is made at a time: two that are each harmless could close a circle together. Kept is
    the one with the number `keep`, or else the older one. Raises `UnknownCustomer`.
    """
    lock(tx, "merging customers")
    numbers = sorted({stands_for(tx, each) for each in (one, other)})
    if len(numbers) == 1:
        return None
    chosen = None if keep is None else stands_for(tx, keep)
    if chosen is not None and chosen not in numbers:
        raise UnknownCustomer()
    # In the order of their numbers, as everybody who locks two customers.
    found = [tx.scalars(_LOCK_ALONE, {"customer": number}).one() for number in numbers]
    found.sort(key=lambda each: (each.id != chosen, each.created_at, each.id))
    return Pair(*found)


def hand_over(tx: Session, gone: int, kept: int) -> dict[str, list[int]]:
    """Make what one customer is known by, her browsers and consents the other's.

    Returns the numbers of the identities and browsers. Both customers are held by `hold_pair`.
    """
    numbers = {
        "identities": moved(tx, Identity, gone, kept),
        "visitors": moved(tx, Visitor, gone, kept),
    }
    _move_consents(tx, gone, kept)
    first, second = tx.get_one(Customer, kept), tx.get_one(Customer, gone)
    if first.name_encrypted is None:
        hand_over_name(tx, gone, kept)
    else:
        forget_names(tx, gone)
    first.name_encrypted = first.name_encrypted or second.name_encrypted
    second.name_encrypted = None
    tx.flush()
    # Never a chain: whoever had gone into this one has gone into the kept one now.
    into = sa.or_(Customer.id == gone, Customer.merged_into == gone)
    tx.execute(
        sa.update(Customer).where(into).values(merged_into=kept),
        execution_options={"synchronize_session": "fetch"},
    )
    return numbers


def moved(tx: Session, model: type[Any], gone: int, kept: int) -> list[int]:
    """Make one customer's rows of a table, such as claims, the other's. Returns their numbers."""
    move = sa.update(model).where(model.customer_id == gone).values(customer_id=kept)
    found = tx.execute(move.returning(model.id), execution_options={"synchronize_session": "fetch"})
    return sorted(found.scalars())


def _move_consents(tx: Session, gone: int, kept: int) -> None:
    """Both agreed: what counts is since when, the earlier of the two."""
    of_gone = tx.scalars(sa.select(Consent).where(Consent.customer_id == gone)).all()
    for each in of_gone:
        same = {"customer_id": kept, "purpose": each.purpose, "version": each.version}
        if not insert_new(tx, Consent, {**same, "given_at": each.given_at}):
            known = tx.get_one(Consent, (kept, each.purpose, each.version))
            known.given_at = min(known.given_at, each.given_at)
        tx.delete(each)
    tx.flush()


def keep_merge(
    tx: Session, pair: Pair, *, by: str, reason: str, details: dict[str, Any], now: datetime
) -> None:
    """Write down that a merge was made."""
    row = {"kept_id": pair.kept.id, "gone_id": pair.gone.id, "by": by, "reason": reason}
    tx.add(Merge(**row, details=details, at=now))
    tx.flush()


_MERGED = sa.select(Customer.id, Customer.merged_into).where(
    Customer.id.in_(sa.bindparam("customers", expanding=True)), Customer.merged_into.is_not(None)
)
_NUMBERS_OF = sa.select(Customer.id).where(
    sa.or_(
        Customer.id == sa.bindparam("customer"), Customer.merged_into == sa.bindparam("customer")
    )
)


def current(tx: Session, customers: Collection[int]) -> dict[int, int]:
    """Whom these numbers stand for now; whom nobody knows stands for itself."""
    merged = {row.id: row.merged_into for row in run(tx, _MERGED, customers=list(customers))}
    return {number: merged.get(number, number) for number in customers}


def numbers_of(tx: Session, customer_id: int) -> list[int]:
    """A customer's own number and those of all who have gone into this one."""
    return sorted(run(tx, _NUMBERS_OF, customer=customer_id).scalars())


def merges_of(tx: Session, customer_id: int) -> list[Merge]:
    """Who has gone into a customer, oldest first."""
    others = [each for each in numbers_of(tx, customer_id) if each != customer_id]
    found = sa.select(Merge).where(Merge.gone_id.in_(others)).order_by(Merge.id)
    return list(tx.scalars(found))
