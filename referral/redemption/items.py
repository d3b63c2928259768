"""Items: what customers get for their points, or win. What is in stock never falls below zero.

The catalogue of `catalog` is what the brand sells; an item is what it gives.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Self

import sqlalchemy as sa
from babel.numbers import list_currencies
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)
from sqlalchemy.orm import Mapped, Session, mapped_column

from referral.catalog import PRICE_MAX
from referral.db import Base, RowId, insert_new, insert_new_id
from referral.errors import N_, Conflict, InvalidInput, NotFound
from referral.pictures import SHA256_LENGTH, PictureHash
from referral.rewards.rules import SLUG
from referral.stores import SLUG_LENGTH_MAX as STORE_SLUG_LENGTH_MAX
from referral.stores import store_by_slug
from referral.texts import Language, Line

SLUG_LENGTH_MAX = 40
TITLE_LENGTH_MAX = 80
POINTS_MAX = 10**9
STOCK_MAX = 10**9
PER_PERSON_MAX = 10_000
STORES_MAX = 500
VOUCHER_DAYS_DEFAULT = 30
VOUCHER_DAYS_MAX = 365
YEAR_MIN, YEAR_MAX = 2000, 2200


def _known_currency(code: str) -> str:
    if code not in list_currencies():
        raise ValueError("this is not a currency's code, such as CNY")
    return code


class ItemTerms(BaseModel):
    """What may be changed of an item at any time; vouchers that are out keep what they had."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    titles: dict[Language, Annotated[Line, Field(min_length=1, max_length=TITLE_LENGTH_MAX)]] = (
        Field(min_length=1)
    )
    """What it is, by language; where one is missing, the nearest there is."""
    picture: PictureHash | None = None
    """The hash of an uploaded picture."""
    price: int | None = Field(default=None, gt=0, le=POINTS_MAX)
    """In points; null for one that is only won."""
    value: int = Field(ge=0, le=PRICE_MAX)
    """What it is worth, in minor units of the currency; it counts towards what a purchase may pay
    out where a rule promises the item."""
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$"), AfterValidator(_known_currency)]
    """ISO 4217."""
    stores: list[Annotated[str, Field(max_length=STORE_SLUG_LENGTH_MAX)]] = Field(
        default_factory=list, max_length=STORES_MAX
    )
    """The short names of the stores that hand it over; empty for all."""
    starts_at: AwareDatetime | None = None
    """From when on it can be redeemed. Left out: at once."""
    ends_at: AwareDatetime | None = None
    """Until when; not included. Left out: for good. What was won by then can be redeemed later."""
    per_person: int | None = Field(default=None, ge=1, le=PER_PERSON_MAX)
    """How many one customer may have for points; null for any number."""
    voucher_days: int = Field(default=VOUCHER_DAYS_DEFAULT, ge=1, le=VOUCHER_DAYS_MAX)
    """How long a voucher for it is good."""

    @field_validator("stores")
    @classmethod
    def _each_once(cls, slugs: list[str]) -> list[str]:
        return list(dict.fromkeys(slugs))

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.starts_at and self.ends_at and self.ends_at <= self.starts_at:
            raise ValueError("the end must lie after the start")
        for moment in (self.starts_at, self.ends_at):
            if moment and not YEAR_MIN <= moment.year <= YEAR_MAX:
                raise ValueError(f"the year must lie between {YEAR_MIN} and {YEAR_MAX}")
        return self

    def columns(self) -> dict[str, Any]:
        """As it is stored; the stores have a table of their own."""
        return self.model_dump(exclude={"stores", "slug", "stock"})


class ItemDraft(ItemTerms):
    """A new item."""

    slug: str = Field(pattern=SLUG)
    """What rules and other systems name it by."""
    stock: int = Field(ge=0, le=STOCK_MAX)
    """How many there are to give."""


class Item(Base):
    """An item of the catalogue."""

    __tablename__ = "items"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    slug: Mapped[str] = mapped_column(sa.String(SLUG_LENGTH_MAX), unique=True)
    titles: Mapped[dict[str, Any]]
    picture: Mapped[str | None] = mapped_column(
        sa.String(SHA256_LENGTH), sa.ForeignKey("pictures.sha256")
    )
    price: Mapped[int | None] = mapped_column(sa.BigInteger)
    value: Mapped[int] = mapped_column(sa.BigInteger)
    currency: Mapped[str] = mapped_column(sa.String(3))
    stock: Mapped[int] = mapped_column(sa.BigInteger)
    """How many are left to be promised; those of vouchers that are out are not among them."""
    starts_at: Mapped[datetime | None]
    ends_at: Mapped[datetime | None]
    per_person: Mapped[int | None] = mapped_column(sa.Integer)
    voucher_days: Mapped[int] = mapped_column(sa.Integer)
    created_at: Mapped[datetime]

    __table_args__ = (
        sa.CheckConstraint("stock >= 0", name="stock_not_negative"),
        sa.CheckConstraint("price > 0", name="price_positive"),
        sa.CheckConstraint("value >= 0", name="value_not_negative"),
    )

    @property
    def unit(self) -> str:
        """The ledger's unit of the right to one of it."""
        return unit_of(self.slug)

    @property
    def subject(self) -> str:
        """Its name in the audit log."""
        return f"item:{self.slug}"

    def title_in(self, language: str) -> str:
        """Its title in this language, or in the nearest there is."""
        return title_of(self.titles, language)

    def has_begun(self, now: datetime) -> bool:
        return self.starts_at is None or self.starts_at <= now

    def is_over(self, now: datetime) -> bool:
        return self.ends_at is not None and self.ends_at <= now


class ItemStore(Base):
    """A store that hands an item over; an item without any is handed over at all."""

    __tablename__ = "item_stores"

    item_id: Mapped[int] = mapped_column(sa.ForeignKey("items.id"), primary_key=True)
    store_id: Mapped[int] = mapped_column(sa.ForeignKey("stores.id"), primary_key=True, index=True)


class UnknownItem(NotFound):
    slug = "unknown-item"
    title = N_("There is no such item.")
    advice = N_("It may have been taken out of the catalogue. Please look at what there is now.")


class ItemExists(Conflict):
    slug = "item-exists"
    title = N_("There is an item with this short name already.")


class NotSoMuchStock(InvalidInput):
    slug = "not-so-much-stock"
    title = N_("There is not so much in stock.")
    advice = N_("Please look at how much is left now, and take away no more than that.")


class ItemNotBegun(Conflict):
    slug = "item-not-begun"
    title = N_("This cannot be redeemed yet.")
    advice = N_("Nothing was taken from you. Please come back when it has begun.")


class ItemOver(Conflict):
    slug = "item-over"
    title = N_("The time to redeem this is over.")
    advice = N_("Nothing was taken from you. Please choose something else.")


class OutOfStock(Conflict):
    slug = "out-of-stock"
    title = N_("The last one has just gone.")
    advice = N_("Nothing was taken from you. Please choose something else, or look again later.")


def unit_of(slug: str) -> str:
    """The ledger's unit of the right to one item."""
    return f"item:{slug}"


def slug_of(unit: str) -> str | None:
    """The item that a unit of the ledger is a right to; None for any other unit."""
    kind, _, slug = unit.partition(":")
    return slug if kind == "item" else None


def title_of(titles: Mapping[Any, str], language: str) -> str:
    """The title in this language; else in the same script's or any other."""
    family = language.partition("-")[0]
    near = next((tag for tag in titles if tag.startswith(family)), None)
    return titles.get(language) or titles[near or next(iter(titles))]


def add_item(tx: Session, draft: ItemDraft, now: datetime) -> Item:
    """Raises `ItemExists`, `UnknownStore`."""
    row = {**draft.columns(), "slug": draft.slug, "stock": draft.stock, "created_at": now}
    item_id = insert_new_id(tx, Item, row)
    if item_id is None:
        raise ItemExists()
    _set_stores(tx, item_id, draft.stores)
    return tx.get_one(Item, item_id)


def revise(tx: Session, item: Item, terms: ItemTerms) -> None:
    """Raises `UnknownStore`."""
    for name, value in terms.columns().items():
        setattr(item, name, value)
    tx.execute(sa.delete(ItemStore).where(ItemStore.item_id == item.id))
    _set_stores(tx, item.id, terms.stores)
    tx.flush()


def _set_stores(tx: Session, item_id: int, slugs: Sequence[str]) -> None:
    found = [store_by_slug(tx, slug).id for slug in slugs]
    insert_new(tx, ItemStore, [{"item_id": item_id, "store_id": each} for each in sorted(found)])


def item_by_slug(tx: Session, slug: str, *, for_update: bool = False) -> Item:
    """Raises `UnknownItem`."""
    if not re.fullmatch(SLUG, slug):  # PostgreSQL refuses some texts
        raise UnknownItem()
    wanted = sa.select(Item).where(Item.slug == slug)
    if for_update:
        # Without KEY: a voucher for it, written beside us, only asks that the row stays.
        wanted = wanted.with_for_update(key_share=True).execution_options(populate_existing=True)
    item = tx.scalar(wanted)
    if item is None:
        raise UnknownItem()
    return item


def change_stock(tx: Session, item_id: int, change: int) -> int:
    """Add to what is in stock, or take away from it; returns what there is then.

    Raises `NotSoMuchStock` when less than nothing would be left, or more added than can be counted.
    """
    left = Item.stock + change
    fits = left.between(0, STOCK_MAX) if change > 0 else left >= 0
    statement = (
        sa.update(Item)
        .where(Item.id == item_id, fits)
        .values(stock=left)
        .returning(Item.stock)
        .execution_options(synchronize_session=False)
    )
    stock = tx.scalar(statement)
    if stock is None:
        raise NotSoMuchStock()
    return stock


def put_back(tx: Session, item_id: int) -> None:
    """Put one that was taken out back into stock, however much there is by now."""
    statement = sa.update(Item).where(Item.id == item_id).values(stock=Item.stock + 1)
    tx.execute(statement, execution_options={"synchronize_session": False})


def store_ids(tx: Session, item_id: int) -> list[int]:
    """The stores that hand an item over; empty for all."""
    return store_ids_of(tx, [item_id]).get(item_id, [])


def store_ids_of(tx: Session, item_ids: Sequence[int]) -> dict[int, list[int]]:
    """The same for several; those that all hand over are left out."""
    found: dict[int, list[int]] = {}
    rows = tx.execute(sa.select(ItemStore).where(ItemStore.item_id.in_(item_ids))).scalars()
    for row in rows:
        found.setdefault(row.item_id, []).append(row.store_id)
    return found


def titles_of(tx: Session, slugs: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The titles by language of these items, by short name; unknown ones are left out."""
    if not slugs:
        return {}
    rows = tx.execute(sa.select(Item.slug, Item.titles).where(Item.slug.in_(slugs)))
    return {row.slug: row.titles for row in rows}


def values_of(tx: Session, slugs: Sequence[str]) -> dict[str, tuple[int, str]]:
    """What these items are worth, in minor units, and of which currency; unknown ones left out."""
    rows = tx.execute(sa.select(Item.slug, Item.value, Item.currency).where(Item.slug.in_(slugs)))
    return {row.slug: (row.value, row.currency) for row in rows}


def pictures_in_use(tx: Session) -> set[str]:
    """The hashes of all items' pictures."""
    return set(tx.scalars(sa.select(Item.picture).where(Item.picture.is_not(None)).distinct()))
