"""A voucher that is undone or that nobody used gives back what it cost, once."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from referral import actions, audit
from referral.clock import HeldClock
from referral.deployment import Deployment
from referral.redemption.items import STOCK_MAX, ItemTerms
from referral.redemption.vouchers import TooLateToUndo, UnknownVoucher, Voucher, VoucherExpired
from referral.rewards import Reward, RewardState
from referral.rewards.wallets import BACK_LASTS
from tests.actions.redeeming.conftest import accept, redeem, undo
from tests.cast import Brand, cast_of
from tests.rewarded import add_item, add_till, give, held, item, states, stock


@pytest.mark.parametrize("is_accepted", [False, True])
def test_undoing_gives_back_once(
    deployment: Deployment, alice: int, clock: HeldClock, is_accepted: bool
) -> None:
    add_item(deployment)
    voucher, till = redeem(deployment, alice), add_till(deployment)
    if is_accepted:
        clock.advance(minutes=60 * 30)
        accept(deployment, till.id, voucher)
    clock.advance(minutes=60 * 24 - 1)
    undone = [undo(deployment, voucher) for _ in range(2)]
    assert [each.already for each in undone] == [False, True]
    assert (held(deployment, alice), stock(deployment)) == (250, 10)
    assert (undone[0].voucher.reason, undone[0].voucher.closed_at) == ("a slip", clock.now())
    with deployment.db.read() as tx:
        (note,) = audit.of_subject(tx, f"voucher:{voucher.id}")
    assert (note.by, note.action) == ("tests", "redemption undone")
    assert note.details["was"] == ("accepted" if is_accepted else "issued")


def test_after_a_day_it_is_too_late_to_undo(
    deployment: Deployment, alice: int, clock: HeldClock
) -> None:
    add_item(deployment)
    voucher = redeem(deployment, alice)
    clock.advance(days=1)
    with pytest.raises(TooLateToUndo):
        undo(deployment, voucher)
    with pytest.raises(UnknownVoucher):
        actions.undo_redemption(deployment, 4711, reason="a slip", by="tests")
    assert (held(deployment, alice), stock(deployment)) == (150, 9)


def test_what_was_won_comes_back_as_that(deployment: Deployment, brand: Brand, alice: int) -> None:
    add_item(deployment)
    give(brand, alice, 1, won="cup")
    undo(deployment, redeem(deployment, alice))
    assert (held(deployment, alice), held(deployment, alice, "item:cup")) == (250, 1)


def test_vouchers_that_nobody_used_give_back_what_they_cost_once(
    deployment: Deployment, alice: int, bob: int, clock: HeldClock
) -> None:
    add_item(deployment, voucher_days=30)
    till = add_till(deployment)
    unused, used = redeem(deployment, alice), redeem(deployment, bob)
    accept(deployment, till.id, used)
    clock.advance(minutes=60 * 24 * 30 - 1)
    assert actions.expire_vouchers(deployment) == 0
    clock.advance(minutes=1)
    assert [actions.expire_vouchers(deployment) for _ in range(2)] == [1, 0]
    assert states(deployment) == ["expired", "accepted"]
    assert (held(deployment, alice), held(deployment, bob), stock(deployment)) == (250, 150, 9)
    with pytest.raises(VoucherExpired):
        undo(deployment, unused)


def test_a_voucher_comes_back_when_the_stock_is_as_large_as_can_be(
    deployment: Deployment, alice: int, clock: HeldClock
) -> None:
    add_item(deployment, stock=STOCK_MAX)
    redeem(deployment, alice)
    terms = ItemTerms.model_validate(item().model_dump(exclude={"slug", "stock"}))
    actions.revise_item(deployment, "cup", terms, change_stock=1, by="tests")
    clock.advance(days=31)
    assert actions.expire_vouchers(deployment) == 1
    assert (held(deployment, alice), stock(deployment)) == (250, STOCK_MAX + 1)


def test_one_voucher_that_cannot_come_back_does_not_keep_the_others(
    deployment: Deployment,
    alice: int,
    bob: int,
    clock: HeldClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    add_item(deployment)
    broken = redeem(deployment, alice)
    redeem(deployment, bob)
    with deployment.db.engine.begin() as connection:
        paid = sa.update(Voucher).where(Voucher.id == broken.id)
        connection.execute(paid.values(unit="no such unit"))
    clock.advance(days=31)
    assert actions.expire_vouchers(deployment) == 1
    assert states(deployment) == ["issued", "expired"]
    assert (held(deployment, bob), stock(deployment)) == (250, 9), "of the other nothing is done"
    assert f"voucher {broken.id} cannot be given back" in caplog.text


def test_points_whose_own_time_is_over_can_be_spent_for_a_while_after_they_came_back(
    deployment: Deployment, brand: Brand, clock: HeldClock
) -> None:
    _, _, charlie = cast_of(brand)
    customer_id = charlie.sign_in()
    give(brand, customer_id, 100, lasts=timedelta(days=20))
    add_item(deployment, voucher_days=30)
    redeem(deployment, customer_id)
    clock.advance(days=30)
    assert actions.expire_rewards(deployment) == 0, "they are spent"
    actions.expire_vouchers(deployment)
    clock.advance(seconds=BACK_LASTS.total_seconds() - 1)
    assert actions.expire_rewards(deployment) == 0
    assert held(deployment, customer_id) == 100
    clock.advance(seconds=1)
    actions.expire_rewards(deployment)
    assert held(deployment, customer_id) == 0
    with deployment.db.read() as tx:
        reward = tx.scalars(sa.select(Reward).where(Reward.holder_id == customer_id)).one()
    assert (reward.state, reward.lapsed) == (RewardState.expired, 100)
