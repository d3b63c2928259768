"""Lists as files: asking for one, seeing how far it is, and taking it while it is there."""

import logging
import struct
import threading
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from flask import Response, flash, redirect, render_template, request, url_for
from flask_babel import format_date
from flask_babel import gettext as _

from referral import actions
from referral.actions.exporting import GRACE
from referral.crypto import TokenSigner
from referral.deployment import Deployment
from referral.errors import N_, Problem
from referral.exports import Asked, Export, Form, UnknownExport, Why, jobs, kinds
from referral.reports import lists
from referral.segments import UnknownSegment, all_segments, segment_by_id
from referral.staff import NotAllowed, Right, StaffMember
from referral.web.context import deployment, now
from referral.web.language import in_words
from referral.web.staff import forms
from referral.web.staff.auth import Page, require
from referral.web.staff.blueprint import staff

log = logging.getLogger(__name__)

PAGE = 20
CAMPAIGNS_OFFERED = 200
LINK_LASTS = timedelta(hours=1)
"""How long the address of a file leads to it, after the page it is on was opened."""
_LINK = struct.Struct(">QQ")

FORMS = {
    Form.csv: "CSV",
    Form.xlsx: N_("Excel (XLSX)"),
    Form.graphml: N_("GraphML, for programs that draw graphs"),
}
WHYS = {
    Why.too_large: N_("This would be too large a file. Choose a shorter period."),
    Why.no_room: N_("There is no room for more files now. Delete some, or wait a day."),
    Why.gone: N_("What you asked for is not there any more."),
    Why.fault: N_("Something went wrong on our side. Please try it once more later."),
}


@staff.get("/exports")
@require(Right.export)
def exports(member: StaffMember) -> Page:
    return _page(member, forms.Form(request.args))


@staff.get("/exports/list")
@require(Right.export)
def export_list(member: StaffMember) -> Page:
    """The list alone, for a page that looks how far it is."""
    return render_template("staff/_exports.html", **_listed(member))


@staff.post("/exports")
@require(Right.export)
def add_export(member: StaffMember) -> Page:
    form = forms.Form(request.form)
    asked = _asked(member, form)
    if asked is None:
        return _page(member, form), 422
    try:
        actions.ask_export(deployment(), asked, member=member)
    except Problem as problem:
        form.refuse("", in_words(problem))
        return _page(member, form), problem.status
    return redirect(url_for(".exports"), 303)


@staff.get("/exports/file/<token>")
@require(Right.export)
def export_file(member: StaffMember, token: str) -> Response:
    """The file, sent as it is read: it may be larger than memory."""
    job = _of_link(token)
    kind = kinds.kind_named(job.kind)
    if not _may_take(member, job) or (kind is not None and not member.may(kind.right)):
        raise NotAllowed()
    job = actions.fetch_export(deployment(), job.id, member=member)
    # Bound here: the request is over before the last piece is read.
    response = Response(jobs.pieces(deployment().db, job), content_type=Form(job.form).mimetype)
    response.content_length = job.bytes
    response.headers.set("Content-Disposition", "attachment", filename=_name(job))
    response.headers["Cache-Control"] = "no-store"
    return response


@staff.post("/exports/<int(max=9223372036854775807):export_id>/delete")
@require(Right.export)
def delete_export(member: StaffMember, export_id: int) -> Page:
    with deployment().db.read() as tx:
        job = jobs.offered(tx, export_id, now())
    if not _may_take(member, job):
        raise NotAllowed()
    actions.delete_export(deployment(), export_id, member=member)
    flash(_("The file is deleted."))
    return redirect(url_for(".exports"), 303)


def _may_take(member: StaffMember, job: Export) -> bool:
    """One's own; who may read the audit log also sees what others took."""
    return job.staff_id == member.id or member.may(Right.audit)


def _name(job: Export) -> str:
    day = deployment().local(job.asked_at).date()
    return f"{job.kind}-{day.isoformat()}-{job.id}.{job.form}"


# Links that end


def _signer() -> TokenSigner:
    return TokenSigner(deployment().keys, "export-link")


def _link(job: Export) -> str:
    """Where a file is to be had, for a while."""
    ends = min(now() + LINK_LASTS, job.expires_at or now())
    token = _signer().sign(_LINK.pack(job.id, int(ends.timestamp())))
    return url_for(".export_file", token=token)


def _of_link(token: str) -> Export:
    """Raises `UnknownExport` for a link that is over or not ours."""
    signed = _signer().unsign(token)
    if signed is None or len(signed[0]) != _LINK.size:
        raise UnknownExport()
    number, seconds = _LINK.unpack(signed[0])
    if now() >= datetime.fromtimestamp(seconds, UTC):
        raise UnknownExport()
    with deployment().db.read() as tx:
        return jobs.offered(tx, number, now())


# The page


def _page(member: StaffMember, form: forms.Form) -> str:
    with deployment().db.read() as tx:
        campaigns = lists.campaigns(tx, limit=CAMPAIGNS_OFFERED).rows
        segments = all_segments(tx)
    return render_template(
        "staff/exports.html",
        form=form,
        kinds=[(kind.name, _(kind.title)) for kind in _offered(member)],
        forms=[(each.value, _(title)) for each, title in FORMS.items()],
        campaigns=[(str(each.campaign.id), each.campaign.title) for each in campaigns],
        segments=[(str(each.id), each.name) for each in segments],
        **_listed(member),
    )


def _offered(member: StaffMember) -> list[kinds.Kind]:
    allowed = [kind for kind in kinds.every() if member.may(kind.right)]
    return sorted(allowed, key=lambda kind: kind.right is not Right.export)


def _listed(member: StaffMember) -> dict[str, Any]:
    """The jobs of a page. Sees to it that somebody works on them."""
    before = request.args.get("before", "")
    last = int(before) if before.isascii() and before.isdigit() and len(before) < 19 else None
    owner = None if member.may(Right.audit) else member.id
    with deployment().db.read() as tx:
        found = jobs.listed(tx, staff_id=owner, before=last, limit=PAGE + 1)
        is_left = jobs.any_left(tx, now() - GRACE)
        numbers = {int(each.params["campaign"]) for each in found if each.params.get("campaign")}
        titles = lists.campaign_titles(tx, sorted(numbers))
    if is_left:
        _see_to_it(deployment())
    return {
        "jobs": found[:PAGE],
        "next": found[PAGE - 1].id if len(found) > PAGE else None,
        "is_first": last is None,
        "is_busy": any(each.is_open for each in found[:PAGE]),
        "links": {each.id: _link(each) for each in found if each.state == jobs.State.done},
        "titles": {each.id: _title(each) for each in found},
        "about": {each.id: _about(each, titles) for each in found},
        "whys": {each.id: _(WHYS[Why(each.why)]) for each in found if each.why},
        "own": member,
    }


def _title(job: Export) -> str:
    kind = kinds.kind_named(job.kind)
    return _(kind.title) if kind else job.kind


def _about(job: Export, titles: Mapping[int, tuple[str, str]]) -> str:
    """What of the list, in words: the campaign or the segment, and the days."""
    said = []
    if job.params.get("segment"):
        said.append(job.params["name"])
    campaign = job.params.get("campaign")
    if campaign:
        said.append(titles.get(int(campaign), ("", str(campaign)))[1])
    since, until = (
        format_date(datetime.fromisoformat(each), "medium") if each else ""
        for each in (job.params.get("since"), job.params.get("until"))
    )
    if since and until:
        said.append(_("%(since)s to %(until)s", since=since, until=until))
    elif since or until:
        said.append(_("from %(since)s", since=since) if since else _("to %(until)s", until=until))
    return " · ".join(said)


# Asking


def _asked(member: StaffMember, form: forms.Form) -> Asked | None:
    """What the form asks for; None, with what is wrong said in it."""
    offered = {kind.name: kind for kind in _offered(member)}
    name = form.one_of("kind", offered)
    chosen = form.one_of("form", [each.value for each in Form])
    params: dict[str, Any] = {}
    kind = offered[name] if name else None
    if kind and chosen and Form(chosen) not in kind.forms:
        form.refuse("form", _("This list cannot be had as a graph. Choose CSV or Excel."))
    if kind and kind.of_period:
        since, until = form.day("since"), form.day("until")
        if since and until and until < since:
            form.refuse("until", _("The last day is before the first."))
        params |= {n: d.isoformat() for n, d in (("since", since), ("until", until)) if d}
    if kind and kind.of_campaign:
        params["campaign"] = form.whole("campaign", low=1, high=2**31 - 1)
    if kind and kind.of_segment:
        params |= _segment(form)
    if not form.ok or kind is None or chosen is None:
        return None
    headings = [_(column.title) for column in kind.columns]
    return Asked(kind.name, Form(chosen), params, headings)


def _segment(form: forms.Form) -> dict[str, Any]:
    """The segment that is meant, as it is now."""
    number = form.whole("segment", low=1, high=2**63 - 1)
    if number is None:
        return {}
    try:
        with deployment().db.read() as tx:
            found = segment_by_id(tx, number)
    except UnknownSegment as problem:
        form.refuse("segment", in_words(problem))
        return {}
    return {"segment": number, "name": found.name, "conditions": found.conditions}


# Where no worker runs


_one = threading.Lock()


def _see_to_it(opened: Deployment) -> None:
    """Make the files in this process, when nobody else has begun to: one thread at most."""
    if _one.acquire(blocking=False):
        threading.Thread(target=_work, args=(opened,), name="exports", daemon=True).start()


def _work(opened: Deployment) -> None:
    try:
        actions.work_off_exports(opened)
    except Exception:
        log.exception("exports are not worked off")  # the next look at the page tries again
    finally:
        _one.release()
