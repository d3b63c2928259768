"""Ledger entries with every posting, as staff read them."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral.ledger import Account, Kind, LedgerEntry, Posting
from referral.reports.lists import Listed, listed
from referral.rewards import Reward

PAGE = 25


@dataclass(frozen=True)
class PostingLine:
    """A signed amount on an account. `owner` is a campaign's or a customer's id, by `kind`."""

    kind: Kind
    owner: int
    unit: str
    amount: int


@dataclass(frozen=True)
class EntryLine:
    id: int
    key: str
    what: str
    at: datetime
    postings: list[PostingLine] = field(default_factory=list)

    @property
    def totals(self) -> dict[str, int]:
        """The sum of the postings by unit: zero each."""
        sums: dict[str, int] = defaultdict(int)
        for posting in self.postings:
            sums[posting.unit] += posting.amount
        return dict(sums)


def of_budget(
    tx: Session, campaign_id: int, *, offset: int = 0, limit: int = PAGE
) -> Listed[EntryLine]:
    """What was put into a campaign's budget and paid out of it, newest first."""
    slots = tx.scalars(
        sa.select(Account.id).where(Account.kind == Kind.budget, Account.owner == campaign_id)
    ).all()
    if not slots:
        return Listed([], None)
    # The last of each slot, out of an index; among these are the last of all.
    last = [
        sa.select(
            sa.select(Posting.entry_id)
            .where(Posting.account_id == slot)
            .order_by(Posting.entry_id.desc())
            .limit(offset + limit + 1)
            .subquery()
        )
        for slot in slots
    ]
    every = sa.union(*last).subquery()
    found = tx.scalars(
        sa.select(every.c.entry_id)
        .order_by(every.c.entry_id.desc())
        .offset(offset)
        .limit(limit + 1)
    ).all()
    page = listed(found, offset, limit)
    made = _entries(tx, LedgerEntry.id.in_(page.rows))
    return Listed([made[entry_id] for entry_id in page.rows], page.next)


def of_rewards(tx: Session, rewards: Sequence[Reward]) -> dict[int, list[EntryLine]]:
    """The entries behind each reward, by its id: the grant, and the release after a hold."""
    released = {f"release|{reward.id}": reward.id for reward in rewards}
    # Two questions, each with an index of its own: as one they would read the whole ledger.
    entries = _entries(tx, LedgerEntry.id.in_([reward.entry_id for reward in rewards]))
    entries |= _entries(tx, LedgerEntry.key.in_(list(released)))
    behind = {reward.id: [entries[reward.entry_id]] for reward in rewards}
    for entry in entries.values():
        if entry.key in released:
            behind[released[entry.key]].append(entry)
    return behind


def owners(entries: Iterable[EntryLine]) -> tuple[list[int], list[int]]:
    """The campaigns and the customers whose accounts these entries touch."""
    postings = [posting for entry in entries for posting in entry.postings]
    campaigns = {posting.owner for posting in postings if posting.kind is Kind.budget}
    customers = {p.owner for p in postings if p.kind in {Kind.wallet, Kind.pending}}
    return sorted(campaigns), sorted(customers)


def _entries(tx: Session, condition: sa.ColumnElement[bool]) -> dict[int, EntryLine]:
    # The slots of a budget are one account to whoever reads it.
    amount = sa.cast(sa.func.sum(Posting.amount), sa.BigInteger)
    rows = tx.execute(
        sa.select(LedgerEntry, Account.kind, Account.owner, Account.unit, amount)
        .join(Posting, Posting.entry_id == LedgerEntry.id)
        .join(Account, Account.id == Posting.account_id)
        .where(condition)
        .group_by(LedgerEntry.id, Account.kind, Account.owner, Account.unit)
        .order_by(LedgerEntry.id, amount, sa.func.min(Posting.id))
    )
    entries: dict[int, EntryLine] = {}
    for entry, kind, owner, unit, moved in rows:
        line = entries.setdefault(entry.id, EntryLine(entry.id, entry.key, entry.what, entry.at))
        line.postings.append(PostingLine(Kind(kind), owner, unit, moved))
    return entries
