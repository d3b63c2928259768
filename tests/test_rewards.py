"""Rewards: what rules grant for a purchase, and that each is granted once."""

from datetime import timedelta

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from referral import actions, ledger, rewards
from referral.clock import HeldClock
from referral.deployment import Deployment
from referral.rewards import (
    ForWhom,
    Grant,
    PurchaseFacts,
    Reward,
    RewardState,
    Rule,
    When,
    evaluate,
    payout_max,
)
from tests.cast import BUDGET, Brand, cast_of, open_brand
from tests.races import at_once, overtaken

RULES = st.lists(
    st.builds(
        lambda when, whom, amount: Rule(when=when, amount=amount, **{"for": whom}),
        st.sampled_from(When),
        st.sampled_from(ForWhom),
        st.integers(1, 1_000_000),
    ),
    unique_by=lambda rule: rule.id,
    max_size=9,
)
FACTS = st.builds(
    PurchaseFacts,
    customer=st.just(1),
    is_first=st.booleans(),
    referrer=st.sampled_from([None, 2]),
)


def rule(when: str, for_whom: str, amount: int = 10) -> Rule:
    return Rule.model_validate({"when": when, "for": for_whom, "amount": amount})


ALONE, BROUGHT_IN = PurchaseFacts(1, True, None), PurchaseFacts(1, True, 2)
AGAIN, AGAIN_BROUGHT_IN = PurchaseFacts(1, False, None), PurchaseFacts(1, False, 2)


@pytest.mark.parametrize(
    "when, for_whom, facts, paid",
    [
        ("claim", "person", ALONE, [1]),
        ("claim", "person", AGAIN, [1]),
        ("claim", "person", BROUGHT_IN, [1]),
        ("claim", "referrer", ALONE, []),
        ("claim", "referrer", BROUGHT_IN, [2]),
        ("claim", "referrer", AGAIN_BROUGHT_IN, [2]),
        ("claim", "both", AGAIN_BROUGHT_IN, [1, 2]),
        ("claim", "both", ALONE, [1]),
        ("first_claim", "person", ALONE, [1]),
        ("first_claim", "person", AGAIN, []),
        ("first_claim", "both", BROUGHT_IN, [1, 2]),
        ("first_claim", "both", AGAIN_BROUGHT_IN, []),
        ("referred_first_claim", "person", ALONE, []),
        ("referred_first_claim", "person", BROUGHT_IN, [1]),
        ("referred_first_claim", "referrer", BROUGHT_IN, [2]),
        ("referred_first_claim", "both", BROUGHT_IN, [1, 2]),
        ("referred_first_claim", "both", AGAIN_BROUGHT_IN, []),
    ],
)
def test_a_rule_pays_whom_it_names_for_what_it_names(
    when: str, for_whom: str, facts: PurchaseFacts, paid: list[int]
) -> None:
    granted = evaluate([rule(when, for_whom)], facts)
    assert [grant.beneficiary for grant in granted] == paid
    assert [grant.depth for grant in granted] == [each - 1 for each in paid]


@given(RULES, FACTS)
def test_no_purchase_pays_more_than_the_most(rules: list[Rule], facts: PurchaseFacts) -> None:
    granted = evaluate(rules, facts)
    assert sum(grant.rule.amount for grant in granted) <= payout_max(rules)
    assert {grant.beneficiary for grant in granted} <= {facts.customer, facts.referrer}
    assert all(grant.depth in (0, 1) for grant in granted)
    assert len({(grant.rule.id, grant.beneficiary) for grant in granted}) == len(granted)


@given(RULES)
def test_a_rule_survives_being_stored(rules: list[Rule]) -> None:
    assert [Rule.model_validate(each.dump()) for each in rules] == rules


# Granting


@pytest.fixture
def brand(deployment: Deployment) -> Brand:
    return open_brand(deployment, hold_days=7)


def grant(
    tx: Session, brand: Brand, customer: int, *, event: str = "claim:1", days: int = 0
) -> Reward | None:
    return rewards.grant(
        tx,
        Grant(rule("claim", "person"), customer, 0),
        event=event,
        campaign_id=brand.campaign.id,
        hold=timedelta(days=days),
        now=brand.deployment.clock.now(),
    )


def test_a_reward_is_a_row_with_an_entry_behind_it(brand: Brand) -> None:
    db, now = brand.deployment.db, brand.deployment.clock.now()
    alice, _, _ = cast_of(brand)
    customer = alice.sign_in()
    db.transact(lambda tx: grant(tx, brand, customer))
    with db.read() as tx:
        reward = tx.scalars(sa.select(Reward)).one()
        entry = tx.get_one(ledger.LedgerEntry, reward.entry_id)
    assert entry.key == f"reward|claim:1|claim:person:points|{customer}"
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
    nothing = sa.update(Reward).values(amount=0)
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
    monkeypatch.setattr(rewards, "RELEASE_BATCH", 2)
    alice, bob, _ = cast_of(brand)
    for index in range(5):
        (alice if index % 2 else bob).claim(index)
    clock.advance(days=8)
    released = at_once([lambda: actions.release_rewards(brand.deployment)] * 3)
    assert sum(each for each in released if isinstance(each, int)) == 5
    assert (alice.points(), bob.points()) == (40, 60)
