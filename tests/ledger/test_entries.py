"""The ledger: double-entry, append-only, never below zero; and it says so when it is not."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import Session

from referral import ledger
from referral.db import Database, insert_new_id
from referral.deployment import Deployment
from referral.ledger import (
    Account,
    AccountName,
    AlreadyPosted,
    Insufficient,
    Kind,
    LedgerEntry,
    Move,
    Posting,
    verify,
)
from tests.races import at_once, overtaken

SLOW_BUT_FINE = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
"""Each example is rolled back, so that one database does for all of them."""
CAMPAIGN, ALICE, BOB = 7, 1, 2


@contextmanager
def undone(db: Database) -> Iterator[Session]:
    """A transaction that is rolled back, whatever is done to the ledger in it."""
    with Session(db.engine) as tx:
        yield tx
        tx.rollback()


@pytest.fixture
def funded(deployment: Deployment) -> Deployment:
    """A campaign's budget of 1,000 points."""
    now = deployment.clock.now()
    deployment.db.transact(
        lambda tx: ledger.fund(tx, CAMPAIGN, "points", 1000, key="budget|7", now=now)
    )
    return deployment


def pay(tx: Session, deployment: Deployment, key: str, customer: int, amount: int) -> int:
    wallet = AccountName(Kind.wallet, customer, "points")
    moves = [Move(ledger.budget(tx, CAMPAIGN, "points"), wallet, amount)]
    return ledger.post(tx, key=key, what="pay", moves=moves, now=deployment.clock.now())


def state(tx: Session) -> tuple[dict[tuple[str, int], int], int, int]:
    """What every account holds (nothing is left out), and the numbers of entries and postings."""
    held = sa.func.sum(Account.balance)
    accounts = tx.execute(
        sa.select(Account.kind, Account.owner, held)
        .group_by(Account.kind, Account.owner)
        .having(held != 0)
    )
    count = sa.select(sa.func.count())
    return (
        {(kind, owner): balance for kind, owner, balance in accounts},
        tx.scalar(count.select_from(LedgerEntry)) or 0,
        tx.scalar(count.select_from(Posting)) or 0,
    )


def test_a_budget_comes_out_of_the_brands_promise(funded: Deployment) -> None:
    with funded.db.read() as tx:
        assert ledger.balances(tx, Kind.budget, CAMPAIGN) == {"points": 1000}
        assert ledger.balances(tx, Kind.issue, 0) == {"points": -1000}
        assert ledger.balances(tx, Kind.wallet, ALICE) == {}
        assert verify(tx) == []


def test_every_entry_sums_to_zero(funded: Deployment) -> None:
    funded.db.transact(lambda tx: pay(tx, funded, "one", ALICE, 20))
    funded.db.transact(lambda tx: pay(tx, funded, "two", BOB, 30))
    with funded.db.read() as tx:
        sums = tx.execute(
            sa.select(Posting.entry_id, sa.func.sum(Posting.amount), sa.func.count()).group_by(
                Posting.entry_id
            )
        ).all()
        assert [(total, postings) for _, total, postings in sums] == [(0, 2)] * 3
        assert ledger.balances(tx, Kind.wallet, ALICE) == {"points": 20}
        assert ledger.balances(tx, Kind.budget, CAMPAIGN) == {"points": 950}


def test_one_entry_may_move_amounts_between_many(funded: Deployment) -> None:
    def work(tx: Session) -> None:
        budget = ledger.budget(tx, CAMPAIGN, "points")
        alice, bob = (ledger.account(tx, Kind.wallet, owner, "points") for owner in (ALICE, BOB))
        moves = [Move(budget, alice, 50), Move(alice, bob, 20), Move(budget, bob, 5)]
        ledger.post(tx, key="many", what="many", moves=moves, now=funded.clock.now())

    funded.db.transact(work)
    with funded.db.read() as tx:
        balances, entries, postings = state(tx)
    assert balances["wallet", ALICE] == 30
    assert balances["wallet", BOB] == 25
    assert (entries, postings) == (2, 5)


def test_units_do_not_mix(funded: Deployment) -> None:
    now = funded.clock.now()
    funded.db.transact(lambda tx: ledger.fund(tx, CAMPAIGN, "CNY", 5000, key="cny", now=now))
    with funded.db.read() as tx:
        assert ledger.balances(tx, Kind.budget, CAMPAIGN) == {"points": 1000, "CNY": 5000}


def test_it_rejects_moves_that_move_nothing(funded: Deployment) -> None:
    for move in (Move(1, 2, 0), Move(1, 2, -5), Move(1, 1, 5)):
        with undone(funded.db) as tx, pytest.raises(ValueError):
            ledger.post(tx, key="no", what="no", moves=[move], now=funded.clock.now())


def refused(deployment: Deployment, work: Callable[[Session], object], error: type) -> None:
    """`work` raises `error` and the transaction, which goes on and commits, has changed nothing."""

    def attempt(tx: Session) -> tuple[object, object]:
        before = state(tx)
        with pytest.raises(error):
            work(tx)
        return before, state(tx)

    before, after = deployment.db.transact(attempt)
    assert before == after


def test_it_rejects_paying_more_than_there_is(funded: Deployment) -> None:
    funded.db.transact(lambda tx: pay(tx, funded, "most", ALICE, 990))
    refused(funded, lambda tx: pay(tx, funded, "too much", ALICE, 11), Insufficient)
    funded.db.transact(lambda tx: pay(tx, funded, "the rest", ALICE, 10))
    refused(funded, lambda tx: pay(tx, funded, "nothing left", ALICE, 1), Insufficient)


@pytest.mark.parametrize("by_id", [False, True])
def test_nothing_stays_with_the_receiver_when_the_payer_cannot_pay(
    funded: Deployment, by_id: bool
) -> None:
    """The receiver's account is older than the payer's, and so is changed first."""

    def work(tx: Session) -> None:
        alice = ledger.account(tx, Kind.wallet, ALICE, "points")
        bob = ledger.account(tx, Kind.wallet, BOB, "points")
        assert alice < bob
        moves = [move(Kind.wallet, BOB, ALICE), Move(bob, alice, 5)][by_id]
        ledger.post(tx, key="x", what="x", moves=[moves], now=funded.clock.now())

    def move(kind: Kind, source: int, destination: int) -> Move:
        names = (AccountName(kind, owner, "points") for owner in (source, destination))
        return Move(*names, 5)

    funded.db.transact(lambda tx: pay(tx, funded, "one", ALICE, 20))
    funded.db.transact(lambda tx: ledger.account(tx, Kind.wallet, BOB, "points"))
    refused(funded, work, Insufficient)


def test_it_rejects_a_key_that_was_used(funded: Deployment) -> None:
    funded.db.transact(lambda tx: pay(tx, funded, "once", ALICE, 20))
    refused(funded, lambda tx: pay(tx, funded, "once", ALICE, 20), AlreadyPosted)
    refused(funded, lambda tx: pay(tx, funded, "once", BOB, 3), AlreadyPosted)


def test_the_last_points_go_to_one_of_many(funded: Deployment) -> None:
    def work(number: int) -> Callable[[], int]:
        return lambda: funded.db.transact(
            lambda tx: pay(tx, funded, f"pay|{number}", number % 3, 300)
        )

    outcomes = at_once([work(number) for number in range(8)])
    assert sum(isinstance(each, int) for each in outcomes) == 3
    assert sum(isinstance(each, Insufficient) for each in outcomes) == 5
    with funded.db.read() as tx:
        assert ledger.balances(tx, Kind.budget, CAMPAIGN) == {"points": 100}


def test_one_key_is_posted_once_also_at_the_same_moment(funded: Deployment) -> None:
    first, second = overtaken(
        funded.db,
        lambda tx: pay(tx, funded, "once", ALICE, 20),
        lambda: funded.db.transact(lambda tx: pay(tx, funded, "once", ALICE, 20)),
    )
    assert isinstance(first, int)
    assert isinstance(second, AlreadyPosted)
    with funded.db.read() as tx:
        assert ledger.balances(tx, Kind.wallet, ALICE) == {"points": 20}


def test_an_account_is_opened_once_also_at_the_same_moment(funded: Deployment) -> None:
    def open_account(tx: Session) -> int:
        return ledger.account(tx, Kind.wallet, ALICE, "points")

    first, second = overtaken(funded.db, open_account, lambda: funded.db.transact(open_account))
    assert isinstance(first, int)
    assert first == second


payments = st.lists(
    st.tuples(
        st.sampled_from([Kind.issue, Kind.budget, Kind.pending, Kind.wallet]),
        st.sampled_from([Kind.issue, Kind.budget, Kind.pending, Kind.wallet]),
        st.integers(1, 600),
        st.integers(0, 5),
    ),
    max_size=12,
)


@settings(max_examples=15, suppress_health_check=SLOW_BUT_FINE)
@given(payments)
def test_whatever_is_posted_it_adds_up_and_nothing_is_below_zero(
    funded: Deployment, payments: list[tuple[Kind, Kind, int, int]]
) -> None:
    with undone(funded.db) as tx:
        for source, destination, amount, key in payments:
            accounts = [
                AccountName(kind, 0 if kind is Kind.issue else CAMPAIGN, "points")
                for kind in (source, destination)
            ]
            if accounts[0] == accounts[1]:
                continue
            before = state(tx)
            try:
                moves = [Move(*accounts, amount)]
                ledger.post(tx, key=f"k{key}", what="any", moves=moves, now=funded.clock.now())
            except (Insufficient, AlreadyPosted):
                assert state(tx) == before
        assert verify(tx) == []
        balances, _, _ = state(tx)
        assert all(balance >= 0 for (kind, _), balance in balances.items() if kind != "issue")
        assert sum(balances.values()) == 0


# What the database itself refuses


def test_no_account_of_a_customer_or_campaign_goes_below_zero(deployment: Deployment) -> None:
    for kind in (Kind.budget, Kind.pending, Kind.wallet):
        with undone(deployment.db) as tx:
            account = insert_new_id(
                tx, Account, {"kind": kind, "owner": 9, "unit": "points", "slot": 0, "balance": 0}
            )
            below = sa.update(Account).where(Account.id == account).values(balance=-1)
            with pytest.raises(IntegrityError, match="balance_not_negative"):
                tx.execute(below)


def test_a_posting_of_nothing_is_refused(funded: Deployment) -> None:
    with undone(funded.db) as tx, pytest.raises(IntegrityError, match="amount_not_zero"):
        tx.execute(sa.insert(Posting).values(entry_id=1, account_id=1, amount=0))


def test_what_was_posted_is_neither_changed_nor_deleted(funded: Deployment) -> None:
    for table in ("ledger_entries", "postings"):
        for statement in (f"UPDATE {table} SET id = id + 100", f"DELETE FROM {table}"):
            with (
                undone(funded.db) as tx,
                pytest.raises(DBAPIError, match=f"{table} is append-only"),
            ):
                tx.execute(sa.text(statement))


# What `verify` finds


def without_guards(tx: Session) -> None:
    """Let this transaction do what nobody can: change what was posted."""
    if tx.get_bind().dialect.name == "postgresql":
        tx.execute(sa.text("ALTER TABLE postings DISABLE TRIGGER append_only"))
    else:
        for change in ("update", "delete"):
            tx.execute(sa.text(f"DROP TRIGGER postings_append_only_{change}"))


@pytest.fixture
def paid(funded: Deployment) -> tuple[Deployment, int]:
    """A ledger with an entry that pays Alice 20 points, and that entry's id."""
    return funded, funded.db.transact(lambda tx: pay(tx, funded, "one", ALICE, 20))


def test_it_finds_nothing_wrong_with_an_empty_ledger(deployment: Deployment) -> None:
    with deployment.db.read() as tx:
        assert verify(tx) == []


def test_it_names_an_entry_that_was_changed(paid: tuple[Deployment, int]) -> None:
    deployment, entry = paid
    with undone(deployment.db) as tx:
        wallet = ledger.account(tx, Kind.wallet, ALICE, "points")
        without_guards(tx)
        tx.execute(sa.update(Posting).where(Posting.account_id == wallet).values(amount=25))
        assert verify(tx) == [
            f"entry {entry} is out by 5 points",
            f"account {wallet} says 20, its postings 25",
        ]


def test_it_names_an_entry_that_lost_its_postings(paid: tuple[Deployment, int]) -> None:
    deployment, entry = paid
    with undone(deployment.db) as tx:
        without_guards(tx)
        tx.execute(sa.delete(Posting).where(Posting.entry_id == entry))
        findings = verify(tx)
    assert findings[0] == f"entry {entry} has no postings"
    assert len(findings) == 3, "and both accounts have drifted"


def test_it_names_a_balance_that_drifted(paid: tuple[Deployment, int]) -> None:
    deployment, _ = paid
    with undone(deployment.db) as tx:
        wallet = ledger.account(tx, Kind.wallet, ALICE, "points")
        tx.execute(sa.update(Account).where(Account.id == wallet).values(balance=21))
        assert verify(tx) == [f"account {wallet} says 21, its postings 20"]


def test_it_names_an_entry_that_mixes_units(paid: tuple[Deployment, int]) -> None:
    deployment, _ = paid
    with undone(deployment.db) as tx:
        budget = ledger.budget(tx, CAMPAIGN, "points")
        money = ledger.account(tx, Kind.wallet, ALICE, "CNY")
        entry = ledger.post(
            tx, key="mixed", what="x", moves=[Move(budget, money, 5)], now=deployment.clock.now()
        )
        assert sorted(verify(tx)) == [
            f"entry {entry} is out by -5 points",
            f"entry {entry} is out by 5 CNY",
        ]


# What PostgreSQL refuses by itself, when a transaction is about to be committed


@pytest.fixture
def checked(paid: tuple[Deployment, int]) -> tuple[Deployment, int]:
    """Like `paid`, on the database that checks sums itself; `verify` does it for the other."""
    if paid[0].db.is_sqlite:
        pytest.skip("SQLite has no checks at the end of a transaction")
    return paid


def test_an_entry_that_does_not_sum_to_zero_cannot_be_committed(
    checked: tuple[Deployment, int],
) -> None:
    deployment, entry = checked

    def add_to(tx: Session) -> None:
        wallet = ledger.account(tx, Kind.wallet, ALICE, "points")
        tx.execute(sa.insert(Posting).values(entry_id=entry, account_id=wallet, amount=5))

    with pytest.raises(DBAPIError, match=f"ledger entry {entry} is out by 5 points"):
        deployment.db.transact(add_to)


def test_an_entry_that_mixes_units_cannot_be_committed(checked: tuple[Deployment, int]) -> None:
    deployment, _ = checked
    now = deployment.clock.now()

    def mix(tx: Session) -> None:
        money = AccountName(Kind.wallet, ALICE, "CNY")
        moves = [Move(ledger.budget(tx, CAMPAIGN, "points"), money, 5)]
        ledger.post(tx, key="mixed", what="x", moves=moves, now=now)

    with pytest.raises(DBAPIError, match=r"is out by -?5 (points|CNY)"):
        deployment.db.transact(mix)


def test_an_entry_without_postings_cannot_be_committed(checked: tuple[Deployment, int]) -> None:
    deployment, _ = checked
    empty = {"key": "empty", "what": "x", "at": deployment.clock.now()}
    with pytest.raises(DBAPIError, match=r"ledger entry \d+ has no postings"):
        deployment.db.transact(lambda tx: insert_new_id(tx, LedgerEntry, empty))


def test_what_was_posted_is_not_truncated(checked: tuple[Deployment, int]) -> None:
    deployment, _ = checked
    for table in ("ledger_entries", "postings", "accounts", "ledger_blocks", "ledger_seals"):
        truncate = sa.text(f"TRUNCATE {table} CASCADE")
        with (
            undone(deployment.db) as tx,
            pytest.raises(DBAPIError, match="append-only"),
        ):
            tx.execute(truncate)


def test_an_account_stays_what_it_is(paid: tuple[Deployment, int]) -> None:
    deployment, _ = paid
    for changed in ({"owner": 99}, {"unit": "CNY"}, {"kind": "pending"}):
        other = sa.update(Account).where(Account.kind == Kind.wallet).values(**changed)
        with undone(deployment.db) as tx, pytest.raises(DBAPIError, match="stays what it is"):
            tx.execute(other)
