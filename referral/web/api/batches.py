"""Batches: codes of one product made together."""

from datetime import datetime

from pydantic import Field

from referral import actions, stores
from referral.batches import NAME_LENGTH_MAX, SIZE_MAX, CodesExhausted, Scheme, UnknownBatch
from referral.catalog import UnknownProduct
from referral.codes import Labels
from referral.gs1.gtin import BadGTIN
from referral.places import BadRegion
from referral.ranges import BadLot, BadTerms, RangeState, Span
from referral.reports import batches as report
from referral.reports.batches import BatchReport
from referral.stores import UnknownStore
from referral.terms import TermsIn, TermsOut
from referral.texts import Line
from referral.web.api.auth import caller
from referral.web.api.endpoint import Output, get, post
from referral.web.api.paging import Page
from referral.web.api.reading import Input
from referral.web.context import deployment

RANGES_TOLD = 100
"""How many ranges are told with a batch."""


class BatchIn(Input):
    """A batch to issue."""

    gtin: str = Field(max_length=40, examples=["06901234567892"])
    count: int = Field(gt=0, le=SIZE_MAX)
    """How many codes."""
    name: Line = Field(min_length=1, max_length=NAME_LENGTH_MAX)
    """For the brand's own use, such as a production order."""
    scheme: Scheme = Scheme.small
    """How printed addresses begin. Capitals make the smallest QR code; some phones do not open one
    like that."""
    terms: TermsIn | None = None
    """What holds for all of its codes to begin with."""


class RangeOut(Output):
    """A half-open range of codes: its state and terms."""

    start: int
    end: int
    """Not included."""
    state: RangeState
    terms: TermsOut


class BatchOut(Output):
    """A batch."""

    id: int
    gtin: str
    """GTIN-14 of the product."""
    name: str
    count: int
    """How many codes."""
    labels: Labels
    """Whether its packages carry one code, or a pair: one outside and one under the cap."""
    scheme: Scheme
    """How its printed addresses begin."""
    created_at: datetime
    ranges: list[RangeOut]
    """The states of its codes, from the first code on; 100 ranges at most."""
    has_more_ranges: bool
    """Whether there are more of them; `GET /batches/{id}/ranges` lists them all."""


class BatchList(Output):
    """A page of batches, oldest first."""

    items: list[BatchOut]
    next: str | None


@post(
    "/batches",
    body=BatchIn,
    answer=BatchOut,
    statuses={201: "Issued"},
    problems=[
        BadGTIN,
        UnknownProduct,
        CodesExhausted,
        UnknownStore,
        BadTerms,
        BadLot,
        BadRegion,
    ],
)
def issue_batch(body: BatchIn) -> BatchOut:
    """Issue a batch.

    Its codes are worth nothing until they are activated. Its packages carry the labels that the
    product has now.
    """
    with deployment().db.read() as tx:
        terms = body.terms.terms(tx) if body.terms else None
    batch = actions.issue_batch(
        deployment(),
        gtin=body.gtin,
        count=body.count,
        name=body.name,
        scheme=body.scheme,
        terms=terms,
        by=caller(),
    )
    return shown(batch.id)


@get("/batches", query=Page, answer=BatchList)
def list_batches(query: Page) -> BatchList:
    """List batches."""
    with deployment().db.read() as tx:
        found = report.listed(
            tx, after=query.after_id, limit=query.size + 1, ranges_max=RANGES_TOLD + 1
        )
        page = found[: query.size]
        slugs = stores.slugs(tx, (s.terms.store_id for batch in page for s in batch.ranges))
    following = str(page[-1].id) if len(found) > len(page) else None
    return BatchList(items=[_shown(batch, slugs) for batch in page], next=following)


@get("/batches/<int:batch_id>", answer=BatchOut, problems=[UnknownBatch])
def get_batch(batch_id: int) -> BatchOut:
    """Get a batch."""
    return shown(batch_id)


def shown(batch_id: int) -> BatchOut:
    """A batch as it is now. Raises `UnknownBatch`."""
    with deployment().db.read() as tx:
        batch = report.one(tx, batch_id, ranges_max=RANGES_TOLD + 1)
        return _shown(batch, stores.slugs(tx, (span.terms.store_id for span in batch.ranges)))


def _shown(batch: BatchReport, slugs: dict[int, str]) -> BatchOut:
    return BatchOut(
        id=batch.id,
        gtin=batch.gtin,
        name=batch.name,
        count=batch.size,
        labels=Labels(batch.labels),
        scheme=Scheme(batch.scheme),
        created_at=batch.created_at,
        ranges=[shown_range(span, slugs) for span in batch.ranges[:RANGES_TOLD]],
        has_more_ranges=len(batch.ranges) > RANGES_TOLD,
    )


def shown_range(span: Span, slugs: dict[int, str]) -> RangeOut:
    """`slugs` are those of the stores, by id."""
    return RangeOut(
        start=span.start,
        end=span.end,
        state=RangeState(span.state),
        terms=TermsOut.of(span.terms, slugs),
    )
