"""Segments, and the four quadrants they begin with."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flask import flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from sqlalchemy.orm import Session
from werkzeug.datastructures import MultiDict

from referral import actions, segments
from referral.reports import segments as report
from referral.reports import values as value_report
from referral.reports.segments import Place
from referral.reports.values import Overview
from referral.rollups.life import Quadrant, Stage
from referral.rollups.measures import measures
from referral.segments import (
    NAME_LENGTH_MAX,
    Conditions,
    NobodyMeant,
    Segment,
    SegmentExists,
    TooManySegments,
    UnknownSegment,
)
from referral.staff import Right, StaffMember
from referral.web.context import deployment, now
from referral.web.staff import life_words, segment_forms, words
from referral.web.staff.auth import Page, name_of, require
from referral.web.staff.blueprint import staff
from referral.web.staff.forms import Form

SEGMENT = "/segments/<int(max=9223372036854775807):segment_id>"
OFFERED_MAX = 500
"""How many products and stores the form has to choose from."""
_PROBLEMS = {SegmentExists: "name", NobodyMeant: "", TooManySegments: ""}


@dataclass(frozen=True)
class _Offered:
    """What there is to choose from, by what the form names it by; and what it is called."""

    products: Mapping[str, int] = field(default_factory=dict)
    stores: Mapping[str, int] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)

    def named(self, of: Mapping[str, int], number: int | None) -> str | None:
        return next((self.names[key] for key, each in of.items() if each == number), None)


def _offered(tx: Session) -> _Offered:
    products, stores = report.products(tx, OFFERED_MAX), report.stores(tx, OFFERED_MAX)
    names = {each.key: each.name for each in (*products, *stores)}
    return _Offered(
        {each.key: each.number for each in products},
        {each.key: each.number for each in stores},
        names,
    )


@staff.get("/quadrants")
@require(Right.read)
def quadrants(member: StaffMember) -> Page:
    """All customers by what they are worth and how far they have come."""
    with deployment().db.read() as tx:
        found = value_report.overview(tx, deployment().keys)
    return render_template(
        "staff/quadrants.html",
        found=found,
        picture_of=_picture(found) if found else None,
        life=life_words,
        **(_stages(found) if found else {}),
        quadrant_names=list(life_words.QUADRANTS),
        sums=dict(found.quadrants) if found else {},
    )


def _stages(found: Overview) -> dict[str, Any]:
    return {
        "stage_names": [life_words.stage(stage) for stage, _people in found.stages],
        "stage_counts": [people for _stage, people in found.stages],
        "stage_links": [
            url_for(".try_segment", stages=stage.value) for stage, _people in found.stages
        ],
    }


def _picture(found: Overview) -> dict[str, Any]:
    """What the scatter is drawn from: a colour for each quadrant, a click leads to the customer."""
    series = []
    for quadrant in Quadrant:
        points = [
            [
                each.own,
                each.referral,
                words.customer(each.customer_id, each.name),
                url_for(".customer", customer_id=each.customer_id),
            ]
            for each in found.points
            if each.quadrant == quadrant
        ]
        series.append({"name": life_words.quadrant(quadrant), "values": points})
    return {
        "kind": "scatter",
        "series": series,
        "unit": found.measures.settings.currency,
        "x_name": _("Own value"),
        "y_name": _("Value of those brought in"),
        "x_line": found.measures.own_line,
        "y_line": found.measures.referral_line,
    }


@staff.get("/segments")
@require(Right.read)
def segment_list(member: StaffMember) -> Page:
    with deployment().db.read() as tx:
        offered = _offered(tx)
        found = segments.all_segments(tx)
        as_of = measures(tx)
    currency = deployment().config.values.currency
    rows = [(each, _in_words(each.checked, currency, offered)) for each in found]
    return render_template("staff/segments.html", rows=rows, as_of=as_of, life=life_words)


# Not below /segments/: that is where segments have their numbers.
@staff.get("/segment")
@require(Right.read)
def try_segment(member: StaffMember) -> Page:
    """The form of conditions, and whom those that it says are of."""
    return _form_page(Form(request.args), _asked_segment(request.args.get("segment", "")))


@staff.post("/segments")
@require(Right.change)
def add_segment(member: StaffMember) -> Page:
    """Save conditions under a name: as a new segment, or in place of another's."""
    form = Form(request.form)
    with deployment().db.read() as tx:
        offered = _offered(tx)
    name = form.text("name", least=1, most=NAME_LENGTH_MAX)
    said = _read(form, offered)
    segment = _asked_segment(form.typed("segment"))
    if said is not None and form.ok:
        with form.refusing(_PROBLEMS):
            by = name_of(member)
            if segment is not None:
                actions.change_segment(deployment(), segment.id, name, said, by=by)
                saved = segment.id
            else:
                saved = actions.add_segment(deployment(), name, said, by=by)
            flash(_("The segment is kept."))
            return redirect(url_for(".segment", segment_id=saved), 303)
    return _form_page(form, segment), 422


@staff.get(SEGMENT)
@require(Right.read)
def segment(member: StaffMember, segment_id: int) -> Page:
    with deployment().db.read() as tx:
        found = segments.segment_by_id(tx, segment_id)
        offered, said = _offered(tx), found.checked
        currency = deployment().config.values.currency
        return render_template(
            "staff/segment.html",
            segment=found,
            told=_in_words(said, currency, offered),
            fields=list(segment_forms.fields(said, currency, offered.products, offered.stores)),
            may_export=member.may(Right.export),
            **_people(tx, said),
        )


@staff.post(f"{SEGMENT}/count")
@require(Right.read)
def count_segment(member: StaffMember, segment_id: int) -> Page:
    actions.count_segment(deployment(), segment_id)
    return redirect(url_for(".segment", segment_id=segment_id), 303)


@staff.post(f"{SEGMENT}/remove")
@require(Right.change)
def remove_segment(member: StaffMember, segment_id: int) -> Page:
    actions.remove_segment(deployment(), segment_id, by=name_of(member))
    flash(_("The segment is removed. Campaigns that are published keep whom they are for."))
    return redirect(url_for(".segment_list"), 303)


def _asked_segment(number: str) -> Segment | None:
    """The segment that is to be changed. Raises `UnknownSegment`."""
    if not number:
        return None
    if not (number.isascii() and number.isdigit() and len(number) < 19):
        raise UnknownSegment()
    with deployment().db.read() as tx:
        return segments.segment_by_id(tx, int(number))


def _read(form: Form, offered: _Offered) -> Conditions | None:
    currency = deployment().config.values.currency
    return segment_forms.read(form, currency, offered.products, offered.stores)


def _in_words(said: Conditions, currency: str, offered: _Offered) -> list[str]:
    return life_words.conditions(
        said,
        currency,
        offered.named(offered.products, said.product),
        offered.named(offered.stores, said.store),
    )


def _form_page(form: Form, segment: Segment | None) -> str:
    currency = deployment().config.values.currency
    is_asked = any(form.lists.get(name) for name in segment_forms.FIELDS)
    with deployment().db.read() as tx:
        offered = _offered(tx)
        if segment is not None and not is_asked:
            kept = segment_forms.fields(segment.checked, currency, offered.products, offered.stores)
            form.lists = MultiDict(kept)
            form.values |= dict(form.lists.items())
        if segment is not None:
            form.values.setdefault("name", segment.name)
        said = _read(form, offered)
        people = _people(tx, said) if said is not None and not said.is_for_all else {}
        total = segments.count(tx, said, now()) if people and said is not None else None
    return render_template(
        "staff/segment_form.html",
        form=form,
        segment=segment,
        said=said,
        told=_in_words(said, currency, offered) if said else [],
        total=total,
        fields=list(segment_forms.fields(said, currency, offered.products, offered.stores))
        if said
        else [],
        currency=currency,
        stages=[(each.value, life_words.stage(each)) for each in Stage],
        quadrant_names=[(each, life_words.quadrant(each)) for each in life_words.QUADRANTS],
        products=[(key, offered.names[key]) for key in offered.products],
        stores=[(key, offered.names[key]) for key in offered.stores],
        **(people or {"people": None, "life": life_words, "as_of": None, "money_of": currency}),
    )


def _people(tx: Session, said: Conditions) -> dict[str, Any]:
    """A page of people, with what it takes to show them."""
    after = Place.read(request.args.get("after", ""))
    return {
        "people": report.people(tx, deployment().keys, said, now(), after=after),
        "is_begun": after is not None,
        "as_of": measures(tx),
        "life": life_words,
        "money_of": deployment().config.values.currency,
    }
