"""Since when visits are kept, and dropping what came before, some at a time."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from referral.deployment import Deployment
from referral.links import Channel
from referral.visits import Kind, Visit, keeping, new_event_id
from referral.visits.keeping import NO_CAMPAIGN, Due
from tests.races import at_once
from tests.visits.conftest import moments, opening, store

JANUARY, FEBRUARY, MARCH, APRIL = (datetime(2026, month, 1, tzinfo=UTC) for month in (1, 2, 3, 4))
DAY, INSTANT = timedelta(days=1), timedelta(milliseconds=1)
ENDS = MARCH - INSTANT


def advance(d: Deployment, keep: Mapping[int, int | None], now: datetime) -> None:
    d.db.transact(lambda tx: keeping.advance(tx, keep, now))


def since(d: Deployment, campaign: int = 7) -> datetime | None:
    with d.db.read() as tx:
        return keeping.kept_since(tx, campaign)


def due(d: Deployment) -> Mapping[int, datetime]:
    with d.db.read() as tx:
        found = keeping.due(tx)
    return found.since if found else {}


def drop_all(d: Deployment, of: Mapping[int, datetime]) -> list[int]:
    """How many were dropped by each of the transactions it took."""
    dropped, after = [], UUID(int=0)
    while found := d.db.transact(lambda tx, after=after: keeping.drop_some(tx, Due(of), after)):
        dropped.append(found[0])
        after = found[1]
    return dropped


def test_a_month_is_kept_until_it_is_more_than_so_many_behind(deployment: Deployment) -> None:
    for now, expected in ((MARCH, FEBRUARY), (APRIL - INSTANT, FEBRUARY), (APRIL, MARCH)):
        advance(deployment, {7: 1, 8: 3}, now)
        assert since(deployment) == expected
    assert since(deployment, 8) == JANUARY


def test_without_a_number_all_are_kept(deployment: Deployment) -> None:
    advance(deployment, {7: None, NO_CAMPAIGN: None}, APRIL)
    assert since(deployment) is None
    assert due(deployment) == {}
    with deployment.db.read() as tx:
        assert keeping.latest(tx) is None
        assert keeping.nobody_keeps_before(tx, {7, NO_CAMPAIGN}) is None


def test_it_never_moves_back(deployment: Deployment) -> None:
    advance(deployment, {7: 1}, APRIL)
    for keep in (2, 120, None):
        advance(deployment, {7: keep}, APRIL)
        assert since(deployment) == MARCH
    advance(deployment, {7: 2}, APRIL + 62 * DAY)
    assert since(deployment) == APRIL


def test_nobody_keeps_what_is_before_the_first_month_of_all(deployment: Deployment) -> None:
    advance(deployment, {7: 1, 8: 3}, APRIL)

    def nobody(*campaigns: int) -> datetime | None:
        with deployment.db.read() as tx:
            return keeping.nobody_keeps_before(tx, campaigns)

    assert nobody(7, 8) == JANUARY
    assert nobody(7, 8, NO_CAMPAIGN) is None, "it keeps all"
    with deployment.db.read() as tx:
        assert keeping.latest(tx) == MARCH


def test_it_is_noted_once_on_two_sides(deployment: Deployment) -> None:
    keep = dict.fromkeys(range(20), 1)
    assert at_once([lambda: advance(deployment, keep, APRIL)] * 4) == [None] * 4
    assert due(deployment) == dict.fromkeys(keep, MARCH)


def test_what_was_dropped_is_not_due_until_the_month_moves_on(deployment: Deployment) -> None:
    advance(deployment, {7: 1, 8: 2}, APRIL)
    assert due(deployment) == {7: MARCH, 8: FEBRUARY}
    deployment.db.transact(lambda tx: keeping.note_dropped(tx, Due({7: MARCH})))
    assert due(deployment) == {8: FEBRUARY}
    advance(deployment, {7: 1, 8: 2}, APRIL + 30 * DAY)
    # Meanwhile somebody was at what had been due before.
    deployment.db.transact(lambda tx: keeping.note_dropped(tx, Due({7: MARCH, 8: FEBRUARY})))
    assert due(deployment) == {7: APRIL, 8: MARCH}


def test_each_campaigns_visits_go_up_to_its_own_month(deployment: Deployment) -> None:
    at = [JANUARY, JANUARY + DAY, FEBRUARY - INSTANT, FEBRUARY, ENDS, MARCH, APRIL]
    for campaign in (7, 8, 9):
        store(deployment, *(opening(moment, campaign=campaign) for moment in at))
    nobodys = [
        Visit(Kind.fetch, moment, new_event_id(moment), channel=Channel.copy) for moment in at
    ]
    store(deployment, *nobodys)
    drop_all(deployment, {7: MARCH, 8: FEBRUARY, NO_CAMPAIGN: FEBRUARY})
    left = sorted([*at[5:], *at[3:], *at, *at[3:]])
    assert moments(deployment) == left
    assert drop_all(deployment, {7: MARCH, 8: FEBRUARY, NO_CAMPAIGN: FEBRUARY}) == [0] * 5


def test_a_transaction_takes_a_day_at_most_and_only_so_many(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "_ONE_TOO_MANY", keeping._FIRST.offset(4))
    day = [opening(FEBRUARY + n * timedelta(minutes=1)) for n in range(10)]
    store(deployment, *day, opening(FEBRUARY + DAY), opening(FEBRUARY + DAY, campaign=8))
    store(deployment, opening(FEBRUARY + 20 * DAY), opening(MARCH))
    assert drop_all(deployment, {7: MARCH}) == [4, 4, 2, 1, 1]
    assert moments(deployment) == [FEBRUARY + DAY, MARCH]


def test_dropped_on_two_sides_each_goes_once(deployment: Deployment) -> None:
    store(deployment, *(opening(FEBRUARY + n * timedelta(hours=7)) for n in range(40)))
    done = at_once([lambda: drop_all(deployment, {7: MARCH})] * 3)
    assert not [each for each in done if isinstance(each, Exception)]
    assert sum(sum(each) for each in done if isinstance(each, list)) == 40
    assert moments(deployment) == []
