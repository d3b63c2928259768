"""Seals: what is sealed cannot be changed without its showing, whichever way round the guards."""

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from threading import Event, Thread

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from referral import actions, ledger
from referral.clock import HeldClock
from referral.db import Base, Database
from referral.db.settled import writers
from referral.deployment import Deployment
from referral.ledger import AccountName, Kind, LedgerEntry, Move, Posting, seals
from referral.ledger.seals import BEGINNING, KeptHead, LedgerBlock, LedgerSeal
from tests.races import at_once

CAMPAIGN, ALICE, BOB = 7, 1, 2
GUARDED = ("ledger_entries", "postings", "ledger_blocks", "ledger_seals")


def pay(tx: Session, deployment: Deployment, key: str, amount: int = 20) -> int:
    wallet = AccountName(Kind.wallet, ALICE if amount % 2 else BOB, "points")
    moves = [Move(ledger.budget(tx, CAMPAIGN, "points"), wallet, amount)]
    return ledger.post(tx, key=key, what="pay", moves=moves, now=deployment.clock.now())


def pay_many(deployment: Deployment, *keys: str) -> list[int]:
    return [
        deployment.db.transact(lambda tx, key=key, n=n: pay(tx, deployment, key, 20 + n))
        for n, key in enumerate(keys)
    ]


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seals, "BLOCK_ENTRIES", 3)


@pytest.fixture
def sealed(deployment: Deployment) -> Deployment:
    """Eight entries, of which 1 to 7 are sealed in three blocks of three, three and one."""
    now = deployment.clock.now()
    deployment.db.transact(
        lambda tx: ledger.fund(tx, CAMPAIGN, "points", 900, key="budget|7", now=now)
    )
    pay_many(deployment, *"abcdef")
    assert actions.seal(deployment) == actions.Sealed(7, 3, complete=True)
    pay_many(deployment, "later")
    return deployment


@contextmanager
def undone(db: Database) -> Iterator[Session]:
    with Session(db.engine) as tx:
        yield tx
        tx.rollback()


@contextmanager
def around_the_guards(deployment: Deployment, *, keep: bool = False) -> Iterator[Session]:
    """A transaction in which nothing is refused; undone in the end, unless it is to be kept."""
    db = deployment.db
    with db.engine.connect() as connection:
        if db.is_sqlite:
            connection.exec_driver_sql("ROLLBACK")  # keys can be let go outside a transaction only
            connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            for table in GUARDED:
                for change in ("update", "delete"):
                    connection.exec_driver_sql(f"DROP TRIGGER {table}_append_only_{change}")
            connection.exec_driver_sql("DROP TRIGGER accounts_fixed")
        else:
            connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
        with Session(connection) as tx:
            yield tx
            tx.flush()
            if keep:
                connection.commit()
            connection.rollback()
        if db.is_sqlite:
            connection.exec_driver_sql("ROLLBACK")
            connection.exec_driver_sql("PRAGMA foreign_keys = ON")
            connection.exec_driver_sql("BEGIN")


def words(tx: Session, *kept: KeptHead) -> list[str]:
    return [fault.words for fault in seals.faults(tx, kept)]


def kept(deployment: Deployment) -> KeptHead:
    with deployment.db.read() as tx:
        return KeptHead.model_validate(seals.as_document(seals.head(tx)))


def postings_of(tx: Session, entry_id: int) -> list[int]:
    of = sa.select(Posting.id).where(Posting.entry_id == entry_id)
    return list(tx.scalars(of.order_by(Posting.id)))


def to_wallet(tx: Session, entry_id: int) -> int:
    """The posting of a payment that arrives."""
    of = sa.select(Posting.id).where(Posting.entry_id == entry_id, Posting.amount > 0)
    return tx.execute(of).scalar_one()


# Sealing


def test_an_empty_ledger_has_an_empty_chain(deployment: Deployment) -> None:
    assert actions.seal(deployment) == actions.Sealed(0, 0, complete=True)
    with deployment.db.read() as tx:
        assert seals.head(tx) == seals.Head(0, BEGINNING.hex(), None, 0, 0, 0)
        assert words(tx, kept(deployment)) == []
        assert seals.oldest_unsealed(tx) is None


def test_what_was_posted_is_sealed_once_in_blocks(sealed: Deployment, clock: HeldClock) -> None:
    with sealed.db.read() as tx:
        blocks = tx.execute(
            sa.select(LedgerBlock.number, LedgerBlock.entries, LedgerBlock.last_entry)
        ).all()
        first = seals.head(tx)
        assert words(tx) == []
    assert blocks == [(1, 3, 3), (2, 3, 6), (3, 1, 7)]
    assert (first.block, first.entries, first.postings, first.last_entry) == (3, 7, 14, 7)
    assert first.at == clock.now()
    assert actions.seal(sealed) == actions.Sealed(1, 1, complete=True)
    assert actions.seal(sealed) == actions.Sealed(0, 0, complete=True), "again is no harm"
    with sealed.db.read() as tx:
        assert seals.head(tx).block == 4
        assert seals.head(tx).hash != first.hash
        assert words(tx) == []


def test_the_hashes_are_those_that_are_described(deployment: Deployment) -> None:
    """Worked out by hand, as docs/adr/0015 says, for whoever checks a chain with other means."""
    import hashlib

    at = deployment.clock.now()
    entry = deployment.db.transact(
        lambda tx: ledger.fund(tx, CAMPAIGN, "points", 500, key="b|7", now=at)
    )
    assert entry is None
    actions.seal(deployment)
    micro = int(at.timestamp()) * 1_000_000

    def sha(text: str) -> bytes:
        return hashlib.sha256(text.encode()).digest()

    with deployment.db.read() as tx:
        (number,) = tx.scalars(sa.select(LedgerEntry.id))
        rows = tx.execute(
            sa.select(Posting.id, Posting.account_id, Posting.amount).order_by(Posting.id)
        ).all()
        found = seals.head(tx).hash
    parts = sha(f'["entry",{number},"b|7","budget",{micro}]')
    for (posting, account, amount), (kind, owner) in zip(
        rows, [("issue", 0), ("budget", 7)], strict=True
    ):
        row = f'["posting",{posting},{number},{account},"{kind}",{owner},"points",{amount}]'
        parts += posting.to_bytes(8) + sha(row)
    of_entry = hashlib.sha256(bytes(32) + parts).digest()
    block = sha(f'["block",1,1,2,{number},{micro}]')
    assert found == hashlib.sha256(of_entry + block).hexdigest()


def test_an_entry_on_its_way_is_waited_for_and_nobody_else_waits(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its id is lower than that of one who is done already."""
    if deployment.db.is_sqlite:
        pytest.skip("SQLite has one writer: ids come in order")
    now = deployment.clock.now()
    deployment.db.transact(
        lambda tx: ledger.fund(tx, CAMPAIGN, "points", 90_000, key="budget|7", now=now)
    )
    posted, go_on = Event(), Event()

    def slow(tx: Session) -> int:
        entry = pay(tx, deployment, "slow", 21)
        posted.set()
        assert go_on.wait(20)
        return entry

    slow_one = Thread(target=lambda: deployment.db.transact(slow))
    slow_one.start()
    assert posted.wait(20)
    fast = deployment.db.transact(lambda tx: pay(tx, deployment, "fast", 22))
    assert actions.seal(deployment, wait=0.1) == actions.Sealed(0, 0, complete=False)

    has_looked = Event()

    def look(tx: Session, model: type[Base]) -> set[str]:
        found = writers(tx, model)
        has_looked.set()
        return found

    monkeypatch.setattr("referral.db.settled.writers", look)
    results: list[actions.Sealed] = []
    sealer = Thread(target=lambda: results.append(actions.seal(deployment)))
    sealer.start()
    assert has_looked.wait(20)
    later = deployment.db.transact(lambda tx: pay(tx, deployment, "meanwhile", 24))
    assert sealer.is_alive(), "it waits for the slow one"
    go_on.set()
    slow_one.join()
    sealer.join()
    with deployment.db.read() as tx:
        assert set(tx.scalars(sa.select(LedgerSeal.entry_id))) == set(range(1, fast + 1))
        assert fast == later - 1
    actions.seal(deployment)
    with deployment.db.read() as tx:
        assert words(tx) == []
        assert seals.head(tx).entries == 4


def test_two_that_seal_at_once_make_one_chain(sealed: Deployment) -> None:
    pay_many(sealed, *"ghijklmnop")
    outcomes = at_once([lambda: actions.seal(sealed)] * 3)
    assert sum(each.entries for each in outcomes if isinstance(each, actions.Sealed)) == 11
    with sealed.db.read() as tx:
        assert seals.head(tx).entries == 18
        assert words(tx) == []


def test_sealing_goes_on_while_many_post(deployment: Deployment) -> None:
    """None is left out, whoever was faster."""
    now = deployment.clock.now()
    deployment.db.transact(
        lambda tx: ledger.fund(tx, CAMPAIGN, "points", 90_000, key="budget|7", now=now)
    )

    def post(n: int) -> Callable[[], object]:
        return lambda: pay_many(deployment, *(f"{n}|{m}" for m in range(10)))

    def seal() -> object:
        return [actions.seal(deployment) for _ in range(8)]

    outcomes = at_once([*(post(n) for n in range(6)), seal])
    assert not [each for each in outcomes if isinstance(each, Exception)]
    actions.seal(deployment)
    with deployment.db.read() as tx:
        assert words(tx) == []
        assert seals.head(tx).entries == 61


def test_an_entry_that_waits_for_its_seal_is_known(sealed: Deployment, clock: HeldClock) -> None:
    with sealed.db.read() as tx:
        assert seals.oldest_unsealed(tx) == clock.now()
    actions.seal(sealed)
    with sealed.db.read() as tx:
        assert seals.oldest_unsealed(tx) is None


def test_seals_are_neither_changed_nor_deleted(sealed: Deployment) -> None:
    for table in ("ledger_blocks", "ledger_seals"):
        for statement in (f"UPDATE {table} SET hash = hash", f"DELETE FROM {table}"):
            with (
                undone(sealed.db) as tx,
                pytest.raises(DBAPIError, match=f"{table} is append-only"),
            ):
                tx.execute(sa.text(statement))


# What it finds, in who went round the guards

Tampering = Callable[[Session], list[str]]


def amount(tx: Session) -> list[str]:
    posting = to_wallet(tx, 5)
    tx.execute(sa.update(Posting).where(Posting.id == posting).values(amount=2_000))
    row = tx.execute(sa.select(Posting).where(Posting.id == posting)).scalar_one()
    kind, owner = tx.execute(
        sa.select(ledger.Account.kind, ledger.Account.owner).where(
            ledger.Account.id == row.account_id
        )
    ).one()
    where = f"account {row.account_id} ({kind} of {owner})"
    return [f"posting {posting} of entry 5 was changed: now it is +2000 points on {where}"]


def amounts_that_still_sum_to_zero(tx: Session) -> list[str]:
    tx.execute(sa.update(Posting).where(Posting.entry_id == 4).values(amount=Posting.amount * 10))
    first, second = postings_of(tx, 4)
    return [f"posting {first} of entry 4 was changed", f"posting {second} of entry 4 was changed"]


def time(tx: Session) -> list[str]:
    later = LedgerEntry.__table__.c.at
    entry = tx.get_one(LedgerEntry, 2)
    tx.execute(
        sa.update(LedgerEntry)
        .where(LedgerEntry.id == 2)
        .values({later: entry.at - timedelta(microseconds=1)})
    )
    return ["entry 2 was changed"]


def cause(tx: Session) -> list[str]:
    tx.execute(sa.update(LedgerEntry).where(LedgerEntry.id == 6).values(key="another"))
    return ["entry 6 was changed"]


def deleted_posting(tx: Session) -> list[str]:
    (posting, _) = postings_of(tx, 3)
    tx.execute(sa.delete(Posting).where(Posting.id == posting))
    return [f"posting {posting} of entry 3 is gone"]


def added_posting(tx: Session) -> list[str]:
    tx.execute(sa.insert(Posting).values(id=500, entry_id=3, account_id=1, amount=1))
    return ["posting 500 was added to entry 3 behind the seal"]


def swapped(tx: Session) -> list[str]:
    """Two customers' wallets, each of which gets what the other one got."""
    ones, others = to_wallet(tx, 2), to_wallet(tx, 3)
    accounts = dict(
        tx.execute(
            sa.select(Posting.id, Posting.account_id).where(Posting.id.in_([ones, others]))
        ).all()
    )
    for one, other in ((ones, others), (others, ones)):
        tx.execute(sa.update(Posting).where(Posting.id == one).values(account_id=accounts[other]))
    return [f"posting {ones} of entry 2 was changed", f"posting {others} of entry 3 was changed"]


def deleted_entry(tx: Session) -> list[str]:
    tx.execute(sa.delete(Posting).where(Posting.entry_id == 5))
    tx.execute(sa.delete(LedgerEntry).where(LedgerEntry.id == 5))
    return ["entry 5 is gone"]


def entry_that_moved(tx: Session) -> list[str]:
    tx.execute(sa.update(Posting).where(Posting.entry_id == 5).values(entry_id=50))
    tx.execute(sa.update(LedgerEntry).where(LedgerEntry.id == 5).values(id=50))
    return ["entry 5 is gone"]


def inserted_entry(tx: Session) -> list[str]:
    """Into the past: in the place of one that was rolled back, say."""
    at = tx.get_one(LedgerEntry, 2).at
    tx.execute(sa.insert(LedgerEntry).values(id=-4, key="old", what="pay", at=at))
    for account_id, more in ((1, -5), (2, 5)):
        posting = {"entry_id": -4, "account_id": account_id, "amount": more}
        tx.execute(sa.insert(Posting).values(id=600 + more, **posting))
    return ["entry -4 was added behind the seal"]


def deleted_block(tx: Session) -> list[str]:
    tx.execute(sa.delete(LedgerBlock).where(LedgerBlock.number == 2))
    return ["block 2 is gone"]


def deleted_block_with_all_it_sealed(tx: Session) -> list[str]:
    gone = list(tx.scalars(sa.select(LedgerSeal.entry_id).where(LedgerSeal.block == 2)))
    tx.execute(sa.delete(LedgerSeal).where(LedgerSeal.block == 2))
    tx.execute(sa.delete(LedgerBlock).where(LedgerBlock.number == 2))
    tx.execute(sa.delete(Posting).where(Posting.entry_id.in_(gone)))
    tx.execute(sa.delete(LedgerEntry).where(LedgerEntry.id.in_(gone)))
    return ["block 2 is gone"]


def deleted_seal(tx: Session) -> list[str]:
    tx.execute(sa.delete(LedgerSeal).where(LedgerSeal.entry_id == 5))
    return ["entry 5 was added behind the seal", "the seal of entry 6 was changed"]


def changed_seal(tx: Session) -> list[str]:
    tx.execute(sa.update(LedgerSeal).where(LedgerSeal.entry_id == 5).values(hash=bytes(32)))
    return ["the seal of entry 5 was changed", "the seal of entry 6 was changed"]


def changed_block(tx: Session) -> list[str]:
    tx.execute(sa.update(LedgerBlock).where(LedgerBlock.number == 2).values(postings=5))
    return ["block 2 was changed"]


def another_account(tx: Session) -> list[str]:
    """The money is where it was, but it is somebody else's."""
    bob = ledger.account(tx, Kind.wallet, BOB, "points")
    tx.execute(sa.update(ledger.Account).where(ledger.Account.id == bob).values(owner=99))
    return [f"posting {to_wallet(tx, entry)} of entry {entry} was changed" for entry in (2, 4, 6)]


@pytest.mark.parametrize(
    "tamper",
    [
        amount,
        amounts_that_still_sum_to_zero,
        time,
        cause,
        deleted_posting,
        added_posting,
        swapped,
        deleted_entry,
        entry_that_moved,
        inserted_entry,
        deleted_block,
        deleted_block_with_all_it_sealed,
        deleted_seal,
        changed_seal,
        changed_block,
        another_account,
    ],
)
def test_it_names_what_is_broken_first(sealed: Deployment, tamper: Tampering) -> None:
    with around_the_guards(sealed) as tx:
        expected = tamper(tx)
        found = words(tx)
        for says, begins in zip(found, expected, strict=False):
            assert says.startswith(begins)
        assert len(found) >= len(expected)
    with sealed.db.read() as tx:
        assert words(tx) == [], "it was undone"


def test_it_says_where_the_first_broken_posting_is(sealed: Deployment) -> None:
    with around_the_guards(sealed) as tx:
        amount(tx)
        (fault,) = seals.faults(tx)
        assert (fault.block, fault.entry, fault.posting) == (2, 5, to_wallet(tx, 5))


def forge(tx: Session) -> None:
    """Change a posting and make the whole chain anew, as if it had always been so."""
    amounts_that_still_sum_to_zero(tx)
    times = dict(tx.execute(sa.select(LedgerBlock.number, LedgerBlock.at)).all())
    tx.execute(sa.delete(LedgerSeal))
    tx.execute(sa.delete(LedgerBlock))
    for number in sorted(times):
        seals.seal_next(tx, 7, times[number])


def test_a_chain_that_was_made_anew_shows_against_a_kept_head(sealed: Deployment) -> None:
    head = kept(sealed)
    with around_the_guards(sealed) as tx:
        forge(tx)
        assert words(tx) == [], "it is right in itself"
        assert words(tx, head) == ["block 3 is not the one of the exported head"]


def test_a_chain_that_was_cut_off_shows_against_a_kept_head(sealed: Deployment) -> None:
    head = kept(sealed)
    with around_the_guards(sealed) as tx:
        tx.execute(sa.delete(LedgerSeal).where(LedgerSeal.block == 3))
        tx.execute(sa.delete(LedgerBlock).where(LedgerBlock.number == 3))
        assert words(tx) == []
        assert words(tx, head) == ["block 3 of the exported head is gone: the chain ends at 2"]


def test_older_heads_still_fit_a_longer_chain(sealed: Deployment) -> None:
    head = kept(sealed)
    actions.seal(sealed)
    with sealed.db.read() as tx:
        assert words(tx, head, kept(sealed)) == []
        other = head.model_copy(update={"entries": 8})
        assert words(tx, other) == ["block 3 is not the one of the exported head"]


def test_it_goes_on_after_what_is_broken(sealed: Deployment) -> None:
    """Two faults in two blocks are two findings, not everything that follows the first."""
    with around_the_guards(sealed) as tx:
        tx.execute(sa.update(LedgerEntry).where(LedgerEntry.id.in_([2, 6])).values(what="x"))
        assert words(tx) == ["entry 2 was changed", "entry 6 was changed"]


def test_a_head_is_told_with_every_figure(sealed: Deployment) -> None:
    with sealed.db.read() as tx:
        head = seals.head(tx)
    assert seals.as_document(head) == dataclasses.asdict(head)
    assert len(head.hash) == 64
