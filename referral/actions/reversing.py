"""Taking back what an event paid: a refund, or a claim that was found to be abuse."""

from datetime import datetime
from fractions import Fraction

from sqlalchemy.orm import Session

from referral import people, rewards
from referral.rewards import Reason, Reward


def reverse(
    tx: Session, event: str, share: Fraction, reason: Reason, *, key: str, now: datetime
) -> list[Reward]:
    """Take back a share of the whole of every reward of an event, from whoever holds it now.

    What was taken back before counts towards the share, so the same call twice takes once. `key`
    names the cause, once. Returns the rewards that changed.
    """
    locked: set[int] = set()
    # A merge may move a reward to another customer while we wait for the first one's lock.
    while holders := rewards.holders_of(tx, event) - locked:
        for holder in sorted(holders):
            people.lock_customer(tx, holder)
        locked |= holders
    return rewards.take_back(tx, event, share, reason, key=key, now=now)
