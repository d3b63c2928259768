"""The database locked or gone: a 503 that says to try again, nothing lost, and it recovers."""

import sqlite3
from pathlib import Path

import psycopg
import pytest
from flask import Flask

from referral import actions, create_app, db, people
from referral.clock import HeldClock
from referral.config import Config
from referral.deployment import open_deployment
from referral.errors import Unavailable
from tests.conftest import SECRET_KEYS, START, check_ledger_at
from tests.readers import Reader
from tests.servers import PostgresServer
from tests.web.conftest import Brand, make_brand

PAGES = ("/c", "/sign-in", "/privacy", "/healthz")
"""What needs no database goes on being served."""


def open_brand(url: str, folder: Path) -> tuple[Brand, Flask]:
    db.upgrade(url)
    config = Config(url, folder, SECRET_KEYS, base_url="http://localhost")
    deployment = open_deployment(config, clock=HeldClock(START))
    brand = make_brand(deployment)
    return brand, create_app(deployment=deployment)


def try_everything(reader: Reader, brand: Brand) -> None:
    """Every kind of request while the database cannot be used."""
    key = {"Authorization": "Bearer rk_anything"}
    for path in PAGES:
        assert reader.get(path).status_code == 200
    reader.get("/sign-in")
    for answer in (
        reader.send("/sign-in", contact="13800138000", agree="1"),
        reader.post("/api/v1/claims", **key),
    ):
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) > 0


def test_a_database_that_went_away_comes_back_by_itself(tmp_path: Path) -> None:
    with PostgresServer() as server:
        url = server.create_database("outage")
        brand, app = open_brand(url, tmp_path)
        alice = Reader(app)
        alice.sign_in("13800138000")
        alice.claim(brand.path(1))
        alice.get("/me")

        server.kill()
        assert alice.send(f"{brand.path(2)}/claim").status_code == 503
        assert alice.heading == "We are back in a moment."
        assert alice.get(brand.path(2)).status_code == 503
        assert alice.get("/readyz").status_code == 503
        try_everything(Reader(app), brand)

        server.start()
        assert alice.get("/readyz").status_code == 200
        alice.claim(brand.path(2))
        assert alice.heading == "It is yours"
        assert brand.metrics().claims == 2
        brand.deployment.db.close()
        check_ledger_at(url)


def test_a_table_that_stays_locked_holds_nobody_for_long(tmp_path: Path) -> None:
    with PostgresServer() as server:
        url = server.create_database("locked")
        brand, app = open_brand(url, tmp_path)
        alice = Reader(app)
        alice.sign_in("13800138000")
        alice.get(brand.path(1))
        with psycopg.connect(url) as locker:
            locker.execute("LOCK TABLE claims IN ACCESS EXCLUSIVE MODE")
            assert alice.send(f"{brand.path(1)}/claim").status_code == 503
        alice.claim(brand.path(1))
        assert alice.heading == "It is yours"
        brand.deployment.db.close()
        check_ledger_at(url)


def test_a_locked_database_says_to_try_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(db.database, "SQLITE_BUSY_SECONDS", 0.05)
    url = f"sqlite:///{tmp_path / 'referral.db'}"
    brand, app = open_brand(url, tmp_path)
    alice = Reader(app)
    alice.sign_in("13800138000")
    alice.get(brand.path(1))

    locker = sqlite3.connect(tmp_path / "referral.db", isolation_level=None)
    locker.execute("BEGIN IMMEDIATE")
    assert alice.send(f"{brand.path(1)}/claim").status_code == 503
    alice.get("/c")
    assert alice.get("/me").status_code == 200, "reading goes on while somebody writes"
    with pytest.raises(Unavailable):
        actions.add_customer(brand.deployment, [people.phone("13800138001")], None)
    locker.execute("ROLLBACK")
    locker.close()

    alice.claim(brand.path(1))
    assert alice.heading == "It is yours"
    brand.deployment.db.close()
    check_ledger_at(url)
