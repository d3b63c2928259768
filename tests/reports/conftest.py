"""What the tests of reports share: a brand, and a report that is read."""

from collections.abc import Callable
from typing import TypeVar

import pytest
from sqlalchemy.orm import Session

from referral import actions, people
from referral.deployment import Deployment
from tests.cast import Brand, Person, open_brand

T = TypeVar("T")


@pytest.fixture
def brand(deployment: Deployment) -> Brand:
    return open_brand(deployment)


@pytest.fixture
def crowd(brand: Brand) -> list[Person]:
    """Seven who bought, the third twice; an eighth who did not."""
    found = [Person(brand, people.email(f"somebody.{number}@example.com")) for number in range(8)]
    for index, person in enumerate(found[:7]):
        person.claim(index)
    found[2].claim(7)
    found[7].sign_in()
    actions.refresh_values(brand.deployment)
    return found


def read(brand: Brand, report: Callable[[Session], T]) -> T:
    with brand.deployment.db.read() as tx:
        return report(tx)
