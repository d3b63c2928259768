"""The referral tree added up: what a count by hand gives, whatever happens in which order."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from referral import actions
from referral.batches import Batch
from referral.catalog import Product
from referral.claims import Claim
from referral.clock import HeldClock
from referral.config import ValueSettings
from referral.db import one_moment
from referral.deployment import Deployment
from referral.graph import Referral
from referral.orders import Order
from referral.people import Customer, Visitor
from referral.rollups import last_days, tallies, tree
from referral.rollups.last_days import LastDay
from referral.rollups.tree import TreeChange, TreeSum
from referral.rollups.tree_state import TREE_DAY
from referral.rollups.tree_sums import NOTHING, Sums
from referral.visits import Kind, Visit, VisitRow, new_event_id
from tests.cast import cast_of, open_brand
from tests.races import overtaken

SLOW_BUT_FINE = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
"""Each example is rolled back, so that one database does for all of them."""
SETTINGS = ValueSettings()
NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
DAY = timedelta(days=1)
PRICE = 2_000


def fold_all(tx: Session) -> None:
    while tree.fold(tx, SETTINGS):
        pass


def sums(tx: Session, *customers: int) -> list[Sums]:
    found = tree.sums_of(tx, customers, tree.since(tx, SETTINGS))
    return [found[each] for each in customers]


def pairs(tx: Session, statement: sa.Select[Any]) -> dict[int, Any]:
    return dict(tx.execute(statement).all())


def wrong(tx: Session) -> list[str]:
    return list(tree.differences(tx, SETTINGS))


# What people do, straight into the tables


class World:
    """Customers 1 to `size` of one brand, and what they do."""

    def __init__(self, tx: Session, size: int) -> None:
        self.tx = tx
        made = [{"id": n, "created_at": NOW} for n in range(1, size + 1)]
        tx.execute(sa.insert(Customer), made)
        tx.execute(
            sa.insert(Visitor),
            [{"id": n, "customer_id": n, "created_at": NOW} for n in range(1, size + 1)],
        )
        batch = tx.execute(sa.select(Batch.id, Product.price).join(Product)).one()
        self.batch, self.price = batch
        self._code = 0
        self._order = 0

    def settle(self, customer: int, referrer: int | None) -> None:
        row = {"customer_id": customer, "referrer_id": referrer, "event": f"claim:{customer}"}
        self.tx.execute(sa.insert(Referral.__table__), {**row, "why": {}, "at": NOW})

    def move(self, customer: int, referrer: int | None) -> None:
        moved = sa.update(Referral).where(Referral.customer_id == customer)
        self.tx.execute(moved.values(referrer_id=referrer))

    def leave(self, customer: int) -> None:
        self.tx.execute(sa.delete(Referral).where(Referral.customer_id == customer))

    def claim(self, customer: int, at: datetime) -> None:
        self._code += 1
        row = {"batch_id": self.batch, "index": self._code, "customer_id": customer, "at": at}
        self.tx.execute(sa.insert(Claim.__table__), row)

    def order(self, customer: int, amount: int, at: datetime, currency: str = "CNY") -> int:
        self._order += 1
        row = {
            "external_id": f"S-{self._order}",
            "customer_id": customer,
            "is_guest": False,
            "amount": amount,
            "currency": currency,
            "refunded": 0,
            "gtins": [],
            "unpaid": "no-campaign",
            "at": at,
            "reported_at": at,
        }
        made = self.tx.execute(sa.insert(Order.__table__).returning(Order.id), row)
        return int(made.scalar_one())

    def refund(self, order: int, amount: int) -> None:
        changed = sa.update(Order).where(Order.id == order)
        self.tx.execute(changed.values(refunded=Order.refunded + amount))

    def seen(self, visitor: int, day: datetime) -> None:
        self.tx.merge(LastDay(visitor_id=visitor, day=day))
        self.tx.flush()


def by_hand(tx: Session, day: datetime) -> dict[int, Sums]:
    """Everybody's sums, each purchase and each person one by one."""
    above = pairs(tx, sa.select(Referral.customer_id, Referral.referrer_id))
    price = pairs(tx, sa.select(Batch.id, Product.price).join(Product))
    claimed = tx.execute(sa.select(Claim.customer_id, Claim.batch_id, Claim.at)).all()
    ordered = tx.execute(sa.select(*Order.__table__.c)).all()
    owners = pairs(tx, sa.select(Visitor.id, Visitor.customer_id))
    seen = [(owners.get(v), last) for v, last in pairs(tx, sa.select(*LastDay.__table__.c)).items()]
    did = [(who, at) for who, _, at in claimed] + [(o.customer_id, o.at) for o in ordered] + seen
    bought = [(who, at) for who, _, at in claimed]
    bought += [(o.customer_id, o.at) for o in ordered if o.refunded < o.amount]
    spent = [(who, price[batch]) for who, batch, _ in claimed]
    spent += [(o.customer_id, o.amount - o.refunded) for o in ordered if o.currency == "CNY"]

    def below(who: int) -> Iterator[int]:
        for child, parent in above.items():
            if parent == who:
                yield child
                yield from below(child)

    found = {}
    for who in {*above, *above.values()} - {None}:
        everybody = list(below(who))
        found[who] = Sums(
            direct=sum(parent == who for parent in above.values()),
            total=len(everybody),
            active=len({one for one, at in did if at >= day - 90 * DAY} & set(everybody)),
            paying=len({one for one, at in bought if at >= day - 365 * DAY} & set(everybody)),
            value=sum(amount for one, amount in spent if one in everybody),
        )
    return found


@pytest.fixture
def stocked(deployment: Deployment) -> Deployment:
    """A brand with a product and a batch of it."""
    return open_brand(deployment).deployment


PEOPLE = 7
who = st.integers(1, PEOPLE)
ago = st.integers(0, 400)
happenings = st.lists(
    st.one_of(
        st.tuples(st.just("settle"), who, st.none() | who),
        st.tuples(st.just("move"), who, st.none() | who),
        st.tuples(st.just("leave"), who),
        st.tuples(st.just("claim"), who, ago),
        st.tuples(st.just("order"), who, st.integers(1, 9_000), ago),
        st.tuples(st.just("foreign"), who, ago),
        st.tuples(st.just("refund"), st.integers(0, 5), st.booleans()),
        st.tuples(st.just("seen"), who, ago),
        st.tuples(st.just("sign in"), who, who),
        st.tuples(st.just("fold"), st.integers(1, 4)),
        st.tuples(st.just("later"), st.integers(1, 120)),
    ),
    max_size=30,
)


def happen(  # noqa: C901 - one case each
    world: World, orders: list[tuple[int, int]], each: tuple[Any, ...], now: datetime
) -> None:
    tx = world.tx
    above = pairs(tx, sa.select(Referral.customer_id, Referral.referrer_id))

    def closes_circle(customer: int, referrer: int | None) -> bool:
        seen = {customer}
        while referrer is not None:
            if referrer in seen:
                return True
            seen.add(referrer)
            referrer = above.get(referrer)
        return False

    match each:
        case ("settle", customer, referrer) if customer not in above:
            if not closes_circle(customer, referrer):
                world.settle(customer, referrer)
        case ("move", customer, referrer) if customer in above:
            if not closes_circle(customer, referrer):
                world.move(customer, referrer)
        case ("leave", customer):
            world.leave(customer)
        case ("claim", customer, days):
            world.claim(customer, now - days * DAY)
        case ("order", customer, amount, days):
            orders.append((world.order(customer, amount, now - days * DAY), amount))
        case ("foreign", customer, days):
            world.order(customer, 700, now - days * DAY, "USD")
        case ("refund", which, is_all) if which < len(orders):
            order, amount = orders.pop(which)
            world.refund(order, amount if is_all else (amount + 1) // 2)
        case ("seen", visitor, days):
            world.seen(visitor, now - days * DAY)
        case ("sign in", visitor, customer):
            signed_in = sa.update(Visitor).where(Visitor.id == visitor)
            tx.execute(signed_in.values(customer_id=customer))
        case ("fold", most):
            tree.fold(tx, SETTINGS, most)


@settings(max_examples=40, suppress_health_check=SLOW_BUT_FINE)
@given(happenings)
def test_sums_are_what_a_count_by_hand_gives(
    stocked: Deployment, happened: Sequence[tuple[Any, ...]]
) -> None:
    """Purchases, refunds, scans and moves of anybody, time that goes by, and folding in between."""
    now = NOW
    with Session(stocked.db.engine) as tx:
        world, orders = World(tx, PEOPLE), list[tuple[int, int]]()
        tree.advance(tx, now)
        for each in happened:
            if each[0] == "later":
                now += each[1] * DAY
                tree.advance(tx, now)
            happen(world, orders, each, now)
        expected = by_hand(tx, tallies.until(tx, TREE_DAY))
        everybody = range(1, PEOPLE + 1)
        for _ in range(2):
            assert sums(tx, *everybody) == [expected.get(one, NOTHING) for one in everybody]
            assert wrong(tx) == []
            fold_all(tx)
        assert tx.scalar(sa.select(sa.func.count()).select_from(TreeChange)) == 0
        before = tx.execute(sa.select(*TreeSum.__table__.c).order_by("customer_id")).all()
        tree.recount(tx, SETTINGS)
        after = tx.execute(sa.select(*TreeSum.__table__.c).order_by("customer_id")).all()
        assert [tuple(row) for row in before] == [tuple(row) for row in after]
        tx.rollback()


# Through the service


def test_who_was_brought_in_counts_at_once(deployment: Deployment) -> None:
    alice, bob, charlie = cast_of(open_brand(deployment))
    alice.claim(0)
    bob.open(alice.link())
    bob.claim(1)
    charlie.open(bob.link())
    charlie.claim(2)
    asked = [alice.customer, bob.customer, charlie.customer]
    for _ in range(2):
        with deployment.db.read() as tx:
            found = sums(tx, *asked)
        assert found[0] == Sums(direct=1, total=2, active=2, paying=2, value=2 * PRICE)
        assert found[1] == Sums(direct=1, total=1, active=1, paying=1, value=PRICE)
        assert found[2] == NOTHING
        deployment.db.transact(fold_all)


def test_merged_customers_are_counted_as_one(deployment: Deployment) -> None:
    alice, bob, charlie = cast_of(open_brand(deployment))
    alice.claim(0)
    bob.open(alice.link())
    bob.claim(1)
    charlie.open(alice.link())
    charlie.claim(2)
    deployment.db.transact(fold_all)
    actions.merge_customers(
        deployment, bob.customer, charlie.customer, keep=bob.customer, by="tests", reason="one"
    )
    with deployment.db.read() as tx:
        [found] = sums(tx, alice.customer)
        assert found == Sums(direct=1, total=1, active=1, paying=1, value=2 * PRICE)
        assert wrong(tx) == []


def test_time_alone_ends_being_active_and_paying(deployment: Deployment, clock: HeldClock) -> None:
    alice, bob, _ = cast_of(open_brand(deployment))
    alice.claim(0)
    bob.open(alice.link())
    bob.claim(1)
    told = []
    for days in (90, 1, 274, 1):
        clock.advance(days=days)
        actions.follow_tree(deployment)
        with deployment.db.read() as tx:
            [found] = sums(tx, alice.customer)
            assert wrong(tx) == []
        told.append((found.total, found.active, found.paying))
    assert told == [(1, 1, 1), (1, 0, 1), (1, 0, 1), (1, 0, 0)]


def test_whoever_scanned_or_shared_is_active_once_the_day_is_over(
    deployment: Deployment, clock: HeldClock
) -> None:
    alice, bob, _ = cast_of(open_brand(deployment))
    alice.claim(0)
    bob.open(alice.link())
    bob.claim(1)
    clock.advance(days=120)
    now = clock.now()
    visits = [
        Visit(Kind.scan, now, new_event_id(now), visitor=bob.visitor),
        Visit(Kind.open, now, new_event_id(now), visitor=alice.visitor),
    ]
    deployment.db.transact(lambda tx: add_visits(tx, visits))
    told = []
    for days in (0, 2, 1, 90):
        clock.advance(days=days)
        actions.follow_tree(deployment)
        with deployment.db.read() as tx:
            told.append(sums(tx, alice.customer)[0].active)
            assert list(last_days.differences(tx)) == []
            assert wrong(tx) == []
    assert told == [0, 0, 1, 0], "two days later it is known, and after 90 it is long ago"


def add_visits(tx: Session, visits: Sequence[Visit]) -> None:
    rows = [
        {
            "event_id": each.event_id,
            "kind": each.kind,
            "at": each.at,
            "visitor_id": each.visitor,
            "channel": "unknown",
        }
        for each in visits
    ]
    tx.execute(sa.insert(VisitRow.__table__), rows)


@pytest.mark.parametrize(
    ("purchases", "value"), [("both", PRICE + 1_000), ("claims", PRICE), ("orders", 1_000)]
)
def test_what_counts_as_a_purchase_is_what_the_brand_says(
    stocked: Deployment, purchases: str, value: int
) -> None:
    said = replace(SETTINGS, purchases=purchases)
    with Session(stocked.db.engine) as tx:
        world = World(tx, 2)
        world.settle(1, None)
        world.settle(2, 1)
        world.claim(2, NOW)
        world.order(2, 1_000, NOW)
        found = tree.sums_of(tx, [1], tree.since(tx, said))[1]
        assert (found.value, found.paying) == (value, 1)
        tx.rollback()


def test_whoever_gave_everything_back_is_not_paying(stocked: Deployment) -> None:
    with Session(stocked.db.engine) as tx:
        world = World(tx, 2)
        world.settle(1, None)
        world.settle(2, 1)
        order = world.order(2, 1_000, NOW)
        world.refund(order, 400)
        assert sums(tx, 1) == [Sums(1, 1, 1, 1, 600)]
        tree.fold(tx, SETTINGS)
        world.refund(order, 600)
        assert sums(tx, 1) == [Sums(1, 1, 1, 0, 0)]
        tx.rollback()


# Folding and mending


def test_only_one_folds_and_nobody_waits(deployment: Deployment) -> None:
    alice, bob, _ = cast_of(open_brand(deployment))
    alice.claim(0)
    bob.open(alice.link())
    bob.claim(1)

    def fold(tx: Session) -> int:
        return tree.fold(tx, SETTINGS)

    notes, other = overtaken(deployment.db, fold, lambda: deployment.db.transact(fold))
    assert (notes > 0, other) == (True, 0)
    with deployment.db.read() as tx:
        assert sums(tx, alice.customer)[0].total == 1


def test_wrong_sums_are_found_and_mended(stocked: Deployment) -> None:
    def spoil(tx: Session) -> None:
        world = World(tx, 3)
        world.settle(1, None)
        world.settle(2, 1)
        world.claim(2, NOW)
        fold_all(tx)
        tx.execute(sa.update(TreeSum).where(TreeSum.customer_id == 1).values(value=7))
        tx.execute(sa.update(TreeSum).where(TreeSum.customer_id == 2).values(active_at=NOW - DAY))
        stray = {**dict.fromkeys(Sums._fields, 0), "customer_id": 99, "worth": 0}
        flags = dict.fromkeys(("is_settled", "is_active", "is_paying"), False)
        tx.execute(sa.insert(TreeSum), {**stray, **flags})

    stocked.db.transact(spoil)
    with stocked.db.read() as tx:
        one_moment(tx)
        found = list(actions.tree_differences(tx, stocked))
    assert len(found) == 3
    assert "1 has Sums(direct=1, total=1, active=1, paying=1, value=2000) below" in found[0]
    assert "2 was active and bought last at other times" in found[1]
    assert "99 is counted and not in the tree" in found[2]
    actions.recount_tree(stocked)
    with stocked.db.read() as tx:
        assert wrong(tx) == []
