"""Visits: fetches, opens, scans, engagements and shares, one row each, kept as they came.

A machine asking is a fetch, a person's browser loading the page is an open (of a link) or a scan
(of a code), the page having run and been seen is an engagement. The counts are never added up.
"""

from referral.visits.openings import (
    NEVER_RAN,
    Opened,
    count_as_machines,
    count_as_people,
    first_openings,
    opened_by,
    opening_of,
    readers_of,
)
from referral.visits.rows import VisitRow, known_among, record
from referral.visits.scans import ScannedCode, Seen, SeenCode, remember_scans, seen
from referral.visits.visit import Kind, Visit, engagement_id, first_id, in_time, new_event_id

__all__ = [
    "NEVER_RAN",
    "Kind",
    "Opened",
    "ScannedCode",
    "Seen",
    "SeenCode",
    "Visit",
    "VisitRow",
    "count_as_machines",
    "count_as_people",
    "engagement_id",
    "first_id",
    "first_openings",
    "in_time",
    "known_among",
    "new_event_id",
    "opened_by",
    "opening_of",
    "readers_of",
    "record",
    "remember_scans",
    "seen",
]
