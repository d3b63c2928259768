"""The verdict on a purchase: what is refused, what is held, and that nothing is paid without it."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from uuid import uuid4

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from referral import actions, intake, people, risk
from referral.actions import Claimed
from referral.clock import HeldClock
from referral.codes import Label
from referral.deployment import Deployment
from referral.reports import evidence
from referral.rewards import Reward, Why, of_event
from referral.risk import (
    CustomerNetwork,
    Decision,
    Mode,
    SharedDevice,
    VerdictRow,
    note_network,
    sweep_networks,
)
from referral.visits import Kind, Visit
from tests.cast import PER_CLAIM, PER_FRIEND, Brand, Person, cast_of, open_brand
from tests.races import at_once
from tests.statements import statements


@pytest.fixture
def brand(deployment: Deployment) -> Brand:
    return open_brand(deployment, hold_days=7)


def friend(brand: Brand, number: int) -> Person:
    return Person(brand, people.email(f"friend-{number}@example.com"))


def verdict(brand: Brand, claimed: Claimed) -> VerdictRow:
    with brand.deployment.db.read() as tx:
        found = risk.verdict_of(tx, claimed.claim.event)
    assert found is not None
    return found


def rules_of(found: VerdictRow) -> set[str]:
    return {finding.rule for finding in found.found}


def withheld(claimed: Claimed) -> set[tuple[int, str]]:
    return {(each.beneficiary_id, each.why) for each in claimed.withheld}


def test_every_purchase_that_pays_has_a_verdict(brand: Brand) -> None:
    alice, bob, _ = cast_of(brand)
    first = verdict(brand, alice.claim(0))
    assert (first.customer_id, first.referrer_id) == (alice.customer, None)
    assert (first.score, first.decision, first.case_state) == (0, Decision.pay, None)
    assert first.findings == []
    bob.open(alice.link())
    second = verdict(brand, bob.claim(1))
    assert (second.customer_id, second.referrer_id) == (bob.customer, alice.customer)
    assert second.is_paid_referral
    assert second.facts == {"is_first": True, "pays_referrer": True, "misses": 0}


def test_a_claim_again_is_not_judged_again(brand: Brand) -> None:
    alice, *_ = cast_of(brand)
    before = verdict(brand, alice.claim(0))
    assert verdict(brand, alice.claim(0)).id == before.id


def test_the_database_refuses_a_reward_without_a_verdict(brand: Brand) -> None:
    alice, *_ = cast_of(brand)
    alice.claim(0)

    def pay_unjudged(tx: Session) -> None:
        tx.execute(sa.update(Reward).values(event="claim:999"))

    with pytest.raises(IntegrityError):
        brand.deployment.db.transact(pay_unjudged)

    def forget(tx: Session) -> None:
        tx.execute(sa.delete(VerdictRow))

    with pytest.raises(IntegrityError):
        brand.deployment.db.transact(forget)


# Oneself as a friend


def test_a_friend_from_ones_own_phone_is_no_friend(brand: Brand) -> None:
    alice, bob, _ = cast_of(brand)
    alice.claim(0)
    bob.cookie = alice.cookie  # signs in on her phone
    bob.sign_in()
    bob.open(alice.link())
    claimed = bob.claim(1)
    assert claimed.referrer == alice.customer
    assert [(each.beneficiary_id, each.amount) for each in claimed.rewards] == [
        (bob.customer, PER_CLAIM)
    ]
    assert withheld(claimed) == {
        (alice.customer, Why.self_referral),
        (bob.customer, Why.self_referral),
    }
    found = verdict(brand, claimed)
    assert rules_of(found) == {"self_same_device"}
    assert not found.is_paid_referral
    assert claimed.rewards[0].is_cleared


def test_also_the_other_way_round(brand: Brand) -> None:
    """She signs in on his phone, later, and is no friend of his on her own either."""
    alice, bob, _ = cast_of(brand)
    alice.claim(0)
    bob.sign_in()
    her_phone, alice.cookie = alice.cookie, bob.cookie
    alice.sign_in()
    alice.cookie = her_phone
    bob.open(alice.link())
    assert (alice.customer, Why.self_referral) in withheld(bob.claim(1))


def test_a_third_customer_on_the_phone_is_known_to_the_first(brand: Brand) -> None:
    alice, bob, charlie = cast_of(brand)
    alice.sign_in()
    bob.cookie = alice.cookie
    bob.sign_in()
    charlie.cookie = bob.cookie
    charlie.sign_in()
    with brand.deployment.db.read() as tx:
        pairs = set(tx.execute(sa.select(SharedDevice.customer_id, SharedDevice.other_id)).all())
    everybody = {alice.customer, bob.customer, charlie.customer}
    assert pairs == {(a, b) for a in everybody for b in everybody if a != b}


@pytest.mark.parametrize(
    ("hers", "his", "is_same"),
    [
        ("alice@example.com", "alice+friend@example.com", True),
        ("alice.b@gmail.com", "aliceb@googlemail.com", True),
        ("alice.b@example.com", "aliceb@example.com", False),
        ("alice@example.com", "alice@example.org", False),
    ],
)
def test_one_mailbox_under_two_spellings(brand: Brand, hers: str, his: str, is_same: bool) -> None:
    alice, bob = (Person(brand, people.email(each)) for each in (hers, his))
    alice.claim(0)
    bob.open(alice.link())
    claimed = bob.claim(1)
    assert ((alice.customer, Why.self_referral) in withheld(claimed)) is is_same
    assert ("self_same_contact" in rules_of(verdict(brand, claimed))) is is_same


# Too many


def test_the_sixth_friend_of_a_day_is_not_paid_for(brand: Brand, clock: HeldClock) -> None:
    alice, *_ = cast_of(brand)
    alice.claim(0)
    for number in range(1, 7):
        clock.advance(minutes=7 * number * number)  # not like clockwork
        one = friend(brand, number)
        one.open(alice.link())
        claimed = one.claim(number)
        paid = {each.beneficiary_id for each in claimed.rewards}
        assert (alice.customer in paid) is (number <= 5)
        assert one.customer in paid
    assert withheld(claimed) == {(alice.customer, Why.too_many)}
    assert rules_of(verdict(brand, claimed)) == {"too_many_in_a_day"}
    clock.advance(days=1)
    later = friend(brand, 7)
    later.open(alice.link())
    assert alice.customer in {each.beneficiary_id for each in later.claim(7).rewards}


def test_the_thirty_first_friend_of_a_month_is_not_paid_for(brand: Brand, clock: HeldClock) -> None:
    alice, *_ = cast_of(brand)
    alice.claim(0)
    for number in range(1, 32):
        clock.advance(minutes=60 * (9 if number % 3 else 14))
        one = friend(brand, number)
        one.open(alice.link())
        claimed = one.claim(number)
    assert withheld(claimed) == {(alice.customer, Why.too_many)}
    assert rules_of(verdict(brand, claimed)) >= {"too_many_in_a_month"}


def test_friends_at_the_same_moment_are_not_both_the_fifth(brand: Brand) -> None:
    alice, *_ = cast_of(brand)
    alice.claim(0)
    friends = [friend(brand, number) for number in range(8)]
    for one in friends:
        one.sign_in()
        one.open(alice.link())
    made = at_once([partial(one.claim, number + 1) for number, one in enumerate(friends)])
    claims = [each for each in made if isinstance(each, Claimed)]
    assert len(claims) == 8, made
    paid = [alice.customer in {r.beneficiary_id for r in each.rewards} for each in claims]
    assert sum(paid) == 5
    assert alice.pending() == PER_CLAIM + 5 * PER_FRIEND


def test_more_packages_of_a_friend_are_no_more_friends(deployment: Deployment) -> None:
    rules = [{"when": "claim", "for": "both", "amount": 30}]
    brand = open_brand(deployment, rules=rules)
    alice, bob, _ = cast_of(brand)
    alice.claim(0)
    bob.open(alice.link())
    for index in range(1, 9):
        assert alice.customer in {each.beneficiary_id for each in bob.claim(index).rewards}


# By score


def suspicious(brand: Brand) -> Claimed:
    """Bob claims after twelve wrong codes, on a phone that four customers use, with packages from
    three provinces: 75 points."""
    d = brand.deployment
    _, bob, _ = cast_of(brand)
    bob.sign_in()
    for number in range(3):
        other = friend(brand, 100 + number)
        other.cookie = bob.cookie
        other.sign_in()
    for _ in range(12):
        d.guessing.wrong_code(bob.customer, None, None)
    return bob.claim(1)


def test_what_is_suspicious_is_for_review(brand: Brand) -> None:
    claimed = suspicious(brand)
    found = verdict(brand, claimed)
    assert rules_of(found) == {"shared_browsers", "misses_first"}
    assert (found.score, found.decision, found.case_state) == (50, Decision.review, "open")
    assert {each.is_cleared for each in claimed.rewards} == {True}


def hold_everything(deployment: Deployment) -> None:
    actions.set_risk_rule(deployment, "misses_first", Mode.on, points=60, by="tests")


def test_what_is_very_suspicious_is_held(brand: Brand, clock: HeldClock) -> None:
    hold_everything(brand.deployment)
    claimed = suspicious(brand)
    assert verdict(brand, claimed).decision == Decision.hold
    assert {each.is_cleared for each in claimed.rewards} == {False}
    clock.advance(days=8)
    assert actions.release_rewards(brand.deployment) == 0
    with brand.deployment.db.read() as tx:
        assert {each.state for each in of_event(tx, claimed.claim.event)} == {"pending"}


def test_what_is_held_is_held_without_a_hold_of_the_campaign(deployment: Deployment) -> None:
    brand = open_brand(deployment, hold_days=0)
    hold_everything(deployment)
    assert {each.state for each in suspicious(brand).rewards} == {"pending"}


def test_who_is_blocked_gets_nothing_and_others_do(brand: Brand) -> None:
    alice, bob, _ = cast_of(brand)
    alice.claim(0)
    actions.block_customer(brand.deployment, alice.customer, by="olga", reason="a shop of hers")
    bob.open(alice.link())
    claimed = bob.claim(1)
    assert withheld(claimed) == {(alice.customer, Why.blocked)}
    assert {each.beneficiary_id for each in claimed.rewards} == {bob.customer}
    mine = alice.claim(2)
    assert mine.rewards == []
    assert withheld(mine) == {(alice.customer, Why.blocked)}
    actions.unblock_customer(brand.deployment, alice.customer, by="olga", reason="cleared up")
    assert alice.claim(3).rewards


def test_the_facts_are_those_of_the_moment(brand: Brand, clock: HeldClock) -> None:
    """What happened later is not in them: a rule is tried on history as it was."""
    alice, bob, charlie = cast_of(brand)
    alice.claim(0)
    bob.open(alice.link())
    claimed = bob.claim(1)
    then = clock.now()
    clock.advance(minutes=60)
    charlie.open(alice.link())
    charlie.claim(2)
    bob.claim(3)
    other = friend(brand, 1)
    other.cookie = bob.cookie
    other.sign_in()
    with brand.deployment.db.read() as tx:
        kept = risk.verdict_of(tx, claimed.claim.event)
        assert kept is not None
        known = evidence.known_of(kept)
        facts, _ = evidence.gather(tx, brand.deployment.keys, known, then)
        today, _ = evidence.gather(tx, brand.deployment.keys, known, clock.now())
    assert (len(facts.packages), len(facts.children), facts.accounts) == (1, 1, 0)
    assert (len(today.packages), len(today.children), today.accounts) == (2, 2, 1)
    assert (facts.is_first, facts.pays_referrer) == (True, True)


def test_regions_and_the_referrers_own_scan(brand: Brand) -> None:
    """A region is where a package was first scanned; and who scanned this one before."""
    alice, bob, _ = cast_of(brand)
    alice.claim(0)

    def scan(who: Person, index: int, region: str) -> None:
        visit = Visit(
            Kind.scan,
            brand.deployment.clock.now(),
            uuid4(),
            visitor=who.visitor,
            batch=brand.batch.id,
            code_index=index,
            label=Label.inner,
            region=region,
        )
        intake.hand_in(brand.deployment, visit)

    bob.open(alice.link())
    for index, region in ((1, "CN-GD"), (2, "CN-BJ"), (3, "SG")):
        scan(bob, index, region)
    scan(alice, 3, "SG")
    bob.claim(1)
    bob.claim(2)
    found = verdict(brand, bob.claim(3))
    # A friend's second package pays her nothing here, so nobody asks what she scanned.
    assert rules_of(found) >= {"far_places"}
    evidence_of = {each.rule: each.evidence for each in found.found}
    assert evidence_of["far_places"] == {"regions": 3}


def sent_by(brand: Brand, work: Callable[[], object]) -> list[str]:
    """The statements that some work sends."""
    with statements(brand.deployment.db) as sent:
        work()
    return sent


def test_a_verdict_costs_two_statements(brand: Brand) -> None:
    alice, bob, _ = cast_of(brand)
    alice.claim(0)

    def of_risk(sent: list[str]) -> list[str]:
        return [each for each in sent if "verdicts" in each or "shared_devices" in each]

    assert len(of_risk(sent_by(brand, lambda: alice.claim(1)))) == 2
    bob.open(alice.link())
    assert len(of_risk(sent_by(brand, lambda: bob.claim(2)))) == 2


def test_networks_are_kept_as_hashes_for_ninety_days(
    deployment: Deployment, clock: HeldClock
) -> None:
    with_customer = actions.add_customer(deployment, [people.phone("138 0013 8000")], None)[0]

    def note(tx: Session) -> None:
        for address in ("192.0.2.7", "192.0.2.99", "198.51.100.1", "nonsense"):
            note_network(tx, deployment.keys, with_customer, address, clock.now())

    deployment.db.transact(note)
    with deployment.db.read() as tx:
        blocks = set(tx.scalars(sa.select(CustomerNetwork.block)))
    assert len(blocks) == 2
    assert not any("192" in block for block in blocks)
    clock.advance(days=90)
    assert deployment.db.transact(lambda tx: sweep_networks(tx, clock.now())) == 0
    clock.advance(seconds=1)
    assert deployment.db.transact(lambda tx: sweep_networks(tx, clock.now())) == 2


def test_how_long_a_verdict_looks_back(brand: Brand, clock: HeldClock) -> None:
    alice, *_ = cast_of(brand)
    claimed = alice.claim(0)
    kept = verdict(brand, claimed)
    with brand.deployment.db.read() as tx:
        for after, packages in ((timedelta(0), 1), (timedelta(days=1), 0)):
            facts, _ = evidence.gather(
                tx, brand.deployment.keys, evidence.known_of(kept), clock.now() + after
            )
            assert len(facts.packages) == packages
