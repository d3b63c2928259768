"""What a timer does: rewards whose hold is over, openings by what ran no page, and what is of no
use any more."""

from dataclasses import dataclass

from referral import campaigns, dead_links, idempotency, misses, people, pictures, rewards
from referral.actions.sifting import sift
from referral.deployment import Deployment


def release_rewards(deployment: Deployment) -> int:
    """Make every reward available whose hold is over; safe to run twice. Returns how many."""
    total = 0
    while moved := deployment.db.transact(
        lambda tx: rewards.release_due(tx, deployment.clock.now())
    ):
        total += moved
    return total


@dataclass(frozen=True)
class Swept:
    """How much was dropped, and how many openings changed what they count as."""

    limits: int
    answers: int
    sign_in_codes: int
    misses: int
    pictures: int
    dead_links: int
    to_fetches: int
    """Openings that turned out to be machines'."""
    to_opens: int
    """Openings that turned out to be people's after all."""


def sweep(deployment: Deployment) -> Swept:
    """Drop what is of no use any more, and sift openings; safe to run at any time."""
    now = deployment.clock.now()
    sifted = sift(deployment)
    return Swept(
        limits=deployment.limits.sweep(),
        answers=deployment.db.transact(lambda tx: idempotency.sweep(tx, now)),
        sign_in_codes=deployment.db.transact(lambda tx: people.sweep_sign_in_codes(tx, now)),
        misses=deployment.db.transact(lambda tx: misses.sweep(tx, now)),
        dead_links=deployment.db.transact(lambda tx: dead_links.sweep(tx, now)),
        to_fetches=sifted.to_fetches,
        to_opens=sifted.to_opens,
        pictures=deployment.db.transact(
            lambda tx: pictures.sweep(tx, lambda: campaigns.pictures_in_use(tx), now)
        ),
    )
