"""The audit log as it is searched: newest first, a page at a time by the number of an entry."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral.audit import AuditEntry, seals
from referral.reports.lists import PAGE

AT_ONCE = 1000
"""Entries of an export that are read at a time."""


@dataclass(frozen=True)
class Wanted:
    """What is looked for; what is None or empty does not matter."""

    by: str = ""
    action: str = ""
    subject: str = ""
    since: datetime | None = None
    until: datetime | None = None
    """Before this moment."""

    def conditions(self) -> Iterator[sa.ColumnElement[bool]]:
        if self.by:
            yield AuditEntry.by == self.by
        if self.action:
            yield AuditEntry.action == self.action
        if self.subject:
            yield AuditEntry.subject == self.subject
        if self.since:
            yield AuditEntry.at >= self.since
        if self.until:
            yield AuditEntry.at < self.until


@dataclass(frozen=True)
class Log:
    rows: list[AuditEntry]
    next: int | None
    """The number of the entry that the following page begins before; None on the last."""
    sealed_upto: int
    """The number of the newest entry that is sealed."""


def page(tx: Session, wanted: Wanted, *, before: int | None = None, limit: int = PAGE) -> Log:
    found = _entries(tx, wanted, before, limit + 1)
    rows = found[:limit]
    following = rows[-1].id if len(found) > limit else None
    return Log(rows, following, seals.sealed_upto(tx))


def all_of(tx: Session, wanted: Wanted) -> Iterator[AuditEntry]:
    """All that is found, newest first, read some at a time."""
    before: int | None = None
    while rows := _entries(tx, wanted, before, AT_ONCE):
        yield from rows
        before = rows[-1].id
        tx.expunge_all()


def _entries(tx: Session, wanted: Wanted, before: int | None, limit: int) -> list[AuditEntry]:
    of = sa.select(AuditEntry).where(*wanted.conditions())
    if before is not None:
        of = of.where(AuditEntry.id < before)
    return list(tx.scalars(of.order_by(AuditEntry.id.desc()).limit(limit)))
