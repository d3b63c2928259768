"""What is known of one code, as the API and the command line say it."""

from datetime import datetime
from typing import Self

from pydantic import BaseModel, ConfigDict
from sqlalchemy.orm import Session

from referral import claims, ranges, stores, visits
from referral.batches import Entry
from referral.codes import Code, Label
from referral.flags import Flag
from referral.ranges import RangeState
from referral.reports import flags
from referral.reports.flags import FlagLine
from referral.terms import TermsOut


class Flagged(BaseModel):
    """Something odd about scans of the code; most have a harmless reason."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    kind: Flag
    first_at: datetime
    last_at: datetime
    times: int
    region: str | None
    """Where it was last flagged, ISO 3166."""

    @classmethod
    def of(cls, line: FlagLine) -> Self:
        return cls(
            kind=Flag(line.kind),
            first_at=line.first_at,
            last_at=line.last_at,
            times=line.times,
            region=line.region,
        )


class CodeCheck(BaseModel):
    """What is known of a code, and of the package it is on."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    code: str
    label: Label
    """Whether it is the code that claims (inner) or the one for looking before buying (outer)."""
    gtin: str
    """GTIN-14 of the product."""
    product: str
    batch: int
    index: int
    state: RangeState
    availability: str
    """What that means now: on_sale, not_activated, expired, voided or recalled."""
    terms: TermsOut
    first_seen_at: datetime | None
    """When this label was first scanned."""
    first_seen_in: str | None
    """The region of that scan, ISO 3166."""
    devices: int
    """How many different devices have scanned this label."""
    claimed: bool
    claimed_at: datetime | None
    flags: list[Flagged]
    """Of either label, newest first."""
    labels_match: bool | None = None
    """Whether the other code is of the same package; null when none was sent."""


def check(tx: Session, code: Code, batch: Entry, now: datetime) -> CodeCheck:
    """What is known of a genuine code of a batch; `now` in the brand's own time zone."""
    span = ranges.span_at(tx, batch.id, code.index)
    seen = visits.seen(tx, code, None)
    claim = claims.claim_of(tx, code)
    flagged = flags.flagged(tx, batch_id=batch.id, index=code.index, limit=len(Flag))
    return CodeCheck(
        code=code.text,
        label=code.label,
        gtin=batch.gtin,
        product=batch.product_name,
        batch=batch.id,
        index=code.index,
        state=RangeState(span.state),
        availability=span.availability(now),
        terms=TermsOut.of(span.terms, stores.slugs(tx, [span.terms.store_id])),
        first_seen_at=seen.first_at,
        first_seen_in=seen.region,
        devices=seen.others,
        claimed=claim is not None,
        claimed_at=claim.at if claim else None,
        flags=[Flagged.of(line) for line in flagged.rows],
    )
