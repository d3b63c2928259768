"""Products: trade items, keyed by their GTIN-14."""

from datetime import datetime
from typing import Annotated

from babel.numbers import list_currencies
from pydantic import AfterValidator, Field

from referral import actions
from referral.catalog import NAME_LENGTH_MAX, PRICE_MAX, BadGTIN, ProductExists
from referral.web.api.endpoint import Output, post
from referral.web.api.reading import Input, Line
from referral.web.context import deployment


def _known_currency(code: str) -> str:
    if code not in list_currencies():
        raise ValueError("This is not a currency's code, such as CNY.")
    return code


Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$"), AfterValidator(_known_currency)]


class ProductIn(Input):
    """A product to add."""

    gtin: str = Field(max_length=40, examples=["06901234567892"])
    """GTIN of 8, 12, 13 or 14 digits; the last one is its check digit."""
    name: Line = Field(min_length=1, max_length=NAME_LENGTH_MAX)
    """What consumers read on the scan page."""
    price: int = Field(gt=0, le=PRICE_MAX)
    """Retail price, in minor units of the currency; it bounds what one purchase may pay out."""
    currency: Currency = Field(examples=["CNY"])
    """ISO 4217."""


class ProductOut(Output):
    """A product."""

    gtin: str
    """GTIN-14."""
    name: str
    price: int
    """In minor units of the currency."""
    currency: str
    created_at: datetime


@post(
    "/products",
    body=ProductIn,
    answer=ProductOut,
    statuses={201: "Added"},
    problems=[BadGTIN, ProductExists],
)
def add_product(body: ProductIn) -> ProductOut:
    """Add a product."""
    product = actions.add_product(
        deployment(), gtin=body.gtin, name=body.name, price=body.price, currency=body.currency
    )
    return ProductOut(
        gtin=product.gtin,
        name=product.name,
        price=product.price,
        currency=product.currency,
        created_at=product.created_at,
    )
