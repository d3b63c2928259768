"""What the tests of orders share: orders and refunds as a shop sends them, and who has what."""

from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck

from referral import actions, coupons, ledger, people, rewards
from referral.actions.ordering import Ordered
from referral.batches import Batch
from referral.deployment import Deployment
from referral.ledger import Kind
from referral.links import Channel
from referral.orders import OrderIn, RefundIn
from referral.rewards import Reward
from tests.cast import Brand, open_brand, publish

PER_ORDER = {"basis_points": 500, "cap": 3000}
"""5 per cent, at most 30 yuan."""
PER_FRIEND = 500
LEAST = 10_000
RULES = [
    {"when": "order", "for": "person", "amount": PER_ORDER},
    {"when": "referred_first_order", "for": "both", "amount": PER_FRIEND, "least": LEAST},
]
AMOUNT = 20_000
SLOW_BUT_FINE = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


@pytest.fixture
def brand(deployment: Deployment) -> Brand:
    return open_brand(deployment, rules=RULES)


def sent(number: str = "A-1", **changes: Any) -> OrderIn:
    body = {"external_id": number, "amount": AMOUNT, "currency": "CNY", **changes}
    return OrderIn.model_validate(body)


def order(deployment: Deployment, number: str = "A-1", **changes: Any) -> Ordered:
    return actions.place_order(deployment, sent(number, **changes))


def refund(deployment: Deployment, amount: int, number: str = "R-1", of: str = "A-1") -> Any:
    return actions.refund_order(deployment, of, RefundIn(external_id=number, amount=amount))


def member(deployment: Deployment, name: str) -> int:
    return actions.add_customer(deployment, [people.external(name)], None)[0]


def token(deployment: Deployment, customer: int, slug: str = "spring") -> str:
    link = actions.make_link(deployment, slug, customer, Channel.wechat)
    return deployment.links.token(link)


def balance(deployment: Deployment, kind: Kind, customer: int, unit: str = "points") -> int:
    with deployment.db.read() as tx:
        return ledger.balances(tx, kind, customer).get(unit, 0)


def wallet(deployment: Deployment, customer: int) -> int:
    return balance(deployment, Kind.wallet, customer)


def count(deployment: Deployment, model: Any) -> int:
    with deployment.db.read() as tx:
        return tx.scalar(sa.select(sa.func.count()).select_from(model)) or 0


def give_coupon(deployment: Deployment, customer: int) -> str:
    """A coupon that a claim brought a customer."""
    (code,) = give_coupons(deployment, customer)
    return code


def give_coupons(deployment: Deployment, *customers: int) -> list[str]:
    """A coupon that a claim brought each of these customers."""
    pool = {"slug": "tea", "content": {"en": {"title": "Tea"}}, "value": 100, "currency": "CNY"}
    actions.add_pool(
        deployment, coupons.PoolDraft.model_validate({**pool, "lasts_days": 30}), by="t"
    )
    count = len(customers)
    codes = actions.generate_coupons(deployment, "tea", prefix="TEA", count=count, by="t")
    publish(
        deployment,
        slug="coupons",
        rules=[{"when": "claim", "for": "person", "what": "coupon", "of": "tea", "amount": 1}],
        budgets={"coupon:tea": count},
    )
    with deployment.db.read() as tx:
        batch = tx.scalars(sa.select(Batch)).one()
    for index, customer in enumerate(customers, start=1):
        claimed = actions.claim(deployment, deployment.codes.encode(batch, index), customer)
        assert [each.unit for each in claimed.rewards] == ["coupon:tea"]
    return codes


def reread(deployment: Deployment, ordered: Ordered) -> list[Reward]:
    with deployment.db.read() as tx:
        return rewards.of_event(tx, ordered.order.event)
