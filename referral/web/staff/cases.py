"""Cases: purchases that the risk rules want somebody to look at, and what staff decide."""

from flask import flash, redirect, render_template, request, url_for
from flask_babel import gettext as _

from referral import actions
from referral.actions import (
    CaseClosed,
    Choice,
    DecidedMeanwhile,
    NothingToHold,
    ReasonMissing,
)
from referral.reports import cases as report
from referral.reports import lists
from referral.risk import REASON_LENGTH_MAX, Case
from referral.staff import Right, StaffMember
from referral.web.context import deployment
from referral.web.language import in_words
from referral.web.staff import suspicion
from referral.web.staff.auth import Page, name_of, require
from referral.web.staff.blueprint import staff
from referral.web.staff.forms import Form, offset_of

CASE = "/cases/<int(max=9223372036854775807):case_id>"
DECISIONS = {choice.value for choice in Choice}


@staff.get("/cases")
@require(Right.read)
def case_list(member: StaffMember) -> Page:
    """Cases of one state, the open ones unless another is asked for."""
    asked = request.args.get("state", Case.open)
    state = Case(asked) if asked in set(Case) else Case.open
    with deployment().db.read() as tx:
        listed = report.cases(tx, state, offset=offset_of(request.args))
        people = [each for line in listed.rows for each in (line.customer_id, line.referrer_id)]
        return render_template(
            "staff/cases.html",
            state=state,
            states=Case,
            counts=report.counts(tx),
            listed=listed,
            names=lists.names(tx, deployment().keys, [each for each in people if each]),
            titles=lists.campaign_titles(tx, [line.campaign_id for line in listed.rows]),
            suspicion=suspicion,
        )


@staff.get(CASE)
@require(Right.read)
def case(member: StaffMember, case_id: int) -> Page:
    return _page(case_id, Form())


@staff.post(CASE)
@require(Right.help)
def decide_case(member: StaffMember, case_id: int) -> Page:
    form = Form(request.form)
    choice = form.one_of("choice", DECISIONS)
    reason = _reason(form)
    if form.ok and choice is not None:
        try:
            decided = actions.decide_case(
                deployment(),
                case_id,
                Choice(choice),
                by=name_of(member),
                reason=reason,
                seen=form.typed("seen"),
            )
        except (CaseClosed, NothingToHold, DecidedMeanwhile) as problem:
            form.refuse("", in_words(problem))
        else:
            if decided.is_new:
                flash(_("Decided: %(state)s.", state=suspicion.state(decided.state)))
            else:
                flash(_("That was decided before. Nothing has changed."))
            return redirect(url_for(".case", case_id=case_id), 303)
    return _page(case_id, form), 422


@staff.post(f"{CASE}/block")
@require(Right.help)
def block_in_case(member: StaffMember, case_id: int) -> Page:
    """Block one of the people of a case, or take the block away."""
    form = Form(request.form)
    with deployment().db.read() as tx:
        people = {str(each) for each in report.case(tx, case_id).people}
    customer = form.one_of("customer", people)
    what = form.one_of("what", {"block", "unblock"})
    reason = _reason(form, f"reason-{customer}")
    if form.ok and customer is not None:
        change = actions.block_customer if what == "block" else actions.unblock_customer
        change(deployment(), int(customer), by=name_of(member), reason=reason)
        flash(
            _("Blocked. From now on this customer gets no rewards.")
            if what == "block"
            else _("No longer blocked. This customer gets rewards again from now on.")
        )
        return redirect(url_for(".case", case_id=case_id), 303)
    return _page(case_id, form), 422


def _reason(form: Form, name: str = "reason") -> str:
    reason = form.text(name, most=REASON_LENGTH_MAX)
    if not reason:
        form.refuse(name, in_words(ReasonMissing()))
    return reason


def _page(case_id: int, form: Form) -> str:
    with deployment().db.read() as tx:
        found = report.case(tx, case_id)
        return render_template(
            "staff/case.html",
            case=found,
            line=found.line,
            form=form,
            states=Case,
            choices=_choices(found.line.state),
            reason_length=REASON_LENGTH_MAX,
            names=lists.names(tx, deployment().keys, found.people),
            titles=lists.campaign_titles(tx, [found.line.campaign_id]),
            suspicion=suspicion,
        )


def _choices(state: str | None) -> list[str]:
    """What can still be decided of a case in that state."""
    if state == Case.reversed:
        return []
    done = {Case.accepted: Choice.accept, Case.held: Choice.hold}
    return [choice.value for choice in Choice if not state or done.get(Case(state)) is not choice]
