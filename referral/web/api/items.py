"""Items: what customers get for their points, or win."""

from datetime import datetime

from pydantic import ConfigDict, Field

from referral import actions
from referral.pictures import UnknownPicture
from referral.redemption.items import (
    STOCK_MAX,
    ItemDraft,
    ItemExists,
    ItemTerms,
    NotSoMuchStock,
    UnknownItem,
)
from referral.reports import items as report
from referral.reports.items import ItemLine
from referral.stores import UnknownStore
from referral.web.api import auth
from referral.web.api.endpoint import Output, get, post
from referral.web.api.paging import Page, following
from referral.web.api.reading import Input, checked
from referral.web.context import deployment


class ItemIn(ItemDraft):
    """An item to add."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class ItemChange(Input):
    """What to change; whatever is left out stays as it is."""

    titles: dict[str, str] | None = None
    """By language, as a whole."""
    picture: str | None = None
    price: int | None = None
    """In points; null for an item that is only won."""
    value: int | None = None
    currency: str | None = None
    stores: list[str] | None = None
    """Short names, as a whole; empty for all."""
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    per_person: int | None = None
    voucher_days: int | None = None
    change_stock: int = Field(default=0, ge=-STOCK_MAX, le=STOCK_MAX)
    """How many are added to the stock; below zero for taken away. What customers redeem in the same
    moment is not overwritten."""
    reason: str = Field(default="", max_length=200)
    """Why the stock changes, for the audit log."""


class VoucherCounts(Output):
    issued: int
    """To be handed over."""
    accepted: int
    undone: int
    expired: int


class ItemOut(Output):
    """An item."""

    slug: str
    titles: dict[str, str]
    picture: str | None
    price: int | None
    """In points; null for an item that is only won."""
    value: int
    """In minor units of the currency."""
    currency: str
    stock: int
    """How many are left; those of vouchers that are out are not among them."""
    stores: list[str]
    """Short names of the stores that hand it over; empty for all."""
    starts_at: datetime | None
    ends_at: datetime | None
    per_person: int | None
    voucher_days: int
    vouchers: VoucherCounts


class ItemList(Output):
    """A page of items, the newest first."""

    items: list[ItemOut]
    next: str | None


@post(
    "/items",
    body=ItemIn,
    answer=ItemOut,
    statuses={201: "Added"},
    problems=[ItemExists, UnknownStore, UnknownPicture],
)
def add_item(body: ItemIn) -> ItemOut:
    """Add an item.

    From now on customers can redeem points for it, and rules can give it.
    """
    draft = ItemDraft.model_validate(body.model_dump())
    added = actions.add_item(deployment(), draft, by=auth.caller())
    return _item(added.slug)


@get("/items", query=Page, answer=ItemList)
def list_items(query: Page) -> ItemList:
    """List items."""
    with deployment().db.read() as tx:
        found = report.lines(tx, offset=query.offset, limit=query.size)
    return ItemList(items=[_shown(line) for line in found.rows], next=following(found))


@get("/items/<slug>", answer=ItemOut, problems=[UnknownItem])
def get_item(slug: str) -> ItemOut:
    """Get an item."""
    return _item(slug)


@post(
    "/items/<slug>",
    body=ItemChange,
    answer=ItemOut,
    statuses={200: "Changed"},
    problems=[UnknownItem, UnknownStore, UnknownPicture, NotSoMuchStock],
)
def revise_item(slug: str, body: ItemChange) -> ItemOut:
    """Change an item.

    Its price, dates, stores and the like, and its stock by a difference. Vouchers that are out
    keep what they had.
    """
    with deployment().db.read() as tx:
        line = report.line(tx, slug)
    there = {name: getattr(line.item, name) for name in ItemTerms.model_fields if name != "stores"}
    sent = body.model_dump(exclude_unset=True, exclude={"change_stock", "reason"})
    terms = checked(ItemTerms, {**there, "stores": line.stores, **sent})
    actions.revise_item(
        deployment(),
        slug,
        terms,
        change_stock=body.change_stock,
        reason=body.reason,
        by=auth.caller(),
    )
    return _item(slug)


def _item(slug: str) -> ItemOut:
    with deployment().db.read() as tx:
        return _shown(report.line(tx, slug))


def _shown(line: ItemLine) -> ItemOut:
    item = line.item
    counts = {state: line.vouchers[state] for state in VoucherCounts.model_fields}
    return ItemOut(
        slug=item.slug,
        titles=item.titles,
        picture=item.picture,
        price=item.price,
        value=item.value,
        currency=item.currency,
        stock=item.stock,
        stores=line.stores,
        starts_at=item.starts_at,
        ends_at=item.ends_at,
        per_person=item.per_person,
        voucher_days=item.voucher_days,
        vouchers=VoucherCounts(**counts),
    )
