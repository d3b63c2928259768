"""Seals of the audit log: what is sealed cannot be changed without its showing."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from threading import Event, Thread

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from referral import actions, audit
from referral.audit import AuditEntry, AuditSeal, seals
from referral.audit.seals import BEGINNING, Fault, KeptHead
from referral.deployment import Deployment
from tests.races import at_once

GUARDED = ("audit_entries", "audit_seals")


@pytest.fixture(autouse=True)
def _few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seals, "AT_ONCE", 3)


def write(deployment: Deployment, *subjects: str) -> None:
    for subject in subjects:
        deployment.db.transact(
            lambda tx, subject=subject: audit.note(
                tx,
                by="tests",
                action="looked",
                subject=subject,
                details={"zwei": [1, "二"], "at": None, "nested": {"b": 1, "a": 2}},
                now=deployment.clock.now(),
            )
        )


@pytest.fixture
def sealed(deployment: Deployment) -> Deployment:
    """Eight entries, of which the first seven are sealed."""
    write(deployment, *"abcdefg")
    assert actions.seal_audit_log(deployment) == actions.SealedLog(7, complete=True)
    write(deployment, "later")
    return deployment


@contextmanager
def around_the_guards(deployment: Deployment) -> Iterator[Session]:
    """A transaction in which nothing is refused; undone in the end."""
    db = deployment.db
    with db.engine.connect() as connection:
        if db.is_sqlite:
            connection.exec_driver_sql("ROLLBACK")  # keys can be let go outside a transaction only
            connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            for table in GUARDED:
                for change in ("update", "delete"):
                    connection.exec_driver_sql(f"DROP TRIGGER {table}_append_only_{change}")
        else:
            connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
        with Session(connection) as tx:
            yield tx
            tx.flush()
        connection.rollback()
        if db.is_sqlite:
            connection.exec_driver_sql("ROLLBACK")
            connection.exec_driver_sql("PRAGMA foreign_keys = ON")


def found(tx: Session, *kept: KeptHead) -> list[str]:
    return [fault.words for fault in seals.faults(tx, kept)]


def ids(tx: Session) -> list[int]:
    return list(tx.scalars(sa.select(AuditEntry.id).order_by(AuditEntry.id)))


def test_what_nobody_touched_is_as_it_was(sealed: Deployment) -> None:
    with sealed.db.read() as tx:
        assert found(tx) == []
        head = seals.head(tx)
        assert (head.entry, head.entries) == (ids(tx)[6], 7)
        assert seals.oldest_unsealed(tx) == sealed.clock.now()
    assert actions.seal_audit_log(sealed).entries == 1
    assert actions.seal_audit_log(sealed).entries == 0
    with sealed.db.read() as tx:
        assert seals.oldest_unsealed(tx) is None
        assert found(tx) == []


def test_the_chain_is_made_as_it_is_written_down(sealed: Deployment) -> None:
    """Recomputed here from the words of docs/adr/0019."""
    running = BEGINNING
    with sealed.db.read() as tx:
        for entry in tx.scalars(sa.select(AuditEntry).order_by(AuditEntry.id).limit(7)):
            since = (entry.at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
            row = json.dumps(
                ["audit", entry.id, entry.by, entry.action, entry.subject, entry.details, since],
                separators=(",", ":"),
                sort_keys=True,
            )
            running = hashlib.sha256(running + hashlib.sha256(row.encode()).digest()).digest()
        assert seals.head(tx).hash == running.hex()


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("by", "somebody else"),
        ("action", "nothing"),
        ("subject", "x"),
        ("details", {"zwei": [1, "二"]}),
        ("at", None),
    ],
)
def test_a_changed_entry_is_named(sealed: Deployment, column: str, value: object) -> None:
    if column == "at":
        value = sealed.clock.now() + timedelta(microseconds=1)
    with around_the_guards(sealed) as tx:
        third = ids(tx)[2]
        tx.execute(sa.update(AuditEntry).where(AuditEntry.id == third).values({column: value}))
        assert list(seals.faults(tx)) == [Fault(f"entry {third} was changed", third)]


def test_an_entry_that_is_gone_or_came_in_behind_is_named(sealed: Deployment) -> None:
    with around_the_guards(sealed) as tx:
        third = ids(tx)[2]
        tx.execute(sa.delete(AuditEntry).where(AuditEntry.id == third))
        assert found(tx) == [f"entry {third} is gone"]
        tx.execute(sa.delete(AuditSeal).where(AuditSeal.entry_id == third))
        assert found(tx) == [f"entry {third + 1} does not follow the one before it"]
    with around_the_guards(sealed) as tx:
        third = ids(tx)[2]
        tx.execute(sa.delete(AuditSeal).where(AuditSeal.entry_id == third))
        assert found(tx) == [
            f"entry {third} was added behind the seal",
            f"entry {third + 1} does not follow the one before it",
        ]


def test_a_chain_that_is_cut_off_or_made_anew_shows_against_a_head(sealed: Deployment) -> None:
    with sealed.db.read() as tx:
        kept = KeptHead.model_validate(seals.as_document(seals.head(tx)))
        assert found(tx, kept) == []
        assert found(tx, KeptHead(entry=0, hash=BEGINNING.hex(), entries=0)) == []
    with around_the_guards(sealed) as tx:
        last = ids(tx)[6]
        tx.execute(sa.delete(AuditSeal).where(AuditSeal.entry_id == last))
        tx.execute(sa.delete(AuditEntry).where(AuditEntry.id >= last))
        assert found(tx) == []
        assert found(tx, kept) == [f"entry {last} of the exported head has no seal"]
    with around_the_guards(sealed) as tx:
        tx.execute(sa.delete(AuditSeal))
        tx.execute(sa.update(AuditEntry).values(by="nobody"))
        while seals.seal_next(tx, ids(tx)[6]):
            pass
        assert found(tx) == []
        assert found(tx, kept) == [f"entry {kept.entry} is not the one of the exported head"]


def test_neither_entries_nor_seals_are_changed_through_the_guards(sealed: Deployment) -> None:
    for table, value in ((AuditEntry.__table__, {"by": "x"}), (AuditSeal.__table__, {"row": b""})):
        for change in (sa.delete(table), sa.update(table).values(value)):
            with pytest.raises(DBAPIError, match=f"{table.name} is append-only"):
                sealed.db.transact(lambda tx, change=change: tx.execute(change))
        if sealed.db.is_sqlite:
            over = sa.text(f"INSERT OR REPLACE INTO {table} SELECT * FROM {table}")
            with pytest.raises(DBAPIError, match=f"{table.name} is append-only"):
                sealed.db.transact(lambda tx, over=over: tx.execute(over))


def test_many_who_write_and_seal_at_once_make_one_chain(deployment: Deployment) -> None:
    def work() -> None:
        for number in range(6):
            write(deployment, str(number))
            actions.seal_audit_log(deployment)

    outcomes = at_once([work] * 4)
    assert outcomes == [None] * 4
    actions.seal_audit_log(deployment)
    with deployment.db.read() as tx:
        assert found(tx) == []
        assert seals.head(tx).entries == 24


def test_a_lower_number_that_is_not_there_yet_is_waited_for(deployment: Deployment) -> None:
    """Numbers are taken before a commit: sealing past a slow writer would leave him out."""
    if deployment.db.is_sqlite:
        pytest.skip("SQLite has one writer: numbers come in order")
    began, go_on = Event(), Event()

    def slowly() -> None:
        def work(tx: Session) -> None:
            audit.note(tx, by="slow", action="looked", subject="s", now=deployment.clock.now())
            tx.flush()
            began.set()
            go_on.wait(10)

        deployment.db.transact(work)

    slow = Thread(target=slowly)
    slow.start()
    began.wait(10)
    write(deployment, "quick")
    assert actions.seal_audit_log(deployment, wait=0.05) == actions.SealedLog(0, complete=False)
    go_on.set()
    slow.join()
    assert actions.seal_audit_log(deployment) == actions.SealedLog(2, complete=True)
