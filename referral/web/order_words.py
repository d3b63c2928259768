"""Why an order brought what it brought, in words."""

from flask_babel import gettext as _

from referral.actions.touching import ViaReason
from referral.errors import N_
from referral.orders import ACCEPTED, Order, Unpaid
from referral.reports.orders import OwnOrder
from referral.rewards import Percent, Reward, Rule, What, Why
from referral.rewards.rules import BASIS_POINTS
from referral.web import promises
from referral.web.language import language, money
from referral.web.prizes import prize

UNPAID = {
    Unpaid.no_campaign: N_("No campaign that pays for orders ran then."),
    Unpaid.other_currency: N_("The campaigns that ran are in another currency."),
    Unpaid.not_covered: N_("The campaigns that ran are for other products."),
    Unpaid.too_small: N_("The campaigns that ran pay for larger orders only."),
    Unpaid.not_invited: N_("The campaigns that ran are for customers of a segment."),
    Unpaid.not_promised: N_("The campaign pays for other orders, such as a first one."),
}
VIA: dict[str, str] = {
    ACCEPTED: N_("It counts as an opening of the link."),
    ViaReason.altered: N_("Left alone: it was cut off or changed, or was not made here."),
    ViaReason.unknown_campaign: N_("Left alone: its campaign is not known."),
    ViaReason.campaign_not_running: N_("Left alone: its campaign was not running then."),
    ViaReason.unknown_sharer: N_("Left alone: whoever shared it is not known."),
    ViaReason.own_link: N_("Left alone: it is the buyer's own."),
}
WITHHELD: dict[str, str] = {
    Why.budget_spent: N_("The campaign's budget was used up."),
    Why.limit_reached: N_("The rule had paid as often as it may."),
    Why.no_win: N_("The draw was lost."),
    Why.self_referral: N_("Buyer and referrer are one person."),
    Why.too_many: N_("The referrer had as many referrals paid as count in a day or month."),
    Why.blocked: N_("The customer is blocked."),
}


def unpaid(why: str) -> str:
    """Why nothing was paid or promised."""
    return _(UNPAID[Unpaid(why)])


def via(outcome: str) -> str:
    """What became of the link that was sent along."""
    return _(VIA.get(outcome, outcome))


def withheld(why: str) -> str:
    """Why something that was promised was not granted."""
    return _(WITHHELD.get(why, why))


def how_much(rule: Rule | None, order: Order, reward: Reward) -> str:
    """How a reward's amount came about; empty where nothing is known of its rule any more."""
    if rule is None:
        return ""
    if not isinstance(rule.amount, Percent):
        return promises.thing(rule, order.currency)
    told = {
        "percent": promises.percent(rule.amount.basis_points, BASIS_POINTS),
        "amount": money(order.amount, order.currency),
    }
    if reward.amount < rule.amount.cap:
        return _("%(percent)s of %(amount)s", **told)
    of = None if rule.what is What.points else order.currency
    most = promises.prized(rule.what, rule.of, rule.amount.cap, of)
    return _("%(percent)s of %(amount)s, but at most %(most)s", **told, most=most)


def taken_back(reward: Reward, order: Order) -> str:
    """What was taken back, and why; empty for nothing."""
    if not reward.taken_back:
        return ""
    back = prize(reward.taken_back, reward.unit)
    if not order.refunded:
        return _("%(amount)s taken back", amount=back)
    return _(
        "%(amount)s taken back, as %(refunded)s of %(whole)s was refunded",
        amount=back,
        refunded=money(order.refunded, order.currency),
        whole=money(order.amount, order.currency),
    )


OWN_UNPAID = {
    Unpaid.no_campaign: N_("It brought nothing: no campaign covered it."),
    Unpaid.other_currency: N_("It brought nothing: no campaign covered it."),
    Unpaid.not_covered: N_("It brought nothing: no campaign covered it."),
    Unpaid.too_small: N_("It brought nothing: the campaign thanks for larger orders."),
    Unpaid.not_invited: N_("It brought nothing: the campaign was by invitation this time."),
    Unpaid.not_promised: N_("The campaign promises nothing for this one."),
}
OWN_WITHHELD: dict[str, str] = {
    Why.budget_spent: N_("The campaign's budget was used up by then."),
    Why.limit_reached: N_("You had had as much as one can get."),
    Why.no_win: N_("No luck in the draw this time."),
    Why.self_referral: N_("One's own link brings nothing."),
    Why.too_many: N_("Only so many count in a day and in a month."),
    Why.blocked: N_("Nothing for this one. Please ask us why."),
}


def to_buyer(own: OwnOrder) -> str:
    """What an order brought, in words for its buyer."""
    said = [_(OWN_UNPAID[Unpaid(own.order.unpaid)])] if own.order.unpaid else []
    by_unit: dict[str, int] = {}
    for reward in own.rewards:
        left = reward.amount - reward.taken_back
        by_unit[reward.unit] = by_unit.get(reward.unit, 0) + left
    said += [
        _("It brought you %(what)s.", what=prize(amount, unit))
        for unit, amount in by_unit.items()
        if amount
    ]
    whys = dict.fromkeys(each.why for each in own.withheld)
    said += [_(OWN_WITHHELD[why]) for why in whys if why in OWN_WITHHELD]
    if own.order.refunded:
        refunded = money(own.order.refunded, own.order.currency)
        if any(reward.taken_back for reward in own.rewards):
            said.append(_("%(amount)s was refunded, and its share taken back.", amount=refunded))
        else:
            said.append(_("%(amount)s was refunded.", amount=refunded))
    return ("" if language().startswith("zh") else " ").join(said)
