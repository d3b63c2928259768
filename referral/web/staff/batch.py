"""A batch's page: its figures over time and by region, its ranges, and the forms for both.

One address takes every form of the page, so that what is refused is said where it was filled in.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from flask import render_template, request
from sqlalchemy.orm import Session

from referral import packages
from referral.codes import Code, Label, carries
from referral.printing.qr import printed_address
from referral.ranges import RangeState, Span, Terms
from referral.reports import activity, alarms, flags, stores
from referral.reports import batches as report
from referral.reports.alarms import About
from referral.reports.batches import BatchLine
from referral.staff import Right, StaffMember
from referral.stores import names as store_names
from referral.web.context import deployment, now
from referral.web.staff import range_forms, region_map, terms
from referral.web.staff.auth import Page, name_of, require
from referral.web.staff.blueprint import staff
from referral.web.staff.forms import Form, offset_of
from referral.web.staff.lives import PERIOD_DEFAULT, PERIODS, charts_of, period_of

CODES_SHOWN = 3
SPANS_SHOWN = CHANGES_SHOWN = 20
FLAGS_SHOWN = 8
RANGE_DIGITS_MAX = 12


@staff.get("/batches/<int(max=9223372036854775807):batch_id>")
@require(Right.read)
def batch(member: StaffMember, batch_id: int) -> Page:
    return _page(member, batch_id, Form())


@staff.post("/batches/<int(max=9223372036854775807):batch_id>")
@require(Right.change)
def change_batch(member: StaffMember, batch_id: int) -> Page:
    form = Form(request.form)
    done = range_forms.change(batch_id, form, name_of(member))
    return done or (_page(member, batch_id, form), 422)


def _page(member: StaffMember, batch_id: int, sent: Form) -> str:
    with deployment().db.read() as tx:
        found = report.line(tx, batch_id)
        asked = request.args.get("period", PERIOD_DEFAULT)
        period = period_of(found.created_at, asked)
        counts = activity.over_time(tx, [batch_id], period)
        regions = activity.by_region(tx, [batch_id], period)
        spans = report.spans(tx, batch_id, offset=offset_of(request.args), limit=SPANS_SHOWN)
        changes = report.changes(
            tx, batch_id, offset=offset_of(request.args, "changes"), limit=CHANGES_SHOWN
        )
        told = {change.id: terms.told(change.terms or {}) for change in changes.rows}
        return render_template(
            "staff/batch.html",
            batch=found,
            lots=report.lots(tx, batch_id),
            has_outer=_has_outer(found),
            totals=activity.totals(tx, batch_id),
            period=period,
            asked=asked if asked in PERIODS else "all",
            counts=counts,
            charts=charts_of(counts, has_outer=_has_outer(found)),
            regions=regions,
            region_map=region_map.of(regions),
            spans=spans,
            spans_by_terms=_by_terms(spans.rows),
            changes=changes,
            told=told,
            store_names=_names_of_stores(tx, spans.rows, told.values()),
            flag_counts=flags.counts(tx, batches=[batch_id]),
            flags=flags.flagged(tx, batch_id=batch_id, limit=FLAGS_SHOWN).rows,
            packages=packages.packages_of(tx, [batch_id]),
            alarms=[
                a for a in alarms.current(tx, now()) if (a.about, a.id) == (About.batch, batch_id)
            ],
            stores=stores.choices(tx) if member.may(Right.change) else [],
            # A code is worth what it pays: only those who may issue them see unclaimed ones.
            codes=_first_codes(found) if member.may(Right.change) else None,
            forms=_forms(tx, found, sent),
            term_fields=terms.FIELDS,
        )


def _by_terms(spans: Sequence[Span]) -> list[tuple[Terms, list[Span]]]:
    """Ranges that follow one another with the same terms, together."""
    return [(held, [*same]) for held, same in groupby(spans, key=lambda span: span.terms)]


def _has_outer(batch: BatchLine) -> bool:
    return carries(batch.labels, Label.outer)


def _names_of_stores(
    tx: Session, spans: Sequence[Span], told: Iterable[Mapping[str, Any]]
) -> Mapping[int, str]:
    """The names of the stores in these ranges and changes."""
    assigned = [each.get("store_id") for each in told]
    return store_names(tx, [*(span.terms.store_id for span in spans), *assigned])


def _forms(tx: Session, batch: BatchLine, sent: Form) -> dict[str, Form]:
    """The forms of the page: one of them as it was sent, the others as they are first shown."""
    forms = {"state": Form(), "terms": Form(), "code": Form()}
    whole = {"start": "0", "end": str(batch.size)}
    forms["terms"].values |= whole
    forms["state"].values |= {"state": RangeState.activated.value, **_asked_range(tx, batch)}
    if sent.values:
        which = sent.typed("form")
        forms[which if which in forms else "state"] = sent
    return forms


def _asked_range(tx: Session, batch: BatchLine) -> dict[str, str]:
    """The range in the address, which a code's page leads to; else what is activated next."""
    asked = {name: request.args.get(name, "")[:RANGE_DIGITS_MAX] for name in ("start", "end")}
    if any(asked.values()):
        return asked
    start, end = report.waiting(tx, batch.id) or ("", "")
    return {"start": str(start), "end": str(end)}


def _first_codes(batch: BatchLine) -> list[tuple[Code, str]]:
    """The batch's first codes, each with the address that is printed."""
    entry = deployment().directory.batch(batch.id)
    base_url = deployment().config.base_url
    codes = [
        deployment().codes.encode(entry, index, label)
        for index in range(min(batch.size, CODES_SHOWN))
        for label in Label
        if carries(batch.labels, label)
    ]
    return [
        (code, printed_address(base_url, batch.scheme, batch.gtin, code.text)) for code in codes
    ]
