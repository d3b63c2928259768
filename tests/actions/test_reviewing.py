"""What staff decide of a case: it is done once, noted, and means what it says."""

import pytest
import sqlalchemy as sa

from referral import actions, audit, risk
from referral.actions import (
    CaseClosed,
    Choice,
    Claimed,
    Decided,
    DecidedMeanwhile,
    NothingToHold,
    ReasonMissing,
)
from referral.clock import HeldClock
from referral.deployment import Deployment
from referral.people import UnknownCustomer
from referral.rewards import Reward, of_event
from referral.risk import Case, Mode, Setting, UnknownCase, UnknownRule, VerdictRow
from tests.actions.test_judging import hold_everything, suspicious
from tests.cast import BUDGET, Brand, cast_of, open_brand
from tests.races import at_once

WHY = "looked into it"


@pytest.fixture
def brand(deployment: Deployment) -> Brand:
    return open_brand(deployment, hold_days=7)


@pytest.fixture
def held(brand: Brand) -> Claimed:
    hold_everything(brand.deployment)
    return suspicious(brand)


def case_of(brand: Brand, claimed: Claimed) -> VerdictRow:
    with brand.deployment.db.read() as tx:
        found = risk.verdict_of(tx, claimed.claim.event)
    assert found is not None
    return found


def decide(brand: Brand, claimed: Claimed, choice: Choice, **more: str) -> Decided:
    case_id = case_of(brand, claimed).id
    return actions.decide_case(
        brand.deployment, case_id, choice, **{"by": "olga", "reason": WHY, **more}
    )


def rewards(brand: Brand, claimed: Claimed) -> list[Reward]:
    with brand.deployment.db.read() as tx:
        return of_event(tx, claimed.claim.event)


def states(brand: Brand, claimed: Claimed) -> set[str]:
    return {each.state for each in rewards(brand, claimed)}


def test_what_is_accepted_is_released_at_the_next_pass(
    brand: Brand, held: Claimed, clock: HeldClock
) -> None:
    clock.advance(days=8)
    assert actions.release_rewards(brand.deployment) == 0
    assert decide(brand, held, Choice.accept) == Decided(
        case_of(brand, held).id, Case.accepted, True
    )
    assert states(brand, held) == {"pending"}
    assert actions.release_rewards(brand.deployment) == 1
    assert states(brand, held) == {"available"}


def test_what_is_for_review_is_paid_unless_staff_hold_it(brand: Brand, clock: HeldClock) -> None:
    claimed = suspicious(brand)
    decide(brand, claimed, Choice.hold)
    clock.advance(days=8)
    assert actions.release_rewards(brand.deployment) == 0
    decide(brand, claimed, Choice.accept)
    assert actions.release_rewards(brand.deployment) == 1


def test_nobody_decides_and_what_is_for_review_is_paid(brand: Brand, clock: HeldClock) -> None:
    claimed = suspicious(brand)
    clock.advance(days=8)
    assert actions.release_rewards(brand.deployment) == 1
    assert states(brand, claimed) == {"available"}
    with pytest.raises(NothingToHold):
        decide(brand, claimed, Choice.hold)
    assert case_of(brand, claimed).case_state == "open"


@pytest.mark.parametrize("is_released", [False, True])
def test_what_is_taken_back_goes_back_to_the_budget(
    brand: Brand, clock: HeldClock, is_released: bool
) -> None:
    claimed = suspicious(brand)
    if is_released:
        clock.advance(days=8)
        actions.release_rewards(brand.deployment)
    decide(brand, claimed, Choice.reverse)
    assert states(brand, claimed) == {"reversed"}
    assert {each.why for each in rewards(brand, claimed)} == {"abuse"}
    assert brand.budget_left() == BUDGET
    for choice in (Choice.accept, Choice.hold):
        with pytest.raises(CaseClosed):
            decide(brand, claimed, choice)
    assert not decide(brand, claimed, Choice.reverse).is_new
    assert brand.budget_left() == BUDGET


def test_a_decision_is_kept_with_who_and_why(brand: Brand, held: Claimed, clock: HeldClock) -> None:
    decide(brand, held, Choice.accept, by="ann", reason="  a family\n of four ")
    decide(brand, held, Choice.accept)  # again: nothing new
    decide(brand, held, Choice.hold, reason="asked the shop")
    case = case_of(brand, held)
    assert (case.reviewed_by, case.reviewed_at, case.reason) == (
        "olga",
        clock.now(),
        "asked the shop",
    )
    with brand.deployment.db.read() as tx:
        entries = audit.of_subject(tx, f"case:{case.id}")
    assert [(each.by, each.action, each.details["reason"]) for each in entries] == [
        ("ann", "case-accept", "a family of four"),
        ("olga", "case-hold", "asked the shop"),
    ]
    assert entries[0].details["before"] == "open"


@pytest.mark.parametrize("reason", ["", " \n ", "x" * 301])
def test_a_decision_needs_a_reason(brand: Brand, held: Claimed, reason: str) -> None:
    with pytest.raises(ReasonMissing):
        decide(brand, held, Choice.accept, reason=reason)
    with pytest.raises(ReasonMissing):
        actions.block_customer(brand.deployment, 1, by="olga", reason=reason)


def test_who_has_seen_something_else_is_told(brand: Brand, held: Claimed) -> None:
    decide(brand, held, Choice.hold, seen="open")
    with pytest.raises(DecidedMeanwhile):
        decide(brand, held, Choice.accept, seen="open")
    assert not decide(brand, held, Choice.hold, seen="open").is_new
    assert decide(brand, held, Choice.accept, seen="held").is_new


def test_two_members_of_staff_at_once(brand: Brand, held: Claimed) -> None:
    decided = at_once(
        [
            lambda: decide(brand, held, Choice.accept, seen="open"),
            lambda: decide(brand, held, Choice.reverse, seen="open"),
            lambda: decide(brand, held, Choice.reverse, seen="open"),
        ]
    )
    done = [each for each in decided if isinstance(each, Decided) and each.is_new]
    assert len(done) == 1
    with brand.deployment.db.read() as tx:
        assert len(audit.of_subject(tx, f"case:{case_of(brand, held).id}")) == 1
    assert states(brand, held) == ({"pending"} if done[0].state == "accepted" else {"reversed"})


def test_a_purchase_without_a_case_can_be_taken_back_too(brand: Brand) -> None:
    alice, *_ = cast_of(brand)
    claimed = alice.claim(0)
    assert case_of(brand, claimed).case_state is None
    decide(brand, claimed, Choice.reverse, seen="")
    assert states(brand, claimed) == {"reversed"}


def test_an_unknown_case_and_an_unknown_customer(brand: Brand) -> None:
    with pytest.raises(UnknownCase):
        actions.decide_case(brand.deployment, 999, Choice.accept, by="olga", reason=WHY)
    with pytest.raises(UnknownCustomer):
        actions.block_customer(brand.deployment, 999, by="olga", reason=WHY)


def test_blocking_twice_is_one_block(brand: Brand) -> None:
    alice, *_ = cast_of(brand)
    alice.sign_in()
    d = brand.deployment
    assert actions.block_customer(d, alice.customer, by="olga", reason=WHY)
    assert not actions.block_customer(d, alice.customer, by="ann", reason="another")
    assert actions.unblock_customer(d, alice.customer, by="olga", reason=WHY)
    assert not actions.unblock_customer(d, alice.customer, by="olga", reason=WHY)
    with d.db.read() as tx:
        entries = audit.of_subject(tx, f"customer:{alice.customer}")
        assert not risk.is_blocked(tx, alice.customer)
    assert [each.action for each in entries] == ["block", "unblock"]


def test_setting_a_rule_is_noted_once(deployment: Deployment) -> None:
    def set_it(mode: Mode, points: int | None = None) -> Setting:
        return actions.set_risk_rule(deployment, "far_places", mode, points=points, by="olga")

    assert set_it(Mode.shadow) == Setting(Mode.shadow, 25)
    assert set_it(Mode.shadow) == Setting(Mode.shadow, 25)
    assert set_it(Mode.on, 40) == Setting(Mode.on, 40)
    with deployment.db.read() as tx:
        assert risk.settings_of(tx)["far_places"] == Setting(Mode.on, 40)
        assert risk.settings_of(tx)["misses_first"] == risk.defaults()["misses_first"]
        entries = audit.of_subject(tx, "rule:far_places")
    assert [(each.details["mode"], each.details["points"]) for each in entries] == [
        ("shadow", 25),
        ("on", 40),
    ]
    with pytest.raises(UnknownRule):
        actions.set_risk_rule(deployment, "no-such", Mode.on, by="olga")
    with pytest.raises(ValueError, match="points"):
        set_it(Mode.on, 101)


def test_nobody_can_release_what_is_held_past_the_guard(brand: Brand, held: Claimed) -> None:
    def pay_anyway(tx: sa.orm.Session) -> None:
        tx.execute(sa.update(Reward).values(state="available"))

    with pytest.raises(sa.exc.IntegrityError):
        brand.deployment.db.transact(pay_anyway)


def test_blocking_a_number_that_was_merged_blocks_whom_it_stands_for(
    deployment: Deployment, clock: HeldClock
) -> None:
    brand = open_brand(deployment)
    alice, bob, _ = cast_of(brand)
    alice.sign_in()
    clock.advance(minutes=1)
    bob.sign_in()
    merged = actions.merge_customers(
        deployment, alice.customer, bob.customer, by="olga", reason="one person"
    )
    assert actions.block_customer(deployment, merged.gone, by="olga", reason=WHY)
    assert not actions.block_customer(deployment, merged.kept, by="olga", reason=WHY)
    assert not actions.claim(deployment, brand.code(0), merged.kept).rewards
    with deployment.db.read() as tx:
        noted = audit.of_subject(tx, f"customer:{merged.kept}")
    assert [each.action for each in noted].count("block") == 1
    assert actions.unblock_customer(deployment, merged.gone, by="olga", reason=WHY)
    assert actions.claim(deployment, brand.code(1), merged.kept).rewards


def test_whoever_decides_is_kept_whole(brand: Brand, held: Claimed) -> None:
    by = "o" * 242 + "@example.com"
    decide(brand, held, Choice.accept, by=by)
    actions.block_customer(brand.deployment, held.claim.customer_id, by=by, reason=WHY)
    case = case_of(brand, held)
    with brand.deployment.db.read() as tx:
        blocked = tx.get_one(risk.BlockedCustomer, held.claim.customer_id)
        noted = audit.of_subject(tx, f"case:{case.id}")
    assert {case.reviewed_by, blocked.by, *(each.by for each in noted)} == {by}
