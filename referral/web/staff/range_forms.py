"""The forms of a batch's page: the state of a range, its terms, one code out of use."""

from zoneinfo import ZoneInfo

from flask import flash, redirect, url_for
from flask_babel import format_number, ngettext
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from referral import actions, lookup, ranges
from referral.batches import Batch, batch_by_id
from referral.claims import WrongProduct
from referral.codes import Code, UnknownCode
from referral.gs1.gtin import BadGTIN
from referral.ranges import REASON_LENGTH_MAX, BadRange, BadTerms, CodesWithdrawn, RangeState
from referral.reports import batches as report
from referral.reports import stores
from referral.web.context import deployment
from referral.web.language import in_words
from referral.web.staff import terms, words
from referral.web.staff.forms import Form

SETTABLE = (
    RangeState.printed,
    RangeState.activated,
    RangeState.voided,
    RangeState.recalled,
)
CODE_LENGTH_MAX = 300
"""Room for a whole address that was scanned or pasted."""


def change(batch_id: int, form: Form, by: str) -> Response | None:
    """Do what a form asks for and lead back; None when it is refused, with why in the form.

    Raises `UnknownBatch`.
    """
    with deployment().db.read() as tx:
        batch = batch_by_id(tx, batch_id)
    what = {"terms": _assign, "code": _void_code}.get(form.typed("form"), _set_state)
    said = what(batch, form, by)
    if said is None:
        return None
    flash(said)
    # The form's own address ends with its place on the page, for what is refused there.
    return redirect(url_for(".batch", batch_id=batch_id, _anchor="main"), 303)


def _set_state(batch: Batch, form: Form, by: str) -> str | None:
    """Put a range into a state; both ends are asked for, so that nothing happens to more."""
    state = RangeState(form.one_of("state", SETTABLE) or RangeState.issued)
    start, end = _range(batch, form)
    reinstate = bool(form.typed("reinstate"))
    if reinstate and state is not RangeState.activated:
        form.refuse("reinstate", _("Codes are brought back by activating them."))
    # What takes codes out of use, or back into it, is looked into later.
    least = 1 if reinstate or state in {RangeState.voided, RangeState.recalled} else 0
    reason = form.text("reason", least=least, most=REASON_LENGTH_MAX)
    if not form.ok or start is None or end is None:
        return None

    def count() -> int:
        with deployment().db.read() as tx:
            return report.in_state(tx, batch.id, state, start, end)

    before = count()
    try:
        actions.set_range(
            deployment(),
            batch.id,
            state,
            start=start,
            end=end,
            reinstate=reinstate,
            reason=reason,
            by=by,
        )
    except BadRange:
        form.refuse("end", _("The end must lie after the start."))
        return None
    except CodesWithdrawn as problem:
        form.refuse("reinstate", in_words(problem))
        return None
    changed = count() - before
    if changed <= 0:
        return _("Nothing had to be changed: no code of this range can become that.")
    return ngettext(
        "%(count)s code has a new state: %(state)s.",
        "%(count)s codes have a new state: %(state)s.",
        changed,
        count=format_number(changed),
        state=words.state(state),
    )


def _assign(batch: Batch, form: Form, by: str) -> str | None:
    """Say where and when a range is sold; what is left empty stays as it is."""
    with deployment().db.read() as tx:
        offered = stores.choices(tx)
    changes = terms.changes(form, offered, ZoneInfo(deployment().config.timezone))
    start, end = _range(batch, form)
    reason = form.text("reason", most=REASON_LENGTH_MAX)
    if form.ok and not changes:
        form.refuse("", _("Please fill in what is to change, or tick what is to be cleared."))
    if not form.ok:
        return None
    try:
        actions.assign_range(
            deployment(), batch.id, changes, start=start, end=end, reason=reason, by=by
        )
    except BadRange:
        form.refuse("end", _("The end must lie after the start."))
        return None
    except BadTerms as problem:
        # With dates that a part of the range has from before.
        form.refuse("", in_words(problem))
        return None
    return _("The terms are kept: %(names)s.", names=", ".join(map(words.term, changes)))


def _void_code(batch: Batch, form: Form, by: str) -> str | None:
    """Take one package's codes out of use."""
    text = form.text("code", least=1, most=CODE_LENGTH_MAX)
    reason = form.text("reason", least=1, most=REASON_LENGTH_MAX)
    code = _code_in(form, text) if form.ok else None
    if code is not None and code.batch_id != batch.id:
        form.refuse("code", _("This is a code of batch %(number)s.", number=code.batch_id))
    if not form.ok or code is None:
        return None
    with deployment().db.read() as tx:
        state = ranges.state_of(tx, batch.id, code.index)
    if state in {RangeState.voided, RangeState.recalled}:
        form.refuse("code", _("This code is withdrawn already."))
        return None
    actions.set_range(
        deployment(),
        batch.id,
        RangeState.voided,
        start=code.index,
        end=code.index + 1,
        reason=reason,
        by=by,
    )
    return _("The code %(code)s is voided.", code=code.grouped)


def _code_in(form: Form, text: str) -> Code | None:
    try:
        code, _batch = lookup.find(deployment(), *lookup.in_text(text))
    except (UnknownCode, WrongProduct, BadGTIN) as problem:
        form.refuse("code", _(problem.title))
        return None
    return code


def _range(batch: Batch, form: Form) -> tuple[int | None, int | None]:
    return (
        form.whole("start", low=0, high=batch.size - 1),
        form.whole("end", low=1, high=batch.size),
    )
