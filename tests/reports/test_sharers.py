"""Who brings people in, by purchases that stand."""

import sqlalchemy as sa

from referral import actions, people
from referral.deployment import Deployment
from referral.orders import OrderIn, RefundIn
from referral.reports import sharers
from referral.reports.sharers import Sharer
from referral.risk import VerdictRow
from tests.cast import Brand, Person, cast_of, open_brand


def friend(brand: Brand, number: int) -> Person:
    return Person(brand, people.email(f"friend.{number}@example.com"))


def top(brand: Brand, limit: int = 10) -> list[Sharer]:
    with brand.deployment.db.read() as tx:
        return sharers.top(tx, brand.campaign.id, limit)


def test_those_come_first_through_whom_most_bought_whoever_was_clicked_more(brand: Brand) -> None:
    alice, bob, charlie = cast_of(brand)
    for index, person in enumerate((alice, bob, charlie)):
        person.claim(index)
    for number in range(5):  # many clicks on Alice's link, of whom one buys
        reader = friend(brand, number)
        reader.open(alice.link())
        if number == 0:
            reader.claim(10)
    for number in (11, 12):
        reader = friend(brand, number)
        reader.open(bob.link())
        reader.claim(number)
    assert [(each.customer_id, each.verified, each.open) for each in top(brand)] == [
        (bob.customer, 2, 0),
        (alice.customer, 1, 0),
    ]
    assert len(top(brand, 1)) == 1
    with brand.deployment.db.read() as tx:
        opened = sharers.opened(tx, brand.campaign.id, [alice.customer, bob.customer])
    assert (opened[alice.customer], opened[bob.customer]) == (5, 2)


def test_what_was_refunded_as_a_whole_does_not_stand(deployment: Deployment) -> None:
    rules = [
        {"when": "order", "for": "person", "amount": 20, "least": 2000},
        {"when": "referred_first_order", "for": "referrer", "amount": 50, "least": 2000},
    ]
    brand = open_brand(deployment, rules=rules)
    alice, bob, charlie = cast_of(brand)
    alice.sign_in()
    for name, person in (("A-1", bob), ("A-2", charlie)):
        person.open(alice.link())
        person.sign_in()
        order = {"external_id": name, "customer_id": person.customer, "amount": 5000}
        actions.place_order(deployment, OrderIn.model_validate({**order, "currency": "CNY"}))
    assert [(each.verified, each.open) for each in top(brand)] == [(2, 0)]
    for name, amount, expected in (("R-1", 4999, (2, 0)), ("R-2", 1, (1, 1))):
        refund = RefundIn.model_validate({"external_id": name, "amount": amount})
        actions.refund_order(deployment, "A-1", refund)
        assert [(each.verified, each.open) for each in top(brand)] == [expected]


def test_what_is_held_or_looked_at_is_not_verified_until_it_is(brand: Brand) -> None:
    alice, bob, _ = cast_of(brand)
    alice.claim(0)
    bob.open(alice.link())
    claimed = bob.claim(1)
    event = f"claim:{claimed.claim.id}"
    for decision, state, verified in (
        ("pay", None, 1),
        ("review", "open", 0),
        ("hold", "held", 0),
        ("hold", "accepted", 1),
        ("pay", "reversed", 0),
    ):
        brand.deployment.db.transact(
            lambda tx, d=decision, s=state: tx.execute(
                sa.update(VerdictRow)
                .where(VerdictRow.event == event)
                .values(decision=d, case_state=s)
            )
        )
        [found] = top(brand)
        assert (found.verified, found.open) == (verified, 1 - verified), (decision, state)
