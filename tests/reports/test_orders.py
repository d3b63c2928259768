"""Orders as they are looked at: in lists, in a campaign's figures, on a buyer's own page."""

from typing import Any

import pytest

from referral import actions, people
from referral.deployment import Deployment
from referral.links import Channel
from referral.orders import OrderIn, RefundIn
from referral.reports import campaigns as figures
from referral.reports import orders as report
from tests.cast import Brand, open_brand

RULES = [
    {"when": "order", "for": "person", "amount": {"basis_points": 500, "cap": 3000}},
    {"when": "referred_first_order", "for": "referrer", "amount": 100, "least": 1000},
]


@pytest.fixture
def brand(deployment: Deployment) -> Brand:
    return open_brand(deployment, rules=RULES, budget=250)


def place(brand: Brand, number: str, **changes: Any) -> int:
    body = {"external_id": number, "member_id": "bob", "amount": 2_000, "currency": "CNY"}
    sent = OrderIn.model_validate({**body, **changes})
    return actions.place_order(brand.deployment, sent).order.customer_id


def refund(brand: Brand, amount: int, of: str) -> None:
    actions.refund_order(brand.deployment, of, RefundIn(external_id="R", amount=amount))


def test_orders_come_by_page_the_latest_first(brand: Brand) -> None:
    bob = place(brand, "A-1")
    place(brand, "B-1", member_id="charlie")
    place(brand, "A-2", currency="SGD")
    with brand.deployment.db.read() as tx:
        page = report.listed(tx, limit=2)
        assert [line.order.external_id for line in page.rows] == ["A-2", "B-1"]
        assert [line.campaign_slug for line in page.rows] == [None, "spring"]
        rest = report.listed(tx, offset=page.next or 0, limit=2)
        assert [line.order.external_id for line in rest.rows] == ["A-1"]
        hers = report.listed(tx, customer_id=bob)
        assert [line.order.external_id for line in hers.rows] == ["A-2", "A-1"]
        (one,) = report.listed(tx, number="B-1").rows
    assert one.campaign_title == "Spring together"


def test_orders_of_one_who_was_merged_are_the_kept_ones(brand: Brand) -> None:
    d = brand.deployment
    bob, charlie = place(brand, "A-1"), place(brand, "B-1", member_id="charlie")
    actions.merge_customers(d, bob, charlie, keep=bob, by="tests", reason="one person")
    with d.db.read() as tx:
        for asked in (bob, charlie):
            found = report.listed(tx, customer_id=asked)
            assert [line.order.external_id for line in found.rows] == ["B-1", "A-1"]
        assert report.listed(tx, customer_id=99).rows == []


def test_a_buyers_orders_come_with_what_was_hers_of_them(brand: Brand) -> None:
    d = brand.deployment
    alice, _ = actions.add_customer(d, [people.external("alice")], None)
    via = d.links.token(actions.make_link(d, "spring", alice, Channel.wechat))
    bob = place(brand, "A-1", via=via)
    place(brand, "A-2")
    place(brand, "A-3", amount=50_000)
    with d.db.read() as tx:
        third, second, first = report.of_customer(tx, bob, offset=0, limit=5)
    assert [each.amount for each in first.rewards] == [100]
    assert [each.amount for each in second.rewards] == [50] or second.withheld
    assert (third.rewards, [each.why for each in third.withheld]) == ([], ["budget_spent"])


def test_a_campaigns_cost_is_without_what_refunds_took_back(brand: Brand) -> None:
    place(brand, "A-1")
    refund(brand, 500, "A-1")
    with brand.deployment.db.read() as tx:
        found = figures.metrics(tx, brand.campaign)
    assert (found.orders, found.order_amount, found.refunded_amount) == (1, 2_000, 500)
    assert (found.cost, found.budget_left) == (75, 175)
