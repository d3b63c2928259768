"""Ranges: the life of a batch's codes, and where and when they are sold, by index range."""

from datetime import datetime
from typing import Any, Self

from pydantic import Field, model_validator

from referral import actions, batches, lookup, stores
from referral.batches import UnknownBatch
from referral.claims import WrongProduct
from referral.codes import MistypedCode, UnknownCode
from referral.gs1.gtin import BadGTIN
from referral.lookup import TEXT_LENGTH_MAX, OtherBatch
from referral.places import BadRegion
from referral.ranges import (
    REASON_LENGTH_MAX,
    BadLot,
    BadRange,
    BadTerms,
    CodesWithdrawn,
    RangeState,
)
from referral.reports import batches as report
from referral.stores import UnknownStore
from referral.terms import TermsIn, assigned
from referral.texts import Line
from referral.web.api.auth import caller
from referral.web.api.batches import BatchOut, RangeOut, shown, shown_range
from referral.web.api.endpoint import Output, get, post
from referral.web.api.paging import Page, following
from referral.web.api.reading import Index, Input
from referral.web.context import deployment

STATE_PROBLEMS = [UnknownBatch, BadRange, CodesWithdrawn]


class RangeIn(Input):
    """A half-open range of indexes: from `start` up to, not including, `end`."""

    start: Index | None = None
    """Left out: from the first code on."""
    end: Index | None = None
    """Left out: up to the last code."""
    reason: Line = Field(default="", max_length=REASON_LENGTH_MAX)
    """Kept with the change."""


class ActivateIn(RangeIn):
    """A range to put on sale."""

    reinstate: bool = False
    """Also codes that were voided or recalled; otherwise they are left as they are."""


class VoidIn(RangeIn):
    """A range, or one code, to withdraw."""

    code: str | None = Field(default=None, max_length=TEXT_LENGTH_MAX)
    """One code of the batch, or its address, instead of `start` and `end`; either of its labels."""

    @model_validator(mode="after")
    def _one_or_a_range(self) -> Self:
        if self.code is not None and (self.start is not None or self.end is not None):
            raise ValueError("Send either code or start and end.")
        return self


class AssignIn(RangeIn):
    """What to say of a range."""

    terms: TermsIn

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.terms.model_fields_set:
            raise ValueError("Name at least one term.")
        return self


class ChangeOut(Output):
    """What somebody did to a range."""

    id: int
    at: datetime
    by: str
    """Who: a colleague's e-mail address, an API key, the command line."""
    start: int
    end: int
    """Not included."""
    state: str
    """The state the codes were put into; `assigned` when only their terms changed."""
    reinstate: bool
    """Whether codes that were voided or recalled were put on sale again."""
    terms: dict[str, Any] | None
    """What was said of the range, under the names that terms have; null when nothing was."""
    reason: str


class ChangeList(Output):
    """A page of changes, newest first."""

    items: list[ChangeOut]
    next: str | None


class RangeList(Output):
    """A page of ranges, in order."""

    items: list[RangeOut]
    next: str | None


@post(
    "/batches/<int:batch_id>/printed",
    body=RangeIn,
    answer=BatchOut,
    statuses={200: "Marked"},
    problems=STATE_PROBLEMS,
)
def mark_printed(batch_id: int, body: RangeIn) -> BatchOut:
    """Mark codes as printed.

    They stay dark. What is on sale or withdrawn is left as it is. Without `start` and `end`, and
    with no body at all, this is the whole batch.
    """
    return _set_range(batch_id, RangeState.printed, body)


@post(
    "/batches/<int:batch_id>/activate",
    body=ActivateIn,
    answer=BatchOut,
    statuses={200: "Activated"},
    problems=STATE_PROBLEMS,
)
def activate_codes(batch_id: int, body: ActivateIn) -> BatchOut:
    """Activate codes.

    From now on they can be claimed. Codes that were voided or recalled are left as they are,
    unless `reinstate` is true. Without `start` and `end`, and with no body at all, this is the
    whole batch.
    """
    return _set_range(batch_id, RangeState.activated, body, reinstate=body.reinstate)


@post(
    "/batches/<int:batch_id>/void",
    body=VoidIn,
    answer=BatchOut,
    statuses={200: "Voided"},
    problems=[*STATE_PROBLEMS, MistypedCode, UnknownCode, BadGTIN, WrongProduct, OtherBatch],
)
def void_codes(batch_id: int, body: VoidIn) -> BatchOut:
    """Void codes.

    From now on they cannot be claimed; claims that were made stay. Without `start`, `end` and
    `code`, and with no body at all, this is the whole batch.
    """
    if body.code is not None:
        with deployment().db.read() as tx:
            batches.batch_by_id(tx, batch_id)
        index = lookup.index_in(deployment(), batch_id, body.code)
        body = body.model_copy(update={"start": index, "end": index + 1})
    return _set_range(batch_id, RangeState.voided, body)


@post(
    "/batches/<int:batch_id>/recall",
    body=RangeIn,
    answer=BatchOut,
    statuses={200: "Recalled"},
    problems=STATE_PROBLEMS,
)
def recall_codes(batch_id: int, body: RangeIn) -> BatchOut:
    """Recall codes.

    Whoever scans them is told not to use the product. Claims that were made stay. Without `start`
    and `end`, and with no body at all, this is the whole batch.
    """
    return _set_range(batch_id, RangeState.recalled, body)


def _set_range(
    batch_id: int, state: RangeState, body: RangeIn, *, reinstate: bool = False
) -> BatchOut:
    actions.set_range(
        deployment(),
        batch_id,
        state,
        start=body.start,
        end=body.end,
        reinstate=reinstate,
        reason=body.reason,
        by=caller(),
    )
    return shown(batch_id)


@post(
    "/batches/<int:batch_id>/assign",
    body=AssignIn,
    answer=BatchOut,
    statuses={200: "Assigned"},
    problems=[UnknownBatch, BadRange, UnknownStore, BadTerms, BadLot, BadRegion],
)
def assign_terms(batch_id: int, body: AssignIn) -> BatchOut:
    """Say what holds for codes.

    Terms that are left out stay as they are; null takes one away. Without `start` and `end` this
    is the whole batch.
    """
    with deployment().db.read() as tx:
        changes = body.terms.changes(tx)
    actions.assign_range(
        deployment(),
        batch_id,
        changes,
        start=body.start,
        end=body.end,
        reason=body.reason,
        by=caller(),
    )
    return shown(batch_id)


@get("/batches/<int:batch_id>/ranges", query=Page, answer=RangeList, problems=[UnknownBatch])
def list_ranges(batch_id: int, query: Page) -> RangeList:
    """List a batch's ranges.

    All of them, in order; they cover the batch.
    """
    with deployment().db.read() as tx:
        batches.batch_by_id(tx, batch_id)
        found = report.spans(tx, batch_id, offset=query.offset, limit=query.size)
        slugs = stores.slugs(tx, (span.terms.store_id for span in found.rows))
    items = [shown_range(span, slugs) for span in found.rows]
    return RangeList(items=items, next=following(found))


@get("/batches/<int:batch_id>/changes", query=Page, answer=ChangeList, problems=[UnknownBatch])
def list_changes(batch_id: int, query: Page) -> ChangeList:
    """List what was done to a batch.

    Who did what when, to which codes.
    """
    with deployment().db.read() as tx:
        batches.batch_by_id(tx, batch_id)
        found = report.changes(tx, batch_id, offset=query.offset, limit=query.size)
        slugs = stores.slugs(tx, ((change.terms or {}).get("store_id") for change in found.rows))
    items = [
        ChangeOut(
            id=change.id,
            at=change.at,
            by=change.by,
            start=change.start,
            end=change.end,
            state=change.state,
            reinstate=bool((change.terms or {}).get("reinstate")),
            terms=assigned(change, slugs),
            reason=change.reason,
        )
        for change in found.rows
    ]
    return ChangeList(items=items, next=following(found))
