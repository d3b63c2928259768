"""Flags: codes of which something was odd when they were scanned, for people to look into."""

from referral.flags import Flag
from referral.reports import flags as report
from referral.reports.checks import Flagged
from referral.web.api.endpoint import Output, get
from referral.web.api.paging import Page, following
from referral.web.api.reading import Id
from referral.web.context import deployment


class FlagsQuery(Page):
    batch: Id | None = None
    """Of this batch only."""
    kind: Flag | None = None
    """Of this kind only."""


class FlagOut(Flagged):
    """A code that was flagged; most have a harmless reason."""

    batch: int
    index: int


class FlagList(Output):
    """A page of flags, the latest first."""

    items: list[FlagOut]
    next: str | None


@get("/flags", query=FlagsQuery, answer=FlagList)
def list_flags(query: FlagsQuery) -> FlagList:
    """List flagged codes.

    One entry for a code and a kind of oddness, however often it happened.
    """
    with deployment().db.read() as tx:
        found = report.flagged(
            tx, batch_id=query.batch, kind=query.kind, offset=query.offset, limit=query.size
        )
    items = [
        FlagOut(**dict(Flagged.of(line)), batch=line.batch_id, index=line.index)
        for line in found.rows
    ]
    return FlagList(items=items, next=following(found))
