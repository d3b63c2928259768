"""The terms of a range as people and other systems hand them in, and as they are told again."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator
from sqlalchemy.orm import Session

from referral import stores
from referral.ranges import LOT_LENGTH_MAX, MARKET_REGIONS_MAX, RangeChange, Terms

YEAR_MIN, YEAR_MAX = 2000, 2200
"""What lies outside is a slip, or no date but a number."""


class TermsIn(BaseModel):
    """What is said of a range of codes. What is left out stays as it is; null takes it away."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    lot: str | None = Field(default=None, examples=["L2603"])
    """As it stands on the package: 1 to 20 of the characters that GS1 allows."""
    made_on: date | None = None
    expires_on: date | None = None
    """The best-before date: the last day the product is good."""
    market: list[str] | None = Field(
        default=None, max_length=MARKET_REGIONS_MAX, examples=[["CN-GD", "CN-GX"]]
    )
    """The regions it is made for, ISO 3166; empty or null: everywhere."""
    store: str | None = Field(default=None, examples=["guangzhou-east"])
    """The slug of the store or distributor it goes to."""
    sale_from: AwareDatetime | None = None
    """From when on it can be claimed."""
    sale_until: AwareDatetime | None = None
    """Not included."""

    @model_validator(mode="after")
    def _plausible(self) -> Self:
        for day in (self.made_on, self.expires_on, self.sale_from, self.sale_until):
            if day and not YEAR_MIN <= day.year <= YEAR_MAX:
                raise ValueError(f"the year must lie between {YEAR_MIN} and {YEAR_MAX}")
        # Not sooner: a moment at the edge of the calendar has no other time zone.
        if self.sale_from:
            self.sale_from = self.sale_from.astimezone(UTC)
        if self.sale_until:
            self.sale_until = self.sale_until.astimezone(UTC)
        return self

    def changes(self, tx: Session) -> dict[str, Any]:
        """The fields of `Terms` that are meant. Raises `UnknownStore`."""
        said = {name: getattr(self, name) for name in self.model_fields_set}
        if "market" in said:
            said["market"] = tuple(said["market"] or ())
        if "store" in said:
            slug = said.pop("store")
            said["store_id"] = None if slug is None else stores.store_by_slug(tx, slug).id
        return said

    def terms(self, tx: Session) -> Terms:
        """As the terms of a new batch. Raises `UnknownStore`."""
        return Terms(**self.changes(tx))


class TermsOut(BaseModel):
    """What holds for a range of codes besides its state."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    lot: str | None = Field(max_length=LOT_LENGTH_MAX)
    made_on: date | None
    expires_on: date | None
    """The last day it is good, in the brand's own time zone."""
    market: list[str]
    """The regions it is made for, ISO 3166; empty: everywhere."""
    store: str | None
    """The slug of the store or distributor it went to."""
    sale_from: datetime | None
    sale_until: datetime | None
    """Not included."""

    @classmethod
    def of(cls, terms: Terms, slugs: Mapping[int, str]) -> Self:
        """`slugs` are those of the stores, by id."""
        return cls(
            lot=terms.lot,
            made_on=terms.made_on,
            expires_on=terms.expires_on,
            market=list(terms.market),
            store=None if terms.store_id is None else slugs[terms.store_id],
            sale_from=terms.sale_from,
            sale_until=terms.sale_until,
        )


def assigned(change: RangeChange, slugs: Mapping[int, str]) -> dict[str, Any] | None:
    """What a change said, by the names of `TermsIn`; None when it was about the state alone."""
    said = {name: value for name, value in (change.terms or {}).items() if name != "reinstate"}
    if "store_id" in said:
        store_id = said.pop("store_id")
        said["store"] = None if store_id is None else slugs[store_id]
    return said or None
