"""Claims: a customer taking a code, once, ever. The proof of purchase."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from referral import people
from referral.codes import Code
from referral.db import Base, RowId, insert_new_id
from referral.db.round_trips import Answer, Ask, adding, ask, in_one_trip
from referral.errors import N_, Conflict


class Claim(Base):
    """The unique key on batch and index is what makes a claim happen once."""

    __tablename__ = "claims"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    batch_id: Mapped[int] = mapped_column(sa.ForeignKey("batches.id"))
    index: Mapped[int] = mapped_column(sa.BigInteger)
    customer_id: Mapped[int] = mapped_column(sa.ForeignKey("customers.id"))
    campaign_id: Mapped[int | None] = mapped_column(sa.ForeignKey("campaigns.id"))
    at: Mapped[datetime]

    __table_args__ = (
        sa.UniqueConstraint("batch_id", "index"),
        sa.Index(None, "batch_id", "at"),
        sa.Index(None, "customer_id", "at"),
        sa.Index(None, "campaign_id", "at"),
    )

    @property
    def event(self) -> str:
        """The claim's name in rewards and the ledger."""
        return f"claim:{self.id}"


class AlreadyClaimed(Conflict):
    slug = "already-claimed"
    title = N_("Somebody has claimed this code already.")
    advice = N_(
        "Each package can be claimed once. If it was sealed when you opened it, please tell the "
        "shop or us; keep the package."
    )


class NotActivated(Conflict):
    slug = "not-activated"
    title = N_("This product is not on sale yet.")
    advice = N_(
        "Its code is genuine but cannot be claimed yet. Please keep it and try again later."
    )


class Voided(Conflict):
    slug = "voided"
    title = N_("This code has been withdrawn.")
    advice = N_("Please bring the package back to where you bought it, or ask us.")


class Recalled(Conflict):
    slug = "recalled"
    title = N_("This product has been called back.")
    advice = N_("Please do not use it. Bring it back to where you bought it, or ask us.")


class Expired(Conflict):
    slug = "expired"
    title = N_("The time to claim this product is over.")
    advice = N_("Its code is genuine. Please look at the date on the package, or ask the shop.")


class OuterCode(Conflict):
    slug = "outer-code"
    title = N_("This is the code on the outside.")
    advice = N_("It is for looking before you buy. To claim, scan the code under the cap.")


class WrongProduct(Conflict):
    slug = "wrong-product"
    status = 404
    title = N_("This code belongs to another product.")
    advice = N_("Please scan the code on the package again. If it stays so, show it to the shop.")


_CLAIM_OF = sa.select(*Claim.__table__.c).where(
    Claim.batch_id == sa.bindparam("batch"), Claim.index == sa.bindparam("place")
)


def claim_of(tx: Session, code: Code) -> Claim | None:
    return found(in_one_trip(tx, asking_claim(code))[0])


def asking_claim(code: Code) -> Ask:
    """What to ask for `found`."""
    return ask(_CLAIM_OF, batch=code.batch_id, place=code.index)


def found(answer: Answer) -> Claim | None:
    """The claim of a code, as it was found."""
    row = answer.first
    return None if row is None else Claim(**row._asdict())


def id_of(event: str) -> int:
    """The number of the claim that an event is."""
    return int(event.removeprefix("claim:"))


def count_of(
    tx: Session, customer_id: int, campaign_id: int, *, after: int, since: datetime | None
) -> int:
    """How many claims a campaign paid a customer for, later than the claim `after`."""
    counted = sa.select(sa.func.count(Claim.id)).where(
        Claim.customer_id == customer_id, Claim.campaign_id == campaign_id, Claim.id > after
    )
    if since is not None:
        counted = counted.where(Claim.at > since)
    return tx.scalar(counted) or 0


def events_of(tx: Session, customer_id: int) -> list[str]:
    """The names of a customer's claims in rewards and the ledger."""
    numbers = tx.scalars(sa.select(Claim.id).where(Claim.customer_id == customer_id))
    return [f"claim:{number}" for number in sorted(numbers)]


def hand_over(tx: Session, gone: int, kept: int) -> list[int]:
    """Make one customer's claims the other's, who is the same person. Returns their numbers."""
    return people.moved(tx, Claim, gone, kept)


def claimed_indexes(tx: Session, batch_id: int, start: int, end: int) -> set[int]:
    """Which codes of a batch, from `start` up to and not including `end`, are claimed."""
    within = (Claim.batch_id == batch_id, Claim.index >= start, Claim.index < end)
    return set(tx.scalars(sa.select(Claim.index).where(*within)))


def row_of(code: Code, customer_id: int, campaign_id: int | None, now: datetime) -> dict[str, Any]:
    """The row of a claim that is about to be made."""
    return {
        "batch_id": code.batch_id,
        "index": code.index,
        "customer_id": customer_id,
        "campaign_id": campaign_id,
        "at": now,
    }


def asking_to_add(tx: Session, row: Mapping[str, Any]) -> Ask:
    """Takes a code for a customer; answers with the claim's number, and with nothing when it was
    taken before."""
    return adding(tx, Claim, row)


def add_claim(
    tx: Session, code: Code, customer_id: int, campaign_id: int | None, now: datetime
) -> Claim | None:
    """Take a code for a customer; None when it was taken before."""
    row = row_of(code, customer_id, campaign_id, now)
    claim_id = insert_new_id(tx, Claim, row)
    return None if claim_id is None else Claim(id=claim_id, **row)
