"""How rewards are granted, released, expired and taken back, with the ledger's entries for each."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral import ledger, people
from referral.db import insert_new_id
from referral.db.round_trips import Ask, in_one_trip
from referral.graph import Referral
from referral.ledger import AccountName, Kind, Move
from referral.ledger.entries import Along
from referral.rewards import wallets
from referral.rewards.evaluation import Grant
from referral.rewards.records import TO_RELEASE, Reason, Reward, RewardState, Why, Withheld

RELEASE_BATCH = 500
"""How many rewards one transaction of the nightly pass moves."""


@dataclass(frozen=True)
class Terms:
    """What holds for all the rewards of one event."""

    event: str
    campaign_id: int
    currency: str | None
    hold: timedelta
    lasts: timedelta | None
    """How long they can be spent once they are available; None for ever."""
    is_cleared: bool
    owing: frozenset[int] = frozenset()
    """Who of the beneficiaries owes something. Without a hold, the caller has locked them."""


def grant(
    tx: Session,
    proposed: Sequence[Grant],
    terms: Terms,
    now: datetime,
    before: Sequence[Ask] = (),
) -> tuple[list[Reward], list[Grant]]:
    """Write rewards and their postings; and those that the campaign's budget cannot pay.

    Without a hold they are available at once, and pay what their beneficiaries owe. `before` is
    asked first, together with something else.
    """
    is_free = not terms.hold and terms.is_cleared
    if is_free and terms.owing.isdisjoint(each.beneficiary for each in proposed):
        return _grant(tx, proposed, terms, Kind.wallet, now, before)
    granted, refused = _grant(tx, proposed, terms, Kind.pending, now, before)
    if not is_free:
        return granted, refused
    kept = [tx.get_one(Reward, reward.id) for reward in granted]
    for reward in kept:
        _release(tx, reward, now)
    return kept, refused


def _grant(
    tx: Session,
    proposed: Sequence[Grant],
    terms: Terms,
    kind: Kind,
    now: datetime,
    before: Sequence[Ask] = (),
) -> tuple[list[Reward], list[Grant]]:
    """Grant into accounts of a kind: of what is pending, or the wallets."""
    if not proposed:
        in_one_trip(tx, *before)
        return [], []
    rewards = _post(tx, proposed, terms, kind, now, before)
    if rewards is not None:
        return rewards, []
    if len(proposed) < 2:
        return [], list(proposed)
    granted: list[Reward] = []
    refused: list[Grant] = []
    for each in proposed:  # together they are too much: one by one, in the order of the rules
        one, not_paid = _grant(tx, [each], terms, kind, now)
        granted += one
        refused += not_paid
    return granted, refused


def _post(
    tx: Session,
    proposed: Sequence[Grant],
    terms: Terms,
    kind: Kind,
    now: datetime,
    before: Sequence[Ask],
) -> list[Reward] | None:
    """Write rewards and their entry in one statement; None when the budget cannot pay them."""
    moves = []
    for each in proposed:
        unit = each.unit(terms.currency)
        to = AccountName(kind, each.beneficiary, unit)
        moves.append(Move(ledger.budget(tx, terms.campaign_id, unit), to, each.amount))
    first = proposed[0]
    alone = f"|{first.rule.id}|{first.beneficiary}" if len(proposed) == 1 else ""
    rows = [_row(each, terms, kind, now) for each in proposed]
    try:
        written = ledger.post_along(
            tx,
            _rewards(len(rows)),
            {f"{name}_{n}": row[name] for n, row in enumerate(rows) for name in _OWN}
            | {name: rows[0][name] for name in _SHARED},
            key=f"rewards|{terms.event}{alone}",
            what=f"rewards for {terms.event.partition(':')[0]}",
            moves=moves,
            now=now,
            before=before,
        )
    except ledger.Insufficient:
        return None
    made = {(each.rule, each.beneficiary_id): each for each in written.rows}
    return [
        Reward(id=one.id, entry_id=one.entry_id, **row)
        for row in rows
        for one in [made[row["rule"], row["beneficiary_id"]]]
    ]


def _row(each: Grant, terms: Terms, kind: Kind, now: datetime) -> dict[str, Any]:
    available_at = now + terms.hold
    return {
        "event": terms.event,
        "rule": each.rule.id,
        "beneficiary_id": each.beneficiary,
        "holder_id": each.beneficiary,
        "campaign_id": terms.campaign_id,
        "depth": each.depth,
        "unit": each.unit(terms.currency),
        "amount": each.amount,
        "left": each.amount,
        "taken_back": 0,
        "lapsed": 0,
        "state": RewardState.pending if kind is Kind.pending else RewardState.available,
        "is_cleared": terms.is_cleared,
        "granted_at": now,
        "available_at": available_at,
        "expires_at": available_at + terms.lasts if terms.lasts else None,
    }


_SHARED = (
    *("event", "campaign_id", "taken_back", "lapsed", "state"),
    *("is_cleared", "granted_at", "available_at", "expires_at"),
)
"""The columns that are the same for all rewards of an event, and those of each."""
_OWN = ("rule", "beneficiary_id", "holder_id", "depth", "unit", "amount", "left")


@cache
def _rewards(count: int) -> Along:
    """Makes the INSERT of so many rewards of one entry."""
    columns = Reward.__table__.c

    def along(entry: Any) -> Any:
        shared = [sa.bindparam(name, type_=columns[name].type).label(name) for name in _SHARED]
        rows = [
            sa.select(
                entry.c.id.label("entry_id"),
                *shared,
                *(
                    sa.bindparam(f"{name}_{n}", type_=columns[name].type).label(name)
                    for name in _OWN
                ),
            )
            for n in range(count)
        ]
        made = sa.insert(Reward.__table__).from_select(  # type: ignore[arg-type]
            ["entry_id", *_SHARED, *_OWN], sa.union_all(*rows) if count > 1 else rows[0]
        )
        return made.returning(columns.id, columns.entry_id, columns.rule, columns.beneficiary_id)

    return along


def withhold(
    tx: Session,
    *,
    event: str,
    rule: str,
    beneficiary: int,
    campaign_id: int,
    why: Why,
    depth: int = 0,
    now: datetime,
) -> Withheld:
    """Keep why a promise was not kept."""
    row = {
        "event": event,
        "rule": rule,
        "beneficiary_id": beneficiary,
        "campaign_id": campaign_id,
        "why": why,
        "depth": depth,
        "at": now,
    }
    return Withheld(id=insert_new_id(tx, Withheld, row), **row)


_OF_EVENT = sa.select(Reward).where(Reward.event == sa.bindparam("event")).order_by(Reward.id)
_WITHHELD = sa.select(Withheld).where(Withheld.event == sa.bindparam("event")).order_by(Withheld.id)


def of_event(tx: Session, event: str) -> list[Reward]:
    return list(tx.scalars(_OF_EVENT, {"event": event}))


def withheld_of_event(tx: Session, event: str) -> list[Withheld]:
    return list(tx.scalars(_WITHHELD, {"event": event}))


def of_events(tx: Session, events: Collection[str]) -> list[Reward]:
    """The rewards of many events."""
    found: list[Reward] = []
    listed = sorted(events)
    for start in range(0, len(listed), RELEASE_BATCH):
        part = listed[start : start + RELEASE_BATCH]
        of_part = sa.select(Reward).where(Reward.event.in_(part)).order_by(Reward.id)
        found += tx.scalars(of_part)
    return found


def holders_of(tx: Session, event: str) -> set[int]:
    """Who has the rewards of an event now."""
    return set(tx.scalars(sa.select(Reward.holder_id).where(Reward.event == event)))


def last_events(tx: Session, campaign_id: int, rule: str, customer_id: int) -> list[str]:
    """The last event for which a rule paid a customer, and the last of which a draw was lost."""
    paid = sa.select(Reward.event).where(
        Reward.campaign_id == campaign_id, Reward.rule == rule, Reward.holder_id == customer_id
    )
    lost = sa.select(Withheld.event).where(
        Withheld.campaign_id == campaign_id,
        Withheld.rule == rule,
        Withheld.beneficiary_id.in_(people.numbers_of(tx, customer_id)),
        Withheld.why == Why.no_win,
    )
    found = (paid.order_by(Reward.id.desc()), lost.order_by(Withheld.id.desc()))
    events = (tx.scalar(statement.limit(1)) for statement in found)
    return [event for event in events if event is not None]


def paid_for_friends(tx: Session, campaign_id: int, referrer: int) -> set[str]:
    """The rules that paid, or drew, for the first purchase of somebody the referrer brought in,
    whoever got it."""
    paid = sa.select(Reward.rule).where(Reward.campaign_id == campaign_id)
    lost = sa.select(Withheld.rule).where(
        Withheld.campaign_id == campaign_id, Withheld.why == Why.no_win
    )
    return {
        rule
        for statement, event in ((paid, Reward.event), (lost, Withheld.event))
        for rule in tx.scalars(
            statement.join(Referral, Referral.event == event)
            .where(Referral.referrer_id == referrer)
            .distinct()
        )
    }


def release_due(tx: Session, now: datetime) -> int:
    """Make pending rewards available whose hold is over and which are cleared.

    Returns how many; call until 0.
    """
    is_due = (TO_RELEASE, Reward.available_at <= now)
    found = sa.select(Reward.id, Reward.holder_id).where(*is_due)
    due = tx.execute(found.order_by(Reward.available_at, Reward.id).limit(RELEASE_BATCH)).all()
    if not due:
        return 0
    # The holders before the rewards, as everywhere: what they owe must not change meanwhile.
    holders = {row.holder_id for row in due}
    people.lock_customers(tx, holders)
    still_due = (*is_due, Reward.id.in_([row.id for row in due]), Reward.holder_id.in_(holders))
    rewards = tx.scalars(
        sa.select(Reward)
        .where(*still_due)
        .order_by(Reward.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).all()
    for reward in rewards:
        _release(tx, reward, now)
    return len(rewards)


def _release(tx: Session, reward: Reward, now: datetime) -> None:
    """Move what is left of a reward into the wallet of its holder, who is locked.

    Debts are paid first. It lasts from now on, however long it was held; a coupon has a date of its
    own.
    """
    if reward.expires_at is not None and not reward.unit.startswith("coupon:"):
        reward.expires_at += max(now - reward.available_at, timedelta())
    pending = AccountName(Kind.pending, reward.holder_id, reward.unit)
    debt = wallets.debt_of(tx, reward.holder_id, reward.unit)
    paid = min(debt, reward.left)
    moves = []
    if paid:
        owed = AccountName(Kind.owed, reward.holder_id, reward.unit)
        moves.append(Move(pending, owed, paid))
    if reward.left > paid:
        wallet = AccountName(Kind.wallet, reward.holder_id, reward.unit)
        moves.append(Move(pending, wallet, reward.left - paid))
    ledger.post(tx, key=f"release|{reward.id}", what="hold is over", moves=moves, now=now)
    reward.left -= paid
    reward.state = RewardState.available
    tx.flush()


def expire_due(tx: Session, now: datetime) -> int:
    """Expire what nobody spent in time. Returns how many rewards; call until 0."""
    due = tx.scalars(
        sa.select(Reward)
        .where(Reward.state == RewardState.available, Reward.left > 0, Reward.expires_at <= now)
        .order_by(Reward.id)
        .limit(RELEASE_BATCH)
        .with_for_update(skip_locked=True)
    ).all()
    for reward in due:
        wallet = AccountName(Kind.wallet, reward.holder_id, reward.unit)
        expired = AccountName(Kind.expired, reward.campaign_id, reward.unit)
        # A reward whose spending was undone may expire a second time.
        ledger.post(
            tx,
            key=f"expire|{reward.id}|{reward.lapsed + reward.taken_back}",
            what="expired",
            moves=[Move(wallet, expired, reward.left)],
            now=now,
        )
        reward.lapsed += reward.left
        reward.left = 0
        reward.state = RewardState.expired
        tx.flush()
    return len(due)


def take_back(
    tx: Session,
    event: str,
    share: Fraction,
    reason: Reason,
    *,
    key: str,
    now: datetime,
    only: Collection[int] | None = None,
) -> list[Reward]:
    """Take back a share of every reward of an event, less what was taken back before.

    `only` names the rewards where it is not all of them; `share` is of the whole, so that the same
    call twice takes once. What the holder has spent already is owed, and paid back by what becomes
    available later. The holders are locked by the caller. Returns the rewards that changed.
    """
    rewards = tx.scalars(
        sa.select(Reward)
        .where(Reward.event == event)
        .order_by(Reward.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).all()
    changed = []
    for reward in rewards:
        due = _rounded(reward.amount * share) - reward.taken_back
        if due > 0 and (only is None or reward.id in only):
            _take_back(tx, reward, due, f"{key}|{reward.id}", now)
            reward.why = reason
            tx.flush()
            changed.append(reward)
    return changed


def _rounded(amount: Fraction) -> int:
    """To the nearest whole, a half upwards."""
    return int(amount + Fraction(1, 2))


def _take_back(tx: Session, reward: Reward, due: int, key: str, now: datetime) -> None:
    holder, unit = reward.holder_id, reward.unit
    budget = ledger.budget(tx, reward.campaign_id, unit)
    moves = []
    unspent = min(due, reward.left)
    if unspent:
        kind = Kind.pending if reward.state == RewardState.pending else Kind.wallet
        moves.append(Move(AccountName(kind, holder, unit), budget, unspent))
        reward.left -= unspent
    lapsed = min(due - unspent, reward.lapsed)
    if lapsed:
        expired = AccountName(Kind.expired, reward.campaign_id, unit)
        moves.append(Move(expired, budget, lapsed))
        reward.lapsed -= lapsed
    spent = due - unspent - lapsed
    from_wallet = sum(lot.amount for lot in wallets.take(tx, holder, unit, spent))
    if from_wallet:
        moves.append(Move(AccountName(Kind.wallet, holder, unit), budget, from_wallet))
    if spent > from_wallet:
        owed = AccountName(Kind.owed, holder, unit)
        moves.append(Move(owed, budget, spent - from_wallet))
    reward.taken_back += due
    if reward.taken_back == reward.amount:
        reward.state = RewardState.reversed
    ledger.post(tx, key=key, what="taken back", moves=moves, now=now)
