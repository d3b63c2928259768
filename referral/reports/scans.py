"""What the scan page says of a code."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from referral import batches, claims, visits
from referral.batches import RangeState
from referral.codes import Code


@dataclass(frozen=True)
class Verdict:
    """`word` is one of first_seen, seen_before, claimed_by_you, claimed, not_activated, voided.

    `devices` counts other devices that scanned the code before, `first_seen_at` is the first of
    those scans.
    """

    word: str
    first_seen_at: datetime | None
    devices: int
    claimed_at: datetime | None
    campaign_id: int | None = None
    """The campaign of the reader's own claim."""


def verdict(tx: Session, code: Code, visitor: int | None, customer: int | None) -> Verdict:
    """What is true of a genuine code for this reader."""
    claim = claims.claim_of(tx, code)
    state = batches.state_of(tx, code.batch_id, code.index)
    seen = visits.seen(tx, code.batch_id, code.index, except_visitor=visitor)
    if claim is not None and claim.customer_id == customer:
        word = "claimed_by_you"
    elif state is RangeState.voided:
        word = "voided"
    elif claim is not None:
        word = "claimed"
    elif state is not RangeState.activated:
        word = "not_activated"
    else:
        word = "seen_before" if seen.devices else "first_seen"
    return Verdict(
        word,
        seen.first_at,
        seen.devices,
        claim.at if claim else None,
        claim.campaign_id if claim and word == "claimed_by_you" else None,
    )
