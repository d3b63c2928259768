"""Why a campaign was not published or its terms not changed, in words for staff."""

from collections.abc import Sequence

from flask_babel import format_number
from flask_babel import gettext as _

from referral.campaigns.amendments import TermsMadeWorse, Worsening
from referral.campaigns.payouts import BOUND_PERCENT
from referral.campaigns.publishing import BudgetMissing, PayoutOverBound, PrizeOverCap, UnknownPrize
from referral.errors import N_, Problem
from referral.web import promises
from referral.web.language import money


def in_words(problem: Problem, currency: str | None = None) -> tuple[str, Sequence[str]]:
    """What is the matter, and what to change, a sentence each."""
    return _(problem.title), [*_particulars(problem, currency), _(problem.advice)]


def _particulars(problem: Problem, currency: str | None) -> list[str]:
    told = problem.details
    if isinstance(problem, PayoutOverBound):
        return [
            *_beside(told.get("campaign")),
            _(
                "It could pay out %(payout)s; %(bound)s is the most allowed, which is "
                "%(percent)s %% of the price.",
                payout=_money(told["payout"], currency),
                bound=_money(told["bound"], currency),
                percent=BOUND_PERCENT,
            ),
        ]
    if isinstance(problem, BudgetMissing | UnknownPrize):
        return [_("Missing: %(units)s.", units=", ".join(told["units"]))]
    if isinstance(problem, PrizeOverCap):
        return [
            _(
                "It is worth %(prize)s; the cap is %(cap)s (%(source)s).",
                prize=_money(told["prize"], currency),
                cap=_money(told["cap"], told["currency"]),
                source=told["source"],
            )
        ]
    if isinstance(problem, TermsMadeWorse):
        return [_of_term(each, currency) for each in problem.worsenings]
    return []


def _beside(other: str | None) -> list[str]:
    """That another campaign pays for the same purchase, where one does."""
    if other is None:
        return []
    return [_("The campaign “%(slug)s” pays for the same purchase, and both count.", slug=other)]


TERMS = {
    "ends_at": N_("End"),
    "budget": N_("Budget"),
    "hold_days": N_("Hold, in days"),
    "window_days": N_("Window, in days"),
    "lasts_days": N_("Lasts, in days"),
}
"""The terms by the names of their fields."""


def _of_term(found: Worsening, currency: str | None) -> str:
    if found.rule is not None:
        about = promises.sentences(found.rule, currency)[0]
    else:
        about = _(TERMS.get(found.term, TERMS["budget"]))
    return promises.with_colon(f"“{about}”" if found.rule else about, _(found.why))


def _money(amount: int, currency: str | None) -> str:
    return money(amount, currency) if currency else format_number(amount)
