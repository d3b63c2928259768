"""The tree as lists and as a picture: whoever is there is there once, in the order asked for."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from referral.config import ValueSettings
from referral.deployment import Deployment
from referral.graph import Referral
from referral.people import Customer
from referral.reports import tree_lists, tree_pictures
from referral.reports.tree_lists import Line, Sort
from referral.rollups import tree

SLOW_BUT_FINE = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
SETTINGS = ValueSettings()
T0 = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
Forest = Sequence[int | None]
"""For each customer the place of the one who brought her in, which comes before; None for nobody.
Customers are numbered from 1 on."""


def plant(
    tx: Session, deployment: Deployment, forest: Forest, named: Callable[[int], str | None] = str
) -> None:
    people_ = []
    for place in range(len(forest)):
        name = named(place)
        encrypted = deployment.keys.encrypt(name) if name else None
        people_.append({"id": place + 1, "name_encrypted": encrypted, "created_at": T0})
    tx.execute(sa.insert(Customer), people_)
    settle(tx, forest, 0)


def settle(tx: Session, forest: Forest, start: int, size: int | None = None) -> None:
    end = len(forest) if size is None else start + size
    rows = [
        {
            "customer_id": place + 1,
            "referrer_id": None if forest[place] is None else forest[place] + 1,  # type: ignore[operator]
            "event": f"claim:{place}",
            "why": {},
            "at": T0 + timedelta(minutes=place),
        }
        for place in range(start, end)
    ]
    tx.execute(sa.insert(Referral.__table__), rows)


def fold_all(tx: Session) -> None:
    while tree.fold(tx, SETTINGS):
        pass


def below(forest: Forest, place: int) -> list[int]:
    direct = [child for child, parent in enumerate(forest) if parent == place]
    return direct + [each for child in direct for each in below(forest, child)]


def every_page(
    tx: Session, deployment: Deployment, parent: int, sort: Sort, limit: int
) -> list[Line]:
    found: list[Line] = []
    after = None
    lately = tree.since(tx, SETTINGS)
    while True:
        page = tree_lists.children(
            tx, deployment.keys, parent, lately, sort=sort, after=after, limit=limit
        )
        found += page.rows
        if page.next is None:
            return found
        assert len(page.rows) == limit
        after = page.next


forests = st.lists(st.none() | st.integers(0, 30), min_size=1, max_size=25).map(
    lambda drawn: [
        None if parent is None or place == 0 else parent % place
        for place, parent in enumerate(drawn)
    ]
)


@settings(max_examples=15, suppress_health_check=SLOW_BUT_FINE)
@given(forests, st.integers(1, 4), st.integers(0, 25), st.sampled_from(Sort))
def test_every_child_is_listed_once_in_the_order_asked_for(
    deployment: Deployment, forest: Forest, limit: int, folded: int, sort: Sort
) -> None:
    """Also while some of what happened is not counted yet."""
    with Session(deployment.db.engine) as tx:
        plant(tx, deployment, forest)
        tree.fold(tx, SETTINGS, most=folded + 1)
        for parent in range(len(forest)):
            found = every_page(tx, deployment, parent + 1, sort, limit)
            children = [child for child, above in enumerate(forest) if above == parent]
            assert sorted(line.customer_id - 1 for line in found) == children
            for line in found:
                assert line.name == str(line.customer_id - 1)
                assert line.sums.total == len(below(forest, line.customer_id - 1))
            assert found == sorted(found, key=lambda line: _order(line, sort))
        tx.rollback()


def _order(line: Line, sort: Sort) -> Any:
    if sort is Sort.name:
        return line.name
    if sort is Sort.oldest:
        return line.at
    if sort is Sort.newest:
        return T0 - (line.at or T0)
    # Who has nobody below comes last, the earliest of them first.
    if line.sums.total == 0:
        return (1, 0, line.customer_id)
    return (0, -getattr(line.sums, sort), -line.customer_id)


@settings(max_examples=15, suppress_health_check=SLOW_BUT_FINE)
@given(forests, st.integers(1, 40), st.integers(0, 25))
def test_a_picture_has_the_largest_branches_each_behind_its_parent(
    deployment: Deployment, forest: Forest, most: int, folded: int
) -> None:
    with Session(deployment.db.engine) as tx:
        plant(tx, deployment, forest)
        tree.fold(tx, SETTINGS, most=folded + 1)
        for root in range(len(forest)):
            found = tree_pictures.picture(tx, deployment.keys, SETTINGS, root + 1, most)
            ids = [line.customer_id for line, _ in found.nodes]
            inside = {root, *below(forest, root)}
            assert ids[0] == root + 1
            assert len(set(ids)) == len(ids) == min(most, len(inside))
            assert {each - 1 for each in ids} <= inside
            for at, (line, parent) in enumerate(found.nodes):
                assert line.sums.total == len(below(forest, line.customer_id - 1))
                above = forest[line.customer_id - 1]
                if at:
                    assert parent == above + 1  # type: ignore[operator]
                    assert parent in ids[:at]
        tx.rollback()


def test_a_large_branch_is_shown_before_small_ones(deployment: Deployment) -> None:
    """A star of small branches around one that goes deep."""
    dice = Random(5)
    forest: list[int | None] = [None, *([0] * 60)]
    forest += [dice.randrange(1, 40) for _ in range(60)]  # small ones
    deep = len(forest)
    forest += [0, *range(deep, deep + 80)]  # a chain
    with Session(deployment.db.engine) as tx:
        plant(tx, deployment, forest)
        fold_all(tx)
        found = tree_pictures.picture(tx, deployment.keys, SETTINGS, 1, 40)
        smallest = min(line.sums.total for line, _ in found.nodes)
        left_out = set(range(len(forest))) - {line.customer_id - 1 for line, _ in found.nodes}
        assert max(len(below(forest, place)) for place in left_out) <= smallest
        tx.rollback()


def test_leaves_share_the_room_that_is_left() -> None:
    assert tree_pictures.shared_out({1: 100, 2: 3, 3: 100}, 43) == {1: 20, 2: 3, 3: 20}
    assert tree_pictures.shared_out({1: 2, 2: 1}, 50) == {1: 2, 2: 1}
    assert tree_pictures.shared_out({1: 2, 2: 1, 3: 4}, 2) == {1: 1, 3: 1}
    assert tree_pictures.shared_out({}, 5) == {}


def test_the_path_goes_from_the_topmost_down(deployment: Deployment) -> None:
    with Session(deployment.db.engine) as tx:
        plant(tx, deployment, [None, 0, 1, 2])
        found = tree_pictures.picture(tx, deployment.keys, SETTINGS, 4)
        assert found.path == [(1, "0"), (2, "1"), (3, "2"), (4, "3")]
        tx.rollback()


def test_roots_are_those_whom_nobody_brought_in(deployment: Deployment) -> None:
    forest = [None, 0, None, 2, 2, None, 3]
    with Session(deployment.db.engine) as tx:
        plant(tx, deployment, forest)
        for _ in range(2):
            pages = []
            after = None
            for _page in range(2):
                page = tree_lists.roots(
                    tx,
                    deployment.keys,
                    tree.since(tx, SETTINGS),
                    sort=Sort.total,
                    after=after,
                    limit=1,
                )
                pages.append([line.customer_id for line in page.rows])
                after = page.next
            assert pages == [[3], [1]]
            assert after is None
            fold_all(tx)
        tx.rollback()


def test_names_are_sorted_as_they_are_spoken(deployment: Deployment) -> None:
    """The common Chinese characters by their pinyin, behind Latin letters; nobody's name last."""
    names = ["root", "赵敏", "bob", None, "安娜", "Ann", "李雷"]
    with Session(deployment.db.engine) as tx:
        plant(tx, deployment, [None, 0, 0, 0, 0, 0, 0], lambda place: names[place])
        found = every_page(tx, deployment, 1, Sort.name, 2)
        assert [line.name for line in found] == ["Ann", "bob", "安娜", "李雷", "赵敏", None]
        tx.rollback()


def test_too_many_names_are_not_read(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tree_lists, "NAMED_MAX", 2)
    with Session(deployment.db.engine) as tx:
        plant(tx, deployment, [None, 0, 0, 0])
        page = tree_lists.children(tx, deployment.keys, 1, tree.since(tx, SETTINGS), sort=Sort.name)
        assert page.sort is Sort.total
        assert [line.customer_id for line in page.rows] == [2, 3, 4]
        tx.rollback()
