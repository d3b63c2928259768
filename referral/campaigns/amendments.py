"""Terms of a campaign that has begun: better ones are taken, worse ones refused.

Better means for the customers. `worsenings` is pure: two sets of terms in, what is worse out.
"""

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from dataclasses import fields as fields_of
from datetime import datetime
from functools import partial
from itertools import chain, count
from typing import Any

from sqlalchemy.orm import Session

from referral import ledger
from referral.campaigns.campaign import Campaign, CampaignState
from referral.campaigns.publishing import CampaignOver
from referral.errors import N_, Conflict
from referral.rewards import Odds, Percent, Rule, Tiers, When, unit_of
from referral.rewards.rules import MILLION


@dataclass(frozen=True)
class Terms:
    """What of a campaign may change once it is published, and only for the better."""

    ends_at: datetime
    budget: int
    """In points."""
    hold_days: int
    window_days: int
    lasts_days: int | None
    rules: Sequence[Rule]
    budgets: Mapping[str, int] = field(default_factory=dict)
    """Of what else the rules pay, by unit."""


@dataclass(frozen=True)
class Worsening:
    """One thing that would be worse than promised."""

    term: str
    """The term, such as `hold_days`; of a rule, its id and the part of it."""
    was: Any
    now: Any
    why: str
    """In words; marked for translation."""
    rule: Rule | None = None
    """The rule as it was, where it is about one."""

    def dump(self) -> dict[str, Any]:
        return {"term": self.term, "was": self.was, "now": self.now, "why": self.why}


class NotPublished(Conflict):
    slug = "not-published"
    title = N_("This campaign is a draft.")
    advice = N_("Change the draft itself; nothing of it binds anybody yet.")


class TermsMadeWorse(Conflict):
    """`details` have the `worsenings`: the term, what it was, what it would be, and why that is
    worse."""

    slug = "terms-made-worse"
    title = N_("Terms do not get worse once a campaign is published.")
    advice = N_("Make them better or leave them, or make a new campaign with other terms.")

    def __init__(self, found: Sequence[Worsening]) -> None:
        self.worsenings = found
        super().__init__(
            " ".join(f"{each.term}: {each.why}" for each in found),
            worsenings=[each.dump() for each in found],
            why=self.title,
            change=self.advice,
        )


SOONER_END = N_("It would end sooner.")
LESS_BUDGET = N_("Less would be put up for it.")
LONGER_HOLD = N_("Rewards would wait longer.")
SHORTER_WINDOW = N_("A link would count for a shorter time.")
SHORTER_LIFE = N_("Rewards would expire sooner.")
RULE_GONE = N_("It would no longer be paid.")
LESS = N_("It could pay less.")
STRICTER = N_("It would be paid for less often.")
FOR_MORE = N_("It would be paid for larger orders only.")
TIGHTER = N_("More claims would have to be made, or sooner.")


def terms_of(campaign: Campaign) -> Terms:
    return Terms(
        ends_at=campaign.ends_at,
        budget=campaign.budget,
        budgets=dict(campaign.budgets),
        hold_days=campaign.hold_days,
        window_days=campaign.window_days,
        lasts_days=campaign.lasts_days,
        rules=campaign.checked_rules,
    )


def worsenings(old: Terms, new: Terms) -> list[Worsening]:
    """Everything of the new terms that is worse for customers than the old ones."""
    found = [
        Worsening(term, was, now, why)
        for term, was, now, is_worse, why in (
            ("ends_at", _iso(old), _iso(new), new.ends_at < old.ends_at, SOONER_END),
            ("budget", old.budget, new.budget, new.budget < old.budget, LESS_BUDGET),
            (
                "hold_days",
                old.hold_days,
                new.hold_days,
                new.hold_days > old.hold_days,
                LONGER_HOLD,
            ),
            (
                "window_days",
                old.window_days,
                new.window_days,
                new.window_days < old.window_days,
                SHORTER_WINDOW,
            ),
            (
                "lasts_days",
                old.lasts_days,
                new.lasts_days,
                _is_less(old.lasts_days, new.lasts_days),
                SHORTER_LIFE,
            ),
        )
        if is_worse
    ]
    for unit, was in old.budgets.items():
        now = new.budgets.get(unit, 0)
        if now < was:
            found.append(Worsening(f"budgets.{unit}", was, now, LESS_BUDGET))
    return found + _of_rules(old.rules, new.rules)


def named(old: Terms, new: Terms) -> Terms:
    """The new terms, their rules under the names of those they became, and each of its own.

    What was paid and counted for a rule stays with it, whatever key was sent.
    """
    names = {
        became: rule.id
        for rule, became in zip(old.rules, _matches(old.rules, new.rules), strict=True)
        if became is not None
    }
    taken = {rule.id for rule in old.rules}
    rules = []
    for place, rule in enumerate(new.rules):
        name = names.get(place) or _free(rule.said, taken)
        taken.add(name)
        rules.append(rule.model_copy(update={"key": name if name != rule.said else None}))
    return replace(new, rules=rules)


def _free(name: str, taken: Set[str]) -> str:
    """The name, with a number where another rule has it already."""
    numbered = (f"{name}:{number}" for number in count(2))
    return next(each for each in chain([name], numbered) if each not in taken)


def changes(old: Terms, new: Terms) -> dict[str, Any]:
    """What is not as it was, by term, as it is kept in the audit log."""
    was, now = _told(old), _told(new)
    return {term: {"was": was[term], "now": now[term]} for term in was if was[term] != now[term]}


def amend(tx: Session, campaign: Campaign, was: Terms, now_terms: Terms, now: datetime) -> None:
    """Put better terms into a locked campaign, and up what its budgets grow by.

    Raises `NotPublished`, `CampaignOver`, `TermsMadeWorse`.
    """
    if campaign.state != CampaignState.published:
        raise NotPublished()
    if campaign.ends_at <= now:
        raise CampaignOver()
    if found := worsenings(was, now_terms):
        raise TermsMadeWorse(found)
    before = campaign.all_budgets
    campaign.ends_at = now_terms.ends_at
    campaign.budget = now_terms.budget
    campaign.budgets = dict(now_terms.budgets)
    campaign.hold_days = now_terms.hold_days
    campaign.window_days = now_terms.window_days
    campaign.lasts_days = now_terms.lasts_days
    campaign.rules = [rule.dump() for rule in now_terms.rules]
    for unit, amount in campaign.all_budgets.items():
        more = amount - before.get(unit, 0)
        if more:
            # What it grows to is in the key: the same growth happens once.
            key = f"budget|{campaign.id}|{unit}|{amount}"
            ledger.fund(tx, campaign.id, unit, more, key=key, now=now)


def _told(terms: Terms) -> dict[str, Any]:
    told = {each.name: getattr(terms, each.name) for each in fields_of(terms)}
    rules = [rule.dump() for rule in terms.rules]
    return {**told, "ends_at": _iso(terms), "budgets": dict(terms.budgets), "rules": rules}


def _iso(terms: Terms) -> str:
    return terms.ends_at.isoformat()


def _is_less(old: int | None, new: int | None) -> bool:
    """Of what is without limit where it is None."""
    return new is not None and (old is None or new < old)


# Rules


def _of_rules(old: Sequence[Rule], new: Sequence[Rule]) -> list[Worsening]:
    """What is worse in the rules. Each old rule is held against the new one of the same id, or
    against the one it most likely became."""
    found: list[Worsening] = []
    matches = _matches(old, new)
    for rule, became in zip(old, matches, strict=True):
        if became is None:
            found.append(Worsening(rule.id, rule.dump(), None, RULE_GONE, rule))
        else:
            found += _of_rule(rule, new[became])
    return found


def _matches(old: Sequence[Rule], new: Sequence[Rule]) -> list[int | None]:
    """For each old rule the place of the one it became: one that says the same, or was sent with
    its key, or the nearest of those that are left."""
    found: list[int | None] = [None] * len(old)
    spare = list(range(len(new)))
    for match in (_is_unchanged, _is_named, _is_alike):
        for place, rule in enumerate(old):
            if found[place] is not None:
                continue
            alike = {n: new[n] for n in spare if match(rule, new[n])}
            if alike:
                became = min(alike, key=partial(_worse_by, rule, alike))
                found[place] = became
                spare.remove(became)
    return found


def _worse_by(old: Rule, alike: Mapping[int, Rule], place: int) -> int:
    return len(list(_of_rule(old, alike[place])))


def _is_unchanged(old: Rule, new: Rule) -> bool:
    return new.said == old.said and new.key in {None, old.key}


def _is_named(old: Rule, new: Rule) -> bool:
    return new.key == old.id and _is_alike(old, new)


def _is_alike(old: Rule, new: Rule) -> bool:
    return _promise(new) == _promise(old)


def _promise(rule: Rule) -> tuple[Any, ...]:
    """What makes two rules the same promise, with more or less in it."""
    # How many referrals are asked for stays: half as many is another promise beside it.
    nth = rule.nth if rule.when is When.nth_referral else None
    return rule.when, rule.for_whom, rule.depth, nth


def _of_rule(old: Rule, new: Rule) -> Iterator[Worsening]:
    if old.when is When.nth_claim and (new.nth or 1) > (old.nth or 1):
        yield Worsening(f"{old.id}.nth", old.nth, new.nth, TIGHTER, old)
    if _is_less(old.within_days, new.within_days):
        yield Worsening(f"{old.id}.within_days", old.within_days, new.within_days, TIGHTER, old)
    if old.every and not new.every:
        yield Worsening(f"{old.id}.every", True, False, STRICTER, old)
    if (new.least or 0) > (old.least or 0):
        yield Worsening(f"{old.id}.least", old.least, new.least, FOR_MORE, old)
    if _pays_less(old, new):
        was, now = old.dump(), new.dump()
        yield Worsening(f"{old.id}.amount", was["amount"], now["amount"], LESS, old)
    for name in type(old.limits).model_fields:
        was, now = getattr(old.limits, name), getattr(new.limits, name)
        if _is_less(was, now):
            yield Worsening(f"{old.id}.limits.{name}", was, now, STRICTER, old)


def _pays_less(old: Rule, new: Rule) -> bool:
    """Whether there is a purchase, or luck, for which the new rule pays less than the old one."""
    if isinstance(old.amount, Percent):
        if (new.what, new.of) != (old.what, old.of):
            return True
        if isinstance(new.amount, Percent):
            is_lower = new.amount.basis_points < old.amount.basis_points
            return is_lower or new.amount.cap < old.amount.cap
        return not isinstance(new.amount, int) or new.amount < old.amount.cap
    if isinstance(new.amount, Percent):
        return True
    return any(
        _chance(new, unit, amount, referrals) < _chance(old, unit, amount, referrals)
        for referrals in _steps(old) | _steps(new)
        for unit, amount in _prizes(old)
    )


def _steps(rule: Rule) -> set[int]:
    """The numbers of referrals from which on it pays something else."""
    return {1, *(t.since for t in rule.amount.tiers)} if isinstance(rule.amount, Tiers) else {1}


def _prizes(rule: Rule) -> list[tuple[str, int]]:
    """What it can bring: units with amounts."""
    units = [unit_of(what, of, "money") for what, of in rule.prizes]
    if isinstance(rule.amount, Odds):
        amounts = [chance.amount for chance in rule.amount.odds]
        return list(zip(units, amounts, strict=True))
    if isinstance(rule.amount, Tiers):
        return [(units[0], tier.amount) for tier in rule.amount.tiers]
    assert isinstance(rule.amount, int)
    return [(units[0], rule.amount)]


def _chance(rule: Rule, unit: str, amount: int, referrals: int) -> int:
    """In how many of a million cases it brings at least so much of a unit."""
    if isinstance(rule.amount, Odds):
        return sum(
            chance.per_million
            for chance, (of_unit, most) in zip(rule.amount.odds, _prizes(rule), strict=True)
            if of_unit == unit and most >= amount
        )
    if isinstance(rule.amount, Tiers):
        reached = [t.amount for t in rule.amount.tiers if t.since <= referrals]
        paid = reached[-1] if reached else 0
    else:
        assert isinstance(rule.amount, int)
        paid = rule.amount
    return MILLION if _prizes(rule)[0][0] == unit and paid >= amount else 0
