"""Two customers who are one person: what is the one's is the other's, and everything adds up."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from referral import actions, audit, ledger, people, risk
from referral.actions.reversing import reverse
from referral.claims import Claim
from referral.clock import HeldClock
from referral.db import Base
from referral.deployment import Deployment
from referral.graph import Referral
from referral.ledger import Account, Kind
from referral.links import Channel, Link, Touch
from referral.people import Consent, Customer, Merge, UnknownCustomer
from referral.reports import customers as reports
from referral.reports import referrals, trees, wallet
from referral.rewards import Reason, Reward, RewardState, wallets
from referral.rewards.caps import RewardCap
from referral.spread import counters, forests
from referral.spread.forests import Now
from tests.cast import PER_CLAIM, PER_FRIEND, RULES, Brand, Person, cast_of, open_brand
from tests.races import at_once, overtaken

BY, WHY = "owner@example.com", "called us from both numbers"
SLOW_BUT_FINE = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


@pytest.fixture
def brand(deployment: Deployment) -> Brand:
    return open_brand(deployment)


@pytest.fixture
def cast(brand: Brand) -> tuple[Person, Person, Person]:
    """Alice, Bob and Charlie, who have signed in in this order."""
    people = cast_of(brand)
    for person in people:
        person.sign_in()
        brand.deployment.clock.advance(minutes=1)  # type: ignore[attr-defined]
    return people


def merge(brand: Brand, one: Person | int, other: Person | int, **options: Any) -> actions.Merged:
    numbers = [each if isinstance(each, int) else each.customer for each in (one, other)]
    return actions.merge_customers(brand.deployment, *numbers, by=BY, reason=WHY, **options)


def bring_in(friend: Person, sharer: Person, index: int) -> None:
    friend.open(sharer.link())
    friend.claim(index)


def tree(tx: Session) -> dict[int, int | None]:
    return dict(tx.execute(sa.select(Referral.customer_id, Referral.referrer_id)).all())


def faults(tx: Session) -> list[str]:
    """All that must hold of people, the tree and the ledger, whatever happened before."""
    return [*_of_people(tx), *_of_tree(tx), *_of_wallets(tx), *ledger.verify(tx)]


def _of_people(tx: Session) -> Iterator[str]:
    merged = dict(
        tx.execute(
            sa.select(Customer.id, Customer.merged_into).where(Customer.merged_into.is_not(None))
        ).all()
    )
    yield from (f"{gone} is in a chain" for gone, kept in merged.items() if kept in merged)
    kept_down = set(tx.scalars(sa.select(Merge.gone_id)))
    yield from (f"{gone} is gone without a word" for gone in merged.keys() ^ kept_down)
    for table, column in followed():
        left = sa.select(sa.func.count()).where(table.c[column].in_(list(merged)))
        if tx.scalar(left):
            yield f"{table.name}.{column} still names somebody who is gone"


def _of_tree(tx: Session) -> Iterator[str]:
    places = tree(tx)
    try:
        forests.count({child: Now(parent) for child, parent in places.items()})
    except ValueError:
        yield f"the tree has a circle: {places}"
        return
    yield from counters.differences(tx)
    bought = set(tx.scalars(sa.select(Claim.customer_id)))
    yield from (f"{each} has bought and has no place" for each in bought - places.keys())


def _of_wallets(tx: Session) -> Iterator[str]:
    held: dict[tuple[str, int, str], int] = {}
    kinds = {RewardState.pending: Kind.pending, RewardState.available: Kind.wallet}
    for reward in tx.scalars(sa.select(Reward).execution_options(populate_existing=True)):
        if reward.left:
            key = (kinds[RewardState(reward.state)].value, reward.holder_id, reward.unit)
            held[key] = held.get(key, 0) + reward.left
    balances = {
        (row.kind, row.owner, row.unit): row.balance
        for row in tx.execute(sa.select(Account.kind, Account.owner, Account.unit, Account.balance))
        if row.balance
    }
    for key in held.keys() | {key for key in balances if key[0] in ("pending", "wallet")}:
        if held.get(key, 0) != balances.get(key, 0):
            yield f"{key}: rewards say {held.get(key, 0)}, the ledger {balances.get(key, 0)}"
    for kind, owner, unit in balances:
        if kind == "owed" and balances.get(("wallet", owner, unit)):
            yield f"{owner} owes {unit} and could pay"
    own = sa.select(Reward.event, Reward.holder_id).where(
        Reward.depth > 0, Reward.state != RewardState.reversed
    )
    buyers = {claim.event: claim.customer_id for claim in tx.scalars(sa.select(Claim))}
    for event, holder in tx.execute(own):
        if buyers.get(event) == holder:
            yield f"{holder} is paid for bringing in herself with {event}"


def followed() -> list[tuple[sa.Table, str]]:
    """Every column that names a customer, but for those that keep what was."""
    history = {
        ("rewards", "beneficiary_id"),
        ("withheld_rewards", "beneficiary_id"),
        ("merges", "gone_id"),
        ("merges", "kept_id"),
    }
    return [
        (table, column.name)
        for table in Base.metadata.sorted_tables
        for column in table.columns
        for key in column.foreign_keys
        if key.target_fullname == "customers.id" and (table.name, column.name) not in history
    ]


@pytest.fixture(autouse=True)
def _adds_up(deployment: Deployment) -> Iterator[None]:
    yield
    with deployment.db.read() as tx:
        assert not faults(tx)


# What is the one's is the other's


def test_everything_is_the_older_ones(
    brand: Brand, cast: tuple[Person, Person, Person], clock: HeldClock
) -> None:
    alice, bob, charlie = cast
    d = brand.deployment
    actions.rename(d, bob.customer, "Bobby")
    alice.claim(0)
    bob.claim(1)
    bring_in(charlie, bob, 2)
    assert merge(brand, bob, alice) == actions.Merged(alice.customer, bob.customer)
    with d.db.read() as tx:
        keys = d.keys
        assert {each.kind for each in people.identities_of(tx, keys, alice.customer)} == {
            "phone",
            "email",
        }
        assert set(people.visitors_of(tx, alice.customer)) == {alice.visitor, bob.visitor}
        assert reports.name_of(tx, keys, alice.customer) == "Bobby"
        said = reports.profile(tx, keys, bob.customer)
        assert said["id"] == alice.customer
        assert (said["claims"], said["referred"]) == (2, 1)
        assert said["balances"]["points"]["available"] == 2 * PER_CLAIM + PER_FRIEND
        assert tree(tx) == {alice.customer: None, charlie.customer: alice.customer}
        assert people.numbers_of(tx, alice.customer) == [alice.customer, bob.customer]
        assert tx.get_one(Customer, bob.customer).name_encrypted is None
        (kept,) = people.merges_of(tx, alice.customer)
        assert (kept.by, kept.reason) == (BY, WHY)
        assert kept.details["claims"] == [2]
        assert kept.details["held"] == {"points": {"wallet": PER_CLAIM + PER_FRIEND}}
        (noted,) = audit.of_subject(tx, f"customer:{alice.customer}")
        assert noted.details == {"gone": bob.customer, "reason": WHY}


def test_staff_may_keep_the_younger_one(brand: Brand, cast: tuple[Person, Person, Person]) -> None:
    alice, bob, charlie = cast
    actions.rename(brand.deployment, alice.customer, "Alice")
    actions.rename(brand.deployment, bob.customer, "Bobby")
    with pytest.raises(UnknownCustomer):
        merge(brand, alice, bob, keep=charlie.customer)
    assert merge(brand, alice, bob, keep=bob.customer).kept == bob.customer
    with brand.deployment.db.read() as tx:
        assert reports.name_of(tx, brand.deployment.keys, alice.customer) == "Bobby"


def test_again_is_no_harm_and_a_third_one_makes_no_chain(
    brand: Brand, cast: tuple[Person, Person, Person]
) -> None:
    alice, bob, charlie = cast
    merge(brand, charlie, bob)
    assert merge(brand, bob, charlie) == actions.Merged(bob.customer, None)
    assert merge(brand, bob, bob).gone is None
    assert merge(brand, charlie, alice) == actions.Merged(alice.customer, bob.customer)
    with brand.deployment.db.read() as tx:
        numbers = [each.customer for each in cast]
        assert set(people.current(tx, numbers).values()) == {alice.customer}
        assert people.current(tx, [4711]) == {4711: 4711}
    with pytest.raises(UnknownCustomer):
        merge(brand, alice, 4711)


def test_two_phones_are_one_persons_and_either_signs_in(
    brand: Brand, cast: tuple[Person, Person, Person]
) -> None:
    alice, _, charlie = cast
    merge(brand, alice, charlie)
    for phone in (alice, charlie):
        phone.take_other_phone()
        assert phone.sign_in() == alice.customer
    with brand.deployment.db.read() as tx:
        known = people.identities_of(tx, brand.deployment.keys, alice.customer)
        assert [each.kind for each in known] == ["phone", "phone"]


def test_consent_counts_since_the_earlier_one(
    brand: Brand, cast: tuple[Person, Person, Person]
) -> None:
    alice, bob, _ = cast
    with brand.deployment.db.read() as tx:
        given_at = tx.scalar(
            sa.select(Consent.given_at).where(Consent.customer_id == alice.customer)
        )
    merge(brand, alice, bob, keep=bob.customer)
    with brand.deployment.db.read() as tx:
        rows = tx.scalars(sa.select(Consent).where(Consent.customer_id == bob.customer)).all()
        assert [row.given_at for row in rows] == [given_at]


def test_a_block_stays(brand: Brand, cast: tuple[Person, Person, Person], clock: HeldClock) -> None:
    alice, bob, charlie = cast

    def work(tx: Session) -> None:
        risk.block(tx, bob.customer, by=BY, reason="sold codes", now=clock.now())
        risk.note_shared(tx, bob.customer, alice.customer, clock.now())
        risk.note_shared(tx, bob.customer, charlie.customer, clock.now())
        for each in (alice, bob):
            risk.note_network(tx, brand.deployment.keys, each.customer, "203.0.113.9", clock.now())

    brand.deployment.db.transact(work)
    merge(brand, alice, bob)
    with brand.deployment.db.read() as tx:
        assert risk.is_blocked(tx, alice.customer)


def test_every_column_that_names_a_customer_follows_or_is_history() -> None:
    """Whoever adds one decides what a merge does to it: here, or in `actions.merging`."""
    assert {(table.name, column) for table, column in followed()} == {
        ("blocked_customers", "customer_id"),
        ("claims", "customer_id"),
        ("consents", "customer_id"),
        ("customer_networks", "customer_id"),
        ("customers", "merged_into"),
        ("identities", "customer_id"),
        ("orders", "customer_id"),
        ("referrals", "customer_id"),
        ("referrals", "referrer_id"),
        ("rewards", "holder_id"),
        ("shared_devices", "customer_id"),
        ("shared_devices", "other_id"),
        ("verdicts", "customer_id"),
        ("verdicts", "referrer_id"),
        ("visitors", "customer_id"),
        ("vouchers", "customer_id"),
    }


# Whoever still has the number of the one who is gone


def test_a_link_of_the_one_who_is_gone_credits_the_kept_one(
    brand: Brand, cast: tuple[Person, Person, Person]
) -> None:
    alice, bob, charlie = cast
    alice.claim(0)
    bob.claim(1)
    shared = bob.link()
    assert shared.customer == bob.customer
    merge(brand, alice, bob)
    before = alice.points()
    charlie.open(shared, arrives=False)
    assert charlie.claim(2).referrer == alice.customer
    assert alice.points() == before + PER_FRIEND


def test_a_link_of_the_other_self_brings_nobody_in(
    brand: Brand, cast: tuple[Person, Person, Person]
) -> None:
    alice, bob, _ = cast
    shared = bob.link()
    merge(brand, alice, bob)
    alice.open(shared, arrives=False)
    assert alice.claim(0).referrer is None
    assert alice.points() == PER_CLAIM


def test_who_is_signed_in_as_the_one_who_is_gone_goes_on_as_the_kept_one(
    brand: Brand, cast: tuple[Person, Person, Person]
) -> None:
    alice, bob, charlie = cast
    merge(brand, alice, bob)
    bob.take_other_phone()
    bob.open(charlie.link())
    claimed = bob.claim(0)
    assert (claimed.claim.customer_id, claimed.referrer) == (alice.customer, charlie.customer)
    assert bob.claim(0).already
    actions.rename(brand.deployment, bob.customer, "Ally")
    link = actions.make_link(brand.deployment, brand.campaign.slug, bob.customer, Channel.copy)
    assert link.customer == alice.customer
    with brand.deployment.db.read() as tx:
        assert reports.name_of(tx, brand.deployment.keys, alice.customer) == "Ally"
        assert bob.visitor in people.visitors_of(tx, alice.customer)


def test_details_of_two_customers_who_were_merged_are_those_of_one(
    brand: Brand, cast: tuple[Person, Person, Person]
) -> None:
    alice, bob, _ = cast
    contacts = [alice.contact, bob.contact]
    with pytest.raises(people.CustomerExists):
        actions.add_customer(brand.deployment, contacts, None)
    merge(brand, alice, bob)
    assert actions.add_customer(brand.deployment, contacts, None) == (alice.customer, False)


def test_why_somebody_was_brought_in_names_the_kept_one(
    brand: Brand, cast: tuple[Person, Person, Person]
) -> None:
    alice, bob, charlie = cast
    bring_in(charlie, bob, 0)
    merge(brand, alice, bob)
    with brand.deployment.db.read() as tx:
        place = tx.get_one(Referral, charlie.customer)
        why = referrals.reasons(place, people.current(tx, referrals.mentioned(place)))
        assert why.path == [alice.customer]
        assert [touch.customer_id for touch in why.touches] == [alice.customer]
        (friend,) = wallet.friends_of(tx, brand.deployment.keys, alice.customer)
        assert friend.points == PER_FRIEND
        assert trees.branch(tx, brand.deployment.keys, bob.customer, depth=1, limit=5).direct == 1


# The tree


def place_of(brand: Brand, person: Person) -> tuple[int | None, str]:
    with brand.deployment.db.read() as tx:
        place = tx.get_one(Referral, person.customer)
        return place.referrer_id, place.event


def test_the_place_that_was_settled_earlier_remains(
    brand: Brand, cast: tuple[Person, Person, Person], clock: HeldClock
) -> None:
    alice, bob, charlie = cast
    charlie.claim(0)
    bring_in(bob, charlie, 1)
    clock.advance(minutes=1)
    alice.claim(2)
    dan, eve = (
        Person(brand, people.phone("13700137000")),
        Person(brand, people.phone("13600136000")),
    )
    bring_in(dan, alice, 3)
    bring_in(eve, dan, 4)
    settled = place_of(brand, bob)
    merge(brand, alice, bob)
    assert place_of(brand, alice) == settled
    with brand.deployment.db.read() as tx:
        counts = counters.counts_of(tx, counters.TREE, [charlie.customer, bob.customer])
        assert (counts[charlie.customer].total, counts[bob.customer].total) == (3, 0)


def test_the_only_place_remains(brand: Brand, cast: tuple[Person, Person, Person]) -> None:
    alice, bob, charlie = cast
    charlie.claim(0)
    bring_in(bob, charlie, 1)
    settled = place_of(brand, bob)
    merge(brand, alice, bob)
    assert place_of(brand, alice) == settled


@pytest.mark.parametrize("keep_upper", [True, False])
def test_the_upper_place_remains_and_nobody_is_paid_for_herself(
    brand: Brand, cast: tuple[Person, Person, Person], keep_upper: bool
) -> None:
    alice, bob, charlie = cast
    charlie.claim(0)
    bring_in(alice, charlie, 1)
    bring_in(bob, alice, 2)
    bob.claim(3)
    settled, budget = place_of(brand, alice), brand.budget_left()
    assert (alice.points(), bob.points()) == (
        PER_CLAIM + 2 * PER_FRIEND,
        2 * PER_CLAIM + PER_FRIEND,
    )
    kept = alice if keep_upper else bob
    merge(brand, alice, bob, keep=kept.customer)
    assert place_of(brand, kept) == settled
    # What was paid for the two claims stays, and what Charlie brought about; what she had for
    # bringing in herself, and for having been brought in by herself, does not.
    assert kept.points() == 3 * PER_CLAIM + PER_FRIEND
    assert brand.budget_left() == budget + 2 * PER_FRIEND
    with brand.deployment.db.read() as tx:
        taken = tx.scalars(sa.select(Reward).where(Reward.why == Reason.same_person)).all()
        assert [(each.depth, each.amount) for each in taken] == [(0, PER_FRIEND), (1, PER_FRIEND)]


def test_who_bought_only_as_her_own_friend_was_brought_in_by_nobody(
    brand: Brand, cast: tuple[Person, Person, Person]
) -> None:
    alice, bob, charlie = cast
    bring_in(bob, alice, 0)
    bring_in(charlie, alice, 1)
    merge(brand, alice, bob)
    assert place_of(brand, alice) == (None, "claim:1")
    assert alice.claim(2).referrer is None
    assert alice.points() == 2 * PER_CLAIM + PER_FRIEND
    with brand.deployment.db.read() as tx:
        place = tx.get_one(Referral, alice.customer)
        assert [touch.outcome for touch in referrals.reasons(place).touches] == ["nobody"]


def test_who_stands_between_the_two_comes_below_them(
    brand: Brand, cast: tuple[Person, Person, Person]
) -> None:
    alice, bob, charlie = cast
    alice.claim(0)
    bring_in(charlie, alice, 1)
    bring_in(bob, charlie, 2)
    merge(brand, bob, alice)
    with brand.deployment.db.read() as tx:
        assert tree(tx) == {alice.customer: None, charlie.customer: alice.customer}
    assert charlie.points() == PER_CLAIM + 2 * PER_FRIEND, "she did bring in a buyer"


# Money


def spend(brand: Brand, person: Person, amount: int, key: str) -> int:
    def work(tx: Session) -> int:
        who = people.lock_customer(tx, person.customer)
        to = ledger.account(tx, Kind.redeemed, 0, "points")
        now = brand.deployment.clock.now()
        return wallets.spend(tx, who, "points", amount, to=to, key=key, what="spent", now=now)

    return brand.deployment.db.transact(work)


def take_back(brand: Brand, event: str, share: Fraction = Fraction(1)) -> None:
    now = brand.deployment.clock.now()
    brand.deployment.db.transact(
        lambda tx: reverse(tx, event, share, Reason.refunded, key=f"back|{event}|{share}", now=now)
    )


def owed(brand: Brand, person: Person) -> int:
    with brand.deployment.db.read() as tx:
        return wallets.debt_of(tx, person.customer, "points")


@pytest.mark.parametrize(
    ("claims", "available", "debt"), [(0, 0, PER_CLAIM), (1, 0, 0), (3, 2 * PER_CLAIM, 0)]
)
@pytest.mark.parametrize("keep_debtor", [True, False])
def test_what_one_owes_the_other_pays(
    brand: Brand,
    cast: tuple[Person, Person, Person],
    claims: int,
    available: int,
    debt: int,
    keep_debtor: bool,
) -> None:
    alice, bob, _ = cast
    event = bob.claim(0).claim.event
    spend(brand, bob, PER_CLAIM, "spent")
    take_back(brand, event)
    assert owed(brand, bob) == PER_CLAIM
    for index in range(claims):
        alice.claim(1 + index)
    kept = bob if keep_debtor else alice
    merge(brand, alice, bob, keep=kept.customer)
    assert (kept.points(), owed(brand, kept)) == (available, debt)


def test_taking_back_reaches_what_is_spent(
    brand: Brand, cast: tuple[Person, Person, Person]
) -> None:
    alice, bob, _ = cast
    alice.claim(0)
    bring_in(bob, alice, 1)
    spend(brand, alice, alice.points(), "all")
    spend(brand, bob, bob.points(), "all of hers")
    merge(brand, alice, bob)
    assert (alice.points(), owed(brand, alice)) == (0, 2 * PER_FRIEND)
    alice.claim(2)
    assert (alice.points(), owed(brand, alice)) == (0, 2 * PER_FRIEND - PER_CLAIM)


def test_what_is_on_hold_is_released_to_the_kept_one(
    deployment: Deployment, clock: HeldClock
) -> None:
    brand = open_brand(deployment, hold_days=7)
    alice, bob, _ = cast_of(brand)
    alice.claim(0)
    bob.claim(1)
    merge(brand, alice, bob)
    assert (alice.pending(), bob.pending()) == (2 * PER_CLAIM, 0)
    clock.advance(days=8)
    actions.release_rewards(deployment)
    assert (alice.points(), alice.pending()) == (2 * PER_CLAIM, 0)


def test_a_refund_reaches_the_kept_one_and_what_she_spent_comes_back(
    brand: Brand, cast: tuple[Person, Person, Person]
) -> None:
    alice, bob, _ = cast
    event = bob.claim(0).claim.event
    entry = spend(brand, bob, PER_CLAIM, "spent")
    merge(brand, alice, bob)
    take_back(brand, event, Fraction(1, 2))
    assert owed(brand, alice) == PER_CLAIM // 2

    def undo(tx: Session) -> None:
        source = ledger.account(tx, Kind.redeemed, 0, "points")
        wallets.give_back(
            tx,
            people.lock_customer(tx, bob.customer),
            "points",
            entry,
            source=source,
            key="undo",
            what="undone",
            now=brand.deployment.clock.now(),
        )

    brand.deployment.db.transact(undo)
    assert (alice.points(), owed(brand, alice)) == (PER_CLAIM // 2, 0)


def test_limits_count_what_both_have_had(deployment: Deployment) -> None:
    rules = [{**RULES[0], "limits": {"per_person": 3, "per_person_per_day": 3}}]
    brand = open_brand(deployment, rules=rules)
    alice, bob, _ = cast_of(brand)
    alice.claim(0)
    bob.claim(1)
    bob.claim(2)
    merge(brand, alice, bob)
    assert not alice.claim(3).rewards
    with deployment.db.read() as tx:
        rows = tx.execute(sa.select(RewardCap.scope, RewardCap.used)).all()
        assert {(row.scope.startswith(f"person {alice.customer}"), row.used) for row in rows} == {
            (True, 3)
        }


# At the same moment


def settled_as_one(brand: Brand, *persons: Person) -> None:
    with brand.deployment.db.read() as tx:
        numbers = [each.customer for each in persons]
        assert len(set(people.current(tx, numbers).values())) == 1
        assert tx.scalar(sa.select(sa.func.count(Merge.id))) == len(persons) - 1
        assert not faults(tx)


def test_two_merges_of_the_same_people_are_one(
    brand: Brand, cast: tuple[Person, Person, Person]
) -> None:
    alice, bob, _ = cast
    alice.claim(0)
    bring_in(bob, alice, 1)
    outcomes = at_once(
        [
            lambda: merge(brand, alice, bob),
            lambda: merge(brand, bob, alice, keep=bob.customer),
            lambda: merge(brand, alice, bob),
            lambda: merge(brand, bob, alice),
        ]
    )
    assert sorted(each.gone is not None for each in outcomes) == [False, False, False, True]
    assert len({each.kept for each in outcomes}) == 1
    settled_as_one(brand, alice, bob)


def test_merges_in_a_ring_end_in_one(brand: Brand) -> None:
    ring = [Person(brand, people.phone(f"1380013800{digit}")) for digit in range(5)]
    for index, person in enumerate(ring):
        if index:
            person.open(ring[index - 1].link())
        person.claim(index)

    def joined(one: Person, other: Person) -> Callable[[], actions.Merged]:
        return lambda: merge(brand, one, other)

    outcomes = at_once([joined(ring[i], ring[i - 1]) for i in range(5)])
    assert [each for each in outcomes if isinstance(each, Exception)] == []
    assert sum(each.gone is not None for each in outcomes) == 4
    settled_as_one(brand, *ring)


@pytest.mark.parametrize("merge_first", [True, False])
def test_a_claim_beside_a_merge_is_the_kept_ones(
    brand: Brand, cast: tuple[Person, Person, Person], merge_first: bool
) -> None:
    alice, bob, charlie = cast
    bob.open(charlie.link())
    works = [lambda: merge(brand, alice, bob), lambda: bob.claim(0)]
    outcome = overtaken(
        brand.deployment.db,
        lambda tx: works[not merge_first](),
        works[merge_first],
    )
    assert not [each for each in outcome if isinstance(each, Exception)]
    assert alice.points() == PER_CLAIM + PER_FRIEND
    assert place_of(brand, alice)[0] == charlie.customer


@pytest.mark.parametrize("merge_first", [True, False])
def test_a_friend_who_comes_beside_a_merge_is_the_kept_ones(
    brand: Brand, cast: tuple[Person, Person, Person], merge_first: bool
) -> None:
    alice, bob, charlie = cast
    bob.claim(0)
    charlie.open(bob.link())
    works = [lambda: merge(brand, alice, bob), lambda: charlie.claim(1)]
    outcome = overtaken(
        brand.deployment.db,
        lambda tx: works[not merge_first](),
        works[merge_first],
    )
    assert not [each for each in outcome if isinstance(each, Exception)]
    assert alice.points() == PER_CLAIM + PER_FRIEND
    assert place_of(brand, charlie)[0] == alice.customer


@pytest.mark.parametrize("merge_first", [True, False])
def test_a_merge_and_a_first_claim_make_no_circle(
    brand: Brand, clock: HeldClock, merge_first: bool
) -> None:
    """Bob is below Xenia, who has bought nothing; Cora is below Alice. Xenia comes through Cora
    while Alice, who has more below her, turns out to be Bob."""
    alice, bob, xenia, cora = (
        Person(brand, people.phone(f"1380013800{digit}")) for digit in range(4)
    )
    xenia.sign_in()
    bring_in(bob, xenia, 0)
    clock.advance(minutes=1)
    alice.claim(1)
    bring_in(cora, alice, 2)
    xenia.open(cora.link())
    works = [lambda: merge(brand, alice, bob), lambda: xenia.claim(3)]
    outcome = overtaken(
        brand.deployment.db, lambda tx: works[not merge_first](), works[merge_first]
    )
    assert not [each for each in outcome if isinstance(each, Exception)]
    with brand.deployment.db.read() as tx:
        assert not faults(tx)
        one = people.current(tx, [bob.customer])[bob.customer]
        above = None if merge_first else cora.customer
        assert tree(tx) == {
            xenia.customer: above,
            one: xenia.customer if merge_first else None,
            cora.customer: one,
        }


def test_a_release_beside_a_merge_loses_nothing(deployment: Deployment, clock: HeldClock) -> None:
    brand = open_brand(deployment, hold_days=7)
    alice, bob, _ = cast_of(brand)
    for index in range(6):
        (alice, bob)[index % 2].claim(index)
    clock.advance(days=8)
    outcomes = at_once(
        [
            lambda: merge(brand, alice, bob),
            lambda: actions.release_rewards(deployment),
            lambda: actions.release_rewards(deployment),
        ]
    )
    assert not [each for each in outcomes if isinstance(each, Exception)]
    actions.release_rewards(deployment)
    assert (alice.points(), alice.pending()) == (6 * PER_CLAIM, 0)


@pytest.mark.parametrize("merge_first", [True, False])
def test_spending_beside_a_merge_spends_once(
    brand: Brand, cast: tuple[Person, Person, Person], merge_first: bool
) -> None:
    alice, bob, _ = cast
    bob.claim(0)
    works = [lambda: merge(brand, alice, bob), lambda: spend(brand, bob, PER_CLAIM, "spent")]
    outcome = overtaken(
        brand.deployment.db,
        lambda tx: works[not merge_first](),
        works[merge_first],
    )
    assert not [each for each in outcome if isinstance(each, Exception)]
    assert alice.points() == 0
    with pytest.raises(ledger.Insufficient):
        spend(brand, alice, 1, "more")


# In any order


class _Undone(Exception):
    """What an example did is rolled back: one database does for all of them."""


@dataclass
class Play:
    """A few customers, who buy, bring one another in, spend, send back, and turn out to be one."""

    brand: Brand
    numbers: list[int]
    events: list[str]
    step: int = 0

    def claim(self, who: int, sharer: int) -> None:
        d = self.brand.deployment
        link = Link(self.brand.campaign.id, 900 + sharer, self.numbers[sharer], 0, Channel.copy)
        touches = [Touch(link, d.clock.now() - timedelta(minutes=1))]
        code = self.brand.code(self.step)
        claimed = actions.claim(
            d, code, self.numbers[who], visitor=900 + who, touches=touches if who != sharer else []
        )
        self.events.append(claimed.claim.event)

    def merge(self, tx: Session, who: int, other: int) -> None:
        one, two = self.numbers[who], self.numbers[other]
        places = {place.customer_id: (place.at, place.referrer_id) for place in _places(tx)}
        merged = merge(self.brand, one, two)
        if merged.gone is None:
            return
        tx.expire_all()
        found = {place.customer_id: (place.at, place.referrer_id) for place in _places(tx)}
        assert found == expected(places, merged.gone, merged.kept)

    def take_back(self, which: int, share: int) -> None:
        if self.events:
            take_back(self.brand, self.events[which % len(self.events)], Fraction(share, 3))

    def spend(self, tx: Session, who: int, amount: int) -> None:
        with suppress(ledger.Insufficient):
            person = Person(self.brand, people.phone("13800138000"), self.numbers[who])
            spend(self.brand, person, amount, f"spend|{self.step}")


def _places(tx: Session) -> Sequence[Referral]:
    return tx.scalars(sa.select(Referral)).all()


def expected(places: dict[int, Any], gone: int, kept: int) -> dict[int, Any]:
    """What a merge makes of the places of a tree, by its definition."""

    def above(customer: int) -> list[int]:
        found: list[int] = []
        while customer in places and places[customer][1] is not None:
            customer = places[customer][1]
            found.append(customer)
        return found

    both = (gone, kept)
    own = {each: places[each] for each in both if each in places}
    upper = next((each for each in both if each in above(gone) + above(kept)), None)
    final = None
    if upper is not None:
        lower = gone if upper == kept else kept
        final = own.get(upper) or (own[lower][0], None)
    elif own:
        final = min(own.values(), key=lambda place: place[0])
    others = {each: place for each, place in places.items() if each not in both}
    moved = {
        each: (at, kept if referrer == gone else referrer)
        for each, (at, referrer) in others.items()
    }
    return {**moved, **({kept: final} if final else {})}


who = st.integers(0, 5)
steps = st.one_of(
    st.tuples(st.just("claim"), who, who),
    st.tuples(st.just("merge"), who, who),
    st.tuples(st.just("merge"), who, who),
    st.tuples(st.just("take_back"), st.integers(0, 9), st.integers(1, 3)),
    st.tuples(st.just("spend"), who, st.integers(1, 80)),
)


@settings(max_examples=8, suppress_health_check=SLOW_BUT_FINE)
@given(st.lists(steps, min_size=6, max_size=14))
def test_merges_in_any_order_leave_a_forest_and_sums_that_add_up(
    brand: Brand, clock: HeldClock, happened: Sequence[tuple[str, int, int]]
) -> None:
    d = brand.deployment

    def work(tx: Session) -> None:
        numbers = [
            actions.add_customer(d, [people.external(f"member {each}")], None)[0]
            for each in range(6)
        ]
        play = Play(brand, numbers, [])
        for what, one, two in happened:
            clock.advance(minutes=2)
            play.step += 1
            if what == "claim":
                play.claim(one, two)
            elif what == "merge":
                play.merge(tx, one, two)
            elif what == "take_back":
                play.take_back(one, two)
            else:
                play.spend(tx, one, two)
            if what == "merge":
                assert not faults(tx)
            if play.step % 5 == 0:
                counters.fold(tx)
        assert not faults(tx)
        raise _Undone

    with pytest.raises(_Undone):
        d.db.transact(work)
