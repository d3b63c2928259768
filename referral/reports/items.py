"""The catalogue of items: as one customer sees it, and as staff do."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral import stores
from referral.redemption import items
from referral.redemption.items import Item
from referral.redemption.vouchers import Voucher, VoucherState
from referral.reports import lists
from referral.reports.lists import PAGE, Listed
from referral.rewards import wallets

OFFERS_MAX = 200


@dataclass(frozen=True)
class Offer:
    """An item, as far as one customer can have it."""

    item: Item
    missing: int
    """How many points are missing for it, with those owed, which are paid first; 0 when there are
    enough or none are needed."""
    won: int
    """How many of it the customer has won and not yet taken."""
    won_until: datetime | None
    """When the first of those expires, which counts and not the item's end; None for never."""
    has_begun: bool
    is_over: bool
    is_enough: bool
    """Whether the customer has had as many for points as one person gets."""
    stores: list[str]
    """The names of the stores that hand it over; empty for all."""

    @property
    def can_be_had(self) -> bool:
        is_there = self.has_begun and self.item.stock > 0
        for_points = self.item.price is not None and not self.missing and not self.is_enough
        return is_there and (self.won > 0 or (for_points and not self.is_over))


def offers(tx: Session, customer_id: int, now: datetime) -> list[Offer]:
    """What a customer can have, or could: what was won first, then what is cheapest."""
    held = wallets.spendable(tx, customer_id, now)
    won = [slug for unit, amount in held.items() if amount and (slug := items.slug_of(unit))]
    found = tx.scalars(
        sa.select(Item)
        .where(sa.or_(Item.ends_at.is_(None), Item.ends_at > now, Item.slug.in_(won)))
        .where(sa.or_(Item.price.is_not(None), Item.slug.in_(won)))
        .order_by(Item.slug.not_in(won), Item.price, Item.id)
        .limit(OFFERS_MAX)
    ).all()
    return _offers(tx, customer_id, found, held, now)


def offer(tx: Session, customer_id: int, slug: str, now: datetime) -> Offer:
    """One of them, also one that is over. Raises `UnknownItem`."""
    item = items.item_by_slug(tx, slug)
    held = wallets.spendable(tx, customer_id, now)
    if item.price is None and not held.get(item.unit):
        raise items.UnknownItem()
    return _offers(tx, customer_id, [item], held, now)[0]


def _offers(
    tx: Session, customer_id: int, found: Sequence[Item], held: dict[str, int], now: datetime
) -> list[Offer]:
    had = _had(tx, customer_id)
    where = items.store_ids_of(tx, [item.id for item in found])
    names = stores.names(tx, [store_id for ids in where.values() for store_id in ids])
    points = held.get("points", 0) - wallets.debt_of(tx, customer_id, "points")
    until = wallets.first_expiry(tx, customer_id, now)
    return [
        Offer(
            item=item,
            missing=0 if item.price is None else max(0, item.price - points),
            won=held.get(item.unit, 0),
            won_until=until.get(item.unit),
            has_begun=item.has_begun(now),
            is_over=item.is_over(now),
            is_enough=item.per_person is not None and had[item.id] >= item.per_person,
            stores=sorted(names[store_id] for store_id in where.get(item.id, [])),
        )
        for item in found
    ]


def _had(tx: Session, customer_id: int) -> Counter[int]:
    """How many of each item a customer has had for points and not given back."""
    rows = tx.execute(
        sa.select(Voucher.item_id, sa.func.count())
        .where(Voucher.customer_id == customer_id, Voucher.unit == "points")
        .where(Voucher.state.in_([VoucherState.issued, VoucherState.accepted]))
        .group_by(Voucher.item_id)
    )
    return Counter(dict(rows.all()))


def store_names(tx: Session, item_id: int) -> list[str]:
    """The names of the stores that hand an item over; empty for all."""
    return sorted(stores.names(tx, items.store_ids(tx, item_id)).values())


@dataclass(frozen=True)
class ItemLine:
    """An item, and how many vouchers for it are in which state."""

    item: Item
    stores: list[str]
    """The short names of the stores that hand it over; empty for all."""
    vouchers: Counter[str] = field(default_factory=Counter)


def lines(tx: Session, *, offset: int = 0, limit: int = PAGE) -> Listed[ItemLine]:
    """Newest first."""
    rows = tx.scalars(sa.select(Item).order_by(Item.id.desc()).offset(offset).limit(limit + 1))
    page = lists.listed(rows.all(), offset, limit)
    return Listed(_lines(tx, page.rows), page.next)


def line(tx: Session, slug: str) -> ItemLine:
    """Raises `UnknownItem`."""
    return _lines(tx, [items.item_by_slug(tx, slug)])[0]


def _lines(tx: Session, found: Sequence[Item]) -> list[ItemLine]:
    ids = [item.id for item in found]
    counted: dict[int, Counter[str]] = {item_id: Counter() for item_id in ids}
    rows = tx.execute(
        sa.select(Voucher.item_id, Voucher.state, sa.func.count())
        .where(Voucher.item_id.in_(ids))
        .group_by(Voucher.item_id, Voucher.state)
    )
    for item_id, state, count in rows:
        counted[item_id][state] = count
    where = items.store_ids_of(tx, ids)
    slugs = stores.slugs(tx, [store_id for each in where.values() for store_id in each])
    return [
        ItemLine(item, sorted(slugs[each] for each in where.get(item.id, [])), counted[item.id])
        for item in found
    ]


def choices(tx: Session) -> Sequence[Item]:
    """Every item, by short name."""
    return tx.scalars(sa.select(Item).order_by(Item.slug)).all()
