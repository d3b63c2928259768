"""Accounts of the ledger: those of a kind, and what moved on one, explained line by line."""

import struct

from flask import redirect, render_template, request, url_for

from referral.crypto import TokenSigner
from referral.errors import NotFound
from referral.ledger import Kind
from referral.reports import accounts, lists
from referral.reports.accounts import Cursor
from referral.reports.causes import Cause, What
from referral.staff import Right, StaffMember
from referral.web.context import deployment
from referral.web.staff.auth import Page, require
from referral.web.staff.blueprint import staff
from referral.web.staff.forms import Form

OF_CUSTOMERS = (Kind.wallet, Kind.pending, Kind.owed)
OF_CAMPAIGNS = (Kind.budget, Kind.expired)
NUMBER_MAX = 2**63 - 1
UNIT_LENGTH_MAX = 60
_CURSOR = struct.Struct(">Qq")


@staff.get("/money/accounts/<kind>")
@require(Right.read)
def money_accounts(member: StaffMember, kind: str) -> Page:
    which = _kind(kind)
    asked = Form(request.args)
    customer = asked.whole("customer", low=1, high=NUMBER_MAX, optional=True)
    owner = asked.whole("owner", low=0, high=NUMBER_MAX, optional=True)
    unit = asked.text("after", most=UNIT_LENGTH_MAX)
    after = (owner, unit) if owner is not None and unit else None
    with deployment().db.read() as tx:
        if customer is not None and which in OF_CUSTOMERS:
            lines = accounts.of_owner(tx, [which], customer)
            page = accounts.Accounts(lines, None)
        else:
            page = accounts.accounts(tx, which, after=after)
        owners = sorted({line.owner for line in page.lines})
        names = lists.names(tx, deployment().keys, owners) if which in OF_CUSTOMERS else {}
        titles = lists.campaign_titles(tx, owners) if which in OF_CAMPAIGNS else {}
    return render_template(
        "staff/money_accounts.html",
        kind=which.value,
        kinds=[each.value for each in Kind],
        page=page,
        names=names,
        titles=titles,
        customer=customer,
        is_of_customers=which in OF_CUSTOMERS,
        is_first=after is None,
    )


@staff.get("/money/accounts/<kind>/<int(max=9223372036854775807):owner>/<path:unit>")
@require(Right.read)
def money_account(member: StaffMember, kind: str, owner: int, unit: str) -> Page:
    which = _kind(kind)
    token = request.args.get("before", "")
    before = _cursor(token, which, owner, unit) if token else None
    if token and before is None:
        address = url_for(".money_account", kind=kind, owner=owner, unit=unit)
        return redirect(address)
    with deployment().db.read() as tx:
        found = accounts.statement(tx, which, owner, unit, before=before)
        touched = [(kind, owner), *((o.kind, o.owner) for line in found.lines for o in line.others)]
        people = {number for of, number in touched if of in OF_CUSTOMERS}
        people |= {
            line.cause.number
            for line in found.lines
            if line.cause and line.cause.what in (What.claim, What.customer)
        }
        campaigns = {number for of, number in touched if of in OF_CAMPAIGNS}
        names = lists.names(tx, deployment().keys, sorted(people))
        titles = lists.campaign_titles(tx, sorted(campaigns))
    return render_template(
        "staff/money_account.html",
        found=found,
        names=names,
        titles=titles,
        addresses={line.entry: _address(line.cause) for line in found.lines if line.cause},
        next=_token(found.next, which, owner, unit) if found.next else None,
        is_first=before is None,
    )


def _kind(kind: str) -> Kind:
    if kind not in set(Kind):
        raise NotFound()
    return Kind(kind)


def _address(cause: Cause) -> str:
    """The page that shows what caused an entry."""
    number = cause.number
    return {
        What.claim: lambda: url_for(".customer", customer_id=number),
        What.customer: lambda: url_for(".customer", customer_id=number),
        What.order: lambda: url_for(".order", order_id=number),
        What.case: lambda: url_for(".case", case_id=number),
        What.credit: lambda: url_for(".credits_by_hand", _anchor=f"credit-{number}"),
        What.voucher: lambda: url_for(".voucher", voucher_id=number),
        What.campaign: lambda: url_for(".campaign", slug=cause.slug),
    }[cause.what]()


# The balance at the top of a page comes with its address, signed: adding up all that came later
# would take the longer the further back one reads.


def _signer(kind: Kind, owner: int, unit: str) -> TokenSigner:
    return TokenSigner(deployment().keys, f"statement.{kind}.{owner}.{unit}")


def _token(cursor: Cursor, kind: Kind, owner: int, unit: str) -> str:
    return _signer(kind, owner, unit).sign(_CURSOR.pack(cursor.entry, cursor.held))


def _cursor(token: str, kind: Kind, owner: int, unit: str) -> Cursor | None:
    signed = _signer(kind, owner, unit).unsign(token)
    if signed is None or len(signed[0]) != _CURSOR.size:
        return None
    return Cursor(*_CURSOR.unpack(signed[0]))
