"""Ranges: what state codes are in, and where and when they are sold, in as few rows as it takes."""

import itertools
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from referral import actions, ranges
from referral.batches import Batch, UnknownBatch
from referral.deployment import Deployment
from referral.places import BadRegion
from referral.ranges import (
    BadLot,
    BadRange,
    BadTerms,
    CodeRange,
    CodesWithdrawn,
    RangeChange,
    RangeState,
    Span,
    Terms,
    entering,
    rewrite,
)
from referral.stores import StoreKind
from tests.cast import SIZE, add_product, issue
from tests.races import overtaken

CODES = 30

# The rules, said a second time and differently: from -> to, for states as they are spelled.
MAY_ENTER = {
    ("issued", "printed"),
    ("issued", "activated"),
    ("printed", "activated"),
    ("issued", "voided"),
    ("printed", "voided"),
    ("activated", "voided"),
    ("issued", "recalled"),
    ("printed", "recalled"),
    ("activated", "recalled"),
    ("voided", "recalled"),
}
ENTERED = list(RangeState)[1:]
REINSTATED = {("voided", "activated"), ("recalled", "activated")}

places = st.tuples(st.integers(0, CODES - 1), st.integers(1, CODES)).map(
    lambda drawn: (drawn[0], min(CODES, drawn[0] + drawn[1]))
)
said = st.fixed_dictionaries(
    {},
    optional={
        "lot": st.sampled_from([None, "L1", "L2"]),
        "market": st.sampled_from([(), ("CN",), ("CN-GD", "CN-GX")]),
    },
)
orders = st.one_of(
    st.tuples(places, st.sampled_from(ENTERED), st.booleans()), st.tuples(places, said)
)


class Model:
    """Every code by itself: what it takes to be sure of what the ranges say."""

    def __init__(self, count: int) -> None:
        self.codes: list[tuple[str, Terms]] = [("issued", Terms())] * count

    def put(self, start: int, end: int, state: str, *, reinstate: bool = False) -> None:
        allowed = MAY_ENTER | (REINSTATED if reinstate else set())
        for index in range(start, end):
            before, terms = self.codes[index]
            if (before, state) in allowed:
                self.codes[index] = (state, terms)

    def say(self, start: int, end: int, changes: Mapping[str, Any]) -> None:
        for index in range(start, end):
            state, terms = self.codes[index]
            self.codes[index] = (state, replace(terms, **changes))

    def check(self, spans: list[Span]) -> None:
        """The ranges say the same of every code, cover the batch, and are as few as can be."""
        said = [(s.state, s.terms) for s in spans for _ in range(s.start, s.end)]
        assert said == self.codes
        assert [span.start for span in spans] == [0, *(span.end for span in spans[:-1])]
        for one, two in itertools.pairwise(spans):
            assert (one.state, one.terms) != (two.state, two.terms)


@given(st.lists(orders, max_size=12))
def test_ranges_say_of_every_code_what_was_done_to_it(done: list[Any]) -> None:
    spans, model = [Span(0, CODES, RangeState.issued)], Model(CODES)
    for (start, end), *order in done:
        if len(order) == 2:
            state, reinstate = order
            if reinstate and state is not RangeState.activated:
                continue
            spans = rewrite(spans, start, end, entering(state, reinstate=reinstate))
            model.put(start, end, state.value, reinstate=reinstate)
        else:
            (changes,) = order
            spans = rewrite(
                spans,
                start,
                end,
                lambda span, changes=changes: replace(span, terms=replace(span.terms, **changes)),
            )
            model.say(start, end, changes)
        model.check(spans)


# In the database


@pytest.fixture
def batch(deployment: Deployment) -> Batch:
    add_product(deployment)
    return issue(deployment, on_sale=0)


def ranges_of(deployment: Deployment, batch: Batch) -> list[Span]:
    with deployment.db.read() as tx:
        return ranges.ranges(tx, batch.id)


def states_of(deployment: Deployment, batch: Batch) -> list[tuple[int, int, str]]:
    return [(span.start, span.end, span.state) for span in ranges_of(deployment, batch)]


def changes_of(deployment: Deployment) -> list[RangeChange]:
    with deployment.db.read() as tx:
        return list(tx.scalars(sa.select(RangeChange).order_by(RangeChange.id)))


def put(
    deployment: Deployment,
    batch_id: int,
    state: RangeState = RangeState.activated,
    start: int | None = None,
    end: int | None = None,
    **more: Any,
) -> None:
    said = {"reason": "because", "by": "alice", **more}
    actions.set_range(deployment, batch_id, state, start=start, end=end, **said)


def say(
    deployment: Deployment,
    batch: Batch,
    start: int | None = None,
    end: int | None = None,
    **changes: Any,
) -> None:
    actions.assign_range(
        deployment, batch.id, changes, start=start, end=end, reason="because", by="alice"
    )


def test_what_is_done_in_any_order_is_as_it_is_code_by_code(
    deployment: Deployment, batch: Batch
) -> None:
    rng, model = random.Random(3), Model(SIZE)
    for _ in range(80):
        start, end = sorted(rng.sample(range(0, SIZE + 1, 50), 2))
        if rng.random() < 0.3:
            changes = {"lot": rng.choice([None, "L1"])}
            say(deployment, batch, start, end, **changes)
            model.say(start, end, changes)
        else:
            state, reinstate = rng.choice(ENTERED), rng.random() < 0.5
            reinstate = reinstate and state is RangeState.activated
            try:
                put(deployment, batch.id, state, start, end, reinstate=reinstate)
            except CodesWithdrawn:
                assert {s for s, _ in model.codes[start:end]} <= {"voided", "recalled"}
            model.put(start, end, state.value, reinstate=reinstate)
        model.check(ranges_of(deployment, batch))


def test_a_new_batch_is_dark(deployment: Deployment, batch: Batch) -> None:
    assert ranges_of(deployment, batch) == [Span(0, SIZE, "issued")]
    with deployment.db.read() as tx:
        assert ranges.state_of(tx, batch.id, 0) is RangeState.issued
        assert ranges.state_of(tx, batch.id, SIZE - 1) is RangeState.issued


def test_a_range_is_half_open(deployment: Deployment, batch: Batch) -> None:
    put(deployment, batch.id, start=10, end=20)
    with deployment.db.read() as tx:
        states = [ranges.state_of(tx, batch.id, index) for index in (9, 10, 19, 20)]
    assert states == ["issued", "activated", "activated", "issued"]


def test_without_a_range_all_of_the_batch_is_meant(deployment: Deployment, batch: Batch) -> None:
    put(deployment, batch.id)
    assert states_of(deployment, batch) == [(0, SIZE, "activated")]
    put(deployment, batch.id, RangeState.voided, start=900)
    assert states_of(deployment, batch) == [(0, 900, "activated"), (900, SIZE, "voided")]
    say(deployment, batch, lot="L1")
    assert {span.terms.lot for span in ranges_of(deployment, batch)} == {"L1"}


def test_printing_takes_nothing_off_sale(deployment: Deployment, batch: Batch) -> None:
    put(deployment, batch.id, start=10, end=20)
    put(deployment, batch.id, RangeState.voided, 15, 16)
    put(deployment, batch.id, RangeState.printed)
    assert states_of(deployment, batch) == [
        (0, 10, "printed"),
        (10, 15, "activated"),
        (15, 16, "voided"),
        (16, 20, "activated"),
        (20, SIZE, "printed"),
    ]


def test_withdrawn_codes_come_back_only_when_that_is_said(
    deployment: Deployment, batch: Batch
) -> None:
    put(deployment, batch.id, RangeState.voided, 15, 16)
    put(deployment, batch.id, RangeState.recalled, 17, 18)
    put(deployment, batch.id)
    withdrawn = [(15, 16, "voided"), (17, 18, "recalled")]
    assert [s for s in states_of(deployment, batch) if s[2] != "activated"] == withdrawn
    for start in (15, 17):
        with pytest.raises(CodesWithdrawn):
            put(deployment, batch.id, start=start, end=start + 1)
        with pytest.raises(CodesWithdrawn):
            put(deployment, batch.id, RangeState.printed, start, start + 1)
    put(deployment, batch.id, reinstate=True)
    assert states_of(deployment, batch) == [(0, SIZE, "activated")]
    assert changes_of(deployment)[-1].terms == {"reinstate": True}


def test_a_recall_reaches_every_code(deployment: Deployment, batch: Batch) -> None:
    put(deployment, batch.id, start=0, end=10)
    put(deployment, batch.id, RangeState.printed, 10, 20)
    put(deployment, batch.id, RangeState.voided, 5, 15)
    put(deployment, batch.id, RangeState.recalled)
    assert states_of(deployment, batch) == [(0, SIZE, "recalled")]
    with pytest.raises(CodesWithdrawn):
        put(deployment, batch.id, RangeState.voided)


def test_doing_something_twice_changes_nothing_and_notes_nothing(
    deployment: Deployment, batch: Batch
) -> None:
    for _ in range(2):
        put(deployment, batch.id, start=10, end=20)
        put(deployment, batch.id, RangeState.voided, 15, 16)
        say(deployment, batch, 10, 20, lot="L1")
        assert len(changes_of(deployment)) == 4


def test_every_change_is_noted(deployment: Deployment, batch: Batch) -> None:
    put(deployment, batch.id, start=10, end=20)
    put(deployment, batch.id, RangeState.voided, start=15, end=16)
    until = datetime(2026, 9, 1, tzinfo=UTC)
    say(deployment, batch, 0, 5, market=("CN-GX", "CN-GD"), expires_on=None, sale_until=until)
    noted = [(c.start, c.end, c.state, c.terms, c.reason, c.by) for c in changes_of(deployment)]
    terms = {
        "market": ["CN-GD", "CN-GX"],
        "expires_on": None,
        "sale_until": "2026-09-01T00:00:00Z",
    }
    assert noted == [
        (0, SIZE, "issued", None, "", "tests"),
        (10, 20, "activated", None, "because", "alice"),
        (15, 16, "voided", None, "because", "alice"),
        (0, 5, "assigned", terms, "because", "alice"),
    ]
    assert all(change.at == deployment.clock.now() for change in changes_of(deployment))


def test_a_batch_whose_parts_become_alike_is_one_row_again(
    deployment: Deployment, batch: Batch
) -> None:
    for start in range(0, SIZE, 100):
        put(deployment, batch.id, start=start, end=start + 50)
        say(deployment, batch, start, start + 100, market=("CN-GD", "CN"))
    put(deployment, batch.id)
    # The same market, spelled another way.
    say(deployment, batch, 0, 500, market=("CN", "CN-GD", "CN"))
    assert ranges_of(deployment, batch) == [
        Span(0, SIZE, "activated", Terms(market=("CN", "CN-GD")))
    ]


@contextmanager
def rows_of_ranges(deployment: Deployment) -> Iterator[list[int]]:
    """How many rows of ranges each statement read, deleted or wrote."""
    counted: list[int] = []

    def count(_connection: Any, cursor: Any, statement: str, *_more: Any) -> None:
        if "code_ranges" in statement and not statement.startswith("SELECT"):
            counted.append(cursor.rowcount)

    read = ranges._spans

    def reading(*arguments: Any) -> list[Span]:
        found = read(*arguments)
        counted.append(len(found))
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranges, "_spans", reading)
        sa.event.listen(deployment.db.engine, "after_cursor_execute", count)
        try:
            yield counted
        finally:
            sa.event.remove(deployment.db.engine, "after_cursor_execute", count)


def test_voiding_one_code_among_many_touches_only_its_neighbours(
    deployment: Deployment, batch: Batch
) -> None:
    for index in range(0, SIZE, 25):
        put(deployment, batch.id, RangeState.voided, index, index + 1)
    assert len(ranges_of(deployment, batch)) == 80
    with rows_of_ranges(deployment) as counted:
        put(deployment, batch.id, RangeState.voided, 512, 513)
    assert counted
    assert max(counted) <= 3
    assert len(ranges_of(deployment, batch)) == 82
    with rows_of_ranges(deployment) as counted:
        put(deployment, batch.id, RangeState.voided, 501, 512)
    assert max(counted) <= 4
    assert (500, 513, "voided") in states_of(deployment, batch)


def test_it_rejects_a_range_outside_the_batch(deployment: Deployment, batch: Batch) -> None:
    for start, end in [(-1, 5), (5, 5), (6, 5), (0, SIZE + 1), (SIZE, None), (None, 0)]:
        with pytest.raises(BadRange) as refused:
            put(deployment, batch.id, start=start, end=end)
        assert refused.value.details == {"size": SIZE}
        with pytest.raises(BadRange):
            say(deployment, batch, start, end, lot="L1")
    assert ranges_of(deployment, batch) == [Span(0, SIZE, "issued")]
    with pytest.raises(UnknownBatch):
        put(deployment, 999)


# Terms


def test_terms_are_said_and_taken_back_one_by_one(deployment: Deployment, batch: Batch) -> None:
    store = actions.add_store(
        deployment, slug="east", name="East", kind=StoreKind.distributor, region="CN-GD"
    )
    say(deployment, batch, 0, 100, lot="L1", made_on=date(2026, 3, 1), store_id=store.id)
    say(deployment, batch, 50, 150, lot="L2", expires_on=date(2027, 3, 1))
    first, both, second, rest = (span.terms for span in ranges_of(deployment, batch))
    assert first == Terms(lot="L1", made_on=date(2026, 3, 1), store_id=store.id)
    assert both == replace(first, lot="L2", expires_on=date(2027, 3, 1))
    assert second == Terms(lot="L2", expires_on=date(2027, 3, 1))
    assert rest == Terms()
    nothing = {"lot": None, "made_on": None, "store_id": None, "expires_on": None}
    say(deployment, batch, **nothing)
    assert ranges_of(deployment, batch) == [Span(0, SIZE, "issued")]


NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
BAD_TERMS = [
    ({"made_on": date(2026, 5, 2), "expires_on": date(2026, 5, 1)}, BadTerms),
    ({"sale_from": NOON, "sale_until": NOON}, BadTerms),
    ({"sale_from": NOON, "sale_until": NOON - timedelta(seconds=1)}, BadTerms),
    ({"lot": ""}, BadLot),
    ({"lot": "L" * 21}, BadLot),
    ({"lot": "L 1"}, BadLot),
    ({"lot": "L\n"}, BadLot),
    ({"lot": "批次"}, BadLot),
    ({"lot": "L#1"}, BadLot),
    ({"market": ("CN-XX",)}, BadRegion),
    ({"market": ("cn",)}, BadRegion),
    ({"market": ("CN", "")}, BadRegion),
    ({"market": tuple(f"US-{number}" for number in range(41))}, BadRegion),
]


@pytest.mark.parametrize("changes, refused", BAD_TERMS, ids=lambda value: ascii(value)[:40])
def test_it_rejects_terms_that_cannot_be(
    deployment: Deployment, batch: Batch, changes: dict[str, Any], refused: type[Exception]
) -> None:
    with pytest.raises(refused):
        say(deployment, batch, 10, 20, **changes)
    with pytest.raises(refused):
        actions.issue_batch(
            deployment, gtin="06901234567892", count=5, name="b", terms=Terms(**changes), by="t"
        )
    assert ranges_of(deployment, batch) == [Span(0, SIZE, "issued")]
    assert len(changes_of(deployment)) == 1


def test_terms_have_to_fit_what_is_there_already(deployment: Deployment, batch: Batch) -> None:
    say(deployment, batch, 10, 20, made_on=date(2026, 5, 2))
    with pytest.raises(BadTerms):
        say(deployment, batch, 0, 15, expires_on=date(2026, 5, 1))
    say(deployment, batch, 0, 10, expires_on=date(2026, 5, 1))


LONGEST = "\"!%&'()*+,-./:;<=>?_"


def test_what_gs1_allows_is_a_lot(deployment: Deployment, batch: Batch) -> None:
    for lot in (LONGEST, "abcXYZ0189", "L"):
        say(deployment, batch, lot=lot)
        assert ranges_of(deployment, batch)[0].terms.lot == lot


def test_terms_come_back_as_they_were_said(deployment: Deployment) -> None:
    add_product(deployment)
    said = Terms(
        lot="L1",
        made_on=date(2026, 3, 1),
        expires_on=date(2027, 3, 1),
        market=tuple(f"US-{number}" for number in range(100, 140)),
        sale_from=NOON,
        sale_until=NOON + timedelta(days=1, microseconds=1),
    )
    made = actions.issue_batch(
        deployment, gtin="06901234567892", count=5, name="b", terms=said, by="tests"
    )
    assert ranges_of(deployment, made) == [Span(0, 5, "issued", said)]
    assert changes_of(deployment)[0].terms == {
        "lot": "L1",
        "made_on": "2026-03-01",
        "expires_on": "2027-03-01",
        "market": list(said.market),
        "sale_from": "2026-05-01T12:00:00Z",
        "sale_until": "2026-05-02T12:00:00.000001Z",
    }


# What that means at a moment


def availability(moment: datetime, state: RangeState = RangeState.activated, **terms: Any) -> str:
    return Span(0, 1, state, Terms(**terms)).availability(moment)


A_MOMENT = timedelta(microseconds=1)


def test_a_sale_window_is_half_open() -> None:
    window = {"sale_from": NOON, "sale_until": NOON + timedelta(days=1)}
    for moment, word in [
        (NOON - A_MOMENT, "not_activated"),
        (NOON, "on_sale"),
        (NOON + timedelta(days=1) - A_MOMENT, "on_sale"),
        (NOON + timedelta(days=1), "expired"),
    ]:
        assert availability(moment, **window) == word
        assert availability(moment.astimezone(ZoneInfo("Asia/Shanghai")), **window) == word
        assert availability(moment, RangeState.printed, **window) == "not_activated"
        assert availability(moment, RangeState.recalled, **window) == "recalled"
        assert availability(moment, RangeState.voided, **window) == "voided"


def test_the_best_before_day_is_a_day_where_the_brand_is() -> None:
    shanghai, last = ZoneInfo("Asia/Shanghai"), date(2026, 5, 1)
    over = datetime(2026, 5, 2, tzinfo=shanghai)
    assert availability(over - A_MOMENT, expires_on=last) == "on_sale"
    assert availability(over, expires_on=last) == "expired"
    assert not Span(0, 1, "activated", Terms(expires_on=last)).is_past_best_before(over - A_MOMENT)
    assert Span(0, 1, "voided", Terms(expires_on=last)).is_past_best_before(over)
    assert availability(over, RangeState.issued, expires_on=last) == "not_activated"


def test_without_terms_what_is_activated_is_on_sale() -> None:
    words = {state.value: availability(NOON, state) for state in RangeState}
    assert words == {
        "issued": "not_activated",
        "printed": "not_activated",
        "activated": "on_sale",
        "voided": "voided",
        "recalled": "recalled",
    }


# Two at once


def test_changes_of_one_batch_wait_for_each_other(deployment: Deployment, batch: Batch) -> None:
    outcome = overtaken(
        deployment.db,
        lambda tx: put(deployment, batch.id, start=0, end=10),
        lambda: put(deployment, batch.id, start=20, end=30),
    )
    assert outcome == (None, None)
    with deployment.db.read() as tx:
        on_sale = tx.scalar(
            sa.select(sa.func.sum(CodeRange.end - CodeRange.start)).where(
                CodeRange.state == RangeState.activated
            )
        )
    assert on_sale == 20


def test_a_recall_beside_an_activation_wins_whichever_comes_first(
    deployment: Deployment, batch: Batch
) -> None:
    outcome = overtaken(
        deployment.db,
        lambda tx: put(deployment, batch.id, start=0, end=20),
        lambda: put(deployment, batch.id, RangeState.recalled, 10, 30),
    )
    assert outcome == (None, None)
    expected = [(0, 10, "activated"), (10, 30, "recalled"), (30, SIZE, "issued")]
    assert states_of(deployment, batch) == expected
    overtaken(
        deployment.db,
        lambda tx: put(deployment, batch.id, RangeState.recalled, 40, 60),
        lambda: put(deployment, batch.id, start=30, end=70),
    )
    assert states_of(deployment, batch)[2:] == [
        (30, 40, "activated"),
        (40, 60, "recalled"),
        (60, 70, "activated"),
        (70, SIZE, "issued"),
    ]


def test_terms_and_states_said_at_once_are_both_kept(deployment: Deployment, batch: Batch) -> None:
    overtaken(
        deployment.db,
        lambda tx: say(deployment, batch, 0, 20, lot="L1"),
        lambda: put(deployment, batch.id, start=10, end=30),
    )
    assert [(s.start, s.end, s.state, s.terms.lot) for s in ranges_of(deployment, batch)] == [
        (0, 10, "issued", "L1"),
        (10, 20, "activated", "L1"),
        (20, 30, "activated", None),
        (30, SIZE, "issued", None),
    ]
