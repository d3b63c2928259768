"""Which days the figures of a page are of: some last ones, all, or those between two that were
typed."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from flask_babel import gettext as _

from referral.campaigns import Campaign
from referral.reports.funnel import SPAN_DAYS_MAX, Span
from referral.web.context import deployment
from referral.web.staff.forms import Form

LAST = ("7", "14", "30", "90")
DEFAULT, ALL, OWN = "14", "all", "own"


@dataclass(frozen=True)
class Asked:
    """The days that were asked for, in the way they were."""

    span: Span
    key: str
    """One of `LAST`, `ALL`, or `OWN` for two days that were typed."""
    form: Form

    @property
    def args(self) -> dict[str, str]:
        """What an address says to get the same days."""
        if self.key == OWN:
            return {"from": str(self.span.first), "to": str(self.span.last)}
        return {"days": self.key}


def asked(args: Mapping[str, str], campaign: Campaign, now: datetime, prefix: str = "") -> Asked:
    """What an address asks for. What cannot be read is said in the form, and the default shown."""
    zone = ZoneInfo(deployment().config.timezone)
    first, last = _life(campaign, now, zone)
    form = Form({name: args.get(prefix + name, "") for name in ("from", "to")})
    if form.typed("from") or form.typed("to"):
        typed = _typed(form, first, last, zone)
        if typed is not None:
            return Asked(typed, OWN, form)
    key = args.get(f"{prefix}days", DEFAULT)
    key = key if key in (*LAST, ALL) else DEFAULT
    if key == ALL:
        begin = max(first, last - timedelta(days=SPAN_DAYS_MAX - 1))
        return Asked(Span(begin, last, zone), key, form)
    return Asked(Span(last - timedelta(days=int(key) - 1), last, zone), key, form)


def _life(campaign: Campaign, now: datetime, zone: ZoneInfo) -> tuple[date, date]:
    """The first day of a campaign, and its last so far."""
    first = campaign.starts_at.astimezone(zone).date()
    last = min(now, campaign.ends_at - timedelta(microseconds=1)).astimezone(zone).date()
    return first, max(first, last)


def _typed(form: Form, first: date, last: date, zone: ZoneInfo) -> Span | None:
    """One of the two may be left out: from the beginning, or up to now."""
    begin, end = form.day("from") or first, form.day("to") or last
    if form.ok and end < begin:
        form.refuse("to", _("The last day comes before the first one."))
    if form.ok and (end - begin).days >= SPAN_DAYS_MAX:
        form.refuse("from", _("These are more days than one page takes: ten years at most."))
    return Span(begin, end, zone) if form.ok else None
