"""Signing in to the console at the brand's own provider (OpenID Connect)."""

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from hmac import compare_digest

from flask import redirect, request, url_for

from referral import actions
from referral.errors import NotFound, Problem
from referral.staff import How
from referral.staff.provider import Begun, Provider, SignInElsewhereFailed
from referral.web.context import deployment, remote_address
from referral.web.staff import steps
from referral.web.staff.auth import signed_in
from referral.web.staff.blueprint import staff
from referral.web.staff.sign_in import Answer, go_on, refused, target_of

KIND = "elsewhere"
LIFETIME = timedelta(minutes=10)
"""From the press on the button to the return."""
CODE_LENGTH_MAX = 4_000


@staff.get("/sign-in/single")
def start_elsewhere() -> Answer:
    target, provider, begun = target_of(request.args.get("next")), _provider(), Begun.new()
    try:
        address = provider.sign_in_address(begun, _back())
    except Problem as problem:
        return refused(problem, target)
    steps.begin(KIND, next=target, **asdict(begun))
    return redirect(address, 303)


@staff.get("/sign-in/single/back")
def back_from_elsewhere() -> Answer:
    """Where the provider sends a member on to, with a code for whoever he is there."""
    provider, kept = _provider(), steps.begun(KIND, LIFETIME)
    steps.end(KIND)
    if kept is None and signed_in() is not None:
        return redirect(url_for("staff.home"))  # the way back through the browser's history
    target = target_of(kept["next"] if kept else None)
    opened, address, email = deployment(), remote_address(), ""
    try:
        opened.limits.staff_sign_in_address(address)
        begun, code = _answer_to(kept, provider)
        person = provider.person(begun, code, _back())
        email = person.email or ""
        ends = datetime.fromtimestamp(kept["at"], UTC) + LIFETIME if kept else None
        assert ends is not None
        member = actions.recognise(opened, person, begun.state, ends)
        if member is None:
            raise SignInElsewhereFailed()
    except Problem as problem:
        if problem.status == SignInElsewhereFailed.status:
            actions.note_failed_sign_in(opened, email, how=How.oidc, address=address)
        return refused(problem, target)
    return go_on(member, How.oidc, target, used_second_factor=person.used_second_factor)


def _answer_to(kept: dict[str, str] | None, provider: Provider) -> tuple[Begun, str]:
    """What this browser began, and the code that answers it. Raises `SignInElsewhereFailed`."""
    given = request.args
    state, code = given.get("state", ""), given.get("code", "")
    if kept is None or not code or len(code) > CODE_LENGTH_MAX:
        raise SignInElsewhereFailed()
    if not compare_digest(kept["state"].encode(), state.encode(errors="replace")):
        raise SignInElsewhereFailed()
    if given.get("iss", provider.issuer) != provider.issuer:  # another provider's answer (RFC 9207)
        raise SignInElsewhereFailed()
    return Begun(kept["state"], kept["nonce"], kept["verifier"]), code


def _provider() -> Provider:
    """Raises `NotFound` where the brand has none."""
    provider = deployment().provider
    if provider is None:
        raise NotFound()
    return provider


def _back() -> str:
    return deployment().address(url_for(".back_from_elsewhere"))
