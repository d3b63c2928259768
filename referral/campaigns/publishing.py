"""Publishing a campaign, and everything the product refuses to publish.

Every refusal is a problem of its own: which rules, why, and what to change.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from referral import ledger
from referral.campaigns import markets, payouts
from referral.campaigns.campaign import AlreadyPublished, Campaign, CampaignState, check_wording
from referral.campaigns.payouts import Payout, Worth
from referral.catalog import Product
from referral.errors import N_, Conflict, InvalidInput
from referral.rewards import ForWhom, Odds, Rule, What, unit_of
from referral.rewards.rules import DEPTH_MAX


class CampaignOver(Conflict):
    slug = "campaign-over"
    title = N_("This campaign has ended.")
    advice = N_("Set an end that lies ahead, then publish it.")


class Refused(InvalidInput):
    """A campaign that is not published as it stands. `details` have the ids of the `rules` it is
    about, `why`, and what to `change`."""

    slug = "not-publishable"
    title = N_("This campaign cannot be published as it stands.")
    advice = N_("Change what is named here, then publish it.")

    def __init__(
        self, detail: str | None = None, *, rules: Iterable[Rule] = (), **details: Any
    ) -> None:
        told = {"rules": [rule.id for rule in rules], "why": self.title, "change": self.advice}
        super().__init__(detail, **told, **details)


class NoRules(Refused):
    slug = "no-rules"
    title = N_("A campaign needs at least one reward rule.")
    advice = N_("Add a rule that says who gets how much for a purchase.")


class NothingToSell(Refused):
    slug = "no-products"
    title = N_("There is no product yet that this campaign names.")
    advice = N_("Create the product first, then publish the campaign.")


class MixedCurrencies(Refused):
    slug = "mixed-currencies"
    title = N_("The products of this campaign have prices in different currencies.")
    advice = N_("Make a campaign for each currency, and name its products.")


class PayoutOverBound(Refused):
    """`details` have the `payout` of the purchase that pays most in proportion, the `bound` for it
    and its price, all in minor units; and the `campaign` that pays for it as well, where it is
    another one that brings it over the bound."""

    slug = "payout-over-bound"
    title = N_("One purchase would pay out too much.")
    advice = N_(
        "Lower the amounts: together they may be at most 20 percent of the product's price."
    )


class OrderNeedsLeast(Refused):
    slug = "order-needs-least"
    title = N_("A fixed amount would be paid for an order of next to nothing.")
    advice = N_("Say the smallest order it is paid for (`least`), or pay a percentage instead.")


class DepthTooGreat(Refused):
    slug = "depth-too-great"
    title = N_("Nobody can be paid for purchases more than two levels below.")
    advice = N_("Set the depth to 1: the friend whose link was used. More is pyramid selling.")


class DepthNotSignedOff(Refused):
    slug = "depth-not-signed-off"
    title = N_("Paying the second level needs a sign-off.")
    advice = N_(
        "Have an owner sign the rules off by name, as they stand now, or set the depth to 1."
    )


class AudiencePaysOthers(Refused):
    slug = "audience-pays-others"
    title = N_("A campaign for a segment can pay the customers of the segment only.")
    advice = N_(
        "Take out what is paid to referrers, and what is paid to customers whom a friend brought "
        "in: new customers are in no segment yet. Or make it a campaign for everybody."
    )


class PointsNeverExpire(Refused):
    slug = "points-never-expire"
    title = N_("These points would never expire.")
    advice = N_("Say for how many days points last; they are a debt of yours until then.")


class BudgetMissing(Refused):
    """`details` have the `units` that rules pay and no budget is there for."""

    slug = "budget-missing"
    title = N_("There is no budget for what the rules pay.")
    advice = N_("Put up a budget for each of points, store credit, coupons and items that is paid.")


class UnknownPrize(Refused):
    """`details` have the `units` that nobody has made."""

    slug = "unknown-prize"
    title = N_("A rule pays a coupon or an item that does not exist.")
    advice = N_("Make the coupons' pool or the catalogue's item first, or name another one.")


class DrawNeedsOrganiser(Refused):
    slug = "draw-needs-organiser"
    title = N_("A draw needs an organiser.")
    advice = N_("Name the legal entity that answers for it; dates and chances are told as well.")


class DrawNeedsPermit(Refused):
    """`details` have the `market` and the `source` of what it asks."""

    slug = "draw-needs-permit"
    title = N_("A draw in this market needs a permit.")
    advice = N_("Enter the number of the permit, licence or registration, or pay without a draw.")


class PrizeOverCap(Refused):
    """`details` have what the `prize` is worth and the `cap`, in minor units of `currency`, and
    the `source`."""

    slug = "prize-over-cap"
    title = N_("A prize is worth more than this market allows.")
    advice = N_("Lower the prize. The cap and where it is written are in the details.")


def publish(
    tx: Session,
    campaign: Campaign,
    products: Sequence[Product],
    *,
    worth: Worth,
    is_signed_off: bool,
    now: datetime,
) -> Campaign:
    """Start a campaign, which is locked, and put up its budgets.

    `products` are those it covers and that exist; `worth` that of coupons and items there are.
    Raises `AlreadyPublished`, `CampaignOver`, `PunishedWording`, and every `Refused`.
    """
    if campaign.state == CampaignState.published:
        raise AlreadyPublished()
    if campaign.ends_at <= now:
        raise CampaignOver()
    check(campaign, products, worth=worth, is_signed_off=is_signed_off)
    check_wording(campaign)
    campaign.state = CampaignState.published
    campaign.currency = products[0].currency
    campaign.worth = worth_of(campaign.checked_rules, worth)
    for unit, amount in campaign.all_budgets.items():
        # The key of points is as old as the first version.
        key = f"budget|{campaign.id}" + ("" if unit == "points" else f"|{unit}")
        ledger.fund(tx, campaign.id, unit, amount, key=key, now=now)
    return campaign


def check(
    campaign: Campaign,
    products: Sequence[Product],
    *,
    worth: Worth,
    is_signed_off: bool,
    may_last_forever: bool = False,
) -> None:
    """Whether these terms may bind the brand. Raises every `Refused`.

    Points of a campaign that never expired before `may_last_forever`.
    """
    rules = campaign.checked_rules
    if not rules:
        raise NoRules()
    if not products or len(products) < len(set(campaign.gtins)):
        raise NothingToSell()
    currencies = {product.currency for product in products}
    if len(currencies) > 1:
        raise MixedCurrencies()
    _check_audience(campaign, rules)
    _check_depth(rules, is_signed_off)
    _check_worth_is_known(rules, worth)
    _check_bound(rules, min(product.price for product in products), worth)
    if not may_last_forever:
        _check_expiry(campaign, rules)
    _check_draws(campaign, rules, currencies.pop(), worth)
    _check_budgets(campaign, rules, products[0].currency)


def worst_of(campaign: Campaign, prices: Collection[int], worth: Worth) -> Payout | None:
    """What a purchase of the cheapest product pays out at most; None where that is not known."""
    rules = campaign.checked_rules
    if not prices or worth_of(rules, worth).keys() < _things(rules):
        return None
    return payouts.worst(rules, min(prices), worth)


def worth_of(rules: Iterable[Rule], worth: Worth) -> dict[str, int]:
    """The worth of what these rules pay, as far as it is known."""
    return {unit: worth[unit] for unit in sorted(_things(rules)) if unit in worth}


def deep(rules: Iterable[Rule]) -> list[Rule]:
    """Those that pay more than one level."""
    return [rule for rule in rules if rule.depth > 1]


def _things(rules: Iterable[Rule]) -> set[str]:
    """The coupons and items that rules pay."""
    return {
        unit_of(what, of, None) for rule in rules for what, of in rule.prizes if what.is_counted_out
    }


def _check_audience(campaign: Campaign, rules: Sequence[Rule]) -> None:
    to_others = [
        rule for rule in rules if rule.for_whom is not ForWhom.person or rule.when.of_referred
    ]
    if campaign.audience and to_others:
        raise AudiencePaysOthers(rules=to_others)


def _check_depth(rules: Sequence[Rule], is_signed_off: bool) -> None:
    if too_deep := [rule for rule in rules if rule.depth > DEPTH_MAX]:
        raise DepthTooGreat(rules=too_deep)
    if (levels := deep(rules)) and not is_signed_off:
        raise DepthNotSignedOff(rules=levels)


def _check_worth_is_known(rules: Sequence[Rule], worth: Worth) -> None:
    if unknown := _things(rules) - worth.keys():
        raise UnknownPrize(
            f"There is none of these: {', '.join(sorted(unknown))}.",
            rules=[rule for rule in rules if _things([rule]) & unknown],
            units=sorted(unknown),
        )


def _check_bound(rules: Sequence[Rule], price: int, worth: Worth) -> None:
    if loose := [rule for rule in rules if payouts.needs_least(rule)]:
        raise OrderNeedsLeast(rules=loose)
    most = payouts.worst(rules, price, worth)
    if most.is_over:
        raise PayoutOverBound(
            f"One purchase could pay out {most.amount}, and {most.bound} is the most allowed.",
            rules=rules,
            payout=most.amount,
            bound=most.bound,
            price=most.purchase,
        )


def _check_expiry(campaign: Campaign, rules: Sequence[Rule]) -> None:
    of_points = [rule for rule in rules if any(what is What.points for what, _ in rule.prizes)]
    if of_points and campaign.lasts_days is None:
        raise PointsNeverExpire(rules=of_points)


def _check_draws(campaign: Campaign, rules: Sequence[Rule], currency: str, worth: Worth) -> None:
    draws = [rule for rule in rules if isinstance(rule.amount, Odds)]
    if not draws:
        return
    check_organiser(campaign)
    market = markets.market(campaign.market)
    if market.permit and not campaign.permit.strip():
        raise DrawNeedsPermit(rules=draws, market=campaign.market, source=market.source)
    for rule in draws:
        prize, cap = dearest_prize(rule, worth), market.prize_max
        # An amount in another currency cannot be held against the cap: then the cap is not met.
        if cap is not None and (currency != market.currency or prize > cap):
            raise PrizeOverCap(
                f"A prize is worth {prize} {currency}, and the cap is {cap} {market.currency}.",
                rules=[rule],
                prize=prize,
                cap=cap,
                currency=market.currency,
                source=market.source,
            )


def check_organiser(campaign: Campaign) -> None:
    """Raises `DrawNeedsOrganiser` for a campaign that has a draw and names nobody."""
    draws = [rule for rule in campaign.checked_rules if isinstance(rule.amount, Odds)]
    if draws and not campaign.organiser.strip():
        raise DrawNeedsOrganiser(rules=draws)


def check_beside(
    campaign: Campaign, others: Iterable[Campaign], products: Sequence[Product]
) -> None:
    """Whether a purchase that two campaigns pay for, the one as an order, the other as a claim,
    keeps within the bound. The campaign has its currency and `worth`; `others` run beside it.

    Raises `PayoutOverBound`.
    """
    for other in others:
        for claims, orders in ((campaign, other), (other, campaign)):
            if not claims.pays_for_claims or not orders.pays_for_orders:
                continue
            prices = [p.price for p in products if claims.pays_for(p) and orders.covers(p)]
            if not prices:
                continue
            most = payouts.together(
                claims.checked_rules,
                orders.checked_rules,
                min(prices),
                payouts.dearer(claims.worth or {}, orders.worth or {}),
            )
            if most.is_over:
                raise PayoutOverBound(
                    f"Together with the campaign {other.slug}, one purchase could pay out "
                    f"{most.amount}, and {most.bound} is the most allowed.",
                    rules=campaign.checked_rules,
                    payout=most.amount,
                    bound=most.bound,
                    price=most.purchase,
                    campaign=other.slug,
                )


def dearest_prize(draw: Rule, worth: Worth) -> int:
    """What the best prize of a draw is worth, in minor units."""
    assert isinstance(draw.amount, Odds)
    pairs = zip(draw.amount.odds, draw.prizes, strict=True)
    return max(chance.amount * payouts.worth_of(what, of, worth) for chance, (what, of) in pairs)


def _check_budgets(campaign: Campaign, rules: Sequence[Rule], currency: str) -> None:
    missing = payouts.units_of(rules, currency) - campaign.all_budgets.keys()
    if missing:
        raise BudgetMissing(
            f"There is no budget of: {', '.join(sorted(missing))}.",
            rules=[rule for rule in rules if payouts.units_of([rule], currency) & missing],
            units=sorted(missing),
        )
