"""The words of the console for what the service keeps in short names."""

from collections.abc import Mapping
from datetime import date, datetime, time
from typing import Any

from babel.dates import format_skeleton
from flask_babel import format_percent, get_locale
from flask_babel import gettext as _

from referral.audit import AuditEntry
from referral.campaigns import Campaign, CampaignState, CreditedTouch
from referral.errors import N_
from referral.graph import TouchOutcome
from referral.links import LinkFault
from referral.people.masking import masked_name
from referral.reports.periods import Slot, Step
from referral.reports.trees import Branch, SpreadBranch
from referral.web.context import now

STATES = {
    "draft": N_("Draft"),
    "scheduled": N_("Scheduled"),
    "running": N_("Running"),
    "ended": N_("Ended"),
    "issued": N_("Issued"),
    "printed": N_("Printed"),
    "activated": N_("Activated"),
    "voided": N_("Voided"),
    "recalled": N_("Recalled"),
    "assigned": N_("Terms"),
    "pending": N_("On hold"),
    "available": N_("Available"),
    "reversed": N_("Reversed"),
    "expired": N_("Expired"),
}
# What the state and the terms of a code come to at this moment.
AVAILABILITIES = {
    "on_sale": N_("On sale"),
    "not_activated": N_("Not on sale yet"),
    "expired": N_("Past its date or sale window"),
    "voided": N_("Voided"),
    "recalled": N_("Recalled"),
}
LABELS = {"inner": N_("Inner label"), "outer": N_("Outer label")}
LABEL_SETS = {"single": N_("One code"), "pair": N_("Two codes, outside and inside")}
FLAGS = {
    "other_market": N_("Scanned outside its market"),
    "not_on_sale": N_("Scanned before its sale"),
    "expired": N_("Scanned past its date or sale"),
    "withdrawn": N_("Scanned though withdrawn"),
    "labels_differ": N_("Labels of two packages"),
}
# What was wrong with a share link, and what that may come from.
LINK_FAULTS = {
    LinkFault.missing: (N_("Without a token"), N_("Nothing but the address was left of the link.")),
    LinkFault.cut: (
        N_("Cut off on the way"),
        N_("An app or a line break took its end. The poster and the QR code cannot be cut."),
    ),
    LinkFault.altered: (
        N_("Changed on the way"),
        N_("Typed off with a mistake, or an app changed its letters."),
    ),
    LinkFault.foreign: (
        N_("Not made here"),
        N_("Invented, or made with a key that is no longer among the secret keys."),
    ),
    LinkFault.expired: (
        N_("Campaign not running"),
        N_("The link is whole; its campaign is over, or has not begun."),
    ),
}
STORE_KINDS = {"store": N_("Store"), "distributor": N_("Distributor")}
TERMS = {
    "lot": N_("Lot"),
    "made_on": N_("Made on"),
    "expires_on": N_("Best before"),
    "market": N_("Market"),
    "store_id": N_("Store or distributor"),
    "sale_from": N_("On sale from"),
    "sale_until": N_("On sale until"),
    "reinstate": N_("Withdrawn codes brought back"),
}
ROLES = {
    "owner": N_("Owner"),
    "analyst": N_("Analyst"),
    "marketer": N_("Marketer"),
    "store_manager": N_("Store manager"),
    "support": N_("Support"),
}
HOWS = {
    "password": N_("with a password"),
    "invitation": N_("with an invitation"),
    "totp": N_("with a code of the app"),
    "recovery": N_("with a recovery code"),
    "passkey": N_("with a passkey"),
    "oidc": N_("with single sign-on"),
}
CHANNELS = {
    "unknown": N_("Unknown channel"),
    "address": N_("Forwarded from the browser"),
    "sheet": N_("Share sheet"),
    "copy": N_("Copied link"),
    "poster": N_("Poster"),
    "qr": N_("QR code"),
    "wechat": N_("WeChat"),
    "moments": N_("WeChat Moments"),
    "qq": "QQ",
    "weibo": N_("Weibo"),
    "whatsapp": "WhatsApp",
    "telegram": "Telegram",
    "line": "LINE",
    "facebook": "Facebook",
    "x": "X",
    "staff": N_("Given out by staff"),
}
CONTACTS = {
    "phone": N_("Phone"),
    "email": N_("E-mail"),
    "external": N_("Member number"),
    "wechat": N_("WeChat"),
    "wechat_union": N_("WeChat, all accounts"),
}
# The left part is the rule's event, the right one who is paid.
RULES = {
    "claim:person": N_("For a claim"),
    "claim:referrer": N_("For a claim, to the referrer"),
    "first_claim:person": N_("For a first claim"),
    "first_claim:referrer": N_("For a first claim, to the referrer"),
    "referred_first_claim:person": N_("For a referred friend's first claim, to the friend"),
    "referred_first_claim:referrer": N_("For a referred friend's first claim, to the referrer"),
    "order:person": N_("For an order"),
    "order:referrer": N_("For an order, to the referrer"),
    "first_order:person": N_("For a first order"),
    "first_order:referrer": N_("For a first order, to the referrer"),
    "referred_first_order:person": N_("For a referred friend's first order, to the friend"),
    "referred_first_order:referrer": N_("For a referred friend's first order, to the referrer"),
    "referred_first_purchase:person": N_("For a referred friend's first purchase, to the friend"),
    "referred_first_purchase:referrer": N_(
        "For a referred friend's first purchase, to the referrer"
    ),
    "nth_referral:person": N_("For so many referred friends, to the friend"),
    "nth_referral:referrer": N_("For so many referred friends, to the referrer"),
    "nth_claim:person": N_("For so many claims"),
    "nth_claim:referrer": N_("For so many claims, to the referrer"),
    "by_hand:person": N_("Credited by hand"),
    "claim:both": N_("For a claim, to both"),
    "first_claim:both": N_("For a first claim, to both"),
    "referred_first_claim:both": N_("For a referred friend's first claim, to both"),
    "order:both": N_("For an order, to both"),
    "first_order:both": N_("For a first order, to both"),
    "referred_first_order:both": N_("For a referred friend's first order, to both"),
    "referred_first_purchase:both": N_("For a referred friend's first purchase, to both"),
    "nth_referral:both": N_("For so many referred friends, to both"),
    "nth_claim:both": N_("For so many claims, to both"),
}
ENTRIES = {
    "budget": N_("Budget put up"),
    "claim -> person": N_("Reward for a claim"),
    "claim -> referrer": N_("Reward to the referrer for a claim"),
    "first_claim -> person": N_("Reward for a first claim"),
    "first_claim -> referrer": N_("Reward to the referrer for a first claim"),
    "referred_first_claim -> person": N_("Reward to a referred friend for a first claim"),
    "referred_first_claim -> referrer": N_("Reward to the referrer for a friend's first claim"),
    "rewards for claim": N_("Rewards for a claim"),
    "rewards for order": N_("Rewards for an order"),
    "hold is over": N_("Hold is over"),
    "expired": N_("Expired"),
    "taken back": N_("Taken back"),
    "one person's wallets": N_("Wallets of one person put together"),
    "coupon used": N_("Coupon used"),
    "coupon good again": N_("Coupon good again"),
    "redeemed": N_("Redeemed"),
    "redemption undone": N_("Redemption undone"),
    "redemption expired": N_("Voucher expired"),
    "credited by hand": N_("Credited by hand"),
    "taken back by hand": N_("Taken back by hand"),
}
ACCOUNTS = {
    "issue": N_("Brand"),
    "budget": N_("Budget"),
    "pending": N_("On hold"),
    "wallet": N_("Wallet"),
    "redeemed": N_("Redeemed"),
    "owed": N_("Owed"),
    "expired": N_("Expired"),
}
VOUCHERS = {
    "issued": N_("To be handed over"),
    "accepted": N_("Handed over"),
    "undone": N_("Undone"),
    "expired": N_("Expired"),
}
# The mark beside each, by the state of something else that it looks like.
VOUCHER_PILLS = {"issued": "pending", "accepted": "available", "undone": "reversed"}
COUPONS = {
    "free": N_("Nobody has it yet"),
    "waiting": N_("On hold"),
    "valid": N_("Can be used"),
    "used": N_("Used"),
    "withdrawn": N_("Withdrawn"),
    "expired": N_("Expired"),
}
COUPON_PILLS = {"waiting": "pending", "valid": "available", "withdrawn": "reversed"}
RULES_OF_CREDIT = {
    None: N_("No link with a customer above it had been opened in time"),
    CreditedTouch.first: N_("First link opened, nearest customer above it"),
    CreditedTouch.last: N_("Last link opened, nearest customer above it"),
}
OUTCOMES: dict[str, str] = {
    TouchOutcome.credited: N_("counts"),
    TouchOutcome.too_old: N_("too long ago"),
    TouchOutcome.nobody: N_("leads to no customer"),
    TouchOutcome.came_later: N_("later, and the first one counts"),
    TouchOutcome.came_earlier: N_("earlier, and the last one counts"),
    TouchOutcome.other_campaign: N_("another campaign's link had been opened before"),
    TouchOutcome.below: N_("leads to somebody this customer brought in"),
    "in_time": N_("in time"),
}


def state(name: str) -> str:
    return _(STATES.get(name, name))


def availability(name: str) -> str:
    return _(AVAILABILITIES.get(name, name))


def label(name: str) -> str:
    return _(LABELS.get(name, name))


def labels(name: str) -> str:
    """What a package carries."""
    return _(LABEL_SETS.get(name, name))


def flag(kind: str) -> str:
    return _(FLAGS.get(kind, kind))


def link_fault(fault: LinkFault) -> str:
    return _(LINK_FAULTS[fault][0])


def link_fault_from(fault: LinkFault) -> str:
    return _(LINK_FAULTS[fault][1])


def store_kind(name: str) -> str:
    return _(STORE_KINDS.get(name, name))


def voucher_state(name: str) -> str:
    return _(VOUCHERS.get(name, name))


def voucher_pill(name: str) -> str:
    return VOUCHER_PILLS.get(name, name)


def coupon_state(name: str) -> str:
    return _(COUPONS.get(name, name))


def coupon_pill(name: str) -> str:
    return COUPON_PILLS.get(name, name)


def item_change(change: AuditEntry) -> str:
    """What was changed of an item."""
    if change.action == "item added":
        return _("Added, with %(stock)s in stock", stock=change.details["stock"])
    if change.action == "item stock":
        by, to = change.details["by"], change.details["to"]
        return _("Stock changed by %(by)s, to %(to)s", by=f"{by:+d}", to=to)
    fields = {
        "price": _("Price"),
        "value": _("Worth"),
        "currency": _("Currency"),
        "starts_at": _("Start"),
        "ends_at": _("End"),
        "per_person": _("For each person, at most"),
    }
    return "; ".join(
        f"{fields.get(name, name)}: {_or_dash(values['from'])} → {_or_dash(values['to'])}"
        for name, values in change.details.items()
    )


def _or_dash(value: Any) -> str:
    return "—" if value is None else str(value)


def term(name: str) -> str:
    return _(TERMS.get(name, name))


def share(part: float | None) -> str:
    """A part of a whole as a percentage; a dash where there is no whole."""
    return "—" if part is None else format_percent(part, "#,##0.0%")


def short_day(day: date) -> str:
    """A day of a year that is known."""
    return format_skeleton("MMMd", datetime.combine(day, time()), locale=get_locale())


def slot(when: Slot, step: Step) -> str:
    """A bar of a chart: a day, a week from its first day to its last, or a month."""
    if step is Step.month:
        return format_skeleton("yMMM", datetime.combine(when.first, time()), locale=get_locale())
    days = [when.first] if step is Step.day else [when.first, when.last]
    return " – ".join(map(short_day, days))


def role(name: str) -> str:
    return _(ROLES.get(name, name))


def how(name: str) -> str:
    """What somebody signed in with."""
    return _(HOWS.get(name, name))


def channel(name: str) -> str:
    return _(CHANNELS.get(name, name))


def contact(kind: str) -> str:
    return _(CONTACTS.get(kind, kind))


def account(kind: str) -> str:
    return _(ACCOUNTS.get(kind, kind))


def entry(what: str) -> str:
    return _(ENTRIES.get(what, what))


def rule_of_credit(rule: CreditedTouch | None) -> str:
    return _(RULES_OF_CREDIT[rule])


def outcome(of_touch: str) -> str:
    """What became of a link that was opened before a first claim."""
    return _(OUTCOMES.get(of_touch, of_touch))


def reward(rule_id: str, depth: int) -> str:
    """What a reward was for."""
    when = rule_id.partition(":")[0]
    return _(RULES.get(f"{when}:{'referrer' if depth else 'person'}", rule_id))


def rule(rule_id: str) -> str:
    """What a rule pays for, and to whom where that is not the one who did it."""
    when, _colon, rest = rule_id.partition(":")
    whom = rest.partition(":")[0] or "person"
    return _(RULES.get(f"{when}:{whom}", rule_id))


def customer(customer_id: int, name: str | None) -> str:
    """A customer, also one without a name; a name that is a number or an address is masked."""
    return masked_name(name) if name else _("Customer %(number)s", number=customer_id)


def visitor(found: SpreadBranch, names: Mapping[int, str | None]) -> str:
    """Somebody in a spread: a store where the link is on its posters, a customer, or nobody who is
    known."""
    if found.store is not None:
        return found.store.name
    if found.customer_id is None:
        return _("Anonymous")
    return customer(found.customer_id, names.get(found.customer_id))


def branch(found: Branch) -> str:
    return customer(found.customer_id, found.name)


def campaign_state(campaign: Campaign, moment: datetime | None = None) -> str:
    """draft, scheduled, running or ended."""
    moment = moment or now()
    if campaign.state == CampaignState.draft:
        return "draft"
    if moment < campaign.starts_at:
        return "scheduled"
    return "running" if moment < campaign.ends_at else "ended"
