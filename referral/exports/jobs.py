"""Jobs: which list somebody wants as a file, how far it is, and the file itself, in pieces.

The pieces are in the database, so that any process of the service can write them and any can send
them. A file is offered once its last piece is there, together with the state that says so. Whoever
works on a job holds it for `LEASE` and renews that with every piece; a job whose worker died is
taken by another one, who goes on after the last piece or, where the form cannot, begins again.
"""

import zlib
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from referral.audit import BY_LENGTH_MAX
from referral.db import Base, RowId
from referral.errors import N_, NotFound, Problem

LEASE = timedelta(seconds=30)
"""So long after its worker was last heard of, a job is given to another one."""
TRIES_MAX = 4
"""How often a job is begun or gone on with, without getting any further, before it has failed."""
LASTS = timedelta(hours=48)
"""How long a file is kept."""
FORGOTTEN_AFTER = timedelta(days=90)
"""How long it is kept that there was one."""
OPEN_MAX = 5
"""How many unfinished jobs one member may have."""
BYTES_MAX = 400 * 1024 * 1024
"""Of one file."""
BYTES_KEPT_MAX = 4 * 1024 * 1024 * 1024
"""Of all files that are kept at a time."""


class State(StrEnum):
    waiting = "waiting"
    running = "running"
    done = "done"
    failed = "failed"
    deleted = "deleted"
    """The file was there, and its time is over."""


class Form(StrEnum):
    """What kind of file."""

    csv = "csv"
    xlsx = "xlsx"
    graphml = "graphml"

    @property
    def mimetype(self) -> str:
        return {
            Form.csv: "text/csv; charset=utf-8",
            Form.xlsx: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            Form.graphml: "application/graphml+xml; charset=utf-8",
        }[self]


class Why(StrEnum):
    """Why there is no file."""

    too_large = "too-large"
    no_room = "no-room"
    """Other files take all the room there is."""
    gone = "gone"
    """What was to be listed is not there any more."""
    fault = "fault"


class Export(Base):
    """A job, and what became of it."""

    __tablename__ = "exports"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    kind: Mapped[str] = mapped_column(sa.String(40))
    form: Mapped[str] = mapped_column(sa.String(8))
    params: Mapped[dict[str, Any]]
    """What of the kind: see its declaration."""
    headings: Mapped[list[Any]]
    """The columns' names, in the language of whoever asked."""
    staff_id: Mapped[int] = mapped_column(sa.ForeignKey("staff.id"))
    by: Mapped[str] = mapped_column(sa.String(BY_LENGTH_MAX))
    asked_at: Mapped[datetime]
    state: Mapped[str] = mapped_column(sa.String(8))
    rows: Mapped[int] = mapped_column(sa.BigInteger)
    """How many are written."""
    rows_of: Mapped[int | None] = mapped_column(sa.BigInteger)
    """How many there will be about; None where that is not known."""
    bytes: Mapped[int] = mapped_column(sa.BigInteger)
    """How long the file is so far."""
    pieces: Mapped[int] = mapped_column(sa.Integer)
    after: Mapped[dict[str, Any]]
    """Where to go on: the `key` of the last row that is in a piece; empty before the first."""
    worker: Mapped[str | None] = mapped_column(sa.String(40))
    taken_until: Mapped[datetime | None]
    tries: Mapped[int] = mapped_column(sa.SmallInteger)
    why: Mapped[str | None] = mapped_column(sa.String(40))
    """Why it failed: a `Why`."""
    ended_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]

    __table_args__ = (
        sa.CheckConstraint(
            "state IN ('waiting', 'running', 'done', 'failed', 'deleted')", name="known_state"
        ),
        sa.CheckConstraint("state <> 'done' OR expires_at IS NOT NULL", name="done_expires"),
        sa.Index(None, "staff_id", "id"),
        sa.Index(
            "ix_exports_open",
            "id",
            sqlite_where=sa.text("state IN ('waiting', 'running')"),
            postgresql_where=sa.text("state IN ('waiting', 'running')"),
        ),
        sa.Index(
            "ix_exports_done",
            "expires_at",
            sqlite_where=sa.text("state = 'done'"),
            postgresql_where=sa.text("state = 'done'"),
        ),
    )

    @property
    def is_open(self) -> bool:
        return self.state in (State.waiting, State.running)

    @property
    def share(self) -> float | None:
        """How much of it is done; None while that is not known."""
        if self.state == State.done:
            return 1.0
        return min(self.rows / self.rows_of, 1.0) if self.rows_of else None


class ExportPiece(Base):
    """A part of a file, compressed."""

    __tablename__ = "export_pieces"

    export_id: Mapped[int] = mapped_column(
        sa.ForeignKey("exports.id"), primary_key=True, autoincrement=False
    )
    number: Mapped[int] = mapped_column(sa.Integer, primary_key=True, autoincrement=False)
    data: Mapped[bytes] = mapped_column(sa.LargeBinary)


class UnknownExport(NotFound):
    slug = "unknown-export"
    title = N_("This file is not there any more.")
    advice = N_("Files are kept for 48 hours. Please make it once more.")


class TooManyExports(Problem):
    slug = "too-many-exports"
    status = 429
    title = N_("You have several files in the making.")
    advice = N_("Please wait until one of them is done.")


class Lost(Exception):
    """Another worker has the job now. Nothing was written."""


class HasReading(Protocol):
    def read(self) -> AbstractContextManager[Session]: ...


@dataclass(frozen=True)
class Asked:
    """A job as it is asked for."""

    kind: str
    form: Form
    params: dict[str, Any]
    headings: list[str]


def ask(tx: Session, asked: Asked, *, staff_id: int, by: str, now: datetime) -> tuple[Export, bool]:
    """A new job; or the unfinished one that the same member has asked for in the same words.

    Returns whether it is new. The member is locked by the caller. Raises `TooManyExports`.
    """
    mine = tx.scalars(sa.select(Export).where(Export.staff_id == staff_id, _IS_OPEN)).all()
    same = (asked.kind, asked.form, asked.params)
    for each in mine:
        if (each.kind, each.form, each.params) == same:
            return each, False
    if len(mine) >= OPEN_MAX:
        raise TooManyExports()
    made = Export(
        kind=asked.kind,
        form=asked.form,
        params=asked.params,
        headings=asked.headings,
        staff_id=staff_id,
        by=by,
        asked_at=now,
        state=State.waiting,
        rows=0,
        bytes=0,
        pieces=0,
        after={},
        tries=0,
    )
    tx.add(made)
    tx.flush()
    return made, True


# Written out and not bound: the index is used only where the query says so.
_IS_OPEN = Export.state.in_([sa.literal_column("'waiting'"), sa.literal_column("'running'")])
_IS_DONE = Export.state == sa.literal_column("'done'")


def is_free(now: datetime) -> sa.ColumnElement[bool]:
    """Nobody works on it: nobody has begun, or who did is not heard of any more."""
    return sa.and_(_IS_OPEN, sa.or_(Export.taken_until.is_(None), Export.taken_until <= now))


def any_left(tx: Session, before: datetime) -> bool:
    """Whether there is a job that nobody has worked on since a moment."""
    since = sa.func.coalesce(Export.taken_until, Export.asked_at)
    return tx.scalar(sa.select(sa.exists().where(_IS_OPEN, since <= before))) or False


def let_go(tx: Session, job: Export, now: datetime) -> None:
    """Another worker may go on at once."""
    job.taken_until = now
    tx.flush()


def take(tx: Session, worker: str, now: datetime) -> Export | None:
    """A job that nobody works on, the oldest; it is the worker's for `LEASE`."""
    found = tx.scalar(
        sa.select(Export)
        .where(is_free(now))
        .order_by(Export.id)
        .limit(1)
        .with_for_update(skip_locked=True)
        .execution_options(populate_existing=True)
    )
    if found is None:
        return None
    found.tries += 1
    if found.tries > TRIES_MAX:
        end(tx, found, Why.fault, now)
        return found
    found.state, found.worker, found.taken_until = State.running, worker, now + LEASE
    tx.flush()
    return found


def begin_again(tx: Session, job: Export) -> None:
    """Forget what was written so far."""
    _drop_pieces(tx, [job.id])
    job.rows = job.bytes = job.pieces = 0
    job.after = {}
    tx.flush()


def held(tx: Session, export_id: int, worker: str, now: datetime) -> Export:
    """The job, locked, for another `LEASE`. Raises `Lost` when it is another worker's."""
    job = tx.scalar(
        sa.select(Export)
        .where(Export.id == export_id, Export.worker == worker)
        .where(Export.state == State.running)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    if job is None:
        raise Lost()
    job.taken_until = now + LEASE
    return job


@dataclass(frozen=True)
class Packed:
    """A part of a file as it is kept. Made before the transaction that keeps it: it takes long."""

    data: bytes
    size: int
    """How long it is in the file."""


def packed(data: bytes, form: str) -> Packed:
    # A spreadsheet is compressed already.
    return Packed(zlib.compress(data, 0 if form == Form.xlsx else 6), len(data))


def add_piece(tx: Session, job: Export, piece: Packed) -> None:
    """Put a part behind the others. Raises `TooLarge`; nothing is written then."""
    if job.bytes + piece.size > BYTES_MAX:
        raise TooLarge(Why.too_large)
    tx.add(ExportPiece(export_id=job.id, number=job.pieces, data=piece.data))
    job.pieces += 1
    job.bytes += piece.size
    # It gets further: what follows is a try of its own.
    job.tries = 1
    tx.flush()


class TooLarge(Exception):
    """A file is not made, because it or all of them would be too large; `why` says which."""

    def __init__(self, why: Why) -> None:
        super().__init__(why.value)
        self.why = why


def bytes_kept(tx: Session) -> int:
    """How long all files are that are kept or in the making."""
    kept = sa.select(sa.func.coalesce(sa.func.sum(Export.bytes), 0))
    return sum(int(tx.scalar(kept.where(each)) or 0) for each in (_IS_OPEN, _IS_DONE))


def finish(tx: Session, job: Export, now: datetime) -> None:
    """The last piece is there: from now on the file is offered."""
    job.state, job.ended_at, job.expires_at = State.done, now, now + LASTS
    job.rows_of = job.rows
    job.worker = job.taken_until = None
    tx.flush()


def end(tx: Session, job: Export, why: Why, now: datetime) -> None:
    """There will be no file."""
    _drop_pieces(tx, [job.id])
    job.state, job.why, job.ended_at = State.failed, why, now
    job.worker = job.taken_until = None
    job.bytes = job.pieces = 0
    tx.flush()


def sweep(tx: Session, now: datetime) -> int:
    """Delete files whose time is over, and in the end what was kept of them. Returns how many
    files."""
    over = list(tx.scalars(sa.select(Export.id).where(_IS_DONE, Export.expires_at <= now)))
    delete(tx, over)
    tx.execute(
        sa.delete(Export).where(
            Export.state.in_([State.deleted, State.failed]),
            Export.ended_at < now - FORGOTTEN_AFTER,
        )
    )
    return len(over)


def delete(tx: Session, exports: Sequence[int]) -> None:
    """Delete the files of jobs that are done."""
    _drop_pieces(tx, exports)
    tx.execute(
        sa.update(Export)
        .where(Export.id.in_(exports), _IS_DONE)
        .values(state=State.deleted, bytes=0, pieces=0)
    )


def _drop_pieces(tx: Session, exports: Sequence[int]) -> None:
    if exports:
        tx.execute(sa.delete(ExportPiece).where(ExportPiece.export_id.in_(exports)))


def offered(tx: Session, export_id: int, now: datetime) -> Export:
    """A job whose file can be sent. Raises `UnknownExport`."""
    job = tx.get(Export, export_id)
    if job is None or job.state != State.done or job.expires_at is None or job.expires_at <= now:
        raise UnknownExport()
    return job


def pieces(db: HasReading, job: Export) -> Iterator[bytes]:
    """The file, a piece at a time, each read in a transaction of its own: a slow download holds
    none open. Ends early where the file is deleted meanwhile; its length tells."""
    for number in range(job.pieces):
        with db.read() as tx:
            packed = tx.scalar(
                sa.select(ExportPiece.data).where(
                    ExportPiece.export_id == job.id, ExportPiece.number == number
                )
            )
        if packed is None:
            return
        yield zlib.decompress(packed)


def listed(
    tx: Session, *, staff_id: int | None, before: int | None = None, limit: int
) -> list[Export]:
    """Newest first: those of one member, or with None of all."""
    statement = sa.select(Export).order_by(Export.id.desc()).limit(limit)
    if staff_id is not None:
        statement = statement.where(Export.staff_id == staff_id)
    if before is not None:
        statement = statement.where(Export.id < before)
    return list(tx.scalars(statement))
