"""Share links: a signed token that says who shares which campaign, and whom to credit.

A token is one 16-byte record, encrypted so that nobody reads customer numbers or volumes out of
an address, and signed. Nothing is stored until it is opened.

    visitor 8 | customer 4 | campaign 2 | hop 1 | channel 1      -> AES-256, one block
    base64 of the block (22 characters) . base64 of a 10-byte tag (14)   = 37 characters
"""

import struct
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import IntEnum

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from referral.crypto import KeyRing, TokenSigner, decode_base64, encode_base64

TAG_BYTES = 10
TOKEN_LENGTH = 37
HOP_MAX = 255
"""Hops beyond this are counted as this many; tracing itself has no depth limit."""
VISITOR_END = 1 << 63
"""One past the largest id of a visitor: it fits a signed column."""
TOUCHES_MAX = 8
"""How many campaigns one browser's cookie remembers; the oldest go first."""

_LINK = struct.Struct(">QIHBB")
_VISITOR = struct.Struct(">Q")
_TIME = struct.Struct(">I")


class Channel(IntEnum):
    """Where a link was put by the person sharing it. Numbers are in tokens: never reuse one."""

    unknown = 0
    address = 1
    """Forwarded from the browser's own menu, out of the address bar."""
    sheet = 2
    copy = 3
    poster = 4
    qr = 5
    wechat = 6
    moments = 7
    qq = 8
    weibo = 9
    whatsapp = 10
    telegram = 11
    line = 12
    facebook = 13
    x = 14
    staff = 15

    @classmethod
    def named(cls, name: str | None) -> "Channel":
        """The channel of that name; `unknown` for any other."""
        return cls.__members__.get(name or "", cls.unknown)


@dataclass(frozen=True)
class Link:
    """What a share link carries.

    `visitor` shares; `customer` is the nearest customer up the path when the link was made (None
    when there is none); `hop` is how many forwards lie between the first sharer and `visitor`.
    """

    campaign: int
    visitor: int
    customer: int | None = None
    hop: int = 0
    channel: Channel = Channel.unknown

    def through(self, channel: Channel) -> "Link":
        return replace(self, channel=channel)

    def pack(self) -> bytes:
        return _LINK.pack(
            self.visitor,
            self.customer or 0,
            self.campaign,
            min(self.hop, HOP_MAX),
            self.channel,
        )

    @classmethod
    def unpack(cls, data: bytes) -> "Link":
        visitor, customer, campaign, hop, channel = _LINK.unpack(data)
        known = channel if channel in set(Channel) else Channel.unknown
        return cls(campaign, visitor, customer or None, hop, Channel(known))


@dataclass(frozen=True)
class Touch:
    """A visitor's first opening of somebody's link in one campaign."""

    link: Link
    at: datetime


@dataclass(frozen=True)
class VisitorCookie:
    """One browser: its visitor and how it was first reached, per campaign.

    The touches travel in the cookie so that a claim made seconds after an opening credits the
    right person whether or not the opening has reached the database.
    """

    visitor: int
    touches: tuple[Touch, ...] = ()

    def touch(self, campaign: int) -> Touch | None:
        return next((touch for touch in self.touches if touch.link.campaign == campaign), None)

    def touched(self, link: Link, at: datetime, window: timedelta) -> "VisitorCookie":
        """With this opening remembered, unless the campaign has touched this browser before.

        A touch that leads to no customer gives way to the first one that does, and one that is
        older than the campaign's `window` to a new one.
        """
        before = self.touch(link.campaign)
        if before and at - before.at <= window and (before.link.customer or not link.customer):
            return self
        others = [touch for touch in self.touches if touch is not before]
        return replace(self, touches=(*others, Touch(link, at))[-TOUCHES_MAX:])


class LinkCodec:
    """Makes and reads share-link tokens and visitor cookies."""

    def __init__(self, keys: KeyRing) -> None:
        self._signer = TokenSigner(keys, "share-link", tag_bytes=TAG_BYTES)
        self._cookies = TokenSigner(keys, "visitor")
        # A single block per record, each under an authenticated token: ECB is that block cipher.
        self._ciphers = {
            key_id: Cipher(algorithms.AES(keys.derive("share-link.cipher", key_id)), modes.ECB())  # noqa: S305
            for key_id in keys.key_ids
        }
        self._newest = keys.newest

    def token(self, link: Link) -> str:
        return self._signer.sign(self._hidden(link))

    def read(self, token: str) -> Link | None:
        """The link in a token, or None for one that is cut, altered or foreign."""
        signed = self._signer.unsign(token)
        if signed is None:
            return None
        return self._shown(*signed)

    def cookie(self, cookie: VisitorCookie) -> str:
        parts = [_VISITOR.pack(cookie.visitor)]
        for touch in cookie.touches:
            parts += [self._hidden(touch.link), _TIME.pack(int(touch.at.timestamp()))]
        return self._cookies.sign(b"".join(parts))

    def read_cookie(self, text: str | None) -> VisitorCookie | None:
        """The cookie, or None for none and for one of another installation."""
        signed = self._cookies.unsign(text) if text else None
        if signed is None:
            return None
        payload, key_id = signed
        touches = []
        step = _LINK.size + _TIME.size
        for start in range(_VISITOR.size, len(payload), step):
            (seconds,) = _TIME.unpack_from(payload, start + _LINK.size)
            link = self._shown(payload[start : start + _LINK.size], key_id)
            touches.append(Touch(link, datetime.fromtimestamp(seconds, UTC)))
        return VisitorCookie(_VISITOR.unpack_from(payload)[0], tuple(touches))

    def _hidden(self, link: Link) -> bytes:
        """Encrypted: a customer's number in an address or a cookie is nobody's business."""
        return self._ciphers[self._newest].encryptor().update(link.pack())

    def _shown(self, block: bytes, key_id: str) -> Link:
        return Link.unpack(self._ciphers[key_id].decryptor().update(block))


def visitor_name(visitor: int) -> str:
    """A visitor's id as the opaque string that the API shows."""
    return encode_base64(_VISITOR.pack(visitor)).decode()


def visitor_id(name: str) -> int:
    """The id behind `visitor_name`. Raises `ValueError`."""
    data = decode_base64(name.encode())
    if len(data) != _VISITOR.size:
        raise ValueError("not a visitor's id")
    number = int(_VISITOR.unpack(data)[0])
    if number >= VISITOR_END:
        raise ValueError("not a visitor's id")
    return number


@dataclass(frozen=True)
class Arrival:
    """A reader at a share link: the cookie to keep and the link that is his own from now on."""

    cookie: VisitorCookie
    own: Link
    is_own: bool
    """He opened his own link (or another of his browsers' links); nothing is learned from it."""


def arrive(
    cookie: VisitorCookie,
    link: Link,
    customer: int | None,
    now: datetime,
    window: timedelta = timedelta.max,
) -> Arrival:
    """What opening `link` means for a reader who is `customer` (None when not signed in).

    `window` is how long the link's campaign lets a touch count.
    """
    is_own = link.visitor == cookie.visitor or (customer is not None and link.customer == customer)
    if not is_own:
        cookie = cookie.touched(link, now, window)
    return Arrival(cookie, own_link(cookie, link.campaign, customer), is_own)


def own_link(cookie: VisitorCookie, campaign: int, customer: int | None) -> Link:
    """The link a browser shares in a campaign: one hop below whoever brought it in, or a first."""
    touch = cookie.touch(campaign)
    if touch is None:
        return Link(campaign, cookie.visitor, customer, 0, Channel.address)
    return Link(
        campaign,
        cookie.visitor,
        customer or touch.link.customer,
        min(touch.link.hop + 1, HOP_MAX),
        Channel.address,
    )
