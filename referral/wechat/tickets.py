"""The ticket that WeChat's page signatures are made with: one for all processes of a deployment.

WeChat gives few of them a day, so the one in use is kept in the database, encrypted. Whoever finds
it due asks for the next one, outside of any transaction; everybody else goes on with what there
is, and nobody waits. A process that dies over it holds the next one up for `ASKING`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from referral.clock import Clock
from referral.crypto import KeyRing, LostKey
from referral.db import Base, Database, insert_new, run

EARLY = timedelta(minutes=5)
"""How long before its end a ticket is due to be replaced."""
ASKING = timedelta(seconds=30)
"""How long one process may take to ask before it is given up: longer than its calls can take."""
REST = timedelta(minutes=1)
"""The least time between two times of asking, and how long WeChat is left alone when it fails."""


class KeptTicket(Base):
    """The ticket of one official account."""

    __tablename__ = "wechat_tickets"

    app_id: Mapped[str] = mapped_column(sa.String(128), primary_key=True)
    ticket_encrypted: Mapped[str | None] = mapped_column(sa.Text)
    good_until: Mapped[datetime]
    ask_from: Mapped[datetime]
    """Nobody asks for another one before."""
    is_asking: Mapped[bool]
    """Somebody is asking right now, and is given up at `ask_from`."""


@dataclass(frozen=True)
class NewTicket:
    text: str
    lifetime: timedelta


class NotGiven(Exception):
    """There is no ticket to be had; whoever knows when it may be asked again says so in `rest`."""

    def __init__(self, words: str, rest: timedelta = REST) -> None:
        super().__init__(words)
        self.rest = rest


@dataclass(frozen=True)
class _Kept:
    """What a process last saw of the row."""

    ticket: str | None
    good_until: datetime
    ask_from: datetime
    is_asking: bool

    def good_at(self, now: datetime) -> str | None:
        return self.ticket if now < self.good_until else None


_READ = sa.select(
    KeptTicket.ticket_encrypted, KeptTicket.good_until, KeptTicket.ask_from, KeptTicket.is_asking
).where(KeptTicket.app_id == sa.bindparam("app"))
# Of many who find it due at the same moment, this changes the row for one.
_TAKE = (
    sa.update(KeptTicket)
    .where(KeptTicket.app_id == sa.bindparam("app"), KeptTicket.ask_from <= sa.bindparam("now"))
    .values(ask_from=sa.bindparam("given_up"), is_asking=True)
)
_KEEP = (
    sa.update(KeptTicket)
    .where(KeptTicket.app_id == sa.bindparam("app"))
    .values(
        ticket_encrypted=sa.bindparam("ticket"),
        good_until=sa.bindparam("until"),
        ask_from=sa.bindparam("due"),
        is_asking=False,
    )
)
_LEAVE_ALONE = (
    sa.update(KeptTicket)
    .where(KeptTicket.app_id == sa.bindparam("app"))
    .values(ask_from=sa.bindparam("due"), is_asking=False)
)


class Tickets:
    """`ask` gets a new ticket from WeChat, or raises `NotGiven`."""

    def __init__(
        self, db: Database, keys: KeyRing, clock: Clock, app_id: str, ask: Callable[[], NewTicket]
    ) -> None:
        self._db = db
        self._keys = keys
        self._clock = clock
        self._app_id = app_id
        self._ask = ask
        self._kept: _Kept | None = None

    def current(self) -> str | None:
        """The ticket to sign with; None while there is none. Raises `Unavailable`."""
        kept, now = self._kept, self._clock.now()
        if kept is None or kept.is_asking or kept.ask_from <= now:
            kept = self._kept = self._brought_up(now)
        return kept.good_at(now) if kept else None

    def _brought_up(self, now: datetime) -> _Kept | None:
        """The row as it is, after asking for a ticket if one is due and nobody else is asking."""
        kept = self._read()
        is_due = kept is None or kept.ask_from <= now
        if is_due and self._db.transact(lambda tx: self._taken(tx, now)):
            self._renew()
        return self._read() if is_due else kept

    def _read(self) -> _Kept | None:
        with self._db.read() as tx:
            row = run(tx, _READ, app=self._app_id).one_or_none()
        if row is None:
            return None
        try:
            ticket = self._keys.decrypt_if_any(row.ticket_encrypted)
        except LostKey:  # of a process that has a newer key already
            ticket = None
        return _Kept(ticket, row.good_until, row.ask_from, row.is_asking)

    def _taken(self, tx: Session, now: datetime) -> bool:
        """Whether it falls to this process to ask."""
        given_up = now + ASKING
        row = {"app_id": self._app_id, "ticket_encrypted": None, "good_until": now}
        if insert_new(tx, KeptTicket, {**row, "ask_from": given_up, "is_asking": True}):
            return True
        return run(tx, _TAKE, app=self._app_id, now=now, given_up=given_up).rowcount == 1

    def _renew(self) -> None:
        try:
            new = self._ask()
        except NotGiven as refusal:
            due = self._clock.now() + refusal.rest
            self._db.transact(lambda tx: run(tx, _LEAVE_ALONE, app=self._app_id, due=due))
            return
        now = self._clock.now()
        until = now + new.lifetime
        row = {
            "ticket": self._keys.encrypt(new.text),
            "until": until,
            # WeChat may hand out again what is about to end.
            "due": max(until - EARLY, now + REST),
        }
        self._db.transact(lambda tx: run(tx, _KEEP, app=self._app_id, **row))
