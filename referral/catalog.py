"""The catalogue: products, keyed by their GTIN-14."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import sqlalchemy as sa
from babel.numbers import list_currencies
from pydantic import AfterValidator, Field
from sqlalchemy.orm import Mapped, Session, mapped_column

from referral.codes import Labels
from referral.db import Base, RowId, insert_new
from referral.errors import N_, Conflict, NotFound
from referral.gs1.gtin import GTIN_LENGTH, gtin14

NAME_LENGTH_MAX = 120
PRICE_MAX = 10**12
"""In minor units; far from what the database can hold."""


def _known_currency(code: str) -> str:
    if code not in list_currencies():
        raise ValueError("This is not a currency's code, such as CNY.")
    return code


Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$"), AfterValidator(_known_currency)]
"""ISO 4217."""


class Product(Base):
    """One trade item."""

    __tablename__ = "products"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    gtin: Mapped[str] = mapped_column(sa.String(GTIN_LENGTH), unique=True)
    name: Mapped[str] = mapped_column(sa.String(NAME_LENGTH_MAX))
    price: Mapped[int] = mapped_column(sa.BigInteger)
    """In minor units of `currency`."""
    currency: Mapped[str] = mapped_column(sa.String(3))
    labels: Mapped[str] = mapped_column(sa.String(6))
    """What its packages carry from the next batch on, see `Labels`."""
    created_at: Mapped[datetime]

    __table_args__ = (sa.CheckConstraint("price > 0", name="price_positive"),)


class UnknownProduct(NotFound):
    slug = "unknown-product"
    title = N_("We do not know this product.")
    advice = N_("Please scan the code on the package again, or type it by hand.")


class ProductExists(Conflict):
    slug = "product-exists"
    title = N_("There is a product with this GTIN already.")


def add_product(
    tx: Session,
    *,
    gtin: str,
    name: str,
    price: int,
    currency: str,
    labels: Labels,
    now: datetime,
) -> Product:
    """Raises `BadGTIN`, `ProductExists`."""
    gtin = gtin14(gtin)
    row = {"gtin": gtin, "name": name, "price": price, "currency": currency}
    if not insert_new(tx, Product, {**row, "labels": labels, "created_at": now}):
        raise ProductExists(gtin=gtin)
    return product_by_gtin(tx, gtin)


def product_by_gtin(tx: Session, gtin: str) -> Product:
    """Raises `BadGTIN`, `UnknownProduct`."""
    product = tx.scalar(sa.select(Product).where(Product.gtin == gtin14(gtin)))
    if product is None:
        raise UnknownProduct()
    return product


def prices(tx: Session, gtins: Sequence[str]) -> list[int]:
    """The prices of these products, in minor units; of all products when none are named."""
    statement = sa.select(Product.price)
    return list(tx.scalars(statement.where(Product.gtin.in_(gtins)) if gtins else statement))


def products_in(tx: Session, gtins: Sequence[str]) -> list[Product]:
    """These products, or all when none are named, by name."""
    statement = sa.select(Product).order_by(Product.name)
    return list(tx.scalars(statement.where(Product.gtin.in_(gtins)) if gtins else statement))
