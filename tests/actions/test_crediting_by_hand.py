"""Points by hand: within a limit at once, over it with another member's word, and never twice."""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from referral import actions, audit, hand_credits, ledger, people
from referral.actions import Wish
from referral.actions.reversing import reverse
from referral.clock import HeldClock
from referral.config import Config
from referral.deployment import Deployment
from referral.hand_credits import (
    CreditDecided,
    CreditReason,
    CreditTooLow,
    HandCredit,
    NotEnoughBudget,
    OwnCredit,
    State,
)
from referral.ledger import Kind
from referral.rewards import Reason, Reward, wallets
from referral.staff import NotAllowed, Role, StaffMember
from tests.cast import BUDGET, PER_CLAIM, Brand, Person, cast_of, open_brand
from tests.races import at_once
from tests.rewarded import give, held

LIMIT, A_DAY = 100, 250


@pytest.fixture
def config(config: Config) -> Config:
    return replace(config, credit_limit=LIMIT, credit_limit_day=A_DAY)


@pytest.fixture
def brand(deployment: Deployment) -> Brand:
    return open_brand(deployment)


@pytest.fixture
def alice(brand: Brand) -> Person:
    alice, _, _ = cast_of(brand)
    alice.sign_in()
    return alice


def member(brand: Brand, name: str, role: Role) -> StaffMember:
    email = f"{name}@brand.example"
    actions.add_staff(brand.deployment, email=email, password="four words are fine", role=role)
    with brand.deployment.db.read() as tx:
        return tx.scalars(sa.select(StaffMember).where(StaffMember.email == email)).one()


@pytest.fixture
def sam(brand: Brand) -> StaffMember:
    """He may credit, and not approve."""
    return member(brand, "sam", Role.support)


@pytest.fixture
def olga(brand: Brand) -> StaffMember:
    """She may do both."""
    return member(brand, "olga", Role.owner)


def credit(
    brand: Brand, who: StaffMember, to: Person, amount: int, key: str = "", **changes: Any
) -> HandCredit:
    wish = Wish(
        key=key or f"{who.id}-{amount}",
        customer_id=to.customer,
        campaign_id=brand.campaign.id,
        amount=amount,
        reason="the parcel was late",
        told="Sorry for the wait",
    )
    return actions.credit_by_hand(brand.deployment, replace(wish, **changes), member=who)


def state_of(brand: Brand, made: HandCredit) -> HandCredit:
    with brand.deployment.db.read() as tx:
        return tx.get_one(HandCredit, made.id)


def wallet(brand: Brand, person: Person) -> int:
    return held(brand.deployment, person.customer)


def test_up_to_the_limit_it_is_credited_at_once(
    brand: Brand, alice: Person, sam: StaffMember
) -> None:
    made = credit(brand, sam, alice, LIMIT)
    assert (made.state, made.needs_approval, made.decided_by) == (State.done, False, None)
    assert wallet(brand, alice) == LIMIT
    assert brand.budget_left() == BUDGET - LIMIT
    with brand.deployment.db.read() as tx:
        [reward] = tx.scalars(sa.select(Reward))
        assert (reward.rule, reward.event, reward.left) == ("by_hand", made.event, LIMIT)
        assert reward.entry_id == made.entry_id
        spendable = wallets.spendable(tx, alice.customer, brand.deployment.clock.now())
    assert spendable == {"points": LIMIT}


def test_it_is_spent_and_given_back_like_any_other(
    brand: Brand, alice: Person, sam: StaffMember
) -> None:
    credit(brand, sam, alice, 60)
    d = brand.deployment

    def work(tx: Session) -> None:
        who = people.lock_customer(tx, alice.customer)
        to = ledger.account(tx, Kind.redeemed, 0, "points")
        wallets.spend(tx, who, "points", 50, to=to, key="x", what="spent", now=d.clock.now())

    d.db.transact(work)
    assert wallet(brand, alice) == 10


def test_over_the_limit_it_waits_for_somebody_else(
    brand: Brand, alice: Person, sam: StaffMember, olga: StaffMember
) -> None:
    d = brand.deployment
    made = credit(brand, sam, alice, LIMIT + 1)
    assert (made.state, made.needs_approval, made.entry_id) == (State.waiting, True, None)
    assert wallet(brand, alice) == 0
    with pytest.raises(NotAllowed):
        actions.approve_credit(d, made.id, member=sam)
    done = actions.approve_credit(d, made.id, member=olga)
    assert (done.state, done.decided_by) == (State.done, olga.id)
    assert wallet(brand, alice) == LIMIT + 1
    with pytest.raises(CreditDecided):
        actions.approve_credit(d, made.id, member=olga)
    assert wallet(brand, alice) == LIMIT + 1


def test_nobody_approves_or_refuses_what_is_her_own(
    brand: Brand, alice: Person, olga: StaffMember
) -> None:
    d = brand.deployment
    made = credit(brand, olga, alice, LIMIT + 1)
    with pytest.raises(OwnCredit):
        actions.approve_credit(d, made.id, member=olga)
    with pytest.raises(OwnCredit):
        actions.refuse_credit(d, made.id, "no", member=olga)
    assert state_of(brand, made).state == State.waiting


def change(brand: Brand, made: HandCredit, **values: Any) -> None:
    def work(tx: Session) -> None:
        tx.execute(sa.update(HandCredit).where(HandCredit.id == made.id).values(**values))

    brand.deployment.db.transact(work)


def test_the_database_holds_that_there_are_two(
    brand: Brand, alice: Person, sam: StaffMember, olga: StaffMember
) -> None:
    small = credit(brand, sam, alice, 5)
    made = credit(brand, olga, alice, LIMIT + 1)
    wrong: Sequence[tuple[HandCredit, dict[str, Any]]] = [
        (made, {"decided_by": olga.id}),
        (made, {"state": "done", "decided_by": sam.id}),
        (made, {"needs_approval": False}),
        (made, {"amount": 0}),
        (made, {"entry_id": small.entry_id}),
        (small, {"amount": LIMIT + 1}),
        (small, {"needs_approval": True}),
    ]
    for which, values in wrong:
        with pytest.raises(IntegrityError):
            change(brand, which, **values)


def test_a_days_credits_are_added_up_either_way(
    brand: Brand, alice: Person, sam: StaffMember, clock: HeldClock
) -> None:
    for n in range(2):
        assert credit(brand, sam, alice, LIMIT, f"a{n}").state == State.done
    assert credit(brand, sam, alice, -30, "b").state == State.done
    left = A_DAY - 2 * LIMIT - 30
    assert credit(brand, sam, alice, left + 1, "c").state == State.waiting
    assert credit(brand, sam, alice, left, "d").state == State.done
    assert credit(brand, sam, alice, 1, "e").state == State.waiting
    # The day of the brand's own calendar: 17:30 in Shanghai and then half past midnight.
    clock.advance(minutes=7 * 60)
    assert credit(brand, sam, alice, LIMIT, "f").state == State.done


def test_at_the_same_moment_the_limit_of_the_day_holds(
    brand: Brand, alice: Person, sam: StaffMember
) -> None:
    made = at_once(
        [lambda n=n: credit(brand, sam, alice, LIMIT, f"k{n}") for n in range(5)]  # type: ignore[misc]
    )
    states = sorted(each.state for each in made if isinstance(each, HandCredit))
    assert states == [State.done] * 2 + [State.waiting] * 3
    assert wallet(brand, alice) == 2 * LIMIT


def test_a_form_that_is_sent_twice_credits_once(
    brand: Brand, alice: Person, sam: StaffMember
) -> None:
    made = at_once([lambda: credit(brand, sam, alice, 10, "same")] * 4)
    assert len({each.id for each in made if isinstance(each, HandCredit)}) == 1
    assert wallet(brand, alice) == 10


def test_approved_and_refused_at_the_same_moment_it_is_one_of_them(
    brand: Brand, alice: Person, sam: StaffMember, olga: StaffMember
) -> None:
    d = brand.deployment
    ben = member(brand, "ben", Role.marketer)
    made = credit(brand, sam, alice, LIMIT + 1)
    outcomes = at_once(
        [
            lambda: actions.approve_credit(d, made.id, member=olga),
            lambda: actions.approve_credit(d, made.id, member=ben),
            lambda: actions.refuse_credit(d, made.id, "no", member=ben),
        ]
    )
    assert [type(each) for each in outcomes].count(CreditDecided) == 2
    state = state_of(brand, made).state
    assert wallet(brand, alice) == (LIMIT + 1 if state == State.done else 0)


def test_it_is_refused_with_a_word(
    brand: Brand, alice: Person, sam: StaffMember, olga: StaffMember
) -> None:
    d = brand.deployment
    made = credit(brand, sam, alice, LIMIT + 1)
    with pytest.raises(CreditReason):
        actions.refuse_credit(d, made.id, " ", member=olga)
    refused = actions.refuse_credit(d, made.id, "ask the carrier first", member=olga)
    assert (refused.state, refused.word) == (State.refused, "ask the carrier first")
    assert wallet(brand, alice) == 0
    with pytest.raises(CreditDecided):
        actions.approve_credit(d, made.id, member=olga)


def test_who_wanted_it_may_withdraw_it_and_nobody_else(
    brand: Brand, alice: Person, sam: StaffMember, olga: StaffMember
) -> None:
    d = brand.deployment
    made = credit(brand, sam, alice, LIMIT + 1)
    with pytest.raises(NotAllowed):
        actions.withdraw_credit(d, made.id, member=olga)
    assert actions.withdraw_credit(d, made.id, member=sam).state == State.withdrawn
    with pytest.raises(CreditDecided):
        actions.withdraw_credit(d, made.id, member=sam)


def test_what_nobody_approves_in_time_expires(
    brand: Brand, alice: Person, sam: StaffMember, olga: StaffMember, clock: HeldClock
) -> None:
    d = brand.deployment
    made = credit(brand, sam, alice, LIMIT + 1)
    clock.advance(seconds=hand_credits.WAITS.total_seconds() - 1)
    assert actions.expire_credits(d) == 0
    clock.advance(seconds=1)
    with pytest.raises(CreditDecided):
        actions.approve_credit(d, made.id, member=olga)
    assert actions.expire_credits(d) == 1
    assert state_of(brand, made).state == State.expired


def test_points_are_taken_back_into_the_budget_and_never_below_zero(
    brand: Brand, alice: Person, sam: StaffMember
) -> None:
    give(brand, alice.customer, 50)
    before = brand.budget_left()
    assert credit(brand, sam, alice, -50).state == State.done
    assert (wallet(brand, alice), brand.budget_left()) == (0, before + 50)
    with pytest.raises(CreditTooLow):
        credit(brand, sam, alice, -1)
    with pytest.raises(CreditTooLow):
        credit(brand, sam, alice, -LIMIT - 1)
    with brand.deployment.db.read() as tx:
        assert tx.scalar(sa.select(sa.func.count()).select_from(HandCredit)) == 1


def test_what_was_spent_while_it_waited_is_not_taken(
    brand: Brand, alice: Person, sam: StaffMember, olga: StaffMember
) -> None:
    give(brand, alice.customer, LIMIT + 1)
    made = credit(brand, sam, alice, -LIMIT - 1)
    credit(brand, sam, alice, -2)
    with pytest.raises(CreditTooLow):
        actions.approve_credit(brand.deployment, made.id, member=olga)
    kept = state_of(brand, made)
    assert (kept.state, kept.decided_by) == (State.waiting, None)
    assert wallet(brand, alice) == LIMIT - 1


def test_a_budget_gives_no_more_than_it_has(
    brand: Brand, alice: Person, sam: StaffMember, olga: StaffMember
) -> None:
    with pytest.raises(NotEnoughBudget):
        credit(brand, sam, alice, BUDGET + 1)
    made = credit(brand, sam, alice, BUDGET)
    credit(brand, sam, alice, 1)
    with pytest.raises(NotEnoughBudget):
        actions.approve_credit(brand.deployment, made.id, member=olga)
    assert wallet(brand, alice) == 1


def test_debts_are_paid_first(brand: Brand, alice: Person, sam: StaffMember) -> None:
    d = brand.deployment
    claim = alice.claim(0).claim
    credit(brand, sam, alice, -PER_CLAIM)

    def refund(tx: Session) -> None:
        reverse(tx, claim.event, Fraction(1), Reason.abuse, key="r", now=d.clock.now())

    d.db.transact(refund)
    with d.db.read() as tx:
        assert wallets.debt_of(tx, alice.customer, "points") == PER_CLAIM
    credit(brand, sam, alice, PER_CLAIM + 5)
    assert wallet(brand, alice) == 5
    with d.db.read() as tx:
        assert wallets.debt_of(tx, alice.customer, "points") == 0


def test_it_follows_a_customer_who_becomes_one_with_another(
    brand: Brand, alice: Person, sam: StaffMember, olga: StaffMember
) -> None:
    d = brand.deployment
    _, bob, _ = cast_of(brand)
    bob.sign_in()
    made = credit(brand, sam, bob, LIMIT + 1)
    actions.merge_customers(d, alice.customer, bob.customer, by="tests", reason="same")
    assert state_of(brand, made).customer_id == alice.customer
    actions.approve_credit(d, made.id, member=olga)
    assert wallet(brand, alice) == LIMIT + 1


def test_a_reason_and_the_right_are_needed(brand: Brand, alice: Person, sam: StaffMember) -> None:
    ann = member(brand, "ann", Role.analyst)
    with pytest.raises(NotAllowed):
        credit(brand, ann, alice, 1)
    with pytest.raises(CreditReason):
        credit(brand, sam, alice, 1, reason=" ")
    with pytest.raises(people.UnknownCustomer):
        credit(brand, sam, alice, 1, customer_id=999)
    for amount in (0, hand_credits.AMOUNT_MAX + 1):
        with pytest.raises(ValueError, match="amount"):
            credit(brand, sam, alice, amount)


def test_it_is_all_in_the_audit_log(
    brand: Brand, alice: Person, sam: StaffMember, olga: StaffMember
) -> None:
    d = brand.deployment
    credit(brand, sam, alice, 5)
    made = credit(brand, sam, alice, LIMIT + 1)
    actions.approve_credit(d, made.id, member=olga)
    with d.db.read() as tx:
        noted = audit.of_subject(tx, f"customer:{alice.customer}")
    assert [(each.action, each.by) for each in noted] == [
        ("credited by hand", "sam@brand.example"),
        ("credit asked for", "sam@brand.example"),
        ("credit approved", "olga@brand.example"),
    ]
    assert noted[0].details["reason"] == "the parcel was late"


def test_a_credit_is_no_purchase_to_the_risk_rules(
    brand: Brand, alice: Person, sam: StaffMember
) -> None:
    from referral.reports import evidence

    credit(brand, sam, alice, 5)
    with brand.deployment.db.read() as tx:
        assert evidence.typical_packages(tx, brand.deployment.clock.now()) is None
    assert actions.look(brand.deployment).verdicts == 0
