"""Who is asking: the deployment, the reader's browser and the customer signed in on it."""

from datetime import datetime, timedelta
from typing import cast

from flask import Response, current_app, g, request, session

from referral import machines, people
from referral.deployment import Deployment
from referral.errors import Unavailable
from referral.links import VisitorCookie
from referral.people import new_visitor_id
from referral.reports import customers

VISITOR_COOKIE = "referral_visitor"
VISITOR_COOKIE_LIFETIME = timedelta(days=400)
"""As long as browsers let a cookie live."""
LATELY = timedelta(minutes=30)
"""How long after signing in a customer may add another way to sign in."""


def deployment() -> Deployment:
    return cast(Deployment, current_app.extensions["referral"])


def now() -> datetime:
    return deployment().clock.now()


def remote_address() -> str:
    """The address limits are counted by; `TRUSTED_PROXIES` decides whose word is taken."""
    return request.remote_addr or "unknown"


def region() -> str | None:
    """Where this request comes from, coarsely; None when that is not known."""
    if "region" not in g:
        g.region = deployment().places.region(remote_address())
    return cast(str | None, g.region)


def machine() -> str | None:
    """Why this request does not come from a person's browser; None when it seems to."""
    if "machine" not in g:
        g.machine = machines.machine_reason(request.method, request.headers)
    return cast(str | None, g.machine)


def in_wechat() -> bool:
    """Whether this is WeChat's own browser, and the brand has an account there to use with it."""
    return is_wechat(request.headers.get("User-Agent", ""), deployment())


def is_wechat(agent: str, opened: Deployment) -> bool:
    # WeCom calls itself both, and knows nothing of official accounts.
    is_there = "MicroMessenger" in agent and "wxwork" not in agent
    return is_there and opened.wechat is not None


def visitor() -> VisitorCookie:
    """This browser: what its cookie says, or a new visitor. Another installation's is ignored."""
    if "visitor" not in g:
        known = deployment().links.read_cookie(request.cookies.get(VISITOR_COOKIE))
        g.visitor = known or VisitorCookie(new_visitor_id())
        g.visitor_to_set = known is None
    return cast(VisitorCookie, g.visitor)


def has_visitor_cookie() -> bool:
    """Whether this browser has been here before, and keeps cookies."""
    visitor()
    return not g.visitor_to_set


def keep_visitor(cookie: VisitorCookie) -> None:
    """Set the cookie with the answer, if it says anything new."""
    if cookie != visitor():
        g.visitor = cookie
        g.visitor_to_set = True


def set_visitor_cookie(response: Response) -> Response:
    # Whoever asked for a one-time code has to come back as the same visitor.
    if g.get("visitor_to_set") and (machine() is None or "signing_in" in session):
        settings = deployment().config
        response.set_cookie(
            VISITOR_COOKIE,
            deployment().links.cookie(visitor()),
            max_age=VISITOR_COOKIE_LIFETIME,
            httponly=True,
            samesite="Lax",
            secure=settings.is_https,
        )
    return response


class SignedInCustomer:
    """The customer of this session; what the page asks for is read when it does."""

    def __init__(self, number: int) -> None:
        self._number = number

    @property
    def number(self) -> int:
        """The one of the session, without asking who that is now: for whoever only counts by it, or
        hands it on to an action, which finds out."""
        return self._number

    @property
    def id(self) -> int:
        """Who that is now: the one of this session may have been merged into another.

        While the database is away it is the one of the session. Whoever writes holds the row
        first, and so finds out who stands for it.
        """
        known = cast(dict[int, int], g.setdefault("stands_for", {}))
        if self._number not in known:
            try:
                with deployment().db.read() as tx:
                    known.update(people.current(tx, [self._number]))
            except Unavailable:
                return self._number
        return known[self._number]

    @property
    def name(self) -> str | None:
        """None also while the database is away."""
        if "customer_name" not in g:
            try:
                with deployment().db.read() as tx:
                    g.customer_name = customers.name_of(tx, deployment().keys, self.id)
            except Unavailable:
                return None
        return cast(str | None, g.customer_name)


def customer() -> SignedInCustomer | None:
    """Who is signed in here."""
    customer_id = session.get("customer")
    return SignedInCustomer(customer_id) if isinstance(customer_id, int) else None


def signed_in_id() -> int | None:
    """The id of who is signed in here."""
    signed_in = customer()
    return signed_in.id if signed_in else None


def signed_in_lately() -> bool:
    """Whether whoever is signed in here has proved it so lately that what she signs in with may be
    changed: on a phone that is borrowed or left behind, somebody else may be using her page."""
    at = session.get("at")
    return isinstance(at, int) and now().timestamp() - at < LATELY.total_seconds()


def sign_in_session(customer_id: int, visitor_id: int) -> None:
    """Begin a customer's session; what the browser was before is not carried over."""
    session.clear()
    session.permanent = True
    session["customer"] = customer_id
    session["at"] = int(now().timestamp())
    # Whoever brought somebody else in on this phone did not bring this customer in.
    is_same = visitor_id == visitor().visitor
    keep_visitor(VisitorCookie(visitor_id, visitor().touches if is_same else ()))
