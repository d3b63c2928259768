"""What the scan page says of a code, and what of the scan staff should look at."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from referral import claims, places, ranges, visits
from referral.codes import Code, Label
from referral.flags import Flag
from referral.ranges import RangeState, Span


@dataclass(frozen=True)
class Verdict:
    """What is true of a genuine code, for one reader.

    `word` is one of recalled, claimed_by_you, voided, claimed, not_activated, expired,
    first_seen, seen_before. `devices` counts other devices that scanned the code before.
    """

    word: str
    span: Span
    """The range the code is in: its terms."""
    first_seen_at: datetime | None = None
    first_seen_in: str | None = None
    """The region of the first scan, ISO 3166."""
    devices: int = 0
    claimed_at: datetime | None = None
    campaign_id: int | None = None
    """The campaign of the reader's own claim."""
    may_claim: bool = False
    flags: tuple[Flag, ...] = ()

    opens_at: datetime | None = None
    """When its sale begins, where that alone is what it waits for."""

    is_past_best_before: bool = False

    @property
    def is_out_of_market(self) -> bool:
        return Flag.other_market in self.flags


_FLAG_OF = {
    "not_activated": Flag.not_on_sale,
    "expired": Flag.expired,
    "voided": Flag.withdrawn,
    "recalled": Flag.withdrawn,
}


def verdict(
    tx: Session,
    code: Code,
    visitor: int | None,
    customer: int | None,
    *,
    now: datetime,
    region: str | None = None,
) -> Verdict:
    """What is true of a genuine code for this reader, who is in `region` as far as is known."""
    claim = claims.claim_of(tx, code)
    span = ranges.span_at(tx, code.batch_id, code.index)
    seen = visits.seen(tx, code, visitor)
    availability = span.availability(now)
    is_own = claim is not None and claim.customer_id == customer
    if availability == "recalled":
        word = availability  # nothing else matters to somebody about to drink it
    elif is_own:
        word = "claimed_by_you"
    elif availability == "voided":
        word = availability
    elif claim is not None:
        word = "claimed"
    elif availability != "on_sale":
        word = availability
    else:
        word = "seen_before" if seen.others else "first_seen"
    flags = [] if is_own else [_FLAG_OF[availability]] if availability in _FLAG_OF else []
    if not places.in_market(span.terms.market, region):
        flags.append(Flag.other_market)
    is_waiting = span.state == RangeState.activated and availability == "not_activated"
    return Verdict(
        word=word,
        span=span,
        first_seen_at=seen.first_at,
        first_seen_in=seen.region,
        devices=seen.others,
        claimed_at=claim.at if claim else None,
        campaign_id=claim.campaign_id if claim and is_own else None,
        may_claim=word in {"first_seen", "seen_before"} and code.label is Label.inner,
        flags=tuple(flags),
        opens_at=span.terms.sale_from if is_waiting else None,
        is_past_best_before=span.is_past_best_before(now),
    )
