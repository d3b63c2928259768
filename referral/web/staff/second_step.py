"""The second step of signing in: a code of the app, a recovery code, or setting a factor up."""

from flask import make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from referral import actions
from referral.errors import Problem, TooMany
from referral.staff import How, StaffMember, passkeys, second_factors, totp
from referral.staff.recovery import WrongRecoveryCode
from referral.staff.second_factors import SecondFactorThere
from referral.staff.totp import Offer, OfferOver, WrongCode
from referral.web import errors
from referral.web.context import deployment, now, remote_address
from referral.web.language import in_words
from referral.web.staff import steps
from referral.web.staff.auth import give_session, leave, let_in, this_browser
from referral.web.staff.blueprint import staff
from referral.web.staff.forms import Form
from referral.web.staff.sign_in import Answer, refused, target_of
from referral.web.staff.steps import Second, SignInOver

CODE_LENGTH_MAX = 40


@staff.get("/sign-in/second")
def second_factor() -> Answer:
    try:
        second = steps.second()
    except SignInOver as over:
        return refused(over, url_for("staff.home"))
    return _page(second, Form(), by_recovery="recovery" in request.args)


@staff.post("/sign-in/second")
def check_second_factor() -> Answer:
    form = Form(request.form)
    by_recovery = form.values.get("with") == "recovery"
    code = form.typed("code")[:CODE_LENGTH_MAX]
    form.values.pop("code", None)
    how = How.recovery if by_recovery else How.totp
    try:
        second = steps.second()
    except SignInOver as over:
        return refused(over, url_for("staff.home"))
    try:
        use_code(second.member, code, how)
    except (WrongCode, WrongRecoveryCode, TooMany) as problem:
        form.refuse("code", in_words(problem))
        page = _page(second, form, by_recovery=by_recovery)
        return page, problem.status, errors.wait(problem)
    steps.end("second")
    return let_in(second.member, how, target_of(second.target))


def use_code(member: StaffMember, code: str, how: How) -> None:
    """Accept a code of the app or a recovery code, once; failures are noted.

    Raises `WrongCode`, `WrongRecoveryCode`, `TooMany`.
    """
    opened, address = deployment(), remote_address()
    opened.limits.staff_sign_in_address(address)
    use = actions.use_recovery_code if how == How.recovery else actions.use_totp
    try:
        use(opened, member, code)
    except (WrongCode, WrongRecoveryCode):
        actions.note_failed_sign_in(opened, member.email, how=how, address=address)
        raise


# Where a role needs a second factor and there is none


@staff.get("/sign-in/set-up")
def needed_factor() -> Answer:
    try:
        second = steps.second()
    except SignInOver as over:
        return refused(over, url_for("staff.home"))
    with deployment().db.read() as tx:
        held = second_factors.of_member(tx, second.member.id)
    if held.are_any:
        return redirect(url_for(".second_factor"), 303)
    return _set_up_page(second, new_offer(second.member), Form())


@staff.post("/sign-in/set-up")
def set_up_needed_factor() -> Answer:
    form = Form(request.form)
    try:
        second = steps.second()
    except SignInOver as over:
        return refused(over, url_for("staff.home"))
    try:
        codes = add_totp(second.member, form, only_first=True)
    except SecondFactorThere:  # made in another tab, or by somebody who knows the password alone
        return redirect(url_for(".second_factor"), 303)
    except (WrongCode, OfferOver) as problem:
        offer = refuse_code(form, second.member, problem)
        return _set_up_page(second, offer, form), problem.status
    steps.end("second")
    leave()
    secret = actions.begin_staff_session(
        deployment(),
        second.member,
        how=How.totp,
        browser=this_browser(),
        address=remote_address(),
    )
    return give_session(codes_page(codes, target_of(second.target), is_gate=True), secret)


def new_offer(member: StaffMember) -> Offer:
    return totp.offer(deployment().keys, member.id, now())


def add_totp(member: StaffMember, form: Form, *, only_first: bool = False) -> list[str]:
    """Keep the secret that a form offers, if its first code is right. Returns recovery codes.

    Raises `WrongCode`, `OfferOver`, and what `actions.add_totp` does.
    """
    opened = deployment()
    offer = totp.offered(opened.keys, member.id, form.values.get("offer", ""), now())
    code = form.typed("code")[:CODE_LENGTH_MAX]
    return actions.add_totp(opened, member, offer.secret, code, only_first=only_first)


def refuse_code(form: Form, member: StaffMember, problem: Problem) -> Offer:
    """Say that the first code was wrong; what was scanned stays good unless it is too old."""
    form.values.pop("code", None)
    form.refuse("code", in_words(problem))
    if isinstance(problem, OfferOver):
        return new_offer(member)
    return totp.offered(deployment().keys, member.id, form.values["offer"], now())


def codes_page(codes: list[str], target: str, *, is_gate: bool = False) -> Response:
    """Recovery codes, this once."""
    page = render_template("staff/recovery_codes.html", codes=codes, next=target, is_gate=is_gate)
    return make_response(page)


def qr_of(member: StaffMember, offer: Offer) -> tuple[str, str]:
    """The address for an app, and its QR code as the address of a picture."""
    from base64 import b64encode

    from referral.printing.qr import qr_svg

    address = totp.address(offer.secret, member=member.email, issuer=deployment().config.brand)
    return address, f"data:image/svg+xml;base64,{b64encode(qr_svg(address)).decode()}"


def _page(second: Second, form: Form, *, by_recovery: bool) -> str:
    opened = deployment()
    with opened.db.read() as tx:
        held = second_factors.of_member(tx, second.member.id)
    party = passkeys.party_of(opened.config.base_url, opened.config.brand)
    return render_template(
        "staff/second_factor.html",
        form=form,
        held=held,
        by_recovery=by_recovery,
        has_passkeys=party is not None and held.passkeys > 0,
        next=second.target,
        email=second.member.email,
    )


def _set_up_page(second: Second, offer: Offer, form: Form) -> str:
    address, picture = qr_of(second.member, offer)
    return render_template(
        "staff/needed_factor.html",
        form=form,
        offer=offer,
        address=address,
        picture=picture,
        email=second.member.email,
    )
