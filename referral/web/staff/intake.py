"""How visits get in: what waits, who stores it, and what could not be stored."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from babel.dates import format_timedelta
from flask import flash, redirect, render_template, url_for
from flask_babel import format_decimal, get_locale
from flask_babel import gettext as _

from referral import actions
from referral.errors import N_, Problem, Unavailable
from referral.intake import parked
from referral.intake.events import Ran, UnreadableEvents, decode
from referral.intake.health import health
from referral.intake.heartbeats import Heartbeat, Worked
from referral.intake.parked import ParkedEvent
from referral.staff import Right, StaffMember
from referral.visits import Kind
from referral.web.context import deployment
from referral.web.language import in_words
from referral.web.staff.auth import Page, name_of, require
from referral.web.staff.blueprint import staff

PARKED_SHOWN = 50
KINDS = {
    Kind.fetch: N_("A fetch"),
    Kind.open: N_("An open"),
    Kind.scan: N_("A scan"),
    Kind.engagement: N_("An engagement"),
    Kind.share: N_("A share"),
    Kind.sign_in: N_("A sign-in"),
}


@dataclass(frozen=True)
class ParkedLine:
    id: int
    what: str
    reason: str
    at: datetime
    is_readable: bool


@staff.get("/intake")
@require(Right.read)
def intake(member: StaffMember) -> Page:
    return _page()


@staff.post("/intake/parked/<int(max=9223372036854775807):parked_id>")
@require(Right.change)
def replay_parked(member: StaffMember, parked_id: int) -> Page:
    """Store a parked event after all."""
    try:
        is_new = actions.replay_parked(deployment(), parked_id, by=name_of(member))
    except Unavailable:
        raise
    except Problem as problem:
        return _page(in_words(problem)), problem.status
    flash(_("The event is stored.") if is_new else _("That event was stored before."))
    return redirect(url_for(".intake"), 303)


@staff.post("/intake/parked/<int(max=9223372036854775807):parked_id>/discard")
@require(Right.change)
def discard_parked(member: StaffMember, parked_id: int) -> Page:
    """Give up a parked event that nobody can read."""
    try:
        actions.discard_parked(deployment(), parked_id, by=name_of(member))
    except Unavailable:
        raise
    except Problem as problem:
        return _page(in_words(problem)), problem.status
    flash(_("The event is given up."))
    return redirect(url_for(".intake"), 303)


def _page(failure: str | None = None) -> str:
    found = health(deployment().stream, deployment().waiting)
    with deployment().db.read() as tx:
        events = parked.waiting(tx, limit=PARKED_SHOWN)
        total = parked.count_waiting(tx)
    return render_template(
        "staff/intake.html",
        found=found,
        events=[_line(event) for event in events],
        total=total,
        failure=failure,
        span=_span,
        took=_took,
        ago=_ago,
    )


def _line(event: ParkedEvent) -> ParkedLine:
    readable = parked.is_readable(event)
    return ParkedLine(event.id, _what(event.body), event.reason, event.at, readable)


def _what(body: str) -> str:
    try:
        (event,) = decode(body.encode())
    except (UnreadableEvents, ValueError):
        return _("Not readable")
    return _("A page that ran") if isinstance(event, Ran) else _(KINDS[event.visit.kind])


def _span(waited: timedelta) -> str:
    """How long, in one unit."""
    return format_timedelta(waited, threshold=2, locale=get_locale())


def _ago(beat: Heartbeat) -> str | None:
    """How long ago a worker committed last; None before the first time."""
    if beat.last_commit_at is None:
        return None
    since = beat.last_commit_at - beat.told_at
    return format_timedelta(since, threshold=2, add_direction=True, locale=get_locale())


def _took(worked: Worked) -> str | None:
    """How long a commit took on average; None before the first."""
    if not worked.commits:
        return None
    milliseconds = 1000 * worked.commit_seconds / worked.commits
    said = format_decimal(milliseconds, "#,##0.0" if milliseconds < 10 else "#,##0")
    return _("%(milliseconds)s ms", milliseconds=said)
