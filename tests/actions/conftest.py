"""What the tests of actions share."""

import pytest

from referral import limits
from referral.deployment import Deployment
from tests.cast import Brand, Person, cast_of, open_brand


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine under load may take longer to answer than a page would wait for Redis."""
    monkeypatch.setattr(limits, "REDIS_TIMEOUT_SECONDS", 20.0)


@pytest.fixture
def brand(deployment: Deployment) -> Brand:
    return open_brand(deployment)


@pytest.fixture
def cast(brand: Brand) -> tuple[Person, Person, Person]:
    return cast_of(brand)
