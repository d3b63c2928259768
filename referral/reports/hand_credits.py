"""Credits by hand as staff and customers read them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased

from referral import people
from referral.campaigns import Campaign, CampaignState
from referral.hand_credits import UNIT, HandCredit, State
from referral.ledger import Account, Kind
from referral.staff import StaffMember

WAITING_MAX = 100
BUDGETS_MAX = 100


@dataclass(frozen=True)
class Line:
    """A credit, with who is named in it."""

    credit: HandCredit
    asked_by: str
    decided_by: str | None
    campaign: str
    slug: str


_asker, _decider = aliased(StaffMember), aliased(StaffMember)


def _lines(tx: Session, statement: sa.Select[HandCredit]) -> list[Line]:
    rows = tx.execute(
        statement.add_columns(_asker.email, _decider.email, Campaign.title, Campaign.slug)
        .join(_asker, _asker.id == HandCredit.asked_by)
        .outerjoin(_decider, _decider.id == HandCredit.decided_by)
        .join(Campaign, Campaign.id == HandCredit.campaign_id)
    )
    return [Line(*row) for row in rows]


def waiting(tx: Session) -> list[Line]:
    """What waits for somebody's approval, oldest first, up to `WAITING_MAX`."""
    return _lines(
        tx,
        sa.select(HandCredit)
        .where(HandCredit.state == State.waiting)
        .order_by(HandCredit.id)
        .limit(WAITING_MAX),
    )


def waiting_count(tx: Session) -> int:
    is_waiting = HandCredit.state == State.waiting
    return tx.scalar(sa.select(sa.func.count()).where(is_waiting)) or 0


def decided(
    tx: Session, *, before: int | None = None, customer_id: int | None = None, limit: int
) -> list[Line]:
    """What is decided, newest first; of one customer where one is named."""
    statement = (
        sa.select(HandCredit)
        .where(HandCredit.state != State.waiting)
        .order_by(HandCredit.id.desc())
        .limit(limit)
    )
    if before is not None:
        statement = statement.where(HandCredit.id < before)
    if customer_id is not None:
        statement = statement.where(HandCredit.customer_id == customer_id)
    return _lines(tx, statement)


@dataclass(frozen=True)
class Budget:
    """A campaign whose budget can be credited from."""

    campaign_id: int
    title: str
    left: int


def budgets(tx: Session) -> list[Budget]:
    """The newest campaigns that have put up points, up to `BUDGETS_MAX`."""
    newest = (
        sa.select(Campaign.id, Campaign.title)
        .where(Campaign.state == CampaignState.published)
        .order_by(Campaign.id.desc())
        .limit(BUDGETS_MAX)
        .subquery()
    )
    rows = tx.execute(
        sa.select(newest.c.id, newest.c.title, sa.func.sum(Account.balance))
        .join(
            Account,
            sa.and_(
                Account.kind == Kind.budget,
                Account.owner == newest.c.id,
                Account.unit == UNIT,
            ),
        )
        .group_by(newest.c.id, newest.c.title)
        .order_by(newest.c.id.desc())
    )
    return [Budget(number, title, int(left)) for number, title, left in rows]


def told_of(tx: Session, events: Collection[str]) -> dict[str, str]:
    """What the customer is to read of these rewards, by event; empty where staff wrote nothing."""
    numbers = [int(event[7:]) for event in events if event.startswith("credit:")]
    if not numbers:
        return {}
    rows = tx.execute(sa.select(HandCredit.id, HandCredit.told).where(HandCredit.id.in_(numbers)))
    return {f"credit:{number}": told for number, told in rows}


def taken_of(tx: Session, customer_id: int, *, offset: int, limit: int) -> Sequence[HandCredit]:
    """What was taken back from a customer by hand, newest first."""
    return tx.scalars(
        sa.select(HandCredit)
        .where(
            HandCredit.customer_id.in_(people.numbers_of(tx, customer_id)),
            HandCredit.amount < 0,
            HandCredit.state == State.done,
        )
        .order_by(HandCredit.id.desc())
        .offset(offset)
        .limit(limit)
    ).all()
