"""Migrations: they make exactly the tables the models describe, with guards that hold."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy.exc import DBAPIError

import referral.models
from referral import db as db_module
from referral.db import Base, Database, migration_head, migration_of, upgrade
from referral.deployment import Deployment
from referral.errors import Unavailable
from referral.ledger import LedgerEntry, Posting
from referral.ranges import RangeChange
from tests.cast import cast_of, open_brand
from tests.servers import create_database


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    opened = Database(database_url)
    yield opened
    opened.close()


def test_models_and_migrations_describe_the_same_tables(database: Database) -> None:
    with database.engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "target_metadata": Base.metadata}
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


def test_foreign_keys_hold(deployment: Deployment) -> None:
    brand = open_brand(deployment)
    gone = sa.delete(type(brand.product))
    with pytest.raises(sa.exc.IntegrityError):
        deployment.db.transact(lambda tx: tx.execute(gone))


def test_migrations_lie_beside_the_package() -> None:
    assert (db_module.MIGRATIONS / "env.py").is_file()
    assert migration_head()
