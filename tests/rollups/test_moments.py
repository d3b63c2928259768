"""Moments counted by the database are what a look at every single event says, on random people."""

import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral import actions, intake, people, rollups
from referral.batches import Batch
from referral.claims import Claim
from referral.clock import HeldClock
from referral.codes import Label
from referral.deployment import Deployment
from referral.graph import Referral
from referral.orders import Order, OrderIn
from referral.people import Visitor
from referral.rollups import moments
from referral.rollups.milestones import APART, Milestones
from referral.rollups.moments import ALL, BEFORE, LATE, WAITING, Moment
from referral.rollups.sharers import Sharer
from referral.visits import Kind, SeenCode, Visit, new_event_id
from tests.cast import OTHER_GTIN, Brand, Person, add_product, issue, open_brand

Key = tuple[int, int, int, datetime, int]


@pytest.fixture
def brand(deployment: Deployment) -> Brand:
    return open_brand(deployment)


def scan(
    brand: Brand, person: Person, batch: Batch, index: int, label: Label = Label.inner
) -> None:
    now = brand.deployment.clock.now()
    intake.hand_in(
        brand.deployment,
        Visit(
            Kind.scan,
            now,
            new_event_id(now),
            visitor=person.visitor,
            campaign=brand.campaign.id,
            batch=batch.id,
            code_index=index,
            label=label,
        ),
    )


def share(brand: Brand, person: Person) -> None:
    now = brand.deployment.clock.now()
    where = {"visitor": person.visitor, "campaign": brand.campaign.id}
    intake.hand_in(brand.deployment, Visit(Kind.share, now, new_event_id(now), **where))


def order(brand: Brand, person: Person, number: int, ago: timedelta = timedelta(0)) -> None:
    sent = {
        "external_id": f"A-{number}",
        "customer_id": person.customer,
        "amount": 1000,
        "currency": "CNY",
        "at": brand.deployment.clock.now() - ago,
    }
    actions.place_order(brand.deployment, OrderIn.model_validate(sent))


def kept(d: Deployment) -> Counter[Key]:
    names = ("moment", "product_id", "batch_id", "month", "step", "count")
    columns = [getattr(moments.MomentCount, name) for name in names]
    with d.db.read() as tx:
        return Counter(
            {tuple(row[:-1]): row[-1] for row in tx.execute(sa.select(*columns)) if row[-1]}
        )


def by_hand(d: Deployment) -> Counter[Key]:
    """The same, event by event."""
    with d.db.read() as tx:
        end = moments.counted_until(tx)
        assert end is not None
        batches = {each.id: each.product_id for each in tx.scalars(sa.select(Batch))}
        found: Counter[Key] = Counter()
        for moment, batch, begin, came in [*packages(tx, end), *customers(tx, end)]:
            month = datetime(begin.year, begin.month, 1, tzinfo=UTC)
            step = (
                WAITING
                if came is None
                else BEFORE
                if came < begin
                else moments.step_of((came - begin).total_seconds())
            )
            for product, of in ((batches[batch], batch), (batches[batch], ALL), (ALL, ALL)):
                found[moment, product, of, month, step] += 1
    return found


def packages(tx: Session, end: datetime) -> list[tuple[Any, ...]]:
    claimed = {(each.batch_id, each.index): each.at for each in tx.scalars(sa.select(Claim))}
    first: dict[tuple[int, int], datetime] = {}
    for seen in tx.scalars(sa.select(SeenCode)):
        key = (seen.batch_id, seen.index)
        first[key] = min(seen.first_at, first.get(key, seen.first_at))
    rows = []
    for key, at in first.items():
        claim = claimed.get(key)
        claim = claim if claim is not None and claim < end else None
        if at < end and (claim is None or claim >= at):
            rows.append((Moment.claim, key[0], at, claim))
    return rows


def customers(tx: Session, end: datetime) -> list[tuple[Any, ...]]:
    rows = []
    claims = tx.scalars(sa.select(Claim).where(Claim.at < end).order_by(Claim.at, Claim.id)).all()
    for who in {claim.customer_id for claim in claims}:
        own = [claim for claim in claims if claim.customer_id == who]
        orders = tx.scalars(
            sa.select(Order).where(Order.customer_id == who, Order.reported_at < end)
        )
        bought = [claim.at for claim in own] + [each.at for each in orders]
        begin = own[0].at
        again = [at for at in bought if at >= begin + APART]
        shares = tx.scalars(
            sa.select(Sharer.at)
            .join(Visitor, Visitor.id == Sharer.visitor_id)
            .where(Visitor.customer_id == who, Sharer.at < end)
        ).all()
        friends = tx.scalars(
            sa.select(Referral.at).where(Referral.referrer_id == who, Referral.at < end)
        ).all()
        shared = min(shares, default=None)
        rows.append((Moment.again, own[0].batch_id, begin, min(again, default=None)))
        rows.append((Moment.share, own[0].batch_id, begin, shared))
        if shared is not None:
            rows.append((Moment.friend, own[0].batch_id, shared, min(friends, default=None)))
    return rows


def wrong(d: Deployment) -> list[str]:
    with d.db.read() as tx:
        return [str(each) for each in rollups.sum_differences(tx)]


@pytest.mark.parametrize("seed", range(3))
def test_counts_are_those_of_every_single_event_whenever_days_are_counted(
    brand: Brand, clock: HeldClock, seed: int
) -> None:
    d, dice = brand.deployment, random.Random(seed)
    add_product(d, gtin=OTHER_GTIN)
    batches = [brand.batch, issue(d, OTHER_GTIN), issue(d, OTHER_GTIN)]
    crowd = [Person(brand, people.email(f"p{n}@example.com")) for n in range(8)]
    free = [(batch, index) for batch in batches for index in range(30)]
    dice.shuffle(free)
    scanned: list[tuple[Batch, int]] = []
    for number in range(70):
        clock.advance(minutes=dice.choice((1, 30, 500, 1500, 6000)))
        who = dice.choice(crowd)
        what = dice.random()
        if what < 0.3:
            scanned.append(free.pop())
            scan(brand, who, *scanned[-1], dice.choice(list(Label)))
        elif what < 0.4 and scanned:
            scan(brand, who, *dice.choice(scanned), dice.choice(list(Label)))
        elif what < 0.65:
            at = dice.random()
            batch, index = scanned.pop() if scanned and at < 0.7 else free.pop()
            who.claim(index, batch)
            if at > 0.9:
                scan(brand, who, batch, index)
        elif what < 0.75:
            share(brand, who)
        elif what < 0.85:
            who.open(dice.choice(crowd).link())
        elif what < 0.92 and who.customer:
            order(brand, who, number, timedelta(days=dice.choice((0, 3))))
        elif what < 0.96:
            actions.tally(d)
        else:
            one, other = (each.customer for each in dice.sample(crowd, 2))
            if one and other:
                actions.merge_customers(d, one, other, by="olga", reason="one person")
        if dice.random() < 0.1 and actions.tally(d):
            assert kept(d) == by_hand(d), f"at event {number}"
    clock.advance(days=4)
    assert actions.tally(d)
    assert kept(d) == by_hand(d)
    assert len(kept(d)) > 50
    assert not [each for each in wrong(d) if each.startswith("moment")]


def test_nothing_is_counted_before_its_day_is_over_for_a_while(
    brand: Brand, clock: HeldClock
) -> None:
    d = brand.deployment
    alice = Person(brand, people.email("alice@example.com"))
    scan(brand, alice, brand.batch, 0)
    midnight = datetime(2026, 3, 3, tzinfo=UTC)
    clock.set(midnight + LATE - timedelta(seconds=1))
    actions.tally(d)
    assert not kept(d)
    clock.advance(seconds=1)
    assert actions.tally(d)
    assert sum(kept(d).values()) == 3, "of the batch, of its product and of all"
    assert not actions.tally(d), "the same day once more"


def test_packages_of_one_purchase_are_no_second_one(brand: Brand, clock: HeldClock) -> None:
    d = brand.deployment
    alice = Person(brand, people.email("alice@example.com"))
    for index in range(6):
        alice.claim(index)
        clock.advance(minutes=1)
    clock.advance(days=4)
    actions.tally(d)
    again = {key[4]: times for key, times in kept(d).items() if key[:3] == (Moment.again, ALL, ALL)}
    assert again == {WAITING: 1}
    alice.claim(7)
    clock.advance(days=4)
    actions.tally(d)
    again = {key[4]: times for key, times in kept(d).items() if key[:3] == (Moment.again, ALL, ALL)}
    four_days = moments.step_of(4 * 86_400)
    assert again == {four_days: 1}


def test_what_is_wrong_is_told_and_put_right(brand: Brand, clock: HeldClock) -> None:
    d = brand.deployment
    alice, bob = (Person(brand, people.email(f"{name}@example.com")) for name in ("alice", "bob"))
    scan(brand, alice, brand.batch, 0)
    alice.claim(0)
    share(brand, alice)
    bob.open(alice.link())
    bob.claim(1)
    clock.advance(days=4)
    actions.tally(d)
    before = kept(d)

    def spoil(tx: Session) -> None:
        tx.execute(sa.update(moments.MomentCount).values(count=moments.MomentCount.count + 2))
        tx.execute(sa.delete(Milestones).where(Milestones.customer_id == alice.customer))

    d.db.transact(spoil)
    assert any(each.startswith("moment_counts") for each in wrong(d))
    assert d.db.transact(rollups.mend_sums) > 0
    assert kept(d) == before
    assert not wrong(d)


def test_a_phone_that_is_found_to_be_hers_later_is_counted_by_a_recount(
    brand: Brand, clock: HeldClock
) -> None:
    d = brand.deployment
    alice = Person(brand, people.email("alice@example.com"))
    alice.claim(0)
    alice.take_other_phone()
    share(brand, alice)
    clock.advance(days=4)
    actions.tally(d)
    alice.sign_in()
    assert any("moment_counts" in each for each in wrong(d))
    d.db.transact(rollups.mend_sums)
    assert kept(d) == by_hand(d)


@pytest.mark.parametrize("seconds", [0, 59, 60, 61, 3600, 86_400, 4e6, 3.2e8, 9e9])
def test_a_step_holds_what_is_between_its_bounds(seconds: float) -> None:
    step = moments.step_of(seconds)
    assert step == 0 or moments.BOUNDS[step - 1] <= seconds
    assert step == len(moments.BOUNDS) or seconds < moments.BOUNDS[step]
