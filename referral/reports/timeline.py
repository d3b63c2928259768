"""What happened with a customer, newest first: one list out of all that is kept of her.

Each source is asked for as much as a page holds, by its own index, from where the last page ended;
so a page takes the same few statements however much there is.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Self

import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral.batches import Batch
from referral.campaigns import Campaign
from referral.catalog import Product
from referral.claims import Claim
from referral.complaints import Complaint, ComplaintMessage
from referral.crypto import KeyRing
from referral.graph import Referral, SpreadNode
from referral.orders import Order, Refund
from referral.people import Customer, Merge, Visitor
from referral.ratings import Rating
from referral.redemption.items import Item
from referral.redemption.vouchers import Voucher
from referral.rewards import Reward
from referral.risk.records import VerdictRow
from referral.rollups.sharers import Sharer

PAGE = 25
_ENCRYPTED = "comment_encrypted"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class What(StrEnum):
    """What happened. Of two things at one moment the later one in the alphabet comes first."""

    answered = "answered"
    """Staff wrote to her about a complaint."""
    brought = "brought"
    """Somebody she brought in bought for the first time."""
    claimed = "claimed"
    commented = "commented"
    """She said in words what she thinks of a package: when the words became what they are."""
    complained = "complained"
    handed_over = "handed_over"
    """She got what she had redeemed points for."""
    joined = "joined"
    judged = "judged"
    """The risk rules did not let a purchase of hers pass at once."""
    merged = "merged"
    opened = "opened"
    ordered = "ordered"
    rated = "rated"
    """She gave a package a score, for the first time; told is the one it has now."""
    redeemed = "redeemed"
    refunded = "refunded"
    rewarded = "rewarded"
    shared = "shared"
    wrote_back = "wrote_back"
    """She wrote again about a complaint."""


@dataclass(frozen=True)
class Place:
    """A place in the list: behind this one the next page begins."""

    at: datetime
    what: What
    number: int

    def __str__(self) -> str:
        return f"{(self.at - _EPOCH) // timedelta(microseconds=1)}.{self.what}.{self.number}"

    @classmethod
    def read(cls, text: str) -> Self | None:
        """None for anything that is no place."""
        at, _, rest = text.partition(".")
        what, _, number = rest.partition(".")
        is_number = all(
            each.isascii() and each.isdigit() and len(each) < 20 for each in (at, number)
        )
        if not is_number or what not in set(What) or int(number) >= 1 << 63:
            return None
        try:
            return cls(_EPOCH + timedelta(microseconds=int(at)), What(what), int(number))
        except OverflowError:
            return None


@dataclass(frozen=True)
class Happening:
    """`about` has what the source says of it, by the names of its columns; what is kept encrypted
    is readable here."""

    at: datetime
    what: What
    number: int
    about: Mapping[str, Any]

    @property
    def place(self) -> Place:
        return Place(self.at, self.what, self.number)


@dataclass(frozen=True)
class Timeline:
    rows: list[Happening]
    next: Place | None
    """Behind which the next page begins; None on the last."""

    def customers(self) -> Iterator[int]:
        """The other customers who are mentioned."""
        for row in self.rows:
            for name in ("friend", "sharer"):
                if row.about.get(name) is not None:
                    yield row.about[name]

    def campaigns(self) -> Iterator[int]:
        for row in self.rows:
            if row.about.get("campaign_id") is not None:
                yield row.about["campaign_id"]


def timeline(
    tx: Session, keys: KeyRing, customer_id: int, *, after: Place | None = None, limit: int = PAGE
) -> Timeline:
    """What happened with a customer who has not gone into another one."""
    found = [
        Happening(row.at, what, row.number, row._asdict())
        for what, source in _SOURCES.items()
        for row in tx.execute(_page(source(customer_id), what, after, limit + 1))
    ]
    found.sort(key=lambda each: (each.at, each.what, each.number), reverse=True)
    shown = [_readable(keys, each) for each in found[:limit]]
    return Timeline(shown, shown[-1].place if len(found) > limit else None)


def _readable(keys: KeyRing, happening: Happening) -> Happening:
    about = dict(happening.about)
    encrypted = about.pop(_ENCRYPTED, None)
    if encrypted is None:
        return happening
    return replace(happening, about={**about, "comment": keys.decrypt(encrypted)})


def _page(source: sa.Select[Any], what: What, after: Place | None, limit: int) -> sa.Select[Any]:
    at, number = (source.selected_columns[name] for name in ("at", "number"))
    if after is not None:
        earlier = at < after.at
        if what < after.what:
            earlier = at <= after.at
        elif what == after.what:
            earlier = sa.or_(earlier, sa.and_(at == after.at, number < after.number))
        source = source.where(earlier)
    return source.order_by(at.desc(), number.desc()).limit(limit)


# Where it is kept


def _of(at: Any, number: Any, *columns: Any) -> sa.Select[Any]:
    return sa.select(at.label("at"), number.label("number"), *columns)


def _claimed(customer: int) -> sa.Select[Any]:
    columns = (Claim.batch_id, Claim.index, Claim.campaign_id, Product.name.label("product"))
    return (
        _of(Claim.at, Claim.id, *columns)
        .join(Batch, Batch.id == Claim.batch_id)
        .join(Product, Product.id == Batch.product_id)
        .where(Claim.customer_id == customer)
    )


def _ordered(customer: int) -> sa.Select[Any]:
    columns = (Order.external_id, Order.amount, Order.currency, Order.campaign_id)
    return _of(Order.at, Order.id, *columns).where(Order.customer_id == customer)


def _refunded(customer: int) -> sa.Select[Any]:
    columns = (Refund.amount, Order.currency, Refund.order_id, Order.external_id)
    joined = _of(Refund.at, Refund.id, *columns).join(Order, Order.id == Refund.order_id)
    return joined.where(Order.customer_id == customer)


def _rewarded(customer: int) -> sa.Select[Any]:
    columns = (Reward.amount, Reward.unit, Reward.state, Reward.rule, Reward.depth)
    rows = _of(Reward.granted_at, Reward.id, *columns, Reward.campaign_id)
    return rows.where(Reward.holder_id == customer)


def _brought(customer: int) -> sa.Select[Any]:
    friend = Referral.customer_id
    rows = _of(Referral.at, friend, friend.label("friend"), Referral.campaign_id)
    return rows.where(Referral.referrer_id == customer)


def _opened(customer: int) -> sa.Select[Any]:
    sharer = sa.orm.aliased(Visitor)
    return (
        _of(SpreadNode.at, SpreadNode.visitor_id, SpreadNode.campaign_id)
        .add_columns(SpreadNode.channel, sharer.customer_id.label("sharer"))
        .join(Visitor, Visitor.id == SpreadNode.visitor_id)
        .outerjoin(sharer, sharer.id == SpreadNode.touched_by)
        .where(Visitor.customer_id == customer, SpreadNode.touched_by.is_not(None))
    )


def _shared(customer: int) -> sa.Select[Any]:
    # By the key of the sharers, which begins with the campaign: there are few of those.
    return (
        _of(Sharer.at, Sharer.visitor_id, Sharer.campaign_id)
        .select_from(Visitor)
        .join(Campaign, sa.true())
        .join(Sharer, sa.and_(Sharer.campaign_id == Campaign.id, Sharer.visitor_id == Visitor.id))
        .where(Visitor.customer_id == customer)
    )


def _redeemed(customer: int) -> sa.Select[Any]:
    return _voucher(Voucher.issued_at, customer)


def _handed_over(customer: int) -> sa.Select[Any]:
    return _voucher(Voucher.accepted_at, customer).where(Voucher.accepted_at.is_not(None))


def _voucher(at: Any, customer: int) -> sa.Select[Any]:
    columns = (Item.titles, Voucher.amount, Voucher.unit, Voucher.state)
    rows = _of(at, Voucher.id, *columns).join(Item, Item.id == Voucher.item_id)
    return rows.where(Voucher.customer_id == customer)


def _judged(customer: int) -> sa.Select[Any]:
    columns = (VerdictRow.score, VerdictRow.decision, VerdictRow.case_state, VerdictRow.event)
    rows = _of(VerdictRow.at, VerdictRow.id, *columns, VerdictRow.campaign_id)
    return rows.where(VerdictRow.customer_id == customer, VerdictRow.case_state.is_not(None))


def _merged(customer: int) -> sa.Select[Any]:
    rows = _of(Merge.at, Merge.id, Merge.gone_id, Merge.reason)
    return rows.where(Merge.kept_id == customer)


def _complained(customer: int) -> sa.Select[Any]:
    rows = _of(Complaint.opened_at, Complaint.id, Complaint.kind, Complaint.state)
    return rows.where(Complaint.customer_id == customer)


def _answered(customer: int) -> sa.Select[Any]:
    return _written(customer).where(ComplaintMessage.staff_id.is_not(None))


def _wrote_back(customer: int) -> sa.Select[Any]:
    # The first message is the complaint itself.
    earlier = sa.orm.aliased(ComplaintMessage)
    is_reply = sa.exists().where(
        earlier.complaint_id == ComplaintMessage.complaint_id, earlier.id < ComplaintMessage.id
    )
    return _written(customer).where(ComplaintMessage.staff_id.is_(None), is_reply)


def _written(customer: int) -> sa.Select[Any]:
    rows = _of(ComplaintMessage.at, ComplaintMessage.id, ComplaintMessage.complaint_id)
    joined = rows.join(Complaint, Complaint.id == ComplaintMessage.complaint_id)
    return joined.where(Complaint.customer_id == customer)


def _rated(customer: int) -> sa.Select[Any]:
    return _rating(Rating.at, customer)


def _commented(customer: int) -> sa.Select[Any]:
    rows = _rating(Rating.commented_at, customer).add_columns(Rating.comment_encrypted)
    return rows.where(Rating.commented_at.is_not(None))


def _rating(at: Any, customer: int) -> sa.Select[Any]:
    columns = (Rating.score, Claim.batch_id, Claim.index, Product.name.label("product"))
    return (
        _of(at, Rating.claim_id, *columns)
        .join(Claim, Claim.id == Rating.claim_id)
        .join(Product, Product.id == Rating.product_id)
        .where(Claim.customer_id == customer)
    )


def _joined(customer: int) -> sa.Select[Any]:
    return _of(Customer.created_at, Customer.id).where(Customer.id == customer)


_SOURCES: Mapping[What, Callable[[int], sa.Select[Any]]] = {
    What.answered: _answered,
    What.brought: _brought,
    What.claimed: _claimed,
    What.commented: _commented,
    What.complained: _complained,
    What.handed_over: _handed_over,
    What.joined: _joined,
    What.judged: _judged,
    What.merged: _merged,
    What.opened: _opened,
    What.ordered: _ordered,
    What.rated: _rated,
    What.redeemed: _redeemed,
    What.refunded: _refunded,
    What.rewarded: _rewarded,
    What.shared: _shared,
    What.wrote_back: _wrote_back,
}
