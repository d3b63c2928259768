"""The second look: it finds what a claim has no time for, while something is still pending."""

from datetime import timedelta
from functools import partial

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral import actions, people, risk
from referral.actions import Claimed, Looked
from referral.clock import HeldClock
from referral.deployment import Deployment
from referral.reports import evidence
from referral.rewards import of_event
from referral.risk import Mode, Quiet, VerdictRow
from tests.cast import Brand, Person, cast_of, open_brand


@pytest.fixture
def brand(deployment: Deployment) -> Brand:
    return open_brand(deployment, hold_days=7, window_days=365)


def verdict(brand: Brand, claimed: Claimed) -> VerdictRow:
    with brand.deployment.db.read() as tx:
        found = risk.verdict_of(tx, claimed.claim.event)
    assert found is not None
    return found


def member(brand: Brand, number: int) -> Person:
    """Somebody known by a member id only, which nobody has verified."""
    one = Person(brand, people.external(f"member {number}"))
    one.customer, _ = actions.add_customer(brand.deployment, [one.contact], None)
    brand.deployment.db.transact(
        lambda tx: people.fold_visitor(tx, one.visitor, one.customer, brand.deployment.clock.now())
    )
    return one


def further(brand: Brand, claimed: Claimed) -> risk.Facts:
    kept = verdict(brand, claimed)
    keys, now = brand.deployment.keys, brand.deployment.clock.now()
    with brand.deployment.db.read() as tx:
        facts, _ = evidence.gather(tx, keys, evidence.known_of(kept), now)
        return evidence.look_further(tx, facts, evidence.typical_packages(tx, now))


def test_a_chain_of_guests_is_found(brand: Brand, clock: HeldClock) -> None:
    alice, bob, _ = cast_of(brand)
    alice.claim(0)
    above = alice
    for number in range(1, 4):
        one = member(brand, number)
        one.open(above.link())
        claimed = one.claim(number)
        above = one
        clock.advance(minutes=number * 17)
    assert further(brand, claimed).guests == 2, "two above, then Alice with her phone number"
    bob.open(above.link())
    claimed = bob.claim(4)
    assert further(brand, claimed).guests == 3
    assert actions.look(brand.deployment).verdicts == 5
    assert {each.rule for each in verdict(brand, claimed).found} == {"guest_chain"}
    assert verdict(brand, claimed).decision == "pay", "20 points alone are no reason"


def quiet_star(brand: Brand, clock: HeldClock) -> tuple[Person, Claimed]:
    """Alice brings in ten who never do anything again, and Bob a month later."""
    alice, bob, _ = cast_of(brand)
    alice.claim(0)
    for number in range(1, 11):
        one = member(brand, number)
        one.open(alice.link())
        one.claim(number)
        clock.advance(minutes=60 * (5 + number % 4))
    actions.release_rewards(brand.deployment)
    clock.advance(days=30)
    bob.open(alice.link())
    return alice, bob.claim(20)


def test_friends_who_never_act_again_are_found_a_month_later(
    brand: Brand, clock: HeldClock
) -> None:
    _, claimed = quiet_star(brand, clock)
    assert further(brand, claimed).star == Quiet(10, 10)
    actions.look(brand.deployment)
    assert {each.rule for each in verdict(brand, claimed).found} == {"quiet_star"}


def test_a_look_raises_a_verdict_while_it_is_pending(brand: Brand, clock: HeldClock) -> None:
    actions.set_risk_rule(brand.deployment, "quiet_star", Mode.on, points=60, by="tests")
    _, claimed = quiet_star(brand, clock)
    assert verdict(brand, claimed).decision == "pay"
    clock.advance(days=8)
    actions.release_rewards(brand.deployment)  # it looks first
    found = verdict(brand, claimed)
    assert (found.decision, found.case_state, found.score) == ("hold", "open", 60)
    with brand.deployment.db.read() as tx:
        kept = of_event(tx, claimed.claim.event)
    assert {(each.state, each.is_cleared) for each in kept} == {("pending", False)}


def test_what_staff_decided_stays(brand: Brand, clock: HeldClock) -> None:
    actions.set_risk_rule(brand.deployment, "quiet_star", Mode.on, points=60, by="tests")
    _, claimed = quiet_star(brand, clock)
    case_id = verdict(brand, claimed).id
    choice = actions.Choice.accept
    actions.decide_case(brand.deployment, case_id, choice, by="olga", reason="known to us")
    actions.look(brand.deployment)
    found = verdict(brand, claimed)
    assert (found.case_state, found.decision, found.findings) == ("accepted", "pay", [])


def test_what_was_paid_is_left_alone(deployment: Deployment, clock: HeldClock) -> None:
    brand = open_brand(deployment, hold_days=0, window_days=365)
    actions.set_risk_rule(deployment, "quiet_star", Mode.on, points=60, by="tests")
    _, claimed = quiet_star(brand, clock)
    assert actions.look(deployment).to_hold == 0
    assert verdict(brand, claimed).decision == "pay"


def test_it_looks_when_new_and_once_more_before_release(brand: Brand, clock: HeldClock) -> None:
    alice, *_ = cast_of(brand)
    alice.claim(0)
    looked = [actions.look(brand.deployment).verdicts for _ in range(2)]
    assert looked == [1, 0]
    by_day = []
    for _ in range(9):
        clock.advance(days=1)
        by_day.append(actions.look(brand.deployment).verdicts)
        actions.release_rewards(brand.deployment)
    assert by_day == [0, 0, 0, 0, 0, 1, 1, 0, 0]
    assert actions.look(brand.deployment) == Looked(0, 0, 0)


def test_it_takes_many_in_pieces(brand: Brand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("referral.actions.looking._NEW", _piecewise())
    monkeypatch.setattr("referral.actions.looking.LOOK_BATCH", 2)
    alice, *_ = cast_of(brand)
    for index in range(5):
        alice.claim(index)
    assert actions.look(brand.deployment).verdicts == 5


def _piecewise() -> sa.Select[VerdictRow]:
    statement = sa.select(VerdictRow).where(VerdictRow.looked_at.is_(None))
    return statement.order_by(VerdictRow.id).limit(2)


def note_network(brand: Brand, customer: int, address: str, tx: Session) -> None:
    d = brand.deployment
    risk.note_network(tx, d.keys, customer, address, d.clock.now())


def test_one_network_is_counted_by_customer(brand: Brand, clock: HeldClock) -> None:
    alice, bob, _ = cast_of(brand)
    alice.claim(0)
    for number in range(1, 10):
        one = member(brand, number)
        one.open(alice.link())
        one.claim(number)
        address = "192.0.2.8" if number < 9 else "198.51.100.1"
        with_network = partial(note_network, brand, one.customer, address)
        brand.deployment.db.transact(with_network)
    bob.open(alice.link())
    facts = further(brand, bob.claim(10))
    assert facts.in_one_block == (9, 8)


@pytest.mark.parametrize(
    ("counts", "expected"),
    [({}, None), ({1: 100}, 1), ({1: 99, 40: 1}, 1), ({1: 98, 40: 2}, 40), ({3: 1}, 3)],
)
def test_the_percentile_of_packages(counts: dict[int, int], expected: int | None) -> None:
    assert evidence.percentile(counts, 0.99) == expected


def test_packages_of_a_month_beside_those_of_others(brand: Brand, clock: HeldClock) -> None:
    alice, bob, _ = cast_of(brand)
    for index in range(4):
        alice.claim(index)
    clock.advance(days=29)
    claimed = bob.claim(10)
    facts = further(brand, claimed)
    assert (facts.month_packages, facts.typical_packages) == (1, 4)
    clock.advance(days=2)
    with brand.deployment.db.read() as tx:
        assert evidence.typical_packages(tx, clock.now()) == 1
        assert evidence.typical_packages(tx, clock.now() + timedelta(days=40)) is None
