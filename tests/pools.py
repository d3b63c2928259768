"""Pools of coupons, a brand that gives from one, and what becomes of a coupon."""

from fractions import Fraction
from typing import Any

from sqlalchemy.orm import Session

from referral import actions, coupons, ledger, people
from referral.coupons import CouponState, Held, PoolDraft
from referral.coupons.lists import Listed
from referral.deployment import Deployment
from referral.orders import OrderIn
from referral.rewards import Reason, take_back
from tests.cast import Brand, add_product, issue, publish

TITLE = {"zh-Hans": {"title": "满减十元", "how_to": "结账时出示。"}, "en": {"title": "10 yuan off"}}
RULES = [{"when": "claim", "for": "person", "what": "coupon", "of": "tea", "amount": 1}]


def pool_draft(**changes: Any) -> PoolDraft:
    said = {"slug": "tea", "content": TITLE, "value": 1000, "currency": "CNY", "lasts_days": 30}
    return PoolDraft.model_validate({**said, **changes})


def listed(*codes: str) -> list[Listed]:
    return [Listed(line, code) for line, code in enumerate(codes, start=1)]


def add_pool(deployment: Deployment, *codes: str, **changes: Any) -> None:
    draft = pool_draft(**changes)
    actions.add_pool(deployment, draft, by="tests")
    if codes:
        actions.add_coupons(deployment, draft.slug, listed(*codes), by="tests")


def open_with(deployment: Deployment, *codes: str, budget: int = 100, **terms: Any) -> Brand:
    """A brand whose campaign gives a coupon for every claim."""
    add_pool(deployment, *codes)
    terms = {"rules": RULES, "budget": 0, "budgets": {"coupon:tea": budget}, **terms}
    product = add_product(deployment, price=20_000)
    return Brand(deployment, product, issue(deployment), publish(deployment, **terms))


def find(deployment: Deployment, code: str) -> Held:
    with deployment.db.read() as tx:
        return coupons.find(tx, deployment.keys, code)


def state(deployment: Deployment, code: str) -> CouponState:
    return find(deployment, code).state_at(deployment.clock.now())


def use(deployment: Deployment, code: str, by: str) -> Held:
    now = deployment.clock.now()

    def work(tx: Session) -> Held:
        holder = coupons.holder_of(tx, deployment.keys, code)
        if holder:
            people.lock_customer(tx, holder)
        return coupons.use(tx, deployment.keys, code, by=by, now=now)

    return deployment.db.transact(work)


def order(deployment: Deployment, number: str, code: str, amount: int = 5000) -> None:
    """An order, in yuan, that names a coupon."""
    sent = {"external_id": number, "amount": amount, "currency": "CNY", "coupon": code}
    actions.place_order(deployment, OrderIn.model_validate(sent))


def undo(deployment: Deployment, event: str) -> None:
    now = deployment.clock.now()
    deployment.db.transact(
        lambda tx: take_back(tx, event, Fraction(1), Reason.refunded, key=f"undo|{event}", now=now)
    )


def balance(deployment: Deployment, kind: ledger.Kind, owner: int) -> int:
    with deployment.db.read() as tx:
        return ledger.balances(tx, kind, owner).get("coupon:tea", 0)
