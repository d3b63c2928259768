"""The brand's official account at WeChat: the signature its pages need there, and signing in.

What WeChat refuses is logged with its number and nothing else: the addresses that are called hold
the account's secret, and so do the words of a failed connection.
"""

import hashlib
import logging
import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode

from referral import people
from referral.clock import Clock
from referral.config import WechatSettings
from referral.crypto import KeyRing
from referral.db import Database
from referral.errors import N_, Problem
from referral.people import BadContact, Contact, CustomerExists
from referral.wechat.tickets import REST, NewTicket, NotGiven, Tickets

TIMEOUT_SECONDS = 3.0
"""For a connection, and again for an answer. Four calls in a row end before `tickets.ASKING`."""
QUOTA_REST = timedelta(hours=1)
"""How long no ticket is asked for once the day's are used up."""
SCOPE = "snsapi_base"
"""The least there is: who it is, without a name, a picture or a question to the reader."""
SDK = "https://res.wx.qq.com/open/js/jweixin-1.6.0.js"
"""WeChat's own script, which it serves to pages itself."""

TOKEN_SPENT = {40001, 40014, 42001}
"""The access token is not the newest, not one at all, or too old."""
QUOTA_USED_UP = {45009}
CODE_SPENT = {40029, 40163, 42003}
"""The code of a sign-in is not one, was used before, or is too old."""

# At DEBUG it writes down the addresses it calls.
logging.getLogger("urllib3.connectionpool").setLevel(logging.INFO)


class WechatAway(Problem):
    slug = "wechat-away"
    status = 503
    title = N_("Signing in with WeChat does not work just now.")
    advice = N_("Please try again in a minute, or use your phone number or e-mail address.")


class WechatSignInSpent(Problem):
    slug = "wechat-sign-in-spent"
    status = 403
    title = N_("This sign-in with WeChat was not finished, or is over already.")
    advice = N_("Please press the button again.")


class WechatPreviewOnly(Problem):
    slug = "wechat-preview-only"
    status = 403
    title = N_("WeChat shows you a preview of this page only.")
    advice = N_("Please tap “Use full service” at the bottom right, then sign in again.")


class WechatTaken(CustomerExists):
    slug = "wechat-taken"
    title = N_("Your WeChat account belongs to another customer here.")
    advice = N_("To use that one, sign out first and sign in with WeChat then.")


@dataclass(frozen=True)
class Signature:
    """What a page hands to WeChat's script so that it may set what a forward shows."""

    app_id: str
    timestamp: int
    nonce: str
    signature: str


def sign(ticket: str, url: str, nonce: str, timestamp: int) -> str:
    """The signature of a page's address, which has to be without its fragment."""
    signed = {"jsapi_ticket": ticket, "noncestr": nonce, "timestamp": timestamp, "url": url}
    text = "&".join(f"{name}={value}" for name, value in sorted(signed.items()))
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()  # WeChat's choice


class _Refused(Exception):
    """WeChat answered with the number of an error."""

    def __init__(self, code: int) -> None:
        super().__init__(f"error {code}")
        self.code = code


class _NoAnswer(Exception):
    """There was no answer, or one that cannot be read."""


class OfficialAccount:
    def __init__(self, settings: WechatSettings, db: Database, keys: KeyRing, clock: Clock) -> None:
        self.settings = settings
        self._clock = clock
        self._tickets = Tickets(db, keys, clock, settings.app_id, self.new_ticket)

    # Pages

    def signature(self, url: str) -> Signature | None:
        """For the page at `url`; None while there is no ticket. Raises `Unavailable`."""
        ticket = self._tickets.current()
        if ticket is None:
            return None
        nonce, timestamp = secrets.token_hex(8), int(self._clock.now().timestamp())
        signature = sign(ticket, url.partition("#")[0], nonce, timestamp)
        return Signature(self.settings.app_id, timestamp, nonce, signature)

    def new_ticket(self) -> NewTicket:
        """Ask WeChat for a ticket. Raises `NotGiven`."""
        try:
            try:
                return self._ticket(self._access_token())
            except _Refused as refusal:
                if refusal.code not in TOKEN_SPENT:
                    raise
            return self._ticket(self._access_token(renew=True))
        except _Refused as refusal:
            rest = QUOTA_REST if refusal.code in QUOTA_USED_UP else REST
            raise NotGiven(f"WeChat answers with error {refusal.code}", rest) from None
        except _NoAnswer:
            raise NotGiven("WeChat does not answer") from None

    def _access_token(self, *, renew: bool = False) -> str:
        # The stable one: asking for it again ends no other, so it need not be kept.
        given = self._call(
            "POST",
            "/cgi-bin/stable_token",
            json={
                "grant_type": "client_credential",
                "appid": self.settings.app_id,
                "secret": self.settings.secret,
                "force_refresh": renew,
            },
        )
        return _text(given, "access_token")

    def _ticket(self, access_token: str) -> NewTicket:
        asked = {"access_token": access_token, "type": "jsapi"}
        given = self._call("GET", "/cgi-bin/ticket/getticket", params=asked)
        seconds = given.get("expires_in")
        if not isinstance(seconds, int) or not 0 < seconds <= 86_400:
            raise _NoAnswer
        return NewTicket(_text(given, "ticket"), timedelta(seconds=seconds))

    def _call(self, method: str, path: str, **sent: Any) -> dict[str, Any]:
        import requests  # slow to import, and the command line hardly needs it

        try:
            with requests.request(
                method,
                self.settings.api + path,
                timeout=TIMEOUT_SECONDS,
                allow_redirects=False,
                **sent,
            ) as answer:
                return _checked(path, answer)
        except (OSError, ValueError) as error:
            raise _no_answer(path, error) from None

    # Signing in

    def sign_in_address(self, back: str, state: str) -> str:
        """Where a reader is sent to sign in; WeChat sends him on to `back` with a code."""
        with self._oauth(redirect_uri=back, scope=SCOPE) as oauth:
            made, _ = oauth.create_authorization_url(
                f"{self.settings.open}/connect/oauth2/authorize",
                state=state,
                appid=self.settings.app_id,
            )
        # WeChat calls the client's id appid, and compares the order of what it is given.
        address, _, query = made.partition("?")
        given = dict(parse_qsl(query))
        names = ("appid", "redirect_uri", "response_type", "scope", "state")
        ordered = urlencode({name: given[name] for name in names})
        return f"{address}?{ordered}#wechat_redirect"

    def person(self, code: str) -> list[Contact]:
        """Who came back with this code, which is good once.

        Raises `WechatSignInSpent`, `WechatPreviewOnly`, `WechatAway`.
        """
        try:
            given = self._exchanged(code)
        except _Refused as refusal:
            raise (WechatSignInSpent if refusal.code in CODE_SPENT else WechatAway)() from None
        except _NoAnswer:
            raise WechatAway() from None
        if given.get("is_snapshotuser"):
            # A made-up person, another one each time.
            raise WechatPreviewOnly()
        try:
            return people.wechat(_text(given, "openid"), given.get("unionid") or None)
        except (BadContact, TypeError, _NoAnswer):
            raise WechatAway() from None

    def _exchanged(self, code: str) -> dict[str, Any]:
        path = "/sns/oauth2/access_token"

        def check(answer: Any) -> Any:
            _text(_checked(path, answer), "openid")
            return answer

        with self._oauth() as oauth:
            oauth.register_compliance_hook("access_token_response", check)
            try:
                given: dict[str, Any] = oauth.fetch_token(
                    self.settings.api + path,
                    method="GET",
                    grant_type="authorization_code",
                    code=code,
                    redirect_uri=None,
                    allow_redirects=False,
                )
                return given
            except (OSError, ValueError) as error:
                raise _no_answer(path, error) from None

    def _oauth(self, **settings: str) -> Any:
        from authlib.integrations.requests_client import OAuth2Session

        return OAuth2Session(
            self.settings.app_id,
            self.settings.secret,
            token_endpoint_auth_method=_with_secret,
            default_timeout=TIMEOUT_SECONDS,
            **settings,
        )


def _with_secret(
    client: Any, method: str, uri: str, headers: dict[str, str], body: str
) -> tuple[str, dict[str, str], str]:
    """How WeChat wants to be told who asks, instead of one of the ways of OAuth."""
    named = urlencode({"appid": client.client_id, "secret": client.client_secret})
    return f"{uri}&{named}", headers, body


def _checked(path: str, answer: Any) -> dict[str, Any]:
    """The JSON object of an answer. Raises `_Refused` for WeChat's errors, which come as 200."""
    given = answer.json()
    if answer.status_code != 200 or not isinstance(given, dict):
        raise ValueError(f"status {answer.status_code}")
    code = given.get("errcode", 0)
    if code:
        _log(path, errcode=code)
        raise _Refused(code)
    return given


def _no_answer(path: str, error: Exception) -> _NoAnswer:
    _log(path, error=type(error).__name__)
    return _NoAnswer()


def _log(path: str, **said: Any) -> None:
    import structlog  # slow to import as well

    structlog.get_logger().warning("wechat", call=path, **said)


def _text(given: dict[str, Any], name: str) -> str:
    found = given.get(name)
    if not isinstance(found, str) or not found:
        raise _NoAnswer
    return found
