"""The other proof of purchase: an order that the shop reports, and the refunds of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction

from sqlalchemy.orm import Session

from referral import campaigns, coupons, graph, orders, people, rewards, segments
from referral.actions import crediting
from referral.actions.coupons import make_good_for_refund, use_by_order
from referral.actions.following import fold_afterwards
from referral.actions.knowing import know
from referral.actions.proving import prove
from referral.actions.reversing import reverse
from referral.actions.touching import ViaReason, keep_touches, read_via
from referral.campaigns import Campaign, payouts
from referral.coupons import Held, UnknownCoupon, returns
from referral.db import lock, transaction
from referral.deployment import Deployment
from referral.links import Touch
from referral.orders import (
    ACCEPTED,
    Order,
    OrderDiffers,
    OrderIn,
    Refund,
    RefundDiffers,
    RefundIn,
    Unpaid,
)
from referral.people import CustomerExists, UnknownCustomer
from referral.rewards import Proof, Reason, Reward, Withheld


@dataclass(frozen=True)
class Ordered:
    """An order and what it brought. `already` when it had been reported before."""

    order: Order
    already: bool
    rewards: list[Reward]
    withheld: list[Withheld]
    """What was promised and not granted, and why."""
    referrer: int | None
    """Who brought the buyer in."""


@dataclass(frozen=True)
class Refunded:
    """A refund, its order, and what the order's rewards are now."""

    refund: Refund
    order: Order
    already: bool
    rewards: list[Reward]


def place_order(deployment: Deployment, sent: OrderIn) -> Ordered:
    """Keep an order and pay for it; whoever brought the buyer in is credited.

    A number that was reported before gives the first answer. Raises `OrderDiffers` where it said
    something else, `BadOrderTime`, `UnknownCustomer`, `UnknownCoupon`, and `CustomerExists` when
    what is said of the buyer belongs to several.
    """
    ordered = _place_order(deployment, sent)
    fold_afterwards(deployment, ordered.order.customer_id)
    return ordered


@transaction
def _place_order(tx: Session, deployment: Deployment, sent: OrderIn) -> Ordered:
    now = deployment.clock.now()
    # The same order twice at once must not make two customers of a guest.
    lock(tx, f"order|{sent.external_id}")
    known = orders.find_order(tx, sent.external_id)
    if known is not None:
        check_same(tx, deployment, known, sent)
        return _ordered_before(tx, known)
    at = _time(sent, now)
    buyer = find_buyer(tx, deployment, sent)
    link = read_via(tx, deployment.links, sent.via, buyer, at) if sent.via is not None else None
    if buyer is None:
        # A contact that a shop names opens nobody's page but one that begins with it.
        buyer, _ = people.find_or_add_customer(
            tx, deployment.keys, sent.contacts, name=None, now=now, may_add=False
        )
    buyer = _lock(tx, deployment, sent, buyer)

    touches = [Touch(link, at)] if link is not None and not isinstance(link, ViaReason) else []
    customer = know(tx, buyer, None, touches, now)
    others, reached = keep_touches(tx, customer, None, touches, now)
    credit = crediting.credit(tx, customer, others, reached, at, now)
    campaign, unpaid = _campaign_for(tx, sent, credit.campaign_id, buyer, at)
    made = orders.add_order(
        tx,
        {
            "external_id": sent.external_id,
            "customer_id": buyer,
            "is_guest": not sent.names_buyer,
            "campaign_id": campaign.id if campaign else None,
            "amount": sent.amount,
            "currency": sent.currency,
            "gtins": sent.gtins,
            "via": (link if isinstance(link, ViaReason) else ACCEPTED) if link else None,
            "unpaid": unpaid,
            "at": at,
            "reported_at": now,
        },
    )
    assert made is not None, "the order's number is locked, so nobody else reports it"
    if sent.coupon is not None:
        use_by_order(tx, deployment, sent.coupon, made.external_id, now)
    proven = prove(
        tx,
        deployment,
        event=made.event,
        proof=Proof.order,
        known=customer,
        credit=credit,
        campaign=campaign,
        amount=made.amount,
        now=now,
    )
    if campaign is not None and not proven.rewards and not proven.withheld:
        made.unpaid = Unpaid.not_promised
        tx.flush()
    return Ordered(made, False, proven.rewards, proven.withheld, proven.referrer)


def _time(sent: OrderIn, now: datetime) -> datetime:
    """When an order was placed: not after this moment, if the shop's clock is a little ahead."""
    if sent.at is None:
        return now
    orders.check_time(sent.at, now)
    return min(sent.at, now)


def _lock(tx: Session, deployment: Deployment, sent: OrderIn, buyer: int) -> int:
    """Lock the buyer, and whoever holds the coupon; returns the buyer as of now."""
    holder = coupons.holder_of(tx, deployment.keys, sent.coupon) if sent.coupon else None
    # In the order of their numbers, as everybody who locks two customers.
    locked = {each: people.lock_customer(tx, each) for each in sorted({buyer, holder or buyer})}
    return locked[buyer]


def find_buyer(tx: Session, deployment: Deployment, sent: OrderIn) -> int | None:
    """The customer whom an order names; None for somebody new. Nothing is written.

    Raises `UnknownCustomer`, `UnknownCoupon`, and `CustomerExists` when several are named.
    """
    found = _named(tx, deployment, sent)
    if len(found) > 1:
        raise CustomerExists()
    return found.pop() if found else None


def _named(tx: Session, deployment: Deployment, sent: OrderIn) -> set[int]:
    """The customers whom an order names. Raises `UnknownCustomer`, `UnknownCoupon`."""
    named = [people.find_customer(tx, deployment.keys, each) for each in sent.contacts]
    named.append(sent.customer_id)
    if sent.coupon is not None and not sent.contacts and sent.customer_id is None:
        # Only here does it say who bought: a coupon may be passed on.
        holder = coupons.holder_of(tx, deployment.keys, sent.coupon)
        if holder is None:
            raise UnknownCoupon()
        named.append(holder)
    return {people.customer_by_id(tx, each).id for each in named if each is not None}


def check_same(tx: Session, deployment: Deployment, order: Order, sent: OrderIn) -> None:
    """Whether an order that was reported before is reported again. Raises `OrderDiffers`."""
    differs = [
        name
        for name, differs in (
            ("amount", sent.amount != order.amount),
            ("currency", sent.currency != order.currency),
            ("customer", not _is_same_buyer(tx, deployment, order, sent)),
        )
        if differs
    ]
    if differs:
        raise OrderDiffers(fields=differs)


def _is_same_buyer(tx: Session, deployment: Deployment, order: Order, sent: OrderIn) -> bool:
    if not sent.names_buyer:
        return order.is_guest
    try:
        # A contact that was left alone may be somebody else's by now.
        buyer = people.customer_by_id(tx, order.customer_id).id
        return buyer in _named(tx, deployment, sent)
    except (UnknownCustomer, UnknownCoupon):
        return False


def _ordered_before(tx: Session, order: Order) -> Ordered:
    """The answer that an order got when it was first reported."""
    return Ordered(
        order,
        True,
        rewards.of_event(tx, order.event),
        rewards.withheld_of_event(tx, order.event),
        graph.referrer_of(tx, order.customer_id),
    )


def _campaign_for(
    tx: Session, sent: OrderIn, credited: int | None, buyer: int, at: datetime
) -> tuple[Campaign | None, Unpaid | None]:
    """The campaign that pays: the `credited` one if it ran for this order and buyer, else the
    newest that did; or why there is none."""
    running = [each for each in campaigns.running(tx, at) if each.pays_for_orders]
    if not running:
        return None, Unpaid.no_campaign
    running = [each for each in running if each.currency == sent.currency]
    if not running:
        return None, Unpaid.other_currency
    running = [each for each in running if _covers(each, sent.gtins)]
    if not running:
        return None, Unpaid.not_covered
    running = [each for each in running if _is_large_enough(each, sent.amount)]
    if not running:
        return None, Unpaid.too_small
    running.sort(key=lambda each: each.id != credited)
    is_for_her = (each for each in running if segments.is_open_to(tx, each, buyer, at))
    campaign = next(is_for_her, None)
    return (campaign, None) if campaign else (None, Unpaid.not_invited)


def _covers(campaign: Campaign, gtins: Sequence[str]) -> bool:
    """Whether one of the products that were bought is among the campaign's, as far as is known."""
    return not gtins or not campaign.gtins or not set(gtins).isdisjoint(campaign.gtins)


def _is_large_enough(campaign: Campaign, amount: int) -> bool:
    """Whether a campaign pays for orders of this amount, and no more of it than one may pay out."""
    rules = campaign.checked_rules
    is_paid = any(rule.when.of_orders and (rule.least or 0) <= amount for rule in rules)
    return is_paid and not payouts.of_order(rules, amount, campaign.worth).is_over


@transaction
def refund_order(tx: Session, deployment: Deployment, number: str, sent: RefundIn) -> Refunded:
    """Keep a refund of the order with that number, and take back its share of what was paid.

    Once all of the order is refunded, the coupon that it used is good again. A refund that was
    reported before gives the first answer. Raises `UnknownOrder`, `RefundDiffers`,
    `RefundTooLarge`.
    """
    # Not the order's row: whoever holds a customer may want that, and we want customers below.
    lock(tx, f"order|{number}")
    order = orders.order_by_number(tx, number)
    known = orders.find_refund(tx, order, sent.external_id)
    if known is not None:
        if known.amount != sent.amount:
            raise RefundDiffers()
        return Refunded(known, order, True, rewards.of_event(tx, order.event))
    orders.check_refund(order, sent.amount)
    now = deployment.clock.now()
    share = Fraction(order.refunded + sent.amount, order.amount)
    coupon = _coupon_to_return(tx, order, share, sent)
    cause = f"refund|{order.id}|{order.refunded + sent.amount}"
    reverse(tx, order.event, share, Reason.refunded, key=cause, now=now)
    if coupon is not None:
        make_good_for_refund(tx, coupon.coupon.id, order.external_id, now)
    made = orders.add_refund(tx, order, sent.external_id, sent.amount, now)
    return Refunded(made, order, False, rewards.of_event(tx, order.event))


def _coupon_to_return(tx: Session, order: Order, share: Fraction, sent: RefundIn) -> Held | None:
    """The coupon that is good again once this share of its order is refunded. Its holder is locked,
    in one line with those who have the order's rewards."""
    if share < 1 or not sent.coupon_back:
        return None
    used = returns.used_by(tx, order.external_id)
    if used is not None and used.holder is not None:
        for each in sorted({used.holder, *rewards.holders_of(tx, order.event)}):
            people.lock_customer(tx, each)
    return used
