"""Products: trade items, keyed by their GTIN-14."""

from datetime import datetime

from pydantic import Field

from referral import actions, catalog
from referral.catalog import (
    NAME_LENGTH_MAX,
    PRICE_MAX,
    Currency,
    Product,
    ProductExists,
    UnknownProduct,
)
from referral.codes import Labels
from referral.gs1.gtin import BadGTIN
from referral.ratings import SCORES
from referral.reports import ratings
from referral.texts import Line
from referral.web.api import auth
from referral.web.api.endpoint import Output, get, post
from referral.web.api.reading import Input
from referral.web.context import deployment


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
    labels: Labels = Labels.single
    """Whether a package carries one code, or one outside to look it up and one inside to claim."""


class LabelsIn(Input):
    """What a product's packages carry."""

    labels: Labels


class ProductOut(Output):
    """A product."""

    gtin: str
    """GTIN-14."""
    name: str
    price: int
    """In minor units of the currency."""
    currency: str
    labels: Labels
    """What packages carry from the next batch on."""
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
        deployment(),
        gtin=body.gtin,
        name=body.name,
        price=body.price,
        currency=body.currency,
        labels=body.labels,
        by=auth.caller(),
    )
    return _shown(product)


class RatingsOut(Output):
    """What customers said of a product's packages; nobody was given anything for it."""

    count: int
    mean: float | None
    """From 1 to 5; null without any."""
    low: float | None
    """Where the mean of all who claimed lies at least, if those who rated are like them."""
    high: float | None
    """Where it lies at most."""
    scores: dict[int, int]
    """How many there are of each score from 1 to 5."""


@get("/products/<gtin>/ratings", answer=RatingsOut, problems=[BadGTIN, UnknownProduct])
def get_ratings(gtin: str) -> RatingsOut:
    """Get the ratings of a product."""
    with deployment().db.read() as tx:
        found = ratings.of_product(tx, catalog.product_by_gtin(tx, gtin).id)
    low, high = found.interval or (None, None)
    scores = {score: found.counts[score] for score in SCORES}
    return RatingsOut(count=found.count, mean=found.mean, low=low, high=high, scores=scores)


@post(
    "/products/<gtin>/labels",
    body=LabelsIn,
    answer=ProductOut,
    statuses={200: "Set"},
    problems=[BadGTIN, UnknownProduct],
)
def set_labels(gtin: str, body: LabelsIn) -> ProductOut:
    """Set the labels of a product.

    They hold from the next batch on; batches that were issued keep theirs.
    """
    actions.set_labels(deployment(), gtin, body.labels, by=auth.caller())
    with deployment().db.read() as tx:
        return _shown(catalog.product_by_gtin(tx, gtin))


def _shown(product: Product) -> ProductOut:
    return ProductOut(
        gtin=product.gtin,
        name=product.name,
        price=product.price,
        currency=product.currency,
        labels=Labels(product.labels),
        created_at=product.created_at,
    )
