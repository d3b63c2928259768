"""Who brought a customer in, told to the customer: who, why that one, and why not the others."""

from collections.abc import Mapping
from dataclasses import dataclass

from flask_babel import format_date, ngettext
from flask_babel import gettext as _
from sqlalchemy.orm import Session

from referral import people
from referral.campaigns import CreditedTouch
from referral.errors import N_
from referral.graph import Referral, TouchOutcome
from referral.reports import lists, referrals
from referral.reports.referrals import Reasons, Touch
from referral.web.context import deployment

Names = Mapping[int, str | None]

# Why a link that was opened did not count.
_OTHERS: Mapping[str, str] = {
    TouchOutcome.came_later: N_(
        "%(day)s: you opened a link that leads back to %(name)s. That was later, and the first "
        "one counts."
    ),
    TouchOutcome.came_earlier: N_(
        "%(day)s: you opened a link that leads back to %(name)s. That was earlier, and the last "
        "one before a first claim counts."
    ),
    TouchOutcome.other_campaign: N_(
        "%(day)s: you opened a link of another campaign that leads back to %(name)s. You had "
        "opened one of this campaign before."
    ),
    TouchOutcome.nobody: N_("%(day)s: you opened a link that leads back to no customer."),
    TouchOutcome.below: N_(
        "%(day)s: you opened a link that leads back to %(name)s, who was brought here by you."
    ),
}


@dataclass(frozen=True)
class BroughtBy:
    """A sentence on who it was, and one on each thing that decided it."""

    who: str
    why: list[str]


def brought_by(tx: Session, customer_id: int) -> BroughtBy | None:
    """None before a customer's first claim, and where no friend's link was opened before it."""
    referral = tx.get(Referral, customer_id)
    if referral is None or not referral.why.get("touches"):
        return None
    found = referrals.reasons(referral, people.current(tx, referrals.mentioned(referral)))
    names = lists.names(tx, deployment().keys, list(found.customers))
    return BroughtBy(_who(referral.referrer_id, names), list(_why(found, names)))


def _who(referrer: int | None, names: Names) -> str:
    if referrer is None:
        return _("Nobody: no link that you opened led to a customer who could be thanked.")
    name = names.get(referrer)
    if name is None:
        return _("A friend brought you here.")
    return _("%(name)s brought you here.", name=name)


def _why(found: Reasons, names: Names) -> list[str]:
    said = [_of_touch(touch, found, names) for touch in found.touches]
    if found.anonymous:
        said.append(
            ngettext(
                "It came to you through %(num)s person who is not a customer.",
                "It came to you through %(num)s people who are not customers.",
                found.anonymous,
            )
        )
    said += [
        _("%(name)s stands nearer to you, but was brought here by you.", name=_named(each, names))
        for each in found.passed_over
    ]
    return [each for each in said if each]


def _of_touch(touch: Touch, found: Reasons, names: Names) -> str:
    told = {"day": format_date(touch.at), "name": _named(touch.customer_id, names)}
    if touch.outcome == TouchOutcome.credited:
        if found.rule is CreditedTouch.last:
            return _(
                "%(day)s: you opened a link that leads back to %(name)s. It was the last one "
                "before your first claim, and the last one counts.",
                **told,
            )
        return _(
            "%(day)s: you opened a link that leads back to %(name)s. It was the first one, and "
            "the first one counts.",
            **told,
        )
    if touch.outcome == TouchOutcome.too_old and touch.window_days:
        return ngettext(
            "%(day)s: a link counts for %(num)s day, and this one was opened before that.",
            "%(day)s: a link counts for %(num)s days, and this one was opened before that.",
            touch.window_days,
            day=told["day"],
        )
    sentence = _OTHERS.get(touch.outcome)
    return _(sentence, **told) if sentence else ""


def _named(customer_id: int | None, names: Names) -> str:
    return (names.get(customer_id) if customer_id else None) or _("a friend")
