"""What a claim asks of the database: so much and no more."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from referral.db import round_trips
from referral.deployment import Deployment
from tests.cast import Person, cast_of, open_brand
from tests.statements import statements

STATEMENTS = {"first": 21, "later": 17}
TRIPS = {"first": 6, "later": 5}
"""Besides the commit."""


@contextmanager
def counted(deployment: Deployment) -> Iterator[tuple[list[str], list[int]]]:
    """The statements that are sent meanwhile, and how many in each trip."""
    trips: list[int] = []
    made = round_trips._made

    def count(raw: Any, trip: Any, known: Any) -> Any:
        trips.append(len(trip))
        return made(raw, trip, known)

    with pytest.MonkeyPatch.context() as patched, statements(deployment.db) as sent:
        patched.setattr(round_trips, "_made", count)
        yield sent, trips


def warm(person: Person, indexes: range) -> None:
    for index in indexes:
        person.claim(index)


@pytest.mark.parametrize("which", ["first", "later"])
def test_a_claim_that_credits_two_people_asks_so_much_and_no_more(
    deployment: Deployment, which: str
) -> None:
    brand = open_brand(deployment, rules=[{"when": "claim", "for": "both", "amount": 30}])
    alice, bob, _ = cast_of(brand)
    alice.sign_in()
    bob.open(alice.link())
    bob.sign_in()
    warm(alice, range(2))
    claim: Callable[[], Any] = lambda: bob.claim(5)  # noqa: E731
    if which == "later":
        bob.claim(4)
    with counted(deployment) as (sent, trips):
        claimed = claim()
    assert {each.beneficiary_id for each in claimed.rewards} == {alice.customer, bob.customer}
    if deployment.db.is_sqlite:
        return  # it gets one statement after the other, and waits for none
    assert len(sent) <= STATEMENTS[which], sent
    assert len(trips) <= TRIPS[which], trips
    assert sum(trips) == len(sent), "all statements go in trips"
