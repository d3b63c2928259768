"""Fills a database with the customers of `tree_plan`, what they bought and what is counted."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

import psycopg
import sqlalchemy as sa
from sqlalchemy.orm import Session

from bench.claims import gtin
from bench.large_copy import copy_into, count_on
from bench.tree_plan import DAY, YEARS, Ints, plan
from referral import actions
from referral.claims import Claim
from referral.db import no_hurry
from referral.deployment import Deployment
from referral.graph import Referral
from referral.orders import Order
from referral.people import Customer
from referral.people.names import Hasher, NamePart, parts_of
from referral.rollups import tree
from referral.staff import Role

STAFF, PASSWORD = "olga@brand.example", "four ordinary words here"
PRICE = 5_900
SURNAMES = "王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗"
GIVEN = "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平刚桂英华玉兰"
LATIN = ("Ann", "Bob", "Cleo", "Dan", "Eve", "Finn", "Gus", "Hana", "Ida", "Jon")
NAMES = 4_000
"""How many different names there are."""
ROWS_AT_ONCE = 20_000


def fill(d: Deployment, url: str, customers: int) -> None:
    """Make an empty, migrated database a brand's with so many customers."""
    actions.add_staff(d, email=STAFF, password=PASSWORD, role=Role.owner)
    actions.add_product(d, gtin=gtin(0), name="Tea", price=PRICE, currency="CNY")
    actions.issue_batch(d, gtin=gtin(0), count=2 * customers + 1, name="Batch", by="bench")
    rows = plan(customers)
    start = d.clock.now() - timedelta(microseconds=YEARS * 365 * DAY)
    named = [d.keys.encrypt(name) for name in names()]
    parts = _parts(d)
    if d.db.is_sqlite:
        d.db.transact(lambda tx: _fill_sqlite(tx, rows, start, named, parts))
    else:
        _fill_postgres(url.replace("postgresql+psycopg:", "postgresql:"), rows, start, named, parts)
    d.db.transact(lambda tx: _count(tx, d))
    if not d.db.is_sqlite:  # there nothing does it by itself
        _analyse(url)


def names() -> list[str]:
    """Names as people write them, each once in a while the same."""
    surnames, given = len(SURNAMES), len(GIVEN)
    made = []
    for n in range(NAMES):
        if n % 5 == 4:
            made.append(f"{LATIN[n // 5 % len(LATIN)]} {n}")
            continue
        first = GIVEN[n // surnames % given]
        second = GIVEN[n // surnames // given % given] if n % 3 else ""
        made.append(SURNAMES[n % surnames] + first + second)
    return made


def _parts(d: Deployment) -> list[tuple[int, int]]:
    """The parts of each name, by the name's place."""
    hasher = Hasher(d.keys)
    return [
        (place, hasher.stored(part))
        for place, name in enumerate(names())
        for part in sorted(parts_of(name))
    ]


def _count(tx: Session, d: Deployment) -> None:
    no_hurry(tx)
    tree.advance(tx, d.clock.now())
    tree.recount(tx, d.config.values)


def _analyse(url: str) -> None:
    """What the server does by itself some time after so many rows."""
    address = url.replace("postgresql+psycopg:", "postgresql:")
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute("VACUUM (ANALYZE)")


# PostgreSQL: as arrays, made into rows there


def _fill_postgres(
    url: str,
    rows: Mapping[str, Ints],
    start: datetime,
    named: list[str],
    parts: list[tuple[int, int]],
) -> None:
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        # Without triggers: what is written is counted as a whole afterwards.
        cursor.execute("SET session_replication_role = replica")
        copy_into(cursor, "bench_tree", rows)
        cursor.execute("CREATE UNLOGGED TABLE bench_names (place int PRIMARY KEY, name text)")
        with cursor.copy("COPY bench_names FROM STDIN") as copy:
            for place, name in enumerate(named):
                copy.write_row((place, name))
        cursor.execute("CREATE UNLOGGED TABLE bench_parts (place int, part bigint)")
        with cursor.copy("COPY bench_parts FROM STDIN") as copy:
            for each in parts:
                copy.write_row(each)
        cursor.execute("ANALYZE bench_parts")
        told = {"start": start, "names": len(named)}
        for statement in _STATEMENTS:
            cursor.execute(statement, told)
        cursor.execute("DROP TABLE bench_tree, bench_names, bench_parts")
        count_on(cursor, "customers", "claims", "orders")


_MOMENT = "%(start)s::timestamptz + {} * interval '1 microsecond'"
_STATEMENTS = (
    f"""
    INSERT INTO customers (id, name_encrypted, created_at)
    SELECT number, name, {_MOMENT.format("at")} FROM bench_tree
    JOIN bench_names ON place = number %% %(names)s ORDER BY number
    """,  # noqa: S608
    f"""
    INSERT INTO referrals (customer_id, referrer_id, event, campaign_id, why, at)
    SELECT number, nullif(parent, -1), 'claim:' || number, NULL, '{{}}', {_MOMENT.format("at")}
    FROM bench_tree ORDER BY number
    """,  # noqa: S608
    f"""
    INSERT INTO claims (id, batch_id, index, customer_id, at)
    SELECT number, (SELECT min(id) FROM batches), number, number, {_MOMENT.format("at")}
    FROM bench_tree ORDER BY number
    """,  # noqa: S608
    f"""
    INSERT INTO claims (id, batch_id, index, customer_id, at)
    SELECT number + (SELECT max(number) FROM bench_tree), (SELECT min(id) FROM batches),
        number + (SELECT max(number) FROM bench_tree), number, {_MOMENT.format("again_at")}
    FROM bench_tree WHERE again_at >= 0 ORDER BY number
    """,  # noqa: S608
    f"""
    INSERT INTO orders (id, external_id, customer_id, is_guest, amount, currency, refunded, gtins,
        unpaid, at, reported_at)
    SELECT number, 'S-' || number, number, false, amount, 'CNY', 0, '[]', 'no-campaign',
        {_MOMENT.format("ordered_at")}, {_MOMENT.format("ordered_at")}
    FROM bench_tree WHERE ordered_at >= 0 ORDER BY number
    """,  # noqa: S608
    """
    INSERT INTO name_parts (part, customer_id)
    SELECT part, number FROM bench_tree JOIN bench_parts ON place = number %% %(names)s
    ORDER BY part, number
    """,
)


# SQLite: row by row, which is as fast there


class _Rows:
    """The rows of each table."""

    def __init__(
        self, rows: Mapping[str, Ints], start: datetime, named: list[str], batch: int
    ) -> None:
        columns = [column.tolist() for column in rows.values()]
        self._people: list[tuple[int, ...]] = list(zip(*columns, strict=True))
        self._start = start
        self._named = named
        self._batch = batch

    def _moment(self, microseconds: int) -> datetime:
        return self._start + timedelta(microseconds=microseconds)

    def customers(self) -> Iterator[dict[str, Any]]:
        for number, _, at, *_ in self._people:
            name = self._named[number % len(self._named)]
            yield {"id": number, "name_encrypted": name, "created_at": self._moment(at)}

    def referrals(self) -> Iterator[dict[str, Any]]:
        for number, parent, at, *_ in self._people:
            above = parent if parent > 0 else None
            place = {"customer_id": number, "referrer_id": above, "at": self._moment(at)}
            yield {**place, "event": f"claim:{number}", "why": {}}

    def claims(self) -> Iterator[dict[str, Any]]:
        for number, _, at, again_at, *_ in self._people:
            row = {"batch_id": self._batch, "customer_id": number}
            yield {**row, "index": number, "at": self._moment(at)}
            if again_at >= 0:
                again = number + len(self._people)
                yield {**row, "index": again, "at": self._moment(again_at)}

    def orders(self) -> Iterator[dict[str, Any]]:
        said = {"is_guest": False, "currency": "CNY", "refunded": 0, "gtins": []}
        for number, *_, ordered_at, amount in self._people:
            if ordered_at >= 0:
                at = self._moment(ordered_at)
                row = {"external_id": f"S-{number}", "customer_id": number, "amount": amount}
                yield {**row, **said, "at": at, "reported_at": at, "unpaid": "no-campaign"}

    def name_parts(self, parts: list[tuple[int, int]]) -> Iterator[dict[str, Any]]:
        of_name: dict[int, list[int]] = {}
        for place, part in parts:
            of_name.setdefault(place, []).append(part)
        pairs = [
            (part, who) for who, *_ in self._people for part in of_name[who % len(self._named)]
        ]
        for part, customer in sorted(pairs):
            yield {"part": part, "customer_id": customer}


def _fill_sqlite(
    tx: Session,
    rows: Mapping[str, Ints],
    start: datetime,
    named: list[str],
    parts: list[tuple[int, int]],
) -> None:
    batch = tx.scalar(sa.text("SELECT min(id) FROM batches"))
    made = _Rows(rows, start, named, batch)
    for model, each in (
        (Customer, made.customers()),
        (Referral, made.referrals()),
        (Claim, made.claims()),
        (Order, made.orders()),
        (NamePart, made.name_parts(parts)),
    ):
        while some := list(islice(each, ROWS_AT_ONCE)):
            tx.execute(sa.insert(model.__table__), some)
