"""Several statements in one trip: in their order, with values as they are, failing as one would."""

from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import Session

from referral.db import Database
from referral.db.round_trips import adding, ask, in_one_trip, locking
from referral.db.shortcut import Shortcut
from referral.deployment import Deployment
from referral.errors import Unavailable
from referral.graph import Referral
from referral.people import Customer
from referral.risk import BlockedCustomer

AT = datetime(2026, 3, 2, 9, 30, 15, 123456, tzinfo=UTC)
CUSTOMERS = sa.select(
    Customer.id, Customer.name_encrypted, Customer.created_at, Customer.merged_into
).where(Customer.id == sa.bindparam("customer"))
RENAME = (
    sa.update(Customer)
    .where(Customer.id == sa.bindparam("customer"))
    .values(name_encrypted=sa.bindparam("name"))
)


def row(name: str | None = None) -> dict[str, Any]:
    return {"name_encrypted": name, "created_at": AT, "merged_into": None}


def made(tx: Session) -> int:
    return int(in_one_trip(tx, adding(tx, Customer, row("Ann")))[0].scalar)


def test_each_sees_what_those_before_it_did(deployment: Deployment) -> None:
    def work(tx: Session) -> None:
        number = made(tx)
        before, renamed, after, nobody = in_one_trip(
            tx,
            ask(CUSTOMERS, customer=number),
            ask(RENAME, customer=number, name='O\'Neil "小红" \\ {1,2}'),
            ask(CUSTOMERS, customer=number),
            ask(CUSTOMERS, customer=number + 1),
        )
        assert tuple(before.first) == (number, "Ann", AT, None)
        assert renamed.count == 1
        assert after.first.name_encrypted == 'O\'Neil "小红" \\ {1,2}'
        assert after.first.created_at.tzinfo is not None
        assert (nobody.first, nobody.scalar, nobody.count) == (None, None, 0)

    deployment.db.transact(work)


_SETTING = sa.text("SELECT current_setting('enable_seqscan') AS said").columns(said=sa.Text())


def test_plans_are_made_for_tables_that_grow(deployment: Deployment) -> None:
    if deployment.db.is_sqlite:
        pytest.skip("SQLite keeps no plans")
    said = deployment.db.transact(lambda tx: in_one_trip(tx, ask(_SETTING))[0].scalar)
    assert said == "off"
    with deployment.db.read() as tx:
        assert tx.execute(_SETTING).scalar_one() == "on", "reports may read a table whole"
    line = Shortcut(deployment.db)
    assert line.read("SELECT current_setting('enable_seqscan')") == [("off",)]
    line.close()


def test_documents_and_truths_come_back_as_they_went(deployment: Deployment) -> None:
    why = {"path": [1, None], "said": "“é”", "deep": {"is": True}}

    def work(tx: Session) -> Any:
        one = made(tx)
        values = {"customer_id": one, "referrer_id": None, "event": "claim:1", "at": AT}
        settle = sa.insert(Referral.__table__)  # type: ignore[arg-type]
        in_one_trip(tx, ask(settle, **values, campaign_id=None, why=why))
        return in_one_trip(
            tx,
            ask(
                sa.select(Referral.why, Referral.referrer_id.is_(None).label("is_root")).where(
                    Referral.customer_id == sa.bindparam("customer")
                ),
                customer=one,
            ),
        )[0].first

    found = deployment.db.transact(work)
    assert found.why == why
    assert found.is_root


def test_one_that_fails_fails_all_as_it_would_alone(deployment: Deployment) -> None:
    nobody = {"customer_id": 999, "by": "x", "reason": "x", "at": AT}
    block = sa.insert(BlockedCustomer.__table__)  # type: ignore[arg-type]

    def work(tx: Session) -> None:
        number = made(tx)
        in_one_trip(
            tx,
            ask(RENAME, customer=number, name="Bea"),
            ask(block, **nobody),
            ask(RENAME, customer=number, name="Cy"),
        )

    with pytest.raises(IntegrityError):
        deployment.db.transact(work)
    with deployment.db.read() as tx:
        assert tx.scalar(sa.select(sa.func.count()).select_from(Customer)) == 0
    assert deployment.db.transact(made)


def test_what_was_prepared_is_there_after_a_rollback(deployment: Deployment) -> None:
    def fail(tx: Session) -> None:
        made(tx)
        raise ValueError

    for _ in range(8):
        with pytest.raises(ValueError):
            deployment.db.transact(fail)
        with deployment.db.read() as tx:
            assert in_one_trip(tx, ask(CUSTOMERS, customer=1))[0].first is None
        deployment.db.transact(lambda tx: tx.execute(sa.select(1)))


def test_a_lost_connection_is_made_anew(database_url: str) -> None:
    db = Database(database_url)
    if db.is_sqlite:
        pytest.skip("SQLite has no connections to lose")
    end = sa.text("SELECT pg_terminate_backend(pg_backend_pid())")
    with pytest.raises(Unavailable):
        db.transact(lambda tx: in_one_trip(tx, ask(CUSTOMERS, customer=1), ask(end)))
    assert db.transact(made)


def test_a_text_with_a_nul_is_refused(deployment: Deployment) -> None:
    if deployment.db.is_sqlite:
        pytest.skip("SQLite keeps it")

    def work(tx: Session) -> None:
        in_one_trip(tx, ask(RENAME, customer=1, name="a\0b"))

    with pytest.raises(DBAPIError):
        deployment.db.transact(work)


def test_a_row_that_is_there_answers_with_nothing(deployment: Deployment) -> None:
    def work(tx: Session) -> None:
        number = made(tx)
        said = {**row("Dee"), "id": number}
        assert in_one_trip(tx, adding(tx, Customer, said), *locking(tx, "x"))[0].scalar is None

    deployment.db.transact(work)
