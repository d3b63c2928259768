"""Cases in words: what rules found, what was decided, where a review stands."""

from collections.abc import Callable, Mapping
from typing import Any

from flask_babel import format_number, format_percent, ngettext
from flask_babel import gettext as _

from referral.audit import AuditEntry
from referral.errors import N_
from referral.rewards import Why
from referral.risk import Case, Decision, Finding

Evidence = Mapping[str, Any]

STATES = {
    Case.open: N_("Open"),
    Case.accepted: N_("Accepted"),
    Case.held: N_("Held"),
    Case.reversed: N_("Taken back"),
}
PILLS = {
    Case.open: "scheduled",
    Case.accepted: "available",
    Case.held: "pending",
    Case.reversed: "reversed",
}
DECISIONS = {
    Decision.pay: N_("Pays"),
    Decision.review: N_("Pays after its hold, unless you decide otherwise"),
    Decision.hold: N_("Held until somebody accepts it"),
}
TITLES = {
    "self_same_person": N_("Buyer and referrer are the same customer"),
    "self_same_contact": N_("Buyer and referrer share a phone or mailbox"),
    "self_same_device": N_("Buyer and referrer used one browser"),
    "too_many_in_a_day": N_("Many referrals in a day"),
    "too_many_in_a_month": N_("Many referrals in a month"),
    "regular_intervals": N_("Friends come like clockwork"),
    "scanned_by_referrer": N_("The referrer scanned this package"),
    "shared_browsers": N_("Many customers in one browser"),
    "many_packages": N_("Many packages in a day"),
    "far_places": N_("Many places in a day"),
    "misses_first": N_("Wrong codes before this one"),
    "guest_chain": N_("A chain of people without a verified contact"),
    "quiet_star": N_("Friends who never do anything again"),
    "quiet_chain": N_("A chain of people who never do anything again"),
    "one_block": N_("Friends from one network"),
    "far_above_others": N_("Far more packages than others"),
}
WITHHELD = {
    Why.budget_spent: N_("The campaign's budget was used up."),
    Why.limit_reached: N_("The limit of the rule was reached."),
    Why.no_win: N_("The draw was lost."),
    Why.self_referral: N_("Nobody is paid for bringing in themselves."),
    Why.too_many: N_("The referrer has had as many referrals paid as one gets."),
    Why.blocked: N_("This customer is blocked."),
}
ACTIONS = {
    "case-accept": N_("Accepted"),
    "case-hold": N_("Held"),
    "case-reverse": N_("Taken back"),
    "block": N_("Customer %(number)s blocked"),
    "unblock": N_("Customer %(number)s unblocked"),
}


def state(name: str | None) -> str:
    return _(STATES[Case(name)]) if name else _("No review")


def pill(name: str | None) -> str:
    """The look of a state, that of a reward's state which it comes near to."""
    return PILLS[Case(name)] if name else "ended"


def decision(name: str) -> str:
    return _(DECISIONS[Decision(name)])


def title(rule: str) -> str:
    return _(TITLES.get(rule, rule))


def withheld(why: str) -> str:
    return _(WITHHELD[Why(why)]) if why in WITHHELD else why


def action(entry: AuditEntry) -> str:
    """What was decided, and about whom."""
    number = entry.subject.partition(":")[2]
    return _(ACTIONS.get(entry.action, entry.action), number=number)


def evidence(finding: Finding) -> str:
    """The numbers a rule went by, in a sentence."""
    say = _EVIDENCE.get(finding.rule)
    return say(finding.evidence) if say else ""


def _too_many(found: Evidence) -> str:
    return _(
        "%(paid)s were paid before this one; %(most)s is the most.",
        paid=format_number(found["paid"]),
        most=format_number(found["most"]),
    )


def _regular(found: Evidence) -> str:
    return _(
        "The last %(children)s came every %(minutes)s minutes; the intervals vary by %(share)s.",
        children=format_number(found["children"]),
        minutes=format_number(found["minutes"]),
        share=format_percent(found["variation"]),
    )


def _accounts(found: Evidence) -> str:
    return ngettext(
        "%(num)s other customer signed in on the buyer's browsers.",
        "%(num)s other customers signed in on the buyer's browsers.",
        found["accounts"],
    )


def _packages(found: Evidence) -> str:
    return ngettext(
        "%(num)s package claimed within 24 hours.",
        "%(num)s packages claimed within 24 hours.",
        found["packages"],
    )


def _regions(found: Evidence) -> str:
    return ngettext(
        "Packages of one day were first scanned in %(num)s region.",
        "Packages of one day were first scanned in %(num)s regions.",
        found["regions"],
    )


def _misses(found: Evidence) -> str:
    return ngettext(
        "%(num)s code that does not exist was tried within the hour.",
        "%(num)s codes that do not exist were tried within the hour.",
        found["misses"],
    )


def _guests(found: Evidence) -> str:
    return ngettext(
        "%(num)s person in a row, from the referrer up.",
        "%(num)s people in a row, from the referrer up.",
        found["guests"],
    )


def _quiet(found: Evidence) -> str:
    return _(
        "Of %(old)s who came more than 30 days ago, %(quiet)s neither bought nor brought anybody.",
        old=format_number(found["old"]),
        quiet=format_number(found["quiet"]),
    )


def _block(found: Evidence) -> str:
    return _(
        "Of %(known)s whose network is known, %(together)s signed in from the same one. Phones of "
        "one carrier or one office do that, too.",
        known=format_number(found["known"]),
        together=format_number(found["together"]),
    )


def _above_others(found: Evidence) -> str:
    return _(
        "%(packages)s in 30 days; 99 of 100 customers have at most %(typical)s.",
        packages=format_number(found["packages"]),
        typical=format_number(found["typical"]),
    )


_EVIDENCE: dict[str, Callable[[Evidence], str]] = {
    "self_same_contact": lambda _found: _("Spelled differently, it reaches the same person."),
    "self_same_device": lambda _found: _("Both signed in on it."),
    "too_many_in_a_day": _too_many,
    "too_many_in_a_month": _too_many,
    "regular_intervals": _regular,
    "scanned_by_referrer": lambda _found: _("With a phone of their own, before it was claimed."),
    "shared_browsers": _accounts,
    "many_packages": _packages,
    "far_places": _regions,
    "misses_first": _misses,
    "guest_chain": _guests,
    "quiet_star": _quiet,
    "quiet_chain": _quiet,
    "one_block": _block,
    "far_above_others": _above_others,
}
