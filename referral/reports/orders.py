"""Orders as staff, the shop's system and their buyers look at them."""

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral import people
from referral.campaigns import Campaign
from referral.orders import Order
from referral.reports.lists import PAGE, Listed
from referral.reports.lists import listed as page
from referral.rewards import Reward, Withheld


@dataclass(frozen=True)
class OrderLine:
    """An order, and the campaign that pays for it."""

    order: Order
    campaign_slug: str | None
    campaign_title: str | None


def listed(
    tx: Session,
    *,
    customer_id: int | None = None,
    number: str | None = None,
    offset: int = 0,
    limit: int = PAGE,
) -> Listed[OrderLine]:
    """Orders, the latest reported first: of a customer, or with a shop's number, where given."""
    statement = (
        sa.select(Order, Campaign.slug, Campaign.title)
        .outerjoin(Campaign, Campaign.id == Order.campaign_id)
        .order_by(Order.id.desc())
        .offset(offset)
        .limit(limit + 1)
    )
    if customer_id is not None:
        kept = people.current(tx, [customer_id])[customer_id]
        theirs = people.numbers_of(tx, kept)
        statement = statement.where(Order.customer_id.in_(theirs))
    if number is not None:
        statement = statement.where(Order.external_id == number)
    return page([OrderLine(*row) for row in tx.execute(statement)], offset, limit)


@dataclass(frozen=True)
class Totals:
    """What orders came to in a campaign, in minor units of its currency."""

    orders: int
    amount: int
    refunded: int


def totals(tx: Session, campaign_id: int) -> Totals:
    """Of the orders that a campaign pays for."""
    row = tx.execute(
        sa.select(sa.func.count(), sa.func.sum(Order.amount), sa.func.sum(Order.refunded)).where(
            Order.campaign_id == campaign_id
        )
    ).one()
    return Totals(*(int(each or 0) for each in row))


@dataclass(frozen=True)
class OwnOrder:
    """An order, and what it brought its buyer."""

    order: Order
    rewards: list[Reward]
    withheld: list[Withheld]


def of_customer(tx: Session, customer_id: int, *, offset: int, limit: int) -> list[OwnOrder]:
    """A customer's orders, the latest reported first."""
    theirs = people.numbers_of(tx, customer_id)
    found = tx.scalars(
        sa.select(Order)
        .where(Order.customer_id.in_(theirs))
        .order_by(Order.id.desc())
        .offset(offset)
        .limit(limit)
    ).all()
    events = [order.event for order in found]
    granted = tx.scalars(
        sa.select(Reward)
        .where(Reward.event.in_(events), Reward.beneficiary_id.in_(theirs))
        .order_by(Reward.id)
    ).all()
    missing = tx.scalars(
        sa.select(Withheld)
        .where(Withheld.event.in_(events), Withheld.beneficiary_id.in_(theirs))
        .order_by(Withheld.id)
    ).all()
    return [
        OwnOrder(
            order,
            [each for each in granted if each.event == order.event],
            [each for each in missing if each.event == order.event],
        )
        for order in found
    ]
