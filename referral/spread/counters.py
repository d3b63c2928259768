"""Counters of the spread and of the referral tree: what is below a node, read from one row.

Whoever changes a graph leaves a note of it (a trigger writes it, so nobody can forget) and touches
no counter. `fold` works off many notes at once; one transaction at a time does, and nobody waits
for it. An exact figure is the counter and what the few notes since then change. Why it is so:
docs/adr/0010-counters.md.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache, partial
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from referral.db import Base, RowId, is_sqlite, lock, no_hurry, run
from referral.db.bulk import COPIED_FROM, among, copy_rows, numbers, upsert_many
from referral.spread import forests
from referral.spread.forests import NOTHING, Counts, Kept, Now

TREE = 0
"""The forest of the referral tree; a campaign's spread is the forest of the campaign's id."""
FOLD_EVERY = 64
"""One in so many of those who change a graph folds: so many notes lie about, on average."""
FOLD_MAX = 2_000
"""How many notes one fold works off: more would hold up whoever folds for too long."""
ROWS_AT_ONCE = 5_000
_LOCK = "graph counters"
_NEWEST = (1 << 63) - 1


class GraphCount(Base):
    """A node of a forest as it has been counted, and what is below it."""

    __tablename__ = "graph_counts"

    forest: Mapped[int] = mapped_column(sa.Integer, primary_key=True, autoincrement=False)
    node: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    parent: Mapped[int | None] = mapped_column(sa.BigInteger)
    is_customer: Mapped[bool] = mapped_column(sa.Boolean)
    """Whether it counts as a customer; one with several browsers does at the first of them."""
    direct: Mapped[int] = mapped_column(sa.BigInteger)
    total: Mapped[int] = mapped_column(sa.BigInteger)
    customers: Mapped[int] = mapped_column(sa.BigInteger)
    depth: Mapped[int] = mapped_column(sa.Integer)
    is_buyer: Mapped[bool] = mapped_column(sa.Boolean, server_default=sa.false())
    """Whether it counts as a customer who has bought something; in a spread only."""
    buyers: Mapped[int] = mapped_column(sa.BigInteger, server_default=sa.text("0"))

    __table_args__ = (
        sa.Index(None, "parent", "forest"),
        sa.Index(
            "ix_graph_counts_tops",
            "forest",
            "direct",
            "node",
            sqlite_where=sa.text("parent IS NULL AND direct > 0"),
            postgresql_where=sa.text("parent IS NULL AND direct > 0"),
        ),
    )


class ForestTotal(Base):
    """What has been counted of a whole forest."""

    __tablename__ = "forest_totals"

    forest: Mapped[int] = mapped_column(sa.Integer, primary_key=True, autoincrement=False)
    reached: Mapped[int] = mapped_column(sa.BigInteger)
    """How many nodes are below another one."""


class GraphChange(Base):
    """A note that a node was put in, moved, taken out or became a customer's. Triggers write it."""

    __tablename__ = "graph_changes"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    forest: Mapped[int | None] = mapped_column(sa.Integer)
    """None: wherever this visitor has a place."""
    node: Mapped[int] = mapped_column(sa.BigInteger)

    __table_args__ = (sa.Index(None, "forest", "id"),)


# What has changed, as it is, and as it was counted with all above it. One statement, so that it
# sees one moment: a node whose note it does not see is where it was counted.

# Looked up one by one: PostgreSQL expects hundreds of times as many rows as there are above what
# has changed, and few where a table has grown since it was last analyzed; it would rather read the
# whole forest.
_KEPT = {
    "sqlite": "LEFT JOIN graph_counts kept ON kept.forest = :forest AND kept.node = {node}",
    "postgresql": "LEFT JOIN LATERAL (SELECT * FROM graph_counts WHERE forest = :forest "
    "AND graph_counts.node = {node} LIMIT 1) kept ON true",
}
_PLACE = {
    "sqlite": "{join} spread_nodes {name} "
    "ON {name}.campaign_id = :forest AND {name}.visitor_id = {node}",
    "postgresql": "{join} LATERAL (SELECT * FROM spread_nodes WHERE campaign_id = :forest "
    "AND visitor_id = {node} LIMIT 1) {name} ON true",
}
_COUNTED = (
    "kept.parent, kept.is_customer, kept.direct, kept.total, kept.customers, kept.depth, "
    "kept.is_buyer, kept.buyers"
)
_CHANGED = """
    WITH RECURSIVE {state},
    begun(node) AS (
        SELECT node FROM state UNION SELECT parent FROM state WHERE parent IS NOT NULL
    ),
    up(node, parent, is_customer, direct, total, customers, depth, is_buyer, buyers) AS (
        SELECT begun.node, {counted} FROM begun {kept_of_begun}
        UNION
        SELECT up.parent, {counted} FROM up {kept_of_parent} WHERE up.parent IS NOT NULL
    )
    SELECT up.node, state.node IS NOT NULL, state.parent, state.is_customer, state.is_buyer,
        up.parent, up.is_customer, up.direct, up.total, up.customers, up.depth, up.is_buyer,
        up.buyers
    FROM up LEFT JOIN state ON state.node = up.node
"""
_TREE_STATE = """
    state(node, parent, is_customer, is_buyer) AS (
        SELECT DISTINCT node, referrer_id, customer_id IS NOT NULL, false
        FROM graph_changes LEFT JOIN referrals ON customer_id = node
        WHERE forest = :forest AND graph_changes.id <= :last
    )"""
# A customer with several browsers counts at the one that was there first, so a change of one of
# them is looked at for all of them. Who has no place any more is below nobody.
_SPREAD_STATE = """
    noted(node) AS (
        SELECT node FROM graph_changes WHERE forest = :forest AND id <= :last
        UNION
        SELECT node FROM graph_changes {place_of_node}
        WHERE forest IS NULL AND id <= :last
    ),
    known(node, customer_id) AS (
        SELECT noted.node, visitor.customer_id
        FROM noted LEFT JOIN visitors visitor ON visitor.id = noted.node
    ),
    changed(node, customer_id) AS (
        SELECT node, customer_id FROM known
        UNION
        SELECT other.id, other.customer_id FROM known
        JOIN visitors other ON other.customer_id = known.customer_id
    ),
    counted(node, customer_id, parent, is_customer) AS (
        SELECT changed.node, changed.customer_id, place.parent_id,
            CASE WHEN place.at IS NULL OR changed.customer_id IS NULL THEN false ELSE NOT EXISTS (
                SELECT 1 FROM visitors other {earlier_of_other}
                WHERE other.customer_id = changed.customer_id
                AND (earlier.at, earlier.visitor_id) < (place.at, place.visitor_id)
            ) END
        FROM changed {place_of_changed}
    ),
    state(node, parent, is_customer, is_buyer) AS (
        SELECT node, parent, is_customer, is_customer AND EXISTS (
            SELECT 1 FROM referrals WHERE referrals.customer_id = counted.customer_id
        )
        FROM counted
    )"""


@cache
def _changed(dialect: str, *, is_tree: bool) -> sa.TextClause:
    kept = _KEPT[dialect]
    statement = _CHANGED.format(
        state=_TREE_STATE if is_tree else _spread_state(dialect),
        counted=_COUNTED,
        kept_of_begun=kept.format(node="begun.node"),
        kept_of_parent=kept.format(node="up.parent"),
    )
    return sa.text(statement)


def _spread_state(dialect: str) -> str:
    # SQLite begins a CROSS JOIN with what stands first.
    place, join = _PLACE[dialect], "CROSS JOIN" if dialect == "sqlite" else "JOIN"
    return _SPREAD_STATE.format(
        place_of_node=place.format(join=join, name="place", node="graph_changes.node"),
        earlier_of_other=place.format(join=join, name="earlier", node="other.id"),
        place_of_changed=place.format(join="LEFT JOIN", name="place", node="changed.node"),
    )


# PostgreSQL expects millions of rows above what has changed, and first makes room for them, as much
# as it may: with the 16 MB of deploy/postgresql.conf that took two fifths of the statement's time.
_LITTLE_ROOM = sa.text("SET LOCAL work_mem = '4MB'")

# The same from scratch.
_TREE = sa.text("SELECT customer_id, referrer_id, 1, 0 FROM referrals")
_SPREAD = sa.text(
    """
    SELECT visitor_id, parent_id, is_customer,
        CASE WHEN is_customer = 1 AND EXISTS (
            SELECT 1 FROM referrals WHERE referrals.customer_id = counted.customer_id
        ) THEN 1 ELSE 0 END
    FROM (
        SELECT place.visitor_id, place.parent_id, visitor.customer_id,
            CASE WHEN visitor.customer_id IS NOT NULL AND row_number() OVER (
                PARTITION BY visitor.customer_id ORDER BY place.at, place.visitor_id
            ) = 1 THEN 1 ELSE 0 END AS is_customer
        FROM spread_nodes place LEFT JOIN visitors visitor ON visitor.id = place.visitor_id
        WHERE place.campaign_id = :forest
    ) AS counted
    """
)

_CHILD_DEPTHS = (
    sa.select(GraphCount.parent, GraphCount.depth, sa.func.count().label("times"))
    .where(GraphCount.forest == sa.bindparam("forest"))
    .where(among(GraphCount.parent, "parents"))
    .group_by(GraphCount.parent, GraphCount.depth)
)


_ANY_NOTES = sa.select(
    sa.exists().where(
        sa.or_(GraphChange.forest == sa.bindparam("forest"), GraphChange.forest.is_(None)),
        GraphChange.id <= sa.bindparam("last"),
    )
)


@dataclass(frozen=True)
class _WorkedOut:
    """What notes make of a forest's counters: see `forests.apply`."""

    rows: Mapping[int, Kept] = field(default_factory=dict)
    """What became of the nodes that changed."""
    stuck: Collection[int] = ()
    counted: Collection[int] = ()
    """Those that have a row so far."""
    reached: int = 0
    """How many more nodes are below another one."""


def _worked_out(tx: Session, forest: int, last: int) -> _WorkedOut:
    """What the notes up to `last` come to."""
    kept: dict[int, Kept] = {}
    now: dict[int, Now] = {}
    counted: set[int] = set()
    if not run(tx, _ANY_NOTES, forest=forest, last=last).scalar():
        return _WorkedOut()
    statement = _changed(tx.get_bind().dialect.name, is_tree=forest == TREE)
    for row in run(tx, statement, forest=forest, last=last).all():
        node, is_changed, parent, is_customer, is_buyer, *counts = tuple(row)
        if is_changed:
            now[node] = Now(parent, bool(is_customer), bool(is_buyer))
        if counts[-1] is None:
            kept[node] = Kept()
        else:
            kept[node] = Kept(*counts)
            counted.add(node)
    if not now:
        return _WorkedOut()
    for one in now.values():  # a parent that has no row yet
        if one.parent is not None:
            kept.setdefault(one.parent, Kept())
    before = _below_another(kept, now)
    rows, stuck = forests.apply(kept, now, partial(_child_depths, tx, forest))
    return _WorkedOut(rows, stuck, counted, _below_another(kept, now) - before)


def _below_another(kept: Mapping[int, Kept], nodes: Iterable[int]) -> int:
    return sum(kept[node].parent is not None for node in nodes)


def _child_depths(
    tx: Session, forest: int, nodes: Collection[int]
) -> Mapping[int, Mapping[int, int]]:
    found: dict[int, dict[int, int]] = defaultdict(dict)
    if nodes:
        for row in run(tx, _CHILD_DEPTHS, forest=forest, parents=numbers(tx, nodes)):
            found[row.parent][row.depth] = row.times
    return found


# Working off


def fold_now_and_then(tx: Session, *nodes: int) -> None:
    """Fold for one in `FOLD_EVERY` nodes that change, chosen by their numbers."""
    if any(map(is_turn, nodes)):
        fold(tx)


def is_turn(node: int) -> bool:
    """Whether whoever changes this node folds."""
    return node % FOLD_EVERY == 0


_NOTES = (
    sa.select(GraphChange.id, GraphChange.forest, GraphChange.node)
    .order_by(GraphChange.id)
    .limit(sa.bindparam("most"))
)
_FORESTS_OF = sa.text(
    "SELECT DISTINCT campaign_id FROM spread_nodes WHERE visitor_id IN :visitors"
).bindparams(sa.bindparam("visitors", expanding=True))
_DROP_NOTES = sa.delete(GraphChange).where(among(GraphChange.id, "notes"))


def fold(tx: Session, most: int = FOLD_MAX) -> int:
    """Work notes off into the counters, oldest first. Returns how many; 0 also while another
    transaction is at it, which this one does not wait for."""
    if not _try_lock(tx):
        return 0
    notes = run(tx, _NOTES, most=most).all()
    if not notes:
        return 0
    if not is_sqlite(tx):
        tx.execute(_LITTLE_ROOM)
    everywhere = [note.node for note in notes if note.forest is None]
    changed = {note.forest for note in notes if note.forest is not None}
    if everywhere:
        changed.update(run(tx, _FORESTS_OF, visitors=everywhere).scalars())
    left: set[tuple[int | None, int]] = set()
    for forest in sorted(changed):
        found = _worked_out(tx, forest, notes[-1].id)
        gone = [node for node, one in found.rows.items() if one == Kept()]
        rows = {node: one for node, one in found.rows.items() if one != Kept()}
        _keep(tx, forest, rows, found.counted)
        _drop(tx, forest, gone)
        if found.reached:
            upsert_many(tx, ForestTotal, [{"forest": forest, "reached": found.reached}], _more)
        left.update((forest, node) for node in found.stuck)
    # By their numbers: a note with a lower one may be committed only now.
    done = [note.id for note in notes if (note.forest, note.node) not in left]
    if done:
        run(tx, _DROP_NOTES, notes=numbers(tx, done))
    return len(done)


def _try_lock(tx: Session) -> bool:
    """Whether this transaction may change counters. SQLite has one writer at a time anyway."""
    if tx.get_bind().dialect.name != "postgresql":
        return True
    asked = sa.select(sa.func.pg_try_advisory_xact_lock(sa.func.hashtext(_LOCK)))
    return bool(tx.execute(asked).scalar())


_COUNTS = (
    "parent",
    "is_customer",
    "direct",
    "total",
    "customers",
    "depth",
    "is_buyer",
    "buyers",
)


def _as_counted(_old: Any, new: Any) -> dict[str, Any]:
    return {name: new[name] for name in _COUNTS}


def _more(old: Any, new: Any) -> dict[str, Any]:
    return {"reached": old.reached + new.reached}


def _keep(
    tx: Session, forest: int, rows: Mapping[int, Kept], counted: Collection[int] = ()
) -> None:
    """Write rows, many at once; those that are `counted` are there already."""
    made = [
        {
            "forest": forest,
            "node": node,
            "parent": one.parent,
            "is_customer": one.is_customer,
            "direct": one.direct,
            "total": one.total,
            "customers": one.customers,
            "depth": one.depth,
            "is_buyer": one.is_buyer,
            "buyers": one.buyers,
        }
        for node, one in rows.items()
    ]
    if len(made) >= COPIED_FROM and not is_sqlite(tx):
        new = [row for row in made if row["node"] not in counted]
        if copy_rows(tx, GraphCount, new):
            made = [row for row in made if row["node"] in counted]
    for start in range(0, len(made), ROWS_AT_ONCE):
        upsert_many(tx, GraphCount, made[start : start + ROWS_AT_ONCE], _as_counted)


_DROP = sa.delete(GraphCount).where(
    GraphCount.forest == sa.bindparam("forest"),
    among(GraphCount.node, "nodes"),
)


def _drop(tx: Session, forest: int, nodes: Sequence[int]) -> None:
    """Drop rows of which there is nothing to say any more."""
    for start in range(0, len(nodes), ROWS_AT_ONCE):
        part = nodes[start : start + ROWS_AT_ONCE]
        run(tx, _DROP, forest=forest, nodes=numbers(tx, part))


# Reading

_ROWS = sa.select(
    GraphCount.node,
    GraphCount.direct,
    GraphCount.total,
    GraphCount.customers,
    GraphCount.depth,
    GraphCount.buyers,
).where(
    GraphCount.forest == sa.bindparam("forest"),
    among(GraphCount.node, "nodes"),
)
_TOPS = (
    sa.select(GraphCount.node, GraphCount.direct)
    .where(GraphCount.forest == sa.bindparam("forest"), GraphCount.parent.is_(None))
    # Written out, as the index has it: with a value that is given it would not be used.
    .where(GraphCount.direct > sa.literal_column("0"))
    .order_by(GraphCount.direct.desc(), GraphCount.node.desc())
    .limit(sa.bindparam("most"))
)
_TOPS_BEHIND = _TOPS.where(
    sa.tuple_(GraphCount.direct, GraphCount.node)
    < sa.tuple_(sa.bindparam("direct"), sa.bindparam("node"))
)


def counts_of(tx: Session, forest: int, nodes: Collection[int]) -> dict[int, Counts]:
    """What is below each of these nodes, exactly: their rows and what the notes since change."""
    if not nodes:
        return {}
    since = _worked_out(tx, forest, _NEWEST).rows
    rows = run(tx, _ROWS, forest=forest, nodes=numbers(tx, nodes))
    found = {row.node: Counts(*row[1:]) for row in rows}
    return {
        node: since[node].counts if node in since else found.get(node, NOTHING) for node in nodes
    }


def changed(tx: Session, forest: int) -> Mapping[int, Kept]:
    """What became of the nodes whose rows are not up to date."""
    return _worked_out(tx, forest, _NEWEST).rows


def tops(tx: Session, forest: int, *, after: int | None = None, limit: int) -> list[int]:
    """The nodes without a parent that have children, those with most of them first, of as many the
    highest number; with `after` those behind that one, as it is now."""
    since = _worked_out(tx, forest, _NEWEST).rows
    most = limit + len(since)
    if after is None:
        behind = None
        rows = run(tx, _TOPS, forest=forest, most=most)
    else:
        behind = (counts_of(tx, forest, [after])[after].direct, after)
        told = {"direct": behind[0], "node": after}
        rows = run(tx, _TOPS_BEHIND, forest=forest, most=most, **told)
    found = [(int(row.direct), row.node) for row in rows if row.node not in since]
    changed = [
        (one.direct, node) for node, one in since.items() if one.parent is None and one.direct
    ]
    found += [each for each in changed if behind is None or each < behind]
    return [node for _, node in sorted(found, reverse=True)[:limit]]


def reached(tx: Session, forest: int) -> int:
    """How many nodes are below another one, exactly: in a spread, visitors who opened somebody's
    link before their own was opened."""
    known = tx.scalar(sa.select(ForestTotal.reached).where(ForestTotal.forest == forest)) or 0
    return known + _worked_out(tx, forest, _NEWEST).reached


# From scratch


def recount(tx: Session) -> int:
    """Count every forest from scratch. Returns how many nodes there are."""
    no_hurry(tx)
    lock(tx, _LOCK)
    notes = list(run(tx, sa.select(GraphChange.id)).scalars())
    tx.execute(sa.delete(GraphCount))
    tx.execute(sa.delete(ForestTotal))
    total = 0
    for forest in _forests(tx):
        nodes = dict(_all_nodes(tx, forest))
        counts = forests.count(nodes)
        rows = {
            node: Kept(*_place(nodes, node), **asdict(counted), is_buyer=_is_buyer(nodes, node))
            for node, counted in counts.items()
        }
        # As when folding: a node of which there is nothing to say needs no row.
        _keep(tx, forest, {node: row for node, row in rows.items() if row != Kept()})
        below = _below_another(rows, nodes)
        upsert_many(tx, ForestTotal, [{"forest": forest, "reached": below}], _more)
        total += len(rows)
    for start in range(0, len(notes), ROWS_AT_ONCE):
        run(tx, _DROP_NOTES, notes=numbers(tx, notes[start : start + ROWS_AT_ONCE]))
    return total


def differences(tx: Session) -> Iterator[str]:
    """Where the counters and a count from scratch differ, a sentence each. See `db.one_moment`."""
    no_hurry(tx)
    for forest in _forests(tx):
        nodes = dict(_all_nodes(tx, forest))
        expected = forests.count(nodes)
        name = "the referral tree" if forest == TREE else f"the spread of campaign {forest}"
        below = sum(one.parent is not None for one in nodes.values())
        known = reached(tx, forest)
        if known != below:
            yield f"In {name}, {below} are below another one and it says {known}."
        listed = sorted(expected)
        for start in range(0, len(listed), ROWS_AT_ONCE):
            found = counts_of(tx, forest, listed[start : start + ROWS_AT_ONCE])
            for node, counts in found.items():
                if counts != expected[node]:
                    yield f"In {name}, {node} has {expected[node]} below and says {counts}."
        strays = sa.select(GraphCount.node).where(
            GraphCount.forest == forest, GraphCount.direct + GraphCount.total > 0
        )
        gone = [node for node in tx.scalars(strays) if node not in expected]
        for start in range(0, len(gone), ROWS_AT_ONCE):
            found = counts_of(tx, forest, gone[start : start + ROWS_AT_ONCE])
            for node, counts in found.items():
                if counts != NOTHING:  # or there is a note of its leaving
                    yield f"In {name}, {node} is counted and not there."


def _forests(tx: Session) -> Sequence[int]:
    """Every forest there is."""
    campaigns = tx.execute(sa.text("SELECT DISTINCT campaign_id FROM spread_nodes")).scalars()
    return [TREE, *sorted(campaigns)]


def _all_nodes(tx: Session, forest: int) -> Iterator[tuple[int, Now]]:
    statement = _TREE if forest == TREE else _SPREAD.bindparams(forest=forest)
    for node, parent, is_customer, is_buyer in tx.execute(statement):
        yield node, Now(parent, bool(is_customer), bool(is_buyer))


def _is_buyer(nodes: Mapping[int, Now], node: int) -> bool:
    return node in nodes and nodes[node].is_buyer


def _place(nodes: Mapping[int, Now], node: int) -> tuple[int | None, bool]:
    """A node's parent and whether it is a customer; nothing for one that is only a parent."""
    now = nodes.get(node, Now(None))
    return now.parent, now.is_customer
