"""Redeeming, accepting and undoing: each once, whatever happens at the same moment."""

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from referral import actions, audit, ledger
from referral.actions import Accepted, Redeemed, Undone
from referral.actions.redeeming import EnoughOfThese, NotEnoughPoints, OnlyWon, PriceChanged
from referral.clock import HeldClock
from referral.deployment import Deployment
from referral.errors import Problem
from referral.idempotency import IdempotencyMismatch
from referral.people import UnknownCustomer
from referral.pictures import UnknownPicture
from referral.redemption import vouchers
from referral.redemption.items import (
    STOCK_MAX,
    ItemExists,
    ItemNotBegun,
    ItemOver,
    ItemTerms,
    NotSoMuchStock,
    OutOfStock,
    UnknownItem,
)
from referral.redemption.tills import TillClosed, UnknownTill
from referral.redemption.vouchers import (
    HandedOver,
    OtherStore,
    TooLateToUndo,
    UnknownVoucher,
    Voucher,
    VoucherExpired,
    VoucherUndone,
)
from referral.rewards import Reward, RewardState
from referral.stores import UnknownStore
from tests.cast import Brand, cast_of, open_brand
from tests.races import at_once, overtaken
from tests.rewarded import (
    add_item,
    add_store,
    add_till,
    give,
    held,
    item,
    promised,
    states,
    stock,
    sums,
)


@pytest.fixture
def brand(deployment: Deployment) -> Brand:
    return open_brand(deployment)


@pytest.fixture
def alice(brand: Brand) -> int:
    """A customer with 250 points."""
    person, _, _ = cast_of(brand)
    customer_id = person.sign_in()
    give(brand, customer_id, 250)
    return customer_id


@pytest.fixture
def bob(brand: Brand) -> int:
    """Another one."""
    _, person, _ = cast_of(brand)
    customer_id = person.sign_in()
    give(brand, customer_id, 250)
    return customer_id


def code_of(deployment: Deployment, voucher: Voucher) -> str:
    code = vouchers.code_of(deployment.keys, voucher.seed, voucher.key_id)
    assert code is not None
    return code


def redeem(deployment: Deployment, customer_id: int, key: str = "k", **more: Any) -> Voucher:
    return actions.redeem(deployment, customer_id, "cup", key=key, **more).voucher


def accept(deployment: Deployment, till: int, voucher: Voucher, press: str = "p" * 20) -> Accepted:
    return actions.accept_voucher(deployment, till, code_of(deployment, voucher), press=press)


def undo(deployment: Deployment, voucher: Voucher) -> Undone:
    return actions.undo_redemption(deployment, voucher.id, reason="a slip", by="tests")


def problems(outcomes: list[Any]) -> list[type[Problem]]:
    return [type(each) for each in outcomes if isinstance(each, Exception)]


# Redeeming


def test_points_become_a_voucher_and_the_stock_is_one_less(
    deployment: Deployment, alice: int, clock: HeldClock
) -> None:
    add_item(deployment, voucher_days=14)
    voucher = redeem(deployment, alice)
    assert (held(deployment, alice), stock(deployment)) == (150, 9)
    assert (voucher.state, voucher.unit, voucher.amount) == ("issued", "points", 100)
    assert voucher.expires_at == clock.now() + timedelta(days=14)
    with deployment.db.read() as tx:
        assert ledger.balances(tx, ledger.Kind.redeemed, 0) == {"points": 100}


def test_the_same_request_is_one_redemption(deployment: Deployment, alice: int, bob: int) -> None:
    add_item(deployment)
    first = actions.redeem(deployment, alice, "cup", key="tap")
    again = actions.redeem(deployment, alice, "cup", key="tap")
    assert (first.already, again.already) == (False, True)
    assert first.voucher.id == again.voucher.id
    assert (held(deployment, alice), stock(deployment)) == (150, 9)
    assert redeem(deployment, bob, key="tap").id != first.voucher.id, "another customer's"
    add_item(deployment, slug="mug")
    with pytest.raises(IdempotencyMismatch):
        actions.redeem(deployment, alice, "mug", key="tap")


@pytest.mark.parametrize("asks_for", ["kept", "gone"])
def test_a_request_sent_again_after_a_merge_is_the_first_one(
    deployment: Deployment, alice: int, bob: int, asks_for: str
) -> None:
    add_item(deployment)
    first = redeem(deployment, bob, key="tap")
    actions.merge_customers(deployment, alice, bob, keep=alice, by="tests", reason="one person")
    asked = {"kept": alice, "gone": bob}[asks_for]
    again = actions.redeem(deployment, asked, "cup", key="tap")
    assert (again.already, again.voucher.id) == (True, first.id)
    assert (held(deployment, alice), stock(deployment)) == (400, 9)
    assert not actions.redeem(deployment, asked, "cup", key="another tap").already


def test_what_cannot_be_redeemed_takes_nothing(
    deployment: Deployment, alice: int, clock: HeldClock
) -> None:
    now, day = clock.now(), timedelta(days=1)
    for slug, terms, expected in (
        ("dear", {"price": 251}, NotEnoughPoints),
        ("gone", {"stock": 0}, OutOfStock),
        ("soon", {"starts_at": now + day}, ItemNotBegun),
        ("over", {"starts_at": now - day, "ends_at": now}, ItemOver),
        ("prize", {"price": None}, OnlyWon),
    ):
        add_item(deployment, slug=slug, **terms)
        with pytest.raises(expected):
            actions.redeem(deployment, alice, slug, key=slug)
        assert stock(deployment, slug) == terms.get("stock", 10)
    with pytest.raises(UnknownItem):
        actions.redeem(deployment, alice, "nothing", key="k")
    with pytest.raises(UnknownCustomer):
        actions.redeem(deployment, 4711, "dear", key="k")
    assert (held(deployment, alice), states(deployment)) == (250, [])


def test_a_person_gets_as_many_as_the_item_says(deployment: Deployment, alice: int) -> None:
    add_item(deployment, price=10, per_person=2)
    first = redeem(deployment, alice, "1")
    redeem(deployment, alice, "2")
    with pytest.raises(EnoughOfThese):
        redeem(deployment, alice, "3")
    undo(deployment, first)
    assert redeem(deployment, alice, "3").state == "issued", "what was undone does not count"


def test_a_price_that_changed_in_between_is_not_taken(deployment: Deployment, alice: int) -> None:
    add_item(deployment, price=120)
    with pytest.raises(PriceChanged):
        redeem(deployment, alice, price=100)
    assert redeem(deployment, alice, price=120).amount == 120


def test_an_item_that_was_won_costs_the_right_to_it(
    deployment: Deployment, brand: Brand, alice: int
) -> None:
    add_item(deployment, per_person=1)
    give(brand, alice, 2, won="cup")
    for key in ("1", "2"):
        assert redeem(deployment, alice, key).unit == "item:cup"
    assert (held(deployment, alice), held(deployment, alice, "item:cup")) == (250, 0)
    assert redeem(deployment, alice, "3").unit == "points", "won ones do not count as had"
    assert stock(deployment) == 7


def test_a_prize_that_is_out_of_stock_stays_won(
    deployment: Deployment, brand: Brand, alice: int
) -> None:
    add_item(deployment, stock=0, price=None)
    give(brand, alice, 1, won="cup")
    with pytest.raises(OutOfStock):
        redeem(deployment, alice)
    assert held(deployment, alice, "item:cup") == 1


def test_what_was_won_can_be_redeemed_when_the_item_is_over_until_the_right_expires(
    deployment: Deployment, brand: Brand, alice: int, clock: HeldClock
) -> None:
    add_item(deployment, price=100, ends_at=clock.now() + timedelta(days=3))
    give(brand, alice, 2, won="cup", lasts=timedelta(days=5))
    clock.advance(days=4)
    assert redeem(deployment, alice, "1").unit == "item:cup"
    clock.advance(days=1)
    with pytest.raises(ItemOver):  # also before the nightly pass takes the right away
        redeem(deployment, alice, "2")
    actions.expire_rewards(deployment)
    with pytest.raises(ItemOver):
        redeem(deployment, alice, "2")
    assert held(deployment, alice) == 250


def test_what_has_expired_pays_for_nothing_before_the_nightly_pass_either(
    deployment: Deployment, brand: Brand, alice: int, clock: HeldClock
) -> None:
    add_item(deployment, price=300)
    give(brand, alice, 100, lasts=timedelta(days=5))
    clock.advance(days=5)
    with pytest.raises(NotEnoughPoints):
        redeem(deployment, alice)
    assert (held(deployment, alice), stock(deployment)) == (350, 10)
    add_item(deployment, slug="mug", price=250)
    actions.redeem(deployment, alice, "mug", key="m")
    assert actions.expire_rewards(deployment) == 1
    assert (held(deployment, alice), sums(deployment)) == (0, {0})


# Accepting


def test_a_voucher_is_accepted_once(deployment: Deployment, alice: int, clock: HeldClock) -> None:
    add_item(deployment)
    till, other = add_till(deployment, "east"), add_till(deployment, "west")
    voucher = redeem(deployment, alice)
    accepted = accept(deployment, till.id, voucher)
    assert (accepted.again, accepted.voucher.state) == (False, "accepted")
    assert (accepted.voucher.store_id, accepted.voucher.accepted_at) == (till.store_id, clock.now())
    clock.advance(minutes=5)
    again = accept(deployment, till.id, voucher)
    assert (again.again, again.voucher.accepted_at) == (True, accepted.voucher.accepted_at)
    for till_id, press in ((till.id, "q" * 20), (other.id, "p" * 20)):
        with pytest.raises(HandedOver):
            accept(deployment, till_id, voucher, press)


def test_what_is_no_good_is_not_accepted(
    deployment: Deployment, alice: int, clock: HeldClock
) -> None:
    add_item(deployment, voucher_days=1)
    till = add_till(deployment)
    undone = redeem(deployment, alice, "1")
    undo(deployment, undone)
    late = redeem(deployment, alice, "2")
    with pytest.raises(VoucherUndone):
        accept(deployment, till.id, undone)
    for code in (None, "0" * 12):
        with pytest.raises(UnknownVoucher):
            actions.accept_voucher(deployment, till.id, code, press="p" * 20)
    clock.advance(days=1)
    with pytest.raises(VoucherExpired):
        accept(deployment, till.id, late)
    assert states(deployment) == ["undone", "issued"]


def test_only_the_stores_that_have_it_hand_it_over(deployment: Deployment, alice: int) -> None:
    east, west = add_till(deployment, "east"), add_till(deployment, "west")
    add_item(deployment, stores=["west"])
    voucher = redeem(deployment, alice)
    with pytest.raises(OtherStore):
        accept(deployment, east.id, voucher)
    assert accept(deployment, west.id, voucher).voucher.state == "accepted"


def test_a_closed_till_accepts_nothing(deployment: Deployment, alice: int) -> None:
    add_item(deployment)
    till, voucher = add_till(deployment), redeem(deployment, alice)
    for _ in range(2):
        actions.close_till(deployment, till.id, by="tests")
    for till_id in (till.id, 4711):
        with pytest.raises(TillClosed):
            accept(deployment, till_id, voucher)
    with pytest.raises(UnknownTill):
        actions.close_till(deployment, 4711, by="tests")
    with deployment.db.read() as tx:
        noted = [entry.action for entry in audit.of_subject(tx, f"till:{till.id}")]
    assert noted == ["till added", "till closed"], "closing it again is not noted"


# Undoing and expiring


@pytest.mark.parametrize("is_accepted", [False, True])
def test_undoing_gives_back_once(
    deployment: Deployment, alice: int, clock: HeldClock, is_accepted: bool
) -> None:
    add_item(deployment)
    voucher, till = redeem(deployment, alice), add_till(deployment)
    if is_accepted:
        clock.advance(minutes=60 * 30)
        accept(deployment, till.id, voucher)
    clock.advance(minutes=60 * 24 - 1)
    undone = [undo(deployment, voucher) for _ in range(2)]
    assert [each.already for each in undone] == [False, True]
    assert (held(deployment, alice), stock(deployment)) == (250, 10)
    assert (undone[0].voucher.reason, undone[0].voucher.closed_at) == ("a slip", clock.now())
    with deployment.db.read() as tx:
        (note,) = audit.of_subject(tx, f"voucher:{voucher.id}")
    assert (note.by, note.action) == ("tests", "redemption undone")
    assert note.details["was"] == ("accepted" if is_accepted else "issued")


def test_after_a_day_it_is_too_late_to_undo(
    deployment: Deployment, alice: int, clock: HeldClock
) -> None:
    add_item(deployment)
    voucher = redeem(deployment, alice)
    clock.advance(days=1)
    with pytest.raises(TooLateToUndo):
        undo(deployment, voucher)
    with pytest.raises(UnknownVoucher):
        actions.undo_redemption(deployment, 4711, reason="a slip", by="tests")
    assert (held(deployment, alice), stock(deployment)) == (150, 9)


def test_what_was_won_comes_back_as_that(deployment: Deployment, brand: Brand, alice: int) -> None:
    add_item(deployment)
    give(brand, alice, 1, won="cup")
    undo(deployment, redeem(deployment, alice))
    assert (held(deployment, alice), held(deployment, alice, "item:cup")) == (250, 1)


def test_vouchers_that_nobody_used_give_back_what_they_cost_once(
    deployment: Deployment, alice: int, bob: int, clock: HeldClock
) -> None:
    add_item(deployment, voucher_days=30)
    till = add_till(deployment)
    unused, used = redeem(deployment, alice), redeem(deployment, bob)
    accept(deployment, till.id, used)
    clock.advance(minutes=60 * 24 * 30 - 1)
    assert actions.expire_vouchers(deployment) == 0
    clock.advance(minutes=1)
    assert [actions.expire_vouchers(deployment) for _ in range(2)] == [1, 0]
    assert states(deployment) == ["expired", "accepted"]
    assert (held(deployment, alice), held(deployment, bob), stock(deployment)) == (250, 150, 9)
    with pytest.raises(VoucherExpired):
        undo(deployment, unused)


def test_a_voucher_comes_back_when_the_stock_is_as_large_as_can_be(
    deployment: Deployment, alice: int, clock: HeldClock
) -> None:
    add_item(deployment, stock=STOCK_MAX)
    redeem(deployment, alice)
    terms = ItemTerms.model_validate(item().model_dump(exclude={"slug", "stock"}))
    actions.revise_item(deployment, "cup", terms, change_stock=1, by="tests")
    clock.advance(days=31)
    assert actions.expire_vouchers(deployment) == 1
    assert (held(deployment, alice), stock(deployment)) == (250, STOCK_MAX + 1)


def test_one_voucher_that_cannot_come_back_does_not_keep_the_others(
    deployment: Deployment,
    alice: int,
    bob: int,
    clock: HeldClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    add_item(deployment)
    broken = redeem(deployment, alice)
    redeem(deployment, bob)
    with deployment.db.engine.begin() as connection:
        paid = sa.update(Voucher).where(Voucher.id == broken.id)
        connection.execute(paid.values(unit="no such unit"))
    clock.advance(days=31)
    assert actions.expire_vouchers(deployment) == 1
    assert states(deployment) == ["issued", "expired"]
    assert (held(deployment, bob), stock(deployment)) == (250, 9), "of the other nothing is done"
    assert f"voucher {broken.id} cannot be given back" in caplog.text


def test_points_whose_own_time_is_over_expire_after_they_came_back(
    deployment: Deployment, brand: Brand, clock: HeldClock
) -> None:
    _, _, charlie = cast_of(brand)
    customer_id = charlie.sign_in()
    give(brand, customer_id, 100, lasts=timedelta(days=20))
    add_item(deployment, voucher_days=30)
    redeem(deployment, customer_id)
    clock.advance(days=30)
    assert actions.expire_rewards(deployment) == 0, "they are spent"
    actions.expire_vouchers(deployment)
    assert held(deployment, customer_id) == 100
    actions.expire_rewards(deployment)
    assert held(deployment, customer_id) == 0
    with deployment.db.read() as tx:
        reward = tx.scalars(sa.select(Reward).where(Reward.holder_id == customer_id)).one()
    assert (reward.state, reward.lapsed) == (RewardState.expired, 100)


# At the same moment


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


# The catalogue


def test_changes_of_price_and_stock_are_noted(deployment: Deployment, alice: int) -> None:
    add_item(deployment)
    with pytest.raises(ItemExists):
        add_item(deployment)
    terms = item(price=80).model_dump(exclude={"slug", "stock"})
    changed = actions.revise_item(
        deployment,
        "cup",
        ItemTerms.model_validate(terms),
        change_stock=-4,
        reason="broken",
        by="olga",
    )
    assert (changed.price, changed.stock) == (80, 6)
    with deployment.db.read() as tx:
        notes = audit.of_subject(tx, "item:cup")
    assert [(note.by, note.action) for note in notes] == [
        ("tests", "item added"),
        ("olga", "item changed"),
        ("olga", "item stock"),
    ]
    assert notes[1].details == {"price": {"from": 100, "to": 80}}
    assert notes[2].details == {"by": -4, "to": 6, "reason": "broken"}
    with pytest.raises(NotSoMuchStock):
        actions.revise_item(
            deployment, "cup", ItemTerms.model_validate(terms), change_stock=-7, by="olga"
        )
    assert stock(deployment) == 6


def test_an_item_names_stores_and_pictures_that_there_are(deployment: Deployment) -> None:
    with pytest.raises(UnknownStore):
        add_item(deployment, stores=["nowhere"])
    with pytest.raises(UnknownPicture):
        add_item(deployment, picture="0" * 64)
    add_store(deployment, "east")
    assert add_item(deployment, stores=["east", "east"]).slug == "cup"
