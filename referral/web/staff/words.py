"""The words of the console for what the service keeps in short names."""

from datetime import datetime

from flask_babel import gettext as _

from referral.campaigns import Campaign, CampaignState
from referral.errors import N_
from referral.reports.trees import Branch
from referral.web.context import now

STATES = {
    "draft": N_("Draft"),
    "scheduled": N_("Scheduled"),
    "running": N_("Running"),
    "ended": N_("Ended"),
    "issued": N_("Not activated"),
    "activated": N_("Activated"),
    "voided": N_("Voided"),
    "pending": N_("On hold"),
    "available": N_("Available"),
    "reversed": N_("Reversed"),
    "expired": N_("Expired"),
}
ROLES = {"owner": N_("Owner"), "analyst": N_("Analyst")}
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
CONTACTS = {"phone": N_("Phone"), "email": N_("E-mail"), "external": N_("Member number")}
# The left part is the rule's event, the right one who is paid.
RULES = {
    "claim:person": N_("For a claim"),
    "claim:referrer": N_("For a claim, to the referrer"),
    "first_claim:person": N_("For a first claim"),
    "first_claim:referrer": N_("For a first claim, to the referrer"),
    "referred_first_claim:person": N_("For a referred friend's first claim, to the friend"),
    "referred_first_claim:referrer": N_("For a referred friend's first claim, to the referrer"),
}
ENTRIES = {
    "budget": N_("Budget put up"),
    "claim -> person": N_("Reward for a claim"),
    "claim -> referrer": N_("Reward to the referrer for a claim"),
    "first_claim -> person": N_("Reward for a first claim"),
    "first_claim -> referrer": N_("Reward to the referrer for a first claim"),
    "referred_first_claim -> person": N_("Reward to a referred friend for a first claim"),
    "referred_first_claim -> referrer": N_("Reward to the referrer for a friend's first claim"),
    "hold is over": N_("Hold is over"),
}
ACCOUNTS = {
    "issue": N_("Brand"),
    "budget": N_("Budget"),
    "pending": N_("On hold"),
    "wallet": N_("Wallet"),
}
WHY = {
    "first touch, nearest customer": N_("First link opened, nearest customer above it"),
    "nobody up the path": N_("No link with a customer above it had been opened in time"),
}


def state(name: str) -> str:
    return _(STATES.get(name, name))


def role(name: str) -> str:
    return _(ROLES.get(name, name))


def channel(name: str) -> str:
    return _(CHANNELS.get(name, name))


def contact(kind: str) -> str:
    return _(CONTACTS.get(kind, kind))


def account(kind: str) -> str:
    return _(ACCOUNTS.get(kind, kind))


def entry(what: str) -> str:
    return _(ENTRIES.get(what, what))


def why(rule: str) -> str:
    return _(WHY.get(rule, rule))


def reward(rule_id: str, depth: int) -> str:
    """What a reward was for."""
    when = rule_id.partition(":")[0]
    return _(RULES.get(f"{when}:{'referrer' if depth else 'person'}", rule_id))


def customer(customer_id: int, name: str | None) -> str:
    """A customer, also one without a name."""
    return name or _("Customer %(number)s", number=customer_id)


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
