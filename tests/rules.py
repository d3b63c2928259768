"""Random rules, every kind of them, as hypothesis strategies."""

from typing import Any

from hypothesis import strategies as st
from pydantic import ValidationError

from referral.rewards import AMOUNT_MAX, ForWhom, Rule, What, When

AMOUNTS = st.integers(1, AMOUNT_MAX)
PRIZES = st.sampled_from(
    [
        ("points", None),
        ("credit", None),
        ("coupon", "tea"),
        ("coupon", "cup-2"),
        ("item", "mug"),
    ]
)


@st.composite
def rules(draw: st.DrawFn) -> Rule:
    """One valid rule."""
    when = draw(st.sampled_from(When))
    # Claims are counted for who claimed.
    for_whom = ForWhom.person if when is When.nth_claim else draw(st.sampled_from(ForWhom))
    what, of = draw(PRIZES)
    told: dict[str, Any] = {"when": when, "for": for_whom, "what": what, "of": of}
    kinds = ["fixed", "draw"]
    if not when.of_claims and not What(what).is_counted_out:
        kinds.append("percent")
    if when.of_referred and for_whom is ForWhom.referrer:
        kinds.append("tiers")
    told["amount"] = draw(_amount(draw(st.sampled_from(kinds)), What(what)))
    if when in {When.nth_referral, When.nth_claim}:
        told["nth"] = draw(st.integers(1, 1000))
        told["every"] = draw(st.booleans())
    if when is When.nth_claim:
        told["within_days"] = draw(st.none() | st.integers(1, 3650))
    if when.of_orders:
        told["least"] = draw(st.none() | st.integers(1, 10**9))
    if for_whom is ForWhom.referrer:
        told["depth"] = draw(st.integers(1, 2))
    told["limits"] = draw(_limits())
    return Rule.model_validate(told)


def rule_sets(least: int = 0) -> st.SearchStrategy[list[Rule]]:
    """Rules of one campaign: no two promise the same."""
    return st.lists(rules(), min_size=least, max_size=6, unique_by=lambda rule: rule.id)


@st.composite
def _amount(draw: st.DrawFn, kind: str, what: What) -> Any:
    if kind == "percent":
        return {"basis_points": draw(st.integers(1, 10_000)), "cap": draw(AMOUNTS)}
    if kind == "tiers":
        starts = draw(st.sets(st.integers(1, 500), min_size=1, max_size=4))
        return {"tiers": [{"from": n, "amount": draw(_of(what))} for n in sorted(starts)]}
    if kind == "draw":
        rows = []
        for chance in draw(st.lists(st.integers(1, 250_000), min_size=1, max_size=4)):
            row: dict[str, Any] = {"per_million": chance}
            prize = what
            if draw(st.booleans()):
                row["what"], row["of"] = draw(PRIZES)
                prize = What(row["what"])
            rows.append({**row, "amount": draw(_of(prize))})
        return {"odds": rows}
    return draw(_of(what))


def _of(what: What) -> st.SearchStrategy[int]:
    """How much of something: a coupon is granted one at a time."""
    return st.just(1) if what is What.coupon else AMOUNTS


def _limits() -> st.SearchStrategy[dict[str, int | None]]:
    some = st.none() | st.integers(1, 1000)
    return st.fixed_dictionaries(
        {
            "per_person": some,
            "per_person_per_day": some,
            "per_day": some,
            "total": some,
            "budget": some,
        }
    )


def is_valid(told: dict[str, Any]) -> bool:
    """Whether a rule can be said like this."""
    try:
        Rule.model_validate(told)
    except ValidationError:
        return False
    return True
