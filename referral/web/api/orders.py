"""Orders and refunds: purchases, and their undoing, as the brand's shop system reports them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from referral import actions, campaigns, graph, orders, people, rewards
from referral.actions import Ordered
from referral.actions.touching import ViaReason
from referral.coupons import UnknownCoupon
from referral.orders import (
    ACCEPTED,
    BadOrderTime,
    Order,
    OrderDiffers,
    OrderIn,
    Refund,
    RefundDiffers,
    RefundIn,
    RefundTooLarge,
    UnknownOrder,
    Unpaid,
)
from referral.people import CustomerExists, UnknownCustomer
from referral.reports import orders as report
from referral.rewards import Reward, RewardState, Withheld
from referral.web.api.claims import RewardOut
from referral.web.api.endpoint import Output, get, post
from referral.web.api.paging import Page, following
from referral.web.api.reading import Id
from referral.web.context import deployment


class OrderOut(Output):
    """An order."""

    external_id: str
    """The shop's number of it."""
    customer_id: int
    guest: bool
    """Whether the shop did not say who bought."""
    amount: int
    """In minor units of the currency."""
    currency: str
    refunded: int
    """What of it was given back."""
    gtins: list[str]
    campaign: str | None
    """The slug of the campaign whose rules it falls under; null for none."""
    unpaid: Unpaid | None
    """Why nothing was paid or promised for it."""
    at: datetime
    """When it was placed."""
    reported_at: datetime


class OrderRewardOut(RewardOut):
    """What a rule of the campaign granted somebody for this order."""

    taken_back: int
    """What of the amount was taken back since."""


class OrderWithheldOut(Output):
    """What a rule of the campaign promised somebody for this order and did not grant."""

    customer_id: int
    """To whom: by now, where that one was merged into another."""
    rule: str
    why: str
    """One word, such as `budget_spent`, `limit_reached` or `no_win`."""


class OrderedOut(Output):
    """An order and what it brought."""

    order: OrderOut
    customer_id: int
    """Who bought: for a guest, and for a member id or phone number that was new, a new customer."""
    referrer_id: int | None
    """Who brought the customer in; settled at the first claim or order, then fixed."""
    already: bool
    """Whether the order had been reported before."""
    rewards: list[OrderRewardOut]
    """The customer's own and the referrer's."""
    withheld: list[OrderWithheldOut]
    via: Literal["accepted", "ignored"] | None
    """What became of the link that was sent. The order stands in any case."""
    via_reason: ViaReason | None
    """Why it was ignored."""


class RefundOut(Output):
    """A part or all of an order that was given back."""

    external_id: str
    amount: int
    """In minor units of the order's currency."""
    at: datetime
    """When it was reported."""


class WholeOrderOut(OrderedOut):
    """An order, what it brought and what was refunded of it."""

    refunds: list[RefundOut]


class RefundedOut(Output):
    """A refund, and what its order's rewards have become."""

    refund: RefundOut
    order: OrderOut
    already: bool
    """Whether the refund had been reported before."""
    rewards: list[OrderRewardOut]


class OrderList(Output):
    """A page of orders, newest first."""

    items: list[OrderOut]
    next: str | None


class OrderQuery(Page):
    customer_id: Id | None = None
    """The orders of one customer."""


@post(
    "/orders",
    body=OrderIn,
    answer=OrderedOut,
    statuses={201: "Kept", 200: "Reported before"},
    problems=[BadOrderTime, CustomerExists, OrderDiffers, UnknownCoupon, UnknownCustomer],
)
def add_order(body: OrderIn) -> tuple[OrderedOut, int]:
    """Report an order.

    The customer, and whoever brought the customer in, get what the campaign promises for it. Say
    who bought by `customer_id`, `member_id` or `phone`, which together have to mean one person, or
    by the `coupon` alone.
    The same number again changes nothing and answers with what the order brought.
    """
    ordered = actions.place_order(deployment(), body)
    return _ordered(ordered), 200 if ordered.already else 201


@get("/orders", query=OrderQuery, answer=OrderList)
def list_orders(query: OrderQuery) -> OrderList:
    """List orders.

    The latest reported first.
    """
    with deployment().db.read() as tx:
        found = report.listed(
            tx, customer_id=query.customer_id, offset=query.offset, limit=query.size
        )
    items = [_shown(line.order, line.campaign_slug) for line in found.rows]
    return OrderList(items=items, next=following(found))


@get("/orders/<path:external_id>", answer=WholeOrderOut, problems=[UnknownOrder])
def get_order(external_id: str) -> WholeOrderOut:
    """Get an order.

    With its refunds, and what its rewards have become.
    """
    with deployment().db.read() as tx:
        order = orders.order_by_number(tx, external_id)
        found = Ordered(
            order,
            True,
            rewards.of_event(tx, order.event),
            rewards.withheld_of_event(tx, order.event),
            graph.referrer_of(tx, order.customer_id),
        )
        refunds = [_refund(each) for each in orders.refunds_of(tx, order)]
        return WholeOrderOut(**_ordered(found).model_dump(), refunds=refunds)


@post(
    "/orders/<path:external_id>/refunds",
    body=RefundIn,
    answer=RefundedOut,
    statuses={201: "Kept", 200: "Reported before"},
    problems=[UnknownOrder, RefundDiffers, RefundTooLarge],
)
def add_refund(external_id: str, body: RefundIn) -> tuple[RefundedOut, int]:
    """Report a refund.

    Everybody who was paid for the order gives back the share that was refunded: out of what is on
    hold, out of the wallet, or out of what comes next. The same number again changes nothing.
    """
    found = actions.refund_order(deployment(), external_id, body)
    said = RefundedOut(
        refund=_refund(found.refund),
        order=_shown(found.order, _slug(found.order)),
        already=found.already,
        rewards=[_reward(each) for each in found.rewards],
    )
    return said, 200 if found.already else 201


def _ordered(ordered: Ordered) -> OrderedOut:
    order = ordered.order
    ignored = ViaReason(order.via) if order.via and order.via != ACCEPTED else None
    return OrderedOut(
        order=_shown(order, _slug(order)),
        customer_id=order.customer_id,
        referrer_id=ordered.referrer,
        already=ordered.already,
        rewards=[_reward(each) for each in ordered.rewards],
        withheld=_withheld(ordered.withheld),
        via=None if order.via is None else "ignored" if ignored else "accepted",
        via_reason=ignored,
    )


def _slug(order: Order) -> str | None:
    if order.campaign_id is None:
        return None
    with deployment().db.read() as tx:
        campaign = campaigns.campaign_by_id(tx, order.campaign_id)
    return campaign.slug if campaign else None


def _shown(order: Order, campaign: str | None) -> OrderOut:
    return OrderOut(
        external_id=order.external_id,
        customer_id=order.customer_id,
        guest=order.is_guest,
        amount=order.amount,
        currency=order.currency,
        refunded=order.refunded,
        gtins=order.gtins,
        campaign=campaign,
        unpaid=Unpaid(order.unpaid) if order.unpaid else None,
        at=order.at,
        reported_at=order.reported_at,
    )


def _refund(refund: Refund) -> RefundOut:
    return RefundOut(external_id=refund.external_id, amount=refund.amount, at=refund.at)


def _reward(reward: Reward) -> OrderRewardOut:
    return OrderRewardOut(
        customer_id=reward.holder_id,
        rule=reward.rule,
        unit=reward.unit,
        amount=reward.amount,
        state=RewardState(reward.state),
        available_at=reward.available_at,
        taken_back=reward.taken_back,
    )


def _withheld(withheld: Sequence[Withheld]) -> list[OrderWithheldOut]:
    if not withheld:
        return []
    with deployment().db.read() as tx:
        now = people.current(tx, {each.beneficiary_id for each in withheld})
    return [
        OrderWithheldOut(customer_id=now[each.beneficiary_id], rule=each.rule, why=each.why)
        for each in withheld
    ]
