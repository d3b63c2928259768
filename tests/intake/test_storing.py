"""Many events in one transaction beside others who store: who waits, and what it comes to."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from referral import rollups
from referral.deployment import Deployment
from referral.intake.events import Event, Visited
from referral.intake.storing import store
from referral.spread import SpreadNode
from referral.visits import Kind, Visit, new_event_id
from tests.cast import add_product, publish
from tests.conftest import START
from tests.races import overtaken, waiting


@pytest.fixture
def running(deployment: Deployment) -> Deployment:
    add_product(deployment)
    publish(deployment)
    return deployment


def opening(reader: int, sharer: int, second: int, *, hop: int = 1, campaign: int = 1) -> Event:
    at = START + timedelta(seconds=second)
    its: dict[str, Any] = {"campaign": campaign, "visitor": reader, "parent": sharer, "hop": hop}
    return Visited(Visit(Kind.open, at, new_event_id(at), **its))


def in_turn(d: Deployment, events: Sequence[Event]) -> Callable[[], list[bool]]:
    return lambda: d.db.transact(lambda tx: store(tx, events, in_turn=True))


@pytest.mark.parametrize("is_worker", [False, True])
def test_workers_take_turns_also_where_they_have_no_row_in_common(
    running: Deployment, is_worker: bool
) -> None:
    if running.db.is_sqlite:
        pytest.skip("SQLite has one writer")
    other = publish(running, slug="other").id
    waits = waiting(
        running.db,
        lambda tx: store(tx, [opening(2, 1, 5)], in_turn=True),
        lambda: running.db.transact(
            lambda tx: store(tx, [opening(4, 3, 5, campaign=other)], in_turn=is_worker)
        ),
    )
    assert waits == [is_worker]


@pytest.mark.parametrize("is_turned", [False, True], ids=["in order", "the later part first"])
def test_two_workers_with_parts_of_one_chain_come_to_one_tree(
    running: Deployment, is_turned: bool
) -> None:
    """Whichever part is stored first; what both have in it, once."""
    common = opening(4, 3, 30, hop=3)
    parts = (
        [opening(2, 1, 10), opening(3, 2, 20, hop=2), common],
        [common, opening(5, 4, 40, hop=4), opening(3, 1, 50)],
    )
    first, second = reversed(parts) if is_turned else parts
    one, other = overtaken(
        running.db, lambda tx: store(tx, first, in_turn=True), in_turn(running, second)
    )
    assert sorted([*one, *other]) == [False, *[True] * 5]  # type: ignore[misc]
    with running.db.read() as tx:
        places = sa.select(SpreadNode.visitor_id, SpreadNode.parent_id, SpreadNode.hop)
        found = tx.execute(places.order_by(SpreadNode.visitor_id)).all()
        assert [tuple(row) for row in found] == [
            (1, None, 0),
            (2, 1, 1),
            (3, 2, 2),
            (4, 3, 3),
            (5, 4, 4),
        ]
        assert list(rollups.differences(tx)) == []
