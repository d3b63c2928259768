"""Granting: each reward once, held, released, expired and taken back, with the ledger behind it."""

from datetime import timedelta
from fractions import Fraction

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from referral import actions, ledger, people, rewards
from referral.actions.reversing import reverse
from referral.clock import HeldClock
from referral.deployment import Deployment
from referral.rewards import (
    Grant,
    Reason,
    Reward,
    RewardState,
    Rule,
    Terms,
    What,
    granting,
    wallets,
)
from referral.risk.records import VerdictRow
from tests.cast import BUDGET, Brand, Person, cast_of, open_brand
from tests.races import at_once, overtaken

# Granting


@pytest.fixture
def brand(deployment: Deployment) -> Brand:
    return open_brand(deployment, hold_days=7)


RULE = Rule.model_validate({"when": "claim", "for": "person", "amount": 10})


def verdict(event: str, customer: int, brand: Brand) -> VerdictRow:
    """The verdict without which nothing is granted."""
    return VerdictRow(
        event=event,
        customer_id=customer,
        campaign_id=brand.campaign.id,
        at=brand.deployment.clock.now(),
        score=0,
        decision="pay",
        findings=[],
        facts={},
        is_paid_referral=False,
    )


def grant(
    tx: Session, brand: Brand, customer: int, *, event: str = "claim:1", days: int = 0
) -> Reward | None:
    terms = Terms(
        event=event,
        campaign_id=brand.campaign.id,
        currency="CNY",
        hold=timedelta(days=days),
        lasts=None,
        is_cleared=True,
    )
    if not tx.scalar(sa.select(sa.exists().where(VerdictRow.event == event))):
        tx.add(verdict(event, customer, brand))
        tx.flush()
    proposed = [Grant(RULE, customer, 0, What.points, None, 10)]
    granted, refused = rewards.grant(tx, proposed, terms, brand.deployment.clock.now())
    assert len(granted) + len(refused) == 1
    return granted[0] if granted else None


def test_a_reward_is_a_row_with_an_entry_behind_it(brand: Brand) -> None:
    db, now = brand.deployment.db, brand.deployment.clock.now()
    alice, _, _ = cast_of(brand)
    customer = alice.sign_in()
    db.transact(lambda tx: grant(tx, brand, customer))
    with db.read() as tx:
        reward = tx.scalars(sa.select(Reward)).one()
        entry = tx.get_one(ledger.LedgerEntry, reward.entry_id)
    assert entry.key == f"rewards|claim:1|claim:person:points|{customer}"
    assert (reward.amount, reward.unit, reward.depth) == (10, "points", 0)
    assert (reward.state, reward.granted_at, reward.available_at) == ("available", now, now)
    assert alice.points() == 10
    assert brand.budget_left() == BUDGET - 10


def test_a_rule_cannot_pay_twice_for_one_event(brand: Brand) -> None:
    db = brand.deployment.db
    customer = cast_of(brand)[0].sign_in()
    db.transact(lambda tx: grant(tx, brand, customer))
    with pytest.raises(ledger.AlreadyPosted):
        db.transact(lambda tx: grant(tx, brand, customer))
    with db.read() as tx:
        paid = tx.scalars(sa.select(Reward)).one()
        copy = {c.name: getattr(paid, c.name) for c in Reward.__table__.c if c.name != "id"}
    with pytest.raises(IntegrityError):
        db.transact(lambda tx: tx.execute(sa.insert(Reward).values(**copy)))


def test_it_grants_nothing_that_the_budget_cannot_pay(deployment: Deployment) -> None:
    brand = open_brand(deployment, budget=15)
    customer = cast_of(brand)[0].sign_in()
    granted = [
        deployment.db.transact(lambda tx, n=n: grant(tx, brand, customer, event=f"claim:{n}"))
        for n in range(2)
    ]
    assert [each and each.amount for each in granted] == [10, None]
    assert brand.budget_left() == 5
    with deployment.db.read() as tx:
        assert len(rewards.of_event(tx, "claim:0")) == 1
        assert rewards.of_event(tx, "claim:1") == []


def test_the_database_refuses_to_pay_at_any_other_depth(brand: Brand) -> None:
    db = brand.deployment.db
    customer = cast_of(brand)[0].sign_in()
    db.transact(lambda tx: grant(tx, brand, customer))
    for depth in (-1, 3, 4):
        deeper = sa.update(Reward).values(depth=depth)
        with pytest.raises(IntegrityError, match="paid_depth"):
            db.transact(lambda tx, deeper=deeper: tx.execute(deeper))
    nothing = sa.update(Reward).values(amount=0, left=0)
    with pytest.raises(IntegrityError, match="amount_positive"):
        db.transact(lambda tx: tx.execute(nothing))


# Holding and releasing


def test_a_reward_is_pending_until_its_hold_is_over(brand: Brand, clock: HeldClock) -> None:
    alice, _, _ = cast_of(brand)
    alice.claim(0)
    assert (alice.points(), alice.pending()) == (0, 20)

    clock.advance(days=7, seconds=-1)
    assert actions.release_rewards(brand.deployment) == 0
    assert (alice.points(), alice.pending()) == (0, 20)

    clock.advance(seconds=1)
    assert actions.release_rewards(brand.deployment) == 1
    assert (alice.points(), alice.pending()) == (20, 0)
    with brand.deployment.db.read() as tx:
        assert tx.scalars(sa.select(Reward)).one().state == RewardState.available


def test_releasing_twice_is_releasing_once(brand: Brand, clock: HeldClock) -> None:
    alice, _, _ = cast_of(brand)
    alice.claim(0)
    clock.advance(days=8)
    assert actions.release_rewards(brand.deployment) == 1
    assert actions.release_rewards(brand.deployment) == 0
    assert (alice.points(), alice.pending()) == (20, 0)


def test_two_that_release_at_the_same_moment_release_once(brand: Brand, clock: HeldClock) -> None:
    alice, _, _ = cast_of(brand)
    for index in range(3):
        alice.claim(index)
    clock.advance(days=8)
    now = clock.now()
    released = overtaken(
        brand.deployment.db,
        lambda tx: rewards.release_due(tx, now),
        lambda: actions.release_rewards(brand.deployment),
    )
    assert released == (3, 0)
    assert (alice.points(), alice.pending()) == (60, 0)


def test_many_are_released_in_several_transactions(
    brand: Brand, clock: HeldClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(granting, "RELEASE_BATCH", 2)
    alice, bob, _ = cast_of(brand)
    for index in range(5):
        (alice if index % 2 else bob).claim(index)
    clock.advance(days=8)
    released = at_once([lambda: actions.release_rewards(brand.deployment)] * 3)
    assert sum(each for each in released if isinstance(each, int)) == 5
    assert (alice.points(), bob.points()) == (40, 60)


# Expiring


def test_what_nobody_spent_in_time_expires(deployment: Deployment, clock: HeldClock) -> None:
    brand = open_brand(deployment, hold_days=7, lasts_days=30)
    alice, _, _ = cast_of(brand)
    alice.claim(0)
    clock.advance(days=7)
    actions.release_rewards(deployment)
    clock.advance(days=30, seconds=-1)
    assert actions.expire_rewards(deployment) == 0
    clock.advance(seconds=1)
    assert actions.expire_rewards(deployment) == 1
    assert actions.expire_rewards(deployment) == 0
    assert (alice.points(), alice.pending()) == (0, 0)
    [reward] = rewards_of(deployment, "claim:1")
    assert (reward.state, reward.left, reward.lapsed) == ("expired", 0, 20)
    with deployment.db.read() as tx:
        expired = ledger.balances(tx, ledger.Kind.expired, brand.campaign.id)
    assert expired == {"points": 20}


def test_pending_rewards_do_not_expire(deployment: Deployment, clock: HeldClock) -> None:
    brand = open_brand(deployment, hold_days=7, lasts_days=1)
    alice, _, _ = cast_of(brand)
    alice.claim(0)
    clock.advance(days=60)
    assert actions.expire_rewards(deployment) == 0
    assert alice.pending() == 20


# What is not cleared


def test_what_is_not_cleared_is_not_released(brand: Brand, clock: HeldClock) -> None:
    db = brand.deployment.db
    alice, _, _ = cast_of(brand)
    alice.claim(0)
    db.transact(lambda tx: tx.execute(sa.update(Reward).values(is_cleared=False)))
    clock.advance(days=60)
    assert actions.release_rewards(brand.deployment) == 0
    assert (alice.points(), alice.pending()) == (0, 20)
    with pytest.raises(IntegrityError, match="cleared_before_paid"):
        db.transact(lambda tx: tx.execute(sa.update(Reward).values(state="available")))


# Taking back


def rewards_of(deployment: Deployment, event: str) -> list[Reward]:
    with deployment.db.read() as tx:
        return rewards.of_event(tx, event)


def take_back(brand: Brand, event: str, share: Fraction, key: str = "refund|1") -> list[Reward]:
    now = brand.deployment.clock.now()
    return brand.deployment.db.transact(
        lambda tx: reverse(tx, event, share, Reason.refunded, key=key, now=now)
    )


def is_balanced(deployment: Deployment) -> bool:
    with deployment.db.read() as tx:
        return ledger.verify(tx) == []


def test_a_share_is_taken_back_from_everybody_who_was_paid(brand: Brand) -> None:
    alice, bob, _ = cast_of(brand)
    alice.sign_in()
    bob.open(alice.link())
    bob.claim(0)
    left = brand.budget_left()
    assert (alice.pending(), bob.pending()) == (50, 70)
    assert len(take_back(brand, "claim:1", Fraction(1, 4))) == 3
    assert (alice.pending(), bob.pending()) == (37, 70 - 5 - 13), "12.5 is rounded up to 13"
    assert brand.budget_left() == left + 5 + 13 + 13
    assert {reward.state for reward in rewards_of(brand.deployment, "claim:1")} == {"pending"}
    take_back(brand, "claim:1", Fraction(1), key="refund|2")
    assert (alice.pending(), bob.pending()) == (0, 0)
    assert brand.budget_left() == BUDGET
    found = rewards_of(brand.deployment, "claim:1")
    assert {(reward.state, reward.why) for reward in found} == {("reversed", "refunded")}
    assert is_balanced(brand.deployment)


def test_the_same_share_twice_takes_once(brand: Brand) -> None:
    alice, _, _ = cast_of(brand)
    alice.claim(0)
    assert len(take_back(brand, "claim:1", Fraction(1, 2))) == 1
    assert take_back(brand, "claim:1", Fraction(1, 2), key="refund|2") == []
    assert alice.pending() == 10


def test_what_is_taken_back_is_not_released(brand: Brand, clock: HeldClock) -> None:
    alice, _, _ = cast_of(brand)
    alice.claim(0)
    alice.claim(1)
    take_back(brand, "claim:1", Fraction(1))
    take_back(brand, "claim:2", Fraction(1, 4))
    clock.advance(days=7)
    assert actions.release_rewards(brand.deployment) == 1
    assert (alice.points(), alice.pending()) == (15, 0)


def test_what_expired_comes_back_from_there(deployment: Deployment, clock: HeldClock) -> None:
    brand = open_brand(deployment, lasts_days=30)
    alice, _, _ = cast_of(brand)
    alice.claim(0)
    clock.advance(days=30)
    actions.expire_rewards(deployment)
    take_back(brand, "claim:1", Fraction(1))
    assert alice.points() == 0
    assert debt(alice) == 0
    assert brand.budget_left() == BUDGET
    assert is_balanced(deployment)


def spend(person: Person, amount: int, key: str = "redemption|1") -> int:
    d = person.brand.deployment

    def work(tx: Session) -> int:
        people.lock_customer(tx, person.customer)
        to = ledger.account(tx, ledger.Kind.redeemed, 0, "points")
        return wallets.spend(
            tx,
            person.customer,
            "points",
            amount,
            to=to,
            key=key,
            what="redeemed",
            now=d.clock.now(),
        )

    return d.db.transact(work)


def debt(person: Person) -> int:
    with person.brand.deployment.db.read() as tx:
        return wallets.debt_of(tx, person.customer, "points")


def test_what_was_spent_is_owed_and_paid_back_by_later_points(
    deployment: Deployment, clock: HeldClock
) -> None:
    brand = open_brand(deployment)  # without a hold
    alice, _, _ = cast_of(brand)
    alice.claim(0)
    spend(alice, 15)
    take_back(brand, "claim:1", Fraction(1))
    assert (alice.points(), debt(alice)) == (0, 15)
    assert brand.budget_left() == BUDGET, "the campaign has all of it back"
    alice.claim(1)
    assert (alice.points(), debt(alice)) == (5, 0)
    assert is_balanced(deployment)


def test_other_points_in_the_wallet_pay_before_anything_is_owed(
    deployment: Deployment, clock: HeldClock
) -> None:
    brand = open_brand(deployment)
    alice, _, _ = cast_of(brand)
    alice.claim(0)
    alice.claim(1)
    spend(alice, 20)  # of the first claim
    take_back(brand, "claim:1", Fraction(1))
    assert (alice.points(), debt(alice)) == (0, 0)
    [second] = rewards_of(deployment, "claim:2")
    assert (second.left, second.state, second.taken_back) == (0, "available", 0)
    assert is_balanced(deployment)


@pytest.fixture
def spender(brand: Brand, clock: HeldClock) -> Person:
    """Alice has spent the points of her first claim; those of two more are due."""
    alice, _, _ = cast_of(brand)
    alice.claim(0)
    clock.advance(days=7)
    actions.release_rewards(brand.deployment)
    spend(alice, 15)
    alice.claim(1)
    alice.claim(2)
    clock.advance(days=7)
    return alice


def test_a_debt_is_paid_once_by_two_that_release_at_the_same_moment(
    brand: Brand, spender: Person, clock: HeldClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(granting, "RELEASE_BATCH", 1)
    take_back(brand, "claim:1", Fraction(1))
    assert (spender.points(), debt(spender)) == (0, 15)
    now = clock.now()
    overtaken(
        brand.deployment.db,
        lambda tx: rewards.release_due(tx, now),
        lambda: actions.release_rewards(brand.deployment),
    )
    actions.release_rewards(brand.deployment)
    assert (spender.points(), spender.pending(), debt(spender)) == (25, 0, 0)
    assert is_balanced(brand.deployment)


@pytest.mark.parametrize("releases_first", [True, False])
def test_nobody_has_points_to_spend_while_she_owes(
    brand: Brand, spender: Person, clock: HeldClock, releases_first: bool
) -> None:
    now = clock.now()

    def refund(tx: Session) -> list[Reward]:
        return reverse(tx, "claim:1", Fraction(1), Reason.refunded, key="refund|1", now=now)

    def release(tx: Session) -> int:
        return rewards.release_due(tx, now)

    first, second = (release, refund) if releases_first else (refund, release)
    overtaken(brand.deployment.db, first, lambda: brand.deployment.db.transact(second))
    actions.release_rewards(brand.deployment)
    assert (spender.points(), debt(spender)) == (25, 0)
    assert is_balanced(brand.deployment)


def test_what_is_released_late_lasts_as_long(deployment: Deployment, clock: HeldClock) -> None:
    brand = open_brand(deployment, hold_days=7, lasts_days=30)
    alice, _, _ = cast_of(brand)
    alice.claim(0)
    clock.advance(days=60)
    actions.release_rewards(deployment)
    assert actions.expire_rewards(deployment) == 0
    clock.advance(days=30)
    assert actions.expire_rewards(deployment) == 1
