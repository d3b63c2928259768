"""The worked examples of docs/rules.md, run with the numbers that stand there."""

import json
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from referral.campaigns import Draft, payouts
from referral.campaigns.publishing import Refused
from referral.rewards import Grant, Limits, Proof, PurchaseFacts, Rule, When, evaluate
from referral.rewards.rules import Part

DOC = (Path(__file__).parent.parent / "docs" / "rules.md").read_text("utf-8")
EXAMPLES = re.findall(r"### ([^\n]+)\n(.*?)(?=\n### |\Z)", DOC, re.DOTALL)
BUYER, FRIEND = 1, 2


def rules_of(example: str) -> list[Rule]:
    found = re.search(r"```json\n(.*?)```", example, re.DOTALL)
    assert found
    return [Rule.model_validate(told) for told in json.loads(found[1])]


def rows_of(example: str) -> list[tuple[str, str, str]]:
    rows = [re.split(r"\s*\|\s*", line)[1:4] for line in example.splitlines() if line[:2] == "| "]
    return [(purchase, buyer, friend) for purchase, buyer, friend in rows[1:]]


def facts_of(purchase: str, rules: list[Rule]) -> PurchaseFacts:
    def number(word: str, otherwise: int) -> int:
        found = re.search(rf"{word} (\d+)", purchase)
        return int(found[1]) if found else otherwise

    return PurchaseFacts(
        customer=BUYER,
        is_first=purchase.startswith("first"),
        referrer=FRIEND if "friend" in purchase else None,
        proof=Proof.order if "order" in purchase else Proof.claim,
        amount=number("order", 0),
        referrals=number("referrals", 1),
        stamps={rule.id: number("stamps", 0) for rule in rules},
    )


def paid(purchase: str, rules: list[Rule]) -> dict[int, str]:
    sums: dict[int, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for each in evaluate(rules, facts_of(purchase, rules)):
        if isinstance(each, Grant):
            sums[each.beneficiary][each.what] += each.amount
    return {
        whom: ", ".join(f"{amount} {what}" for what, amount in got.items())
        for whom, got in sums.items()
    }


CASES = [(name, row) for name, example in EXAMPLES for row in rows_of(example)]


@pytest.mark.parametrize("name, row", CASES, ids=[f"{n}: {row[0]}" for n, row in CASES])
def test_an_example_pays_what_it_says(name: str, row: tuple[str, str, str]) -> None:
    rules = rules_of(dict(EXAMPLES)[name])
    purchase, buyer, friend = row
    found = paid(purchase, rules)
    assert (found.get(BUYER, ""), found.get(FRIEND, "")) == (buyer, friend)


def test_there_are_examples() -> None:
    assert [name for name, _ in EXAMPLES] == [
        "Points for both sides",
        "A percentage of an order, with a cap",
        "Steps by the number of referrals",
        "A stamp card",
        "A lucky draw",
    ]
    assert len(CASES) == 16


@pytest.mark.parametrize(
    "name, price, says",
    [
        ("Points for both sides", 2000, (120, 400, 2000)),
        ("A percentage of an order, with a cap", 2000, (750, 1000, 5000)),
        ("A stamp card", 2000, (150, 400, 2000)),
        ("A lucky draw", 2000, (2, 400, 2000)),
    ],
)
def test_an_example_counts_towards_the_bound_as_it_says(
    name: str, price: int, says: tuple[int, int, int]
) -> None:
    rules = rules_of(dict(EXAMPLES)[name])
    worst = payouts.worst(rules, price, {"item:mug": 1500})
    assert (worst.amount, worst.bound, worst.purchase) == says


def names_in(heading: str) -> str:
    found = re.search(rf"## {heading}\n(.*?)\n## ", DOC, re.DOTALL)
    assert found
    return found[1]


@pytest.mark.parametrize("model", [Rule, Limits])
def test_every_field_of_a_rule_is_explained(model: type[Part]) -> None:
    part = names_in("A rule")
    for name, field in model.model_fields.items():
        assert f"`{field.alias or name}`" in part


def test_every_event_term_and_refusal_is_explained() -> None:
    for when in When:
        assert f"`{when}`" in names_in("A rule")
    content: set[Any] = {"title", "content", "picture", "more_pictures", "video_url", "buy_url"}
    for name in Draft.model_fields.keys() - content - {"landing", "rules", "slug"}:
        assert f"`{name}`" in names_in("A campaign's terms"), name
    for kind in Refused.every():
        if kind is not Refused:
            assert f"`{kind.slug}`" in names_in("What is refused"), kind.slug
