"""What happened to the codes of batches: over their life, over time, and by region.

Scans are read from counts by the hour (`sums`, `rollups`); where midnight in the brand's zone is
within an hour, that hour belongs to the day in which it begins. Scans of outer labels, for looking
before buying, are counted apart from those of the labels that claim.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import InstrumentedAttribute, Session

from referral.claims import Claim
from referral.codes import Label
from referral.db import UTCDateTime
from referral.misses import CodeMisses
from referral.ranges import CodeRange, RangeState
from referral.reports.periods import Period, Slot
from referral.rollups import VisitCount, sums, tallies
from referral.rollups.sums import BatchRegions, BatchScans
from referral.rollups.tallies import ClaimHour, SeenHour
from referral.visits import Kind, SeenCode


def _sum(count: Any) -> sa.ColumnElement[int]:
    return sa.cast(sa.func.coalesce(sa.func.sum(count), 0), sa.BigInteger)


_SCANS = _sum(BatchScans.count)


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Counts of one thing: a slot of time or a region."""

    scans: int
    """Every time a person's browser loaded a code that claims."""
    first_scans: int
    """How many different codes these were the first scans of."""
    outer_scans: int
    claims: int
    misses: int
    """Codes tried near the batch that do not exist; kept by the hour."""

    @property
    def repeats(self) -> int:
        """Scans of codes that had been scanned before."""
        return max(self.scans - self.first_scans, 0)


@dataclass(frozen=True, kw_only=True)
class SlotCounts(Counts):
    slot: Slot


@dataclass(frozen=True, kw_only=True)
class RegionCounts(Counts):
    """Claims are counted where their codes were first scanned."""

    region: str | None
    """ISO 3166; None where it is not known."""


@dataclass(frozen=True, kw_only=True)
class Totals(Counts):
    """A batch's figures since it was issued."""

    outer_seen: int
    """Different outer labels that were scanned."""
    activated: int
    seen_of_activated: int
    """How many of the codes on sale have been scanned."""

    @property
    def first_scan_rate(self) -> float | None:
        """The share of the codes on sale that have been scanned; None when none is."""
        return self.seen_of_activated / self.activated if self.activated else None


def totals(tx: Session, batch_id: int) -> Totals:
    def scalar(statement: sa.Select[Any]) -> int:
        return int(tx.scalar(statement) or 0)

    of_batch = sa.select(BatchScans.label, _SCANS).where(BatchScans.batch_id == batch_id)
    scans = Counter[str]()
    for label, count in tx.execute(of_batch.group_by(BatchScans.label)):
        scans[label] = count
    seen = tallies.seen_by_label(tx, batch_id)
    sizes = _sizes(tx, batch_id)
    activated = sizes.pop(RangeState.activated, 0)
    # Counted are the codes on sale or the others, whichever are fewer: most batches are one or the
    # other as a whole.
    if activated > sum(sizes.values()):
        others = CodeRange.state != RangeState.activated
        seen_of_activated = seen[Label.inner] - scalar(_seen_within(batch_id, others))
    else:
        on_sale = CodeRange.state == RangeState.activated
        seen_of_activated = scalar(_seen_within(batch_id, on_sale))
    return Totals(
        scans=scans[Label.inner],
        first_scans=seen[Label.inner],
        outer_scans=scans[Label.outer],
        outer_seen=seen[Label.outer],
        claims=tallies.claims_by_batch(tx, [batch_id])[batch_id],
        activated=activated,
        seen_of_activated=max(seen_of_activated, 0),
        misses=scalar(
            sa.select(sa.func.sum(CodeMisses.count)).where(CodeMisses.batch_id == batch_id)
        ),
    )


def _sizes(tx: Session, batch_id: int) -> dict[str, int]:
    """How many codes of a batch are in each state."""
    size = sa.func.sum(CodeRange.end - CodeRange.start)
    of_batch = sa.select(CodeRange.state, size).where(CodeRange.batch_id == batch_id)
    rows = tx.execute(of_batch.group_by(CodeRange.state))
    return {state: int(codes) for state, codes in rows}


def _seen_within(batch_id: int, ranges: sa.ColumnElement[bool]) -> sa.Select[int]:
    """How many codes have been scanned in some of a batch's ranges."""
    return _count(
        SeenCode.batch_id == batch_id,
        SeenCode.label == Label.inner,
        CodeRange.batch_id == batch_id,
        ranges,
        SeenCode.index >= CodeRange.start,
        SeenCode.index < CodeRange.end,
    )


def over_time(tx: Session, batches: Sequence[int], period: Period) -> list[SlotCounts]:
    """What happened to these batches: one count a slot, in order."""
    slots = (
        sa.values(sa.column("since", UTCDateTime()), sa.column("until", UTCDateTime()))
        .data([(slot.since, slot.until) for slot in period.slots])
        .cte("slots")
    )

    # One look into an index a slot and figure; a join over times would be left to guesswork.
    def within(
        at: InstrumentedAttribute[Any], counted: sa.ColumnElement[Any], *of: sa.ColumnElement[bool]
    ) -> sa.ScalarSelect[Any]:
        inside = (at >= slots.c.since, at < slots.c.until)
        return sa.select(counted).where(*of, *inside).correlate(slots).scalar_subquery()

    count = sa.func.count()
    is_scan = BatchScans.batch_id.in_(batches)
    last, last_claims = tallies.until(tx, tallies.SCANS), tallies.until(tx, tallies.PURCHASES)
    is_seen = (SeenCode.batch_id.in_(batches), SeenCode.label == Label.inner)
    seen_hour = (SeenHour.batch_id.in_(batches), SeenHour.label == Label.inner)
    missed = sa.func.coalesce(sa.func.sum(CodeMisses.count), 0)
    rows = tx.execute(
        sa.select(
            within(BatchScans.hour, _SCANS, is_scan, BatchScans.label == Label.inner),
            within(SeenHour.hour, _sum(SeenHour.count), *seen_hour, SeenHour.hour < last)
            + within(SeenCode.first_at, count, *is_seen, SeenCode.first_at >= last),
            within(BatchScans.hour, _SCANS, is_scan, BatchScans.label == Label.outer),
            within(
                ClaimHour.hour,
                _sum(ClaimHour.count),
                ClaimHour.batch_id.in_(batches),
                ClaimHour.hour < last_claims,
            )
            + within(Claim.at, count, Claim.batch_id.in_(batches), Claim.at >= last_claims),
            within(CodeMisses.hour, missed, CodeMisses.batch_id.in_(batches)),
        )
        .select_from(slots)
        .order_by(slots.c.since)
    )
    return [
        SlotCounts(
            slot=slot,
            scans=scans,
            first_scans=first_scans,
            outer_scans=outer_scans,
            claims=claims,
            misses=int(misses),
        )
        for slot, (scans, first_scans, outer_scans, claims, misses) in zip(
            period.slots, rows, strict=True
        )
    ]


def by_region(tx: Session, batches: Sequence[int], period: Period) -> list[RegionCounts]:
    """The regions of a period's scans, the most scans first; the unknown one last."""
    scans = _scans_by_region(tx, batches, period)
    seen = tallies.seen_by_region(tx, batches, period.since, period.until)
    claims = tallies.claims_by_region(tx, batches, period.since, period.until)
    misses = _misses_by_region(tx, batches, period)
    found = [
        RegionCounts(
            scans=scans.get((Label.inner, region), 0),
            first_scans=seen.get((Label.inner, region), 0),
            outer_scans=scans.get((Label.outer, region), 0),
            claims=claims.get(region, 0),
            misses=misses.get(region, 0),
            region=region,
        )
        for region in {region for _, region in [*scans, *seen]} | claims.keys() | misses.keys()
    ]
    return sorted(found, key=_rank)


def _rank(counts: RegionCounts) -> tuple[Any, ...]:
    """Where a region stands among others: the most scans first, the unknown one last."""
    c = counts
    return (c.region is None, -c.scans, -c.outer_scans, -c.claims, -c.misses, c.region or "")


def _within(at: InstrumentedAttribute[Any], period: Period) -> tuple[sa.ColumnElement[bool], ...]:
    return at >= period.since, at < period.until


def _scans_by_region(
    tx: Session, batches: Sequence[int], period: Period
) -> Counter[tuple[str, str | None]]:
    """Scans by label and region: of whole days of UTC by the day, of what is left by the hour."""
    first = sums.day_of(period.since + timedelta(days=1) - timedelta(microseconds=1))
    last = sums.day_of(period.until)
    of_days, of_hours = BatchRegions, VisitCount
    edges = [(period.since, first), (last, period.until)]
    if first >= last:
        edges = [(period.since, period.until)]
    # A look into the index for each edge.
    parts = [
        sa.select(of_hours.label, of_hours.region, of_hours.count)
        .where(of_hours.batch_id.in_(batches), of_hours.kind == Kind.scan.value)
        .where(of_hours.hour >= since, of_hours.hour < until)
        for since, until in edges
        if since < until
    ]
    if first < last:
        parts.append(
            sa.select(of_days.label, of_days.region, of_days.count)
            .where(of_days.batch_id.in_(batches))
            .where(of_days.day >= first, of_days.day < last)
        )
    each = sa.union_all(*parts).subquery().c
    summed = sa.select(each.label, each.region, _sum(each["count"])).group_by(
        each.label, each.region
    )
    return Counter({(label, region or None): count for label, region, count in tx.execute(summed)})


def _misses_by_region(tx: Session, batches: Sequence[int], period: Period) -> dict[str | None, int]:
    rows = tx.execute(
        sa.select(CodeMisses.region, sa.func.sum(CodeMisses.count))
        .where(CodeMisses.batch_id.in_(batches), *_within(CodeMisses.hour, period))
        .group_by(CodeMisses.region)
    )
    return {region or None: int(count) for region, count in rows}


def _count(*conditions: sa.ColumnElement[bool]) -> sa.Select[int]:
    return sa.select(sa.func.count()).where(*conditions)
