"""All that is known of one code, for staff."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral import ranges, stores
from referral.batches import Batch, Entry
from referral.claims import Claim
from referral.crypto import KeyRing
from referral.packages import PrintPackage
from referral.packages.fingerprint import Fingerprint
from referral.ranges import Span
from referral.reports import flags
from referral.reports.flags import FlagLine
from referral.visits import SeenCode

FLAGS_MAX = 20


@dataclass(frozen=True)
class CodeReport:
    """A package: its labels have one index, one range and one claim between them."""

    batch: Entry
    batch_name: str
    index: int
    span: Span
    """The range it is in, with its state and terms."""
    availability: str
    """What that means now: one of recalled, voided, not_activated, expired, on_sale."""
    store_name: str | None
    seen: Mapping[str, SeenCode]
    """What is known of the scans of each label that was scanned."""
    claim: Claim | None
    flags: Sequence[FlagLine]


def report(tx: Session, batch: Entry, index: int, now: datetime) -> CodeReport:
    """All that is known of the code with an index below the batch's size."""
    span = ranges.span_at(tx, batch.id, index)
    seen = sa.select(SeenCode).where(SeenCode.batch_id == batch.id, SeenCode.index == index)
    claim = sa.select(Claim).where(Claim.batch_id == batch.id, Claim.index == index)
    return CodeReport(
        batch=batch,
        batch_name=tx.scalar(sa.select(Batch.name).where(Batch.id == batch.id)) or "",
        index=index,
        span=span,
        availability=span.availability(now),
        store_name=stores.names(tx, [span.terms.store_id]).get(span.terms.store_id or 0),
        seen={each.label: each for each in tx.scalars(seen)},
        claim=tx.scalar(claim),
        flags=flags.flagged(tx, batch_id=batch.id, index=index, limit=FLAGS_MAX).rows,
    )


def printed_in(tx: Session, keys: KeyRing, batch: Entry, index: int) -> list[PrintPackage]:
    """The packages that were handed to printers with this code, oldest first.

    One with a fingerprint leaves some codes of its range out; those are not from it.
    """
    inside = tx.scalars(
        sa.select(PrintPackage)
        .where(
            PrintPackage.batch_id == batch.id,
            PrintPackage.start <= index,
            PrintPackage.end > index,
        )
        .order_by(PrintPackage.at, PrintPackage.id)
    )
    return [each for each in inside if not _is_left_out(keys, batch, each, index)]


def _is_left_out(keys: KeyRing, batch: Entry, package: PrintPackage, index: int) -> bool:
    if package.supplier is None:
        return False
    try:
        fingerprint = Fingerprint(keys, batch.key_id, package.id)
    except KeyError:
        return False  # the key is gone: nobody can say, and the range has it
    return bool(fingerprint.left_out(np.array([index], dtype=np.int64))[0])
