"""What a nightly timer does: rewards whose hold is over, and what is of no use any more."""

from dataclasses import dataclass

from referral import idempotency, misses, people, rewards
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
    """How much was dropped."""

    limits: int
    answers: int
    sign_in_codes: int
    misses: int


def sweep(deployment: Deployment) -> Swept:
    """Drop what is of no use any more; safe to run at any time."""
    now = deployment.clock.now()
    return Swept(
        limits=deployment.limits.sweep(),
        answers=deployment.db.transact(lambda tx: idempotency.sweep(tx, now)),
        sign_in_codes=deployment.db.transact(lambda tx: people.sweep_sign_in_codes(tx, now)),
        misses=deployment.db.transact(lambda tx: misses.sweep(tx, now)),
    )
