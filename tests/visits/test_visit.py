"""A visit's number: made once, beginning with its time."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from hypothesis import given
from hypothesis import strategies as st

from referral.visits import Kind, engagement_id, first_id, in_time, new_event_id

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
moments = st.integers(10**15, 7 * 10**15).map(lambda micros: EPOCH + timedelta(microseconds=micros))


def test_one_engagement_a_visitor_a_campaign_and_a_day() -> None:
    same = engagement_id(1, 7, NOON)
    assert engagement_id(1, 7, NOON + timedelta(hours=11)) == same
    others = {
        engagement_id(2, 7, NOON),
        engagement_id(1, 8, NOON),
        engagement_id(1, 7, NOON + timedelta(hours=12)),
        engagement_id(17, 7, NOON),
    }
    assert len(others | {same}) == 5


@given(moments, st.sampled_from([timedelta(milliseconds=1), timedelta(days=31)]))
def test_numbers_are_in_the_order_of_time(moment: datetime, later: timedelta) -> None:
    assert first_id(moment) <= new_event_id(moment) < first_id(moment + later)
    assert new_event_id(moment) < new_event_id(moment + later)


def test_an_engagement_begins_with_its_day() -> None:
    midnight = datetime(2026, 3, 2, tzinfo=UTC)
    number = engagement_id(1, 7, NOON)
    assert first_id(midnight) <= number < first_id(midnight + timedelta(milliseconds=1))


def test_numbers_of_before_get_the_time_once() -> None:
    old = uuid4()
    number = in_time(old, Kind.open, NOON)
    assert first_id(NOON) <= number < first_id(NOON + timedelta(milliseconds=1))
    assert in_time(old, Kind.open, NOON) == number
    assert in_time(number, Kind.open, NOON + timedelta(days=400)) == number
    assert in_time(UUID(int=old.int ^ 1), Kind.open, NOON) != number
