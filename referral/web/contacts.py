"""Adding a phone number or an e-mail address to a customer's page, with a one-time code to it; and
putting two pages together that are one person's.

Two things keep somebody else's page safe: whoever adds has signed in lately, and has the code that
went to what is added. Whose that is is looked at only then; the answers before are the same for
all numbers and addresses but her own. If it has a page of its own, that is hers as well, and she is
asked whether the two are to become one.
"""

from datetime import timedelta
from typing import Any

from flask import redirect, render_template, request, session, url_for
from flask_babel import gettext as _

from referral import actions, people
from referral.errors import Problem, TooMany
from referral.people import Contact, IdentityKind
from referral.reports import merging
from referral.senders import NotSent
from referral.web import errors
from referral.web.context import (
    customer,
    deployment,
    in_wechat,
    now,
    remote_address,
    signed_in_id,
    signed_in_lately,
    visitor,
)
from referral.web.language import in_words
from referral.web.member import (
    Page,
    allow_wechat_sign_in,
    ask_for_code,
    code_message,
    member,
    sealed,
    unsealed,
)

JOIN_TIME = timedelta(minutes=10)
"""How long after the code two pages may be put together."""


@member.get("/me/contact")
def contact() -> Page:
    """Where she writes what is to be added; before that, where she shows that it is she."""
    signed_in = customer()
    if signed_in is None:
        return redirect(url_for("member.sign_in", next=url_for("member.contact")))
    return _contact_page("", None, joins=request.args.get("join") == "1")


@member.post("/me/contact/confirm")
def confirm() -> Page:
    """Send a code to what she is known by already; with it she signs in once more."""
    signed_in = customer()
    if signed_in is None:
        return redirect(url_for("member.sign_in", next=url_for("member.contact")), 303)
    known = _known_contacts(signed_in.id)
    if not known:
        return redirect(url_for("member.contact"), 303)
    try:
        code = actions.request_sign_in_code(
            deployment(), known[0], remote_address(), visitor().visitor, code_message
        )
    except (TooMany, NotSent) as problem:
        return _refused("", problem)
    return ask_for_code(known[0], code, url_for("member.contact"))


@member.post("/me/contact")
def send_contact_code() -> Page:
    signed_in = customer()
    if signed_in is None or not signed_in_lately():
        return redirect(url_for("member.contact"), 303)
    typed, joins = request.form.get("contact", ""), request.form.get("join") == "1"
    try:
        wanted = people.contact(typed)
        if not joins and any(known.kind is wanted.kind for known in _known_contacts(signed_in.id)):
            raise people.ContactKept()
        code = actions.request_sign_in_code(
            deployment(),
            wanted,
            remote_address(),
            visitor().visitor,
            _message,
            owner=signed_in.id,
        )
    except (people.BadContact, people.ContactKept, TooMany, NotSent) as problem:
        return _refused(typed, problem, joins=joins)
    session["adding"] = {**sealed(wanted), "customer": signed_in.id, "joins": joins}
    session["demo_code"] = code
    return redirect(url_for("member.enter_contact_code"), 303)


@member.get("/me/contact/code")
def enter_contact_code() -> Page:
    adding = _adding()
    if adding is None:
        return redirect(url_for("member.contact"))
    return _code_page(adding)


@member.post("/me/contact/code")
def check_contact_code() -> Page:
    adding = _adding()
    if adding is None:
        return redirect(url_for("member.contact"), 303)
    wanted, limits = unsealed(adding), deployment().limits
    try:
        tried = limits.sign_in_address(remote_address())
        actions.add_contact(
            deployment(),
            adding["customer"],
            wanted,
            request.form.get("code", ""),
            visitor().visitor,
        )
    except (people.WrongSignInCode, people.SignInCodeSpent, TooMany) as problem:
        page = _code_page(adding, in_words(problem))
        return page, problem.status, errors.wait(problem)
    except people.ContactTaken:
        limits.give_back(tried)
        _forget()
        at = int(now().timestamp())
        session["joining"] = {**sealed(wanted), "customer": adding["customer"], "at": at}
        return redirect(url_for("member.join"), 303)
    except people.ContactKept as problem:
        limits.give_back(tried)
        _forget()
        if adding.get("joins"):
            said = _("There is no other page under this number or address.")
            return _contact_page("", said, joins=True), 404
        return _refused("", problem)
    limits.give_back(tried)
    _forget()
    session["added"] = wanted.kind
    return redirect(url_for("member.me", _anchor="ways-title"), 303)


@member.get("/me/contact/join")
def join() -> Page:
    """Where she sees what two pages have that are both hers, before they become one."""
    joining = _joining()
    if joining is None:
        return redirect(url_for("member.contact"))
    with deployment().db.read() as tx:
        owner = people.find_customer(tx, deployment().keys, unsealed(joining))
        found = owner and merging.preview(tx, deployment().keys, joining["customer"], owner)
    if not found:
        return redirect(url_for("member.me"))
    is_kept = found.kept.id == joining["customer"]
    here, there = (found.kept, found.gone) if is_kept else (found.gone, found.kept)
    return render_template("join.html", here=here, there=there, brought_in=found.brought_in)


@member.post("/me/contact/join")
def join_both() -> Page:
    joining = _joining()
    if joining is None:
        return redirect(url_for("member.me"), 303)
    merged = actions.join_pages(deployment(), joining["customer"], unsealed(joining))
    session.pop("joining", None)
    if merged is not None:
        session["customer"] = merged.kept
        session["added"] = "page"
    return redirect(url_for("member.me"), 303)


def _joining() -> dict[str, Any] | None:
    """What was shown to be hers as well, if that was lately and by whoever is signed in here."""
    joining: dict[str, Any] | None = session.get("joining")
    if joining is None or not signed_in_lately() or joining["customer"] != signed_in_id():
        return None
    return joining if now().timestamp() - joining["at"] < JOIN_TIME.total_seconds() else None


def _adding() -> dict[str, Any] | None:
    """What is being added, if that was begun by whoever is signed in here."""
    adding: dict[str, Any] | None = session.get("adding")
    return adding if adding and adding["customer"] == signed_in_id() else None


def _forget() -> None:
    session.pop("adding", None)
    session.pop("demo_code", None)


def _known_contacts(customer_id: int) -> list[Contact]:
    """What she can be sent a code to, a phone first."""
    with deployment().db.read() as tx:
        known = people.identities_of(tx, deployment().keys, customer_id)
    contacts = [identity for identity in known if identity.kind in people.CONTACTS]
    return sorted(contacts, key=lambda each: each.kind is not IdentityKind.phone)


def _contact_page(typed: str, error: str | None, *, joins: bool = False) -> str:
    known = _known_contacts(signed_in_id() or 0)
    if in_wechat():
        allow_wechat_sign_in()
    return render_template(
        "contact.html",
        joins=joins,
        missing={
            kind.value for kind in people.CONTACTS - {each.kind for each in known if not joins}
        },
        known=known[0].masked if known else None,
        is_confirmed=signed_in_lately(),
        offers_wechat=in_wechat(),
        contact=typed[:254],
        error=error,
    )


def _refused(typed: str, problem: Problem, *, joins: bool = False) -> Page:
    page = _contact_page(typed, in_words(problem), joins=joins)
    return page, problem.status, errors.wait(problem)


def _code_page(adding: dict[str, Any], error: str | None = None) -> str:
    return render_template(
        "enter_code.html",
        contact_masked=unsealed(adding).masked,
        error=error,
        action=url_for("member.check_contact_code"),
        again=url_for("member.contact"),
        demo_code=session.get("demo_code"),
        attempts_left=None,
    )


def _message(code: str) -> str:
    return _(
        "%(code)s adds this number or address to a customer's page at %(brand)s, and with it the "
        "page you have there, if you have one. It is good for 10 minutes. Tell it to nobody: "
        "whoever has it can take your page.",
        code=code,
        brand=deployment().config.brand,
    )
