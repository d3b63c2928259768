"""A brand that gives coupons, and somebody who buys there."""

import pytest

from referral.deployment import Deployment
from tests.cast import Brand, Person, cast_of
from tests.pools import open_with


@pytest.fixture
def brand(deployment: Deployment) -> Brand:
    return open_with(deployment, "TEA-0001", "TEA-0002", "TEA-0003")


@pytest.fixture
def alice(brand: Brand) -> Person:
    return cast_of(brand)[0]
