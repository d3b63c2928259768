"""What a rule set would have paid, against what was paid and against sums by hand."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from referral import actions, people
from referral.campaigns import Campaign
from referral.clock import HeldClock
from referral.deployment import Deployment
from referral.orders import OrderIn
from referral.reports.dry_run import DryRun, Promise, dry_run
from referral.reports.purchases import Scope
from referral.rewards import Rule, draws
from tests.cast import Brand, Person, cast_of, open_brand
from tests.conftest import START

SHANGHAI = ZoneInfo("Asia/Shanghai")
END = START + timedelta(days=60)
EVERYTHING: list[dict[str, Any]] = [
    {"when": "claim", "for": "person", "amount": 20, "limits": {"per_person_per_day": 2}},
    {"when": "referred_first_claim", "for": "both", "amount": 50},
    {
        "when": "referred_first_purchase",
        "least": 400,
        "for": "referrer",
        "amount": {"tiers": [{"from": 1, "amount": 5}, {"from": 2, "amount": 9}]},
    },
    {
        "when": "nth_referral",
        "for": "referrer",
        "amount": 30,
        "nth": 2,
        "every": True,
        "least": 400,
    },
    {
        "when": "nth_claim",
        "for": "person",
        "amount": 40,
        "nth": 3,
        "every": True,
        "within_days": 20,
    },
    {"when": "order", "for": "person", "amount": {"basis_points": 500, "cap": 30}},
    {
        "when": "claim",
        "for": "person",
        "amount": {"odds": [{"per_million": 400_000, "amount": 7}]},
        "limits": {"total": 5},
    },
]


def rules(listed: Sequence[dict[str, Any]]) -> list[Rule]:
    return [Rule.model_validate(rule) for rule in listed]


def of_own_rules(deployment: Deployment, campaign: Campaign) -> DryRun:
    promise = Promise(
        campaign.checked_rules,
        campaign.all_budgets,
        campaign.currency,
        draws.roll_of(deployment.keys, campaign.draw_seed_encrypted),
    )
    now = deployment.clock.now()
    scope = Scope(campaign.starts_at, now + timedelta(seconds=1), campaign.id)
    with deployment.db.read() as tx:
        return dry_run(tx, scope, promise, SHANGHAI)


def a_busy_month(brand: Brand, clock: HeldClock) -> list[Person]:
    """Alice brings in Bob and others, who claim again and again; some order in the shop."""
    alice, bob, charlie = cast_of(brand)
    others = [Person(brand, people.email(f"friend.{n}@example.com")) for n in range(4)]
    index = iter(range(400))
    alice.claim(next(index))
    for friend in (bob, *others):
        clock.advance(minutes=7 * 60)
        friend.open(alice.link())
        friend.claim(next(index))
    charlie.claim(next(index))
    for _ in range(3):
        alice.claim(next(index))
    for round_ in range(3):
        clock.advance(days=4, minutes=60 * round_)
        for person in (alice, bob, charlie, *others[:2]):
            person.claim(next(index))
    for n, amount in enumerate((500, 900, 2_000)):
        clock.advance(minutes=60)
        order = OrderIn(
            external_id=f"order-{n}", customer_id=bob.customer, amount=amount, currency="CNY"
        )
        actions.place_order(brand.deployment, order)
    return [alice, bob, charlie, *others]


@pytest.mark.parametrize("budget", [100_000, 600])
def test_a_campaigns_own_rules_come_to_exactly_what_was_paid(
    deployment: Deployment, clock: HeldClock, budget: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # How many win, and so which limits are reached, is the same every time.
    monkeypatch.setattr(draws, "new_seed", lambda: bytes(draws.SEED_BYTES))
    brand = open_brand(
        deployment, rules=EVERYTHING, budget=budget, organiser="Tea House", ends_at=END
    )
    a_busy_month(brand, clock)
    found = of_own_rules(deployment, brand.campaign)
    assert found.purchases == 28
    assert (found.orders, found.first, found.brought_in) == (3, 7, 5)
    assert found.would == found.really
    left = brand.budget_left()
    paid = found.would.by_unit["points"].amount if found.would.by_unit else 0
    assert paid == budget - left
    assert found.withheld["no_win"] > 0
    assert ("limit_reached" in found.withheld) == (budget == 100_000)
    assert ("budget_spent" in found.withheld) == (budget < 100_000)


@pytest.mark.parametrize("for_whom", ["referrer", "person"])
def test_an_nth_referral_is_paid_once_by_the_first_that_brings_it(
    deployment: Deployment, clock: HeldClock, for_whom: str
) -> None:
    nth = {"when": "nth_referral", "for": for_whom, "nth": 2, "amount": 30, "least": 2000}
    brand = open_brand(deployment, rules=[nth])
    alice, bob, _ = cast_of(brand)
    alice.sign_in()
    bob.sign_in()
    bob.open(alice.link())
    small = {"external_id": "o", "amount": 2000, "currency": "CNY", "customer_id": bob.customer}
    actions.place_order(deployment, OrderIn.model_validate(small))
    for index in range(3):
        clock.advance(minutes=1)
        friend = Person(brand, people.email(f"friend.{index}@example.com"))
        friend.open(alice.link())
        friend.claim(index)
    found = of_own_rules(deployment, brand.campaign)
    assert found.would == found.really
    assert [line.times for line in found.would.by_rule] == [1]
