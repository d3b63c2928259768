"""How far customers have come, what they are worth and what happened with them, in words."""

from collections.abc import Iterator, Mapping

from babel.numbers import get_currency_precision
from flask_babel import format_decimal, format_number, ngettext
from flask_babel import gettext as _

from referral.errors import N_
from referral.redemption.items import title_of
from referral.reports.timeline import What
from referral.rollups.life import Quadrant, Stage
from referral.segments import COUNTED_MAX, Conditions
from referral.web.language import language, money

STAGES: Mapping[str, tuple[str, str]] = {
    Stage.discovered: (N_("Discovered"), N_("Is known to the brand, and has looked at nothing.")),
    Stage.evaluated: (
        N_("Evaluated"),
        N_("Opened or shared a campaign, or scanned a code."),
    ),
    Stage.bought: (N_("Bought"), N_("Has claimed a package or ordered something.")),
    Stage.used: (
        N_("Used it"),
        N_("On another day scanned another code, or bought again."),
    ),
    Stage.bonded: (N_("Bonded"), N_("Bought again within 90 days.")),
    Stage.advocates: (N_("Advocates"), N_("Brought in somebody who bought.")),
}
"""Name and meaning."""
QUADRANTS: Mapping[str, tuple[str, str]] = {
    Quadrant.advocates: (N_("Advocates"), N_("Bring in more than most, and buy little.")),
    Quadrant.champions: (N_("Champions"), N_("Buy and bring in more than most.")),
    Quadrant.misers: (N_("Misers"), N_("Do neither more than most.")),
    Quadrant.affluents: (N_("Affluents"), N_("Buy more than most, and bring in few.")),
}
"""As they stand in the picture: those who bring in more above, those who buy more on the right."""
HAPPENINGS: Mapping[str, tuple[str, str]] = {
    What.answered: (N_("Answered about a complaint"), "↤"),
    What.brought: (N_("Brought in"), "⤴"),
    What.claimed: (N_("Claimed a package"), "✓"),
    What.commented: (N_("Said of a package"), "…"),
    What.complained: (N_("Complained"), "!"),
    What.handed_over: (N_("Got an item"), "⇥"),
    What.joined: (N_("Became a customer"), "●"),
    What.judged: (N_("Purchase looked at"), "?"),
    What.merged: (N_("Put together"), "⊕"),
    What.opened: (N_("Opened a link"), "→"),
    What.ordered: (N_("Ordered"), "＋"),
    What.rated: (N_("Rated a package"), "☆"),
    What.redeemed: (N_("Redeemed"), "◇"),
    What.refunded: (N_("Refunded"), "↩"),
    What.rewarded: (N_("Rewarded"), "★"),
    What.shared: (N_("Shared"), "↗"),
    What.wrote_back: (N_("Wrote back about a complaint"), "!"),
}
"""Name and mark."""


def stage(name: str) -> str:
    return _(STAGES[name][0]) if name in STAGES else name


def stage_meaning(name: str) -> str:
    return _(STAGES[name][1]) if name in STAGES else ""


def quadrant(name: str) -> str:
    """A dash for whoever is in none."""
    return _(QUADRANTS[name][0]) if name in QUADRANTS else "—"


def quadrant_meaning(name: str) -> str:
    return _(QUADRANTS[name][1]) if name in QUADRANTS else ""


def happening(what: What) -> str:
    return _(HAPPENINGS[what][0])


def mark(what: What) -> str:
    return HAPPENINGS[what][1]


def item(titles: Mapping[str, str]) -> str:
    """What an item is called here."""
    return title_of(titles, language())


def counted(number: int | None) -> str:
    """How many people were counted: there may be more than anybody counts."""
    if number is None:
        return "—"
    if number > COUNTED_MAX:
        return _("more than %(number)s", number=format_number(COUNTED_MAX))
    return str(format_number(number))


def rate(number: float) -> str:
    return str(format_decimal(round(number, 2), "#,##0.##"))


def percent(basis_points: int) -> str:
    return str(format_decimal(basis_points / 100, "#,##0.##")) + "%"


def typed(minor: int, currency: str) -> str:
    """An amount as a field takes it."""
    places = get_currency_precision(currency)
    whole, part = divmod(minor, 10**places)
    return f"{whole}.{part:0{places}d}" if places and part else str(whole)


# What a segment asks for


def conditions(
    said: Conditions, currency: str, product: str | None = None, store: str | None = None
) -> list[str]:
    """What has to be so, all together; `product` and `store` are the names of those that are
    meant."""
    return list(_conditions(said, currency, product, store))


def _conditions(
    said: Conditions, currency: str, product: str | None, store: str | None
) -> Iterator[str]:
    if said.stages:
        yield _("Life stage: %(names)s", names=_either([stage(each) for each in said.stages]))
    if said.quadrants:
        names = _either([quadrant(each) for each in said.quadrants])
        yield _("Quadrant: %(names)s", names=names)
    for label, least, most, is_money in (
        (_("Own value"), said.own_least, said.own_most, True),
        (_("Value of those brought in"), said.referral_least, said.referral_most, True),
        (_("Purchases"), said.purchases_least, said.purchases_most, False),
        (_("Customers brought in"), said.brought_least, said.brought_most, False),
    ):
        if least is not None or most is not None:
            yield _range(label, least, most, currency if is_money else None)
    if said.bought_within is not None:
        yield ngettext(
            "Last purchase in the last %(num)s day",
            "Last purchase in the last %(num)s days",
            said.bought_within,
        )
    if said.not_bought_for is not None:
        yield ngettext(
            "Last purchase %(num)s day ago or longer",
            "Last purchase %(num)s days ago or longer",
            said.not_bought_for,
        )
    if said.product is not None:
        yield _("Claimed a package of %(product)s", product=product or f"#{said.product}")
    if said.store is not None:
        yield _("Claimed a package that went to %(store)s", store=store or f"#{said.store}")


def _range(label: str, least: int | None, most: int | None, currency: str | None) -> str:
    def told(number: int) -> str:
        return money(number, currency) if currency else str(format_number(number))

    if least is not None and most is not None:
        if least == most:
            return _("%(what)s of %(amount)s", what=label, amount=told(least))
        return _("%(what)s: %(least)s to %(most)s", what=label, least=told(least), most=told(most))
    if least is not None:
        return _("%(what)s: %(amount)s or more", what=label, amount=told(least))
    assert most is not None
    return _("%(what)s: %(amount)s or less", what=label, amount=told(most))


def _either(names: list[str]) -> str:
    if language().startswith("zh"):
        return "、".join(names)
    return ", ".join(names)
