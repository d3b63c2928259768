"""Redemption: points, or a right that was won, become a voucher; a store accepts it; staff undo it.

Locks are taken in one order everywhere: the customer, the voucher, the item, the ledger's accounts.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from referral import audit, ledger, people, pictures, stores
from referral.db import transaction
from referral.deployment import Deployment
from referral.errors import N_, Conflict, Unavailable
from referral.idempotency import IdempotencyMismatch
from referral.ledger import Kind
from referral.redemption import items, tills, vouchers
from referral.redemption.items import Item, ItemDraft, ItemTerms
from referral.redemption.tills import Till, UnknownTill
from referral.redemption.vouchers import Voucher, VoucherState
from referral.rewards import wallets

log = logging.getLogger(__name__)
EXPIRE_BATCH = 200
_CHANGES_NOTED = ("price", "value", "currency", "starts_at", "ends_at", "per_person")
"""What of an item's terms is kept in the audit log when it changes."""


class NotEnoughPoints(Conflict):
    slug = "not-enough-points"
    title = N_("There are not enough points for this yet.")
    advice = N_("Nothing was taken from you. Points that are on their way count once they arrive.")


class OnlyWon(Conflict):
    slug = "only-won"
    title = N_("This cannot be had for points.")
    advice = N_("It is only given where a campaign promises it.")


class EnoughOfThese(Conflict):
    slug = "enough-of-these"
    title = N_("You have had as many of these as one person gets.")
    advice = N_("Nothing was taken from you. Please choose something else.")


class PriceChanged(Conflict):
    slug = "price-changed"
    title = N_("The price has changed.")
    advice = N_("Nothing was taken from you. Please look at the new price first.")


@dataclass(frozen=True)
class Redeemed:
    """`already` when the same request was answered before."""

    voucher: Voucher
    item: Item
    already: bool


@transaction
def redeem(
    tx: Session,
    deployment: Deployment,
    customer_id: int,
    slug: str,
    *,
    key: str,
    seed: str | None = None,
    price: int | None = None,
) -> Redeemed:
    """A voucher for an item: for the right to one if the customer has won it, else for points.

    What was won can be redeemed until the right to it expires, also when the item is over; `key`
    names the request, `price` is what the customer was told it costs. Raises
    `UnknownCustomer`, `UnknownItem`, `ItemNotBegun`, `ItemOver`, `OutOfStock`, `NotEnoughPoints`,
    `OnlyWon`, `EnoughOfThese`, `PriceChanged`, `IdempotencyMismatch`; nothing is lost then.
    """
    now = deployment.clock.now()
    customer_id = people.lock_customer(tx, customer_id)
    named = vouchers.key_of(customer_id, key)
    before = _redeemed_before(tx, customer_id, key)
    item = items.item_by_slug(tx, slug, for_update=before is None)
    if before is not None:
        if before.item_id != item.id:
            raise IdempotencyMismatch()
        return Redeemed(before, item, already=True)
    if not item.has_begun(now):
        raise items.ItemNotBegun()
    unit, amount = _payment(tx, customer_id, item, price, now)
    _take_one(tx, item)
    entry_id = _pay(tx, customer_id, unit, amount, named, now)
    voucher = vouchers.add_voucher(
        tx,
        deployment.keys,
        item_id=item.id,
        customer_id=customer_id,
        unit=unit,
        amount=amount,
        entry_id=entry_id,
        key=named,
        seed=seed or vouchers.new_seed(),
        expires_at=now + timedelta(days=item.voucher_days),
        now=now,
    )
    return Redeemed(voucher, item, already=False)


def _redeemed_before(tx: Session, customer_id: int, key: str) -> Voucher | None:
    """The voucher that a request was answered with before, be it in the name of somebody who has
    gone into the customer since."""
    others = [each for each in people.numbers_of(tx, customer_id) if each != customer_id]
    asked = [vouchers.key_of(each, key) for each in (customer_id, *others)]
    found = (vouchers.by_key(tx, each) for each in asked)
    return next((each for each in found if each is not None), None)


def _payment(
    tx: Session, customer_id: int, item: Item, told: int | None, now: datetime
) -> tuple[str, int]:
    """What an item is paid with, and how much of it."""
    if wallets.spendable(tx, customer_id, now).get(item.unit, 0) > 0:
        return item.unit, 1
    if item.is_over(now):
        raise items.ItemOver()
    if item.price is None:
        raise OnlyWon()
    if told is not None and told != item.price:
        raise PriceChanged()
    had = vouchers.kept_count(tx, customer_id, item.id)
    if item.per_person is not None and had >= item.per_person:
        raise EnoughOfThese()
    return "points", item.price


def _take_one(tx: Session, item: Item) -> None:
    try:
        items.change_stock(tx, item.id, -1)
    except items.NotSoMuchStock:
        raise items.OutOfStock() from None


def _pay(tx: Session, customer_id: int, unit: str, amount: int, named: str, now: datetime) -> int:
    to = ledger.account(tx, Kind.redeemed, 0, unit)
    try:
        return wallets.spend(
            tx, customer_id, unit, amount, to=to, key=f"redeem|{named}", what="redeemed", now=now
        )
    except ledger.Insufficient:
        raise NotEnoughPoints() from None


# At the store


@dataclass(frozen=True)
class Accepted:
    """`again` when the same press was answered before."""

    voucher: Voucher
    again: bool


@transaction
def accept_voucher(
    tx: Session, deployment: Deployment, till_id: int, code: str | None, *, press: str
) -> Accepted:
    """A till takes a voucher, once, ever. `press` is what the till names this press by.

    Raises `TillClosed`, `UnknownVoucher`, `HandedOver`, `VoucherUndone`, `VoucherExpired`,
    `OtherStore`.
    """
    now = deployment.clock.now()
    at = tills.open_till(tx, till_id)
    if at is None:
        raise tills.TillClosed()
    till, store = at
    voucher = vouchers.by_code(tx, deployment.keys, code)
    if voucher.can_be_used(now):
        where = items.store_ids(tx, voucher.item_id)
        if where and store.id not in where:
            raise vouchers.OtherStore()
        if vouchers.accept(
            tx, voucher.id, till_id=till.id, store_id=store.id, press=press, now=now
        ):
            return Accepted(vouchers.by_id(tx, voucher.id, for_update=True), again=False)
        voucher = vouchers.by_id(tx, voucher.id, for_update=True)
    if voucher.state == VoucherState.undone:
        raise vouchers.VoucherUndone()
    if voucher.state != VoucherState.accepted:
        raise vouchers.VoucherExpired()
    if (voucher.till_id, voucher.press) != (till.id, press):
        raise vouchers.HandedOver()
    return Accepted(voucher, again=True)


@transaction
def add_till(tx: Session, deployment: Deployment, store: str, name: str, *, by: str) -> Till:
    """Raises `UnknownStore`."""
    now = deployment.clock.now()
    at = stores.store_by_slug(tx, store)
    till = tills.add_till(tx, at.id, name, now)
    details = {"store": at.slug, "name": name}
    audit.note(tx, by=by, action="till added", subject=f"till:{till.id}", details=details, now=now)
    return till


@transaction
def close_till(tx: Session, deployment: Deployment, till_id: int, *, store: str, by: str) -> Till:
    """Let nobody in by this till's link any more; again is no harm.

    Raises `UnknownTill`, also for a till of another store, and `UnknownStore`.
    """
    now = deployment.clock.now()
    till = tills.till_by_id(tx, till_id)
    if till.store_id != stores.store_by_slug(tx, store).id:
        raise UnknownTill()
    if till.closed_at is None:
        till.closed_at = now
        audit.note(tx, by=by, action="till closed", subject=f"till:{till.id}", now=now)
    return till


# Undoing


@dataclass(frozen=True)
class Undone:
    """`already` when it had been undone before."""

    voucher: Voucher
    already: bool


@transaction
def undo_redemption(
    tx: Session, deployment: Deployment, voucher_id: int, *, reason: str, by: str
) -> Undone:
    """Give back what was paid for a voucher, as a reversal, and the item to the stock.

    Twice is once. Raises `UnknownVoucher`, `TooLateToUndo`, `VoucherExpired`.
    """
    now = deployment.clock.now()
    voucher = _locked(tx, voucher_id)
    if voucher.state == VoucherState.undone:
        return Undone(voucher, already=True)
    if voucher.state == VoucherState.expired:
        raise vouchers.VoucherExpired()
    if now >= voucher.undo_until:
        raise vouchers.TooLateToUndo()
    was = voucher.state
    _give_back(tx, voucher, VoucherState.undone, now)
    voucher.reason = reason
    details = {"reason": reason, "was": was, "unit": voucher.unit, "amount": voucher.amount}
    audit.note(
        tx,
        by=by,
        action="redemption undone",
        subject=f"voucher:{voucher.id}",
        details=details,
        now=now,
    )
    return Undone(voucher, already=False)


def expire_vouchers(deployment: Deployment) -> int:
    """Give back what was paid for vouchers that nobody used in time; safe to run twice.

    Returns how many. One that cannot be given back does not keep the others waiting: it is logged,
    and tried again the next time. Raises `Unavailable`.
    """
    done = last = 0
    now = deployment.clock.now()
    while found := _due(deployment, now, last):
        for voucher_id in found:
            try:
                done += _expire(deployment, voucher_id)
            except Unavailable:
                raise
            except Exception:
                log.exception("voucher %d cannot be given back", voucher_id)
        last = found[-1]
    return done


def _due(deployment: Deployment, now: datetime, after: int) -> Sequence[int]:
    with deployment.db.read() as tx:
        return vouchers.due(tx, now, after=after, limit=EXPIRE_BATCH)


@transaction
def _expire(tx: Session, deployment: Deployment, voucher_id: int) -> bool:
    now = deployment.clock.now()
    voucher = _locked(tx, voucher_id)
    if voucher.state != VoucherState.issued or now < voucher.expires_at:
        return False
    _give_back(tx, voucher, VoucherState.expired, now)
    return True


def _locked(tx: Session, voucher_id: int) -> Voucher:
    """A voucher and before it its customer, both locked. Raises `UnknownVoucher`."""
    while True:
        customer_id = vouchers.by_id(tx, voucher_id).customer_id
        people.lock_customer(tx, customer_id)
        voucher = vouchers.by_id(tx, voucher_id, for_update=True)
        if voucher.customer_id == customer_id:  # else it was merged into another in between
            return voucher


def _give_back(tx: Session, voucher: Voucher, state: VoucherState, now: datetime) -> None:
    items.put_back(tx, voucher.item_id)
    wallets.give_back(
        tx,
        voucher.customer_id,
        voucher.unit,
        voucher.entry_id,
        source=ledger.account(tx, Kind.redeemed, 0, voucher.unit),
        key=f"redeem|{voucher.key}|{state}",
        what=f"redemption {state}",
        now=now,
    )
    voucher.state = state
    voucher.closed_at = now
    tx.flush()


# The catalogue


@transaction
def add_item(tx: Session, deployment: Deployment, draft: ItemDraft, *, by: str) -> Item:
    """Raises `ItemExists`, `UnknownStore`, `UnknownPicture`."""
    now = deployment.clock.now()
    pictures.check_known(tx, [draft.picture] if draft.picture else [])
    item = items.add_item(tx, draft, now)
    details = {"stock": item.stock, **_noted(item)}
    audit.note(tx, by=by, action="item added", subject=item.subject, details=details, now=now)
    return item


@transaction
def revise_item(
    tx: Session,
    deployment: Deployment,
    slug: str,
    terms: ItemTerms,
    *,
    change_stock: int = 0,
    reason: str = "",
    by: str,
) -> Item:
    """Change an item's terms, and add to its stock or take away from it.

    Raises `UnknownItem`, `UnknownStore`, `UnknownPicture`, `NotSoMuchStock`.
    """
    now = deployment.clock.now()
    pictures.check_known(tx, [terms.picture] if terms.picture else [])
    item = items.item_by_slug(tx, slug, for_update=True)
    before = _noted(item)
    items.revise(tx, item, terms)
    changed = {
        name: {"from": before[name], "to": value}
        for name, value in _noted(item).items()
        if value != before[name]
    }
    if changed:
        audit.note(tx, by=by, action="item changed", subject=item.subject, details=changed, now=now)
    if change_stock:
        stock = items.change_stock(tx, item.id, change_stock)
        tx.refresh(item)
        details = {"by": change_stock, "to": stock, "reason": reason}
        audit.note(tx, by=by, action="item stock", subject=item.subject, details=details, now=now)
    return item


def _noted(item: Item) -> dict[str, Any]:
    """The terms of an item that are about money or people, as the audit log keeps them."""
    found = {name: getattr(item, name) for name in _CHANGES_NOTED}
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in found.items()
    }
