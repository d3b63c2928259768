"""Customers as a file: by nickname, with contacts as they are masked everywhere; and the tree of
who brought in whom."""

from collections import defaultdict
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral.errors import N_
from referral.exports.kinds import AT_ONCE, Column, Graph, Key, Kind, Page, Wanted, register
from referral.graph import Referral
from referral.ledger import Account
from referral.ledger import Kind as Held
from referral.people import Contact, Customer, Identity, IdentityKind
from referral.spread import counters


def _found(tx: Session, after: Key | None) -> Sequence[Customer]:
    return tx.scalars(
        sa.select(Customer)
        .where(Customer.id > (after[0] if after else 0))
        .order_by(Customer.id)
        .limit(AT_ONCE)
    ).all()


def _customers(tx: Session, wanted: Wanted, after: Key | None) -> Page:
    found = _found(tx, after)
    shown = [each for each in found if each.merged_into is None]
    ids = [each.id for each in shown]
    contacts = _contacts(tx, wanted, ids)
    held = _held(tx, ids)
    referrals = {r.customer_id: r for r in tx.scalars(_referrals(ids))}
    below = counters.counts_of(tx, counters.TREE, ids) if ids else {}
    rows = [
        (
            each.id,
            wanted.keys.decrypt_if_any(each.name_encrypted),
            each.created_at,
            contacts[each.id],
            referrals[each.id].referrer_id if each.id in referrals else None,
            referrals[each.id].at if each.id in referrals else None,
            below[each.id].direct,
            below[each.id].total,
            held[each.id, Held.wallet],
            held[each.id, Held.pending],
        )
        for each in shown
    ]
    return Page(rows, [found[-1].id] if len(found) == AT_ONCE else None)


def _referrals(ids: list[int]) -> sa.Select[Referral]:
    return sa.select(Referral).where(Referral.customer_id.in_(ids))


def _contacts(tx: Session, wanted: Wanted, ids: list[int]) -> dict[int, str]:
    found: dict[int, list[str]] = defaultdict(list)
    identities = sa.select(Identity).where(Identity.customer_id.in_(ids)).order_by(Identity.id)
    for identity in tx.scalars(identities):
        value = wanted.keys.decrypt(identity.value_encrypted)
        found[identity.customer_id].append(Contact(IdentityKind(identity.kind), value).masked)
    return defaultdict(str, {customer: ", ".join(each) for customer, each in found.items()})


def _held(tx: Session, ids: list[int]) -> dict[tuple[int, str], int]:
    rows = tx.execute(
        sa.select(Account.owner, Account.kind, Account.balance).where(
            Account.kind.in_([Held.wallet, Held.pending]),
            Account.owner.in_(ids),
            Account.unit == "points",
        )
    )
    return defaultdict(int, {(owner, kind): balance for owner, kind, balance in rows})


def _count(tx: Session, wanted: Wanted) -> int:
    there = Customer.merged_into.is_(None)
    return tx.scalar(sa.select(sa.func.count()).select_from(Customer).where(there)) or 0


register(
    Kind(
        name="customers",
        title=N_("Customers"),
        columns=(
            Column("customer", N_("Customer")),
            Column("name", N_("Name"), 20),
            Column("since", N_("Since"), 20),
            Column("contacts", N_("Contacts, masked"), 30),
            Column("referrer", N_("Brought in by")),
            Column("brought_in_at", N_("Brought in"), 20),
            Column("direct", N_("Friends")),
            Column("total", N_("All below")),
            Column("points", N_("Points")),
            Column("pending", N_("Points on hold")),
        ),
        page=_customers,
        count=_count,
    )
)


def _tree(tx: Session, wanted: Wanted, after: Key | None) -> Page:
    found = tx.scalars(
        sa.select(Referral)
        .where(Referral.customer_id > (after[0] if after else 0))
        .order_by(Referral.customer_id)
        .limit(AT_ONCE)
    ).all()
    ids = [each.customer_id for each in found]
    below = counters.counts_of(tx, counters.TREE, ids) if ids else {}
    rows = [
        (
            str(each.customer_id),
            "" if each.referrer_id is None else str(each.referrer_id),
            each.at,
            each.event,
            below[each.customer_id].direct,
            below[each.customer_id].total,
        )
        for each in found
    ]
    return Page(rows, [found[-1].customer_id] if len(found) == AT_ONCE else None)


def _count_tree(tx: Session, wanted: Wanted) -> int:
    return tx.scalar(sa.select(sa.func.count()).select_from(Referral)) or 0


register(
    Kind(
        name="tree",
        title=N_("Referral tree"),
        columns=(
            Column("customer", N_("Customer")),
            Column("referrer", N_("Brought in by")),
            Column("at", N_("Brought in"), 20),
            Column("event", N_("Cause"), 18),
            Column("direct", N_("Friends")),
            Column("total", N_("All below")),
        ),
        page=_tree,
        count=_count_tree,
        graph=Graph(
            node="customer",
            parent="referrer",
            of_node={"at": "string", "direct": "long", "total": "long"},
            of_edge={"event": "string"},
        ),
    )
)
