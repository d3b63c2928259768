"""Flags: what was odd about scans of genuine codes, the latest first."""

from flask import render_template, request

from referral.batches import batch_by_id
from referral.flags import Flag
from referral.reports import flags as report
from referral.staff import Right, StaffMember
from referral.web.context import deployment
from referral.web.staff.auth import Page, require
from referral.web.staff.blueprint import staff
from referral.web.staff.forms import offset_of

BATCH_ID_DIGITS_MAX = 18


@staff.get("/flags")
@require(Right.read)
def flags(member: StaffMember) -> Page:
    """All flags, or those of a batch or a kind."""
    batch_id = _batch_id(request.args.get("batch", ""))
    kind = request.args.get("kind", "")
    with deployment().db.read() as tx:
        return render_template(
            "staff/flags.html",
            batch=batch_by_id(tx, batch_id) if batch_id else None,
            kind=kind if kind in set(Flag) else None,
            counts=report.counts(tx, batches=[batch_id] if batch_id else None),
            listed=report.flagged(
                tx,
                batch_id=batch_id,
                kind=kind if kind in set(Flag) else None,
                offset=offset_of(request.args),
            ),
        )


def _batch_id(asked: str) -> int | None:
    is_number = asked.isascii() and asked.isdigit() and len(asked) <= BATCH_ID_DIGITS_MAX
    return int(asked) if is_number else None
