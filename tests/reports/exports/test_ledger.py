"""The ledger as files: page by page it is all there, in order, and totals add up to nothing."""

from collections.abc import Iterator, Sequence
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from referral.clock import HeldClock
from referral.deployment import Deployment
from referral.exports import kinds
from referral.exports.kinds import Value, Wanted
from referral.ledger import Posting
from referral.reports.exports import ledger
from tests.cast import Brand, cast_of, open_brand

SHANGHAI = ZoneInfo("Asia/Shanghai")


@pytest.fixture
def brand(deployment: Deployment, clock: HeldClock) -> Brand:
    brand = open_brand(deployment)
    alice, bob, _ = cast_of(brand)
    for n in range(6):
        alice.claim(n)  # several of the same moment
        if n % 2:
            clock.advance(days=1)
    bob.open(alice.link())
    bob.claim(6)
    return brand


def rows(brand: Brand, name: str, **params: Any) -> Iterator[Sequence[Value]]:
    kind = kinds.kind_named(name)
    assert kind is not None
    d, after = brand.deployment, None
    wanted = Wanted(params, d.keys, SHANGHAI, d.clock.now())
    while True:
        with brand.deployment.db.read() as tx:
            page = kind.page(tx, wanted, after)
        yield from page.rows
        after = page.after
        if after is None:
            return


@pytest.mark.parametrize("at_once", [2, 4, 2_000])
def test_every_posting_is_there_once_by_time(
    brand: Brand, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(ledger, "AT_ONCE", at_once)
    found = list(rows(brand, "postings"))
    with brand.deployment.db.read() as tx:
        every = set(tx.scalars(sa.select(Posting.id)))
    assert [row[4] for row in found] == sorted(every)
    assert sum(row[8] for row in found if row[7] == "points") == 0
    kind = kinds.kind_named("postings")
    assert kind is not None
    d = brand.deployment
    with d.db.read() as tx:
        assert kind.count(tx, Wanted({}, d.keys, SHANGHAI, d.clock.now())) == len(every)


@pytest.mark.parametrize("at_once", [2, 2_000])
def test_a_period_is_whole_days(
    brand: Brand, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(ledger, "AT_ONCE", at_once)
    days = {"since": "2026-03-03", "until": "2026-03-04"}
    found = list(rows(brand, "postings", **days))
    assert {str(row[1].astimezone(SHANGHAI).date()) for row in found} == {*days.values()}
    assert len({row[0] for row in found}) == 4


@pytest.mark.parametrize("at_once", [1, 3, 2_000])
def test_totals_are_before_in_and_after_a_period(
    brand: Brand, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(ledger, "AT_ONCE", at_once)
    found = list(rows(brand, "totals", since="2026-03-03", until="2026-03-04"))
    wallet = next(row for row in found if row[:2] == ("wallet", 1))
    assert wallet[4:] == (40, 80, 0, 120)
    for column in (4, 7):
        assert sum(row[column] for row in found) == 0
    assert sum(row[5] - row[6] for row in found) == 0
