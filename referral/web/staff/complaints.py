"""Complaints in the console: who looks after which, what is answered, and which batch has many."""

from datetime import timedelta

from flask import Response, flash, redirect, render_template, request, url_for
from flask_babel import format_decimal
from flask_babel import gettext as _
from sqlalchemy.orm import Session

from referral import actions, catalog
from referral.complaints import (
    TEXT_LENGTH_MAX,
    ComplaintChanged,
    EmptyText,
    Kind,
    State,
)
from referral.errors import N_, Problem
from referral.pictures import MEDIA_TYPE
from referral.reports import complaints as report
from referral.reports import lists
from referral.reports.complaints import Filter
from referral.staff import Right, StaffMember
from referral.web.context import deployment, now
from referral.web.language import in_words
from referral.web.staff.auth import Page, require
from referral.web.staff.blueprint import staff
from referral.web.staff.forms import Form

COMPLAINT = "/complaints/<int(max=9223372036854775807):number>"
NUMBER_DIGITS_MAX = 18
DAYS = (1, 3, 7, 30)
"""How old what a list shows may be asked to be at least."""
MINE, NOBODYS = "me", "none"
STATES = {
    "open": N_("Open"),
    "waiting": N_("Waiting for the customer"),
    "answered": N_("Answered"),
    "closed": N_("Closed"),
}
PILLS = {"open": "pending", "waiting": "scheduled", "answered": "available", "closed": "expired"}
KINDS = {
    "damaged": N_("Damaged"),
    "taste": N_("Smell, taste or look"),
    "not_genuine": N_("Doubted to be genuine"),
    "delivery": N_("Delivery"),
    "other": N_("Something else"),
}
STEPS = {
    "complaint opened": N_("Opened"),
    "complaint written back": N_("The customer wrote back"),
    "complaint taken over": N_("Taken over"),
    "complaint answered": N_("Answered"),
    "complaint closed": N_("Closed"),
    "complaint reopened": N_("Opened again"),
}


def state(name: str) -> str:
    return _(STATES.get(name, name))


def pill(name: str) -> str:
    """The mark beside a state, by the state of something else that it looks like."""
    return PILLS.get(name, name)


def kind(name: str) -> str:
    return _(KINDS.get(name, name))


def step(action: str) -> str:
    return _(STEPS.get(action, action))


def per_thousand(part: float) -> str:
    """How many there are for every thousand."""
    return format_decimal(part * 1000, "#,##0.0")


WORDS = {
    "state_word": state,
    "state_pill": pill,
    "kind_word": kind,
    "step_word": step,
    "per_thousand": per_thousand,
}


@staff.get("/complaints")
@require(Right.read)
def complaint_list(member: StaffMember) -> Page:
    """Complaints of one state, the open ones unless another is asked for."""
    args = request.args
    asked = args.get("state", State.open)
    chosen = State(asked) if asked in set(State) else State.open
    behind = _number(args.get("after", ""))
    days = _number(args.get("days", ""))
    gtin, batch_id = args.get("product", "").strip(), _number(args.get("batch", ""))
    owner = args.get("owner", "")
    with deployment().db.read() as tx:
        product_id = _product_id(tx, gtin) if gtin else None
        which = Filter(
            state=chosen,
            owner_id=member.id if owner == MINE else None,
            has_owner=False if owner == NOBODYS else None,
            product_id=product_id,
            batch_id=batch_id,
            kind=Kind(args["kind"]) if args.get("kind") in set(Kind) else None,
            older_than=timedelta(days=days) if days in DAYS else None,
        )
        # What waits longest comes first, of what waits; of the rest the newest.
        is_done = chosen in {State.answered, State.closed}
        found = report.lines(tx, which, now(), after=behind, newest_first=is_done)
        return render_template(
            "staff/complaints.html",
            state=chosen,
            states=State,
            kinds=KINDS,
            counts=report.count_in_states(tx),
            listed=found,
            names=lists.names(tx, deployment().keys, [line.customer_id for line in found.rows]),
            worst=report.worst_batches(tx),
            asked={
                "owner": owner if owner in {MINE, NOBODYS} else "",
                "days": str(days) if days in DAYS else "",
                "kind": which.kind or "",
                "product": gtin if product_id is not None else "",
                "batch": str(batch_id) if batch_id is not None else "",
            },
            unknown_product=gtin if gtin and product_id is None else None,
            is_beginning=behind is None,
            days=DAYS,
            now=now(),
            **WORDS,
        )


def _product_id(tx: Session, gtin: str) -> int | None:
    try:
        return catalog.product_by_gtin(tx, gtin).id
    except Problem:
        return None


def _number(typed: str) -> int | None:
    is_number = typed.isascii() and typed.isdigit() and len(typed) <= NUMBER_DIGITS_MAX
    return int(typed) if is_number else None


@staff.get(COMPLAINT)
@require(Right.read)
def complaint(member: StaffMember, number: int) -> Page:
    return _page(member, number, Form())


@staff.get(f"{COMPLAINT}/picture")
@require(Right.read)
def complaint_picture(member: StaffMember, number: int) -> Response:
    with deployment().db.read() as tx:
        data = report.picture(tx, deployment().keys, number)
    # It is one customer's: nobody keeps a copy on the way.
    return Response(data, mimetype=MEDIA_TYPE, headers={"Cache-Control": "private, no-store"})


@staff.post(COMPLAINT)
@require(Right.help)
def act_on_complaint(member: StaffMember, number: int) -> Page:
    """Take it over, answer it, close it or open it again."""
    form = Form(request.form)
    seen = _number(form.typed("seen"))
    what = form.one_of("what", set(_DONE))
    if form.ok and what is not None:
        try:
            _act(member, number, what, form, -1 if seen is None else seen)
        except EmptyText:
            form.refuse("text", _("Please write something, in up to 1,000 characters."))
        except ComplaintChanged as problem:
            form.refuse("", in_words(problem))
        else:
            flash(_(_DONE[what]))
            return redirect(url_for(".complaint", number=number), 303)
    return _page(member, number, form), 422


_DONE = {
    "take": N_("It is yours now."),
    "answer": N_("The customer sees the answer."),
    "ask": N_("The customer sees the question."),
    "settle": N_("Answered and closed."),
    "close": N_("Closed."),
    "reopen": N_("Open again."),
}
_ANSWERS = {"answer": State.answered, "ask": State.waiting, "settle": State.closed}


def _act(member: StaffMember, number: int, what: str, form: Form, seen: int) -> None:
    opened = deployment()
    if what in _ANSWERS:
        text = form.values.get("text", "")
        actions.answer_complaint(opened, number, member, text, state=_ANSWERS[what], seen=seen)
    elif what == "take":
        actions.take_over_complaint(opened, number, member, seen=seen)
    elif what == "close":
        actions.close_complaint(opened, number, member, seen=seen)
    else:
        actions.reopen_complaint(opened, number, member, seen=seen)


def _page(member: StaffMember, number: int, form: Form) -> str:
    with deployment().db.read() as tx:
        found = report.complaint(tx, deployment().keys, number)
        item = found.complaint
        batch = report.of_batches(tx, [item.batch_id])[0] if item.batch_id else None
        return render_template(
            "staff/complaint.html",
            page=found,
            complaint=item,
            batch=batch,
            form=form,
            names=lists.names(tx, deployment().keys, [item.customer_id]),
            may_help=member.may(Right.help),
            is_mine=item.owner_id == member.id,
            text_length=TEXT_LENGTH_MAX,
            **WORDS,
        )
