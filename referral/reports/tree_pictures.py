"""A part of the referral tree as a picture takes it: the largest branches, each with its parent."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral import people
from referral.config import ValueSettings
from referral.crypto import KeyRing
from referral.db import is_sqlite, run
from referral.reports import lists, tree_lists, trees
from referral.reports.tree_lists import Line
from referral.rollups import tree
from referral.rollups.tree import Since

NODES, NODES_MAX = 2_000, 10_000
"""How many nodes a picture has where nothing is said, and at most."""
STEP = 8
"""By how much smaller the branches are that are looked for next, until there are enough."""
SPARE = 4
"""How many times as many are looked at as are shown: level by level, not all of them largest."""

Places = dict[int, int | None]
"""The parent of each node; None for the root."""


@dataclass(frozen=True)
class Picture:
    root: int
    path: list[tuple[int, str | None]]
    """Those above with their names, from the topmost down to the root itself."""
    nodes: list[tuple[Line, int | None]]
    """Each behind its parent. A node whose `direct` is more than are listed has more below."""


def picture(
    tx: Session, keys: KeyRing, settings: ValueSettings, customer_id: int, nodes: int = NODES
) -> Picture:
    """A customer with the largest branches below. Raises `UnknownCustomer`."""
    root = people.customer_by_id(tx, customer_id).id
    nodes = min(max(nodes, 1), NODES_MAX)
    lately = tree.since(tx, settings)
    total = tree.sums_of(tx, [root], lately)[root].total
    places = _largest(tx, root, total, nodes)
    if len(places) < nodes:
        places |= _leaves(tx, places, nodes - len(places), lately)
    places = as_they_are(places, root, {who: one.parent for who, one in lately.rows.items()})
    found = tree_lists.lines(tx, keys, list(places), lately)
    # Whoever is above has more below: nobody comes before the one above.
    found.sort(key=lambda line: (line.customer_id != root, -line.sums.total))
    shown = [(line, places[line.customer_id]) for line in found[:nodes]]
    above = trees.path_to_root(tx, root)
    names = lists.names(tx, keys, [*above, root])
    path = [(each, names.get(each)) for each in (*reversed(above), root)]
    return Picture(root, path, shown)


_LARGEST = {
    # A queue by size: the largest first, until there are enough.
    "sqlite": sa.text(
        """
        WITH RECURSIVE part(customer_id, parent, total) AS (
            SELECT :root, NULL, :total
            UNION ALL
            SELECT kept.customer_id, kept.parent, kept.total
            FROM part CROSS JOIN tree_sums AS kept INDEXED BY ix_tree_sums_by_total
            WHERE kept.parent = part.customer_id AND kept.total > 0 AND kept.total >= :least
            ORDER BY 3 DESC LIMIT :most
        )
        SELECT customer_id, parent FROM part
        """
    ),
    "postgresql": sa.text(
        """
        WITH RECURSIVE part(customer_id, parent, total) AS (
            SELECT CAST(:root AS bigint), CAST(NULL AS bigint), CAST(:total AS bigint)
            UNION ALL
            SELECT kept.customer_id, kept.parent, kept.total
            FROM part CROSS JOIN LATERAL (
                SELECT customer_id, parent, total FROM tree_sums
                WHERE tree_sums.parent = part.customer_id AND tree_sums.total > 0
                    AND tree_sums.total >= :least
                ORDER BY tree_sums.total DESC LIMIT :most
            ) AS kept
        )
        SELECT customer_id, parent FROM (SELECT * FROM part LIMIT :spare) AS found
        ORDER BY total DESC LIMIT :most
        """
    ),
}


def _largest(tx: Session, root: int, total: int, nodes: int) -> Places:
    """The root and whoever below has most people below."""
    statement = _LARGEST[tx.get_bind().dialect.name]
    told = {"root": root, "total": total, "most": nodes}
    if not is_sqlite(tx):
        told["spare"] = nodes * SPARE
    least, rows = total, list[Any]()
    while len(rows) < nodes and least > 1:
        least = max(least // STEP, 1)
        rows = list(run(tx, statement, **told, least=least).all())
    return {root: None, **{row.customer_id: row.parent for row in rows if row.customer_id != root}}


_LEAVES = {
    "sqlite": sa.text(
        """
        SELECT customer_id, parent FROM (
            SELECT referrals.customer_id, referrals.referrer_id AS parent, asked.value AS quota,
                row_number() OVER (
                    PARTITION BY referrals.referrer_id
                    ORDER BY referrals.at, referrals.customer_id
                ) AS place
            FROM json_each(:quotas) asked
            CROSS JOIN referrals ON referrals.referrer_id = CAST(asked.key AS integer)
            LEFT JOIN tree_sums kept ON kept.customer_id = referrals.customer_id
            WHERE coalesce(kept.total, 0) = 0
        ) WHERE place <= quota
        """
    ),
    "postgresql": sa.text(
        """
        SELECT picked.customer_id, picked.referrer_id AS parent
        FROM json_each_text(CAST(:quotas AS json)) AS asked(parent, quota)
        CROSS JOIN LATERAL (
            SELECT referrals.customer_id, referrals.referrer_id
            FROM referrals LEFT JOIN tree_sums kept ON kept.customer_id = referrals.customer_id
            WHERE referrals.referrer_id = CAST(asked.parent AS bigint)
                AND coalesce(kept.total, 0) = 0
            ORDER BY referrals.at, referrals.customer_id
            LIMIT CAST(asked.quota AS bigint)
        ) AS picked
        """
    ),
}


def _leaves(tx: Session, places: Places, room: int, lately: Since) -> Places:
    """Some of those who have nobody below, as many of each parent as there is room for."""
    listed = defaultdict[int, int](int)
    for parent in places.values():
        if parent is not None:
            listed[parent] += 1
    sums = tree.sums_of(tx, list(places), lately)
    left = {who: below.direct - listed[who] for who, below in sums.items()}
    quotas = shared_out({who: count for who, count in left.items() if count > 0}, room)
    if not quotas:
        return {}
    rows = run(tx, _LEAVES[tx.get_bind().dialect.name], quotas=json.dumps(quotas))
    return {row.customer_id: row.parent for row in rows.all()}


def shared_out(wanted: Mapping[int, int], room: int) -> dict[int, int]:
    """How much of what each wants it gets: everybody as much as the others, as far as it goes."""
    given: dict[int, int] = {}
    for at, (who, count) in enumerate(sorted(wanted.items(), key=lambda each: each[1])):
        given[who] = min(count, room // (len(wanted) - at))
        room -= given[who]
    return {who: count for who, count in given.items() if count}


def as_they_are(places: Places, root: int, changed: Mapping[int, int | None]) -> Places:
    """Put those who were placed lately where they belong, and leave out who is not below."""
    moved = {**places, **{who: parent for who, parent in changed.items() if who != root}}
    below = defaultdict[int, list[int]](list)
    for who, parent in moved.items():
        if parent is not None and who != root:
            below[parent].append(who)
    found: Places = {root: None}
    level: Sequence[int] = [root]
    while level:
        children = [(child, parent) for parent in level for child in below[parent]]
        found.update(children)
        level = [child for child, _ in children]
    return found


def branch(
    tx: Session,
    keys: KeyRing,
    settings: ValueSettings,
    customer_id: int,
    *,
    after: int | None,
    limit: int,
) -> tree_lists.Lines:
    """Whom a customer brought in, the largest branches first, some at once."""
    customer_id = people.customer_by_id(tx, customer_id).id
    limit = min(max(limit, 1), tree_lists.PAGE_MAX)
    lately = tree.since(tx, settings)
    return tree_lists.children(tx, keys, customer_id, lately, after=after, limit=limit)
