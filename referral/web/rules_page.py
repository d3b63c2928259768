"""A campaign's rules for consumers, made of the same data that pays."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import reduce

from flask_babel import gettext as _
from flask_babel import ngettext

from referral.campaigns import Campaign, CreditedTouch, markets
from referral.catalog import Product
from referral.rewards import (
    ForWhom,
    Grant,
    Lost,
    Odds,
    Proof,
    PurchaseFacts,
    Rule,
    What,
    evaluate,
)
from referral.web import audiences, promises
from referral.web.language import money

YOU, FRIEND, ABOVE = 1, 2, 3
_Prize = tuple[What, str | None]
"""What is paid, and of which coupons or items."""


@dataclass(frozen=True)
class RulesPage:
    summary: str
    whom: list[str] = field(default_factory=list)
    """Who is invited, where not everybody is."""
    examples: list[str] = field(default_factory=list)
    """What typical purchases bring."""
    promises: list[str] = field(default_factory=list)
    clauses: list[str] = field(default_factory=list)
    draws: list[str] = field(default_factory=list)
    """What has to be said of lucky draws."""
    notices: list[str] = field(default_factory=list)
    """What the market asks to be said."""


def made(campaign: Campaign, products: Sequence[Product]) -> RulesPage:
    """`products` are those it covers."""
    rules = campaign.checked_rules
    return RulesPage(
        summary=_summary(rules),
        whom=audiences.told(campaign),
        examples=list(_examples(campaign, rules, products)),
        promises=promises.promise(rules, campaign.currency),
        clauses=list(_clauses(campaign, rules)),
        draws=_of_draws(campaign) if _has_draw(rules) else [],
        notices=[_(markets.NOTICES[name]) for name in markets.market(campaign.market).notices],
    )


def _summary(rules: Sequence[Rule]) -> str:
    if not any(rule.when.of_orders for rule in rules):
        return _(
            "Rewards are paid for packages that are bought and claimed, once each, until the "
            "campaign ends or its budget is used up."
        )
    return _(
        "Rewards are paid for purchases: packages that are claimed and orders in the shop, once "
        "each, until the campaign ends or its budget is used up."
    )


# What a typical purchase brings


def _examples(
    campaign: Campaign, rules: Sequence[Rule], products: Sequence[Product]
) -> Iterator[str]:
    if any(rule.when.of_claims for rule in rules):
        first = _said(rules, campaign, Proof.claim, 0, is_first=True)
        yield _(
            "Your first package, a friend's link having brought you here: %(paid)s.", paid=first
        )
        later = _said(rules, campaign, Proof.claim, 0, is_first=False)
        yield _("Every further package: %(paid)s.", paid=later)
    if any(rule.when.of_orders for rule in rules) and products and campaign.currency:
        amount = max(
            min(product.price for product in products), *(rule.least or 0 for rule in rules)
        )
        told = {"amount": money(amount, campaign.currency)}
        first = _said(rules, campaign, Proof.order, amount, is_first=True)
        yield _(
            "Your first order, of %(amount)s, a friend's link having brought you here: %(paid)s.",
            paid=first,
            **told,
        )
        later = _said(rules, campaign, Proof.order, amount, is_first=False)
        yield _("Every further order of %(amount)s: %(paid)s.", paid=later, **told)


def _said(
    rules: Sequence[Rule], campaign: Campaign, proof: Proof, amount: int, *, is_first: bool
) -> str:
    """What one purchase brings whom. What takes several of them is left out."""
    facts = PurchaseFacts(
        customer=YOU, is_first=is_first, referrer=FRIEND, above=ABOVE, proof=proof, amount=amount
    )
    paid: dict[int, dict[_Prize, int]] = defaultdict(lambda: defaultdict(int))
    draws: set[int] = set()
    for each in evaluate([rule for rule in rules if rule.nth in {None, 1}], facts):
        if isinstance(each, Lost) or isinstance(each.rule.amount, Odds):
            draws.add(each.beneficiary)
        elif isinstance(each, Grant):
            paid[each.beneficiary][each.what, each.of] += each.amount
    parts = []
    for whom in (YOU, FRIEND, ABOVE):
        got = [
            promises.prized(what, of, amount, campaign.currency)
            for (what, of), amount in paid[whom].items()
        ]
        if whom in draws:
            got.append(_("a draw"))
        if got or whom == YOU:
            parts.append(_whose(whom, reduce(_and, got)) if got else _("nothing for you"))
    return reduce(promises.with_comma, parts)


def _and(first: str, then: str) -> str:
    return _("%(first)s and %(then)s", first=first, then=then)


def _whose(whom: int, gets: str) -> str:
    if whom == YOU:
        return _("%(what)s for you", what=gets)
    if whom == FRIEND:
        return _("%(what)s for the friend", what=gets)
    return _("%(what)s for whoever brought that friend in", what=gets)


# Other terms


def _clauses(campaign: Campaign, rules: Sequence[Rule]) -> Iterator[str]:
    has_orders = any(rule.when.of_orders for rule in rules)
    if campaign.hold_days:
        yield ngettext(
            "Rewards can be spent after %(num)s day.",
            "Rewards can be spent after %(num)s days.",
            campaign.hold_days,
        )
    if campaign.lasts_days:
        yield ngettext(
            "What is not spent expires %(num)s day after it could be spent.",
            "What is not spent expires %(num)s days after it could be spent.",
            campaign.lasts_days,
        )
    yield _(
        "The budget is %(budget)s in all. Once it is used up, nothing more is paid.",
        budget=promises.budgets_in_words(campaign),
    )
    yield ngettext(
        "A friend's link counts for %(num)s day after it was opened.",
        "A friend's link counts for %(num)s days after it was opened.",
        campaign.window_days,
    )
    if campaign.touch == CreditedTouch.last and has_orders:
        yield _("Of several links, the one opened last before the first purchase counts.")
    elif campaign.touch == CreditedTouch.last:
        yield _("Of several links, the one opened last before the first claim counts.")
    else:
        yield _("Of several links, the one opened first counts.")
    if has_orders:
        yield _("Who brought somebody in is settled at that person's first purchase.")
    else:
        yield _("Who brought somebody in is settled at that person's first claim.")
    yield _depth(rules)
    yield _("What was paid for a purchase that is returned, or was no real one, is taken back.")


def _depth(rules: Sequence[Rule]) -> str:
    if any(rule.depth > 1 for rule in rules):
        return _(
            "Up to two people are thanked: the friend whose link was used, and whoever brought "
            "that friend in. Nobody further up."
        )
    if any(rule.for_whom is not ForWhom.person for rule in rules):
        return _("Only the friend whose link was used is thanked, nobody further up.")
    return _("Only the buyer gets something; friends whose links were used get nothing.")


def _has_draw(rules: Sequence[Rule]) -> bool:
    return any(isinstance(rule.amount, Odds) for rule in rules)


def _of_draws(campaign: Campaign) -> list[str]:
    said = [
        _("A draw is made at once for each purchase, by a number nobody can choose or foresee."),
        _("Whoever draws again has the same chances again: what went before changes nothing."),
    ]
    if campaign.permit:
        said.append(_("Permit for the draws: %(number)s", number=campaign.permit))
    return said
