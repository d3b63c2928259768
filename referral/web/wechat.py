"""Inside WeChat: what a page needs to set its card, and signing in with WeChat."""

import secrets
from datetime import UTC, datetime, timedelta
from hmac import compare_digest
from typing import Any
from urllib.parse import urlsplit

from flask import Blueprint, Response, redirect, request, session, url_for
from werkzeug.wrappers import Response as AnyResponse

from referral import actions, people
from referral.errors import InvalidInput, NotFound, Problem, TooMany
from referral.web import errors
from referral.web.context import (
    customer,
    deployment,
    now,
    remote_address,
    sign_in_session,
    signed_in_id,
    signed_in_lately,
    visitor,
)
from referral.web.language import in_words
from referral.web.member import next_page, not_agreed, sign_in_page
from referral.web.security import is_same_site
from referral.web.signed_in import note as note_signed_in
from referral.wechat import OfficialAccount, WechatSignInSpent

ADDRESS_LENGTH_MAX = 2000
SIGNATURE_SECONDS = 60
"""How long a browser may use a signature again: less than a ticket is good after it was due."""
SIGN_IN_LIFETIME = timedelta(minutes=10)
"""From the press on the button to the return from WeChat."""

_DEFAULT_PORTS = {"http": ":80", "https": ":443"}

wechat = Blueprint("wechat", __name__)

Page = AnyResponse | tuple[str, int] | tuple[str, int, dict[str, str]]


def _account() -> OfficialAccount:
    """Raises `NotFound` where the brand has none."""
    account = deployment().wechat
    if account is None:
        raise NotFound()
    return account


@wechat.get("/wechat/signature")
def signature() -> AnyResponse | tuple[dict[str, Any], int, dict[str, str]]:
    """What WeChat's script asks of a page of ours; 204 while there is nothing to sign with."""
    account, address = _account(), request.args.get("url", "")
    if not is_same_site() or not _is_ours(address):
        raise InvalidInput()
    made = account.signature(address)
    if made is None:
        return Response(status=204, headers={"Cache-Control": "no-store"})
    signed = {
        "appId": made.app_id,
        "timestamp": made.timestamp,
        "nonceStr": made.nonce,
        "signature": made.signature,
    }
    return signed, 200, {"Cache-Control": f"private, max-age={SIGNATURE_SECONDS}"}


def _is_ours(address: str) -> bool:
    """Whether it is the address of a page here, as a browser writes it."""
    parts = urlsplit(deployment().config.base_url)
    host = parts.netloc.lower().removesuffix(_DEFAULT_PORTS[parts.scheme])
    base = f"{parts.scheme}://{host}"
    return (
        address.startswith((f"{base}/", f"{base}?"))
        and len(address) <= ADDRESS_LENGTH_MAX
        and address.isascii()
        and address.isprintable()
        and " " not in address
    )


@wechat.get("/MP_verify_<proof>.txt")
def domain_proof(proof: str) -> Response:
    """The file that shows WeChat that this domain is the brand's: what it is named is in it."""
    if _account().settings.proof != f"MP_verify_{proof}.txt":
        raise NotFound()
    return Response(proof, mimetype="text/plain")


# Signing in


@wechat.post("/sign-in/wechat")
def start() -> Page:
    account, target = _account(), next_page(request.form.get("next"))
    reader = customer()
    if reader is not None and not signed_in_lately() and _has_contact(reader.id):
        return redirect(url_for("member.contact"), 303)  # she confirms first that she is herself
    if reader is None and not request.form.get("agree"):
        return sign_in_page(request.form.get("contact", ""), target, not_agreed()), 422
    state = secrets.token_hex(16)
    session["wechat"] = {
        "state": state,
        "next": target,
        "at": int(now().timestamp()),
        "customer": signed_in_id(),
        "adds": signed_in_lately(),
    }
    return redirect(account.sign_in_address(deployment().address(url_for(".back")), state), 303)


def _has_contact(customer_id: int) -> bool:
    """Whether she can be sent a code."""
    with deployment().db.read() as tx:
        return bool(people.CONTACTS & people.kinds_of(tx, customer_id))


@wechat.get("/sign-in/wechat/back")
def back() -> Page:
    """Where WeChat sends the reader on to, with a code for whoever he is there."""
    account, started = _account(), session.pop("wechat", None)
    if started is None and customer() is not None:
        return redirect(url_for("member.me"))  # the way back through the browser's history
    target = next_page(started["next"] if started else None)
    limits = deployment().limits
    try:
        started, code = _answer_to(started)
        tried = limits.sign_in_address(remote_address())
    except (WechatSignInSpent, TooMany) as problem:
        return _failed(problem, target)
    try:
        signed_in = actions.sign_in_with_wechat(
            deployment(),
            account.person(code),
            visitor().visitor,
            signed_in_id(),
            may_add=started.get("adds", False),
            address=remote_address(),
        )
    except Problem as problem:
        if not isinstance(problem, WechatSignInSpent):  # not a guess at somebody's code
            limits.give_back(tried)
        return _failed(problem, target)
    limits.give_back(tried)
    note_signed_in(signed_in, target)
    sign_in_session(signed_in.customer, signed_in.visitor)
    return redirect(target, 303)


def _answer_to(started: dict[str, Any] | None) -> tuple[dict[str, Any], str]:
    """What this browser began and the code that answers it. Raises `WechatSignInSpent`."""
    state, code = request.args.get("state", ""), request.args.get("code", "")
    if (
        started is None
        or not code  # he said no
        or not compare_digest(started["state"].encode(), state.encode(errors="replace"))
        or now() - datetime.fromtimestamp(started["at"], UTC) > SIGN_IN_LIFETIME
        or started["customer"] != signed_in_id()
    ):
        raise WechatSignInSpent()
    return started, code


def _failed(problem: Problem, target: str) -> Page:
    if customer() is not None:
        return errors.answer(problem)
    page = sign_in_page("", target, wechat_error=in_words(problem))
    return page, problem.status, errors.wait(problem)
