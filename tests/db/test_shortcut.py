"""One statement at a time by the shortest way: values as they are, connections that are lost, and
several that are committed together or not at all."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from referral.db.shortcut import Shortcut, moment
from referral.deployment import Deployment

AT = datetime(2026, 3, 2, 9, 30, 15, 123456, tzinfo=UTC)
ADD = "INSERT INTO waiting_events (id, body, at) VALUES (?, ?, ?)"
ADD_IF_NEW = f"{ADD} ON CONFLICT DO NOTHING"
ALL = "SELECT id, body, at, tried_at, tries > 0 FROM waiting_events ORDER BY id"


@pytest.fixture
def line(deployment: Deployment) -> Iterator[Shortcut]:
    made = Shortcut(deployment.db)
    yield made
    made.close()


def row(deployment: Deployment, number: int, body: bytes = b"{}") -> tuple[Any, ...]:
    return number, body, moment(deployment.db, AT)


def lose(deployment: Deployment, line: Shortcut) -> None:
    """End its connection at the server, as a server does that is started anew."""
    if deployment.db.is_sqlite:
        pytest.skip("SQLite has no connections to lose")
    ((number,),) = line.read("SELECT pg_backend_pid()")
    end = sa.text("SELECT pg_terminate_backend(:number, 5000)")
    with deployment.db.read() as tx:
        assert tx.execute(end, {"number": number}).scalar_one()


def test_values_come_back_as_they_went(deployment: Deployment, line: Shortcut) -> None:
    body = bytes(range(256)) + "“小红”\\'\"".encode()
    line.write(ADD, row(deployment, 1, body))
    ((number, kept, at, tried_at, was_tried),) = line.read(ALL)
    assert (number, bytes(kept), at, tried_at) == (1, body, moment(deployment.db, AT), None)
    assert not was_tried


def test_what_changes_rows_returns_them(deployment: Deployment, line: Shortcut) -> None:
    line.write_each(ADD, [row(deployment, number) for number in (1, 2, 3)])
    tried = "UPDATE waiting_events SET tries = tries + 1 WHERE id > ? RETURNING id, tries"
    assert sorted(map(tuple, line.change(tried, (1,)))) == [(2, 1), (3, 1)]
    assert line.change(tried, (9,)) == []


def test_several_are_committed_together_or_not_at_all(
    deployment: Deployment, line: Shortcut
) -> None:
    line.write_each(ADD, [])
    line.write_each(ADD, [row(deployment, number) for number in (1, 2)])
    with pytest.raises(DBAPIError):
        line.write_each(ADD, [row(deployment, number) for number in (3, 2, 4)])
    assert [number for number, *_ in line.read(ALL)] == [1, 2]
    line.write_each(ADD_IF_NEW, [row(deployment, number) for number in (3, 2, 4)])
    assert [number for number, *_ in line.read(ALL)] == [1, 2, 3, 4]


def test_a_statement_that_is_wrong_says_so_and_the_next_is_run(
    deployment: Deployment, line: Shortcut
) -> None:
    with pytest.raises(DBAPIError):
        line.read("SELECT nothing FROM nowhere")
    line.write(ADD, row(deployment, 1))
    with pytest.raises(DBAPIError):
        line.write(ADD, row(deployment, 1))
    assert len(line.read(ALL)) == 1


def test_a_text_with_a_nul_is_refused(deployment: Deployment, line: Shortcut) -> None:
    if deployment.db.is_sqlite:
        pytest.skip("SQLite keeps it")
    with pytest.raises(DBAPIError):
        line.read("SELECT 1 WHERE ? = 'a'", ("a\0",))
    assert line.read("SELECT 1 WHERE ? = 'a'", ("a",)) == [(1,)]


def test_a_connection_that_was_lost_is_made_anew(deployment: Deployment, line: Shortcut) -> None:
    line.write(ADD, row(deployment, 1))
    lose(deployment, line)
    assert len(line.read(ALL)) == 1
    lose(deployment, line)
    line.write(ADD, row(deployment, 2))
    lose(deployment, line)
    line.write_each(ADD, [row(deployment, number) for number in (3, 4)])
    assert [number for number, *_ in line.read(ALL)] == [1, 2, 3, 4]
