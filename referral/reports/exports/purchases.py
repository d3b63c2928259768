"""Proofs of purchase as files: claims and orders."""

import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral.batches import Batch
from referral.campaigns import Campaign
from referral.catalog import Product
from referral.claims import Claim
from referral.errors import N_
from referral.exports.cells import major
from referral.exports.kinds import AT_ONCE, Column, Key, Kind, Page, Wanted, register
from referral.orders import Order
from referral.reports.exports.days import period


def _claims(tx: Session, wanted: Wanted, after: Key | None) -> Page:
    since, until = period(wanted)
    found = tx.execute(
        sa.select(Claim, Product.gtin, Batch.name, Campaign.slug)
        .join(Batch, Batch.id == Claim.batch_id)
        .join(Product, Product.id == Batch.product_id)
        .outerjoin(Campaign, Campaign.id == Claim.campaign_id)
        .where(Claim.id > (after[0] if after else 0))
        .order_by(Claim.id)
        .limit(AT_ONCE)
    ).all()
    rows = [
        (claim.id, claim.at, claim.customer_id, gtin, batch, claim.index, slug)
        for claim, gtin, batch, slug in found
        if since <= claim.at < until
    ]
    return Page(rows, [found[-1][0].id] if len(found) == AT_ONCE else None)


def _count_claims(tx: Session, wanted: Wanted) -> int | None:
    return _all_of(tx, wanted, Claim)


def _all_of(tx: Session, wanted: Wanted, model: type[Claim] | type[Order]) -> int | None:
    """How many there are; of a period that is not known without looking at each."""
    if wanted.params.get("since") or wanted.params.get("until"):
        return None
    return tx.scalar(sa.select(sa.func.count()).select_from(model)) or 0


register(
    Kind(
        name="claims",
        title=N_("Claims"),
        columns=(
            Column("claim", N_("Claim")),
            Column("at", N_("Time"), 20),
            Column("customer", N_("Customer")),
            Column("gtin", N_("Product")),
            Column("batch", N_("Batch"), 20),
            Column("index", N_("Code number")),
            Column("campaign", N_("Campaign"), 20),
        ),
        page=_claims,
        count=_count_claims,
        of_period=True,
    )
)


def _orders(tx: Session, wanted: Wanted, after: Key | None) -> Page:
    since, until = period(wanted)
    found = tx.execute(
        sa.select(Order, Campaign.slug)
        .outerjoin(Campaign, Campaign.id == Order.campaign_id)
        .where(Order.id > (after[0] if after else 0))
        .order_by(Order.id)
        .limit(AT_ONCE)
    ).all()
    rows = [
        (
            order.id,
            order.external_id,
            order.at,
            order.reported_at,
            order.customer_id,
            order.is_guest,
            order.currency,
            major(order.amount, order.currency),
            major(order.refunded, order.currency),
            slug,
            order.unpaid,
            " ".join(order.gtins),
        )
        for order, slug in found
        if since <= order.at < until
    ]
    return Page(rows, [found[-1][0].id] if len(found) == AT_ONCE else None)


def _count_orders(tx: Session, wanted: Wanted) -> int | None:
    return _all_of(tx, wanted, Order)


register(
    Kind(
        name="orders",
        title=N_("Orders"),
        columns=(
            Column("order", N_("Number here")),
            Column("number", N_("The shop's number"), 24),
            Column("at", N_("Time"), 20),
            Column("reported_at", N_("Reported"), 20),
            Column("customer", N_("Customer")),
            Column("guest", N_("Guest"), 8),
            Column("currency", N_("Currency"), 8),
            Column("amount", N_("Amount")),
            Column("refunded", N_("Refunded")),
            Column("campaign", N_("Campaign"), 20),
            Column("unpaid", N_("Why nothing was paid")),
            Column("products", N_("Products"), 24),
        ),
        page=_orders,
        count=_count_orders,
        of_period=True,
    )
)
