"""Batches: codes of one product made together, activated and voided by index range."""

from datetime import datetime

from pydantic import Field

from referral import actions, batches
from referral.batches import (
    NAME_LENGTH_MAX,
    REASON_LENGTH_MAX,
    SIZE_MAX,
    BadRange,
    CodesExhausted,
    RangeState,
    UnknownBatch,
)
from referral.catalog import BadGTIN, UnknownProduct
from referral.reports import batches as report
from referral.web.api.auth import caller
from referral.web.api.endpoint import Output, get, post
from referral.web.api.paging import Count, Page
from referral.web.api.reading import Index, Input, Line, Query
from referral.web.context import deployment

CODES_DEFAULT = 100
CODES_MAX = 1000
"""How many codes one answer holds."""


class BatchIn(Input):
    """A batch to issue."""

    gtin: str = Field(max_length=40, examples=["06901234567892"])
    count: int = Field(gt=0, le=SIZE_MAX)
    """How many codes."""
    name: Line = Field(min_length=1, max_length=NAME_LENGTH_MAX)
    """For the brand's own use, such as a production order."""


class RangeIn(Input):
    """A half-open range of indexes: from `start` up to, not including, `end`."""

    start: Index | None = None
    """Left out: from the first code on."""
    end: Index | None = None
    """Left out: up to the last code."""
    reason: Line = Field(default="", max_length=REASON_LENGTH_MAX)
    """Kept with the change."""


class RangeOut(Output):
    """The state of a range of codes."""

    start: int
    end: int
    """Not included."""
    state: RangeState


class BatchOut(Output):
    """A batch."""

    id: int
    gtin: str
    """GTIN-14 of the product."""
    name: str
    count: int
    """How many codes."""
    created_at: datetime
    ranges: list[RangeOut]
    """The states of its codes; the ranges cover the batch."""


class BatchList(Output):
    """A page of batches, oldest first."""

    items: list[BatchOut]
    next: str | None


class CodesQuery(Query):
    start: Index = 0
    """The first index."""
    count: Count = CODES_DEFAULT
    """How many codes; at most 1000 are given."""


class CodeOut(Output):
    """The identity of one package."""

    index: int
    code: str
    url: str
    """What the package's QR code says: a GS1 Digital Link."""


class CodeList(Output):
    """A page of a batch's codes."""

    items: list[CodeOut]
    next: int | None
    """The `start` of the next page; null on the last."""


@post(
    "/batches",
    body=BatchIn,
    answer=BatchOut,
    statuses={201: "Issued"},
    problems=[BadGTIN, UnknownProduct, CodesExhausted],
)
def issue_batch(body: BatchIn) -> BatchOut:
    """Issue a batch.

    Its codes are worth nothing until they are activated.
    """
    batch = actions.issue_batch(
        deployment(), gtin=body.gtin, count=body.count, name=body.name, by=caller()
    )
    return _batch(batch.id)


@get("/batches", query=Page, answer=BatchList)
def list_batches(query: Page) -> BatchList:
    """List batches."""
    with deployment().db.read() as tx:
        found = report.listed(tx, after=query.after_id, limit=query.size + 1)
    page = found[: query.size]
    following = str(page[-1].id) if len(found) > len(page) else None
    return BatchList(items=[_shown(batch) for batch in page], next=following)


@get("/batches/<int:batch_id>", answer=BatchOut, problems=[UnknownBatch])
def get_batch(batch_id: int) -> BatchOut:
    """Get a batch."""
    return _batch(batch_id)


@post(
    "/batches/<int:batch_id>/activate",
    body=RangeIn,
    answer=BatchOut,
    statuses={200: "Activated"},
    problems=[UnknownBatch, BadRange],
)
def activate_codes(batch_id: int, body: RangeIn) -> BatchOut:
    """Activate codes.

    From now on they can be claimed. Without `start` and `end`, and with no body at all, this is
    the whole batch.
    """
    return _set_range(batch_id, RangeState.activated, body)


@post(
    "/batches/<int:batch_id>/void",
    body=RangeIn,
    answer=BatchOut,
    statuses={200: "Voided"},
    problems=[UnknownBatch, BadRange],
)
def void_codes(batch_id: int, body: RangeIn) -> BatchOut:
    """Void codes.

    From now on they cannot be claimed; claims that were made stay. Without `start` and `end`, and
    with no body at all, this is the whole batch.
    """
    return _set_range(batch_id, RangeState.voided, body)


def _set_range(batch_id: int, state: RangeState, body: RangeIn) -> BatchOut:
    actions.set_range(
        deployment(),
        batch_id,
        state,
        start=body.start,
        end=body.end,
        reason=body.reason,
        by=caller(),
    )
    return _batch(batch_id)


@get("/batches/<int:batch_id>/codes", query=CodesQuery, answer=CodeList, problems=[UnknownBatch])
def list_codes(batch_id: int, query: CodesQuery) -> CodeList:
    """List codes.

    With what to print for each.
    """
    with deployment().db.read() as tx:
        batch = batches.batch_by_id(tx, batch_id)
        gtin = report.one(tx, batch_id).gtin
    end = min(query.start + min(query.count, CODES_MAX), batch.size)
    codes = [deployment().codes.encode(batch, index) for index in range(query.start, end)]
    items = [
        CodeOut(
            index=code.index,
            code=code.text,
            url=deployment().address(f"/01/{gtin}/21/{code.text}"),
        )
        for code in codes
    ]
    return CodeList(items=items, next=end if items and end < batch.size else None)


def _batch(batch_id: int) -> BatchOut:
    with deployment().db.read() as tx:
        return _shown(report.one(tx, batch_id))


def _shown(batch: report.BatchReport) -> BatchOut:
    ranges = [RangeOut.model_validate(span, from_attributes=True) for span in batch.ranges]
    return BatchOut(
        id=batch.id,
        gtin=batch.gtin,
        name=batch.name,
        count=batch.size,
        created_at=batch.created_at,
        ranges=ranges,
    )
