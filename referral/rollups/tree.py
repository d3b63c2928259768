"""The referral tree added up: who is below everybody, how many of them are active and paying, and
what they spent.

Whoever buys, refunds or is brought in leaves a note (a trigger writes it, so nobody can forget) and
touches no sum. `fold` works off many notes at once; one transaction at a time does, and nobody
waits for it. An exact figure is the row and what the few notes since then change. It is done as
the counters of the graphs are (docs/adr/0010-counters.md); why beside them: docs/adr/0019-tree.md.

Being active and paying ends by time alone. Both are as of the midnight (of UTC) that `advance` has
set last; it leaves a note for everybody for whom that makes a difference.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from referral.config import ValueSettings
from referral.db import Base, RowId, is_sqlite, lock, no_hurry, run
from referral.db.bulk import among, copy_rows, numbers, upsert_many
from referral.rollups import tallies, tree_sums
from referral.rollups.sums import day_of
from referral.rollups.tallies import Tallied
from referral.rollups.tree_state import ACTIVE, PAYING, TREE_DAY, UNSETTLED, Now, pairs_of
from referral.rollups.tree_state import state as state_of
from referral.rollups.tree_sums import EMPTY, NOTHING, Entry, Own, Sums

FOLD_MAX = 2_000
"""How many notes one fold works off."""
READ_MAX = 20_000
"""How many notes a reader takes into account. There are more only after an upgrade of a large
database, until they are worked off."""
ROWS_AT_ONCE = 5_000
_LOCK = "tree sums"


class TreeSum(Base):
    """A customer as counted in the referral tree, and what is below."""

    __tablename__ = "tree_sums"

    customer_id: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    parent: Mapped[int | None] = mapped_column(sa.BigInteger)
    is_settled: Mapped[bool]
    """Whether she has a place; somebody without one may have friends all the same."""
    active_at: Mapped[datetime | None]
    """When she did something last."""
    bought_at: Mapped[datetime | None]
    """When she bought something last that she kept."""
    is_active: Mapped[bool]
    is_paying: Mapped[bool]
    worth: Mapped[int] = mapped_column(sa.BigInteger)
    """What she spent herself, in minor units of the brand's currency."""
    direct: Mapped[int] = mapped_column(sa.BigInteger)
    total: Mapped[int] = mapped_column(sa.BigInteger)
    active: Mapped[int] = mapped_column(sa.BigInteger)
    paying: Mapped[int] = mapped_column(sa.BigInteger)
    value: Mapped[int] = mapped_column(sa.BigInteger)

    __table_args__ = (
        # Of those who have somebody below only: most have nobody, and need no order.
        *(
            sa.Index(
                f"ix_tree_sums_by_{name}",
                "parent",
                name,
                "customer_id",
                sqlite_where=sa.text("total > 0"),
                postgresql_where=sa.text("total > 0"),
            )
            for name in Sums._fields
        ),
        *(
            sa.Index(
                f"ix_tree_sums_{name}",
                name,
                sqlite_where=sa.text(flag),
                postgresql_where=sa.text(flag),
            )
            for name, flag in (("active_at", "is_active"), ("bought_at", "is_paying"))
        ),
    )


class TreeChange(Base):
    """A note that something of a customer changed. Triggers write it."""

    __tablename__ = "tree_changes"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    customer_id: Mapped[int] = mapped_column(sa.BigInteger)


# Who is above

_COLUMNS = (
    "customer_id, parent, is_settled, is_active, is_paying, worth, "
    "direct, total, active, paying, value"
)
_OF_KEPT = ", ".join(f"kept.{name.strip()}" for name in _COLUMNS.split(","))
_LOOKED_UP = {
    "sqlite": "CROSS JOIN tree_sums kept ON kept.customer_id = {node}",
    # One by one: PostgreSQL expects hundreds of times as many rows, and would read the whole table.
    "postgresql": "CROSS JOIN LATERAL (SELECT * FROM tree_sums WHERE customer_id = {node} LIMIT 1) "
    "AS kept",
}
_ASKED = {
    "sqlite": "json_each(:people) AS asked",
    "postgresql": "unnest(CAST(:people AS bigint[])) AS asked(value)",
}
_WITH_ALL_ABOVE = {
    dialect: sa.text(
        f"WITH RECURSIVE up({_COLUMNS}) AS ("  # noqa: S608 - nothing of it is given
        f"SELECT {_OF_KEPT} FROM {_ASKED[dialect]} {looked_up.format(node='asked.value')} "
        f"UNION SELECT {_OF_KEPT} FROM up {looked_up.format(node='up.parent')}) "
        f"SELECT {_COLUMNS} FROM up"
    )
    for dialect, looked_up in _LOOKED_UP.items()
}


def _with_all_above(tx: Session, people: Collection[int]) -> dict[int, Entry]:
    statement = _WITH_ALL_ABOVE[tx.get_bind().dialect.name]
    return {row[0]: _entry(row) for row in run(tx, statement, people=numbers(tx, people))}


def _entry(row: Sequence[Any]) -> Entry:
    _, parent, is_settled, is_active, is_paying, worth, *below = row
    return Entry(parent, Own(int(is_settled), int(is_active), int(is_paying), worth), Sums(*below))


# Working off


@dataclass(frozen=True)
class Since:
    """What the notes that lie about change."""

    rows: Mapping[int, Entry]
    """Those of whom there are notes, and those above who are not as their rows say."""
    now: Mapping[int, Now]
    stuck: Collection[int]
    notes: Mapping[int, int]
    """Whom each note is of."""


_NOTES = (
    sa.select(TreeChange.id, TreeChange.customer_id)
    .order_by(TreeChange.id)
    .limit(sa.bindparam("most"))
)


def since(tx: Session, settings: ValueSettings, most: int = READ_MAX) -> Since:
    """What the notes change that are not worked off yet."""
    # Notes first and rows last: whatever is worked off meanwhile is known then, or known twice.
    notes: dict[int, int] = pairs_of(run(tx, _NOTES, most=most))
    if not notes:
        return Since({}, {}, (), {})
    now = state_of(tx, settings, set(notes.values()))
    asked = {*now, *(one.parent for one in now.values() if one.parent is not None)}
    kept = _with_all_above(tx, asked)
    rows, stuck = tree_sums.apply(kept, {who: (one.parent, one.own) for who, one in now.items()})
    return Since(rows, now, stuck, notes)


_DROP_NOTES = sa.delete(TreeChange).where(among(TreeChange.id, "notes"))
_DROP = sa.delete(TreeSum).where(among(TreeSum.customer_id, "people"))


def fold(tx: Session, settings: ValueSettings, most: int = FOLD_MAX) -> int:
    """Work notes off into the sums, oldest first. Returns how many; 0 also while another
    transaction is at it, which this one does not wait for."""
    if not _try_lock(tx):
        return 0
    found = since(tx, settings, most)
    if not found.notes:
        return 0
    gone = [who for who, one in found.rows.items() if one == EMPTY]
    left = {who: one for who, one in found.rows.items() if one != EMPTY}
    noted = [_row(who, one, found.now[who]) for who, one in left.items() if who in found.now]
    _write(tx, noted, _as_is)
    above = [_row(who, one, UNSETTLED) for who, one in left.items() if who not in found.now]
    _write(tx, above, _sums_only)
    for start in range(0, len(gone), ROWS_AT_ONCE):
        run(tx, _DROP, people=numbers(tx, gone[start : start + ROWS_AT_ONCE]))
    done = [note for note, who in found.notes.items() if who not in found.stuck]
    if done:
        run(tx, _DROP_NOTES, notes=numbers(tx, done))
    return len(done)


def _try_lock(tx: Session) -> bool:
    """Whether this transaction may change sums. SQLite has one writer at a time anyway."""
    if is_sqlite(tx):
        return True
    asked = sa.select(sa.func.pg_try_advisory_xact_lock(sa.func.hashtext(_LOCK)))
    return bool(tx.execute(asked).scalar())


def _row(who: int, one: Entry, now: Now) -> dict[str, Any]:
    return {
        "customer_id": who,
        "parent": one.parent,
        "is_settled": now.is_settled,
        "active_at": now.active_at,
        "bought_at": now.bought_at,
        "is_active": bool(one.own.active),
        "is_paying": bool(one.own.paying),
        "worth": one.own.value,
        **one.below._asdict(),
    }


def _write(tx: Session, rows: list[dict[str, Any]], change: Any) -> None:
    for start in range(0, len(rows), ROWS_AT_ONCE):
        upsert_many(tx, TreeSum, rows[start : start + ROWS_AT_ONCE], change)


_ALL = tuple(column.name for column in TreeSum.__table__.c if not column.primary_key)


def _as_is(_old: Any, new: Any) -> dict[str, Any]:
    return {name: new[name] for name in _ALL}


def _sums_only(_old: Any, new: Any) -> dict[str, Any]:
    # Of somebody above nothing else was looked at.
    return {name: new[name] for name in Sums._fields}


def advance(tx: Session, now: datetime) -> bool:
    """Let people be active and paying as of today, and note for whom that makes a difference.
    Whether the day is a new one."""
    lock(tx, _LOCK)  # nobody folds as of another day meanwhile
    day = day_of(now)
    if day <= tallies.until(tx, TREE_DAY):
        return False
    for flag, at, within in (
        (TreeSum.is_active, TreeSum.active_at, ACTIVE),
        (TreeSum.is_paying, TreeSum.bought_at, PAYING),
    ):
        ended = sa.select(TreeSum.customer_id).where(flag, at < day - within)
        tx.execute(sa.insert(TreeChange).from_select(["customer_id"], ended))
    tx.merge(Tallied(what=TREE_DAY, until=day))
    tx.flush()
    return True


# Reading

_SUMS = sa.select(TreeSum.customer_id, *(getattr(TreeSum, name) for name in Sums._fields)).where(
    among(TreeSum.customer_id, "people")
)


def sums_of(tx: Session, people: Collection[int], lately: Since) -> dict[int, Sums]:
    """What is below each of these, exactly: their rows and what is noted `since`."""
    if not people:
        return {}
    rows = run(tx, _SUMS, people=numbers(tx, people)).all()
    kept = {row[0]: Sums(*row[1:]) for row in rows}
    changed = lately.rows
    return {who: changed[who].below if who in changed else kept.get(who, NOTHING) for who in people}


# From scratch


def recount(tx: Session, settings: ValueSettings) -> int:
    """Add up the whole tree. Returns how many are in it."""
    no_hurry(tx)
    lock(tx, _LOCK)
    notes = list(run(tx, sa.select(TreeChange.id)).scalars())
    tx.execute(sa.delete(TreeSum))
    state, below = _counted(tx, settings)
    rows = [_row(who, Entry(one.parent, one.own, below[who]), one) for who, one in state.items()]
    for start in range(0, len(rows), ROWS_AT_ONCE):
        part = rows[start : start + ROWS_AT_ONCE]
        if is_sqlite(tx) or not copy_rows(tx, TreeSum, part):
            upsert_many(tx, TreeSum, part, _as_is)
    for start in range(0, len(notes), ROWS_AT_ONCE):
        run(tx, _DROP_NOTES, notes=numbers(tx, notes[start : start + ROWS_AT_ONCE]))
    return len(rows)


def _counted(tx: Session, settings: ValueSettings) -> tuple[dict[int, Now], dict[int, Sums]]:
    state = state_of(tx, settings)
    for one in list(state.values()):
        if one.parent is not None:
            state.setdefault(one.parent, UNSETTLED)
    places = {who: place for place, who in enumerate(state)}
    parents = [
        tree_sums.NOBODY if one.parent is None else places[one.parent] for one in state.values()
    ]
    own = [one.own for one in state.values()]
    added = tree_sums.count(
        np.array(parents, np.int64), np.array(own, np.int64).reshape(len(own), len(Own._fields))
    )
    return state, dict(zip(state, map(Sums._make, added.tolist()), strict=True))


def differences(tx: Session, settings: ValueSettings) -> Iterator[str]:
    """Where the sums and adding up the whole tree differ, a sentence each; see `db.one_moment`."""
    no_hurry(tx)
    state, expected = _counted(tx, settings)
    lately = since(tx, settings, _ALL_NOTES)
    listed = sorted(expected)
    for start in range(0, len(listed), ROWS_AT_ONCE):
        part = listed[start : start + ROWS_AT_ONCE]
        for who, found in sums_of(tx, part, lately).items():
            if found != expected[who]:
                yield f"tree_sums: {who} has {expected[who]} below and says {found}"
        for row in run(tx, _KEPT, people=numbers(tx, part)):
            who, active_at, bought_at = tuple(row)
            now = state[who]
            if who not in lately.now and (active_at, bought_at) != (now.active_at, now.bought_at):
                yield f"tree_sums: {who} was active and bought last at other times"
    for who in run(tx, sa.select(TreeSum.customer_id)).scalars():
        if who not in expected and lately.rows.get(who) != EMPTY:
            yield f"tree_sums: {who} is counted and not in the tree"


_ALL_NOTES = 1 << 62
_KEPT = sa.select(TreeSum.customer_id, TreeSum.active_at, TreeSum.bought_at).where(
    among(TreeSum.customer_id, "people")
)
