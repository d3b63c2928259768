"""Complaints as both sides read them, and the batches that have more of them than others."""

import base64
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral import audit, complaints
from referral.audit import AuditEntry
from referral.batches import Batch
from referral.catalog import Product
from referral.claims import Claim
from referral.complaints import (
    NONE,
    Complaint,
    ComplaintCount,
    ComplaintPicture,
    Kind,
    State,
    UnknownComplaint,
)
from referral.crypto import KeyRing
from referral.reports.spread_rates import Rate, share
from referral.rollups import tallies
from referral.staff import StaffMember

PAGE = 50
WORST = 10
"""How many batches are held beside their claims."""
MANY = 3
"""Fewer complaints than this say nothing of a batch."""
PACKAGES_OFFERED = 20
PRODUCTS_HELD = 100
"""With how many products' batches one is compared that is the only one of its product."""


@dataclass(frozen=True)
class Filter:
    """Which complaints a list shows. None leaves something out of the question."""

    state: State | None = None
    owner_id: int | None = None
    has_owner: bool | None = None
    product_id: int | None = None
    batch_id: int | None = None
    kind: Kind | None = None
    older_than: timedelta | None = None


@dataclass(frozen=True)
class Line:
    """A complaint in a list."""

    id: int
    kind: str
    state: str
    customer_id: int
    owner: str | None
    """What the owner is called."""
    product_name: str | None
    batch_id: int | None
    batch_name: str | None
    opened_at: datetime
    changed_at: datetime


@dataclass(frozen=True)
class Lines:
    """Some of a list. `next` is the number that the following ones are behind; None on the last."""

    rows: list[Line]
    next: int | None


def lines(
    tx: Session,
    which: Filter,
    now: datetime,
    *,
    after: int | None = None,
    newest_first: bool = False,
    limit: int = PAGE,
) -> Lines:
    """Complaints, those first that wait longest, or the newest."""
    statement = _lines().where(*_conditions(which, now))
    if after is not None:
        statement = statement.where(Complaint.id < after if newest_first else Complaint.id > after)
    order = Complaint.id.desc() if newest_first else Complaint.id
    rows = tx.execute(statement.order_by(order).limit(limit + 1)).all()
    found = [Line(*row) for row in rows[:limit]]
    return Lines(found, found[-1].id if len(rows) > limit else None)


def _lines() -> sa.Select[Any]:
    called = sa.case((StaffMember.name != "", StaffMember.name), else_=StaffMember.email)
    return (
        sa.select(
            Complaint.id,
            Complaint.kind,
            Complaint.state,
            Complaint.customer_id,
            called,
            Product.name,
            Complaint.batch_id,
            Batch.name,
            Complaint.opened_at,
            Complaint.changed_at,
        )
        .outerjoin(StaffMember, StaffMember.id == Complaint.owner_id)
        .outerjoin(Product, Product.id == Complaint.product_id)
        .outerjoin(Batch, Batch.id == Complaint.batch_id)
    )


def _conditions(which: Filter, now: datetime) -> list[sa.ColumnElement[bool]]:
    wanted = {
        Complaint.state: which.state,
        Complaint.owner_id: which.owner_id,
        Complaint.product_id: which.product_id,
        Complaint.batch_id: which.batch_id,
        Complaint.kind: which.kind,
    }
    found = [column == value for column, value in wanted.items() if value is not None]
    if which.has_owner is not None:
        is_owned = Complaint.owner_id.is_not(None)
        found.append(is_owned if which.has_owner else ~is_owned)
    if which.older_than is not None:
        found.append(Complaint.opened_at < now - which.older_than)
    return found


def count_in_states(tx: Session) -> dict[str, int]:
    """How many complaints there are in each state."""
    rows = tx.execute(sa.select(Complaint.state, sa.func.count()).group_by(Complaint.state))
    found = {row[0]: row[1] for row in rows}
    return {state.value: found.get(state, 0) for state in State}


@dataclass(frozen=True)
class Message:
    """What one of the two sides wrote."""

    text: str
    at: datetime
    by: str | None
    """What the member of staff is called; None for the customer."""


@dataclass(frozen=True)
class ComplaintPage:
    """A complaint with all that was written."""

    complaint: Complaint
    product_name: str | None
    batch_name: str | None
    owner: StaffMember | None
    messages: Sequence[Message]
    picture: tuple[int, int] | None
    """Width and height of the photograph; None without one."""
    history: Sequence[AuditEntry] = ()
    """What was done, oldest first; for staff only."""
    owner_name: str | None = None


def complaint(tx: Session, keys: KeyRing, number: int) -> ComplaintPage:
    """A complaint as staff see it. Raises `UnknownComplaint`."""
    return _page(tx, keys, complaints.complaint_by_id(tx, number), for_staff=True)


def own_complaint(tx: Session, keys: KeyRing, number: int, customer_id: int) -> ComplaintPage:
    """A complaint as the customer sees it. Raises `UnknownComplaint` for somebody else's."""
    found = complaints.complaint_by_id(tx, number)
    if found.customer_id != customer_id:
        raise UnknownComplaint()
    return _page(tx, keys, found, for_staff=False)


def _page(tx: Session, keys: KeyRing, found: Complaint, *, for_staff: bool) -> ComplaintPage:
    row = tx.execute(
        sa.select(Product.name, Batch.name)
        .select_from(Complaint)
        .outerjoin(Product, Product.id == Complaint.product_id)
        .outerjoin(Batch, Batch.id == Complaint.batch_id)
        .where(Complaint.id == found.id)
    ).one()
    written = complaints.messages_of(tx, found.id)
    concerned = {each.staff_id for each in written if each.staff_id} | {found.owner_id or 0}
    members = {
        each.id: each
        for each in tx.scalars(sa.select(StaffMember).where(StaffMember.id.in_(concerned)))
    }
    size = tx.execute(
        sa.select(ComplaintPicture.width, ComplaintPicture.height).where(
            ComplaintPicture.complaint_id == found.id
        )
    ).one_or_none()
    owner = members.get(found.owner_id or 0)
    return ComplaintPage(
        complaint=found,
        product_name=row[0],
        batch_name=row[1],
        owner=owner,
        messages=[_message(keys, each, members) for each in written],
        picture=(size.width, size.height) if size else None,
        history=audit.of_subject(tx, found.subject) if for_staff else (),
        owner_name=called(owner) if owner else None,
    )


def _message(
    keys: KeyRing, written: complaints.ComplaintMessage, members: Mapping[int, StaffMember]
) -> Message:
    by = called(members[written.staff_id]) if written.staff_id else None
    return Message(keys.decrypt(written.text_encrypted), written.at, by)


def called(member: StaffMember) -> str:
    """What colleagues call a member."""
    return member.name or member.email


def picture(tx: Session, keys: KeyRing, number: int) -> bytes:
    """The photograph of a complaint, a JPEG. Raises `UnknownComplaint` where there is none."""
    found = tx.scalar(
        sa.select(ComplaintPicture.data_encrypted).where(ComplaintPicture.complaint_id == number)
    )
    if found is None:
        raise UnknownComplaint()
    return base64.b64decode(keys.decrypt(found))


# What a customer sees of her own


def of_customer(
    tx: Session, customer_id: int, *, after: int | None = None, limit: int = PAGE
) -> Lines:
    """A customer's complaints, newest first."""
    statement = _lines().where(Complaint.customer_id == customer_id)
    if after is not None:
        statement = statement.where(Complaint.id < after)
    rows = tx.execute(statement.order_by(Complaint.id.desc()).limit(limit + 1)).all()
    found = [Line(*row) for row in rows[:limit]]
    return Lines(found, found[-1].id if len(rows) > limit else None)


@dataclass(frozen=True)
class OwnPackage:
    """A package that a customer may complain about."""

    claim_id: int
    product_name: str
    at: datetime


def packages_of(tx: Session, customer_id: int) -> list[OwnPackage]:
    """The latest packages that a customer claimed."""
    rows = tx.execute(
        sa.select(Claim.id, Product.name, Claim.at)
        .join(Batch, Batch.id == Claim.batch_id)
        .join(Product, Product.id == Batch.product_id)
        .where(Claim.customer_id == customer_id)
        .order_by(Claim.at.desc(), Claim.id.desc())
        .limit(PACKAGES_OFFERED)
    )
    return [OwnPackage(*row) for row in rows]


# Batches


@dataclass(frozen=True)
class BatchComplaints:
    """How many complaints a batch has had, beside its claims."""

    batch_id: int
    batch_name: str
    product_id: int
    product_name: str
    kinds: Mapping[str, int]
    claims: int
    usual: float | None
    """How many complaints there are for a claim of the product's other batches; where these have no
    claims, of all other batches. None without any."""

    @property
    def count(self) -> int:
        return sum(self.kinds.values())

    @property
    def rate(self) -> Rate | None:
        """Complaints for each claim; None where nothing was claimed."""
        if not self.claims:
            return None
        return share(min(self.count, self.claims), self.claims)

    @property
    def stands_out(self) -> bool:
        """Whether there are surely more than others have: the low end of the interval lies above
        what is usual, or there are complaints and no claims."""
        if self.count < MANY:
            return False
        if self.rate is None:
            return True
        return self.usual is not None and self.rate.low > self.usual


def worst_batches(tx: Session, limit: int = WORST) -> list[BatchComplaints]:
    """The batches with the most complaints."""
    total = sa.func.sum(ComplaintCount.count)
    rows = tx.execute(
        sa.select(ComplaintCount.batch_id)
        .where(ComplaintCount.batch_id != NONE)
        .group_by(ComplaintCount.batch_id)
        .order_by(total.desc(), ComplaintCount.batch_id.desc())
        .limit(limit)
    )
    return of_batches(tx, [row[0] for row in rows])


def of_batches(tx: Session, batches: Collection[int]) -> list[BatchComplaints]:
    """The complaints of these batches, in their order."""
    named = {
        row.id: row
        for row in tx.execute(
            sa.select(Batch.id, Batch.name, Batch.product_id, Product.name.label("product"))
            .join(Product, Product.id == Batch.product_id)
            .where(Batch.id.in_(batches))
        )
    }
    kinds: dict[int, dict[str, int]] = defaultdict(dict)
    counted = sa.select(ComplaintCount.batch_id, ComplaintCount.kind, ComplaintCount.count)
    for batch, kind, times in tx.execute(counted.where(ComplaintCount.batch_id.in_(batches))):
        kinds[batch][kind] = int(times)
    told = _by_product(tx)
    claimed = tallies.claims_by_batch(tx, list(named))
    products = sorted({*told, *(row.product_id for row in named.values())})
    all_claimed = tallies.claims_by_product(tx, products)
    found = []
    for batch in batches:
        row = named[batch]
        own = (sum(kinds[batch].values()), claimed[batch])
        of_product = (told.get(row.product_id, 0), all_claimed[row.product_id])
        of_all = (sum(told.values()), all_claimed.total())
        usual = _usual(of_product, own)
        found.append(
            BatchComplaints(
                batch_id=batch,
                batch_name=row.name,
                product_id=row.product_id,
                product_name=row.product,
                kinds=kinds[batch],
                claims=claimed[batch],
                usual=_usual(of_all, own) if usual is None else usual,
            )
        )
    return found


def _usual(of_all: tuple[int, int], own: tuple[int, int]) -> float | None:
    """Complaints for each claim of what is not one's own; both are given by their numbers."""
    told, claimed = (whole - part for whole, part in zip(of_all, own, strict=True))
    return max(told, 0) / claimed if claimed > 0 else None


def _by_product(tx: Session) -> dict[int, int]:
    """How many complaints there are of each product that has any, the most of them first."""
    total = sa.func.sum(ComplaintCount.count)
    rows = tx.execute(
        sa.select(ComplaintCount.product_id, total)
        .where(ComplaintCount.batch_id != NONE)
        .group_by(ComplaintCount.product_id)
        .order_by(total.desc())
        .limit(PRODUCTS_HELD)
    )
    return {row[0]: int(row[1]) for row in rows}
