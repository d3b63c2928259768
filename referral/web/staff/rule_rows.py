"""The rules in the campaign form: a group of fields each, to be added to and taken from."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from babel.numbers import get_currency_precision
from flask_babel import gettext as _
from pydantic import ValidationError

from referral.errors import N_
from referral.rewards import (
    AMOUNT_MAX,
    RULES_MAX,
    ForWhom,
    Odds,
    Percent,
    Rule,
    Tiers,
    What,
    When,
)
from referral.rewards.rules import BASIS_POINTS, MILLION, ROWS_MAX
from referral.web.staff.forms import Form

STEPS_AT_FIRST = 3
"""How many rows there are for tiers and prizes; one more than are filled in from then on."""
LEAST_MAX = 10**9
COUNT_MAX = 10**9
LIMIT_MAX = 10**12
NTH_MAX = 1000
WITHIN_MAX = 3650
_NAME = re.compile(r"rule-(\d{1,2})-when")


class How(StrEnum):
    """How an amount is said."""

    fixed = "fixed"
    percent = "percent"
    tiers = "tiers"
    draw = "draw"


WHENS = {
    When.claim: N_("Every claim"),
    When.first_claim: N_("A customer's first claim"),
    When.referred_first_claim: N_("A referred friend's first claim"),
    When.order: N_("Every order"),
    When.first_order: N_("A customer's first order"),
    When.referred_first_order: N_("A referred friend's first order"),
    When.referred_first_purchase: N_("A referred friend's first claim or order"),
    When.nth_referral: N_("A certain number of friends brought in"),
    When.nth_claim: N_("A certain number of claims: a stamp card"),
}
WHOM = {
    ForWhom.person: N_("The buyer"),
    ForWhom.referrer: N_("Who brought the buyer in"),
    ForWhom.both: N_("Both, the same each"),
}
HOWS = {
    How.fixed: N_("A fixed amount"),
    How.percent: N_("A percentage of the order"),
    How.tiers: N_("Steps, by friends brought in"),
    How.draw: N_("A lucky draw"),
}
LIMITS = {
    "per_person": N_("Times a person"),
    "per_person_per_day": N_("Times a person and day"),
    "per_day": N_("Times a day, all people"),
    "total": N_("Times in all"),
    "budget": N_("Amount in all"),
}


@dataclass(frozen=True)
class Row:
    """One rule as it is shown."""

    name: str
    """What the names of its fields begin with."""
    number: int
    tiers: range
    odds: range
    said: list[str]
    """The sentences it makes, where it is whole."""
    is_open: bool
    """Whether something is filled in that is folded away."""


# Writing


def fill_in(form: Form, rules: Sequence[Rule], currency: str | None) -> None:
    """Show rules in a form."""
    for number, rule in enumerate(rules):
        name = f"rule-{number}"
        values = _values_of(rule, currency)
        form.values |= {f"{name}-{part}": value for part, value in values.items()}


def fill_in_new(form: Form) -> None:
    """The rules most campaigns have, without amounts."""
    for number, (when, for_whom) in enumerate(
        [(When.claim, ForWhom.person), (When.referred_first_claim, ForWhom.both)]
    ):
        form.values |= _new(number, when, for_whom)


def add(form: Form) -> None:
    """Another rule, where there is room for one."""
    numbers = _numbers(form)
    if len(numbers) < RULES_MAX:
        form.values |= _new(max(numbers, default=-1) + 1, When.claim, ForWhom.person)


def drop(form: Form, number: str) -> None:
    """One rule less; the others keep their places."""
    kept = [n for n in _numbers(form) if str(n) != number]
    old = dict(form.values)
    form.values = {k: v for k, v in old.items() if not re.match(r"rule-\d", k)}
    for place, n in enumerate(kept):
        begins = f"rule-{n}-"
        moved = {k.removeprefix(begins): v for k, v in old.items() if k.startswith(begins)}
        form.values |= {f"rule-{place}-{part}": value for part, value in moved.items()}


def rows(form: Form, say: Callable[[Rule], list[str]], currency: str | None) -> list[Row]:
    """The rules of a form; `say` makes the sentences of one."""
    shown = []
    for place, number in enumerate(_numbers(form)):
        name = f"rule-{number}"
        reading = Form(form.values)
        rule = _read(reading, name, currency)
        shown.append(
            Row(
                name=name,
                number=place,
                tiers=_steps(form, name, "tier", "from"),
                odds=_steps(form, name, "odds", "chance"),
                said=say(rule) if rule is not None else [],
                is_open=any(
                    form.values.get(f"{name}-{part}") not in {None, "", "1"}
                    or f"{name}-{part}" in form.errors
                    for part in ("depth", *(f"limit-{limit}" for limit in LIMITS))
                )
                or any(form.typed(f"{name}-limit-{limit}") for limit in LIMITS),
            )
        )
    return shown


def whats_in(form: Form) -> set[str]:
    """What the rules of a form pay, as the fields say it."""
    return {
        value
        for key, value in form.values.items()
        if re.fullmatch(r"rule-\d+-(odds-\d+-)?what", key) and value
    }


def _new(number: int, when: When, for_whom: ForWhom) -> dict[str, str]:
    told = {"when": when, "for": for_whom, "what": What.points, "how": How.fixed, "amount": ""}
    return {f"rule-{number}-{part}": str(value) for part, value in told.items()}


def _values_of(rule: Rule, currency: str | None) -> dict[str, str]:
    def shown(what: What, amount: int) -> str:
        return as_money(amount, currency) if what is What.credit else str(amount)

    values = {"when": rule.when, "for": rule.for_whom, "what": _what(rule.what, rule.of)}
    if isinstance(rule.amount, Odds):
        values["how"] = How.draw
        rows = zip(rule.amount.odds, rule.prizes, strict=True)
        for place, (chance, (what, of)) in enumerate(rows):
            values[f"odds-{place}-chance"] = str(chance.per_million)
            values[f"odds-{place}-amount"] = shown(what, chance.amount)
            values[f"odds-{place}-what"] = _what(what, of) if chance.what else ""
    elif isinstance(rule.amount, Tiers):
        values["how"] = How.tiers
        for place, tier in enumerate(rule.amount.tiers):
            values[f"tier-{place}-from"] = str(tier.since)
            values[f"tier-{place}-amount"] = shown(rule.what, tier.amount)
    elif isinstance(rule.amount, Percent):
        values["how"] = How.percent
        values["percent"] = f"{rule.amount.basis_points / 100:g}"
        values["cap"] = shown(rule.what, rule.amount.cap)
    else:
        values["how"] = How.fixed
        values["amount"] = shown(rule.what, rule.amount)
    if rule.nth:
        values |= {"nth": str(rule.nth), "every": "1" if rule.every else ""}
    if rule.within_days:
        values["within_days"] = str(rule.within_days)
    if rule.least:
        values["least"] = as_money(rule.least, currency)
    values["depth"] = str(rule.depth)
    for limit in LIMITS:
        if most := getattr(rule.limits, limit):
            of_amount = limit == "budget" and not isinstance(rule.amount, Odds)
            values[f"limit-{limit}"] = shown(rule.what, most) if of_amount else str(most)
    return {part: str(value) for part, value in values.items()}


def _what(what: What, of: str | None) -> str:
    return f"{what}:{of}" if of else what.value


def as_money(minor: int, currency: str | None) -> str:
    """An amount as it is typed: in major units, or as it is where the currency is not known."""
    if currency is None:
        return str(minor)
    places = get_currency_precision(currency)
    return f"{minor / 10**places:.{places}f}"


# Reading


def read(form: Form, currency: str | None) -> list[Rule]:
    """The rules that were typed. One without an amount promises nothing and is left out.

    `currency` is that of store credit and of orders' amounts; without one they are whole numbers
    of its smallest unit.
    """
    found: list[Rule] = []
    for number in _numbers(form):
        name = f"rule-{number}"
        if not _is_blank(form, name):
            rule = _read(form, name, currency)
            if rule is not None and any(rule.id == other.id for other in found):
                form.refuse(f"{name}-when", _("There is a rule for this already. Change that one."))
            elif rule is not None:
                found.append(rule)
    return found


def _numbers(form: Form) -> list[int]:
    found = {int(match[1]) for match in map(_NAME.fullmatch, form.values) if match}
    return sorted(found)[:RULES_MAX]


def _is_blank(form: Form, name: str) -> bool:
    how = form.typed(f"{name}-how")
    return how in {"", How.fixed} and form.typed(f"{name}-amount") in {"", "0"}


def _read(form: Form, name: str, currency: str | None) -> Rule | None:
    before = len(form.errors)
    when = form.choice(f"{name}-when", When, When.claim)
    for_whom = form.choice(f"{name}-for", ForWhom, ForWhom.person)
    how = form.choice(f"{name}-how", How, How.fixed)
    what, of = _read_what(form, f"{name}-what", What.points)
    told: dict[str, Any] = {"when": when, "for": for_whom, "what": what, "of": of}
    _check_fits(form, name, when, for_whom, how, what)
    if how is How.percent:
        told["amount"] = _read_percent(form, name, what, currency)
    elif how is How.tiers:
        told["amount"] = {"tiers": _read_tiers(form, name, what, currency)}
    elif how is How.draw:
        told["amount"] = {"odds": _read_odds(form, name, what, of, currency)}
    else:
        told["amount"] = _amount(form, f"{name}-amount", what, currency)
    if when in {When.nth_referral, When.nth_claim}:
        told["nth"] = form.whole(f"{name}-nth", low=1, high=NTH_MAX)
        told["every"] = form.typed(f"{name}-every") == "1"
    if when is When.nth_claim:
        told["within_days"] = form.whole(
            f"{name}-within_days", low=1, high=WITHIN_MAX, optional=True
        )
    if when.of_orders and form.typed(f"{name}-least"):
        told["least"] = _money(form, f"{name}-least", currency, LEAST_MAX)
    if for_whom is ForWhom.referrer:
        told["depth"] = form.whole(f"{name}-depth", low=1, high=2, optional=True) or 1
    told["limits"] = _read_limits(form, name, what, how, currency)
    if len(form.errors) > before:
        return None
    try:
        return Rule.model_validate(told)
    except ValidationError:
        # Every field was checked above; this is for what only all of them together can break.
        form.refuse(f"{name}-when", _("These parts of the rule do not go together."))
        return None


def _check_fits(form: Form, name: str, when: When, for_whom: ForWhom, how: How, what: What) -> None:
    if when is When.nth_claim and for_whom is not ForWhom.person:
        form.refuse(f"{name}-for", _("A stamp card pays the buyer, whose claims are counted."))
    if how is How.percent and when.of_claims:
        form.refuse(f"{name}-how", _("A percentage is paid of orders. Choose an order above."))
    if how is How.percent and what.is_counted_out:
        form.refuse(f"{name}-how", _("A percentage is paid in points or store credit."))
    if how is How.tiers and (for_whom is not ForWhom.referrer or not when.of_referred):
        form.refuse(
            f"{name}-how",
            _("Steps go by friends brought in: choose a friend's purchase, for who brought them."),
        )


def _read_what(form: Form, name: str, default: What) -> tuple[What, str | None]:
    kind, _colon, of = (form.typed(name) or default).partition(":")
    if kind not in set(What) or (of != "") != What(kind).is_counted_out:
        form.refuse(name, _("Please choose one of these."))
        return default, None
    return What(kind), of or None


def _amount(form: Form, name: str, what: What, currency: str | None) -> int | None:
    if what is What.credit:
        return _money(form, name, currency, AMOUNT_MAX)
    if what is What.coupon:
        if form.typed(name) not in {"", "1"}:
            form.refuse(name, _("Coupons are given one at a time: the amount is 1."))
        return 1
    return form.whole(name, low=1, high=AMOUNT_MAX)


def _money(form: Form, name: str, currency: str | None, most: int) -> int | None:
    if currency is None:
        return form.whole(name, low=1, high=most)
    amount = form.price(name, currency)
    if amount is not None and amount > most:
        form.refuse(
            name, _("This is too much; %(most)s is the most.", most=as_money(most, currency))
        )
    return amount


def _read_percent(form: Form, name: str, what: What, currency: str | None) -> dict[str, Any]:
    typed = form.typed(f"{name}-percent").removesuffix("%").strip()
    points = None
    if re.fullmatch(r"\d{1,3}(\.\d{1,2})?", typed):
        whole, _point, parts = typed.partition(".")
        points = int(whole) * 100 + int(parts.ljust(2, "0") or 0)
    if points is None or not 0 < points <= BASIS_POINTS:
        form.refuse(f"{name}-percent", _("Please enter a percentage such as 5 or 2.5."))
    cap = _amount(form, f"{name}-cap", what, currency)
    return {"basis_points": points, "cap": cap}


def _read_tiers(form: Form, name: str, what: What, currency: str | None) -> list[dict[str, Any]]:
    tiers: list[dict[str, Any]] = []
    for place in _steps(form, name, "tier", "from"):
        at = f"{name}-tier-{place}"
        if not form.typed(f"{at}-from") and not form.typed(f"{at}-amount"):
            continue
        since = form.whole(f"{at}-from", low=1, high=AMOUNT_MAX)
        if since is not None and tiers and since <= (tiers[-1]["from"] or 0):
            form.refuse(f"{at}-from", _("Each step begins above the one before."))
        tiers.append({"from": since, "amount": _amount(form, f"{at}-amount", what, currency)})
    if not tiers:
        form.refuse(f"{name}-tier-0-from", _("Please fill this in."))
    return tiers


def _read_odds(
    form: Form, name: str, what: What, of: str | None, currency: str | None
) -> list[dict[str, Any]]:
    odds: list[dict[str, Any]] = []
    for place in _steps(form, name, "odds", "chance"):
        at = f"{name}-odds-{place}"
        if not form.typed(f"{at}-chance") and not form.typed(f"{at}-amount"):
            continue
        row: dict[str, Any] = {"per_million": form.whole(f"{at}-chance", low=1, high=MILLION)}
        prize = what
        if form.typed(f"{at}-what"):
            prize, row["of"] = _read_what(form, f"{at}-what", What.points)
            row["what"] = prize
        row["amount"] = _amount(form, f"{at}-amount", prize, currency)
        odds.append(row)
        if sum(each["per_million"] or 0 for each in odds) > MILLION:
            form.refuse(f"{at}-chance", _("The chances add up to more than a million."))
    if not odds:
        form.refuse(f"{name}-odds-0-chance", _("Please fill this in."))
    return odds


def _read_limits(
    form: Form, name: str, what: What, how: How, currency: str | None
) -> dict[str, int | None]:
    limits = {
        limit: form.whole(
            f"{name}-limit-{limit}",
            low=1,
            high=AMOUNT_MAX if limit.startswith("per_person") else COUNT_MAX,
            optional=True,
        )
        for limit in LIMITS
        if limit != "budget"
    }
    at = f"{name}-limit-budget"
    if what is What.credit and how is not How.draw and form.typed(at):
        limits["budget"] = _money(form, at, currency, LIMIT_MAX)
    else:
        limits["budget"] = form.whole(at, low=1, high=LIMIT_MAX, optional=True)
    return limits


def _steps(form: Form, name: str, kind: str, part: str) -> range:
    """The places of a rule's tiers or prizes, with some that are empty."""
    pattern = re.compile(rf"{re.escape(name)}-{kind}-(\d{{1,2}})-(?:{part}|amount)")
    filled = [
        int(match[1])
        for match, value in ((pattern.fullmatch(key), v) for key, v in form.values.items())
        if match and value
    ]
    return range(min(max(max(filled, default=-1) + 2, STEPS_AT_FIRST), ROWS_MAX))
