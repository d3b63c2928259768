"""What of an export's parameters its pages need: the period, in moments."""

from datetime import UTC, date, datetime, timedelta

from referral.exports.kinds import Wanted
from referral.rollups.money import midnight

_FIRST = datetime(1970, 1, 1, tzinfo=UTC)
_LAST = datetime(9999, 1, 1, tzinfo=UTC)


def period(wanted: Wanted) -> tuple[datetime, datetime]:
    """From when until when, the latter not included; all there is where no days were said."""
    since, until = wanted.params.get("since"), wanted.params.get("until")
    return (
        midnight(date.fromisoformat(since), wanted.zone) if since else _FIRST,
        midnight(date.fromisoformat(until) + timedelta(days=1), wanted.zone) if until else _LAST,
    )


def moment(text: str) -> datetime:
    """A moment out of a key."""
    return datetime.fromisoformat(text)
