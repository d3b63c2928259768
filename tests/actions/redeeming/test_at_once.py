"""Redeeming, accepting and undoing: each once, whatever happens at the same moment."""

from datetime import timedelta

import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from referral import actions
from referral.actions import Accepted, Redeemed, Undone
from referral.actions.redeeming import NotEnoughPoints
from referral.clock import HeldClock
from referral.deployment import Deployment
from referral.errors import Problem
from referral.redemption import vouchers
from referral.redemption.items import ItemTerms, OutOfStock
from referral.redemption.vouchers import HandedOver, Voucher
from tests.actions.redeeming.conftest import accept, problems, redeem, undo
from tests.cast import Brand, cast_of
from tests.races import at_once, overtaken
from tests.rewarded import add_item, add_till, give, held, item, promised, states, stock, sums


def test_the_last_one_goes_to_one_of_many(deployment: Deployment, alice: int, bob: int) -> None:
    add_item(deployment, stock=1)
    tries = [(alice, "1"), (bob, "2"), (alice, "3"), (bob, "4")]
    outcomes = at_once(
        [lambda who=who, key=key: redeem(deployment, who, key) for who, key in tries]
    )
    assert problems(outcomes) == [OutOfStock] * 3
    assert (stock(deployment), promised(deployment)) == (0, 1)
    assert held(deployment, alice) + held(deployment, bob) == 400


def test_the_last_points_are_spent_once(deployment: Deployment, brand: Brand) -> None:
    _, _, charlie = cast_of(brand)
    customer_id = charlie.sign_in()
    give(brand, customer_id, 100)
    add_item(deployment)
    outcomes = at_once([lambda key=key: redeem(deployment, customer_id, key) for key in "123"])
    assert problems(outcomes) == [NotEnoughPoints] * 2
    assert (held(deployment, customer_id), stock(deployment)) == (0, 9)


def test_a_double_tap_is_one_redemption(deployment: Deployment, alice: int) -> None:
    add_item(deployment)
    taps = at_once([lambda: actions.redeem(deployment, alice, "cup", key="tap") for _ in range(3)])
    redeemed = [tap for tap in taps if isinstance(tap, Redeemed)]
    assert sorted(tap.already for tap in redeemed) == [False, True, True]
    assert (held(deployment, alice), promised(deployment)) == (150, 1)


def test_two_stores_at_once_hand_over_one(deployment: Deployment, alice: int) -> None:
    add_item(deployment)
    tills = [add_till(deployment, slug).id for slug in ("east", "west", "north")]
    voucher = redeem(deployment, alice)
    outcomes = at_once([lambda till=till: accept(deployment, till, voucher) for till in tills])
    assert problems(outcomes) == [HandedOver] * 2


def test_a_press_that_is_overtaken_is_told_who_was_first(
    deployment: Deployment, alice: int
) -> None:
    add_item(deployment)
    east, west = add_till(deployment, "east"), add_till(deployment, "west")
    voucher = redeem(deployment, alice)
    first, second = overtaken(
        deployment.db,
        lambda tx: accept(deployment, east.id, voucher),
        lambda: accept(deployment, west.id, voucher),
    )
    assert isinstance(first, Accepted)
    assert isinstance(second, HandedOver)


def test_undoing_twice_at_once_gives_back_once(deployment: Deployment, alice: int) -> None:
    add_item(deployment)
    voucher = redeem(deployment, alice)
    outcomes = at_once([lambda: undo(deployment, voucher) for _ in range(3)])
    assert sorted(each.already for each in outcomes if isinstance(each, Undone)) == [
        False,
        True,
        True,
    ]
    assert (held(deployment, alice), stock(deployment)) == (250, 10)


def test_undoing_and_accepting_at_once_leave_no_item_handed_over_for_nothing(
    deployment: Deployment, alice: int
) -> None:
    add_item(deployment)
    till, voucher = add_till(deployment), redeem(deployment, alice)
    undone, _ = at_once(
        [lambda: undo(deployment, voucher), lambda: accept(deployment, till.id, voucher)]
    )
    assert isinstance(undone, Undone)
    assert states(deployment) == ["undone"]
    assert (held(deployment, alice), stock(deployment)) == (250, 10)


def test_redeeming_against_the_nightly_expiry_spends_or_expires(
    deployment: Deployment, brand: Brand, clock: HeldClock
) -> None:
    """Both want the same reward and the same wallet: one of the two gets it, and neither hangs."""
    _, _, charlie = cast_of(brand)
    customer_id = charlie.sign_in()
    add_item(deployment)
    for day in range(3):
        give(brand, customer_id, 100, lasts=timedelta(days=1))
        clock.advance(days=1)
        outcomes = at_once(
            [
                lambda day=day: redeem(deployment, customer_id, str(day)),
                lambda: actions.expire_rewards(deployment),
            ]
        )
        assert set(problems(outcomes)) <= {NotEnoughPoints}
        assert held(deployment, customer_id) == 0
    assert stock(deployment) + promised(deployment) == 10
    assert sums(deployment) == {0}


def test_expiring_vouchers_twice_at_once_gives_back_once(
    deployment: Deployment, alice: int, clock: HeldClock
) -> None:
    add_item(deployment, voucher_days=1)
    redeem(deployment, alice)
    clock.advance(days=1)
    outcomes = at_once([lambda: actions.expire_vouchers(deployment) for _ in range(2)])
    assert sorted(outcomes) == [0, 1]
    assert (held(deployment, alice), stock(deployment)) == (250, 10)


@settings(
    max_examples=15,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("redeem"), st.integers(0, 1), st.integers(0, 5)),
            st.tuples(st.sampled_from(["accept", "undo"]), st.integers(0, 8), st.integers(0, 1)),
            st.tuples(st.just("wait"), st.integers(1, 30), st.just(0)),
            st.tuples(st.just("stock"), st.integers(-3, 3), st.just(0)),
        ),
        max_size=25,
    )
)
def test_stock_and_vouchers_add_up_whatever_happens(
    deployment: Deployment, brand: Brand, clock: HeldClock, steps: list[tuple[str, int, int]]
) -> None:
    """What is in stock and what was promised is always what was put in; no unit is lost."""
    slug = f"item-{vouchers.new_seed()[:12]}"
    made = add_item(deployment, slug=slug, stock=4, price=60, voucher_days=2)
    put_in, mine, tag = 4, [], slug
    people = [person.sign_in() for person in cast_of(brand)[:2]]
    till_id = add_till(deployment, slug).id
    for customer_id in people:
        give(brand, customer_id, 250)
    for number, (kind, a, b) in enumerate(steps):
        try:
            if kind == "redeem":
                redeemed = actions.redeem(deployment, people[a], slug, key=f"{tag}-{b}")
                mine.append(redeemed.voucher)
            elif kind == "accept" and mine:
                accept(deployment, till_id, mine[a % len(mine)], f"{tag}-press-{b}")
            elif kind == "undo" and mine:
                undo(deployment, mine[a % len(mine)])
            elif kind == "wait":
                clock.advance(minutes=a * 120)
                actions.expire_vouchers(deployment)
                actions.expire_rewards(deployment)
            elif kind == "stock":
                terms = ItemTerms.model_validate(item().model_dump(exclude={"slug", "stock"}))
                actions.revise_item(deployment, slug, terms, change_stock=a, by=f"step {number}")
                put_in += a
        except Problem:
            pass
        with deployment.db.read() as tx:
            out = tx.scalars(sa.select(Voucher.state).where(Voucher.item_id == made.id)).all()
        kept = sum(state in {"issued", "accepted"} for state in out)
        assert stock(deployment, slug) + kept == put_in
        assert sums(deployment) == {0}
