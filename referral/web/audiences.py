"""Whom a campaign is for, told to customers: kindly, and without what a brand thinks of them."""

from collections.abc import Iterator
from functools import reduce

from flask_babel import format_number, ngettext
from flask_babel import gettext as _

from referral.campaigns import Campaign
from referral.segments import Audience, Conditions
from referral.web import promises


def promise(campaign: Campaign) -> list[str]:
    """What a campaign's rules promise, and that it is not for everybody where it is not."""
    said = promises.promise(campaign.checked_rules, campaign.currency)
    if said and campaign.audience:
        return [*said, _("By invitation: the rules say who is invited.")]
    return said


def told(campaign: Campaign) -> list[str]:
    """Who is invited, when that is decided, and what holds for everybody else. Nothing of a
    campaign for all."""
    audience = Audience.load(campaign.audience or {})
    if audience is None:
        return [_("This campaign is by invitation.")] if campaign.audience else []
    who = list(_who(audience.conditions))
    said = [_("This campaign is an invitation to some of our customers.")]
    if who:
        listed = reduce(promises.with_comma, who)
        said.append(_("Invited are customers %(who)s.", who=listed))
    else:
        said.append(_("We chose them by how they have taken part so far."))
    return [
        *said,
        _(
            "Whether you are among them is decided when you buy, by what had been counted of you "
            "until then. New purchases are counted within a day."
        ),
        _(
            "If you are not invited this time, nothing is lost: your purchase counts for our other "
            "campaigns, and all you have stays yours."
        ),
    ]


def _who(conditions: Conditions) -> Iterator[str]:
    """What customers know of themselves; what the brand makes of it stays with the brand."""
    if conditions.product is not None or conditions.store is not None:
        yield _("who have claimed a certain product of ours, or one from a certain store")
    if conditions.purchases_least:
        yield ngettext(
            "who have bought at least %(num)s time",
            "who have bought at least %(num)s times",
            conditions.purchases_least,
        )
    if conditions.purchases_most is not None:
        yield _("who have bought at most %(times)s times", times=_number(conditions.purchases_most))
    if conditions.bought_within is not None:
        yield ngettext(
            "who have bought in the last %(num)s day",
            "who have bought in the last %(num)s days",
            conditions.bought_within,
        )
    if conditions.not_bought_for:
        yield ngettext(
            "whose last purchase was %(num)s day ago or longer",
            "whose last purchase was %(num)s days ago or longer",
            conditions.not_bought_for,
        )
    if conditions.brought_least:
        yield ngettext(
            "who have brought in at least %(num)s friend",
            "who have brought in at least %(num)s friends",
            conditions.brought_least,
        )


def _number(number: int) -> str:
    return str(format_number(number))
