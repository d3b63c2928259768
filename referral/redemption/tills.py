"""Tills: devices of stores that accept vouchers. Whoever has a till's link signs a device in.

The link carries a signed token: it can be shown to staff again, and is good until the till is
closed. One till may be several phones.
"""

import struct
from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from referral.crypto import KeyRing, TokenSigner
from referral.db import Base, RowId
from referral.errors import N_, NotFound, Problem
from referral.stores import Store

NAME_LENGTH_MAX = 60
_PAYLOAD = struct.Struct(">Q")


class Till(Base):
    __tablename__ = "tills"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    store_id: Mapped[int] = mapped_column(sa.ForeignKey("stores.id"), index=True)
    name: Mapped[str] = mapped_column(sa.String(NAME_LENGTH_MAX))
    """What staff call it, such as the counter it stands on."""
    created_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]
    """From then on its link and its devices are not let in any more."""


class UnknownTill(NotFound):
    slug = "unknown-till"
    title = N_("This till link does not work.")
    advice = N_("It may be cut off, or the till was closed. Please ask the brand for a new link.")


class TillClosed(Problem):
    slug = "till-closed"
    status = 403
    title = N_("This device is not signed in as a till.")
    advice = N_("Hand nothing over. Please open the till link again, or ask the brand for one.")


class TillTokens:
    """Reads and writes the tokens of till links, which devices keep as a cookie."""

    def __init__(self, keys: KeyRing) -> None:
        self._signer = TokenSigner(keys, "till")

    def token(self, till_id: int) -> str:
        return self._signer.sign(_PAYLOAD.pack(till_id))

    def read(self, token: str) -> int | None:
        """The till's id; None for anything that was not signed here."""
        found = self._signer.unsign(token)
        if found is None or len(found[0]) != _PAYLOAD.size:
            return None
        till_id: int = _PAYLOAD.unpack(found[0])[0]
        return till_id


def add_till(tx: Session, store_id: int, name: str, now: datetime) -> Till:
    till = Till(store_id=store_id, name=name, created_at=now)
    tx.add(till)
    tx.flush()
    return till


def till_by_id(tx: Session, till_id: int) -> Till:
    """Raises `UnknownTill`."""
    till = tx.get(Till, till_id)
    if till is None:
        raise UnknownTill()
    return till


def open_till(tx: Session, till_id: int) -> tuple[Till, Store] | None:
    """A till that was not closed, and its store."""
    row = tx.execute(
        sa.select(Till, Store)
        .join(Store, Store.id == Till.store_id)
        .where(Till.id == till_id, Till.closed_at.is_(None))
    ).one_or_none()
    return (row[0], row[1]) if row else None


def tills_of(tx: Session, store_id: int) -> Sequence[Till]:
    """A store's tills, those that are open first."""
    of_store = sa.select(Till).where(Till.store_id == store_id)
    return tx.scalars(of_store.order_by(Till.closed_at.is_not(None), Till.id)).all()
