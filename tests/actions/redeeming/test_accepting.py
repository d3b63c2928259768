"""A voucher is handed over once, by a till that may."""

import pytest

from referral import actions, audit
from referral.clock import HeldClock
from referral.deployment import Deployment
from referral.redemption import tills
from referral.redemption.tills import TillClosed, UnknownTill
from referral.redemption.vouchers import (
    HandedOver,
    OtherStore,
    UnknownVoucher,
    VoucherExpired,
    VoucherUndone,
)
from tests.actions.redeeming.conftest import accept, redeem, undo
from tests.rewarded import add_item, add_till, states


def test_a_voucher_is_accepted_once(deployment: Deployment, alice: int, clock: HeldClock) -> None:
    add_item(deployment)
    till, other = add_till(deployment, "east"), add_till(deployment, "west")
    voucher = redeem(deployment, alice)
    accepted = accept(deployment, till.id, voucher)
    assert (accepted.again, accepted.voucher.state) == (False, "accepted")
    assert (accepted.voucher.store_id, accepted.voucher.accepted_at) == (till.store_id, clock.now())
    clock.advance(minutes=5)
    again = accept(deployment, till.id, voucher)
    assert (again.again, again.voucher.accepted_at) == (True, accepted.voucher.accepted_at)
    for till_id, press in ((till.id, "q" * 20), (other.id, "p" * 20)):
        with pytest.raises(HandedOver):
            accept(deployment, till_id, voucher, press)


def test_what_is_no_good_is_not_accepted(
    deployment: Deployment, alice: int, clock: HeldClock
) -> None:
    add_item(deployment, voucher_days=1)
    till = add_till(deployment)
    undone = redeem(deployment, alice, "1")
    undo(deployment, undone)
    late = redeem(deployment, alice, "2")
    with pytest.raises(VoucherUndone):
        accept(deployment, till.id, undone)
    for code in (None, "0" * 12):
        with pytest.raises(UnknownVoucher):
            actions.accept_voucher(deployment, till.id, code, press="p" * 20)
    clock.advance(days=1)
    with pytest.raises(VoucherExpired):
        accept(deployment, till.id, late)
    assert states(deployment) == ["undone", "issued"]


def test_only_the_stores_that_have_it_hand_it_over(deployment: Deployment, alice: int) -> None:
    east, west = add_till(deployment, "east"), add_till(deployment, "west")
    add_item(deployment, stores=["west"])
    voucher = redeem(deployment, alice)
    with pytest.raises(OtherStore):
        accept(deployment, east.id, voucher)
    assert accept(deployment, west.id, voucher).voucher.state == "accepted"


def test_a_till_is_closed_by_its_own_store_only(deployment: Deployment) -> None:
    east, west = add_till(deployment, "east"), add_till(deployment, "west")
    with pytest.raises(UnknownTill):
        actions.close_till(deployment, west.id, store="east", by="tests")
    assert actions.close_till(deployment, east.id, store="east", by="tests").closed_at
    with deployment.db.read() as tx:
        assert tills.till_by_id(tx, west.id).closed_at is None


def test_a_closed_till_accepts_nothing(deployment: Deployment, alice: int) -> None:
    add_item(deployment)
    till, voucher = add_till(deployment), redeem(deployment, alice)
    for _ in range(2):
        actions.close_till(deployment, till.id, store="east", by="tests")
    for till_id in (till.id, 4711):
        with pytest.raises(TillClosed):
            accept(deployment, till_id, voucher)
    with pytest.raises(UnknownTill):
        actions.close_till(deployment, 4711, store="east", by="tests")
    with deployment.db.read() as tx:
        noted = [entry.action for entry in audit.of_subject(tx, f"till:{till.id}")]
    assert noted == ["till added", "till closed"], "closing it again is not noted"
