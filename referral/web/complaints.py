"""Something wrong with a package: a customer says what, and reads what the brand answers."""

import secrets

from flask import redirect, render_template, request, url_for
from flask_babel import gettext as _

from referral import actions, pictures
from referral.actions import Said
from referral.actions.complaining import own_claim
from referral.checking import check_code
from referral.codes import Code, UnknownCode
from referral.complaints import TEXT_LENGTH_MAX, EmptyText, Kind, NoReplyNow
from referral.errors import InvalidInput
from referral.pictures import UPLOAD_BYTES_MAX, PictureTooLarge, Ready
from referral.reports import complaints as report
from referral.reports.complaints import Lines
from referral.web.context import customer, deployment, now, remote_address
from referral.web.language import in_words
from referral.web.member import Page, member

SHOWN = 3
"""How many of her complaints her page shows."""
KEY_BYTES = 12
TYPED_SHOWN_MAX = 64
_NUMBER = "int(max=9223372036854775807)"
_WHICH_DIGITS_MAX = 18


def kinds() -> dict[str, str]:
    """What may be wrong, in the customer's words."""
    return {
        Kind.damaged: _("Damaged, or the seal was broken"),
        Kind.taste: _("Smell, taste or look"),
        Kind.not_genuine: _("I doubt that it is genuine"),
        Kind.delivery: _("Late, lost or the wrong thing"),
        Kind.other: _("Something else"),
    }


def standing(state: str) -> str:
    """Where a complaint stands, in the customer's words."""
    return {
        "open": _("We are looking into it"),
        "waiting": _("We have a question for you"),
        "answered": _("Answered"),
        "closed": _("Closed"),
    }[state]


@member.get("/me/complaints/new")
def new_complaint() -> Page:
    if customer() is None:
        return _to_sign_in()
    return _form({"kind": "", "text": "", "key": secrets.token_hex(KEY_BYTES)}, {})


@member.post("/me/complaints/new")
def complain() -> Page:
    signed_in = customer()
    if signed_in is None:
        return redirect(url_for("member.sign_in", next=url_for("member.new_complaint")), 303)
    typed = {name: request.form.get(name, "") for name in ("kind", "text", "key", "claim", "code")}
    errors: dict[str, str] = {}
    if typed["kind"] not in set(Kind):
        errors["kind"] = _("Please choose what it is about.")
    picture = _picture(errors)
    package = _package(typed, errors, signed_in.id)
    if not errors:
        deployment().limits.complaint(signed_in.number)
        deployment().limits.complaint_address(remote_address())
        said = Said(Kind(typed["kind"]), typed["text"], package, picture)
        key = typed["key"] or secrets.token_hex(KEY_BYTES)
        try:
            number = actions.complain(deployment(), signed_in.number, said, key=key)
        except EmptyText as problem:
            errors["text"] = in_words(problem)
        else:
            return redirect(url_for("member.complaint", number=number), 303)
    return _form(typed, errors), 422


def _to_sign_in() -> Page:
    target = request.full_path if request.query_string else request.path
    return redirect(url_for("member.sign_in", next=request.script_root + target))


def _picture(errors: dict[str, str]) -> Ready | None:
    sent = request.files.get("picture")
    if sent is None or not sent.filename:
        return None
    with sent.stream:
        file = sent.read(UPLOAD_BYTES_MAX + 1)
    try:
        return pictures.made_ready(file, is_evidence=True)
    except InvalidInput as problem:
        errors["picture"] = in_words(problem)
        return None


def _package(
    typed: dict[str, str], errors: dict[str, str], customer_id: int
) -> tuple[int, int] | None:
    """Which package it is about: one whose code she has scanned, or one of those she claimed."""
    which = typed["claim"]
    if typed["code"]:
        try:
            code = _code(typed["code"], customer_id)
        except UnknownCode as problem:
            errors["code"], typed["code"] = in_words(problem), ""
            return None
        return code.batch_id, code.index
    if which.isascii() and which.isdigit() and len(which) <= _WHICH_DIGITS_MAX:
        with deployment().db.read() as tx:
            claim = own_claim(tx, int(which), customer_id)
        return claim.batch_id, claim.index
    if which:
        errors["claim"] = _("Please choose one of these.")
    return None


def _code(text: str, customer_id: int) -> Code:
    address = remote_address()
    return check_code(deployment(), text, customer=customer_id, address=address)[0]


def _form(typed: dict[str, str], errors: dict[str, str]) -> str:
    signed_in = customer()
    assert signed_in is not None  # the views have looked
    text = typed.get("code", request.args.get("code", "")).strip()
    product_name, code, offered = None, None, []
    if text:
        try:
            code, batch = check_code(
                deployment(), text, customer=signed_in.id, address=remote_address()
            )
            product_name = batch.product_name
        except UnknownCode as problem:
            errors = {**errors, "code": in_words(problem)}
    if code is None:
        with deployment().db.read() as tx:
            offered = report.packages_of(tx, signed_in.id)
    return render_template(
        "complain.html",
        typed={**typed, "code": code.text if code else ""},
        shown_code=code.grouped if code else None,
        errors=errors,
        kinds=kinds(),
        product_name=product_name,
        offered=offered,
        text_length=TEXT_LENGTH_MAX,
        photo_bytes=UPLOAD_BYTES_MAX,
        too_large=in_words(PictureTooLarge()),
    )


@member.get("/me/complaints")
def complaints() -> Page:
    signed_in = customer()
    if signed_in is None:
        return _to_sign_in()
    behind = request.args.get("after", "")
    is_number = behind.isascii() and behind.isdigit() and len(behind) <= _WHICH_DIGITS_MAX
    with deployment().db.read() as tx:
        found = report.of_customer(tx, signed_in.id, after=int(behind) if is_number else None)
    return render_template("complaints.html", listed=found, **shown(found))


@member.get(f"/me/complaints/<{_NUMBER}:number>")
def complaint(number: int) -> Page:
    if customer() is None:
        return _to_sign_in()
    return _page(number)


@member.post(f"/me/complaints/<{_NUMBER}:number>")
def write_back(number: int) -> Page:
    signed_in = customer()
    here = url_for("member.complaint", number=number)
    if signed_in is None:
        return redirect(url_for("member.sign_in", next=here), 303)
    deployment().limits.complaint(signed_in.number)
    deployment().limits.complaint_address(remote_address())
    text = request.form.get("text", "")
    try:
        actions.write_back(deployment(), number, signed_in.number, text)
    except (EmptyText, NoReplyNow) as problem:
        return _page(number, typed=text, error=in_words(problem)), problem.status
    return redirect(here, 303)


def _page(number: int, typed: str = "", error: str | None = None) -> str:
    signed_in = customer()
    assert signed_in is not None  # the views have looked
    with deployment().db.read() as tx:
        found = report.own_complaint(tx, deployment().keys, number, signed_in.id)
    return render_template(
        "complaint.html",
        page=found,
        complaint=found.complaint,
        kinds=kinds(),
        standing=standing,
        may_reply=found.complaint.is_open_to_customer(now()),
        typed=typed,
        error=error,
        text_length=TEXT_LENGTH_MAX,
    )


def shown(found: Lines) -> dict[str, object]:
    """What her own page says of her complaints."""
    return {"complaints": found, "complaint_kinds": kinds(), "standing": standing}
