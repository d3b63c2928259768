"""Stores: the outlets that sell, and the distributors that supply them."""

from pydantic import Field

from referral import actions
from referral.places import BadRegion
from referral.reports import stores as report
from referral.stores import (
    NAME_LENGTH_MAX,
    SLUG_LENGTH_MAX,
    SLUG_PATTERN,
    BadStoreSlug,
    StoreExists,
    StoreKind,
)
from referral.texts import Line
from referral.web.api import auth
from referral.web.api.endpoint import Output, get, post
from referral.web.api.paging import Page, following
from referral.web.api.reading import Input
from referral.web.context import deployment


class StoreIn(Input):
    """A store to add."""

    slug: str = Field(
        max_length=SLUG_LENGTH_MAX, pattern=f"^{SLUG_PATTERN}$", examples=["guangzhou-east"]
    )
    """What other systems name it by: small letters, digits and single dashes."""
    name: Line = Field(min_length=1, max_length=NAME_LENGTH_MAX)
    kind: StoreKind = StoreKind.store
    region: str | None = Field(default=None, examples=["CN-GD"])
    """Where it is, ISO 3166: a country or a part of one."""


class StoreOut(Output):
    """A store or a distributor."""

    slug: str
    name: str
    kind: StoreKind
    region: str | None
    codes: int
    """How many codes are assigned to it."""
    batches: int
    """Of how many batches these are."""


class StoreList(Output):
    """A page of stores, by name."""

    items: list[StoreOut]
    next: str | None


@post(
    "/stores",
    body=StoreIn,
    answer=StoreOut,
    statuses={201: "Added"},
    problems=[StoreExists, BadStoreSlug, BadRegion],
)
def add_store(body: StoreIn) -> StoreOut:
    """Add a store.

    Or a distributor. From now on codes can be assigned to it.
    """
    store = actions.add_store(
        deployment(),
        slug=body.slug,
        name=body.name,
        kind=body.kind,
        region=body.region,
        by=auth.caller(),
    )
    kind = StoreKind(store.kind)
    return StoreOut(
        slug=store.slug, name=store.name, kind=kind, region=store.region, codes=0, batches=0
    )


@get("/stores", query=Page, answer=StoreList)
def list_stores(query: Page) -> StoreList:
    """List stores."""
    with deployment().db.read() as tx:
        found = report.lines(tx, offset=query.offset, limit=query.size)
    items = [StoreOut.model_validate(line, from_attributes=True) for line in found.rows]
    return StoreList(items=items, next=following(found))
