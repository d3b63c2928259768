"""The audit log: who saw or changed what, searched and taken out as a file."""

import csv
import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, time, timedelta
from io import StringIO
from zoneinfo import ZoneInfo

from flask import Response, render_template, request

from referral import actions
from referral.audit import AuditEntry
from referral.exports import cells
from referral.reports import audit_log
from referral.reports.audit_log import Wanted
from referral.staff import Right, StaffMember
from referral.web.context import deployment
from referral.web.staff import audit_words
from referral.web.staff.auth import Page, name_of, require
from referral.web.staff.blueprint import staff
from referral.web.staff.forms import Form

TYPED_LENGTH_MAX = 254
ENTRY_DIGITS_MAX = 18
COLUMNS = ("entry", "at", "by", "action", "subject", "details", "sealed")


@staff.get("/audit")
@require(Right.audit)
def audit_log_page(member: StaffMember) -> Page:
    form = Form(request.args)
    wanted = _wanted(form)
    if not form.ok:
        return _page(form, None), 422
    with deployment().db.read() as tx:
        found = audit_log.page(tx, wanted, before=_before())
    return _page(form, found)


@staff.get("/audit.csv")
@require(Right.audit)
def audit_file(member: StaffMember) -> Response | Page:
    """Sent as it is read; that it was taken out is in the log too."""
    form = Form(request.args)
    wanted = _wanted(form)
    if not form.ok:
        return _page(form, None), 422
    actions.note_export(deployment(), "audit log", _told(form), by=name_of(member))
    zone = ZoneInfo(deployment().config.timezone)
    # Bound here: the request is over before the last piece is made.
    read = deployment().db.read

    def pieces() -> Iterator[str]:
        with read() as tx:
            upto = audit_log.page(tx, wanted, limit=1).sealed_upto
            yield _line(COLUMNS)
            for entry in audit_log.all_of(tx, wanted):
                yield _line(_cells(entry, upto, zone))

    response = Response(pieces(), content_type="text/csv; charset=utf-8")
    response.headers.set("Content-Disposition", "attachment", filename="audit-log.csv")
    response.headers["Cache-Control"] = "no-store"
    return response


def _page(form: Form, found: audit_log.Log | None) -> str:
    told = _told(form)
    return render_template(
        "staff/audit.html",
        form=form,
        found=found,
        told=told,
        log_words=audit_words,
        actions=audit_words.choices(),
    )


def _wanted(form: Form) -> Wanted:
    """What the form looks for; days are those of the brand's calendar, both of them included."""
    zone = ZoneInfo(deployment().config.timezone)
    since, until = form.day("since"), form.day("until")
    return Wanted(
        by=form.text("by", most=TYPED_LENGTH_MAX),
        action=form.text("action", most=TYPED_LENGTH_MAX),
        subject=form.text("subject", most=TYPED_LENGTH_MAX),
        since=datetime.combine(since, time(), zone).astimezone(UTC) if since else None,
        until=datetime.combine(until + timedelta(days=1), time(), zone).astimezone(UTC)
        if until
        else None,
    )


def _told(form: Form) -> dict[str, str]:
    """What was asked for, as an address or a log says it."""
    names = ("by", "action", "subject", "since", "until")
    return {name: form.values[name] for name in names if form.values.get(name)}


def _before() -> int | None:
    asked = request.args.get("before", "")
    is_number = asked.isascii() and asked.isdigit() and len(asked) <= ENTRY_DIGITS_MAX
    return int(asked) if is_number else None


def _cells(entry: AuditEntry, sealed_upto: int, zone: ZoneInfo) -> list[str]:
    said = json.dumps(entry.details, ensure_ascii=False, sort_keys=True)
    row = (entry.id, entry.at, entry.by, entry.action, entry.subject, said)
    return [cells.in_csv(value, zone) for value in (*row, entry.id <= sealed_upto)]


def _line(row: Sequence[str]) -> str:
    out = StringIO()
    csv.writer(out).writerow(row)
    return out.getvalue()
