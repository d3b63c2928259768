"""Batches: one row whatever their size, and the directory that knows all of them."""

from collections.abc import Callable, Iterator, Sequence
from threading import Thread
from typing import Any

import pytest
import sqlalchemy as sa

from referral import actions, batches
from referral.batches import (
    LOOKS_PER_SECOND_MAX,
    Batch,
    BatchDirectory,
    CodesExhausted,
    Scheme,
    UnknownBatch,
)
from referral.catalog import UnknownProduct
from referral.checking import check_code
from referral.clock import HeldClock
from referral.codes import ALPHABET, INDEX_END, Labels, UnknownCode
from referral.config import Config
from referral.deployment import Deployment, open_deployment
from referral.errors import Unavailable
from referral.ranges import RangeState
from tests.cast import GTIN, SIZE, add_product, issue
from tests.races import at_once, overtaken


@pytest.fixture
def batch(deployment: Deployment) -> Batch:
    add_product(deployment)
    return issue(deployment, on_sale=0)


def test_it_rejects_batches_and_products_nobody_made(deployment: Deployment) -> None:
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


def test_a_batch_keeps_what_its_product_carried_when_it_was_issued(
    deployment: Deployment,
) -> None:
    add_product(deployment, labels=Labels.pair)
    pairs = actions.issue_batch(
        deployment, gtin=GTIN, count=5, name="pairs", scheme=Scheme.capitals, by="tests"
    )
    actions.set_labels(deployment, GTIN, Labels.single)
    plain = issue(deployment)
    entries = [deployment.directory.batch(made.id) for made in (pairs, plain)]
    assert [(e.labels, e.scheme) for e in entries] == [("pair", "HTTPS"), ("single", "https")]


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


@pytest.fixture
def other(
    deployment: Deployment, config: Config, clock: HeldClock, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Deployment]:
    """Another process of the service, whose directory does not age."""
    monkeypatch.setattr(batches, "DIRECTORY_SECONDS_MAX", 3600.0)
    opened = open_deployment(config, clock=clock)
    yield opened
    opened.db.close()


def test_a_batch_of_another_process_is_found_at_once(
    deployment: Deployment, other: Deployment, batch: Batch
) -> None:
    assert other.directory.batch(batch.id).size == SIZE
    for index in (0, SIZE - 1):
        made = issue(deployment)
        code = deployment.codes.encode(made, index)
        assert other.codes.decode(code.text, other.directory) == code
    made = issue(deployment)
    assert other.directory.batch(made.id).first_index == 3 * SIZE


def test_one_that_another_thread_has_found_meanwhile_is_found(
    deployment: Deployment, other: Deployment, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between a thread's first look and its second, another one may have read the directory."""
    assert other.directory.find(0)
    look = BatchDirectory.look_again
    made = issue(deployment)

    def beside(directory: BatchDirectory) -> None:
        directory.forget()
        directory.find(0)
        look(directory)

    monkeypatch.setattr(BatchDirectory, "look_again", beside)
    code = deployment.codes.encode(made, 3)
    assert other.codes.decode(code.text, other.directory) == code


def test_of_several_only_the_brand_s_own_systems_look_for_the_later_ones(
    deployment: Deployment, other: Deployment, batch: Batch
) -> None:
    assert other.directory.find(0)
    issue(deployment)
    code = deployment.codes.encode(issue(deployment), 0)
    with pytest.raises(UnknownCode):
        check_code(other, code.text, customer=None, address="192.0.2.1")
    found, _ = check_code(other, code.text, customer=None, address=None)
    assert found == code


class Outage:
    """A database that is away: it fails whoever asks, and counts them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked = 0
        self.seconds = batches.monotonic()
        self._patch = monkeypatch
        monkeypatch.setattr(batches, "monotonic", lambda: self.seconds)
        self._read = BatchDirectory._read

    def begin(self, meanwhile: Callable[[], object] = lambda: None) -> None:
        def fail(*_more: object) -> Any:
            self.asked += 1
            meanwhile()
            raise Unavailable()

        self._patch.setattr(BatchDirectory, "_read", fail)

    def end(self) -> None:
        self._patch.setattr(BatchDirectory, "_read", self._read)


def test_with_the_database_away_what_was_known_is_told_and_it_is_asked_now_and_then(
    deployment: Deployment, other: Deployment, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    outage = Outage(monkeypatch)
    known = deployment.codes.encode(batch, 3)
    assert other.codes.decode(known.text, other.directory) == known
    newer = issue(deployment)
    code = deployment.codes.encode(newer, 3)
    outage.begin()
    for times in range(1, 4):
        outage.seconds += batches.DIRECTORY_SECONDS_MAX
        for _ in range(3):
            assert other.codes.decode(known.text, other.directory) == known
        for look in (
            lambda: other.codes.decode(code.text, other.directory),
            lambda: other.directory.batch(newer.id),
        ):
            with pytest.raises(Unavailable):
                look()
        assert outage.asked == times
    outage.end()
    outage.seconds += batches.DIRECTORY_SECONDS_MAX
    assert other.codes.decode(code.text, other.directory) == code
    assert other.directory.batch(newer.id).size == SIZE


def test_while_one_thread_asks_for_a_database_that_is_away_others_do_not_wait(
    deployment: Deployment, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    outage = Outage(monkeypatch)
    assert deployment.directory.find(0)
    beside: list[object] = []

    def another() -> None:
        if outage.asked > 1:  # of the first one nobody knew that it would fail
            thread = Thread(target=lambda: beside.append(deployment.directory.find(0)), daemon=True)
            thread.start()
            thread.join(10)

    outage.begin(another)
    for _ in range(2):
        outage.seconds += batches.DIRECTORY_SECONDS_MAX
        assert deployment.directory.find(0)
    assert outage.asked == 2
    assert beside == [deployment.directory.find(0)]


def test_a_directory_that_was_never_read_calls_no_code_unknown(
    other: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    outage = Outage(monkeypatch)
    outage.begin()
    for _ in range(3):
        with pytest.raises(Unavailable):
            other.codes.decode("0" * 16, other.directory)
    assert outage.asked == 1
    outage.end()
    outage.seconds += 2 * batches.AWAY_SECONDS
    with pytest.raises(UnknownCode):
        other.codes.decode("0" * 16, other.directory)


class Queries:
    """Counts the statements of a process."""

    def __init__(self, deployment: Deployment) -> None:
        self.count = 0
        sa.event.listen(deployment.db.engine, "before_cursor_execute", self._one)

    def _one(self, *_more: object) -> None:
        self.count += 1


def test_unknown_codes_cost_no_query(
    deployment: Deployment, other: Deployment, batch: Batch
) -> None:
    code = deployment.codes.encode(batch, 7).text
    assert other.directory.find(0)
    queries = Queries(other)
    for letter in ALPHABET.replace(code[-1], ""):
        with pytest.raises(UnknownCode):
            other.codes.decode(code[:-1] + letter, other.directory)
    assert other.directory.find(INDEX_END - 1) is None
    assert other.directory.find(SIZE) is None, "not even close behind the last batch"
    assert queries.count == 0


def test_what_might_have_just_been_issued_is_looked_for_so_often_a_second(
    deployment: Deployment, other: Deployment, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert other.directory.find(0)
    second = int(batches.monotonic())
    monkeypatch.setattr(batches, "monotonic", lambda: second)
    queries = Queries(other)
    for _ in range(3 * LOOKS_PER_SECOND_MAX):
        with pytest.raises(UnknownBatch):
            other.directory.batch(999)
    assert 0 < queries.count <= 2 * LOOKS_PER_SECOND_MAX, "a transaction's BEGIN and its query"
    before = queries.count
    monkeypatch.setattr(batches, "monotonic", lambda: second + 1)
    with pytest.raises(UnknownBatch):
        other.directory.batch(999)
    assert queries.count > before


def test_who_made_a_batch_may_have_a_long_address(deployment: Deployment) -> None:
    add_product(deployment)
    by = "o" * 242 + "@example.com"
    batch = actions.issue_batch(deployment, gtin=GTIN, count=10, name="a batch", by=by)
    actions.set_range(deployment, batch.id, RangeState.activated, start=0, end=10, by=by)
    assert by.startswith(batch.created_by)
    assert batch.created_by
