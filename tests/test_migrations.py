"""Migrations: they make exactly the tables the models describe, with guards that hold."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config as AlembicConfig
from alembic.runtime.migration import MigrationContext
from sqlalchemy.exc import DBAPIError

import referral.models
from referral.db import Base, Database, migration_head, migration_of, upgrade
from referral.db import database as db_module
from referral.deployment import Deployment
from referral.errors import Unavailable
from referral.ledger import LedgerEntry, Posting
from referral.ranges import RangeChange
from referral.visits import Kind, in_time
from tests.cast import cast_of, open_brand
from tests.servers import create_database


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    opened = Database(database_url)
    yield opened
    opened.close()


def is_no_month(name: str | None, kind: str, _parents: object) -> bool:
    """The visits of a month are a table of PostgreSQL's, not one of the service's."""
    return not (kind == "table" and name and re.fullmatch(r"visits_(\d{4}_\d{2}|rest)", name))


def test_models_and_migrations_describe_the_same_tables(database: Database) -> None:
    with database.engine.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "compare_type": True,
                "target_metadata": Base.metadata,
                "include_name": is_no_month,
            },
        )
        assert compare_metadata(context, Base.metadata) == []


def test_models_and_migrations_have_the_same_checks(database: Database) -> None:
    """Alembic compares no check constraints, so this does, by name and table."""
    described = {
        (table.name, str(constraint.name))
        for table in Base.metadata.tables.values()
        for constraint in table.constraints
        if isinstance(constraint, sa.CheckConstraint)
    }
    inspector = sa.inspect(database.engine)
    there = {
        (table, constraint["name"])
        for table in inspector.get_table_names()
        for constraint in inspector.get_check_constraints(table)
    }
    assert there == described
    assert ("rewards", "ck_rewards_paid_depth") in there


def test_every_part_with_tables_is_among_the_models() -> None:
    """A part that `models` forgets would have no migration, and its tests would not notice."""
    source = Path(referral.models.__file__)
    parts = {
        path.stem for path in source.parent.glob("*.py") if "__tablename__" in path.read_text()
    }
    imports = [n for n in ast.walk(ast.parse(source.read_text())) if isinstance(n, ast.ImportFrom)]
    assert parts
    assert parts <= {alias.name for each in imports for alias in each.names}


def test_a_database_knows_which_migration_it_is_at(database: Database, database_url: str) -> None:
    with database.read() as tx:
        assert migration_of(tx) == migration_head()
    upgrade(database_url)
    with database.read() as tx:
        assert migration_of(tx) == migration_head(), "again is no harm"


def test_an_empty_database_is_at_no_migration(tmp_path: Path, postgres: str) -> None:
    for url in (f"sqlite:///{tmp_path / 'empty.db'}", create_database(postgres, "referral_test_e")):
        empty = Database(url.replace("postgresql://", "postgresql+psycopg://"))
        with empty.read() as tx:
            assert migration_of(tx) is None
        empty.close()


UPGRADE_EACH_IN_A_PROCESS = """
import os, sys
import referral.models
from referral.db import upgrade

for url in sys.argv[1:]:
    if not os.fork():
        upgrade(url)
        sys.exit()
sys.exit(any([os.wait()[1] for _ in sys.argv[1:]]))
"""


def test_two_that_migrate_at_the_same_moment_both_arrive(tmp_path: Path, postgres: str) -> None:
    """Several processes of one deployment start together, each with `db upgrade` before it."""
    made = create_database(postgres, "referral_test_m")
    urls = [f"sqlite:///{tmp_path / 'new.db'}", made.replace("postgresql:", "postgresql+psycopg:")]
    done = subprocess.run(
        [sys.executable, "-c", UPGRADE_EACH_IN_A_PROCESS, *urls, *urls],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_a_database_that_is_gone_is_a_named_error(tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        upgrade(f"sqlite:///{tmp_path / 'no' / 'folder' / 'x.db'}")
    with pytest.raises(Unavailable):
        upgrade(f"postgresql+psycopg://nobody@/nothing?host={tmp_path}")


def test_what_is_append_only_is_neither_changed_nor_deleted(deployment: Deployment) -> None:
    alice, _, _ = cast_of(open_brand(deployment))
    alice.claim(0)
    for table in (LedgerEntry.__table__, Posting.__table__, RangeChange.__table__):
        for change in (sa.delete(table), sa.update(table).values(id=table.c.id)):
            with pytest.raises(DBAPIError, match=f"{table.name} is append-only"):
                deployment.db.transact(lambda tx, change=change: tx.execute(change))
        with deployment.db.read() as tx:
            assert tx.scalar(sa.select(sa.func.count()).select_from(table))


def test_times_come_back_in_utc_and_never_without_a_zone(deployment: Deployment) -> None:
    brand = open_brand(deployment)
    assert brand.product.created_at == deployment.clock.now()
    with deployment.db.read() as tx:
        found = tx.scalar(sa.select(type(brand.product).created_at))
    assert found == deployment.clock.now()
    assert found.tzinfo is UTC
    naive = sa.update(type(brand.product)).values(created_at=datetime(2026, 1, 1))  # noqa: DTZ001
    with pytest.raises(sa.exc.StatementError, match="without a time zone"):
        deployment.db.transact(lambda tx: tx.execute(naive))


def migrate(url: str, revision: str) -> None:
    config = AlembicConfig()
    config.set_main_option("script_location", str(db_module.MIGRATIONS))
    config.attributes["url"] = url
    command.upgrade(config, revision)


AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
BEFORE: dict[str, list[dict[str, Any]]] = {
    "products": [
        {"id": 1, "gtin": "06901234567892", "name": "Tea", "price": 2000, "currency": "CNY"},
        {"id": 2, "gtin": "06901234567908", "name": "Jam", "price": 900, "currency": "CNY"},
    ],
    "customers": [{"id": 1, "name_encrypted": None}, {"id": 2, "name_encrypted": "Bo"}],
    "campaigns": [
        {
            "id": 1,
            "slug": "spring",
            "title": "Spring",
            "organiser": "",
            "buy_url": None,
            "content": {},
            "rules": [{"when": "claim"}],
            "budget": 1000,
            "gtins": [],
            "state": "published",
            "hold_days": 0,
            "window_days": 7,
            "starts_at": AT,
            "ends_at": AT + timedelta(days=9),
        }
    ],
    "visitors": [{"id": 71, "customer_id": 1}, {"id": 72, "customer_id": None}],
    "batches": [
        {"id": 1, "product_id": 1, "name": "one", "size": 50, "first_index": 0},
        {"id": 2, "product_id": 2, "name": "two", "size": 9, "first_index": 50},
    ],
    "code_ranges": [
        {"batch_id": 1, "start": 0, "end": 20, "state": "activated"},
        {"batch_id": 1, "start": 20, "end": 50, "state": "issued"},
        {"batch_id": 2, "start": 0, "end": 9, "state": "issued"},
    ],
    "range_changes": [
        {"id": 1, "batch_id": 1, "start": 0, "end": 50, "state": "issued", "reason": ""},
        {"id": 2, "batch_id": 1, "start": 0, "end": 20, "state": "activated", "reason": "go"},
    ],
    "scanned_codes": [
        {"batch_id": 1, "index": 3, "visitor_id": 71, "first_at": AT + timedelta(hours=1)},
        {"batch_id": 1, "index": 3, "visitor_id": 72, "first_at": AT},
        {"batch_id": 1, "index": 4, "visitor_id": 72, "first_at": AT},
    ],
    "visits": [
        {
            "id": 1,
            "event_id": UUID("5d0d2b9c-7c1e-4b1a-9d55-0a4f0a3c1f01"),
            "kind": "scan",
            "campaign_id": None,
            "visitor_id": 72,
            "batch_id": 1,
            "code_index": 3,
            "channel": "direct",
        },
        {
            "id": 2,
            "event_id": UUID("5d0d2b9c-7c1e-4b1a-9d55-0a4f0a3c1f02"),
            "kind": "open",
            "campaign_id": 1,
            "visitor_id": 71,
            "parent_id": 72,
            "hop": 1,
            "channel": "copy",
        },
    ],
    "claims": [{"id": 1, "batch_id": 1, "index": 3, "customer_id": 1, "campaign_id": 1}],
    "referrals": [
        {"customer_id": 1, "referrer_id": 2, "event": "claim:1", "campaign_id": 1, "why": {}}
    ],
    "spread_nodes": [
        {"campaign_id": 1, "visitor_id": 72, "parent_id": None, "hop": 0, "channel": "direct"},
        {"campaign_id": 1, "visitor_id": 71, "parent_id": 72, "hop": 1, "channel": "copy"},
    ],
    "accounts": [
        {"id": 1, "kind": "issue", "owner": 0, "unit": "points", "balance": -20},
        {"id": 2, "kind": "wallet", "owner": 1, "unit": "points", "balance": 20},
    ],
    "ledger_entries": [{"id": 1, "key": "reward:1", "what": "a reward"}],
    "postings": [
        {"id": 1, "entry_id": 1, "account_id": 1, "amount": -20},
        {"id": 2, "entry_id": 1, "account_id": 2, "amount": 20},
    ],
    "rewards": [
        {
            "id": 1,
            "event": "claim:1",
            "rule": "claim",
            "beneficiary_id": 1,
            "depth": 0,
            "campaign_id": 1,
            "unit": "points",
            "amount": 20,
            "state": "available",
            "entry_id": 1,
        }
    ],
}
"""A service's rows at the first migration, by table, parents first; times are filled in."""
ALWAYS = {"created_by": "tests", "by": "tests", "key_id": "k"}
ADDED: dict[str, dict[str, Any]] = {
    "products": {"labels": "single"},
    "batches": {"labels": "single", "scheme": "https"},
    "code_ranges": {"lot": None, "market": None, "store_id": None, "sale_until": None},
    "range_changes": {"terms": None},
    "scanned_codes": {"label": "inner"},
    "visitors": {"ran_at": AT, "sift_at": None, "sifted_at": None},
    "campaigns": {"picture": None, "more_pictures": [], "video_url": None, "landing": "page"},
}
"""What the rows of a table say in columns that came later."""


def tables_of(database: Database) -> dict[str, sa.Table]:
    found = sa.MetaData()
    found.reflect(database.engine)
    return dict(found.tables)


def stored(table: sa.Table, row: dict[str, Any]) -> dict[str, Any]:
    """A row as the columns of a database that was looked at take it and give it back."""
    times = {
        column.name: AT
        for column in table.columns
        if isinstance(column.type, sa.DateTime) and not column.nullable
    }
    others = {name: value for name, value in ALWAYS.items() if name in table.columns}
    found = {**times, **others, **row}
    for name, value in found.items():
        kind = table.columns[name].type
        if isinstance(value, datetime) and not getattr(kind, "timezone", False):
            found[name] = value.replace(tzinfo=None)
        elif isinstance(value, UUID) and not isinstance(kind, sa.Uuid):
            found[name] = value.hex
    return found


def as_it_is_now(table: str, row: dict[str, Any]) -> dict[str, Any]:
    """Visits have no other number any more than the one they came with, in the order of time."""
    if table != "visits":
        return row
    its = {name: value for name, value in row.items() if name != "id"}
    return {**its, "event_id": in_time(row["event_id"], Kind(row["kind"]), AT)}


def test_a_service_that_is_migrated_keeps_all_it_has(bare_database_url: str) -> None:
    migrate(bare_database_url, "0001")
    database = Database(bare_database_url)
    tables = tables_of(database)
    with database.engine.begin() as connection:
        for name, rows in BEFORE.items():
            for row in rows:
                connection.execute(sa.insert(tables[name]).values(stored(tables[name], row)))
    database.close()

    upgrade(bare_database_url)
    database = Database(bare_database_url)
    with database.read() as tx:
        assert migration_of(tx) == migration_head()
    tables = tables_of(database)
    with database.engine.connect() as connection:
        for name, rows in BEFORE.items():
            found = [dict(row) for row in connection.execute(sa.select(tables[name])).mappings()]
            assert len(found) == len(rows), name
            for row in rows:
                expected = stored(tables[name], {**as_it_is_now(name, row), **ADDED.get(name, {})})
                assert [each for each in found if expected.items() <= each.items()], (name, row)
        labels = connection.execute(sa.select(tables["visits"].c["kind", "label"])).all()
        seen = connection.execute(
            sa.select(tables["seen_codes"].c["index", "devices", "label", "first_at"])
        ).all()
        if database.is_sqlite:
            assert connection.exec_driver_sql("PRAGMA foreign_key_check").all() == []
            assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
        options = {"compare_type": True, "include_name": is_no_month}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, Base.metadata) == []
        (verdict,) = connection.execute(sa.select(tables["verdicts"])).mappings()
    assert (verdict["event"], verdict["customer_id"], verdict["decision"]) == ("claim:1", 1, "pay")
    assert verdict["reason"] == "Granted before verdicts were kept."
    assert {row.kind: row.label for row in labels} == {"scan": "inner", "open": None}
    assert sorted(row[:3] for row in seen) == [(3, 2, "inner"), (4, 1, "inner")]
    first = stored(tables["seen_codes"], {"first_at": AT})["first_at"]
    assert {row.first_at for row in seen} == {first}, "of several scans the first one's"
    check_guards(database)
    database.close()


def check_guards(database: Database) -> None:
    """Rows from before are guarded as new ones are."""
    tables = tables_of(database)

    def refused(statement: sa.Executable, words: str) -> None:
        with pytest.raises(DBAPIError, match=words), database.engine.begin() as connection:
            connection.execute(statement)

    for name in ("ledger_entries", "postings", "range_changes"):
        for change in (sa.delete(tables[name]), sa.update(tables[name]).values(id=9)):
            refused(change, f"{name} is append-only")
    for name in ("products", "batches", "customers", "campaigns"):
        refused(sa.delete(tables[name]), "(?i)foreign key")
    strangers: dict[str, dict[str, Any]] = {
        "code_ranges": {"batch_id": 99, "start": 0, "end": 1, "state": "issued"},
        "scanned_codes": {"batch_id": 99, "index": 0, "label": "inner", "visitor_id": 1},
        "claims": {"id": 9, "batch_id": 99, "index": 0, "customer_id": 1},
    }
    taken: dict[str, dict[str, Any]] = {
        "code_ranges": {"batch_id": 1, "start": 0, "end": 1, "state": "issued"},
        "scanned_codes": {"batch_id": 1, "index": 3, "label": "inner", "visitor_id": 71},
        "claims": {"id": 9, "batch_id": 1, "index": 3, "customer_id": 2},
    }
    for rows, words in ((strangers, "(?i)foreign key"), (taken, "(?i)unique")):
        for name, row in rows.items():
            refused(sa.insert(tables[name]).values(stored(tables[name], row)), words)


def test_foreign_keys_hold(deployment: Deployment) -> None:
    brand = open_brand(deployment)
    gone = sa.delete(type(brand.product))
    with pytest.raises(sa.exc.IntegrityError):
        deployment.db.transact(lambda tx: tx.execute(gone))


def test_migrations_lie_beside_the_package() -> None:
    assert (db_module.MIGRATIONS / "env.py").is_file()
    assert migration_head()
