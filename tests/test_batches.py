"""Batches: one row whatever their size, and the states of ranges of their codes."""

import itertools
from collections.abc import Sequence

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from referral import actions, batches
from referral import batches as batches_module
from referral.batches import (
    BadRange,
    Batch,
    CodeRange,
    CodesExhausted,
    RangeChange,
    RangeState,
    Span,
    UnknownBatch,
    overlay,
)
from referral.catalog import UnknownProduct
from referral.clock import HeldClock
from referral.codes import INDEX_END, UnknownCode
from referral.config import Config
from referral.deployment import Deployment, open_deployment
from tests.cast import GTIN, SIZE, add_product, issue
from tests.races import at_once, overtaken

STATES = list(RangeState)
CODES = 40

spans = st.tuples(st.integers(0, CODES - 1), st.integers(1, CODES), st.sampled_from(STATES)).map(
    lambda drawn: Span(drawn[0], min(CODES, drawn[0] + drawn[1]), drawn[2])
)


@given(st.lists(spans, max_size=12))
def test_ranges_say_of_every_code_what_was_said_last(laid: list[Span]) -> None:
    ranges = [Span(0, CODES, RangeState.issued)]
    states: list[str] = [RangeState.issued] * CODES
    for span in laid:
        ranges = overlay(ranges, span)
        states[span.start : span.end] = [span.state] * (span.end - span.start)
    assert [range_.state for range_ in ranges for _ in range(range_.start, range_.end)] == states
    edges = [range_.start for range_ in ranges] + [ranges[-1].end]
    assert edges == [0, *(range_.end for range_ in ranges)], "they cover the batch, in order"
    assert all(one.state != two.state for one, two in itertools.pairwise(ranges))


def ranges_of(deployment: Deployment, batch: Batch) -> list[Span]:
    with deployment.db.read() as tx:
        return batches.ranges(tx, batch.id)


def set_state(
    deployment: Deployment,
    batch_id: int,
    state: RangeState = RangeState.activated,
    start: int | None = None,
    end: int | None = None,
) -> None:
    actions.set_range(
        deployment, batch_id, state, start=start, end=end, reason="because", by="alice"
    )


@pytest.fixture
def batch(deployment: Deployment) -> Batch:
    add_product(deployment)
    return issue(deployment, on_sale=0)


def test_a_new_batch_is_dark(deployment: Deployment, batch: Batch) -> None:
    assert ranges_of(deployment, batch) == [Span(0, SIZE, "issued")]
    with deployment.db.read() as tx:
        assert batches.state_of(tx, batch.id, 0) is RangeState.issued
        assert batches.state_of(tx, batch.id, SIZE - 1) is RangeState.issued


def test_a_range_is_half_open(deployment: Deployment, batch: Batch) -> None:
    set_state(deployment, batch.id, start=10, end=20)
    with deployment.db.read() as tx:
        states = [batches.state_of(tx, batch.id, index) for index in (9, 10, 19, 20)]
    assert states == ["issued", "activated", "activated", "issued"]


def test_without_a_range_all_of_the_batch_is_meant(deployment: Deployment, batch: Batch) -> None:
    set_state(deployment, batch.id)
    assert ranges_of(deployment, batch) == [Span(0, SIZE, "activated")]
    set_state(deployment, batch.id, RangeState.voided, start=900)
    assert ranges_of(deployment, batch) == [Span(0, 900, "activated"), Span(900, SIZE, "voided")]


def test_activating_twice_changes_nothing(deployment: Deployment, batch: Batch) -> None:
    set_state(deployment, batch.id, start=10, end=20)
    before = ranges_of(deployment, batch)
    set_state(deployment, batch.id, start=10, end=20)
    assert ranges_of(deployment, batch) == before


def test_every_change_is_noted(deployment: Deployment, batch: Batch) -> None:
    set_state(deployment, batch.id, start=10, end=20)
    set_state(deployment, batch.id, RangeState.voided, start=15, end=16)
    with deployment.db.read() as tx:
        changes = tx.scalars(sa.select(RangeChange).order_by(RangeChange.id)).all()
    noted = [(c.start, c.end, c.state, c.reason, c.by) for c in changes]
    assert noted == [
        (0, SIZE, "issued", "", "tests"),
        (10, 20, "activated", "because", "alice"),
        (15, 16, "voided", "because", "alice"),
    ]
    assert all(change.at == deployment.clock.now() for change in changes)


def test_it_rejects_a_range_outside_the_batch(deployment: Deployment, batch: Batch) -> None:
    for start, end in [(-1, 5), (5, 5), (6, 5), (0, SIZE + 1), (SIZE, None), (None, 0)]:
        with pytest.raises(BadRange) as refused:
            set_state(deployment, batch.id, start=start, end=end)
        assert refused.value.details == {"size": SIZE}
    assert ranges_of(deployment, batch) == [Span(0, SIZE, "issued")]


def test_it_rejects_batches_and_products_nobody_made(deployment: Deployment) -> None:
    with pytest.raises(UnknownBatch):
        set_state(deployment, 999)
    with pytest.raises(UnknownBatch):
        deployment.directory.batch(999)
    with pytest.raises(UnknownProduct):
        actions.issue_batch(deployment, gtin=GTIN, count=1, name="none", by="tests")


def test_it_rejects_a_batch_there_are_no_codes_left_for(
    deployment: Deployment, batch: Batch
) -> None:
    deployment.db.transact(
        lambda tx: tx.execute(
            sa.update(Batch).where(Batch.id == batch.id).values(first_index=INDEX_END - SIZE - 5)
        )
    )
    with pytest.raises(CodesExhausted):
        actions.issue_batch(deployment, gtin=GTIN, count=6, name="too many", by="tests")
    actions.issue_batch(deployment, gtin=GTIN, count=5, name="the last ones", by="tests")
    with pytest.raises(CodesExhausted):
        actions.issue_batch(deployment, gtin=GTIN, count=1, name="none left", by="tests")


def test_batches_follow_one_another(deployment: Deployment, batch: Batch) -> None:
    second = issue(deployment)
    assert (batch.first_index, second.first_index) == (0, SIZE)


def assert_disjoint(made: Sequence[Batch]) -> None:
    assert [each.first_index for each in sorted(made, key=lambda b: b.first_index)] == [
        number * SIZE for number in range(len(made))
    ]


def test_batches_made_at_the_same_moment_share_no_code(deployment: Deployment) -> None:
    add_product(deployment)
    made = at_once([lambda: issue(deployment, on_sale=0)] * 6)
    assert_disjoint([each for each in made if isinstance(each, Batch)])
    assert len(made) == 6


def test_a_batch_waits_for_one_that_is_being_made(deployment: Deployment) -> None:
    add_product(deployment)
    both = overtaken(
        deployment.db,
        lambda tx: issue(deployment, on_sale=0),
        lambda: issue(deployment, on_sale=0),
    )
    assert_disjoint([each for each in both if isinstance(each, Batch)])


def test_changes_of_one_batch_wait_for_each_other(deployment: Deployment, batch: Batch) -> None:
    outcome = overtaken(
        deployment.db,
        lambda tx: set_state(deployment, batch.id, start=0, end=10),
        lambda: set_state(deployment, batch.id, start=20, end=30),
    )
    assert outcome == (None, None)
    with deployment.db.read() as tx:
        on_sale = tx.scalar(
            sa.select(sa.func.sum(CodeRange.end - CodeRange.start)).where(
                CodeRange.state == RangeState.activated
            )
        )
    assert on_sale == 20


# The directory


def test_the_directory_knows_what_does_not_change(deployment: Deployment, batch: Batch) -> None:
    entry = deployment.directory.batch(batch.id)
    assert (entry.gtin, entry.product_name) == (GTIN, "Cold Brew Tea")
    assert deployment.directory.find(0) == deployment.directory.find(SIZE - 1) == entry
    assert deployment.directory.find(SIZE) is None
    assert deployment.directory.find(INDEX_END - 1) is None


def test_an_empty_directory_finds_nothing(deployment: Deployment) -> None:
    assert deployment.directory.find(0) is None


def test_a_gap_between_batches_is_nobodys(deployment: Deployment, batch: Batch) -> None:
    second = issue(deployment)
    moved = sa.update(Batch).where(Batch.id == second.id).values(first_index=5 * SIZE)
    deployment.db.transact(lambda tx: tx.execute(moved))
    deployment.directory.forget()
    assert deployment.directory.find(3 * SIZE) is None
    found = deployment.directory.find(5 * SIZE)
    assert found is not None
    assert found.id == second.id


def test_a_batch_of_this_process_is_known_at_once(deployment: Deployment) -> None:
    add_product(deployment)
    assert deployment.directory.find(0) is None
    made = issue(deployment)
    assert deployment.directory.batch(made.id).size == SIZE


def test_looking_while_a_batch_is_being_made_does_not_hide_it(deployment: Deployment) -> None:
    add_product(deployment)

    def look() -> object:
        return deployment.directory.find(0)

    def make(_: object) -> Batch:
        made = issue(deployment, on_sale=0)
        assert at_once([look]) == [None], "it is not committed yet"
        return made

    made = deployment.db.transact(make)
    assert deployment.directory.batch(made.id).size == SIZE


def test_a_batch_of_another_process_is_known_after_a_moment(
    deployment: Deployment,
    config: Config,
    clock: HeldClock,
    batch: Batch,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(batches_module, "DIRECTORY_SECONDS_MAX", 3600.0)
    other = open_deployment(config, clock=clock)
    assert other.directory.batch(batch.id).size == SIZE
    made = issue(deployment)
    code = deployment.codes.encode(made, 7)
    with pytest.raises(UnknownCode):
        other.codes.decode(code.text, other.directory)
    monkeypatch.setattr(batches_module, "DIRECTORY_SECONDS_MAX", 0.0)
    assert other.codes.decode(code.text, other.directory) == code
    other.db.close()
