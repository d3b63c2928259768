"""The months' tables: made in time, filled with what was there already, dropped whole."""

import threading
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config as AlembicConfig

from referral import visits
from referral.db import MIGRATIONS, Database
from referral.deployment import Deployment
from referral.errors import Unavailable
from referral.visits import Kind, VisitRow, first_id, in_time, months, new_event_id
from referral.visits.months import moment_of, month_of
from tests.races import at_once, overtaken
from tests.visits.conftest import moments, opening, store, tables

MARCH = datetime(2026, 3, 1, tzinfo=UTC)
APRIL = datetime(2026, 4, 1, tzinfo=UTC)
MAY = datetime(2026, 5, 1, tzinfo=UTC)
INSTANT = timedelta(milliseconds=1)
of_postgresql = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


def make(d: Deployment, month: datetime) -> bool:
    return d.db.transact(lambda tx: months.make(tx, month))


def drop(d: Deployment, month: datetime) -> bool:
    return d.db.transact(lambda tx: months.drop(tx, month))


def drop_empty(d: Deployment, month: datetime) -> bool:
    return d.db.transact(lambda tx: months.drop_empty(tx, month))


def missing(d: Deployment, now: datetime) -> list[datetime]:
    with d.db.read() as tx:
        return months.missing(tx, now)


def test_a_month_is_one_of_utc() -> None:
    ends = datetime(2026, 3, 31, 23, 59, 59, 999_999, tzinfo=UTC)
    assert (month_of(MARCH), month_of(ends), month_of(ends + INSTANT)) == (MARCH, MARCH, APRIL)
    later = datetime.fromisoformat("2026-04-01T07:59:00+08:00")
    assert month_of(later) == MARCH
    assert month_of(MARCH, -3) == datetime(2025, 12, 1, tzinfo=UTC)
    assert month_of(MARCH, 10) == datetime(2027, 1, 1, tzinfo=UTC)
    assert month_of(MARCH, -120) == datetime(2016, 3, 1, tzinfo=UTC)


def test_a_number_says_its_moment() -> None:
    assert moment_of(new_event_id(APRIL - INSTANT)) == APRIL - INSTANT
    assert moment_of(first_id(APRIL)) == APRIL


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_on_sqlite_there_is_nothing_to_make_or_drop(deployment: Deployment) -> None:
    store(deployment, opening(MARCH))
    assert missing(deployment, MARCH) == []
    done = [work(deployment, MARCH) for work in (make, drop, drop_empty)]
    assert done == [False, False, False]
    assert moments(deployment) == [MARCH]


@of_postgresql
def test_this_month_and_two_to_come_get_tables_once(monthless: Deployment) -> None:
    d, now = monthless, MARCH + timedelta(days=9)
    assert missing(d, now) == [MARCH, APRIL, MAY]
    assert [make(d, month) for month in missing(d, now)] == [True] * 3
    assert missing(d, now) == []
    assert make(d, APRIL) is False
    edges = [MARCH - INSTANT, MARCH, APRIL - INSTANT, APRIL, MAY + timedelta(days=31) - INSTANT]
    store(d, *map(opening, [*edges, MAY + timedelta(days=31)]))
    assert tables(d) == {"2026_03": 2, "2026_04": 1, "2026_05": 1, "rest": 2}


@of_postgresql
def test_what_was_there_before_its_table_is_moved_into_it(monthless: Deployment) -> None:
    d = monthless
    at = [datetime(2025, 12, 31, 23, tzinfo=UTC), MARCH, MARCH + timedelta(days=3), APRIL]
    late = [opening(moment, visitor) for visitor, moment in enumerate(at)]
    store(d, *late)
    to_come = opening(MAY + timedelta(days=300))
    store(d, to_come)
    assert missing(d, MARCH) == [datetime(2025, 12, 1, tzinfo=UTC), MARCH, APRIL, MAY]
    for month in missing(d, MARCH):
        make(d, month)
    assert tables(d) == {"2025_12": 1, "2026_03": 2, "2026_04": 1, "2026_05": 0, "rest": 1}
    assert moments(d) == [*at, to_come.at]
    with d.db.read() as tx:
        numbers = [visit.event_id for visit in late]
        assert visits.known_among(tx, numbers) == set(numbers)
    assert d.db.transact(lambda tx: visits.record(tx, late)) == set(), "known by their numbers"


@of_postgresql
def test_a_months_table_has_the_indexes_of_the_others(monthless: Deployment) -> None:
    d = monthless
    make(d, MARCH)

    def indexes(table: str) -> list[Any]:
        with d.db.engine.connect() as connection:
            found = sa.inspect(connection).get_indexes(table)
        return sorted(
            (each["column_names"], each["dialect_options"].get("postgresql_where"))
            for each in found
            if not each.get("duplicates_constraint")
        )

    assert len(indexes("visits_2026_03")) == 2
    assert indexes("visits_2026_03") == indexes("visits_rest")


@of_postgresql
def test_a_table_made_on_two_sides_is_made_once(monthless: Deployment) -> None:
    d = monthless
    store(d, opening(MARCH))
    done = at_once([lambda: make(d, MARCH)] * 4)
    assert sorted(map(str, done)) == ["False", "False", "False", "True"]
    assert tables(d) == {"2026_03": 1, "rest": 0}


@of_postgresql
def test_visits_that_come_while_their_table_is_made_or_dropped_are_stored(
    monthless: Deployment,
) -> None:
    d = monthless
    stop = threading.Event()

    def write(visitor: int) -> int:
        stored = 0
        while not stop.is_set():
            # Of the month whose table comes and goes, and of one that always lies in the rest.
            store(d, *(opening(MARCH, visitor) for _ in range(3)), opening(APRIL, visitor))
            stored += 1
        return stored

    def come_and_go() -> int:
        try:
            for _ in range(10):
                assert make(d, MARCH)
                assert d.db.transact(lambda tx: months.drop(tx, MARCH))
            return 0
        finally:
            stop.set()

    done = at_once([lambda: write(1), lambda: write(2), come_and_go])
    assert not [each for each in done if isinstance(each, Exception)]
    assert tables(d) == {"rest": moments(d).count(MARCH) + moments(d).count(APRIL)}
    assert moments(d).count(APRIL) == sum(each for each in done if isinstance(each, int))


@of_postgresql
def test_a_month_is_dropped_with_all_its_visits_and_no_others(monthless: Deployment) -> None:
    d = monthless
    for month in (MARCH, APRIL):
        make(d, month)
    store(d, opening(MARCH - INSTANT), opening(MARCH), opening(APRIL - INSTANT), opening(APRIL))
    with d.db.read() as tx:
        assert months.before(tx, MAY) == [MARCH, APRIL]
        assert months.before(tx, APRIL) == [MARCH]
    assert drop(d, MARCH) is True
    assert drop(d, MARCH) is False
    assert moments(d) == [MARCH - INSTANT, APRIL]
    store(d, opening(MARCH))
    assert tables(d) == {"2026_04": 1, "rest": 2}, "what comes late is kept"


@of_postgresql
def test_a_month_is_dropped_as_empty_only_if_it_is(monthless: Deployment) -> None:
    d = monthless
    for month in (MARCH, APRIL):
        make(d, month)
    store(d, opening(APRIL))
    assert [drop_empty(d, month) for month in (MARCH, APRIL)] == [True, False]
    assert tables(d) == {"2026_04": 1, "rest": 0}


@of_postgresql
def test_a_visit_stored_meanwhile_keeps_its_month(monthless: Deployment) -> None:
    d = monthless
    make(d, MARCH)
    _, is_dropped = overtaken(
        d.db, lambda tx: visits.record(tx, [opening(MARCH)]), lambda: drop_empty(d, MARCH)
    )
    assert is_dropped is False
    assert tables(d) == {"2026_03": 1, "rest": 0}


@of_postgresql
def test_who_changes_tables_gives_way_to_who_uses_them(
    monthless: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    d = monthless
    make(d, MARCH)
    monkeypatch.setattr(months, "PATIENCE", "100ms")
    with d.db.read() as tx:
        months.hold(tx)
        for work in (lambda: make(d, APRIL), lambda: drop(d, MARCH)):
            with pytest.raises(Unavailable):
                work()
    assert (make(d, APRIL), drop(d, MARCH)) == (True, True)


@of_postgresql
def test_what_one_visitor_opened_is_found_in_all_months(monthless: Deployment) -> None:
    d = monthless
    for month in (MARCH, APRIL):
        make(d, month)
    at = [MARCH - INSTANT, MARCH, APRIL, APRIL + timedelta(days=2)]
    store(d, *map(opening, at), opening(MARCH, visitor=3))
    with d.db.read() as tx:
        assert sorted(each.at for each in visits.opened_by(tx, [2])) == at
        assert sorted(visits.readers_of(tx, [1])) == [(1, 2), (1, 3)]
        assert visits.first_openings(tx, 7, 1) == [(0, at[0])]
    turned = d.db.transact(lambda tx: visits.count_as_machines(tx, [2]))
    assert sorted(visit.at for visit in turned) == at
    back = d.db.transact(lambda tx: visits.count_as_people(tx, [2]))
    assert [visit.at for visit in back] == at


def test_a_database_of_before_gets_the_months_of_its_visits(bare_database_url: str) -> None:
    """Down to the millisecond, and engagements by their day."""
    settings = AlembicConfig()
    settings.set_main_option("script_location", str(MIGRATIONS))
    settings.attributes["url"] = bare_database_url
    command.upgrade(settings, "0018")
    database = Database(bare_database_url)
    now = datetime.now(UTC)
    first = month_of(now, -2)
    at = [first + INSTANT, month_of(now, -1) - INSTANT, first + timedelta(hours=40.5), now]
    rows: list[dict[str, Any]] = [
        {"event_id": uuid4(), "kind": kind, "at": moment, "channel": "copy"}
        for kind, moment in zip(("open", "scan", "engagement", "fetch"), at, strict=True)
    ]
    names = ("event_id", "kind", "at", "channel")
    columns = VisitRow.__table__.c
    old = sa.table("visits", *(sa.column(name, columns[name].type) for name in names))
    try:
        database.transact(lambda tx: tx.execute(old.insert(), rows))
        command.upgrade(settings, "head")
        with database.read() as tx:
            found = tx.execute(sa.select(VisitRow.event_id, VisitRow.kind, VisitRow.at)).all()
            assert {row.event_id for row in found} == {
                in_time(row["event_id"], Kind(row["kind"]), row["at"]) for row in rows
            }
            assert {(row.kind, row.at) for row in found} == {
                (row["kind"], row["at"]) for row in rows
            }
            assert months.missing(tx, now) == []
            if not database.is_sqlite:
                assert months.before(tx, month_of(now, 9)) == [
                    month_of(now, later) for later in range(-2, 3)
                ]
                assert tx.scalar(sa.text("SELECT count(*) FROM visits_rest")) == 0
    finally:
        database.close()
