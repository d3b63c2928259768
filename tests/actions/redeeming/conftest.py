"""What the tests of redemption share: two customers with points, and what is done with vouchers."""

from typing import Any

import pytest

from referral import actions
from referral.actions import Accepted, Undone
from referral.deployment import Deployment
from referral.errors import Problem
from referral.redemption import vouchers
from referral.redemption.vouchers import Voucher
from tests.cast import Brand, cast_of
from tests.rewarded import give


@pytest.fixture
def alice(brand: Brand) -> int:
    """A customer with 250 points."""
    person, _, _ = cast_of(brand)
    customer_id = person.sign_in()
    give(brand, customer_id, 250)
    return customer_id


@pytest.fixture
def bob(brand: Brand) -> int:
    """Another one."""
    _, person, _ = cast_of(brand)
    customer_id = person.sign_in()
    give(brand, customer_id, 250)
    return customer_id


def code_of(deployment: Deployment, voucher: Voucher) -> str:
    code = vouchers.code_of(deployment.keys, voucher.seed, voucher.key_id)
    assert code is not None
    return code


def redeem(deployment: Deployment, customer_id: int, key: str = "k", **more: Any) -> Voucher:
    return actions.redeem(deployment, customer_id, "cup", key=key, **more).voucher


def accept(deployment: Deployment, till: int, voucher: Voucher, press: str = "p" * 20) -> Accepted:
    return actions.accept_voucher(deployment, till, code_of(deployment, voucher), press=press)


def undo(deployment: Deployment, voucher: Voucher) -> Undone:
    return actions.undo_redemption(deployment, voucher.id, reason="a slip", by="tests")


def problems(outcomes: list[Any]) -> list[type[Problem]]:
    return [type(each) for each in outcomes if isinstance(each, Exception)]
