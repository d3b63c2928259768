"""Who a customer is: names, identities, balances, and what the API says of one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral import claims, ledger, people, rewards
from referral.claims import Claim
from referral.codes import Code
from referral.crypto import KeyRing
from referral.graph import Referral
from referral.people import Contact, Customer, Identity, IdentityKind
from referral.reports import reach, wallet
from referral.rewards import Reward


@dataclass(frozen=True)
class Balance:
    unit: str
    available: int
    pending: int
    owed: int = 0
    """What was spent and then taken back, above zero: what becomes available next pays it."""


def balances(tx: Session, customer_id: int) -> list[Balance]:
    """Points always, and every other unit the customer has had."""
    kinds = (ledger.Kind.wallet, ledger.Kind.pending, ledger.Kind.owed)
    available, pending, owed = ledger.balances_of_kinds(tx, kinds, customer_id)
    units = {"points", *available, *pending, *(unit for unit, debt in owed.items() if debt)}
    return [
        Balance(unit, available.get(unit, 0), pending.get(unit, 0), -owed.get(unit, 0))
        for unit in sorted(units, key=lambda unit: (unit != "points", unit))
    ]


def name_of(tx: Session, keys: KeyRing, customer_id: int) -> str | None:
    stored = people.customer_by_id(tx, customer_id).name_encrypted
    return keys.decrypt_if_any(stored)


def name_if_any(tx: Session, keys: KeyRing, customer_id: int | None) -> str | None:
    """The name of a customer who may not be there."""
    if customer_id is None:
        return None
    kept = sa.orm.aliased(Customer)
    stored = tx.scalar(
        sa.select(kept.name_encrypted)
        .join(Customer, kept.id == sa.func.coalesce(Customer.merged_into, Customer.id))
        .where(Customer.id == customer_id)
    )
    return keys.decrypt_if_any(stored)


@dataclass(frozen=True)
class ClaimReport:
    rewards: list[Reward]
    """The customer's own rewards for the claim."""
    is_first: bool
    """Whether it is what settled who brought the customer in."""
    brought_in: bool
    """Whether somebody was rewarded for having brought the customer to this first claim."""
    referrer_name: str | None
    claim_id: int | None = None
    """None where the claim is not the customer's."""


def claim_report(tx: Session, keys: KeyRing, code: Code, customer_id: int) -> ClaimReport:
    """What a customer's claim of a code brought."""
    claim = claims.claim_of(tx, code)
    if claim is None or claim.customer_id != customer_id:
        return ClaimReport([], False, False, None)
    granted = rewards.of_event(tx, claim.event)
    own = [reward for reward in granted if reward.holder_id == customer_id]
    referral = tx.get(Referral, customer_id)
    is_first = referral is not None and referral.event == claim.event
    thanked = [reward.beneficiary_id for reward in granted if reward.depth]
    if not is_first or not thanked:
        return ClaimReport(own, is_first, False, None, claim.id)
    return ClaimReport(own, True, True, name_if_any(tx, keys, thanked[0]), claim.id)


def profile(tx: Session, keys: KeyRing, customer_id: int) -> dict[str, Any]:
    """A customer as the API shows one; no personal data but the name. Raises `UnknownCustomer`.

    Of one who has gone into another customer, that one is shown.
    """
    customer = people.customer_by_id(tx, customer_id)
    customer_id = customer.id
    referral = tx.get(Referral, customer_id)
    claimed = sa.select(sa.func.count()).where(Claim.customer_id == customer_id)
    return {
        "id": customer.id,
        "name": name_of(tx, keys, customer_id),
        "created_at": customer.created_at,
        "referrer_id": referral.referrer_id if referral else None,
        "referred": wallet.friend_count(tx, customer_id),
        "reached": reach.people_reached(tx, customer_id),
        "claims": tx.scalar(claimed),
        "balances": {
            balance.unit: {"available": balance.available, "pending": balance.pending}
            for balance in balances(tx, customer_id)
        },
    }


def masked_contacts(tx: Session, keys: KeyRing, customer_id: int) -> list[tuple[str, str]]:
    """Kind and masked value of each identity."""
    found = people.identities_of(tx, keys, customer_id)
    return [(identity.kind, identity.masked) for identity in found]


def masked_contacts_of(
    tx: Session, keys: KeyRing, customer_ids: Sequence[int]
) -> dict[int, list[tuple[str, str]]]:
    """The same of several customers, by customer."""
    found: dict[int, list[tuple[str, str]]] = {each: [] for each in customer_ids}
    rows = tx.execute(
        sa.select(Identity.customer_id, Identity.kind, Identity.value_encrypted)
        .where(Identity.customer_id.in_(customer_ids))
        .order_by(Identity.id)
    )
    for customer, kind, value in rows:
        contact = Contact(IdentityKind(kind), keys.decrypt(value))
        found[customer].append((kind, contact.masked))
    return found
