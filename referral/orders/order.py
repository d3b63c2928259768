"""Orders and refunds: purchases, and their undoing, as the brand's shop system reports them.

The shop's own number of an order is what makes it one order however often it is reported; the
refunds of an order have numbers of their own.
"""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Self

import sqlalchemy as sa
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)
from sqlalchemy.orm import Mapped, Session, mapped_column

from referral import people
from referral.catalog import PRICE_MAX, Currency
from referral.db import Base, RowId, insert_new_id, run
from referral.errors import N_, Conflict, InvalidInput, NotFound
from referral.gs1.gtin import BadGTIN, gtin14
from referral.people import EXTERNAL_ID_LENGTH_MAX, BadContact, Contact

NUMBER_LENGTH_MAX = 120
"""Of the shop's number of an order or a refund."""
AMOUNT_MAX = PRICE_MAX
"""Of an order, in minor units."""
GTINS_MAX = 100
PHONE_LENGTH_MAX = 40
COUPON_LENGTH_MAX = 80
VIA_LENGTH_MAX = 2_000
AGE_MAX = timedelta(days=366)
"""How long ago an order may have been placed."""
AHEAD_MAX = timedelta(minutes=5)
"""How far the shop's clock may be ahead of ours."""
ACCEPTED = "accepted"
_ID_MAX = 2**63 - 1


def _shop_number(text: str) -> str:
    if not text.isprintable():
        raise ValueError("It has characters that cannot be seen.")
    if any(part in {"", ".", ".."} for part in text.split("/")):
        raise ValueError("It stands in an address: nothing between slashes may be empty or dots.")
    return text


ShopNumber = Annotated[
    str, Field(min_length=1, max_length=NUMBER_LENGTH_MAX), AfterValidator(_shop_number)
]
"""What the shop calls an order or a refund."""


class _Sent(BaseModel):
    """What the shop's system sends. A field nobody knows is refused."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        str_strip_whitespace=True,
        use_attribute_docstrings=True,
        frozen=True,
    )


class OrderIn(_Sent):
    """An order, and who placed it: whichever of the five ways of saying so the shop has."""

    external_id: ShopNumber
    """The shop's number of the order; the same number again is the same order."""
    customer_id: int | None = Field(default=None, ge=1, le=_ID_MAX)
    """The customer's number here."""
    member_id: str | None = Field(default=None, min_length=1, max_length=EXTERNAL_ID_LENGTH_MAX)
    """The brand's own number of the customer. One that is new here makes a customer; beside one
    who is known it is left alone."""
    phone: str | None = Field(default=None, min_length=1, max_length=PHONE_LENGTH_MAX)
    """In E.164, or as it is dialled in China. One that is new here makes a customer; beside one
    who is known it is left alone: the shop's word does not let anybody sign in as somebody."""
    coupon: str | None = Field(default=None, min_length=1, max_length=COUPON_LENGTH_MAX)
    """The code of a coupon, which the order uses. Alone, the buyer is whoever was given it here.
    Beside another of these it says nothing of the buyer, since a coupon may be passed on; and one
    that nobody was given here is left alone."""
    via: str | None = Field(default=None, max_length=VIA_LENGTH_MAX)
    """The token of the share link that led to the order. Alone, the buyer is a guest: a customer
    without a name, brought in along the link. Beside a customer it counts as an opening of the
    link."""
    amount: int = Field(gt=0, le=AMOUNT_MAX)
    """What was paid and counts for rewards, in minor units; what should not count, such as
    postage, is left out of it."""
    currency: Currency = Field(examples=["CNY"])
    """ISO 4217."""
    at: AwareDatetime | None = None
    """When it was placed: within the last 366 days. Left out: now."""
    gtins: list[str] = Field(default_factory=list, max_length=GTINS_MAX)
    """What was bought. A campaign for certain products pays if one of them is among these, or
    where these are left out."""

    @field_validator("gtins")
    @classmethod
    def _normal_gtins(cls, gtins: list[str]) -> list[str]:
        try:
            return sorted({gtin14(gtin) for gtin in gtins})
        except BadGTIN as error:
            raise ValueError("A GTIN has 8, 12, 13 or 14 digits with a right last one.") from error

    @field_validator("member_id")
    @classmethod
    def _member(cls, text: str | None) -> str | None:
        try:
            return people.external(text).value if text is not None else None
        except BadContact as error:
            raise ValueError("It has characters that cannot be seen.") from error

    @field_validator("phone")
    @classmethod
    def _number(cls, text: str | None) -> str | None:
        try:
            return people.phone(text).value if text is not None else None
        except BadContact as error:
            raise ValueError("This is not a phone number, such as +86 138 0013 8000.") from error

    @model_validator(mode="after")
    def _of_somebody(self) -> Self:
        if not self.names_buyer and self.via is None:
            raise ValueError("Say whose it is: send customer_id, member_id, phone, coupon or via.")
        return self

    @property
    def names_buyer(self) -> bool:
        """Whether it says who bought, and not only through whose link."""
        return any(
            each is not None for each in (self.customer_id, self.member_id, self.phone, self.coupon)
        )

    @property
    def contacts(self) -> list[Contact]:
        """The identities of the buyer that it names."""
        member = [people.external(self.member_id)] if self.member_id is not None else []
        return [*member, *([people.phone(self.phone)] if self.phone is not None else [])]


class RefundIn(_Sent):
    """A part or all of an order that was given back."""

    external_id: ShopNumber
    """The shop's number of the refund; the same number again, of the same order, is the same."""
    amount: int = Field(gt=0, le=AMOUNT_MAX)
    """In minor units of the order's currency."""
    coupon_back: bool = True
    """Whether the coupon that the order used is good again once all of the order is refunded, if it
    has not expired. Said with the refund that makes it all."""


class Unpaid(StrEnum):
    """Why nothing was paid or promised for an order."""

    no_campaign = "no-campaign"
    """None that pays for orders ran then."""
    other_currency = "other-currency"
    """Those that ran are in another currency."""
    not_covered = "not-covered"
    """Those that ran are for other products."""
    too_small = "too-small"
    """Those that ran pay for larger orders only."""
    not_invited = "not-invited"
    """Those that ran are for the customers of a segment, and the buyer is not among them."""
    not_promised = "not-promised"
    """The one that ran pays for other orders, such as a customer's first."""


class Order(Base):
    """A purchase the shop reported. The unique key on its number makes it one order."""

    __tablename__ = "orders"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    external_id: Mapped[str] = mapped_column(sa.String(NUMBER_LENGTH_MAX), unique=True)
    customer_id: Mapped[int] = mapped_column(sa.ForeignKey("customers.id"), index=True)
    is_guest: Mapped[bool]
    """Whether the shop did not say who bought."""
    campaign_id: Mapped[int | None] = mapped_column(sa.ForeignKey("campaigns.id"), index=True)
    """The campaign whose rules it falls under, if any."""
    amount: Mapped[int] = mapped_column(sa.BigInteger)
    """In minor units of `currency`."""
    currency: Mapped[str] = mapped_column(sa.String(3))
    refunded: Mapped[int] = mapped_column(sa.BigInteger)
    """The sum of its refunds."""
    gtins: Mapped[list[Any]]
    """What was bought, where the shop says so."""
    via: Mapped[str | None] = mapped_column(sa.String(24))
    """What became of the link that was sent along: `ACCEPTED`, or why it was ignored; None without
    a link."""
    unpaid: Mapped[str | None] = mapped_column(sa.String(24))
    """Why nothing was paid or promised: an `Unpaid`."""
    at: Mapped[datetime]
    """When it was placed, by the shop's word."""
    reported_at: Mapped[datetime] = mapped_column(index=True)

    __table_args__ = (
        sa.CheckConstraint("amount > 0", name="amount_positive"),
        sa.CheckConstraint("refunded BETWEEN 0 AND amount", name="refunded_within_amount"),
        sa.CheckConstraint(
            "campaign_id IS NOT NULL OR unpaid IS NOT NULL", name="paid_or_says_why"
        ),
    )

    @property
    def event(self) -> str:
        """The order's name in rewards and the ledger."""
        return f"order:{self.id}"


class Refund(Base):
    """Some of an order that was given back. One number is one refund of its order."""

    __tablename__ = "refunds"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    order_id: Mapped[int] = mapped_column(sa.ForeignKey("orders.id"))
    external_id: Mapped[str] = mapped_column(sa.String(NUMBER_LENGTH_MAX))
    amount: Mapped[int] = mapped_column(sa.BigInteger)
    at: Mapped[datetime]
    """When it was reported."""

    __table_args__ = (
        sa.UniqueConstraint("order_id", "external_id"),
        sa.CheckConstraint("amount > 0", name="amount_positive"),
    )


class UnknownOrder(NotFound):
    slug = "unknown-order"
    title = N_("We do not know this order.")
    advice = N_("Report the order first, then its refund; and check the number.")


class OrderDiffers(Conflict):
    """`details` have the `fields` in which it differs."""

    slug = "order-differs"
    title = N_("There is an order with this number that says something else.")
    advice = N_("An order is not changed. Report a refund for what was given back, or a new order.")


class RefundDiffers(Conflict):
    slug = "refund-differs"
    title = N_("There is a refund with this number of another amount.")
    advice = N_("Give every refund of an order a number of its own.")


class RefundTooLarge(Conflict):
    """`details` have what is `left` of the order to refund."""

    slug = "refund-too-large"
    title = N_("That is more than what is left of the order.")
    advice = N_("The refunds of an order add up to its amount at most.")


class BadOrderTime(InvalidInput):
    slug = "bad-order-time"
    title = N_("An order cannot have been placed at this time.")
    advice = N_("Send when it was placed: not ahead, and not longer ago than 366 days.")


def check_time(at: datetime, now: datetime) -> None:
    """Raises `BadOrderTime`."""
    if not now - AGE_MAX <= at <= now + AHEAD_MAX:
        raise BadOrderTime(errors=[{"field": "at", "message": BadOrderTime.advice}])


_FIND = sa.select(Order).where(Order.external_id == sa.bindparam("number"))


def find_order(tx: Session, external_id: str) -> Order | None:
    """The order with the shop's number."""
    return tx.scalar(_FIND, {"number": external_id})


def order_by_number(tx: Session, external_id: str) -> Order:
    """Raises `UnknownOrder`."""
    order = find_order(tx, external_id)
    if order is None:
        raise UnknownOrder()
    return order


def order_by_id(tx: Session, order_id: int) -> Order:
    """Raises `UnknownOrder`."""
    order = tx.get(Order, order_id)
    if order is None:
        raise UnknownOrder()
    return order


def id_of(event: str) -> int | None:
    """The number of the order that an event is; None for another proof of purchase."""
    kind, _, number = event.partition(":")
    return int(number) if kind == "order" else None


def add_order(tx: Session, row: dict[str, Any]) -> Order | None:
    """Keep an order; None when there is one with its number."""
    row = {"refunded": 0, **row}
    order_id = insert_new_id(tx, Order, row)
    return None if order_id is None else tx.get_one(Order, order_id)


def events_of(tx: Session, customer_id: int) -> list[str]:
    """The names of a customer's orders in rewards and the ledger."""
    numbers = tx.scalars(sa.select(Order.id).where(Order.customer_id == customer_id))
    return [f"order:{number}" for number in sorted(numbers)]


def hand_over(tx: Session, gone: int, kept: int) -> list[int]:
    """Make one customer's orders the other's, who is the same person. Returns their numbers."""
    return people.moved(tx, Order, gone, kept)


def find_refund(tx: Session, order: Order, external_id: str) -> Refund | None:
    return tx.scalar(
        sa.select(Refund).where(Refund.order_id == order.id, Refund.external_id == external_id)
    )


def refunds_of(tx: Session, order: Order) -> list[Refund]:
    """An order's refunds, in their order."""
    of_order = sa.select(Refund).where(Refund.order_id == order.id)
    return list(tx.scalars(of_order.order_by(Refund.id)))


def check_refund(order: Order, amount: int, *, also: int = 0) -> None:
    """Raises `RefundTooLarge`; `also` was refunded besides what the order knows."""
    left = order.amount - order.refunded - also
    if amount > left:
        raise RefundTooLarge(f"{left} is left of {order.amount}.", left=left)


_REFUND = (
    sa.update(Order)
    .where(Order.id == sa.bindparam("of_order"))
    .where(Order.refunded + sa.bindparam("more") <= Order.amount)
    .values(refunded=Order.refunded + sa.bindparam("more"))
)


def add_refund(tx: Session, order: Order, external_id: str, amount: int, now: datetime) -> Refund:
    """Keep a refund, which is new, and count it. Raises `RefundTooLarge`."""
    check_refund(order, amount)
    if run(tx, _REFUND, of_order=order.id, more=amount).rowcount != 1:
        raise RefundTooLarge(left=0)
    row = {"order_id": order.id, "external_id": external_id, "amount": amount, "at": now}
    refund_id = insert_new_id(tx, Refund, row)
    assert refund_id is not None, "the order is locked, so nobody else refunds it"
    tx.refresh(order)
    return tx.get_one(Refund, refund_id)
