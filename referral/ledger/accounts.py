"""Accounts of the ledger: what each holds, and how a balance is changed, never below zero.

A campaign's budget is kept in slots, each a row: whoever takes from it takes from a slot nobody
else is taking from, so that many at once do not wait for one another. Together the slots are one
account: as long as their sum would do, no taking is refused.
"""

import functools
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Mapped, Session, mapped_column

from referral.db import Base, RowId, insert_new_id, is_sqlite, run, upsert
from referral.db.round_trips import Ask, ask, in_one_trip

SLOTS = 32
"""In how many slots a budget is kept at most: as many can be paid from it at the same time."""
SLOT_LEAST = 1000
"""The least that is worth a slot of its own, in minor units. The last of a budget is gathered from
its slots, which waits for whoever is taking from them."""
SLOT_LEAST_COUNTED = 10
"""The same for units that are counted one by one: coupons and items."""
WAITS_MAX = 3
"""How often a slot that somebody is taking from is waited for, before all of them are."""


class Kind(StrEnum):
    """What an account holds. All but `issue` and `owed` refuse to go below zero."""

    issue = "issue"
    """Where the brand's promises come from; its balance is minus all that was ever put up."""
    budget = "budget"
    """What a campaign may still grant."""
    pending = "pending"
    """Granted to a customer and still on hold."""
    wallet = "wallet"
    """A customer's own."""
    owed = "owed"
    """What a customer spent that was then taken back: never above zero."""
    redeemed = "redeemed"
    """What was handed over for what customers spent."""
    expired = "expired"
    """What nobody spent in time, by campaign."""


BELOW_ZERO = (Kind.issue, Kind.owed)


class Account(Base):
    """An account of one unit. `owner` is a campaign's or a customer's id, 0 for the brand.

    Only the balance ever changes. A budget is several rows that differ in `slot`; others have 0.
    """

    __tablename__ = "accounts"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    kind: Mapped[str] = mapped_column(sa.String(12))
    owner: Mapped[int] = mapped_column(sa.BigInteger)
    unit: Mapped[str] = mapped_column(sa.String(60))
    slot: Mapped[int] = mapped_column(sa.SmallInteger, default=0)
    balance: Mapped[int] = mapped_column(sa.BigInteger)

    __table_args__ = (
        sa.UniqueConstraint("kind", "owner", "unit", "slot"),
        sa.CheckConstraint(
            "kind IN ('issue', 'owed') OR balance >= 0", name="balance_not_negative"
        ),
        sa.CheckConstraint("kind <> 'owed' OR balance <= 0", name="debt_not_positive"),
        sa.CheckConstraint("slot = 0 OR kind = 'budget'", name="slots_of_budgets"),
    )


@dataclass(frozen=True, order=True)
class AccountName:
    """An account, open or not yet; a budget with all its slots."""

    kind: Kind
    owner: int
    unit: str


class Insufficient(Exception):
    """An account does not hold what was to be taken from it. Nothing was written."""


_FIND = sa.select(Account.id).where(
    Account.kind == sa.bindparam("kind"),
    Account.owner == sa.bindparam("owner"),
    Account.unit == sa.bindparam("unit"),
    Account.slot == 0,
)


def account(tx: Session, kind: Kind, owner: int, unit: str) -> int:
    """The id of an account, which is opened when it is new. A budget has more than one: name it."""
    if kind is Kind.budget:
        raise ValueError("a budget is kept in several accounts; use its name")
    same = {"kind": kind, "owner": owner, "unit": unit}
    found: int | None = run(tx, _FIND, **same).scalar()
    if found is None:
        found = insert_new_id(tx, Account, {**same, "slot": 0, "balance": 0})
    if found is None:  # it was opened elsewhere in between
        found = run(tx, _FIND, **same).scalar()
    if found is None:
        raise AssertionError("an account that was just opened is gone")
    return found


_BALANCES = (
    sa.select(Account.kind, Account.unit, sa.func.sum(Account.balance).label("held"))
    .where(Account.kind.in_(sa.bindparam("kinds", expanding=True)))
    .where(Account.owner == sa.bindparam("owner"))
    .group_by(Account.kind, Account.unit)
)


def balances(tx: Session, kind: Kind, owner: int) -> dict[str, int]:
    """An owner's balances of one kind, by unit."""
    (found,) = balances_of_kinds(tx, [kind], owner)
    return found


def balances_of_kinds(tx: Session, kinds: Sequence[Kind], owner: int) -> list[dict[str, int]]:
    """An owner's balances by unit, of each of these kinds."""
    found: dict[str, dict[str, int]] = {kind: {} for kind in kinds}
    for row in run(tx, _BALANCES, kinds=list(kinds), owner=owner):
        found[row.kind][row.unit] = int(row.held)
    return list(found.values())


Changed = list[tuple[int, int]]
"""Changes of balances that were made, by account id."""


def change(
    tx: Session, changes: Mapping[int | AccountName, int], before: Sequence[Ask] = ()
) -> Changed:
    """Add to balances, and open accounts that are new. Raises `Insufficient`, and changes nothing.

    Named accounts are locked in the order of their ids, and so are those given by id, so that two
    entries do not wait for each other in a circle. Budgets come last: they are shared by
    the most, and are held the shortest then. `before` is asked first, in the same trip.
    """
    named, ids, budgets = _sorted(changes)
    if not ids and all(more > 0 for _, more in named) and all(more < 0 for _, more in budgets):
        return _pay(tx, named, budgets, before)
    if before:
        in_one_trip(tx, *before)
    done: Changed = []
    try:
        if named:
            _change_named(tx, named, done)
        for account_id, more in ids:
            if not _add(tx, account_id, more):
                raise Insufficient()
            done.append((account_id, more))
        for name, more in budgets:
            done += _take(tx, name, -more) if more < 0 else [_give(tx, name, more)]
    except Insufficient:
        undo(tx, done)
        raise
    return done


def undo(tx: Session, done: Iterable[tuple[int, int]]) -> None:
    """Take back changes of this transaction, which still holds the rows."""
    for account_id, more in done:
        _add(tx, account_id, -more)


Named = list[tuple[AccountName, int]]


def _sorted(changes: Mapping[int | AccountName, int]) -> tuple[Named, Changed, Named]:
    """Changes of named accounts, of those given by id, and of budgets; each in a fixed order."""
    named: Named = []
    ids: Changed = []
    budgets: Named = []
    for which, more in changes.items():
        if not isinstance(which, AccountName):
            ids.append((which, more))
        elif which.kind is Kind.budget:
            budgets.append((which, more))
        else:
            named.append((which, more))
    return sorted(named), sorted(ids), sorted(budgets)


_MAY = sa.or_(
    Account.balance + sa.bindparam("change") >= 0,
    Account.kind.in_(BELOW_ZERO),
)
_ADD = (
    sa.update(Account)
    .where(Account.id == sa.bindparam("account"), _MAY)
    .values(balance=Account.balance + sa.bindparam("change"))
)


def _add(tx: Session, account_id: int, more: int) -> bool:
    """Add to a balance unless it would fall below what its kind allows."""
    return run(tx, _ADD, account=account_id, change=more).rowcount == 1


# Paying out: budgets to named accounts, in one trip


def _pay(tx: Session, named: Named, budgets: Named, before: Sequence[Ask]) -> Changed:
    """Add to accounts in the order of their names, and take from a free slot of each budget."""
    paid = [ask(_pay_statement(is_sqlite(tx), len(named)), **_values(named))] if named else []
    answers = in_one_trip(tx, *before, *paid, *(_asking_free(*each) for each in budgets))
    added, slots = answers[len(before) : -len(budgets) or None], answers[-len(budgets) :]
    done = [
        (row.id, dict(named)[AccountName(Kind(row.kind), row.owner, row.unit)])
        for answer in added
        for row in answer.rows
    ]
    taken = [(slot.scalar, more) for slot, (_, more) in zip(slots, budgets, strict=True)]
    done += [(slot, more) for slot, more in taken if slot is not None]
    try:
        for (slot, more), (name, _) in zip(taken, budgets, strict=True):
            if slot is None:
                done += _take(tx, name, -more)
    except Insufficient:
        undo(tx, done)
        raise
    return done


@functools.cache
def _pay_statement(is_sqlite: bool, count: int) -> Any:
    """Adds to so many named accounts, and opens those that are new."""
    table: Any = Account.__table__
    rows = [
        {
            **{name: sa.bindparam(f"{name}{n}", type_=table.c[name].type) for name in _KEY[:3]},
            "slot": sa.literal_column("0"),
            "balance": sa.bindparam(f"change{n}", type_=table.c.balance.type),
        }
        for n in range(count)
    ]
    statement = (sqlite if is_sqlite else postgresql).insert(table).values(rows)
    return statement.on_conflict_do_update(
        index_elements=list(_KEY), set_=_add_to_it(table.c, statement.excluded)
    ).returning(table.c.id, table.c.kind, table.c.owner, table.c.unit)


def _values(named: Named) -> dict[str, Any]:
    """What statements on so many named accounts are given."""
    values: dict[str, Any] = {}
    for n, (name, more) in enumerate(named):
        values |= {f"kind{n}": name.kind, f"owner{n}": name.owner}
        values |= {f"unit{n}": name.unit, f"change{n}": more}
    return values


# Accounts that are named


def _change_named(tx: Session, named: Named, done: Changed) -> None:
    """Change accounts in one statement, and open those that are new. Adds to `done` what it did."""
    left = dict(named)
    for row in run(tx, _change_statement(len(named)), **_values(named)):
        done.append((row.id, left.pop(AccountName(Kind(row.kind), row.owner, row.unit))))
    for name, more in left.items():
        if more < 0 and name.kind not in BELOW_ZERO:
            raise Insufficient()
        done.append(_add_to_slot(tx, name, 0, more))


@functools.cache
def _change_statement(count: int) -> Any:
    """Finds, locks and changes so many named accounts that exist; tells which could be.

    Made of conditions and not of a list of values, which SQLAlchemy would compile every time.
    """
    table = Account.__table__
    named = [_is_named(table, n) for n in range(count)]
    change = sa.case(
        *((is_it, sa.bindparam(f"change{n}", type_=sa.BigInteger)) for n, is_it in enumerate(named))
    )
    held = table.alias("held")
    locked = (
        sa.select(held.c.id)
        .where(sa.or_(*(_is_named(held, n) for n in range(count))))
        .order_by(held.c.id)
        .with_for_update()
    )
    balance = table.c.balance + change
    return (
        sa.update(table)  # type: ignore[arg-type]
        .where(table.c.id.in_(locked))
        .where(sa.or_(balance >= 0, table.c.kind.in_(BELOW_ZERO)))
        .values(balance=balance)
        .returning(table.c.id, table.c.kind, table.c.owner, table.c.unit)
    )


def _is_named(table: sa.FromClause, n: int) -> sa.ColumnElement[bool]:
    return sa.and_(
        table.c.kind == sa.bindparam(f"kind{n}"),
        table.c.owner == sa.bindparam(f"owner{n}"),
        table.c.unit == sa.bindparam(f"unit{n}"),
        table.c.slot == 0,
    )


_KEY = ("kind", "owner", "unit", "slot")


def _open(tx: Session) -> Any:
    """Opens an account with a balance, or adds it to the one that somebody has just opened."""
    return upsert(tx, Account, _add_to_it, "id", key=_KEY)


def _add_to_it(columns: Any, new: Any) -> Mapping[str, Any]:
    return {"balance": columns.balance + new.balance}


# Budgets, in slots

_OF_BUDGET = (
    Account.kind == sa.literal_column("'budget'"),
    Account.owner == sa.bindparam("campaign"),
    Account.unit == sa.bindparam("of_unit"),
)
_FREE = (
    sa.select(Account.id)
    .where(*_OF_BUDGET, Account.balance + sa.bindparam("change") >= 0)
    .order_by(sa.func.random())
    .limit(1)
    .with_for_update(skip_locked=True)
)
_ADD_TO_FREE = (
    sa.update(Account)
    .where(Account.id == _FREE.scalar_subquery())
    .values(balance=Account.balance + sa.bindparam("change"))
    .returning(Account.id)
)
_SLOTS = sa.select(Account.id, Account.balance).where(*_OF_BUDGET).order_by(Account.id)
_LOCKED_SLOTS = _SLOTS.with_for_update()


def _add_to_free(tx: Session, name: AccountName, more: int) -> int | None:
    """Change a slot that holds enough and that nobody else holds; None when there is none."""
    found: int | None = in_one_trip(tx, _asking_free(name, more))[0].scalar
    return found


def _asking_free(name: AccountName, more: int) -> Ask:
    return ask(_ADD_TO_FREE, campaign=name.owner, of_unit=name.unit, change=more)


def _slots(tx: Session, name: AccountName, *, locked: bool = False) -> Sequence[Any]:
    statement = _LOCKED_SLOTS if locked else _SLOTS
    return run(tx, statement, campaign=name.owner, of_unit=name.unit).all()


def _take(tx: Session, name: AccountName, amount: int) -> Changed:
    """Take from a budget: from one slot if one has enough, else from several.

    Raises `Insufficient`, having changed nothing, when all slots together hold too little.
    """
    for _ in range(WAITS_MAX):
        slot = _add_to_free(tx, name, -amount)
        if slot is not None:
            return [(slot, -amount)]
        # What others take at this moment still counts here: too little now is too little.
        slots = _slots(tx, name)
        if sum(balance for _, balance in slots) < amount:
            raise Insufficient()
        enough = [slot for slot, balance in slots if balance >= amount]
        if not enough:
            break
        # Others hold every one of them: wait for one, not for all.
        slot = random.choice(enough)  # noqa: S311 - it is no secret which
        if _add(tx, slot, -amount):
            return [(slot, -amount)]
    return _gather(tx, name, amount)


def _gather(tx: Session, name: AccountName, amount: int) -> Changed:
    """Take from as few slots as hold enough together, with all of them locked."""
    slots = sorted(_slots(tx, name, locked=True), key=lambda slot: -slot.balance)
    if sum(slot.balance for slot in slots) < amount:
        raise Insufficient()
    done: Changed = []
    for slot in slots:
        part = min(slot.balance, amount)
        if part == 0:
            break
        _add(tx, slot.id, -part)
        done.append((slot.id, -part))
        amount -= part
    return done


def _give(tx: Session, name: AccountName, amount: int) -> tuple[int, int]:
    """Put into a budget, into whichever slot is free."""
    slot = _add_to_free(tx, name, amount)
    if slot is None:
        slots = _slots(tx, name)
        if not slots:
            return _add_to_slot(tx, name, 0, amount)
        slot = random.choice(slots).id  # noqa: S311 - it is no secret which
        _add(tx, slot, amount)
    return slot, amount


def put_up(tx: Session, name: AccountName, amount: int) -> Changed:
    """Put into a budget, spread over its slots."""
    count = _slots_for(tx, name.unit, amount)
    each, more = divmod(amount, count)
    parts = [each + (slot < more) for slot in range(count)]
    return [_add_to_slot(tx, name, slot, part) for slot, part in enumerate(parts)]


def _slots_for(tx: Session, unit: str, amount: int) -> int:
    if tx.get_bind().dialect.name == "sqlite":
        return 1  # it has one writer at a time
    least = SLOT_LEAST_COUNTED if ":" in unit else SLOT_LEAST
    return max(1, min(SLOTS, amount // least))


def _add_to_slot(tx: Session, name: AccountName, slot: int, amount: int) -> tuple[int, int]:
    row = {"kind": name.kind, "owner": name.owner, "unit": name.unit, "slot": slot}
    return run(tx, _open(tx), **row, balance=amount).scalar_one(), amount
