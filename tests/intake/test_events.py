"""Events come out of the stream as they went in."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid5

import pytest
from hypothesis import given
from hypothesis import strategies as st

from referral.codes import Label
from referral.flags import Flag
from referral.intake.events import Event, Ran, UnreadableEvents, Visited, decode, encode
from referral.links import Channel
from referral.visits import Kind, Visit, engagement_id, in_time
from tests.conftest import START

MOMENTS = st.integers(0, 10**15).map(
    lambda micros: datetime(2020, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)
)
NUMBERS = st.none() | st.integers(1, 2**63 - 1)
VISITS = st.builds(
    Visit,
    kind=st.sampled_from(Kind),
    at=MOMENTS,
    event_id=st.uuids(version=4).map(lambda number: in_time(number, Kind.open, START)),
    visitor=NUMBERS,
    campaign=NUMBERS,
    parent=NUMBERS,
    hop=st.none() | st.integers(0, 256),
    channel=st.sampled_from(Channel),
    batch=NUMBERS,
    code_index=NUMBERS,
    label=st.none() | st.sampled_from(Label),
    store=NUMBERS,
    region=st.none() | st.sampled_from(["CN-GD", "SG"]),
    flags=st.lists(st.sampled_from(Flag), unique=True).map(tuple),
    machine=st.none() | st.text(max_size=20),
)
EVENTS = st.builds(Visited, VISITS, NUMBERS) | st.builds(Ran, st.integers(1, 2**63 - 1), MOMENTS)


@given(st.lists(EVENTS, max_size=5))
def test_they_come_out_as_they_went_in(events: list[Event]) -> None:
    assert decode(encode(events)) == events


def test_numbers_of_an_earlier_version_become_the_same_for_everybody() -> None:
    older = UUID("5d0d2b9c-7c1e-4b1a-9d55-0a4f0a3c1f01")
    opened = Visited(Visit(Kind.open, START, older))
    (first,), (again,) = decode(encode([opened])), decode(encode([opened]))
    assert first == again
    assert first == Visited(Visit(Kind.open, START, in_time(older, Kind.open, START)))

    day = uuid5(UUID("6f3f7c56-5a52-4c52-9f0e-2d7f2c1f5d11"), f"1|7|{START:%Y-%m-%d}")
    (seen,) = decode(encode([Visited(Visit(Kind.engagement, START, day))]))
    assert seen == Visited(Visit(Kind.engagement, START, engagement_id(1, 7, START)))


@pytest.mark.parametrize(
    "data",
    [b"", b"\xff", b"{}", b"[1]", b'[["x"]]', b'[["v"]]', b'[["r","a",1]]', b'[["r",1,1e400]]'],
)
def test_what_is_no_list_of_events_says_so(data: bytes) -> None:
    with pytest.raises(UnreadableEvents):
        decode(data)
