"""The words of the audit log for what it keeps in short names."""

from typing import Any

from flask import url_for
from flask_babel import gettext as _

from referral.audit import COMMAND, STRANGER
from referral.errors import N_

ACTIONS = {
    "signed in": N_("Signed in"),
    "signed out": N_("Signed out"),
    "sign-in failed": N_("Sign-in failed"),
    "session ended": N_("Session ended"),
    "sessions ended": N_("Sessions ended"),
    "password set": N_("Password set"),
    "member added": N_("Member added"),
    "member invited": N_("Member invited"),
    "member renamed": N_("Member renamed"),
    "member switched off": N_("Member switched off"),
    "member switched on": N_("Member switched on"),
    "role changed": N_("Role changed"),
    "second factor added": N_("Second factor added"),
    "second factor removed": N_("Second factor removed"),
    "second factors cleared": N_("Second factors removed by an owner"),
    "recovery codes made": N_("Recovery codes made"),
    "recovery code used": N_("Recovery code used"),
    "single sign-on linked": N_("Single sign-on linked"),
    "single sign-on unlinked": N_("Single sign-on unlinked"),
    "api key added": N_("API key added"),
    "contacts seen": N_("Contacts seen"),
    "list taken out": N_("List taken out"),
    "export asked for": N_("Export asked for"),
    "export taken": N_("Export taken"),
    "export deleted": N_("Export deleted"),
    "segment added": N_("Segment added"),
    "segment changed": N_("Segment changed"),
    "segment removed": N_("Segment removed"),
    "segment exported": N_("Segment exported"),
    "credit asked for": N_("Credit asked for"),
    "credited by hand": N_("Credited by hand"),
    "credit approved": N_("Credit approved"),
    "credit refused": N_("Credit refused"),
    "credit withdrawn": N_("Credit withdrawn"),
    "credit expired": N_("Credit expired"),
    "complaint opened": N_("Complaint opened"),
    "complaint written back": N_("Customer wrote back"),
    "complaint taken over": N_("Complaint taken over"),
    "complaint answered": N_("Complaint answered"),
    "complaint closed": N_("Complaint closed"),
    "complaint reopened": N_("Complaint opened again"),
    "product added": N_("Product added"),
    "product changed": N_("Product changed"),
    "store added": N_("Store added"),
    "store limits set": N_("Limits of a store set"),
    "open_store_links": N_("Links of a store opened"),
    "batch issued": N_("Batch issued"),
    "codes changed": N_("Codes changed"),
    "campaign added": N_("Campaign added"),
    "campaign revised": N_("Campaign revised"),
    "content edited": N_("Content edited"),
    "campaign published": N_("Campaign published"),
    "sign-off-depth": N_("Second level signed off"),
    "amend-terms": N_("Better terms set"),
    "set-advertising-cost": N_("Cost of advertising set"),
    "keep-visits": N_("Keeping of visits changed"),
    "risk-rule": N_("Risk rule changed"),
    "case-accept": N_("Case accepted"),
    "case-hold": N_("Case held back"),
    "case-reverse": N_("Case: taken back"),
    "block": N_("Customer blocked"),
    "unblock": N_("Customer unblocked"),
    "customers merged": N_("Customers merged"),
    "pool added": N_("Coupon pool added"),
    "coupons added": N_("Coupons added"),
    "coupons made": N_("Coupons made"),
    "coupons exported": N_("Coupons taken out"),
    "coupon made good": N_("Coupon made good"),
    "item added": N_("Item added"),
    "item changed": N_("Item changed"),
    "item stock": N_("Stock of an item changed"),
    "till added": N_("Till added"),
    "till closed": N_("Till closed"),
    "redemption undone": N_("Redemption undone"),
    "take-orders": N_("Orders taken in"),
    "parked-replay": N_("Parked event stored"),
    "parked-discard": N_("Parked event given up"),
}
_PAGES = {
    "staff": ("staff.member_page", "staff_id"),
    "customer": ("staff.customer", "customer_id"),
    "case": ("staff.case", "case_id"),
    "voucher": ("staff.voucher", "voucher_id"),
    "complaint": ("staff.complaint", "number"),
}


def action(name: str) -> str:
    return _(ACTIONS[name]) if name in ACTIONS else name


def choices() -> list[tuple[str, str]]:
    """Every action there are words for, by them."""
    return sorted(((name, _(said)) for name, said in ACTIONS.items()), key=lambda each: each[1])


def who(by: str) -> str:
    if by == STRANGER:
        return _("Somebody who did not get in")
    kind, _space, number = by.partition(" ")
    if kind == "customer" and number.isdigit():
        return _("Customer %(number)s", number=number)
    return _("Command line") if by == COMMAND else by


def page_of(subject: str) -> str | None:
    """The address of the page of what an entry is about; None where it has none."""
    kind, _colon, number = subject.partition(":")
    if kind not in _PAGES or not number.isascii() or not number.isdigit():
        return None
    endpoint, name = _PAGES[kind]
    values: dict[str, Any] = {name: int(number)}
    return url_for(endpoint, **values)


def details(of: dict[str, Any]) -> str:
    """What else is kept of an entry, in one line."""
    said = ((name, _value(value)) for name, value in sorted(of.items()))
    return " · ".join(f"{name}: {value}" for name, value in said if value)


def _value(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    return "—" if value is None else str(value)
