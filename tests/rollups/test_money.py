"""Sums of the ledger by the day: whatever the sweep has summed up so far, pages read the same."""

from datetime import date
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral import actions, people
from referral.actions.reversing import reverse
from referral.clock import HeldClock
from referral.deployment import Deployment
from referral.ledger import Account
from referral.reports import money_sums
from referral.reports.money_sums import Sums
from referral.rewards import Reason
from referral.rollups import money
from referral.rollups.money import Granted, MoneyDay, Moved
from tests.cast import BUDGET, PER_CLAIM, PER_FRIEND, Brand, cast_of, open_brand
from tests.rewarded import give

SHANGHAI = ZoneInfo("Asia/Shanghai")
DAY = date(2026, 3, 2)


@pytest.fixture
def brand(deployment: Deployment) -> Brand:
    return open_brand(deployment)


def tally(brand: Brand, zone: ZoneInfo = SHANGHAI) -> bool:
    now = brand.deployment.clock.now()
    return brand.deployment.db.transact(lambda tx: money.tally(tx, zone, now))


def sums(brand: Brand, *by: str, **more: Any) -> dict[tuple[Any, ...], Moved]:
    with brand.deployment.db.read() as tx:
        return Sums(tx, SHANGHAI, brand.deployment.clock.now()).moved(by, **more)


def rules(brand: Brand, *by: str, **more: Any) -> dict[tuple[Any, ...], Granted]:
    with brand.deployment.db.read() as tx:
        return Sums(tx, SHANGHAI, brand.deployment.clock.now()).granted(by, **more)


def play(brand: Brand, clock: HeldClock) -> None:
    """Three days: claims, a friend, a reversal, and points that expire."""
    alice, bob, _ = cast_of(brand)
    alice.claim(0)
    bob.open(alice.link())
    claim = bob.claim(1).claim
    give(brand, alice.customer, 7, lasts=money.LATE)
    clock.advance(minutes=8 * 60)  # half past one on the next day, in Shanghai
    alice.claim(2)
    clock.advance(days=1)

    def back(tx: Session) -> None:
        now = clock.now()
        people.lock_customer(tx, bob.customer)
        reverse(tx, claim.event, Fraction(1), Reason.abuse, key="case|1", now=now)

    brand.deployment.db.transact(back)
    actions.expire_rewards(brand.deployment)


def test_balances_are_the_sums_of_what_moved_whenever_it_is_summed_up(
    brand: Brand, clock: HeldClock
) -> None:
    play(brand, clock)
    with brand.deployment.db.read() as tx:
        rows = tx.execute(
            sa.select(Account.kind, sa.func.sum(Account.balance)).group_by(Account.kind)
        ).all()
    held = {(kind,): int(balance) for kind, balance in rows}
    everything = ("kind", "owner", "unit", "day", "what")
    before = sums(brand, *everything)
    assert {key: each.net for key, each in sums(brand, "kind").items()} == held
    for _ in range(3):
        tally(brand)
        assert sums(brand, *everything) == before
        clock.advance(minutes=47)
    with brand.deployment.db.read() as tx:
        assert tx.scalar(sa.select(sa.func.count()).select_from(MoneyDay)) == len(before)


def test_days_are_those_of_the_brands_calendar(brand: Brand, clock: HeldClock) -> None:
    play(brand, clock)
    for _ in range(2):
        spent = sums(brand, "day", kinds=["budget"], owners=[brand.campaign.id], unit="points")
        assert spent[DAY,].minus == 2 * PER_CLAIM + 2 * PER_FRIEND + 7
        assert spent[date(2026, 3, 3),] == Moved(minus=PER_CLAIM, entries=1)
        assert spent[date(2026, 3, 4),].plus == PER_CLAIM + 2 * PER_FRIEND
        clock.advance(minutes=61)
        tally(brand)


def test_rules_have_what_they_granted_and_what_became_of_it(brand: Brand, clock: HeldClock) -> None:
    play(brand, clock)
    claim_rule, friend_rule = (rule.id for rule in brand.campaign.checked_rules)
    for _ in range(2):
        found = rules(brand, "rule")
        assert found[friend_rule,] == Granted(2, 2 * PER_FRIEND, 2 * PER_FRIEND, 0)
        # The gift of 7 points counts as of the same rule.
        assert found[claim_rule,] == Granted(4, 3 * PER_CLAIM + 7, PER_CLAIM, 7)
        on = rules(brand, "rule", first=date(2026, 3, 3), last=date(2026, 3, 3))
        assert on == {(claim_rule,): Granted(1, PER_CLAIM)}
        clock.advance(minutes=61)
        tally(brand)


def test_nothing_is_summed_up_twice_or_too_early(brand: Brand, clock: HeldClock) -> None:
    assert not tally(brand)
    with brand.deployment.db.read() as tx:
        assert tx.scalar(sa.select(sa.func.count()).select_from(MoneyDay)) == 0
    assert not tally(brand)
    clock.advance(minutes=61)
    assert tally(brand)
    budget = sums(brand, "unit", kinds=["budget"])
    assert budget == {("points",): Moved(plus=BUDGET, entries=budget["points",].entries)}


def test_a_recount_finds_what_is_wrong_and_follows_another_calendar(
    brand: Brand, clock: HeldClock
) -> None:
    d = brand.deployment
    play(brand, clock)
    clock.advance(minutes=61)
    tally(brand)
    right = sums(brand, "day", "kind")
    assert d.db.transact(lambda tx: money.recount(tx, SHANGHAI)) == 0
    d.db.transact(lambda tx: tx.execute(sa.update(MoneyDay).values(plus=MoneyDay.plus + 1)))
    assert d.db.transact(lambda tx: money.recount(tx, SHANGHAI)) > 3
    assert sums(brand, "day", "kind") == right
    assert d.db.transact(lambda tx: money.recount(tx, ZoneInfo("UTC"))) > 0
    # Half past five in the afternoon is the same day in both, half past one in the morning not.
    spent = sums(brand, "day", kinds=["budget"])
    assert spent[DAY,].minus == 3 * PER_CLAIM + 2 * PER_FRIEND + 7


def test_what_is_too_much_to_count_is_as_of_the_sweep(
    brand: Brand, clock: HeldClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    d = brand.deployment
    clock.advance(minutes=61)
    tally(brand)
    kept_until = clock.now() - money.LATE
    play(brand, clock)
    monkeypatch.setattr(money_sums, "NEW_MAX", 2)
    with d.db.read() as tx:
        found = Sums(tx, SHANGHAI, clock.now())
        assert found.as_of == kept_until
        assert found.moved(("kind",), kinds=["wallet"]) == {}
    monkeypatch.setattr(money_sums, "NEW_MAX", 1_000)
    with d.db.read() as tx:
        assert Sums(tx, SHANGHAI, clock.now()).as_of is None
