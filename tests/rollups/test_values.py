"""What customers are worth: the same as counted one by one, whatever happened in between."""

import random
from datetime import UTC, datetime, timedelta
from math import sqrt
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from referral import actions, people
from referral.claims import Claim
from referral.clock import HeldClock
from referral.deployment import Deployment
from referral.graph import Referral
from referral.orders import Order, OrderIn, RefundIn
from referral.people import Customer
from referral.rollups.customer_values import CustomerValue
from referral.rollups.life import Further, Habits, Quadrant, Stage
from referral.rollups.measures import Measures, measures
from tests.cast import PRICE, Brand, Person, cast_of, open_brand

ZONE = ZoneInfo("Asia/Shanghai")
MARGIN, COST, DISCOUNT = 0.4, 50_000, 0.1


@pytest.fixture
def brand(deployment: Deployment) -> Brand:
    return open_brand(deployment)


def somebody(brand: Brand, number: int) -> Person:
    return Person(brand, people.email(f"somebody.{number}@example.com"))


def bring_in(friend: Person, sharer: Person, index: int) -> None:
    friend.open(sharer.link())
    friend.claim(index)


def order(brand: Brand, person: Person, number: str, amount: int, currency: str = "CNY") -> None:
    sent = {"external_id": number, "customer_id": person.customer}
    told = {**sent, "amount": amount, "currency": currency}
    actions.place_order(brand.deployment, OrderIn.model_validate(told))


def refund(brand: Brand, number: str, amount: int) -> None:
    sent = RefundIn.model_validate({"external_id": f"r-{number}", "amount": amount})
    actions.refund_order(brand.deployment, number, sent)


def rows(brand: Brand) -> dict[int, CustomerValue]:
    with brand.deployment.db.read() as tx:
        return {row.customer_id: row for row in tx.scalars(sa.select(CustomerValue))}


def told(brand: Brand) -> dict[int, tuple[object, ...]]:
    return {
        number: (
            *(row.stage, row.quadrant, row.purchases, row.past, row.year, row.potential),
            *(row.own, row.brought, row.referral),
        )
        for number, row in rows(brand).items()
    }


def kept(brand: Brand) -> Measures:
    with brand.deployment.db.read() as tx:
        found = measures(tx)
    assert found is not None
    return found


def test_stages_are_how_far_somebody_has_come(brand: Brand, clock: HeldClock) -> None:
    d = brand.deployment
    alice, bob, charlie = cast_of(brand)
    alice.claim(0)
    dora, _ = actions.add_customer(d, [people.external("M-1")], None)
    bob.open(alice.link())
    bob.sign_in()
    charlie.claim(1)
    actions.refresh_values(d)
    stages = {number: row.stage for number, row in rows(brand).items()}
    assert stages == {
        alice.customer: "bought",
        dora: "discovered",
        bob.customer: "evaluated",
        charlie.customer: "bought",
    }
    charlie.claim(2)
    actions.refresh_values(d)
    assert rows(brand)[charlie.customer].stage == Stage.bought, "one evening is one occasion"
    clock.advance(days=91)
    charlie.claim(3)
    bob.claim(4)
    actions.refresh_values(d)
    assert rows(brand)[charlie.customer].stage == Stage.used
    assert rows(brand)[alice.customer].stage == Stage.bought, "the link was opened too long ago"
    clock.advance(days=90)
    charlie.claim(5)
    bring_in(somebody(brand, 1), alice, 6)
    actions.refresh_values(d)
    assert rows(brand)[charlie.customer].stage == Stage.bonded
    assert rows(brand)[alice.customer].stage == Stage.advocates


def test_who_scans_another_day_has_used_it(brand: Brand, clock: HeldClock) -> None:
    from referral import intake
    from referral.codes import Label
    from referral.visits import Kind, Visit, new_event_id

    d = brand.deployment
    alice, *_ = cast_of(brand)
    alice.claim(0)

    def scan(index: int) -> None:
        now = d.clock.now()
        visit = Visit(Kind.scan, now, new_event_id(now), visitor=alice.visitor)
        place = {"batch": brand.batch.id, "code_index": index, "label": Label.inner}
        intake.hand_in(d, visit._replace(**place))

    scan(1)
    actions.refresh_values(d, whole=True)
    assert rows(brand)[alice.customer].stage == Stage.bought
    clock.advance(days=2)
    scan(2)
    actions.refresh_values(d, whole=True)
    assert rows(brand)[alice.customer].stage == Stage.used


def test_values_are_in_three_parts_and_refunds_and_other_money_are_left_out(
    brand: Brand, clock: HeldClock
) -> None:
    alice, *_ = cast_of(brand)
    clock.set(datetime(2025, 12, 31, 15, 59, tzinfo=UTC))
    d = brand.deployment
    d.db.transact(
        lambda tx: tx.execute(
            sa.text("UPDATE campaigns SET starts_at = :at"),
            {
                "at": datetime(2025, 1, 1, tzinfo=UTC).replace(tzinfo=None)
                if d.db.is_sqlite
                else datetime(2025, 1, 1, tzinfo=UTC)
            },
        )
    )
    alice.claim(0)  # a minute before midnight, where the brand is
    clock.advance(minutes=1)
    order(brand, alice, "A-1", 10_000)
    order(brand, alice, "A-2", 7_000)
    order(brand, alice, "A-3", 9_900, "USD")
    refund(brand, "A-1", 2_500)
    refund(brand, "A-2", 7_000)
    actions.refresh_values(d)
    row = rows(brand)[alice.customer]
    assert (row.past, row.year, row.potential) == (PRICE * 4 // 10, 7_500 * 4 // 10, 0)
    assert row.own == row.past + row.year
    assert row.purchases == 3, "what is refunded as a whole is no purchase"


def test_those_brought_in_count_with_what_advertising_would_have_cost(brand: Brand) -> None:
    alice, bob, charlie = cast_of(brand)
    alice.claim(0)
    bring_in(bob, alice, 1)
    bring_in(charlie, alice, 2)
    bring_in(somebody(brand, 1), bob, 3)
    actions.refresh_values(brand.deployment)
    found = rows(brand)
    one = COST + PRICE * 4 // 10
    assert (found[alice.customer].brought, found[alice.customer].referral) == (2, 2 * one)
    assert (found[bob.customer].brought, found[bob.customer].referral) == (1, one)
    assert found[charlie.customer].referral == 0


def test_what_is_written_shows_within_the_hour_and_all_the_rest_within_a_day(
    brand: Brand, clock: HeldClock
) -> None:
    d = brand.deployment
    crowd = [somebody(brand, number) for number in range(6)]
    for index, person in enumerate(crowd[:4]):
        person.claim(index)
    order(brand, crowd[0], "A-1", 5_000)
    assert actions.refresh_values(d) == 4
    assert actions.refresh_values(d) == 0
    clock.advance(minutes=60)
    bring_in(crowd[4], crowd[1], 4)
    refund(brand, "A-1", 5_000)
    actions.merge_customers(d, crowd[2].customer, crowd[3].customer, by="olga", reason="one")
    assert crowd[3].customer not in rows(brand)
    crowd[5].sign_in()
    assert actions.refresh_values(d) > 0
    hourly = told(brand)
    actions.refresh_values(d, whole=True)
    whole = told(brand)
    # Only the lines between quadrants move in the whole.
    assert {k: (v[0], *v[2:]) for k, v in hourly.items()} == {
        k: (v[0], *v[2:]) for k, v in whole.items()
    }
    assert set(whole) == {crowd[n].customer for n in (0, 1, 2, 4, 5)}


def test_a_customer_who_is_merged_takes_her_friends_along(brand: Brand, clock: HeldClock) -> None:
    d = brand.deployment
    alice, bob, charlie = cast_of(brand)
    alice.claim(0)
    bring_in(bob, alice, 1)
    bring_in(somebody(brand, 1), bob, 2)
    charlie.claim(3)
    actions.refresh_values(d)
    clock.advance(minutes=120)
    actions.merge_customers(
        d, charlie.customer, bob.customer, by="olga", reason="one", keep=bob.customer
    )
    actions.refresh_values(d)
    hourly = told(brand)
    actions.refresh_values(d, whole=True)
    assert {k: v[6:] for k, v in hourly.items()} == {k: v[6:] for k, v in told(brand).items()}


def test_lines_are_the_medians_and_equal_ones_are_below(brand: Brand) -> None:
    crowd = [somebody(brand, number) for number in range(5)]
    crowd[0].claim(0)
    bring_in(crowd[1], crowd[0], 1)
    crowd[2].claim(2)
    crowd[3].claim(3)
    order(brand, crowd[0], "A-1", 50_000)
    order(brand, crowd[3], "A-2", 40_000)
    crowd[4].sign_in()
    actions.refresh_values(brand.deployment)
    made = kept(brand)
    assert (made.own_line, made.referral_line) == (PRICE * 4 // 10, 0)
    found = rows(brand)
    assert [found[each.customer].quadrant for each in crowd] == [
        *("champions", "misers", "misers", "affluents", ""),
    ]
    assert {name: each.people for name, each in made.quadrants.items()} == {
        "champions": 1,
        "affluents": 1,
        "advocates": 0,
        "misers": 2,
    }
    assert {number for number, _own, _referral in made.sample} == {
        each.customer for each in crowd[:4]
    }


# Against a count that knows nothing of all this


@pytest.mark.parametrize("seed", [1, 2])
def test_values_are_those_of_a_count_from_scratch(
    brand: Brand, clock: HeldClock, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr("referral.rollups.life.CLASS_MIN", 3)
    monkeypatch.setattr("referral.actions.valuing.AT_ONCE", 5)
    lot = random.Random(seed)
    crowd = [somebody(brand, number) for number in range(14)]
    for person in crowd:
        person.sign_in()
    d, used, placed = brand.deployment, 0, 0
    for _ in range(60):
        clock.advance(minutes=lot.randrange(3 * 24 * 60))
        buyer, sharer = lot.sample(crowd, 2)
        if lot.random() < 0.3:
            buyer.open(sharer.link())
        if lot.random() < 0.7 and used < 490:
            buyer.claim(used)
            used += 1
        else:
            order(brand, buyer, f"O-{placed}", lot.randrange(100, 9_000))
            if lot.random() < 0.4:
                with d.db.read() as tx:
                    amount = tx.scalar(
                        sa.select(Order.amount).where(Order.external_id == f"O-{placed}")
                    )
                refund(brand, f"O-{placed}", amount if lot.random() < 0.5 else amount // 2)
            placed += 1
        if lot.random() < 0.1:
            actions.refresh_values(d)
    gone = lot.sample(crowd, 2)
    actions.merge_customers(d, *(each.customer for each in gone), by="olga", reason="one")
    actions.refresh_values(d, whole=True)
    assert told(brand) == counted(brand, clock.now())


def counted(brand: Brand, now: datetime) -> dict[int, tuple[object, ...]]:
    """The same by reading all there is, with fractions, one customer after the other."""
    with brand.deployment.db.read() as tx:
        claims = [(c.customer_id, c.at, PRICE) for c in tx.scalars(sa.select(Claim))]
        orders = [
            (o.customer_id, o.at, o.amount - o.refunded)
            for o in tx.scalars(sa.select(Order))
            if o.amount > o.refunded
        ]
        above = dict(tx.execute(sa.select(Referral.customer_id, Referral.referrer_id)).all())
        there = list(tx.scalars(sa.select(Customer.id).where(Customer.merged_into.is_(None))))
        looked = set(
            tx.execute(
                sa.text(
                    "SELECT customer_id FROM visitors JOIN spread_nodes ON visitor_id = id "
                    "WHERE ran_at IS NOT NULL"
                )
            ).scalars()
        )
    bought = {
        each: sorted((at, a) for who, at, a in claims + orders if who == each) for each in there
    }
    days = int(min((now - min(at for _, at, _ in claims + orders)) / 2, timedelta(days=365)).days)
    cut = now - timedelta(days=days)
    classes: dict[tuple[int, int], list[int]] = {}
    for purchases in bought.values():
        before = [at for at, _ in purchases if at < cut]
        if before:
            of = classes.setdefault(_class(len(before), before[-1], cut), [0, 0])
            of[0] += 1
            of[1] += len(purchases) - len(before)
    own: dict[int, tuple[int, int, int]] = {}
    for each, purchases in bought.items():
        new_year = datetime(now.astimezone(ZONE).year, 1, 1, tzinfo=ZONE)
        past = sum(a for at, a in purchases if at < new_year)
        year = sum(a for at, a in purchases if at >= new_year)
        potential = 0
        if purchases:
            number, since = _class(len(purchases), purchases[-1][0], now)
            for chosen in (
                [n for key, n in classes.items() if key == (number, since)],
                [n for key, n in classes.items() if key[0] == number],
                list(classes.values()),
            ):
                if sum(n[0] for n in chosen) >= 3:
                    rate = sum(n[1] for n in chosen) / sum(n[0] for n in chosen) * 365 / days
                    mean = (past + year) / len(purchases)
                    potential = int(rate * mean * MARGIN / sqrt(1 + DISCOUNT) + 1e-6)
                    break
        own[each] = (past * 4 // 10, year * 4 // 10, potential)
    friends = {each: [f for f, by in above.items() if by == each] for each in there}
    through = {each: sum(COST + sum(own[f]) for f in friends[each]) for each in there}
    placed = [each for each in there if bought[each] or friends[each]]
    lines = [
        sorted(of[each] for each in placed)[(len(placed) - 1) // 2]
        for of in ({k: sum(v) for k, v in own.items()}, through)
    ]
    names = {
        (True, True): Quadrant.champions,
        (True, False): Quadrant.affluents,
        (False, True): Quadrant.advocates,
        (False, False): Quadrant.misers,
    }
    return {
        each: (
            _stage(bought[each], bool(friends[each]), each in looked),
            names[sum(own[each]) > lines[0], through[each] > lines[1]].value
            if each in placed
            else "",
            len(bought[each]),
            *own[each],
            sum(own[each]),
            len(friends[each]),
            through[each],
        )
        for each in there
    }


def _class(purchases: int, last: datetime, now: datetime) -> tuple[int, int]:
    since = (now - last) / timedelta(days=1)
    return min(purchases, 5), len([end for end in (30, 90, 180, 365) if since > end])


def _stage(purchases: list[tuple[datetime, int]], is_referrer: bool, has_looked: bool) -> str:
    if is_referrer:
        return "advocates"
    if not purchases:
        return "evaluated" if has_looked else "discovered"
    for earlier, _ in purchases:
        for later, _ in purchases:
            is_other_day = later.astimezone(ZONE).date() != earlier.astimezone(ZONE).date()
            if is_other_day and timedelta(0) < later - earlier <= timedelta(days=90):
                return "bonded"
    dates = {at.astimezone(ZONE).date() for at, _ in purchases}
    return "used" if len(dates) > 1 else "bought"


def test_a_class_of_few_is_taken_with_the_next_larger_one() -> None:
    habits = Habits(100, {(1, 0): Further(5, 1), (1, 4): Further(30, 3), (2, 0): Further(4, 4)})
    assert habits.further((1, 4)) == Further(30, 3)
    assert habits.further((1, 0)) == Further(35, 4)
    assert habits.further((2, 0)) == Further(39, 8)
    assert Habits(100, {(1, 0): Further(19, 9)}).further((1, 0)) == Further()
