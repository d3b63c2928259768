"""What the tests of merging share: people, a merge, and all that must hold after each."""

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral import actions, ledger, people
from referral.actions.reversing import reverse
from referral.claims import Claim
from referral.db import Base
from referral.deployment import Deployment
from referral.graph import Referral
from referral.ledger import Account, Kind
from referral.people import Customer, Merge
from referral.rewards import Reason, Reward, RewardState, wallets
from referral.spread import counters, forests
from referral.spread.forests import Now
from tests.cast import Brand, Person, cast_of

BY, WHY = "owner@example.com", "called us from both numbers"


@pytest.fixture
def cast(brand: Brand) -> tuple[Person, Person, Person]:
    """Alice, Bob and Charlie, who have signed in in this order."""
    people = cast_of(brand)
    for person in people:
        person.sign_in()
        brand.deployment.clock.advance(minutes=1)  # type: ignore[attr-defined]
    return people


def merge(brand: Brand, one: Person | int, other: Person | int, **options: Any) -> actions.Merged:
    numbers = [each if isinstance(each, int) else each.customer for each in (one, other)]
    return actions.merge_customers(brand.deployment, *numbers, by=BY, reason=WHY, **options)


def bring_in(friend: Person, sharer: Person, index: int) -> None:
    friend.open(sharer.link())
    friend.claim(index)


def tree(tx: Session) -> dict[int, int | None]:
    return dict(tx.execute(sa.select(Referral.customer_id, Referral.referrer_id)).all())


def faults(tx: Session) -> list[str]:
    """All that must hold of people, the tree and the ledger, whatever happened before."""
    return [*_of_people(tx), *_of_tree(tx), *_of_wallets(tx), *ledger.verify(tx)]


def _of_people(tx: Session) -> Iterator[str]:
    merged = dict(
        tx.execute(
            sa.select(Customer.id, Customer.merged_into).where(Customer.merged_into.is_not(None))
        ).all()
    )
    yield from (f"{gone} is in a chain" for gone, kept in merged.items() if kept in merged)
    kept_down = set(tx.scalars(sa.select(Merge.gone_id)))
    yield from (f"{gone} is gone without a word" for gone in merged.keys() ^ kept_down)
    for table, column in followed():
        left = sa.select(sa.func.count()).where(table.c[column].in_(list(merged)))
        if tx.scalar(left):
            yield f"{table.name}.{column} still names somebody who is gone"


def _of_tree(tx: Session) -> Iterator[str]:
    places = tree(tx)
    try:
        forests.count({child: Now(parent) for child, parent in places.items()})
    except ValueError:
        yield f"the tree has a circle: {places}"
        return
    yield from counters.differences(tx)
    bought = set(tx.scalars(sa.select(Claim.customer_id)))
    yield from (f"{each} has bought and has no place" for each in bought - places.keys())


def _of_wallets(tx: Session) -> Iterator[str]:
    held: dict[tuple[str, int, str], int] = {}
    kinds = {RewardState.pending: Kind.pending, RewardState.available: Kind.wallet}
    for reward in tx.scalars(sa.select(Reward).execution_options(populate_existing=True)):
        if reward.left:
            key = (kinds[RewardState(reward.state)].value, reward.holder_id, reward.unit)
            held[key] = held.get(key, 0) + reward.left
    balances = {
        (row.kind, row.owner, row.unit): row.balance
        for row in tx.execute(sa.select(Account.kind, Account.owner, Account.unit, Account.balance))
        if row.balance
    }
    for key in held.keys() | {key for key in balances if key[0] in ("pending", "wallet")}:
        if held.get(key, 0) != balances.get(key, 0):
            yield f"{key}: rewards say {held.get(key, 0)}, the ledger {balances.get(key, 0)}"
    for kind, owner, unit in balances:
        if kind == "owed" and balances.get(("wallet", owner, unit)):
            yield f"{owner} owes {unit} and could pay"
    own = sa.select(Reward.event, Reward.holder_id).where(
        Reward.depth > 0, Reward.state != RewardState.reversed
    )
    buyers = {claim.event: claim.customer_id for claim in tx.scalars(sa.select(Claim))}
    for event, holder in tx.execute(own):
        if buyers.get(event) == holder:
            yield f"{holder} is paid for bringing in herself with {event}"


def followed() -> list[tuple[sa.Table, str]]:
    """Every column that names a customer, but for those that keep what was."""
    history = {
        ("rewards", "beneficiary_id"),
        ("withheld_rewards", "beneficiary_id"),
        ("merges", "gone_id"),
        ("merges", "kept_id"),
    }
    return [
        (table, column.name)
        for table in Base.metadata.sorted_tables
        for column in table.columns
        for key in column.foreign_keys
        if key.target_fullname == "customers.id" and (table.name, column.name) not in history
    ]


@pytest.fixture(autouse=True)
def _adds_up(deployment: Deployment) -> Iterator[None]:
    yield
    with deployment.db.read() as tx:
        assert not faults(tx)


def place_of(brand: Brand, person: Person) -> tuple[int | None, str]:
    with brand.deployment.db.read() as tx:
        place = tx.get_one(Referral, person.customer)
        return place.referrer_id, place.event


def spend(brand: Brand, person: Person, amount: int, key: str) -> int:
    def work(tx: Session) -> int:
        who = people.lock_customer(tx, person.customer)
        to = ledger.account(tx, Kind.redeemed, 0, "points")
        now = brand.deployment.clock.now()
        return wallets.spend(tx, who, "points", amount, to=to, key=key, what="spent", now=now)

    return brand.deployment.db.transact(work)


def take_back(brand: Brand, event: str, share: Fraction = Fraction(1)) -> None:
    now = brand.deployment.clock.now()
    brand.deployment.db.transact(
        lambda tx: reverse(tx, event, share, Reason.refunded, key=f"back|{event}|{share}", now=now)
    )


def owed(brand: Brand, person: Person) -> int:
    with brand.deployment.db.read() as tx:
        return wallets.debt_of(tx, person.customer, "points")
