"""How one-time codes reach people: shown (demo), by SMTP, or by an HTTP hook to an SMS service."""

import json
import smtplib
import sys
import urllib.request
from email.message import EmailMessage
from http.client import HTTPException
from typing import Protocol
from urllib.parse import parse_qs, unquote, urlsplit

from referral.errors import N_, Problem
from referral.people import Contact, IdentityKind

TIMEOUT_SECONDS = 5.0


class NotSent(Problem):
    slug = "code-not-sent"
    status = 503
    title = N_("We could not send the code just now.")
    advice = N_("Please try again in a minute, or use another phone number or e-mail address.")


class Sender(Protocol):
    shows_codes: bool
    """Whether the page itself shows the code: for trying the service out."""

    def send(self, contact: Contact, code: str, text: str, *, brand: str) -> None:
        """Send `text`, which holds the code. Raises `NotSent`."""
        ...


class DemoSender:
    """Prints the code and lets the page show it."""

    shows_codes = True

    def send(self, contact: Contact, code: str, text: str, *, brand: str) -> None:
        print(f"one-time code for {contact.masked}: {code}", file=sys.stderr, flush=True)


class SmtpSender:
    """``smtp://user:password@host:587/?from=hello@brand.example``; ``smtps`` for TLS throughout."""

    shows_codes = False

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._tls = parts.scheme == "smtps"
        self._host = parts.hostname or "localhost"
        self._port = parts.port or (465 if self._tls else 587)
        self._user = unquote(parts.username or "")
        self._password = unquote(parts.password or "")
        self._from = parse_qs(parts.query).get("from", [self._user or "no-reply@localhost"])[0]

    def send(self, contact: Contact, code: str, text: str, *, brand: str) -> None:
        if contact.kind is not IdentityKind.email:
            raise NotSent("This service sends codes by e-mail only.")
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = self._from, contact.value, brand
        message.set_content(text)
        connect = smtplib.SMTP_SSL if self._tls else smtplib.SMTP
        try:
            with connect(self._host, self._port, timeout=TIMEOUT_SECONDS) as server:
                server.ehlo()
                if not self._tls and server.has_extn("starttls"):
                    server.starttls()
                if self._user:
                    server.login(self._user, self._password)
                server.send_message(message)
        except (OSError, smtplib.SMTPException):
            raise NotSent() from None


class HookSender:
    """POSTs ``{"kind", "to", "code", "text"}`` as JSON; any 2xx answer means it was taken."""

    shows_codes = False

    def __init__(self, url: str) -> None:
        self._url = url

    def send(self, contact: Contact, code: str, text: str, *, brand: str) -> None:
        body = {"kind": contact.kind, "to": contact.value, "code": code, "text": text}
        request = urllib.request.Request(  # noqa: S310 - the scheme was checked with the settings
            self._url,
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json", "User-Agent": "referral"},
        )
        try:
            with _OPENER.open(request, timeout=TIMEOUT_SECONDS):
                pass
        except (OSError, HTTPException):
            raise NotSent() from None


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirected POST is repeated as a GET: it would be answered, and nothing would be sent."""

    def redirect_request(self, *_: object) -> None:
        return None


_OPENER = urllib.request.build_opener(_NoRedirects)


def sender_for(setting: str) -> Sender:
    """The sender a checked `Config.sender` names."""
    if setting == "demo":
        return DemoSender()
    if setting.startswith("smtp"):
        return SmtpSender(setting)
    return HookSender(setting)
