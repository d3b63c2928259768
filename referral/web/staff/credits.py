"""Points by hand: crediting a customer or taking back, what waits, and what was decided."""

from collections.abc import Callable

from flask import flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from sqlalchemy.orm import Session

from referral import actions, people
from referral.actions import Wish
from referral.actions.crediting_by_hand import alone
from referral.campaigns import UnknownCampaign
from referral.chance import random_bytes
from referral.crypto import encode_base64
from referral.errors import N_, Problem
from referral.hand_credits import (
    AMOUNT_MAX,
    KEY_LENGTH_MAX,
    REASON_LENGTH_MAX,
    TOLD_LENGTH_MAX,
    UNIT,
    CreditTooLow,
    HandCredit,
    NotEnoughBudget,
    State,
)
from referral.people import UnknownCustomer
from referral.reports import customers, hand_credits, lists
from referral.staff import Right, StaffMember
from referral.web.context import deployment, now
from referral.web.language import in_words
from referral.web.staff.auth import Page, require
from referral.web.staff.blueprint import staff
from referral.web.staff.forms import Form

PAGE = 25
KEY_BYTES = 16
NUMBER_MAX = 2**63 - 1
GIVE, TAKE = "give", "take"
STATES = {
    State.waiting: N_("Waits for approval"),
    State.done: N_("Done"),
    State.refused: N_("Refused"),
    State.withdrawn: N_("Withdrawn"),
    State.expired: N_("Nobody approved it in time"),
}
PILLS = {
    State.waiting: "pending",
    State.done: "available",
    State.refused: "reversed",
    State.withdrawn: "ended",
    State.expired: "ended",
}


@staff.get("/credits")
@require(Right.credit, Right.approve)
def credits_by_hand(member: StaffMember) -> Page:
    form = Form(request.args)
    form.values.setdefault("way", GIVE)
    return _page(member, form)


@staff.post("/credits")
@require(Right.credit)
def add_credit(member: StaffMember) -> Page:
    form = Form(request.form)
    wish = _wish(form)
    if wish is None:
        return _page(member, form), 422
    fields: dict[type[Problem], str] = {
        UnknownCustomer: "customer",
        UnknownCampaign: "campaign",
        NotEnoughBudget: "amount",
        CreditTooLow: "amount",
    }
    with form.refusing(fields):
        made = actions.credit_by_hand(deployment(), wish, member=member)
        is_done = made.state == State.done
        flash(_("Done.") if is_done else _("This is over your limit: it waits for a colleague."))
    if not form.ok:
        return _page(member, form), 422
    return redirect(url_for(".credits_by_hand"), 303)


@staff.post("/credits/<int(max=9223372036854775807):credit_id>/approve")
@require(Right.approve)
def approve_credit(member: StaffMember, credit_id: int) -> Page:
    return _decided(
        member,
        lambda: actions.approve_credit(deployment(), credit_id, member=member),
        _("Approved and credited."),
    )


@staff.post("/credits/<int(max=9223372036854775807):credit_id>/refuse")
@require(Right.approve)
def refuse_credit(member: StaffMember, credit_id: int) -> Page:
    form = Form(request.form)
    word = form.text("word", most=REASON_LENGTH_MAX, least=1)
    if not form.ok:
        form.refuse("", _("Please say why you refuse it."))
        return _page(member, form), 422
    return _decided(
        member,
        lambda: actions.refuse_credit(deployment(), credit_id, word, member=member),
        _("Refused."),
    )


@staff.post("/credits/<int(max=9223372036854775807):credit_id>/withdraw")
@require(Right.credit)
def withdraw_credit(member: StaffMember, credit_id: int) -> Page:
    return _decided(
        member,
        lambda: actions.withdraw_credit(deployment(), credit_id, member=member),
        _("Withdrawn."),
    )


def _decided(member: StaffMember, decide: Callable[[], HandCredit], said: str) -> Page:
    try:
        decide()
    except (NotEnoughBudget, CreditTooLow) as problem:
        form = Form()
        form.refuse("", in_words(problem))
        return _page(member, form), problem.status
    flash(said)
    return redirect(url_for(".credits_by_hand"), 303)


def _wish(form: Form) -> Wish | None:
    """What the form asks for; None, with what is wrong said in it."""
    key = form.text("key", most=KEY_LENGTH_MAX, least=KEY_BYTES)
    way = form.one_of("way", (GIVE, TAKE))
    customer = form.whole("customer", low=1, high=NUMBER_MAX)
    amount = form.whole("amount", low=1, high=AMOUNT_MAX)
    campaign = form.whole("campaign", low=1, high=2**31 - 1)
    reason = form.text("reason", most=REASON_LENGTH_MAX, least=1)
    told = form.text("told", most=TOLD_LENGTH_MAX)
    if not form.ok or customer is None or amount is None or campaign is None:
        return None
    return Wish(key, customer, campaign, amount if way == GIVE else -amount, reason, told)


def _page(member: StaffMember, form: Form) -> str:
    form.values.setdefault("key", encode_base64(random_bytes(KEY_BYTES)).decode())
    before = Form(request.args).whole("before", low=1, high=NUMBER_MAX, optional=True)
    with deployment().db.read() as tx:
        waiting = hand_credits.waiting(tx)
        decided = hand_credits.decided(tx, before=before, limit=PAGE + 1)
        budgets = hand_credits.budgets(tx)
        someone = _someone(tx, form)
        named = {line.credit.customer_id for line in (*waiting, *decided)}
        names = lists.names(tx, deployment().keys, sorted({*named, *someone}))
        held = {
            each: next(b.available for b in customers.balances(tx, each) if b.unit == UNIT)
            for each in someone
        }
        left = alone(tx, deployment(), member, now()) if member.may(Right.credit) else 0
    return render_template(
        "staff/credits.html",
        form=form,
        waiting=waiting,
        decided=decided[:PAGE],
        next=decided[PAGE - 1].credit.id if len(decided) > PAGE else None,
        is_first=before is None,
        budgets=budgets,
        someone=next(iter(someone), None),
        held=held,
        names=names,
        alone=left,
        config=deployment().config,
        states={state.value: _(said) for state, said in STATES.items()},
        pills={state.value: pill for state, pill in PILLS.items()},
        may_credit=member.may(Right.credit),
        may_approve=member.may(Right.approve),
        own=member,
    )


def _someone(tx: Session, form: Form) -> list[int]:
    """The customer whom the form names, where there is one."""
    number = Form(form.values).whole("customer", low=1, high=NUMBER_MAX, optional=True)
    if number is None:
        return []
    try:
        return [people.customer_by_id(tx, number).id]
    except UnknownCustomer:
        return []
