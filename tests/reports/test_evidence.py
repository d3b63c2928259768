"""What is known of a purchase: nobody hides in a crowd."""

from itertools import pairwise

from sqlalchemy.orm import Session

from referral import actions, people
from referral.clock import HeldClock
from referral.deployment import Deployment
from referral.reports import evidence
from referral.reports.evidence import Event
from referral.risk import Facts, note_shared


def crowd(deployment: Deployment, clock: HeldClock, size: int) -> list[int]:
    """Customers who sign in on one browser, one after the other."""
    ids = [
        actions.add_customer(deployment, [people.external(f"m{number}")], None)[0]
        for number in range(size)
    ]

    def sign_in(tx: Session) -> None:
        for before, new in pairwise(ids):
            clock.advance(minutes=1)
            note_shared(tx, new, before, clock.now())

    deployment.db.transact(sign_in)
    return ids


def facts_of(deployment: Deployment, customer: int, referrer: int) -> Facts:
    event = Event("claim:1", customer, referrer, is_first=True, pays_referrer=True)
    with deployment.db.read() as tx:
        facts, _ = evidence.gather(tx, deployment.keys, event, deployment.clock.now())
    return facts


def test_a_referrer_on_the_same_browser_is_seen_among_more_than_fifty(
    deployment: Deployment, clock: HeldClock
) -> None:
    ids = crowd(deployment, clock, 60)
    stranger, _ = actions.add_customer(deployment, [people.external("stranger")], None)
    seen = [facts_of(deployment, ids[-1], ids[n]).same_device for n in (0, 30, 49, 52, 55, 58)]
    assert seen == [True] * 6
    assert not facts_of(deployment, ids[-1], stranger).same_device
    assert facts_of(deployment, ids[-1], stranger).accounts == 50, "no more are counted"


def test_a_browser_of_very_many_keeps_the_first_and_the_last_of_them(
    deployment: Deployment, clock: HeldClock
) -> None:
    ids = crowd(deployment, clock, 250)
    assert all(facts_of(deployment, ids[-1], ids[n]).same_device for n in (0, 90, 160, 248))
