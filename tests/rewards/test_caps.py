"""Limits of rules: so often, or so much, and no more, also for many at once."""

from datetime import date
from threading import Event
from typing import Any

import pytest
from sqlalchemy.orm import Session

from referral import people
from referral.clock import HeldClock
from referral.deployment import Deployment
from referral.people import Contact
from referral.rewards import Grant, Rule, What, Why, caps
from tests.cast import BUDGET, Brand, Person, cast_of, open_brand
from tests.races import at_once


def brand_with(deployment: Deployment, **limits: Any) -> Brand:
    rule = {"when": "claim", "for": "person", "amount": 20, "limits": limits}
    return open_brand(deployment, rules=[rule])


def paid(person: Person, *indexes: int) -> list[bool]:
    return [bool(person.claim(index).rewards) for index in indexes]


@pytest.mark.parametrize("limits", [{"per_person": 2}, {"per_person_per_day": 2}])
def test_one_person_gets_so_many_and_the_next_as_many(
    deployment: Deployment, limits: dict[str, int]
) -> None:
    alice, bob, _ = cast_of(brand_with(deployment, **limits))
    assert paid(alice, 0, 1, 2) == [True, True, False]
    assert paid(bob, 3, 4, 5) == [True, True, False]
    assert (alice.points(), bob.points()) == (40, 40)


@pytest.mark.parametrize("limits", [{"total": 3}, {"per_day": 3}, {"budget": 79}])
def test_all_together_get_so_many(deployment: Deployment, limits: dict[str, int]) -> None:
    alice, bob, _ = cast_of(brand_with(deployment, **limits))
    assert paid(alice, 0, 1) + paid(bob, 2, 3) == [True, True, True, False]


@pytest.mark.parametrize("limits", [{"per_person_per_day": 1}, {"per_day": 1}])
def test_a_day_is_one_of_the_brand_s_calendar(
    deployment: Deployment, clock: HeldClock, limits: dict[str, int]
) -> None:
    alice, _, _ = cast_of(brand_with(deployment, **limits))
    to_midnight = deployment.local_now().replace(hour=23, minute=59, second=59)
    clock.advance(seconds=(to_midnight - deployment.local_now()).total_seconds())
    assert paid(alice, 0, 1) == [True, False]
    clock.advance(seconds=1)
    assert paid(alice, 2, 3) == [True, False]


def test_what_the_limit_kept_back_says_so(deployment: Deployment) -> None:
    brand = brand_with(deployment, per_person=1)
    alice, _, _ = cast_of(brand)
    alice.claim(0)
    claimed = alice.claim(1)
    assert [each.why for each in claimed.withheld] == [Why.limit_reached]
    assert not claimed.budget_spent
    assert alice.claim(1).withheld[0].why == Why.limit_reached, "the same answer again"


def test_a_grant_that_the_budget_cannot_pay_does_not_count(deployment: Deployment) -> None:
    rule = {"when": "claim", "for": "person", "amount": 20, "limits": {"total": 2}}
    small = {"when": "first_claim", "for": "person", "amount": 15}
    brand = open_brand(deployment, rules=[rule, small], budget=30)
    alice, bob, _ = cast_of(brand)
    assert [each.amount for each in alice.claim(0).rewards] == [20]
    assert [each.why for each in bob.claim(1).withheld] == [Why.budget_spent] * 2
    assert brand.budget_left() == 10


def test_a_limit_holds_for_many_at_once(deployment: Deployment) -> None:
    brand = brand_with(deployment, total=5)
    crowd = [Person(brand, contact) for contact in _contacts(8)]
    for person in crowd:
        person.sign_in()
    answers = at_once([lambda p=p, n=n: p.claim(n) for n, p in enumerate(crowd)])
    granted = [answer for answer in answers if not isinstance(answer, BaseException)]
    assert len(granted) == 8
    assert sum(bool(each.rewards) for each in granted) == 5
    assert brand.budget_left() == BUDGET - 5 * 20


def _contacts(count: int) -> list[Contact]:
    return [people.phone(f"138 0013 80{n:02d}") for n in range(count)]


def test_events_that_count_for_each_other_s_people_do_not_wait_for_each_other(
    deployment: Deployment,
) -> None:
    brand = brand_with(deployment, total=5)
    limits = {"per_person": 9, "total": 9}
    rules = [
        Rule.model_validate({"when": when, "for": who, "amount": 20, "limits": limits})
        for when, who in (("claim", "person"), ("referred_first_claim", "referrer"))
    ]
    has_begun, tries = (Event(), Event()), []

    def count(tx: Session, who: int, today: date) -> None:
        tries.append(who)
        grants = [
            Grant(rule, customer, 0, What.points, None, 20)
            for rule, customer in zip(rules, (who, 1 - who), strict=True)
        ]
        caps.line_up(tx, brand.campaign.id, grants, today)
        for each in grants:
            assert caps.take(tx, brand.campaign.id, each, today)
            has_begun[who].set()
            has_begun[1 - who].wait(0.2)

    today = deployment.local_now().date()
    works = [lambda w=w: deployment.db.transact(lambda tx: count(tx, w, today)) for w in (0, 1)]
    assert at_once(works) == [None, None]
    assert sorted(tries) == [0, 1], "neither had to be done again"
