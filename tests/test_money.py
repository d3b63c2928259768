"""Money under any sequence of events: the service against a small model, after every step.

Claims, orders, refunds, holds, expiries, redemptions, reversals, new keys and merges of customers,
in any order: sums are zero, balances are what was posted, nothing is paid twice and limits hold.
"""

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import redis
import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from referral import actions, graph, ledger, orders, people, risk
from referral.actions.redeeming import NotEnoughPoints
from referral.actions.reversing import reverse
from referral.clock import HeldClock
from referral.deployment import Deployment, open_deployment
from referral.ledger import Kind
from referral.orders import OrderIn, RefundIn
from referral.redemption import items
from referral.redemption.items import ItemDraft
from referral.rewards import Reason, Reward, Withheld
from referral.risk import Mode
from tests.cast import Person, open_brand
from tests.conftest import START
from tests.servers import empty_tables
from tests.wallet_model import BUDGETS, PRICE, RULES, STOCK, Model, Voucher

PEOPLE = st.integers(0, 4)
Fresh = Callable[[], None]


class Money(RuleBasedStateMachine):
    """Five people, one campaign, and the model beside them."""

    deployment: Deployment
    clock: HeldClock
    fresh: Fresh

    orders = Bundle("orders")
    claims = Bundle("claims")
    vouchers = Bundle("vouchers")

    @initialize()
    def begin(self) -> None:
        self.fresh()
        self.clock.set(START)
        self.model = Model()
        self.number = 0
        self.d = self.deployment
        for each in risk.RULES:  # what risk refuses and holds has tests of its own
            actions.set_risk_rule(self.d, each.id, Mode.off, by="tests")
        terms = {"rules": RULES, "budget": BUDGETS["points"], "budgets": {"CNY": BUDGETS["CNY"]}}
        end = START + timedelta(days=3650)
        self.brand = open_brand(self.d, **terms, hold_days=2, lasts_days=10, ends_at=end)
        cup = {"slug": "cup", "titles": {"en": "Cup"}, "price": PRICE, "stock": STOCK}
        more = {"value": 30, "currency": "CNY", "voucher_days": 365}
        actions.add_item(self.d, ItemDraft.model_validate(cup | more), by="tests")
        self.cast = [Person(self.brand, people.phone(f"138 0013 82{n:02d}")) for n in range(5)]
        for person in self.cast:
            person.sign_in()

    def teardown(self) -> None:
        if self.d is not self.deployment:
            self.d.db.close()

    def next_number(self) -> int:
        self.number += 1
        return self.number

    @rule(who=PEOPLE, whose=PEOPLE)
    def open_a_link(self, who: int, whose: int) -> None:
        self.cast[who].open(self.cast[whose].link())

    @rule(who=PEOPLE, target=claims)
    def claim(self, who: int) -> Any:
        person, index = self.cast[who], self.next_number()
        claimed = person.claim(index)
        withheld = self.model.claim(
            person.customer, claimed.claim.id, claimed.referrer, self.clock.now()
        )
        self.same_withheld(claimed.withheld, withheld)
        again = person.claim(index)
        assert again.already
        assert {each.id for each in again.rewards} == {each.id for each in claimed.rewards}
        return claimed.claim.event

    @rule(who=PEOPLE, amount=st.sampled_from([1, 19, 999, 2000, 3333, 50_000]), target=orders)
    def order(self, who: int, amount: int) -> Any:
        person, external_id = self.cast[who], f"order-{self.next_number()}"
        sent = OrderIn(
            external_id=external_id, customer_id=person.customer, amount=amount, currency="CNY"
        )
        ordered = actions.place_order(self.d, sent)
        withheld = self.model.order(
            person.customer, ordered.order.event, amount, ordered.referrer, self.clock.now()
        )
        self.same_withheld(ordered.withheld, withheld)
        assert actions.place_order(self.d, sent).already
        return (external_id, ordered.order.event, amount)

    @rule(order=orders, part=st.integers(1, 3), of=st.integers(1, 3))
    def refund(self, order: tuple[str, str, int], part: int, of: int) -> None:
        external_id, event, amount = order
        rest = amount - self.refunded(external_id)
        share = rest * min(part, of) // of
        if not share:
            return
        sent = RefundIn(external_id=f"refund-{self.next_number()}", amount=share)
        actions.refund_order(self.d, external_id, sent)
        self.model.take_back(event, Fraction(amount - rest + share, amount))
        assert actions.refund_order(self.d, external_id, sent).already

    def refunded(self, external_id: str) -> int:
        with self.d.db.read() as tx:
            return orders.order_by_number(tx, external_id).refunded

    @rule(event=claims)
    def find_abuse(self, event: str) -> None:
        now, key = self.clock.now(), f"abuse|{self.next_number()}"
        self.d.db.transact(
            lambda tx: reverse(tx, event, Fraction(1), Reason.abuse, key=key, now=now)
        )
        self.model.take_back(event, Fraction(1))

    @rule(hours=st.sampled_from([1, 24, 48, 100, 240]))
    def wait_for_the_night(self, hours: int) -> None:
        self.clock.advance(minutes=60 * hours)
        actions.release_rewards(self.d)
        actions.expire_rewards(self.d)
        self.model.pass_nightly(self.clock.now())

    @rule(who=PEOPLE, target=vouchers)
    def redeem(self, who: int) -> Any:
        person, key = self.cast[who], f"press-{self.next_number()}"
        if not self.model.can_redeem(person.customer):
            with pytest.raises((NotEnoughPoints, items.OutOfStock)):
                actions.redeem(self.d, person.customer, "cup", key=key)
            return multiple()
        redeemed = actions.redeem(self.d, person.customer, "cup", key=key)
        self.model.redeem(person.customer, self.clock.now())
        assert actions.redeem(self.d, person.customer, "cup", key=key).already
        return (redeemed.voucher.id, self.model.vouchers[-1])

    @rule(made=consumes(vouchers))
    def undo(self, made: tuple[int, Voucher]) -> None:
        voucher_id, voucher = made
        if (self.clock.now() - voucher.made_at).days >= 1:
            return
        actions.undo_redemption(self.d, voucher_id, reason="a slip", by="tests")
        self.model.undo(voucher, self.clock.now())
        assert actions.undo_redemption(self.d, voucher_id, reason="a slip", by="tests").already

    @rule(who=PEOPLE, other=PEOPLE)
    def merge(self, who: int, other: int) -> None:
        one, two = self.cast[who].customer, self.cast[other].customer
        if self.model.current(one) == self.model.current(two):
            return
        merged = actions.merge_customers(self.d, one, two, by="tests", reason="one person")
        assert merged.gone is not None
        with self.d.db.read() as tx:
            referrer = graph.referrer_of(tx, merged.kept)
        self.model.merge(merged.kept, merged.gone, referrer)
        again = actions.merge_customers(self.d, two, one, by="tests", reason="one person")
        assert again.gone is None

    @rule()
    def rotate_keys(self) -> None:
        keys = (*self.d.config.secret_keys, f"a-new-key-for-the-tests-{self.next_number()}")
        new = open_deployment(replace(self.d.config, secret_keys=keys), clock=self.clock)
        self.teardown()
        self.d = self.brand.deployment = new

    def same_withheld(self, found: list[Withheld], expected: list[tuple[str, int]]) -> None:
        assert {(each.rule, each.beneficiary_id) for each in found} == set(expected)

    @invariant()
    def everything_adds_up(self) -> None:
        if not hasattr(self, "model"):
            return
        with self.d.db.read() as tx:
            assert ledger.verify(tx) == []
            found = tx.scalars(sa.select(Reward).order_by(Reward.id)).all()
            stock = items.item_by_slug(tx, "cup").stock
            balances = {
                (kind, number): ledger.balances(tx, kind, number)
                for kind in (Kind.wallet, Kind.pending, Kind.owed)
                for number in {self.model.current(person.customer) for person in self.cast}
            }
            left = ledger.balances(tx, Kind.budget, self.brand.campaign.id)
        rows = [
            (r.event, r.rule, r.holder_id, r.amount, r.left, r.taken_back, r.lapsed, r.state)
            for r in found
        ]
        assert sorted(rows) == sorted(
            (
                lot.event,
                lot.rule,
                lot.holder,
                lot.amount,
                lot.left,
                lot.taken,
                lot.lapsed,
                lot.state,
            )
            for lot in self.model.lots
        )
        for (kind, number), by_unit in balances.items():
            for unit in BUDGETS:
                assert by_unit.get(unit, 0) == self.expected(kind, number, unit), (kind, number)
        assert {unit: left.get(unit, 0) for unit in BUDGETS} == dict(self.model.budget)
        assert stock == self.model.stock

    def expected(self, kind: Kind, number: int, unit: str) -> int:
        if kind is Kind.owed:
            return -self.model.owed[number, unit]
        state = "pending" if kind is Kind.pending else "available"
        return self.model.held(number, unit, state)


@pytest.fixture
def fresh(deployment: Deployment, _sqlite_template: Path) -> Fresh:
    """Empties the database of the test, for the next sequence."""
    engine = deployment.db.engine

    def empty() -> None:
        engine.dispose()
        if deployment.db.is_sqlite:
            path = Path(engine.url.database or "")
            for old in path.parent.iterdir():
                old.unlink()
            shutil.copyfile(_sqlite_template, path)
        else:
            empty_tables(deployment.config.database_url)
            with redis.Redis.from_url(str(deployment.config.redis_url)) as connection:
                connection.flushdb()  # what was counted against limits

    return empty


def run_sequences(
    deployment: Deployment, clock: HeldClock, fresh: Fresh, count: int, steps: int
) -> None:
    class Machine(Money):
        pass

    Machine.deployment, Machine.clock, Machine.fresh = deployment, clock, staticmethod(fresh)
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=count,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_money_is_as_the_model_says(deployment: Deployment, clock: HeldClock, fresh: Fresh) -> None:
    run_sequences(deployment, clock, fresh, count=8, steps=30)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(10))
def test_money_is_as_the_model_says_for_long(
    deployment: Deployment, clock: HeldClock, fresh: Fresh, part: int
) -> None:
    """With both databases 2,000 sequences of 50 steps."""
    run_sequences(deployment, clock, fresh, count=100, steps=50)
