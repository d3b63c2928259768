"""The lists of the staff console: products, campaigns, and what happened last."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral.batches import Batch
from referral.campaigns import Campaign, CampaignState
from referral.catalog import Product
from referral.claims import Claim
from referral.crypto import KeyRing
from referral.graph import Referral
from referral.ledger import Account, Kind
from referral.people import Customer
from referral.ranges import CodeRange, RangeState
from referral.rollups import tallies

PAGE = 50
"""How many rows a list of the console shows at once."""

T = TypeVar("T")


@dataclass(frozen=True)
class Listed(Generic[T]):
    """A page of a list. `next` is the offset of the following one; None on the last."""

    rows: list[T]
    next: int | None


def listed(found: Sequence[T], offset: int, limit: int) -> Listed[T]:
    """A page out of `limit` + 1 rows that were asked for."""
    return Listed(list(found[:limit]), offset + limit if len(found) > limit else None)


@dataclass(frozen=True)
class ProductLine:
    gtin: str
    name: str
    price: int
    currency: str
    labels: str
    batches: int
    codes: int
    """How many codes its batches have."""
    claims: int


def products(tx: Session, *, offset: int = 0, limit: int = PAGE) -> Listed[ProductLine]:
    """Newest first."""
    of_product = Batch.product_id == Product.id
    batches = sa.select(sa.func.count()).where(of_product)
    codes = sa.select(sa.func.coalesce(sa.func.sum(Batch.size), 0)).where(of_product)
    rows = tx.execute(
        sa.select(
            Product.id,
            Product.gtin,
            Product.name,
            Product.price,
            Product.currency,
            Product.labels,
            batches.correlate(Product).scalar_subquery(),
            codes.correlate(Product).scalar_subquery(),
        )
        .order_by(Product.id.desc())
        .offset(offset)
        .limit(limit + 1)
    )
    page = listed(rows.all(), offset, limit)
    claims = tallies.claims_by_product(tx, [row.id for row in page.rows])
    return Listed([_product(row, claims[row.id]) for row in page.rows], page.next)


def _product(row: Any, claims: int) -> ProductLine:
    _number, gtin, name, price, currency, labels, batches, codes = row
    return ProductLine(gtin, name, price, currency, labels, batches, codes, claims)


@dataclass(frozen=True)
class CampaignLine:
    campaign: Campaign
    claims: int
    new_customers: int
    budget_left: int | None
    """In points; None before the budget was put up."""


def campaigns(tx: Session, *, offset: int = 0, limit: int = PAGE) -> Listed[CampaignLine]:
    """Newest first."""
    left = sa.select(sa.cast(sa.func.sum(Account.balance), sa.BigInteger)).where(
        Account.kind == Kind.budget, Account.owner == Campaign.id, Account.unit == "points"
    )
    rows = tx.execute(
        sa.select(
            Campaign,
            left.correlate(Campaign).scalar_subquery(),
        )
        .order_by(Campaign.id.desc())
        .offset(offset)
        .limit(limit + 1)
    )
    page = listed(rows.all(), offset, limit)
    ids = [campaign.id for campaign, _left in page.rows]
    claims = tallies.claims_by_campaign(tx, ids)
    new = tallies.newcomers_by_campaign(tx, ids)
    return Listed(
        [
            CampaignLine(campaign, claims[campaign.id], new[campaign.id].all, left)
            for campaign, left in page.rows
        ],
        page.next,
    )


def campaign_titles(tx: Session, campaign_ids: Sequence[int]) -> dict[int, tuple[str, str]]:
    """Slug and title by id."""
    rows = tx.execute(
        sa.select(Campaign.id, Campaign.slug, Campaign.title).where(Campaign.id.in_(campaign_ids))
    )
    return {campaign_id: (slug, title) for campaign_id, slug, title in rows}


def names(tx: Session, keys: KeyRing, customer_ids: Sequence[int]) -> dict[int, str | None]:
    """The names of these customers, as far as they exist and gave one."""
    kept = sa.orm.aliased(Customer)  # where one has gone into another
    rows = tx.execute(
        sa.select(Customer.id, kept.name_encrypted)
        .join(kept, kept.id == sa.func.coalesce(Customer.merged_into, Customer.id))
        .where(Customer.id.in_(customer_ids))
    )
    return {customer: keys.decrypt(name) if name else None for customer, name in rows}


@dataclass(frozen=True)
class ClaimLine:
    at: datetime
    product_name: str
    customer_id: int
    referrer_id: int | None
    """Who brought the customer in, when this was the first claim."""


def latest_claims(tx: Session, limit: int) -> list[ClaimLine]:
    first = sa.literal("claim:") + sa.cast(Claim.id, sa.String)
    rows = tx.execute(
        sa.select(Claim.at, Product.name, Claim.customer_id, Referral.referrer_id)
        .join(Batch, Batch.id == Claim.batch_id)
        .join(Product, Product.id == Batch.product_id)
        .outerjoin(
            Referral, sa.and_(Referral.customer_id == Claim.customer_id, Referral.event == first)
        )
        .order_by(Claim.id.desc())
        .limit(limit)
    )
    return [ClaimLine(*row) for row in rows]


@dataclass(frozen=True)
class Progress:
    """How far a brand has come in setting things up."""

    products: int
    batches: int
    activated: bool
    campaigns: int
    published: bool

    @property
    def is_complete(self) -> bool:
        return all((self.products, self.batches, self.activated, self.campaigns, self.published))


def progress(tx: Session) -> Progress:
    def exists(*conditions: sa.ColumnElement[bool]) -> bool:
        return bool(tx.scalar(sa.select(sa.exists().where(*conditions))))

    def count(model: type[Product] | type[Batch] | type[Campaign]) -> int:
        return tx.scalar(sa.select(sa.func.count()).select_from(model)) or 0

    return Progress(
        products=count(Product),
        batches=count(Batch),
        activated=exists(CodeRange.state == RangeState.activated),
        campaigns=count(Campaign),
        published=exists(Campaign.state == CampaignState.published),
    )
