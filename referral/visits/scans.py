"""Which devices have scanned which codes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from referral.codes import Code
from referral.db import Base, run, upsert
from referral.db.bulk import insert_many
from referral.places import REGION_LENGTH_MAX
from referral.visits.visit import Visit


class SeenCode(Base):
    """What is known of the scans of one code: a row from its first scan on.

    The first one is noted when its page is sent, see `fresh_codes`, and counted among the `devices`
    when it is stored, as all others are.
    """

    __tablename__ = "seen_codes"

    batch_id: Mapped[int] = mapped_column(sa.ForeignKey("batches.id"), primary_key=True)
    index: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True)
    label: Mapped[str] = mapped_column(sa.String(5), primary_key=True)
    first_at: Mapped[datetime]
    region: Mapped[str | None] = mapped_column(sa.String(REGION_LENGTH_MAX))
    """Where it was first scanned."""
    first_visitor_id: Mapped[int | None] = mapped_column(sa.BigInteger)
    """Who was noted at once as the first; None where the first scan was stored only."""
    devices: Mapped[int] = mapped_column(sa.BigInteger)

    __table_args__ = (sa.Index(None, "batch_id", "first_at", "label", "region"),)


class ScannedCode(Base):
    """One device that has scanned one code: what makes a device count once."""

    __tablename__ = "scanned_codes"

    batch_id: Mapped[int] = mapped_column(sa.ForeignKey("batches.id"), primary_key=True)
    index: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True)
    label: Mapped[str] = mapped_column(sa.String(5), primary_key=True)
    visitor_id: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True)
    first_at: Mapped[datetime]


@dataclass(frozen=True)
class Seen:
    """What is known of a code's scans. `others` are the devices but the asking one."""

    others: int = 0
    first_at: datetime | None = None
    region: str | None = None


def remember_scans(tx: Session, scans: Sequence[Visit]) -> None:
    """Note which devices have seen which codes; all of them are people's."""
    firsts: dict[_Device, Visit] = {}
    for visit in sorted(scans, key=lambda visit: visit.at, reverse=True):
        firsts[_device(visit)] = visit
    rows = [
        {**_code(visit), "visitor_id": visit.visitor, "first_at": visit.at}
        for _, visit in sorted(firsts.items())
    ]
    new = insert_many(tx, ScannedCode, rows, ("batch_id", "index", "label", "visitor_id"))
    statement = upsert(tx, SeenCode, _one_device_more)
    for device in sorted(new):
        visit = firsts[device]
        run(tx, statement, **_code(visit), first_at=visit.at, region=visit.region, devices=1)


_Device = tuple[int, int, str, int]
"""A code by batch, index and label, and a visitor."""


def _device(visit: Visit) -> _Device:
    return (*_code(visit).values(), visit.visitor)  # type: ignore[return-value]


def _code(visit: Visit) -> dict[str, int | str | None]:
    label = None if visit.label is None else visit.label.value
    return {"batch_id": visit.batch, "index": visit.code_index, "label": label}


def _one_device_more(old: Any, new: Any) -> dict[str, Any]:
    # Scans may arrive out of order.
    is_earlier = new.first_at < old.first_at
    return {
        "devices": old.devices + 1,
        "region": sa.case((is_earlier, new.region), else_=old.region),
        "first_at": sa.case((is_earlier, new.first_at), else_=old.first_at),
    }


_OWN = (
    sa.exists()
    .where(
        ScannedCode.batch_id == SeenCode.batch_id,
        ScannedCode.index == SeenCode.index,
        ScannedCode.label == SeenCode.label,
        ScannedCode.visitor_id == sa.bindparam("visitor"),
    )
    .cast(sa.Integer)
)
_STORED = SeenCode.devices - _OWN
_IS_NOTED = SeenCode.first_visitor_id != sa.bindparam("visitor")
_SEEN = sa.select(
    sa.case((sa.and_(_STORED == 0, _IS_NOTED), 1), else_=_STORED),
    SeenCode.first_at,
    SeenCode.region,
).where(
    SeenCode.batch_id == sa.bindparam("batch"),
    SeenCode.index == sa.bindparam("place"),
    SeenCode.label == sa.bindparam("side"),
)


def seen(tx: Session, code: Code, visitor: int | None) -> Seen:
    """What is known of a code's scans, to the device of `visitor`."""
    keys = {"batch": code.batch_id, "place": code.index, "side": code.label}
    row = run(tx, _SEEN, **keys, visitor=-1 if visitor is None else visitor).one_or_none()
    return Seen(*row) if row else Seen()
