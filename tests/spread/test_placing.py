"""Places in the spread: the same forest whatever order, delay and repetition openings arrive in."""

from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from referral.links import HOP_MAX
from referral.spread.placing import SKEW, TICK, Opening, Place, latest_of
from tests.spreads import Forest, Model, World, attached, by_definition

T0 = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
ANN, BEN, CAT, DAN = 1, 2, 3, 4


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def assert_no_circle(forest: Forest) -> None:
    for start in forest:
        way, above = {start}, forest[start]
        while above is not None:
            assert above not in way
            way.add(above)
            above = forest[above]


visitors = st.integers(1, 6)


@st.composite
def any_openings(draw: st.DrawFn) -> list[Opening]:
    """Links of anybody at any hop, at times that are all different and close to one another."""
    links = draw(st.lists(st.tuples(visitors, visitors, st.integers(0, 4)), max_size=14))
    seconds = draw(st.permutations(range(len(links))))
    pace = draw(st.sampled_from([0.001, 0.9, 60.0]))
    return [
        Opening(reader, sharer, hop, at(pace * when))
        for (reader, sharer, hop), when in zip(links, seconds, strict=True)
    ]


@settings(max_examples=300)
@given(any_openings(), st.data())
def test_a_set_of_openings_makes_one_forest(openings: list[Opening], data: st.DataObject) -> None:
    """Whatever links say: times and hops may be at odds, and parts of the truth be missing."""
    # Times that tie once they are corrected are decided by what comes first.
    orders = [each.order for each in openings]
    openings = [each for each in openings if orders.count(each.order) == 1]
    again = data.draw(st.lists(st.sampled_from(openings))) if openings else []
    model = Model()
    for opening in data.draw(st.permutations(openings + again)):
        model.attach(opening)
        assert_no_circle(model.forest)
    assert model.forest == by_definition(openings)


@settings(max_examples=200)
@given(st.lists(st.tuples(visitors, visitors, st.sampled_from([0, 1, 254, 255])), max_size=14))
def test_there_is_no_circle_even_where_all_happens_at_once(
    links: list[tuple[int, int, int]],
) -> None:
    model = Model()
    for reader, sharer, hop in links:
        model.attach(Opening(reader, sharer, hop, T0))
        assert_no_circle(model.forest)


@settings(max_examples=200)
@given(st.lists(st.tuples(visitors, visitors), max_size=16), st.data())
def test_what_happened_in_some_order_is_placed_as_it_happened(
    happened: list[tuple[int, int]], data: st.DataObject
) -> None:
    world, expected = World(), dict[int, int | None]()
    for minute, (reader, sharer) in enumerate(happened):
        world.open(reader, sharer, at(60 * minute), at(60 * minute))
        if reader != sharer:
            expected.setdefault(sharer, None)
            expected.setdefault(reader, sharer)
    assert attached(world.openings) == expected
    assert attached(data.draw(st.permutations(world.openings))) == expected


@settings(max_examples=100)
@given(st.lists(st.tuples(st.integers(0, 100), st.floats(-0.4, 0.4)), max_size=20), st.data())
def test_a_cascade_survives_clocks_that_disagree(
    grown: list[tuple[int, float]], data: st.DataObject
) -> None:
    """Everybody forwards at once, through processes whose clocks are apart."""
    world, expected = World(), dict[int, int | None]({0: None})
    for reader, (drawn, error) in enumerate(grown, 1):
        sharer = drawn % reader
        moment = at(0.005 * reader)
        world.open(reader, sharer, moment, moment + error * SKEW)
        expected[reader] = sharer
    if not grown:
        del expected[0]
    assert attached(data.draw(st.permutations(world.openings))) == expected


@pytest.mark.parametrize("late", [False, True])
def test_a_chain_longer_than_links_can_count_survives_clocks_that_disagree(late: bool) -> None:
    world, length = World(), HOP_MAX + 60
    for reader in range(1, length):
        moment = at(0.02 * reader)
        world.open(reader, reader - 1, moment, moment + (reader % 2) * timedelta(seconds=0.03))
    arriving = world.openings
    if late:  # two processes, whose visits arrive the wrong way round
        arriving = [
            each for a, b in zip(arriving[::2], arriving[1::2], strict=False) for each in (b, a)
        ]
    forest = attached(arriving)
    assert forest == {n: n - 1 if n else None for n in range(len(forest))}
    assert len(forest) >= length - 1


# One by one

opened = partial(Opening, channel="copy")


def test_who_was_sharing_before_he_opened_a_link_is_a_first_sharer() -> None:
    shared, then = opened(BEN, ANN, 0, at(0)), opened(ANN, CAT, 0, at(60))
    for order in ([shared, then], [then, shared]):
        assert attached(order) == {ANN: None, BEN: ANN, CAT: None}


def test_an_old_link_that_is_opened_after_its_sharer_was_reached_changes_nothing() -> None:
    reached, poster = opened(ANN, CAT, 3, at(0)), opened(BEN, ANN, 0, at(60))
    for order in ([reached, poster], [poster, reached]):
        assert attached(order) == {ANN: CAT, BEN: ANN, CAT: None}


def test_a_later_touch_is_no_place_while_the_first_has_not_arrived() -> None:
    """Ben's link said that he had been reached; whom he opened an hour later is not by whom."""
    forwarded, later = opened(CAT, BEN, 1, at(60)), opened(BEN, DAN, 0, at(3600))
    assert attached([forwarded, later]) == {BEN: None, CAT: BEN, DAN: None}
    first = opened(BEN, ANN, 0, at(0))
    assert attached([forwarded, later, first])[BEN] == ANN


def test_the_hop_of_somebody_without_a_parent_is_what_his_link_says() -> None:
    place = Place().shared(opened(CAT, BEN, 4, at(0)))
    assert (place.parent, place.top_hop) == (None, 4)
    assert place.shared(opened(DAN, BEN, 0, at(-1))).top_hop == 0
    assert Place().top_hop == 0


def test_equal_times_leave_what_is_there() -> None:
    first, second = opened(ANN, BEN, 0, at(0)), opened(ANN, CAT, 0, at(0))
    assert attached([first, second])[ANN] == BEN
    assert attached([second, first])[ANN] == CAT


def test_a_cookies_whole_seconds_never_come_before_the_opening() -> None:
    whole, exact = at(0), at(0.25)
    assert latest_of(exact) == exact
    assert latest_of(whole) == at(1) - TICK
