"""What happened to a batch's codes: over its life, over time, and by region.

Scans are read from the hourly counts (`rollups`); where midnight in the brand's zone is within an
hour, that hour belongs to the day in which it begins. Scans of outer labels, for looking before
buying, are counted apart from those of the labels that claim.
"""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import InstrumentedAttribute, Session

from referral.claims import Claim
from referral.codes import Label
from referral.db import UTCDateTime
from referral.misses import CodeMisses
from referral.ranges import CodeRange, RangeState
from referral.reports.periods import Period, Slot
from referral.rollups import VisitCount
from referral.visits import Kind, SeenCode

_SCANS = sa.cast(sa.func.coalesce(sa.func.sum(VisitCount.count), 0), sa.BigInteger)


def _scans_of(batch_id: int) -> tuple[sa.ColumnElement[bool], ...]:
    return VisitCount.batch_id == batch_id, VisitCount.kind == Kind.scan.value


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

    def seen(label: Label) -> sa.Select[int]:
        return _count(SeenCode.batch_id == batch_id, SeenCode.label == label)

    def scans(label: Label) -> sa.Select[int]:
        return sa.select(_SCANS).where(*_scans_of(batch_id), VisitCount.label == label)

    on_sale = (CodeRange.batch_id == batch_id, CodeRange.state == RangeState.activated)
    return Totals(
        scans=scalar(scans(Label.inner)),
        first_scans=scalar(seen(Label.inner)),
        outer_scans=scalar(scans(Label.outer)),
        outer_seen=scalar(seen(Label.outer)),
        claims=scalar(_count(Claim.batch_id == batch_id)),
        activated=scalar(sa.select(sa.func.sum(CodeRange.end - CodeRange.start)).where(*on_sale)),
        seen_of_activated=scalar(
            seen(Label.inner).where(
                *on_sale, SeenCode.index >= CodeRange.start, SeenCode.index < CodeRange.end
            )
        ),
        misses=scalar(
            sa.select(sa.func.sum(CodeMisses.count)).where(CodeMisses.batch_id == batch_id)
        ),
    )


def over_time(tx: Session, batch_id: int, period: Period) -> list[SlotCounts]:
    """One count a slot, in order."""
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
    is_scan = _scans_of(batch_id)
    is_seen = (SeenCode.batch_id == batch_id, SeenCode.label == Label.inner)
    missed = sa.func.coalesce(sa.func.sum(CodeMisses.count), 0)
    rows = tx.execute(
        sa.select(
            within(VisitCount.hour, _SCANS, *is_scan, VisitCount.label == Label.inner),
            within(SeenCode.first_at, count, *is_seen),
            within(VisitCount.hour, _SCANS, *is_scan, VisitCount.label == Label.outer),
            within(Claim.at, count, Claim.batch_id == batch_id),
            within(CodeMisses.hour, missed, CodeMisses.batch_id == batch_id),
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


def by_region(tx: Session, batch_id: int, period: Period) -> list[RegionCounts]:
    """The regions of a period's scans, the most scans first; the unknown one last."""
    scans = _by_region(
        tx,
        sa.select(VisitCount.label, sa.func.nullif(VisitCount.region, ""), _SCANS)
        .where(*_scans_of(batch_id), *_within(VisitCount.hour, period))
        .group_by(VisitCount.label, VisitCount.region),
    )
    seen = _by_region(
        tx,
        sa.select(SeenCode.label, SeenCode.region, sa.func.count())
        .where(SeenCode.batch_id == batch_id, *_within(SeenCode.first_at, period))
        .group_by(SeenCode.label, SeenCode.region),
    )
    # A claim can come without a scan, over the API: where it happened is not known then.
    of_claim = sa.and_(
        SeenCode.batch_id == Claim.batch_id,
        SeenCode.index == Claim.index,
        SeenCode.label == Label.inner,
    )
    claims = _by_region(
        tx,
        sa.select(sa.literal(Label.inner.value), SeenCode.region, sa.func.count())
        .select_from(Claim)
        .outerjoin(SeenCode, of_claim)
        .where(Claim.batch_id == batch_id, *_within(Claim.at, period))
        .group_by(SeenCode.region),
    )
    misses = _misses_by_region(tx, batch_id, period)
    found = [
        RegionCounts(
            scans=scans.get((Label.inner, region), 0),
            first_scans=seen.get((Label.inner, region), 0),
            outer_scans=scans.get((Label.outer, region), 0),
            claims=claims.get((Label.inner, region), 0),
            misses=misses.get(region, 0),
            region=region,
        )
        for region in {region for _, region in [*scans, *seen, *claims]} | misses.keys()
    ]
    return sorted(found, key=_rank)


def _rank(counts: RegionCounts) -> tuple[Any, ...]:
    """Where a region stands among others: the most scans first, the unknown one last."""
    c = counts
    return (c.region is None, -c.scans, -c.outer_scans, -c.claims, -c.misses, c.region or "")


def _within(at: InstrumentedAttribute[Any], period: Period) -> tuple[sa.ColumnElement[bool], ...]:
    return at >= period.since, at < period.until


def _misses_by_region(tx: Session, batch_id: int, period: Period) -> dict[str | None, int]:
    rows = tx.execute(
        sa.select(CodeMisses.region, sa.func.sum(CodeMisses.count))
        .where(CodeMisses.batch_id == batch_id, *_within(CodeMisses.hour, period))
        .group_by(CodeMisses.region)
    )
    return {region or None: int(count) for region, count in rows}


def _by_region(tx: Session, statement: Any) -> dict[tuple[str, str | None], int]:
    return {(label, region): count for label, region, count in tx.execute(statement)}


def _count(*conditions: sa.ColumnElement[bool]) -> sa.Select[int]:
    return sa.select(sa.func.count()).where(*conditions)
