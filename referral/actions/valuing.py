"""What customers are worth, worked out in the background; and segments, which are made of it."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from referral import audit, segments
from referral.db import transaction
from referral.deployment import Deployment
from referral.rollups import values
from referral.rollups.measures import Measures, measures
from referral.rollups.values import AT_ONCE
from referral.segments import Conditions

WHOLE_LASTS = timedelta(hours=20)
"""Values that were all worked out so lately only follow what was written since."""


def refresh_values(deployment: Deployment, *, whole: bool = False) -> int:
    """Work out what customers are worth: of all of them once a day or when `whole`, else of those
    about whom something was written. Returns how many rows changed.

    Each step is a transaction of its own; two at once do no harm.
    """
    now = deployment.clock.now()
    with deployment.db.read() as tx:
        known = measures(tx)
    if whole or known is None or known.at > now or known.whole_at <= now - WHOLE_LASTS:
        return _refresh_all(deployment, now)
    return _refresh_changed(deployment, known, now)


def _refresh_all(deployment: Deployment, now: datetime) -> int:
    db, settings = deployment.db, deployment.config.values
    made = db.transact(lambda tx: values.begin(tx, settings, now))
    with db.read() as tx:
        last = values.highest(tx)
    changed = 0
    for start in range(1, last + 1, AT_ONCE):
        some = range(start, start + AT_ONCE)
        changed += db.transact(partial(_work_out, made=made, deployment=deployment, some=some))
    made = db.transact(partial(values.finish, made=made))
    db.transact(lambda tx: segments.recount(tx, now))
    return changed


def _refresh_changed(deployment: Deployment, known: Measures, now: datetime) -> int:
    db = deployment.db
    with db.read() as tx:
        found, made = values.changed(tx, known, now)
    changed = 0
    for some in _parts(found):
        changed += db.transact(partial(_work_out, made=made, deployment=deployment, some=some))
    db.transact(partial(values.finish, made=made, customers=found))
    return changed


def _work_out(tx: Session, made: Measures, deployment: Deployment, some: range | list[int]) -> int:
    return values.work_out(tx, made, ZoneInfo(deployment.config.timezone), some)


def _parts(customers: list[int]) -> Iterator[list[int]]:
    for start in range(0, len(customers), AT_ONCE):
        yield customers[start : start + AT_ONCE]


@transaction
def add_segment(
    tx: Session, deployment: Deployment, name: str, conditions: Conditions, *, by: str
) -> int:
    """Raises `SegmentExists`, `NobodyMeant`, `TooManySegments`."""
    now = deployment.clock.now()
    added = segments.add_segment(tx, name, conditions, by=by, now=now)
    _count(tx, added, now)
    _note(tx, by, "segment added", added, now, conditions)
    return added


@transaction
def change_segment(
    tx: Session,
    deployment: Deployment,
    segment_id: int,
    name: str,
    conditions: Conditions,
    *,
    by: str,
) -> None:
    """Campaigns that are published keep whom they are for.

    Raises `UnknownSegment`, `SegmentExists`, `NobodyMeant`.
    """
    now = deployment.clock.now()
    segments.change_segment(tx, segment_id, name, conditions, by=by)
    _count(tx, segment_id, now)
    _note(tx, by, "segment changed", segment_id, now, conditions)


@transaction
def count_segment(tx: Session, deployment: Deployment, segment_id: int) -> int:
    """Count who is in a segment now. Raises `UnknownSegment`."""
    return _count(tx, segment_id, deployment.clock.now())


@transaction
def remove_segment(tx: Session, deployment: Deployment, segment_id: int, *, by: str) -> None:
    """Raises `UnknownSegment`."""
    segments.remove_segment(tx, segment_id)
    audit.note(
        tx,
        by=by,
        action="segment removed",
        subject=f"segment:{segment_id}",
        now=deployment.clock.now(),
    )


def _count(tx: Session, segment_id: int, now: datetime) -> int:
    segment = segments.segment_by_id(tx, segment_id)
    segment.count = segments.count(tx, segment.checked, now)
    segment.counted_at = now
    return segment.count


def _note(
    tx: Session, by: str, action: str, segment_id: int, now: datetime, conditions: Conditions
) -> None:
    audit.note(
        tx,
        by=by,
        action=action,
        subject=f"segment:{segment_id}",
        details={"conditions": conditions.dump()},
        now=now,
    )
