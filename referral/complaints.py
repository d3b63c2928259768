"""Complaints: what a customer says is wrong with a package, and what becomes of it.

A complaint has a number, an owner among the staff and a state. What is written is kept encrypted,
as all that people say of themselves; the steps are in the audit log, without their words.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from referral import people
from referral.crypto import KeyRing
from referral.db import Base, RowId, insert_new_id, run, upsert
from referral.errors import N_, Conflict, InvalidInput, NotFound
from referral.gathering import add_up
from referral.texts import paragraphs

TEXT_LENGTH_MAX = 1000
KEY_LENGTH_MAX = 32
REPLY_TIME = timedelta(days=30)
"""How long after an answer, or after it was closed, the customer may write back."""
NONE = 0
"""Stands for no product and no batch in the counts: a key has no empty parts."""


class Kind(StrEnum):
    damaged = "damaged"
    taste = "taste"
    not_genuine = "not_genuine"
    delivery = "delivery"
    other = "other"


class State(StrEnum):
    """Who is to do something next."""

    open = "open"
    """The brand."""
    waiting = "waiting"
    """The customer, who was asked something."""
    answered = "answered"
    """Nobody; the customer may write back once."""
    closed = "closed"


class Complaint(Base):
    """What a customer says is wrong. Its id is the number that both sides name it by."""

    __tablename__ = "complaints"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    key: Mapped[str] = mapped_column(sa.String(KEY_LENGTH_MAX))
    """Of the form it came by: the same form sent twice is one complaint."""
    customer_id: Mapped[int] = mapped_column(sa.ForeignKey("customers.id"))
    kind: Mapped[str] = mapped_column(sa.String(12))
    state: Mapped[str] = mapped_column(sa.String(8))
    owner_id: Mapped[int | None] = mapped_column(sa.ForeignKey("staff.id"))
    """Who of the staff has taken it over."""
    product_id: Mapped[int | None] = mapped_column(sa.ForeignKey("products.id"))
    batch_id: Mapped[int | None] = mapped_column(sa.ForeignKey("batches.id"))
    code_index: Mapped[int | None] = mapped_column(sa.BigInteger)
    """The package, where the customer has said which."""
    may_reply: Mapped[bool]
    """Whether the customer has not written since the last answer."""
    step: Mapped[int] = mapped_column(sa.Integer)
    """How often it has changed: what tells two who act at once apart."""
    opened_at: Mapped[datetime]
    changed_at: Mapped[datetime]

    __table_args__ = (
        sa.UniqueConstraint("customer_id", "key"),
        sa.CheckConstraint(
            "kind IN ('damaged', 'taste', 'not_genuine', 'delivery', 'other')", name="known_kind"
        ),
        sa.CheckConstraint(
            "state IN ('open', 'waiting', 'answered', 'closed')", name="known_state"
        ),
        sa.CheckConstraint(
            "(batch_id IS NULL) = (code_index IS NULL)", name="package_is_batch_and_index"
        ),
        sa.Index("ix_complaints_of_customer", "customer_id", "id"),
        sa.Index("ix_complaints_in_state", "state", "id"),
        sa.Index("ix_complaints_of_owner", "owner_id", "state", "id"),
        sa.Index("ix_complaints_of_product", "product_id", "id"),
        sa.Index("ix_complaints_of_batch", "batch_id", "id"),
    )

    @property
    def subject(self) -> str:
        """As the audit log names it."""
        return subject_of(self.id)

    def is_open_to_customer(self, now: datetime) -> bool:
        """Whether the customer may write back at this moment."""
        return self.may_reply and now < self.changed_at + REPLY_TIME


def subject_of(number: int) -> str:
    """As the audit log names a complaint."""
    return f"complaint:{number}"


class ComplaintMessage(Base):
    """What one of the two sides wrote."""

    __tablename__ = "complaint_messages"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    complaint_id: Mapped[int] = mapped_column(sa.ForeignKey("complaints.id"), index=True)
    staff_id: Mapped[int | None] = mapped_column(sa.ForeignKey("staff.id"))
    """Who of the staff; None for the customer."""
    text_encrypted: Mapped[str] = mapped_column(sa.Text)
    at: Mapped[datetime]


class ComplaintPicture(Base):
    """A photograph that came with a complaint: made anew as all pictures are, and encrypted."""

    __tablename__ = "complaint_pictures"

    complaint_id: Mapped[int] = mapped_column(
        sa.ForeignKey("complaints.id"), primary_key=True, autoincrement=False
    )
    data_encrypted: Mapped[str] = mapped_column(sa.Text, deferred=True)
    """The JPEG in base64, encrypted."""
    width: Mapped[int] = mapped_column(sa.Integer)
    height: Mapped[int] = mapped_column(sa.Integer)


class ComplaintCount(Base):
    """How many complaints of a kind a batch has had, whatever became of them."""

    __tablename__ = "complaint_counts"

    product_id: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    """The product, or `NONE`."""
    batch_id: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    """The batch, or `NONE`."""
    kind: Mapped[str] = mapped_column(sa.String(12), primary_key=True)
    count: Mapped[int] = mapped_column(sa.BigInteger)

    __table_args__ = (sa.Index(None, "batch_id"),)


class UnknownComplaint(NotFound):
    slug = "unknown-complaint"
    title = N_("There is no such complaint.")


class EmptyText(InvalidInput):
    slug = "empty-text"
    title = N_("Please say in a few words what is wrong.")
    advice = N_("Up to 1,000 characters fit.")


class NoReplyNow(Conflict):
    slug = "no-reply-now"
    title = N_("You have written already; it is our turn.")
    advice = N_("Our answer will be on your page. Something else is wrong? Please tell us anew.")


class ComplaintChanged(Conflict):
    slug = "complaint-changed"
    title = N_("Somebody has done something about this complaint in the meantime.")
    advice = N_("Please look at it again.")


def clean_text(text: str) -> str:
    """What is written, as it is kept. Raises `EmptyText`, also for what is too long."""
    kept = paragraphs(text)
    if not 0 < len(kept) <= TEXT_LENGTH_MAX:
        raise EmptyText()
    return kept


def add_complaint(
    tx: Session,
    *,
    key: str,
    customer_id: int,
    kind: Kind,
    product_id: int | None,
    package: tuple[int, int] | None,
    now: datetime,
) -> int | None:
    """A new complaint, counted. Returns its number; None when this form has made one before."""
    batch_id, index = package or (None, None)
    number = insert_new_id(
        tx,
        Complaint,
        {
            "key": key[:KEY_LENGTH_MAX],
            "customer_id": customer_id,
            "kind": kind.value,
            "state": State.open.value,
            "owner_id": None,
            "product_id": product_id,
            "batch_id": batch_id,
            "code_index": index,
            "may_reply": False,
            "step": 0,
            "opened_at": now,
            "changed_at": now,
        },
    )
    if number is not None:
        row = {"product_id": product_id or NONE, "batch_id": batch_id or NONE, "kind": kind.value}
        run(tx, upsert(tx, ComplaintCount, add_up), **row, count=1)
    return number


def number_of(tx: Session, customer_id: int, key: str) -> int | None:
    """The complaint that a form of this customer has made."""
    of = (Complaint.customer_id == customer_id, Complaint.key == key[:KEY_LENGTH_MAX])
    return tx.scalar(sa.select(Complaint.id).where(*of))


def complaint_by_id(tx: Session, number: int, *, for_update: bool = False) -> Complaint:
    """Raises `UnknownComplaint`."""
    of = sa.select(Complaint).where(Complaint.id == number)
    found = tx.scalar(of.with_for_update() if for_update else of)
    if found is None:
        raise UnknownComplaint()
    return found


def write(
    tx: Session, keys: KeyRing, number: int, text: str, *, staff_id: int | None, now: datetime
) -> None:
    """Keep what was written, which `clean_text` has made ready."""
    encrypted = keys.encrypt(text)
    tx.add(
        ComplaintMessage(complaint_id=number, staff_id=staff_id, text_encrypted=encrypted, at=now)
    )
    tx.flush()


def messages_of(tx: Session, number: int) -> Sequence[ComplaintMessage]:
    """What was written, oldest first."""
    of = sa.select(ComplaintMessage).where(ComplaintMessage.complaint_id == number)
    return tx.scalars(of.order_by(ComplaintMessage.id)).all()


def hand_over(tx: Session, gone: int, kept: int) -> list[int]:
    """Make one customer's complaints the other's, who is the same person. Returns their numbers."""
    return people.moved(tx, Complaint, gone, kept)
