"""Exports: who wants a list as a file, and making it, a page after another."""

import contextlib
import logging
import secrets
from collections.abc import Callable
from datetime import timedelta
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from referral import audit
from referral.db import lock, transaction
from referral.deployment import Deployment
from referral.errors import Unavailable
from referral.exports import jobs, kinds, writing
from referral.exports.jobs import Asked, Export, Lost, TooLarge, Why
from referral.exports.kinds import Gone, Kind, Wanted
from referral.reports import exports as _known  # noqa: F401 - the lists there are
from referral.staff import StaffMember

log = logging.getLogger(__name__)

GRACE = timedelta(seconds=3)
"""So long the service itself leaves a job to the workers."""


@transaction
def ask_export(tx: Session, deployment: Deployment, asked: Asked, *, member: StaffMember) -> Export:
    """Note that a member wants a list as a file. Again while it is being made is no harm.

    Raises `TooManyExports`.
    """
    now = deployment.clock.now()
    lock(tx, f"exports of {member.id}")
    job, is_new = jobs.ask(tx, asked, staff_id=member.id, by=member.email, now=now)
    if is_new:
        details = {"kind": asked.kind, "form": asked.form.value, **asked.params}
        _note(tx, job, member.email, "export asked for", details, deployment)
    return job


@transaction
def fetch_export(
    tx: Session, deployment: Deployment, export_id: int, *, member: StaffMember
) -> Export:
    """A file is taken: that is kept. Raises `UnknownExport`."""
    job = jobs.offered(tx, export_id, deployment.clock.now())
    _note(tx, job, member.email, "export taken", {"kind": job.kind, "rows": job.rows}, deployment)
    return job


@transaction
def delete_export(
    tx: Session, deployment: Deployment, export_id: int, *, member: StaffMember
) -> None:
    """Delete a file before its time. Raises `UnknownExport`."""
    job = jobs.offered(tx, export_id, deployment.clock.now())
    jobs.delete(tx, [job.id])
    _note(tx, job, member.email, "export deleted", {"kind": job.kind}, deployment)


def sweep_exports(deployment: Deployment) -> int:
    """Delete files whose time is over. Returns how many."""
    now = deployment.clock.now()
    return deployment.db.transact(lambda tx: jobs.sweep(tx, now))


def _note(
    tx: Session,
    job: Export,
    by: str,
    action: str,
    details: dict[str, object],
    deployment: Deployment,
) -> None:
    audit.note(
        tx,
        by=by,
        action=action,
        subject=f"export:{job.id}",
        details=details,
        now=deployment.clock.now(),
    )


# Making the files


def work_off_exports(deployment: Deployment, is_stopped: Callable[[], bool] = lambda: False) -> int:
    """Make the files that somebody waits for, until there is none or one is told to stop.

    Any number may do this at the same time, also in other processes. Returns how many jobs are
    over. What is stopped goes on elsewhere when its lease ends. Raises `Unavailable`.
    """
    over = 0
    while not is_stopped():
        worker = secrets.token_hex(8)
        now = deployment.clock.now()
        job = deployment.db.transact(lambda tx, w=worker, n=now: jobs.take(tx, w, n))  # type: ignore[misc]
        if job is None:
            return over
        if job.is_open:
            _Making(deployment, job, worker, is_stopped).run()
        over += 1
    return over


class _Making:
    """One job, by one worker."""

    def __init__(
        self, deployment: Deployment, job: Export, worker: str, is_stopped: Callable[[], bool]
    ) -> None:
        self._d = deployment
        self._job = job
        self._worker = worker
        self._is_stopped = is_stopped

    def run(self) -> None:
        """Make the file, or note why there is none. Raises `Unavailable`."""
        try:
            kind = kinds.kind_named(self._job.kind)
            if kind is None:
                raise Gone()
            self._make(kind)
        except (Lost, _Stopped):
            pass
        except TooLarge as error:
            self._end(error.why)
        except Gone:
            self._end(Why.gone)
        except Unavailable:
            raise
        except Exception:
            # The next try may have more luck; after a few of them it counts as failed.
            log.exception("an export failed: %s", self._job.kind)
            self._let_go()

    def _make(self, kind: Kind) -> None:
        job = self._job
        zone = ZoneInfo(self._d.config.timezone)
        wanted = Wanted(job.params, self._d.keys, zone, job.asked_at)
        with writing.writer_of(kind, jobs.Form(job.form), job.headings, zone) as writer:
            after = job.after.get("key")
            is_begun = job.pieces > 0
            if not writer.is_resumable or not is_begun:
                after = None
                self._begin(kind, wanted)
                waiting = writer.begin()
            else:
                waiting = b""
            rows = 0
            while True:
                with self._d.db.read() as tx:
                    page = kind.page(tx, wanted, after)
                waiting += writer.add(page.rows)
                rows += len(page.rows)
                after = page.after
                if after is None:
                    break
                if len(waiting) >= writing.PIECE_BYTES or not writer.is_resumable:
                    self._keep(waiting, rows, list(after), is_resumable=writer.is_resumable)
                    waiting, rows = b"", 0
                if self._is_stopped():
                    self._let_go()
                    raise _Stopped()
            self._finish(writer, waiting, rows)

    def _begin(self, kind: Kind, wanted: Wanted) -> None:
        with self._d.db.read() as tx:
            expected = kind.count(tx, wanted)
            if jobs.bytes_kept(tx) >= jobs.BYTES_KEPT_MAX:
                raise TooLarge(Why.no_room)

        def work(tx: Session) -> None:
            job = self._held(tx)
            jobs.begin_again(tx, job)
            job.rows_of = expected

        self._d.db.transact(work)

    def _keep(self, data: bytes, rows: int, after: list[object], *, is_resumable: bool) -> None:
        """Keep a piece with the key behind which the next one begins, in one transaction."""

        piece = jobs.packed(data, self._job.form)

        def work(tx: Session) -> None:
            job = self._held(tx)
            job.rows += rows
            if is_resumable:
                job.after = {"key": after}
                jobs.add_piece(tx, job, piece)

        self._d.db.transact(work)

    def _finish(self, writer: writing.Writer, waiting: bytes, rows: int) -> None:
        pieces = writer.end()
        last = waiting + next(pieces, b"")
        for more in pieces:
            self._add(jobs.packed(last, self._job.form))
            last = more
        piece = jobs.packed(last, self._job.form)

        def work(tx: Session) -> None:
            job = self._held(tx)
            job.rows += rows
            if piece.size:
                jobs.add_piece(tx, job, piece)
            jobs.finish(tx, job, self._d.clock.now())

        self._d.db.transact(work)

    def _add(self, piece: jobs.Packed) -> None:
        self._d.db.transact(lambda tx: jobs.add_piece(tx, self._held(tx), piece))

    def _held(self, tx: Session) -> Export:
        return jobs.held(tx, self._job.id, self._worker, self._d.clock.now())

    def _end(self, why: Why) -> None:
        def work(tx: Session) -> None:
            jobs.end(tx, self._held(tx), why, self._d.clock.now())

        self._try(work)

    def _let_go(self) -> None:
        """Another one may go on at once."""

        def work(tx: Session) -> None:
            jobs.let_go(tx, self._held(tx), self._d.clock.now())

        self._try(work)

    def _try(self, work: Callable[[Session], None]) -> None:
        with contextlib.suppress(Lost):
            self._d.db.transact(work)


class _Stopped(Exception):
    """This process is told to end."""
