"""Signing in and out."""

from typing import Any
from urllib.parse import urlsplit

from flask import Blueprint, redirect, render_template, request, session, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from referral import actions, people
from referral.errors import TooMany
from referral.senders import NotSent
from referral.web import errors
from referral.web.context import (
    customer,
    deployment,
    in_wechat,
    remote_address,
    sign_in_session,
    visitor,
)
from referral.web.language import in_words
from referral.web.security import allow, local_path
from referral.web.signed_in import note as note_signed_in

member = Blueprint("member", __name__)

Page = str | tuple[str, int] | tuple[str, int, dict[str, str]] | Response


@member.get("/sign-in")
def sign_in() -> Page:
    target = next_page(request.args.get("next"))
    if customer() is not None:
        return redirect(target)
    return sign_in_page("", target)


@member.post("/sign-in")
def send_code() -> Page:
    typed, target = request.form.get("contact", ""), next_page(request.form.get("next"))
    if not request.form.get("agree"):
        return sign_in_page(typed, target, not_agreed()), 422
    try:
        contact = people.contact(typed)
        code = actions.request_sign_in_code(
            deployment(), contact, remote_address(), visitor().visitor, code_message
        )
    except (people.BadContact, TooMany, NotSent) as problem:
        page = sign_in_page(typed, target, in_words(problem))
        return page, problem.status, errors.wait(problem)
    return ask_for_code(contact, code, target)


@member.get("/sign-in/code")
def enter_code() -> Page:
    signing_in = session.get("signing_in")
    if signing_in is None:
        return redirect(url_for(".sign_in"))
    return _code_page(signing_in)


@member.post("/sign-in/code")
def check_code() -> Page:
    signing_in = session.get("signing_in")
    if signing_in is None:
        return redirect(url_for(".sign_in"), 303)
    typed = request.form.get("code", "")
    limits = deployment().limits
    try:
        tried = limits.sign_in_address(remote_address())
        signed_in = actions.sign_in(
            deployment(), unsealed(signing_in), typed, visitor().visitor, remote_address()
        )
    except (people.WrongSignInCode, people.SignInCodeSpent, TooMany) as problem:
        page = _code_page(signing_in, in_words(problem))
        return page, problem.status, errors.wait(problem)
    limits.give_back(tried)
    target = next_page(signing_in["next"])
    note_signed_in(signed_in, target)
    sign_in_session(signed_in.customer, signed_in.visitor)
    return redirect(target, 303)


@member.post("/sign-out")
def sign_out() -> Page:
    session.clear()
    return redirect(url_for("pages.home"), 303)


def ask_for_code(contact: people.Contact, code: str | None, target: str) -> Response:
    """On to where the code that was sent is entered, and from there to `target`."""
    session["signing_in"] = {**sealed(contact), "next": target}
    session["demo_code"] = code
    return redirect(url_for("member.enter_code"), 303)


def next_page(target: str | None) -> str:
    """Where to go after signing in: a page of ours, and the customer's own unless one is named."""
    return local_path(target, url_for("member.me"))


def not_agreed() -> str:
    return _("Please agree to the privacy notice first; without it we may not keep anything.")


def sign_in_page(
    typed: str, target: str, error: str | None = None, wechat_error: str | None = None
) -> str:
    if in_wechat():
        allow_wechat_sign_in()
    return render_template(
        "sign_in.html",
        contact=typed[:254],
        agreed=bool(request.form.get("agree")),
        error=error,
        wechat_error=wechat_error,
        offers_wechat=in_wechat(),
        next=target,
    )


def allow_wechat_sign_in() -> None:
    """A form whose answer leads to WeChat's own page is one that is sent there."""
    account = deployment().wechat
    if account is not None:
        page = urlsplit(account.settings.open)
        allow("form-action", f"{page.scheme}://{page.netloc}")


def _code_page(signing_in: dict[str, Any], error: str | None = None) -> str:
    return render_template(
        "enter_code.html",
        contact_masked=unsealed(signing_in).masked,
        error=error,
        action=url_for("member.enter_code"),
        again=url_for("member.sign_in", next=signing_in["next"]),
        demo_code=session.get("demo_code"),
        attempts_left=None,
    )


def sealed(contact: people.Contact) -> dict[str, str]:
    """A contact as the session keeps it: its cookie is signed, not secret."""
    return {"kind": contact.kind, "value": deployment().keys.encrypt(contact.value)}


def unsealed(kept: dict[str, Any]) -> people.Contact:
    value = deployment().keys.decrypt(kept["value"])
    return people.Contact(people.IdentityKind(kept["kind"]), value)


def code_message(code: str) -> str:
    return _(
        "%(code)s is your code for %(brand)s. It is good for 10 minutes. Tell it to nobody.",
        code=code,
        brand=deployment().config.brand,
    )
