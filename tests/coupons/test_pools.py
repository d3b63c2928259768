"""Coupons: codes that are given once, looked up by the shop, used once, and withdrawn."""

from collections.abc import Callable
from datetime import timedelta
from fractions import Fraction
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral import actions, coupons, ledger, people
from referral.clock import HeldClock
from referral.coupons import (
    Coupon,
    CouponNotGood,
    CouponState,
    CouponUsed,
    Held,
    NoSuchPool,
    PoolCurrency,
    PoolDraft,
    PoolExists,
    PoolFull,
    PoolOver,
    UnknownCoupon,
    UnknownPool,
    pools,
)
from referral.coupons.lists import KNOWN, BadCouponList, Fault, Listed
from referral.crypto import KeyRing
from referral.deployment import Deployment
from referral.orders import OrderIn
from referral.rewards import Reason, Reward, RewardState, Withheld, expire_due, take_back
from tests.cast import Brand, Person, add_product, cast_of, issue, publish
from tests.races import at_once, overtaken

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


def undo(deployment: Deployment, event: str) -> None:
    now = deployment.clock.now()
    deployment.db.transact(
        lambda tx: take_back(tx, event, Fraction(1), Reason.refunded, key=f"undo|{event}", now=now)
    )


def balance(deployment: Deployment, kind: ledger.Kind, owner: int) -> int:
    with deployment.db.read() as tx:
        return ledger.balances(tx, kind, owner).get("coupon:tea", 0)


# Pools


def test_a_pool_says_what_its_coupons_are_in_every_language(deployment: Deployment) -> None:
    add_pool(deployment, shop_url="https://shop.example/tea")
    with deployment.db.read() as tx:
        pool = coupons.pool_by_slug(tx, "tea")
        assert pool.unit == "coupon:tea"
        assert pool.title_in("en").title == "10 yuan off"
        assert pool.title_in("zh-Hant").title == "满减十元"
        with pytest.raises(UnknownPool):
            coupons.pool_by_slug(tx, "coffee")
    with pytest.raises(PoolExists):
        add_pool(deployment)
    with pytest.raises(PoolOver):
        add_pool(deployment, slug="old", lasts_days=None, expires_at=deployment.clock.now())


@pytest.mark.parametrize(
    "changes",
    [
        {"lasts_days": None},
        {"expires_at": "2030-01-01T00:00:00Z"},
        {"expires_at": "2030-01-01T00:00:00", "lasts_days": None},
        {"content": {}},
        {"content": {"en": {"title": " "}}},
        {"value": 0},
        {"currency": "yuan"},
        {"slug": "Tea"},
        {"shop_url": "http://shop.example"},
        {"shop_url": "https://me:secret@shop.example"},
        {"shop_url": f"https://shop.example/{'x' * 500}"},
    ],
)
def test_what_is_no_pool_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        pool_draft(**changes)


def test_codes_are_kept_encrypted_and_found_however_they_are_typed(deployment: Deployment) -> None:
    add_pool(deployment, "TEA-Ab12", "TEA-CD34")
    with deployment.db.read() as tx:
        kept = tx.scalars(sa.select(Coupon).order_by(Coupon.id)).all()
    assert not any("TEA" in each.code_encrypted for each in kept)
    for typed in ("TEA-Ab12", "tea ab12", " ＴＥＡ-ab12 ", "teaab12"):
        held = find(deployment, typed)
        assert held.code(deployment.keys) == "TEA-Ab12", "it is shown as the shop wrote it"
        assert (held.holder, held.state_at(deployment.clock.now())) == (None, CouponState.free)
    for typed in ("TEA-AB13", "", "x", "茶", "TEA\0", "x" * 5000, "%"):
        with pytest.raises(UnknownCoupon):
            find(deployment, typed)


def test_codes_are_found_after_the_keys_were_rotated(deployment: Deployment) -> None:
    old = KeyRing(["an-older-key-for-the-tests-only"])
    add_pool(deployment)

    def add(tx: Session, keys: KeyRing) -> int:
        pool = coupons.pool_by_slug(tx, "tea")
        return coupons.add_codes(tx, pool, coupons.sealed(keys, listed("TEA-0001")))

    deployment.db.transact(lambda tx: add(tx, old))
    assert find(deployment, "tea0001").code(deployment.keys) == "TEA-0001"
    with pytest.raises(BadCouponList):
        deployment.db.transact(lambda tx: add(tx, deployment.keys))


def test_a_code_is_in_one_pool_once(deployment: Deployment) -> None:
    add_pool(deployment, "TEA-0001", "TEA-0002")
    add_pool(deployment, slug="other")
    for slug in ("tea", "other"):
        codes = listed("NEW-0001", "tea 0002", "NEW-0002", "TEA0001")
        with pytest.raises(BadCouponList) as refused:
            actions.add_coupons(deployment, slug, codes, by="tests")
        assert refused.value.faults == [Fault(2, KNOWN), Fault(4, KNOWN)]
    with pytest.raises(UnknownCoupon):
        find(deployment, "NEW-0001")  # all or none


def test_a_pool_is_no_bottomless_pit(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pools, "POOL_MAX", 2)
    add_pool(deployment, "TEA-0001")
    with pytest.raises(PoolFull):
        actions.generate_coupons(deployment, "tea", prefix="", count=2, by="tests")


def test_codes_can_be_made_up_and_taken_out_again(deployment: Deployment) -> None:
    add_pool(deployment)
    made = actions.generate_coupons(deployment, "tea", prefix="TEA", count=25, by="tests")
    assert actions.take_out_coupons(deployment, "tea", by="tests") == made
    with deployment.db.read() as tx:
        pool = coupons.pool_by_slug(tx, "tea")
        first = coupons.page_of_codes(tx, deployment.keys, pool, after=0, limit=20)
        rest = coupons.page_of_codes(tx, deployment.keys, pool, after=first.last, limit=20)
    assert [*first.codes, *rest.codes] == made
    assert (first.is_more, rest.is_more) == (True, False)


# Giving


@pytest.fixture
def brand(deployment: Deployment) -> Brand:
    return open_with(deployment, "TEA-0001", "TEA-0002", "TEA-0003")


@pytest.fixture
def alice(brand: Brand) -> Person:
    return cast_of(brand)[0]


def test_a_reward_has_a_code_of_its_own(brand: Brand, alice: Person) -> None:
    d = brand.deployment
    claimed = alice.claim(0)
    assert [(reward.unit, reward.amount) for reward in claimed.rewards] == [("coupon:tea", 1)]
    held = find(d, "tea-0001")
    assert held.holder == alice.customer
    assert held.state_at(d.clock.now()) is CouponState.valid
    assert held.coupon.expires_at == d.clock.now() + timedelta(days=30)
    assert claimed.rewards[0].expires_at == held.coupon.expires_at
    assert balance(d, ledger.Kind.budget, brand.campaign.id) == 99
    assert balance(d, ledger.Kind.wallet, alice.customer) == 1
    alice.claim(1)
    assert find(d, "tea-0002").holder == alice.customer
    with d.db.read() as tx:
        shown = coupons.held_by_customer(tx, alice.customer)
    assert [each.code(d.keys) for each in shown] == ["TEA-0002", "TEA-0001"]


def test_claiming_again_gives_no_second_code(brand: Brand, alice: Person) -> None:
    alice.claim(0)
    assert alice.claim(0).already
    assert state(brand.deployment, "tea-0002") is CouponState.free


def test_an_empty_pool_keeps_the_claim_and_says_why_there_is_nothing(
    brand: Brand, alice: Person
) -> None:
    for index in range(3):
        assert alice.claim(index).rewards
    claimed = alice.claim(3)
    assert claimed.rewards == []
    assert claimed.budget_spent
    assert balance(brand.deployment, ledger.Kind.budget, brand.campaign.id) == 97
    with brand.deployment.db.read() as tx:
        assert [each.why for each in tx.scalars(sa.select(Withheld))] == ["budget_spent"]


def test_a_budget_that_is_spent_leaves_the_code_in_the_pool(deployment: Deployment) -> None:
    brand = open_with(deployment, "TEA-0001", "TEA-0002", budget=1)
    alice, bob, _ = cast_of(brand)
    assert alice.claim(0).rewards
    assert bob.claim(1).budget_spent
    assert state(deployment, "tea-0002") is CouponState.free


def test_both_sides_get_a_code_each(deployment: Deployment) -> None:
    rules = [{**RULES[0], "when": "referred_first_claim", "for": "both"}]
    brand = open_with(deployment, "TEA-0001", "TEA-0002", "TEA-0003", rules=rules)
    alice, bob, _ = cast_of(brand)
    alice.claim(0)
    bob.open(alice.link())
    bob.claim(1)
    found = {find(deployment, code).holder for code in ("tea-0001", "tea-0002")}
    assert found == {alice.customer, bob.customer}
    assert state(deployment, "tea-0003") is CouponState.free


def test_a_code_is_nobody_s_to_use_while_the_reward_is_on_hold(
    deployment: Deployment, clock: HeldClock
) -> None:
    brand = open_with(deployment, "TEA-0001", hold_days=7)
    alice = cast_of(brand)[0]
    alice.claim(0)
    assert state(deployment, "tea-0001") is CouponState.waiting
    with deployment.db.read() as tx:
        assert coupons.held_by_customer(tx, alice.customer) == []
    with pytest.raises(CouponNotGood):
        use(deployment, "tea-0001", "order:1")
    clock.advance(days=7)
    actions.release_rewards(deployment)
    assert state(deployment, "tea-0001") is CouponState.valid
    assert find(deployment, "tea-0001").coupon.expires_at == clock.now() + timedelta(days=30)


def test_a_reward_expires_with_its_coupon_and_not_with_the_points(
    deployment: Deployment, clock: HeldClock
) -> None:
    """The pool's coupons last 30 days; what else the campaign pays lasts 5."""
    brand = open_with(deployment, "TEA-0001", hold_days=7, lasts_days=5)
    claimed = cast_of(brand)[0].claim(0)
    ends = clock.now() + timedelta(days=7 + 30)
    held = find(deployment, "TEA-0001")
    assert held.reward is not None
    found = [claimed.rewards[0].expires_at, held.reward.expires_at, held.coupon.expires_at]
    assert found == [ends] * 3
    clock.advance(days=7)
    actions.release_rewards(deployment)
    clock.advance(days=29)
    assert actions.expire_rewards(deployment) == 0
    assert state(deployment, "TEA-0001") is CouponState.valid
    clock.advance(days=1)
    assert actions.expire_rewards(deployment) == 1
    assert state(deployment, "TEA-0001") is CouponState.expired


def test_a_reward_that_is_released_at_once_expires_with_its_coupon(
    deployment: Deployment, clock: HeldClock
) -> None:
    brand = open_with(deployment, "TEA-0001", lasts_days=5)
    cast_of(brand)[0].claim(0)
    held = find(deployment, "TEA-0001")
    assert held.reward is not None
    assert held.reward.expires_at == held.coupon.expires_at == clock.now() + timedelta(days=30)


def test_a_coupon_that_would_have_ended_before_it_can_be_used_is_not_given(
    deployment: Deployment, clock: HeldClock
) -> None:
    ends = clock.now() + timedelta(days=7)
    add_pool(deployment, "TEA-0001", lasts_days=None, expires_at=ends)
    product = add_product(deployment, price=20_000)
    terms = {"rules": RULES, "budget": 0, "budgets": {"coupon:tea": 5}, "hold_days": 7}
    brand = Brand(deployment, product, issue(deployment), publish(deployment, **terms))
    assert cast_of(brand)[0].claim(0).budget_spent
    assert state(deployment, "tea-0001") is CouponState.free
    clock.advance(days=7)
    assert state(deployment, "tea-0001") is CouponState.expired


@pytest.mark.parametrize(
    "changes, error", [({"slug": "coffee"}, NoSuchPool), ({"currency": "USD"}, PoolCurrency)]
)
def test_a_campaign_gives_from_a_pool_there_is(
    deployment: Deployment, changes: dict[str, str], error: type[Exception]
) -> None:
    add_pool(deployment, "TEA-0001", **changes)
    add_product(deployment, price=20_000)
    with pytest.raises(error):
        publish(deployment, rules=RULES, budget=0, budgets={"coupon:tea": 5})


def test_no_two_claims_at_once_get_the_same_code(deployment: Deployment) -> None:
    brand = open_with(deployment, *(f"TEA-{number:04}" for number in range(6)))
    people_there = [Person(brand, people.email(f"p{number}@example.com")) for number in range(8)]
    for person in people_there:
        person.sign_in()
    works: list[Callable[[], Any]] = [
        lambda person=person, index=index: person.claim(index)
        for index, person in enumerate(people_there)
    ]
    claimed = at_once(works)
    assert sorted(len(each.rewards) for each in claimed) == [0, 0, 1, 1, 1, 1, 1, 1]
    with deployment.db.read() as tx:
        given = tx.scalars(sa.select(Coupon.reward_id)).all()
        rewards = set(tx.scalars(sa.select(Reward.id)))
    assert set(given) == rewards
    assert len(rewards) == 6


# Using, withdrawing, expiring


def test_a_coupon_is_used_by_one_order(brand: Brand, alice: Person) -> None:
    d = brand.deployment
    alice.claim(0)
    alice.claim(1)
    assert use(d, "tea 0002", "order:shop-1").holder == alice.customer
    assert use(d, "TEA-0002", "order:shop-1").coupon.used_by == "order:shop-1"
    with pytest.raises(CouponUsed):
        use(d, "TEA-0002", "order:shop-2")
    assert [state(d, "TEA-0001"), state(d, "TEA-0002")] == [CouponState.valid, CouponState.used]
    assert balance(d, ledger.Kind.wallet, alice.customer) == 1
    assert balance(d, ledger.Kind.redeemed, 0) == 1
    with pytest.raises(CouponNotGood):
        use(d, "TEA-0003", "order:shop-1")
    with pytest.raises(UnknownCoupon):
        use(d, "TEA-0004", "order:shop-1")


def test_two_orders_at_once_do_not_both_use_it(brand: Brand, alice: Person) -> None:
    alice.claim(0)
    d = brand.deployment
    done = at_once([lambda n=n: use(d, "TEA-0001", f"order:{n}") for n in range(4)])
    assert sorted(type(each).__name__ for each in done) == ["CouponUsed"] * 3 + ["Held"]
    assert balance(d, ledger.Kind.redeemed, 0) == 1


def test_what_earned_it_was_undone(brand: Brand, alice: Person) -> None:
    d = brand.deployment
    claimed = alice.claim(0)
    undo(d, claimed.claim.event)
    assert state(d, "TEA-0001") is CouponState.withdrawn
    with pytest.raises(CouponNotGood):
        use(d, "TEA-0001", "order:1")
    assert balance(d, ledger.Kind.budget, brand.campaign.id) == 100
    alice.claim(1)
    assert find(d, "TEA-0002").holder == alice.customer, "a withdrawn code is not given again"


def test_one_that_was_used_and_then_undone_is_made_up_for_by_the_next(
    brand: Brand, alice: Person
) -> None:
    d = brand.deployment
    first = alice.claim(0)
    use(d, "TEA-0001", "order:1")
    undo(d, first.claim.event)
    assert state(d, "TEA-0001") is CouponState.used
    assert balance(d, ledger.Kind.owed, alice.customer) == -1
    alice.claim(1)
    assert balance(d, ledger.Kind.owed, alice.customer) == 0
    assert state(d, "TEA-0002") is CouponState.withdrawn
    alice.claim(2)
    assert state(d, "TEA-0003") is CouponState.valid


def test_it_expires_with_its_reward(brand: Brand, alice: Person, clock: HeldClock) -> None:
    d = brand.deployment
    alice.claim(0)
    clock.advance(days=30)
    assert state(d, "TEA-0001") is CouponState.expired, "also before the nightly pass"
    actions.expire_rewards(d)
    assert state(d, "TEA-0001") is CouponState.expired
    with pytest.raises(CouponNotGood):
        use(d, "TEA-0001", "order:1")
    assert balance(d, ledger.Kind.expired, brand.campaign.id) == 1
    with d.db.read() as tx:
        assert tx.scalar(sa.select(Reward.state)) == RewardState.expired


def test_one_that_expires_at_this_moment_is_not_used(
    brand: Brand, alice: Person, clock: HeldClock
) -> None:
    """The order's clock may still say that it is good."""
    d = brand.deployment
    alice.claim(0)
    clock.advance(days=29)
    soon = clock.now() + timedelta(days=1)
    done = overtaken(d.db, lambda tx: expire_due(tx, soon), lambda: use(d, "TEA-0001", "order:1"))
    assert done[0] == 1
    assert isinstance(done[1], CouponNotGood)
    assert state(d, "TEA-0001") is CouponState.expired
    assert balance(d, ledger.Kind.redeemed, 0) == 0


def test_an_order_beside_the_expiry_stands(brand: Brand, alice: Person, clock: HeldClock) -> None:
    d = brand.deployment
    alice.claim(0)
    clock.advance(days=29)
    soon = clock.now() + timedelta(days=1)
    sent = {"external_id": "A", "amount": 5_000, "currency": "CNY", "coupon": "TEA-0001"}
    order = OrderIn.model_validate(sent)
    done = overtaken(d.db, lambda tx: expire_due(tx, soon), lambda: actions.place_order(d, order))
    assert done[0] == 1
    assert done[1].order.customer_id == alice.customer
    assert find(d, "TEA-0001").coupon.used_by is None


def test_the_holder_is_who_has_the_reward_now(brand: Brand, alice: Person) -> None:
    d = brand.deployment
    alice.claim(0)
    with d.db.read() as tx:
        assert coupons.holder_of(tx, d.keys, "tea 0001") == alice.customer
        assert coupons.holder_of(tx, d.keys, "tea 0002") is None
        assert coupons.holder_of(tx, d.keys, "no such code") is None
