"""The audit log as a file."""

import json

import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral.audit import AuditEntry
from referral.errors import N_
from referral.exports.kinds import AT_ONCE, Column, Key, Kind, Page, Wanted, register
from referral.reports.exports.days import period
from referral.staff import Right


def _page(tx: Session, wanted: Wanted, after: Key | None) -> Page:
    since, until = period(wanted)
    found = tx.scalars(
        sa.select(AuditEntry)
        .where(AuditEntry.id > (after[0] if after else 0))
        .order_by(AuditEntry.id)
        .limit(AT_ONCE)
    ).all()
    rows = [
        (
            entry.id,
            entry.at,
            entry.by,
            entry.action,
            entry.subject,
            json.dumps(entry.details, ensure_ascii=False, sort_keys=True),
        )
        for entry in found
        if since <= entry.at < until
    ]
    return Page(rows, [found[-1].id] if len(found) == AT_ONCE else None)


def _count(tx: Session, wanted: Wanted) -> int | None:
    if wanted.params.get("since") or wanted.params.get("until"):
        return None
    return tx.scalar(sa.select(sa.func.count()).select_from(AuditEntry)) or 0


register(
    Kind(
        name="audit",
        title=N_("Audit log"),
        columns=(
            Column("entry", N_("Entry")),
            Column("at", N_("Time"), 20),
            Column("by", N_("Who"), 28),
            Column("action", N_("Action"), 24),
            Column("subject", N_("Subject"), 20),
            Column("details", N_("Details"), 50),
        ),
        page=_page,
        count=_count,
        right=Right.audit,
        of_period=True,
    )
)
