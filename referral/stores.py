"""Stores: the outlets that sell, and the distributors that supply them."""

import re
from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import InstrumentedAttribute, Mapped, Session, mapped_column

from referral import places
from referral.db import Base, RowId, insert_new
from referral.errors import N_, Conflict, InvalidInput, NotFound
from referral.places import BadRegion

SLUG_LENGTH_MAX = 60
SLUG_PATTERN = r"[a-z0-9]+(?:-[a-z0-9]+)*"
NAME_LENGTH_MAX = 120


class StoreKind(StrEnum):
    store = "store"
    distributor = "distributor"


class Store(Base):
    """Where packages are sold, or through whom. `slug` is what other systems name it by."""

    __tablename__ = "stores"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    slug: Mapped[str] = mapped_column(sa.String(SLUG_LENGTH_MAX), unique=True)
    name: Mapped[str] = mapped_column(sa.String(NAME_LENGTH_MAX))
    kind: Mapped[str] = mapped_column(sa.String(12))
    region: Mapped[str | None] = mapped_column(sa.String(places.REGION_LENGTH_MAX))
    """ISO 3166 of a country or of one of its parts: ``CN`` or ``CN-GD``."""
    created_at: Mapped[datetime]
    visitor_id: Mapped[int | None] = mapped_column(sa.BigInteger, index=True, unique=True)
    """The visitor whose share links are on the store's posters; None before the first of them."""


class UnknownStore(NotFound):
    slug = "unknown-store"
    title = N_("There is no such store.")
    advice = N_("Choose one from the list of stores, or add it first.")


class StoreExists(Conflict):
    slug = "store-exists"
    title = N_("There is a store with this short name already.")


class BadStoreSlug(InvalidInput):
    slug = "bad-store-slug"
    title = N_("This short name cannot be used for a store.")
    advice = N_("Give up to 60 small letters and digits, with single dashes between them.")


def add_store(
    tx: Session, *, slug: str, name: str, kind: StoreKind, region: str | None, now: datetime
) -> Store:
    """Raises `StoreExists`, `BadStoreSlug`, `BadRegion`."""
    if len(slug) > SLUG_LENGTH_MAX or not re.fullmatch(SLUG_PATTERN, slug):
        raise BadStoreSlug()
    if region is not None and not places.valid_region(region):
        raise BadRegion()
    row = {"slug": slug, "name": name, "kind": kind, "region": region, "created_at": now}
    if not insert_new(tx, Store, row):
        raise StoreExists()
    return store_by_slug(tx, slug)


def store_by_slug(tx: Session, slug: str) -> Store:
    """Raises `UnknownStore`."""
    if not re.fullmatch(SLUG_PATTERN, slug):  # PostgreSQL refuses some texts
        raise UnknownStore()
    store = tx.scalar(sa.select(Store).where(Store.slug == slug))
    if store is None:
        raise UnknownStore()
    return store


def visitor_of(tx: Session, store: Store, new_visitor: int) -> int:
    """The visitor of a store's links, who is `new_visitor` from now on where there was none."""
    none_yet = Store.visitor_id.is_(None)
    tx.execute(
        sa.update(Store).where(Store.id == store.id, none_yet).values(visitor_id=new_visitor)
    )
    tx.refresh(store)
    assert store.visitor_id is not None, "it has just been given one"
    return store.visitor_id


def name_of_visitor(tx: Session, visitor: int) -> str | None:
    """The name of the store whose links these are; None where they are no store's."""
    return tx.scalar(sa.select(Store.name).where(Store.visitor_id == visitor))


def slugs(tx: Session, store_ids: Iterable[int | None]) -> dict[int, str]:
    """The short names of these stores, by id; a None among them is passed over."""
    return _texts(tx, store_ids, Store.slug)


def names(tx: Session, store_ids: Iterable[int | None]) -> dict[int, str]:
    """The names of these stores, by id; a None among them is passed over."""
    return _texts(tx, store_ids, Store.name)


def _texts(
    tx: Session, store_ids: Iterable[int | None], column: InstrumentedAttribute[str]
) -> dict[int, str]:
    wanted = set(store_ids) - {None}
    if not wanted:
        return {}
    rows = tx.execute(sa.select(Store.id, column).where(Store.id.in_(wanted)))
    return {row.id: row[1] for row in rows}
