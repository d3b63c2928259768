"""What a customer sees at /me, and what the API and the console say of a customer."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral import claims, ledger, people, rewards
from referral.batches import Batch
from referral.catalog import Product
from referral.claims import Claim
from referral.codes import Code
from referral.crypto import KeyRing
from referral.graph import Referral, SpreadNode
from referral.people import Customer, Identity, Visitor
from referral.rewards import Reward

SHOWN_MAX = 50
"""How many rewards, bottles and friends a customer's page lists, newest first."""
REACH_HOPS_MAX = 20


@dataclass(frozen=True)
class Balance:
    unit: str
    available: int
    pending: int


def balances(tx: Session, customer_id: int) -> list[Balance]:
    """Points always, and every other unit the customer has had."""
    available = ledger.balances(tx, ledger.Kind.wallet, customer_id)
    pending = ledger.balances(tx, ledger.Kind.pending, customer_id)
    units = sorted({"points", *available, *pending}, key=lambda unit: (unit != "points", unit))
    return [Balance(unit, available.get(unit, 0), pending.get(unit, 0)) for unit in units]


def name_of(tx: Session, keys: KeyRing, customer_id: int) -> str | None:
    stored = people.customer_by_id(tx, customer_id).name_encrypted
    return keys.decrypt_if_any(stored)


def name_if_any(tx: Session, keys: KeyRing, customer_id: int | None) -> str | None:
    """The name of a customer who may not be there."""
    if customer_id is None:
        return None
    stored = tx.scalar(sa.select(Customer.name_encrypted).where(Customer.id == customer_id))
    return keys.decrypt_if_any(stored)


@dataclass(frozen=True)
class ClaimReport:
    rewards: list[Reward]
    """The customer's own rewards for the claim."""
    brought_in: bool
    """Whether somebody was rewarded for having brought the customer to this first claim."""
    referrer_name: str | None


def claim_report(tx: Session, keys: KeyRing, code: Code, customer_id: int) -> ClaimReport:
    """What a customer's claim of a code brought."""
    claim = claims.claim_of(tx, code)
    if claim is None or claim.customer_id != customer_id:
        return ClaimReport([], False, None)
    granted = rewards.of_event(tx, claim.event)
    own = [reward for reward in granted if reward.beneficiary_id == customer_id]
    referral = tx.get(Referral, customer_id)
    is_first = referral is not None and referral.event == claim.event
    thanked = [reward.beneficiary_id for reward in granted if reward.depth]
    if not is_first or not thanked:
        return ClaimReport(own, False, None)
    return ClaimReport(own, True, name_if_any(tx, keys, thanked[0]))


def rewards_of(tx: Session, customer_id: int) -> list[Reward]:
    return list(
        tx.scalars(
            sa.select(Reward)
            .where(Reward.beneficiary_id == customer_id)
            .order_by(Reward.id.desc())
            .limit(SHOWN_MAX)
        )
    )


@dataclass(frozen=True)
class Friend:
    name: str | None
    at: datetime


def friends_of(tx: Session, keys: KeyRing, customer_id: int) -> list[Friend]:
    """The customers this one brought in, newest first."""
    rows = tx.execute(
        sa.select(Customer.name_encrypted, Referral.at)
        .join(Referral, Referral.customer_id == Customer.id)
        .where(Referral.referrer_id == customer_id)
        .order_by(Referral.at.desc())
        .limit(SHOWN_MAX)
    )
    return [Friend(keys.decrypt_if_any(name), at) for name, at in rows]


@dataclass(frozen=True)
class Bottle:
    product_name: str
    claimed_at: datetime


def bottles_of(tx: Session, customer_id: int) -> list[Bottle]:
    rows = tx.execute(
        sa.select(Product.name, Claim.at)
        .join(Batch, Batch.product_id == Product.id)
        .join(Claim, Claim.batch_id == Batch.id)
        .where(Claim.customer_id == customer_id)
        .order_by(Claim.at.desc(), Claim.id.desc())
        .limit(SHOWN_MAX)
    )
    return [Bottle(*row) for row in rows]


@dataclass(frozen=True)
class Reach:
    hop: int
    people: int


def reach_of(tx: Session, customer_id: int) -> list[Reach]:
    """How many visitors this customer's links reached, by hops away, nearest first.

    Each counts once, where nearest, over browsers and campaigns; the customer's own do not count.
    """
    below = sa.orm.aliased(SpreadNode)
    mine = sa.select(Visitor.id).where(Visitor.customer_id == customer_id)
    first = (
        sa.select(SpreadNode.campaign_id, SpreadNode.visitor_id, sa.literal(1).label("away"))
        .where(SpreadNode.parent_id.in_(mine))
        .cte("reached", recursive=True)
    )
    reached = first.union_all(
        sa.select(below.campaign_id, below.visitor_id, first.c.away + 1).join(
            first,
            sa.and_(
                below.campaign_id == first.c.campaign_id,
                below.parent_id == first.c.visitor_id,
                first.c.away < REACH_HOPS_MAX,
            ),
        )
    )
    nearest = (
        sa.select(reached.c.visitor_id, sa.func.min(reached.c.away).label("away"))
        .where(reached.c.visitor_id.not_in(mine))
        .group_by(reached.c.visitor_id)
        .subquery()
    )
    rows = tx.execute(
        sa.select(nearest.c.away, sa.func.count()).group_by(nearest.c.away).order_by(nearest.c.away)
    )
    return [Reach(*row) for row in rows]


def profile(tx: Session, keys: KeyRing, customer_id: int) -> dict[str, Any]:
    """A customer as the API shows one; no personal data but the name. Raises `UnknownCustomer`."""
    customer = people.customer_by_id(tx, customer_id)
    referral = tx.get(Referral, customer_id)
    count = sa.select(sa.func.count())
    return {
        "id": customer.id,
        "name": name_of(tx, keys, customer_id),
        "created_at": customer.created_at,
        "referrer_id": referral.referrer_id if referral else None,
        "referred": tx.scalar(count.where(Referral.referrer_id == customer_id)),
        "claims": tx.scalar(count.where(Claim.customer_id == customer_id)),
        "balances": {
            balance.unit: {"available": balance.available, "pending": balance.pending}
            for balance in balances(tx, customer_id)
        },
    }


def has_wechat(tx: Session, customer_id: int) -> bool:
    """Whether a customer can sign in with WeChat."""
    known = sa.exists().where(
        Identity.customer_id == customer_id, Identity.kind == people.IdentityKind.wechat
    )
    return tx.scalar(sa.select(known)) or False


def masked_contacts(tx: Session, keys: KeyRing, customer_id: int) -> list[tuple[str, str]]:
    """Kind and masked value of each identity."""
    rows = tx.execute(
        sa.select(Identity.kind, Identity.value_encrypted)
        .where(Identity.customer_id == customer_id)
        .order_by(Identity.id)
    )
    return [
        (kind, people.Contact(people.IdentityKind(kind), keys.decrypt(value)).masked)
        for kind, value in rows
    ]
