"""Redemptions: points, or what was won, for an item of the catalogue, by a voucher."""

import secrets
from datetime import datetime

from pydantic import Field

from referral import actions
from referral.actions import redeeming
from referral.people import UnknownCustomer
from referral.redemption import vouchers
from referral.redemption.items import (
    SLUG_LENGTH_MAX,
    ItemNotBegun,
    ItemOver,
    OutOfStock,
    UnknownItem,
)
from referral.redemption.vouchers import (
    REASON_LENGTH_MAX,
    TooLateToUndo,
    UnknownVoucher,
    VoucherExpired,
    VoucherState,
)
from referral.reports import vouchers as report
from referral.stores import slugs
from referral.web.api import auth
from referral.web.api.endpoint import Output, get, post
from referral.web.api.reading import Id, Input
from referral.web.context import deployment


class RedemptionIn(Input):
    """Who redeems what."""

    customer_id: Id
    item: str = Field(max_length=SLUG_LENGTH_MAX)
    """The item's short name."""


class UndoIn(Input):
    """Why a redemption is undone."""

    reason: str = Field(min_length=1, max_length=REASON_LENGTH_MAX)


class RedemptionOut(Output):
    """A redemption and its voucher."""

    id: int
    customer_id: int
    item: str
    unit: str
    """What it was paid with: `points`, or the right to the item that was won."""
    amount: int
    state: VoucherState
    code: str | None
    """What the store scans or types; null once it is of no use, or its secret key is gone."""
    url: str | None
    """The address in the voucher's QR code."""
    issued_at: datetime
    expires_at: datetime
    accepted_at: datetime | None
    store: str | None
    """The short name of the store that handed it over."""


@post(
    "/redemptions",
    body=RedemptionIn,
    answer=RedemptionOut,
    statuses={201: "Redeemed"},
    problems=[
        UnknownCustomer,
        UnknownItem,
        ItemNotBegun,
        ItemOver,
        OutOfStock,
        redeeming.NotEnoughPoints,
        redeeming.OnlyWon,
        redeeming.EnoughOfThese,
    ],
)
def add_redemption(body: RedemptionIn) -> RedemptionOut:
    """Redeem an item for a customer.

    For the right to one where the customer has won it, else for points. What is refused takes
    nothing from the customer. Send an `Idempotency-Key`, so that a retry is not a second one.
    """
    redeemed = actions.redeem(
        deployment(), body.customer_id, body.item, key=secrets.token_urlsafe()
    )
    return _redemption(redeemed.voucher.id)


@get("/redemptions/<int:redemption_id>", answer=RedemptionOut, problems=[UnknownVoucher])
def get_redemption(redemption_id: int) -> RedemptionOut:
    """Get a redemption."""
    return _redemption(redemption_id)


@post(
    "/redemptions/<int:redemption_id>/undo",
    body=UndoIn,
    answer=RedemptionOut,
    statuses={200: "Undone"},
    problems=[UnknownVoucher, TooLateToUndo, VoucherExpired],
)
def undo_redemption(redemption_id: int, body: UndoIn) -> RedemptionOut:
    """Undo a redemption.

    Within 24 hours after it was made or handed over: what was paid goes back as a reversal, and
    the item to the stock. Undoing it again changes nothing.
    """
    actions.undo_redemption(deployment(), redemption_id, reason=body.reason, by=auth.caller())
    return _redemption(redemption_id)


def _redemption(voucher_id: int) -> RedemptionOut:
    d = deployment()
    with d.db.read() as tx:
        line = report.one(tx, voucher_id)
        stores = slugs(tx, [line.voucher.store_id])
    voucher = line.voucher
    code = None
    if voucher.can_be_used(d.clock.now()):
        code = vouchers.code_of(d.keys, voucher.seed, voucher.key_id)
    return RedemptionOut(
        id=voucher.id,
        customer_id=voucher.customer_id,
        item=line.item.slug,
        unit=voucher.unit,
        amount=voucher.amount,
        state=VoucherState(voucher.state),
        code=code,
        url=d.address(f"/v/{code}") if code else None,
        issued_at=voucher.issued_at,
        expires_at=voucher.expires_at,
        accepted_at=voucher.accepted_at,
        store=stores.get(voucher.store_id or 0),
    )
