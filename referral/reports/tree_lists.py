"""The referral tree as lists: whom somebody brought in, sorted by any figure, page by page.

A page begins behind somebody, not at a number of rows: so the last of 12,340 friends is as near as
the first. Those who have somebody below are found by an index for each figure; all others have
nothing to be sorted by and follow, the earliest first.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral.crypto import KeyRing
from referral.db import run
from referral.db.bulk import among, numbers
from referral.graph import Referral
from referral.people import Customer
from referral.people.names import folded
from referral.rollups import tree
from referral.rollups.tree import Since, TreeSum
from referral.rollups.tree_sums import Sums

NAMED_MAX = 20_000
"""Names are encrypted: to sort by them all have to be read. Of more friends they are not."""
PAGE = 50
PAGE_MAX = 1_000


class Sort(StrEnum):
    total = "total"
    direct = "direct"
    active = "active"
    paying = "paying"
    value = "value"
    newest = "newest"
    oldest = "oldest"
    name = "name"


OF_SUMS = frozenset({Sort.total, Sort.direct, Sort.active, Sort.paying, Sort.value})


@dataclass(frozen=True)
class Line:
    """A customer in the tree, and what is below."""

    customer_id: int
    name: str | None
    at: datetime | None
    """When her place was settled; None before a purchase of her own."""
    sums: Sums


@dataclass(frozen=True)
class Lines:
    rows: list[Line]
    next: int | None
    """Behind which customer the next page begins; None on the last."""
    sort: Sort
    """By what they are sorted: not by what was asked where there are too many to sort by name."""


def children(
    tx: Session,
    keys: KeyRing,
    parent: int,
    lately: Since,
    *,
    sort: Sort = Sort.total,
    after: int | None = None,
    limit: int = PAGE,
) -> Lines:
    """Whom a customer brought in; figures with the largest first."""
    direct = tree.sums_of(tx, [parent], lately)[parent].direct
    if sort is Sort.name and direct > NAMED_MAX:
        sort = Sort.total
    if sort is Sort.name:
        found = _by_name(tx, keys, parent, after, limit + 1)
    elif sort in OF_SUMS:
        found = _by_sums(tx, parent, sort, after, limit + 1, lately)
    else:
        found = _by_date(tx, parent, after, limit + 1, is_newest_first=sort is Sort.newest)
    return _page(tx, keys, found, limit, sort, lately)


def roots(
    tx: Session,
    keys: KeyRing,
    lately: Since,
    *,
    sort: Sort = Sort.total,
    after: int | None = None,
    limit: int = PAGE,
) -> Lines:
    """Customers nobody brought in who brought in others, sorted by a figure, the largest first."""
    sort = sort if sort in OF_SUMS else Sort.total
    found = _fruitful(tx, None, sort, after, limit + 1, lately)
    return _page(tx, keys, found, limit, sort, lately)


def _page(
    tx: Session, keys: KeyRing, found: Sequence[int], limit: int, sort: Sort, lately: Since
) -> Lines:
    shown = list(found[:limit])
    following = shown[-1] if len(found) > limit else None
    return Lines(lines(tx, keys, shown, lately), following, sort)


_PEOPLE = (
    sa.select(Customer.id, Customer.name_encrypted, Referral.at)
    .outerjoin(Referral, Referral.customer_id == Customer.id)
    .where(among(Customer.id, "people"))
)


def lines(tx: Session, keys: KeyRing, people: Sequence[int], lately: Since) -> list[Line]:
    """These customers, in the order given."""
    rows: list[tuple[Any, ...]] = [
        tuple(row) for row in run(tx, _PEOPLE, people=numbers(tx, people)).all()
    ]
    known = {who: (name, at) for who, name, at in rows}
    sums = tree.sums_of(tx, people, lately)
    return [
        Line(who, keys.decrypt_if_any(known[who][0]), known[who][1], sums[who])
        for who in people
        if who in known
    ]


# By a figure: who has somebody below, and then everybody else


def _by_sums(
    tx: Session, parent: int, sort: Sort, after: int | None, most: int, lately: Since
) -> list[int]:
    found: list[int] = []
    is_behind = after is not None and not _is_fruitful(tx, after, lately)
    if not is_behind:
        found = _fruitful(tx, parent, sort, after, most, lately)
    if len(found) < most:
        begin = after if is_behind else None
        found += _others(tx, parent, begin, most - len(found), lately)
    return found


# Written out, as the indexes have it: with a value that is given they would not be used.
_HAS_SOMEBODY = sa.text("tree_sums.total > 0")


def _is_fruitful(tx: Session, customer: int, lately: Since) -> bool:
    return tree.sums_of(tx, [customer], lately)[customer].total > 0


def _fruitful(
    tx: Session, parent: int | None, sort: Sort, after: int | None, most: int, lately: Since
) -> list[int]:
    """Who is right below, or a root, and has somebody below; whoever changed lately as it is."""
    key = getattr(TreeSum, sort)
    behind = _key_of(tx, after, sort, lately)
    statement = sa.select(TreeSum.customer_id, key).where(_HAS_SOMEBODY)
    statement = statement.where(
        TreeSum.parent.is_(None) if parent is None else TreeSum.parent == parent
    )
    if behind is not None:
        statement = statement.where(sa.tuple_(key, TreeSum.customer_id) < sa.tuple_(*behind))
    statement = statement.order_by(key.desc(), TreeSum.customer_id.desc())
    rows = tx.execute(statement.limit(most + len(lately.rows)))
    found = [(value, who) for who, value in rows if who not in lately.rows]
    changed = [
        (getattr(one.below, sort), who)
        for who, one in lately.rows.items()
        if one.parent == parent and one.below.total
    ]
    found += [each for each in changed if behind is None or each < behind]
    return [who for _, who in sorted(found, reverse=True)[:most]]


def _key_of(tx: Session, customer: int | None, sort: Sort, lately: Since) -> tuple[int, int] | None:
    if customer is None:
        return None
    return getattr(tree.sums_of(tx, [customer], lately)[customer], sort), customer


def _others(tx: Session, parent: int, after: int | None, most: int, lately: Since) -> list[int]:
    """Whom somebody brought in and who have nobody below, the earliest first."""
    changed = [who for who, one in lately.rows.items() if one.parent == parent]
    listed = [who for who in changed if lately.rows[who].below.total]
    was_listed = sa.exists().where(
        TreeSum.customer_id == Referral.customer_id,
        TreeSum.parent == parent,
        _HAS_SOMEBODY,
        ~among(TreeSum.customer_id, "changed"),
    )
    statement = _in_time(parent, _moment_of(tx, after), most, is_newest_first=False)
    statement = statement.where(~was_listed, ~among(Referral.customer_id, "listed"))
    given = {"changed": numbers(tx, changed), "listed": numbers(tx, listed)}
    return list(tx.scalars(statement, given))


# By date


def _by_date(
    tx: Session, parent: int, after: int | None, most: int, *, is_newest_first: bool
) -> list[int]:
    behind = _moment_of(tx, after)
    return list(tx.scalars(_in_time(parent, behind, most, is_newest_first=is_newest_first)))


def _moment_of(tx: Session, customer: int | None) -> tuple[datetime, int] | None:
    at = tx.scalar(sa.select(Referral.at).where(Referral.customer_id == customer))
    return None if customer is None or at is None else (at, customer)


def _in_time(
    parent: int, behind: tuple[datetime, int] | None, most: int, *, is_newest_first: bool
) -> sa.Select[Any]:
    order = (Referral.at, Referral.customer_id)
    statement = sa.select(Referral.customer_id).where(Referral.referrer_id == parent)
    if behind is not None:
        at = sa.literal(behind[0], Referral.at.type)
        here, there = sa.tuple_(*order), sa.tuple_(at, sa.literal(behind[1]))
        statement = statement.where(here < there if is_newest_first else here > there)
    if is_newest_first:
        return statement.order_by(*(each.desc() for each in order)).limit(most)
    return statement.order_by(*order).limit(most)


# By name


def _by_name(tx: Session, keys: KeyRing, parent: int, after: int | None, most: int) -> list[int]:
    """By how names begin, those without one last."""
    rows = tx.execute(
        sa.select(Customer.id, Customer.name_encrypted)
        .join(Referral, Referral.customer_id == Customer.id)
        .where(Referral.referrer_id == parent)
    )
    listed = sorted((name is None, _letters(keys.decrypt_if_any(name)), who) for who, name in rows)
    ordered = [who for *_, who in listed]
    start = ordered.index(after) + 1 if after in ordered else 0
    return ordered[start : start + most]


def _letters(name: str | None) -> bytes:
    # In this encoding the common Chinese characters stand in the order of their pinyin.
    return folded(name or "").encode("gb18030", "replace")
