"""Share links: a signed token that says who shares which campaign, and whom to credit.

A token is one 16-byte record, encrypted so that nobody reads customer numbers or volumes out of
an address, and signed. Nothing is stored until it is opened.

    visitor 8 | customer 4 | campaign 2 | hop 1 | channel 1      -> AES-256, one block
    base64 of the block (22 characters) . base64 of a 10-byte tag (14)   = 37 characters
"""

import re
import struct
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import IntEnum, StrEnum

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from referral.crypto import KeyRing, TokenSigner, decode_base64, encode_base64

TAG_BYTES = 10
TOKEN_LENGTH = 37
HOP_MAX = 255
"""Hops beyond this are counted as this many; tracing itself has no depth limit."""
VISITOR_END = 1 << 63
"""One past the largest id of a visitor: it fits a signed column."""
TOUCHES_MAX = 16
"""How many touches one browser's cookie remembers; the oldest go first."""

NEAR_KEYS_MAX = 3
"""Under how many keys, newest first, a genuine token one letter away is looked for."""

_WHOLE = re.compile(r"[\w-]{21}[AQgw]\.[\w-]{13}[AQgw]", re.ASCII)
_BEGINNING = re.compile(r"[\w-]{1,22}|[\w-]{22}\.[\w-]{0,13}", re.ASCII)
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
        return _BY_NAME.get(name or "", cls.unknown)


_BY_NAME = dict(Channel.__members__)  # asking the class makes a new view each time
_CHANNELS = frozenset(Channel)
_BY_NUMBER = {channel.value: channel for channel in Channel}
_UNKNOWN = Channel.unknown
_BYTES = {channel: bytes((channel,)) for channel in Channel}
_VISITOR_BYTE_END = VISITOR_END >> 56
"""The first byte of a visitor's id is below this."""


class LinkFault(StrEnum):
    """Why a link leads nowhere. Only staff are told."""

    missing = "missing"
    """There is no token."""
    cut = "cut"
    """The beginning of a token."""
    altered = "altered"
    """Not what we made: another letter, another case, characters that no token has."""
    foreign = "foreign"
    """Made like a token, with none of our keys: another installation's, a lost key's, invented."""
    expired = "expired"
    """A token of ours whose campaign does not run, or not any more."""


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
        return Link(self.campaign, self.visitor, self.customer, self.hop, channel)

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
        return cls(campaign, visitor, customer or None, hop, _BY_NUMBER.get(channel, _UNKNOWN))


@dataclass(frozen=True)
class Touch:
    """A visitor's opening of somebody's link."""

    link: Link
    at: datetime


@dataclass(frozen=True)
class VisitorCookie:
    """One browser: its visitor and how it was reached, per campaign first and last.

    The touches travel in the cookie so that a claim made seconds after an opening credits the
    right person whether or not the opening has reached the database.
    """

    visitor: int
    touches: tuple[Touch, ...] = ()
    """Of each campaign at most two, the earlier one first; campaigns touched last come last."""

    def touch(self, campaign: int) -> Touch | None:
        """The first one in a campaign."""
        return next((touch for touch in self.touches if touch.link.campaign == campaign), None)

    def touched(self, link: Link, at: datetime, window: timedelta) -> "VisitorCookie":
        """With this opening remembered: as the campaign's first, or as its last so far.

        A first touch that leads to no customer gives way to one that does, and a last touch that
        leads to one does not give way to one that does not; but whatever is older than the
        campaign's `window` gives way.
        """
        new = Touch(link, at)
        if not self.touches:
            return VisitorCookie(self.visitor, (new,))
        before = [touch for touch in self.touches if touch.link.campaign == link.campaign]
        kept = [new]
        if before and _stays_first(before[0], new, window):
            first, last = before[0], before[-1]
            kept = [first, new]
            if _stays_last(last, new, window):
                kept = [first] if last is first else [first, last]
        others = [touch for touch in self.touches if touch not in before]
        return replace(self, touches=(*others, *kept)[-TOUCHES_MAX:])


def _stays_first(first: Touch, new: Touch, window: timedelta) -> bool:
    leads_as_far = first.link.customer is not None or new.link.customer is None
    return leads_as_far and new.at - first.at <= window


def _stays_last(last: Touch, new: Touch, window: timedelta) -> bool:
    leads_further = last.link.customer is not None and new.link.customer is None
    return leads_further and new.at - last.at <= window


class LinkCodec:
    """Makes and reads share-link tokens and visitor cookies."""

    def __init__(self, keys: KeyRing) -> None:
        self._signer = TokenSigner(keys, "share-link", tag_bytes=TAG_BYTES)
        self._cookies = TokenSigner(keys, "visitor")
        self._ciphers = _CiphersOfThread(keys)

    def token(self, link: Link) -> str:
        return self._signer.sign(self._hidden(link))

    def tokens(self, link: Link, channels: Iterable[Channel]) -> dict[Channel, str]:
        """The tokens of one link put through each of these channels; faster than one by one."""
        ways = list(dict.fromkeys(channels))
        begin = link.pack()[:-1]
        hidden = self._ciphers.hide(b"".join([begin + _BYTES[way] for way in ways]))
        size = _LINK.size
        blocks = [hidden[at : at + size] for at in range(0, len(hidden), size)]
        return dict(zip(ways, self._signer.sign_many(blocks), strict=True))

    def read(self, token: str) -> Link | None:
        """The link in a token, or None for one that is cut, altered or foreign."""
        signed = self._signer.unsign(token)
        if signed is None:
            return None
        return self._shown(*signed)

    def fault(self, token: str) -> LinkFault:
        """Why `read` finds no link in a token; `expired` where it does, for then that is why."""
        if not token:
            return LinkFault.missing
        if self.read(token) is not None:
            return LinkFault.expired
        if _WHOLE.fullmatch(token):
            return LinkFault.altered if self._is_altered(token) else LinkFault.foreign
        return LinkFault.cut if _BEGINNING.fullmatch(token) else LinkFault.altered

    def _is_altered(self, token: str) -> bool:
        # No chance makes 36 letters of one case.
        if token in (token.lower(), token.upper()):
            return True
        payload, _, tag = token.partition(".")
        block = decode_base64(payload.encode())
        others = _one_letter_changed(block)
        for key_id in list(self._ciphers.show)[:NEAR_KEYS_MAX]:
            right = self._signer.tag(block, key_id)
            if sum(one != other for one, other in zip(right, tag, strict=True)) == 1:
                return True
            if any(
                self._signer.tag(other, key_id) == tag for other in self._likely(others, key_id)
            ):
                return True
        return False

    def _likely(self, blocks: bytes, key_id: str) -> Iterator[bytes]:
        """Those of many hidden links that say what a link can say: one in thirty by chance.

        Signing takes longer than all else, so only these are worth it.
        """
        shown = self._ciphers.show[key_id](blocks)
        for start in range(0, len(blocks), _LINK.size):
            end = start + _LINK.size
            if shown[end - 1] in _CHANNELS and shown[start] < _VISITOR_BYTE_END:
                yield blocks[start:end]

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
        return self._ciphers.hide(link.pack())

    def _shown(self, block: bytes, key_id: str) -> Link:
        return Link.unpack(self._ciphers.show[key_id](block))


class _CiphersOfThread(threading.local):
    """Kept, because one takes longer to set up than it is used; a thread's own, because one can be
    used by one caller at a time. Only whole blocks go through them, so nothing is left in between.
    """

    def __init__(self, keys: KeyRing) -> None:
        # A single block per record, each under an authenticated token: ECB is that block cipher.
        ciphers = {
            key_id: Cipher(algorithms.AES(keys.derive("share-link.cipher", key_id)), modes.ECB())  # noqa: S305
            for key_id in keys.key_ids
        }
        self.hide = ciphers[keys.newest].encryptor().update
        self.show = {key_id: cipher.decryptor().update for key_id, cipher in ciphers.items()}


def _one_letter_changed(block: bytes) -> bytes:
    """Every block whose base64 differs from this one's in one letter, one after the other."""
    number, bits = int.from_bytes(block), len(block) * 8
    changed = []
    for begin in range(0, bits, 6):
        width = min(6, bits - begin)  # the last letter holds two bits only
        changes = range(1, 1 << width)
        changed += [number ^ (change << (bits - begin - width)) for change in changes]
    return b"".join(each.to_bytes(len(block)) for each in changed)


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
