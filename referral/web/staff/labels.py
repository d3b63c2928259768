"""A few labels of a batch as PDF, for whoever may issue codes."""

from collections.abc import Sequence
from threading import Lock
from typing import Any, cast

from flask import Response, request

from referral import actions
from referral.batches import Entry
from referral.codes import Label, Labels
from referral.errors import N_, InvalidInput, TooMany
from referral.printing import label_files, labels
from referral.printing.labels import (
    BLEED_MAX,
    MODULE_MAX,
    MODULE_MIN,
    LabelTerms,
    Layout,
    TooManyLabels,
)
from referral.printing.qr import LEVELS, Level
from referral.staff import Right, StaffMember
from referral.web.context import deployment, now
from referral.web.staff.auth import name_of, require
from referral.web.staff.blueprint import staff

DOWNLOAD_MAX = 200
"""Labels in one download: a second or two of work while somebody waits. More come from the command
line."""
BUSY_SECONDS = 3
"""When to come again while another download is being made."""

_printing = Lock()
"""Held while labels are made: it keeps a processor busy, and scans need the others."""


class LabelsBusy(TooMany):
    slug = "labels-busy"
    title = N_("Other labels are being made at this moment.")
    advice = N_("Please try again in a few seconds.")


@staff.get("/batches/<int(max=9223372036854775807):batch_id>/labels.pdf")
@require(Right.change)
def label_sheet(member: StaffMember, batch_id: int) -> Response:
    batch = deployment().directory.batch(batch_id)
    run = _run(batch)
    made_at = deployment().local(now())
    if not _printing.acquire(blocking=False):
        raise LabelsBusy(retry_after=BUSY_SECONDS)
    try:
        made = label_files.print_labels(
            run, deployment().codes, deployment().config.base_url, made_at
        )
    finally:
        _printing.release()
    wanted = {"batch": batch.id, "start": run.start, "end": run.end}
    actions.note_export(deployment(), "labels", wanted, by=name_of(member))
    response = Response(made.pdf, mimetype="application/pdf")
    name = f"labels-{batch.id}-{run.label}-{run.start}-{run.end}.pdf"
    response.headers.set("Content-Disposition", "attachment", filename=name)
    # Whoever has the file has the codes: it stays in no cache.
    response.headers["Cache-Control"] = "no-store"
    return response


def _run(batch: Entry) -> labels.Run:
    """What was asked for. Raises `InvalidInput`, and what is wrong with the range or terms."""
    start = _whole("start", 0)
    end = _whole("end", min(batch.size, start + DOWNLOAD_MAX))
    if end - start > DOWNLOAD_MAX:
        raise TooManyLabels(labels_max=DOWNLOAD_MAX)
    terms = LabelTerms(
        layout=Layout(_one_of("layout", tuple(Layout))),
        module=_millimetres("module", MODULE_MIN),
        level=cast(Level, _one_of("level", LEVELS)),
        bleed=_millimetres("bleed", 0.0),
    )
    return labels.Run(batch, start, end, Label(_one_of("label", tuple(Label))), terms)


def _one_of(name: str, allowed: Sequence[str]) -> str:
    """One of the values that are offered; the first where none is asked for."""
    value = request.args.get(name) or allowed[0]
    if value not in allowed:
        raise InvalidInput()
    return value


def _whole(name: str, default: int) -> int:
    value = request.args.get(name, "").strip()
    if value and not (value.isascii() and value.isdigit() and len(value) <= 12):
        raise InvalidInput()
    return int(value) if value else default


def _millimetres(name: str, default: float) -> float:
    value = request.args.get(name, "").strip()
    try:
        return float(value) if value else default
    except ValueError:
        raise InvalidInput() from None


@staff.context_processor
def _context() -> dict[str, Any]:
    """What the form for labels offers."""
    return {
        "label_form": {
            "most": DOWNLOAD_MAX,
            "module_min": MODULE_MIN,
            "module_max": MODULE_MAX,
            "bleed_max": BLEED_MAX,
            "levels": LEVELS,
        },
        "is_pair": lambda batch_id: deployment().directory.batch(batch_id).labels == Labels.pair,
    }
