"""What the tests of reports share: a brand, and a report that is read."""

from collections.abc import Callable
from typing import TypeVar

import pytest
from sqlalchemy.orm import Session

from referral.deployment import Deployment
from tests.cast import Brand, open_brand

T = TypeVar("T")


@pytest.fixture
def brand(deployment: Deployment) -> Brand:
    return open_brand(deployment)


def read(brand: Brand, report: Callable[[Session], T]) -> T:
    with brand.deployment.db.read() as tx:
        return report(tx)
