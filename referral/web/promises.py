"""What a campaign's rules promise, in sentences in the reader's language.

No sentence promises what a rule does not pay: chances are told as chances, what has a limit tells
it, and whoever is asked to buy is told that the sharer benefits.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import reduce

from babel.numbers import get_currency_precision
from flask_babel import format_decimal, format_number, format_percent, ngettext
from flask_babel import gettext as _

from referral.campaigns import Campaign
from referral.rewards import ForWhom, Odds, Percent, Rule, Tiers, What, When, unit_of
from referral.rewards.rules import BASIS_POINTS, MILLION
from referral.web.language import language, money
from referral.web.prizes import prize

# What a rule promises


def promise(rules: Iterable[Rule], currency: str | None = None) -> list[str]:
    """What rules promise, a sentence or two each; `currency` is that of store credit."""
    return [sentence for rule in rules for sentence in sentences(rule, currency)]


def sentences(rule: Rule, currency: str | None = None) -> list[str]:
    """What one rule promises: to whoever buys, and to who brought the buyer in."""
    what = thing(rule, currency)
    said = []
    if rule.for_whom is not ForWhom.referrer:
        said.append(_to_buyer(rule, what))
    if rule.for_whom is not ForWhom.person:
        said.append(_to_referrer(rule, what))
    if conditions := _conditions(rule, currency):
        told = reduce(with_comma, conditions)
        said = [_in_brackets(each, told) for each in said]
    if particulars := _particulars(rule, currency):
        said = [with_colon(each, particulars) for each in said]
    return said


def thing(rule: Rule, currency: str | None) -> str:
    """What is paid, in few words: an amount, a share of the order, steps, or a draw."""
    amount = rule.amount
    if isinstance(amount, Odds):
        return _("a draw")
    if isinstance(amount, Percent):
        share = percent(amount.basis_points, BASIS_POINTS)
        most = prized(rule.what, rule.of, amount.cap, currency)
        if rule.what is What.points:
            return _(
                "%(percent)s of the amount in points, at most %(most)s", percent=share, most=most
            )
        return _("%(percent)s of the amount, at most %(most)s", percent=share, most=most)
    if isinstance(amount, Tiers):
        return _("a reward in steps")
    return prized(rule.what, rule.of, amount, currency)


def _particulars(rule: Rule, currency: str | None) -> str:
    """The steps, or the prizes with their chances."""
    amount = rule.amount
    if isinstance(amount, Odds):
        return _draw(rule, amount, currency)
    if not isinstance(amount, Tiers):
        return ""
    steps = [
        _(
            "%(what)s from customer no. %(since)s on",
            what=prized(rule.what, rule.of, tier.amount, currency),
            since=format_number(tier.since),
        )
        for tier in amount.tiers
    ]
    return reduce(_with_semicolon, steps)


def prized(what: What, of: str | None, amount: int, currency: str | None) -> str:
    """An amount of something, in words."""
    if what is not What.credit:
        return prize(amount, unit_of(what, of, None))
    told = money(amount, currency) if currency else format_decimal(amount / 100, "#,##0.00")
    return _("%(amount)s of store credit", amount=told)


def percent(part: int, whole: int) -> str:
    return format_percent(part / whole, "#,##0.####%")


def chance_in_words(per_million: int) -> str:
    """A chance as one in so many where that is exact, otherwise as a percentage that is."""
    if per_million == MILLION:
        return _("always")
    if MILLION % per_million == 0:
        return _("chance 1 in %(num)s", num=format_number(MILLION // per_million))
    return _("chance %(percent)s", percent=percent(per_million, MILLION))


def budgets_in_words(campaign: Campaign) -> str:
    """What a campaign may pay in all."""
    budgets = [
        _("%(amount)s of store credit", amount=money(amount, unit))
        if unit.isupper()
        else prize(amount, unit)
        for unit, amount in campaign.all_budgets.items()
    ]
    return reduce(with_comma, budgets) if budgets else _("nothing")


def _draw(rule: Rule, odds: Odds, currency: str | None) -> str:
    rows = zip(odds.odds, rule.prizes, strict=True)
    told = [
        _in_brackets(prized(what, of, row.amount, currency), chance_in_words(row.per_million))
        for row, (what, of) in rows
    ]
    prizes = reduce(with_comma, told)
    blanks = MILLION - sum(row.per_million for row in odds.odds)
    if blanks > MILLION // 2:
        return _with_semicolon(prizes, _("most draws win nothing"))
    if blanks:
        return _with_semicolon(prizes, _("some draws win nothing"))
    return prizes


def _to_buyer(rule: Rule, what: str) -> str:
    nth = format_number(rule.nth or 1)
    if rule.when is When.nth_referral:
        if rule.every:
            return _(
                "%(what)s for your first purchase if a friend's customers are then a multiple of "
                "%(nth)s",
                what=what,
                nth=nth,
            )
        return _(
            "%(what)s for your first purchase if you are customer no. %(nth)s of a friend",
            what=what,
            nth=nth,
        )
    if rule.when is When.nth_claim and rule.nth != 1:
        if rule.every:
            return _("%(what)s for every %(num)s packages you claim", what=what, num=nth)
        return _("%(what)s once you have claimed %(num)s packages", what=what, num=nth)
    said: dict[When, Callable[[], str]] = {
        When.claim: lambda: _("%(what)s for every package you claim", what=what),
        When.first_claim: lambda: _("%(what)s for your first claim", what=what),
        When.referred_first_claim: lambda: _(
            "%(what)s for your first claim when a friend's link brought you here", what=what
        ),
        When.order: lambda: _("%(what)s for every order", what=what),
        When.first_order: lambda: _("%(what)s for your first order", what=what),
        When.referred_first_order: lambda: _(
            "%(what)s for your first order when a friend's link brought you here", what=what
        ),
        When.referred_first_purchase: lambda: _(
            "%(what)s for your first purchase when a friend's link brought you here", what=what
        ),
        When.nth_claim: lambda: (
            _("%(what)s for every package you claim", what=what)
            if rule.every
            else _("%(what)s for one package you claim", what=what)
        ),
    }
    return said[rule.when]()


def _to_referrer(rule: Rule, what: str) -> str:
    nth = format_number(rule.nth or 1)
    whom = _("the friend who brought you")
    if rule.depth > 1:
        whom = _("whoever brought in the friend who brought you")
    told = {"what": what, "whom": whom}
    if rule.when is When.nth_referral:
        if rule.every:
            return _(
                "%(what)s to %(whom)s, for every %(num)s customers brought in who bought",
                num=nth,
                **told,
            )
        return _(
            "%(what)s to %(whom)s, for customer no. %(num)s brought in who bought", num=nth, **told
        )
    if rule.when is When.claim:
        return _("%(what)s to %(whom)s, for every package you claim", **told)
    if rule.when is When.order:
        return _("%(what)s to %(whom)s, for every order of yours", **told)
    if not rule.when.of_orders:
        return _("%(what)s to %(whom)s, for your first claim", **told)
    if not rule.when.of_claims:
        return _("%(what)s to %(whom)s, for your first order", **told)
    return _("%(what)s to %(whom)s, for your first purchase", **told)


def _conditions(rule: Rule, currency: str | None) -> list[str]:
    """What has to be so besides, and how often it is paid at most."""
    limits = rule.limits
    said = []
    if rule.least:
        least = _money(rule.least, currency)
        if rule.when.of_claims:
            said.append(_("an order has to be of %(amount)s or more", amount=least))
        else:
            said.append(_("orders of %(amount)s or more", amount=least))
    if rule.within_days:
        said.append(ngettext("within %(num)s day", "within %(num)s days", rule.within_days))
    if limits.per_person:
        said.append(
            ngettext(
                "at most %(num)s time a person", "at most %(num)s times a person", limits.per_person
            )
        )
    if limits.per_person_per_day:
        said.append(
            ngettext(
                "at most %(num)s time a person and day",
                "at most %(num)s times a person and day",
                limits.per_person_per_day,
            )
        )
    if limits.per_day:
        said.append(_("for the first %(num)s a day", num=format_number(limits.per_day)))
    if limits.total:
        said.append(_("for the first %(num)s in all", num=format_number(limits.total)))
    if limits.budget and not isinstance(rule.amount, Odds):
        most = prized(rule.what, rule.of, limits.budget, currency)
        said.append(_("%(amount)s in all at most", amount=most))
    elif limits.budget:
        most = format_number(limits.budget)
        said.append(_("%(amount)s in all at most", amount=most))
    return said


def _money(amount: int, currency: str | None) -> str:
    if currency is None:
        return format_decimal(amount / 100, "#,##0.00")
    places = get_currency_precision(currency)
    return money(amount, currency) if places else format_number(amount)


# Punctuation, which Chinese has its own of


def with_comma(first: str, then: str) -> str:
    return f"{first}{'，' if _is_chinese() else ', '}{then}"


def _with_semicolon(first: str, then: str) -> str:
    return f"{first}{'；' if _is_chinese() else '; '}{then}"


def with_colon(first: str, then: str) -> str:
    return f"{first}{'：' if _is_chinese() else ': '}{then}"


def _in_brackets(first: str, then: str) -> str:
    return f"{first}（{then}）" if _is_chinese() else f"{first} ({then})"


def _is_chinese() -> bool:
    return language().startswith("zh")


# What a sharer writes to a friend


def suggestion(title: str, rules: Sequence[Rule]) -> str:
    """What to write to a friend: no more than the rules pay, and that they pay the sharer."""
    gain = _gain(rules)
    if gain is None:
        return f"“{title}”"
    if _only_orders(rules):
        return _("“%(title)s”: if you order, %(gain)s.", title=title, gain=gain)
    if _some_orders(rules):
        return _("“%(title)s”: if you buy, %(gain)s.", title=title, gain=gain)
    return _("“%(title)s”: if you buy and claim one, %(gain)s.", title=title, gain=gain)


def disclosure(rules: Sequence[Rule]) -> str:
    """The same for a poster, which has the title already; empty where nobody gets anything."""
    gain = _gain(rules)
    if gain is None:
        return ""
    if _only_orders(rules):
        return _("If you order, %(gain)s.", gain=gain)
    if _some_orders(rules):
        return _("If you buy, %(gain)s.", gain=gain)
    return _("If you buy and claim one, %(gain)s.", gain=gain)


def _only_orders(rules: Sequence[Rule]) -> bool:
    return not any(rule.when.of_claims for rule in rules)


def _some_orders(rules: Sequence[Rule]) -> bool:
    return any(rule.when.of_orders for rule in rules)


def _gain(rules: Sequence[Rule]) -> str | None:
    """Who of the two gets something for the friend's purchase, and whether that is certain."""
    friend = [rule for rule in rules if rule.for_whom is not ForWhom.referrer]
    sharer = [rule for rule in rules if rule.for_whom is not ForWhom.person]
    if friend and sharer:
        return _how(
            [friend, sharer],
            rules,
            _("we both get points"),
            _("we both get a reward"),
            _("we both can get a reward"),
        )
    if sharer:
        return _how(
            [sharer], rules, _("I get points"), _("I get a reward"), _("I can get a reward")
        )
    if friend:
        return _how(
            [friend], rules, _("you get points"), _("you get a reward"), _("you can get a reward")
        )
    return None


def _how(
    sides: Sequence[Sequence[Rule]], rules: Sequence[Rule], points: str, sure: str, perhaps: str
) -> str:
    """`points` or `sure` where a first purchase of any kind brings each side something, `perhaps`
    where it takes more than that, or luck."""
    if not all(any(_is_points(rule) for rule in side if _is_sure(rule, rules)) for side in sides):
        is_sure = all(any(_is_sure(rule, rules) for rule in side) for side in sides)
        return sure if is_sure else perhaps
    return points


def _is_points(rule: Rule) -> bool:
    return all(what is What.points for what, _of in rule.prizes)


def _is_sure(rule: Rule, rules: Sequence[Rule]) -> bool:
    """Whether a friend's first purchase is paid for by this rule, whatever else happens."""
    if rule.when in {When.nth_referral, When.nth_claim} and rule.nth != 1:
        return False
    if rule.depth > 1 or rule.least or rule.limits != type(rule.limits)():
        return False
    # Where some rules are about claims and others about orders, a purchase may be either.
    if _some_orders(rules) and not _only_orders(rules):
        is_either = rule.when.of_claims and rule.when.of_orders
        if not is_either:
            return False
    if isinstance(rule.amount, Odds):
        return sum(row.per_million for row in rule.amount.odds) == MILLION
    return not isinstance(rule.amount, Tiers) or rule.amount.tiers[0].since == 1
