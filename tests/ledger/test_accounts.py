"""Accounts: named or by id, in one order; and budgets, whose slots are one account to everybody."""

from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from referral import ledger
from referral.db import Database, insert_new
from referral.deployment import Deployment
from referral.errors import Unavailable
from referral.ledger import Move, accounts
from referral.ledger.accounts import SLOTS, Account, AccountName, Insufficient, Kind
from tests.races import at_once, overtaken

CAMPAIGN, ALICE, BOB = 7, 1, 2
BUDGET = AccountName(Kind.budget, CAMPAIGN, "points")
WALLET = AccountName(Kind.wallet, ALICE, "points")
ROLLED_BACK = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


@contextmanager
def undone(db: Database) -> Iterator[Session]:
    with Session(db.engine) as tx:
        yield tx
        tx.rollback()


def fund(deployment: Deployment, amount: int, unit: str = "points") -> None:
    now = deployment.clock.now()
    deployment.db.transact(
        lambda tx: ledger.fund(tx, CAMPAIGN, unit, amount, key=f"budget|{unit}", now=now)
    )


def slots(tx: Session) -> list[int]:
    found = sa.select(Account.balance).where(Account.kind == Kind.budget)
    return list(tx.scalars(found.order_by(Account.slot)))


def pay(tx: Session, deployment: Deployment, key: str, amount: int, to: int = ALICE) -> int:
    wallet = AccountName(Kind.wallet, to, "points")
    moves = [Move(BUDGET, wallet, amount)]
    return ledger.post(tx, key=key, what="pay", moves=moves, now=deployment.clock.now())


def test_accounts_are_named_or_given_by_id(deployment: Deployment) -> None:
    fund(deployment, 100)
    deployment.db.transact(lambda tx: pay(tx, deployment, "one", 30))

    def on(tx: Session) -> None:
        alice = ledger.account(tx, Kind.wallet, ALICE, "points")
        bob = ledger.account(tx, Kind.wallet, BOB, "points")
        moves = [Move(alice, bob, 10)]
        ledger.post(tx, key="two", what="on", moves=moves, now=deployment.clock.now())

    deployment.db.transact(on)
    with deployment.db.read() as tx:
        assert ledger.balances(tx, Kind.wallet, ALICE) == {"points": 20}
        assert ledger.balances(tx, Kind.wallet, BOB) == {"points": 10}


def test_a_budget_has_no_id_of_its_own(deployment: Deployment) -> None:
    with undone(deployment.db) as tx, pytest.raises(ValueError, match="use its name"):
        ledger.account(tx, Kind.budget, CAMPAIGN, "points")


def test_nothing_is_taken_from_an_account_that_was_never_opened(deployment: Deployment) -> None:
    def take(tx: Session) -> None:
        with pytest.raises(Insufficient):
            accounts.change(tx, {WALLET: -1, AccountName(Kind.wallet, BOB, "points"): 1})
        with pytest.raises(Insufficient):
            accounts.change(tx, {BUDGET: -1, WALLET: 1})

    deployment.db.transact(take)
    with deployment.db.read() as tx:
        assert tx.scalar(sa.select(sa.func.sum(Account.balance))) in (0, None)


def test_a_big_budget_has_many_slots_where_many_write_at_once(deployment: Deployment) -> None:
    fund(deployment, 100_001)
    with deployment.db.read() as tx:
        held = slots(tx)
        assert ledger.balances(tx, Kind.budget, CAMPAIGN) == {"points": 100_001}
    assert sum(held) == 100_001
    assert len(held) == (1 if deployment.db.is_sqlite else SLOTS)
    assert max(held) - min(held) <= 1


def test_a_slot_is_worth_having(deployment: Deployment) -> None:
    if deployment.db.is_sqlite:
        pytest.skip("SQLite has one writer, and one slot")
    for unit, amount, expected in (("points", 999, 1), ("CNY", 5_000, 5), ("item:mug", 35, 3)):
        fund(deployment, amount, unit)
        with deployment.db.read() as tx:
            of_unit = sa.select(sa.func.count()).where(Account.kind == "budget")
            assert tx.scalar(of_unit.where(Account.unit == unit)) == expected


def test_more_than_any_slot_holds_is_gathered(deployment: Deployment) -> None:
    fund(deployment, 10_000)
    entry = deployment.db.transact(lambda tx: pay(tx, deployment, "much", 9_990))
    with deployment.db.read() as tx:
        assert sum(slots(tx)) == 10
        of_entry = sa.select(sa.func.sum(ledger.Posting.amount))
        assert tx.scalar(of_entry.where(ledger.Posting.entry_id == entry)) == 0
    deployment.db.transact(lambda tx: pay(tx, deployment, "the rest", 10))
    with pytest.raises(Insufficient):
        deployment.db.transact(lambda tx: pay(tx, deployment, "one more", 1))


def test_what_comes_back_can_be_taken_again(deployment: Deployment) -> None:
    fund(deployment, 3_000)
    deployment.db.transact(lambda tx: pay(tx, deployment, "all", 3_000))
    back = [Move(WALLET, BUDGET, 1_500)]
    now = deployment.clock.now()
    for n in range(2):
        deployment.db.transact(
            lambda tx, n=n: ledger.post(tx, key=f"back|{n}", what="back", moves=back, now=now)
        )
    deployment.db.transact(lambda tx: pay(tx, deployment, "again", 3_000))
    with deployment.db.read() as tx:
        assert ledger.balances(tx, Kind.budget, CAMPAIGN) == {"points": 0}


def test_what_comes_back_opens_a_budget_that_there_was_none_of(deployment: Deployment) -> None:
    with undone(deployment.db) as tx:
        accounts.change(tx, {BUDGET: 5})
        assert slots(tx) == [5]


steps = st.lists(st.integers(-400, 400).filter(bool), max_size=15)


@settings(max_examples=40, suppress_health_check=ROLLED_BACK)
@given(st.lists(st.integers(0, 150), min_size=1, max_size=5), steps)
def test_whatever_is_taken_and_given_back_no_slot_matters(
    deployment: Deployment, held: list[int], steps: list[int]
) -> None:
    """Never overspent, and never refused while all slots together would do."""
    with undone(deployment.db) as tx:
        rows = [
            {
                "kind": "budget",
                "owner": CAMPAIGN,
                "unit": "points",
                "slot": slot,
                "balance": balance,
            }
            for slot, balance in enumerate(held)
        ]
        insert_new(tx, Account, rows)
        left = sum(held)
        for step in steps:
            if left + step >= 0:
                done = accounts.change(tx, {BUDGET: step})
                assert sum(more for _, more in done) == step
                left += step
            else:
                with pytest.raises(Insufficient):
                    accounts.change(tx, {BUDGET: step})
            now = slots(tx)
            assert sum(now) == left
            assert min(now) >= 0


def test_the_last_of_a_budget_in_slots_goes_to_as_many_as_it_can_pay(
    deployment: Deployment,
) -> None:
    """Forty at once want 300 each of 10,000 in ten slots: no slot's rest is left lying about."""
    fund(deployment, 10_000)

    def work(n: int) -> int:
        try:
            to = Random(n).randrange(1, 9)
            return deployment.db.transact(lambda tx: pay(tx, deployment, f"pay|{n}", 300, to=to))
        except Unavailable:  # where all wait for the last slot a slow machine asks to come again
            return work(n)

    works = [lambda n=n: work(n) for n in range(40)]
    outcomes = [each for start in (0, 14, 28) for each in at_once(works[start : start + 14])]
    assert sum(isinstance(each, int) for each in outcomes) == 33
    assert {type(each) for each in outcomes} <= {int, Insufficient}
    with deployment.db.read() as tx:
        assert sum(slots(tx)) == 100


def test_two_that_take_from_one_budget_do_not_wait_for_each_other(deployment: Deployment) -> None:
    if deployment.db.is_sqlite:
        pytest.skip("SQLite has one writer")
    fund(deployment, 10_000)
    with undone(deployment.db) as tx:
        pay(tx, deployment, "first", 10)
        # If it waited, it would for ever, or until the database has enough of it.
        deployment.db.transact(lambda tx: pay(tx, deployment, "second", 10, to=BOB))
    with deployment.db.read() as tx:
        assert sum(slots(tx)) == 9_990


def test_one_that_takes_waits_for_the_only_slot_that_has_enough(deployment: Deployment) -> None:
    fund(deployment, 900)
    first, second = overtaken(
        deployment.db,
        lambda tx: pay(tx, deployment, "first", 500),
        lambda: deployment.db.transact(lambda tx: pay(tx, deployment, "second", 400, to=BOB)),
    )
    assert isinstance(first, int)
    assert isinstance(second, int)
    with deployment.db.read() as tx:
        assert slots(tx) == [0]
