"""Vouchers: a customer's own, those a till took, and all of them for staff."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral import stores
from referral.crypto import KeyRing
from referral.errors import Problem
from referral.people import Customer
from referral.redemption import items, vouchers
from referral.redemption.items import Item
from referral.redemption.tills import Till
from referral.redemption.vouchers import Voucher, VoucherState
from referral.reports import lists
from referral.reports.lists import PAGE, Listed
from referral.stores import Store


@dataclass(frozen=True)
class VoucherLine:
    voucher: Voucher
    item: Item
    store: str | None
    """The name of the store that accepted it."""
    till: str | None = None


def of_customer(
    tx: Session, customer_id: int, *, offset: int = 0, limit: int = PAGE
) -> Listed[VoucherLine]:
    """A customer's vouchers: those still good first, and of these the one that expires next."""
    open_first = sa.case((Voucher.state == VoucherState.issued, Voucher.expires_at))
    mine = (
        _joined()
        .where(Voucher.customer_id == customer_id)
        .order_by(open_first.is_(None), open_first, Voucher.id.desc())
    )
    return _listed(tx, mine, offset, limit)


def open_count(tx: Session, customer_id: int, now: datetime) -> int:
    """How many vouchers of a customer can be used now."""
    mine = sa.select(sa.func.count()).where(
        Voucher.customer_id == customer_id,
        Voucher.state == VoucherState.issued,
        Voucher.expires_at > now,
    )
    return tx.scalar(mine) or 0


def of_till(tx: Session, till_id: int, limit: int) -> Sequence[VoucherLine]:
    """What a till took last."""
    taken = _joined().where(Voucher.till_id == till_id).order_by(Voucher.accepted_at.desc())
    return _listed(tx, taken, 0, limit).rows


def one(tx: Session, voucher_id: int) -> VoucherLine:
    """Raises `UnknownVoucher`."""
    found = _listed(tx, _joined().where(Voucher.id == voucher_id), 0, 1).rows
    if not found:
        raise vouchers.UnknownVoucher()
    return found[0]


def all_of(
    tx: Session,
    *,
    state: str | None = None,
    store_id: int | None = None,
    item_id: int | None = None,
    offset: int = 0,
    limit: int = PAGE,
) -> Listed[VoucherLine]:
    """Newest first; of a state, the store that accepted them, or an item where that is given."""
    wanted = {Voucher.state: state, Voucher.store_id: store_id, Voucher.item_id: item_id}
    chosen = [column == value for column, value in wanted.items() if value is not None]
    return _listed(tx, _joined().where(*chosen).order_by(Voucher.id.desc()), offset, limit)


def _joined() -> sa.Select[Voucher, Item, str, str]:
    return (
        sa.select(Voucher, Item, Store.name, Till.name)
        .join(Item, Item.id == Voucher.item_id)
        .outerjoin(Store, Store.id == Voucher.store_id)
        .outerjoin(Till, Till.id == Voucher.till_id)
    )


def _listed(
    tx: Session, statement: sa.Select[Voucher, Item, str, str], offset: int, limit: int
) -> Listed[VoucherLine]:
    rows = tx.execute(statement.offset(offset).limit(limit + 1)).all()
    return lists.listed([VoucherLine(*row) for row in rows], offset, limit)


@dataclass(frozen=True)
class AtTill:
    """What a till is shown of a voucher."""

    line: VoucherLine
    name: str | None
    """The first letter of the customer's name; None without a name."""
    stores: list[str]
    """Where it is handed over instead; empty when here."""
    refused: type[Problem] | None
    """Why it cannot be accepted here and now."""


def at_till(tx: Session, keys: KeyRing, code: str | None, store: Store, now: datetime) -> AtTill:
    """Raises `UnknownVoucher`."""
    line = one(tx, vouchers.by_code(tx, keys, code).id)
    where = items.store_ids(tx, line.item.id)
    elsewhere = where if where and store.id not in where else []
    return AtTill(
        line=line,
        name=_first_letter(tx, keys, line.voucher.customer_id),
        stores=sorted(stores.names(tx, elsewhere).values()),
        refused=_refused(line.voucher, bool(elsewhere), now),
    )


def _refused(voucher: Voucher, is_elsewhere: bool, now: datetime) -> type[Problem] | None:
    if voucher.state == VoucherState.accepted:
        return vouchers.HandedOver
    if voucher.state == VoucherState.undone:
        return vouchers.VoucherUndone
    if not voucher.can_be_used(now):
        return vouchers.VoucherExpired
    return vouchers.OtherStore if is_elsewhere else None


def _first_letter(tx: Session, keys: KeyRing, customer_id: int) -> str | None:
    stored = tx.scalar(sa.select(Customer.name_encrypted).where(Customer.id == customer_id))
    name = keys.decrypt_if_any(stored)
    return name[:1] if name else None
