"""The worked example of docs/draws.md, from the promise of the seed to its check by a stranger."""

import csv
import io
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from referral import actions, ledger, people
from referral.clock import HeldClock
from referral.deployment import Deployment
from referral.reports import draws as report
from referral.reports.draws import NoDraw
from referral.rewards import Reward, Withheld, draws
from tests import reference_draws
from tests.cast import Brand, Person, add_product, cast_of, issue, publish
from tests.pools import pool_draft, undo
from tests.readers import Reader

DOC = (Path(__file__).parent.parent / "docs" / "draws.md").read_text()
SEED = "5eed" + "0" * 56 + "5eed"
COMMITMENT = "7e3b28dbec8a35c5c7cbcdbf7739041b33e8d4d47735de8cffcca9a0df5bcf9f"
ROWS = [
    {"per_million": 10_000, "amount": 300},
    {"per_million": 90_000, "amount": 50},
    {"per_million": 200_000, "what": "coupon", "of": "tea-10"},
]
RULE = {"when": "claim", "for": "person", "what": "points", "amount": {"odds": ROWS}}
ODDS = [(10_000, "points", 300), (90_000, "points", 50), (200_000, "coupon:tea-10", 1)]
NAME = "claim:person:points:draw"
WINS = {
    3: ("coupon:tea-10", 1),
    19: ("points", 300),
    22: ("coupon:tea-10", 1),
    26: ("coupon:tea-10", 1),
    29: ("points", 50),
    37: ("coupon:tea-10", 1),
}
CLAIMS = 40


@pytest.fixture
def brand(deployment: Deployment, clock: HeldClock, monkeypatch: pytest.MonkeyPatch) -> Brand:
    monkeypatch.setattr(draws, "new_seed", lambda: bytes.fromhex(SEED))
    actions.add_pool(deployment, pool_draft(slug="tea-10"), by="tests")
    actions.generate_coupons(deployment, "tea-10", prefix="TEA", count=100, by="tests")
    product = add_product(deployment, price=20_000)
    terms: dict[str, Any] = {
        "slug": "lucky-tea",
        "rules": [RULE],
        "budget": 100_000,
        "budgets": {"coupon:tea-10": 100},
        "organiser": "Tea Brand Ltd",
        "starts_at": clock.now(),
        "ends_at": clock.now() + timedelta(days=30),
    }
    return Brand(deployment, product, issue(deployment), publish(deployment, **terms))


def left(brand: Brand) -> dict[str, int]:
    with brand.deployment.db.read() as tx:
        return ledger.balances(tx, ledger.Kind.budget, brand.campaign.id)


def claim_all(brand: Brand) -> dict[int, tuple[str, int]]:
    """Forty claims of four customers; what each of them won, by its number."""
    people_there: list[Person] = [*cast_of(brand)]
    won = {}
    for index in range(CLAIMS):
        claimed = people_there[index % 3].claim(index)
        assert len(claimed.rewards) + len(claimed.withheld) == 1
        for reward in claimed.rewards:
            won[int(claimed.claim.event.removeprefix("claim:"))] = (reward.unit, reward.amount)
    return won


def test_the_example_is_as_it_is_told(brand: Brand, app: Flask, clock: HeldClock) -> None:
    reader = Reader(app)
    assert brand.campaign.draw_commitment == COMMITMENT
    reader.get("/rules/lucky-tea")
    assert COMMITMENT in reader.page
    assert SEED not in reader.page
    assert reader.get("/rules/lucky-tea/draws.csv").status_code == 404

    assert claim_all(brand) == WINS
    assert left(brand) == {"points": 99_650, "coupon:tea-10": 96}
    with brand.deployment.db.read() as tx:
        assert set(tx.scalars(sa.select(Withheld.why))) == {"no_win"}

    reader.get("/rules/lucky-tea")
    assert SEED not in reader.page
    clock.advance(days=30)
    reader.get("/rules/lucky-tea")
    assert SEED in reader.page
    table = list(csv.DictReader(io.StringIO(reader.get("/rules/lucky-tea/draws.csv").text)))
    assert list(table[0]) == ["ticket", "number", "outcome", "unit", "amount"]
    assert len(table) == CLAIMS
    assert reference_draws.commitment(SEED) == COMMITMENT
    assert reference_draws.faults(SEED, {NAME: ODDS}, table) == []
    won = {int(line["ticket"].split("|")[0][6:]) for line in table if line["outcome"] == "won"}
    assert won == set(WINS)
    table[0]["outcome"] = "lost"
    assert reference_draws.faults(SEED, {NAME: ODDS}, table) == [table[0]["ticket"]]


def test_the_page_tells_what_the_test_tells() -> None:
    assert f"seed        {SEED}" in DOC
    assert f"commitment  {COMMITMENT}" in DOC
    told = re.findall(r"^\| (\d+) \| ([\d,]+) \| (.+) \|$", DOC, re.MULTILINE)
    words = {
        ("coupon:tea-10", 1): "a coupon of `tea-10`",
        ("points", 300): "300 points",
        ("points", 50): "50 points",
    }
    assert [(int(claim), wins) for claim, _, wins in told] == [
        (claim, words[won]) for claim, won in WINS.items()
    ]
    for claim, number, _ in told:
        ticket = f"claim:{claim}|{NAME}|0"
        assert reference_draws.number(SEED, ticket) == int(number.replace(",", ""))


# Verifying


def verify(brand: Brand) -> report.Verified:
    with brand.deployment.db.read() as tx:
        return report.verify(tx, brand.campaign, brand.deployment.keys)


def test_every_draw_can_be_computed_again(brand: Brand) -> None:
    claim_all(brand)
    found = verify(brand)
    assert (found.tickets, found.won, found.lost, found.faults) == (40, 6, 34, [])


def test_a_reward_that_was_taken_back_was_won_all_the_same(brand: Brand) -> None:
    alice = cast_of(brand)[0]
    for index in range(3):
        event = alice.claim(index).claim.event
    undo(brand.deployment, event)
    assert verify(brand).faults == []
    assert verify(brand).won == 1


def change(brand: Brand, statement: str) -> None:
    brand.deployment.db.transact(lambda tx: tx.execute(sa.text(statement)))


@pytest.mark.parametrize(
    "statement, says",
    [
        ('UPDATE rewards SET amount = 301, "left" = 301 WHERE amount = 300', "and won 301 points"),
        ("UPDATE rewards SET unit = 'CNY' WHERE amount = 50", "and won 50 CNY"),
    ],
)
def test_an_outcome_that_was_changed_is_found(brand: Brand, statement: str, says: str) -> None:
    claim_all(brand)
    change(brand, statement)
    faults = verify(brand).faults
    assert len(faults) == 1
    assert says in faults[0]
    # The rest of the books would say so as well; that is not what is tested here.
    change(brand, 'UPDATE rewards SET amount = 300, "left" = 300 WHERE amount = 301')
    change(brand, "UPDATE rewards SET unit = 'points' WHERE unit = 'CNY'")


def test_a_prize_that_somebody_else_got_is_found(brand: Brand) -> None:
    claim_all(brand)
    change(brand, "UPDATE rewards SET event = 'claim:3' WHERE event = 'claim:19'")
    change(brand, "UPDATE withheld_rewards SET event = 'claim:19' WHERE event = 'claim:1'")
    faults = verify(brand).faults
    assert len(faults) == 2
    assert any("claim:3|" in fault and "and won 300 points" in fault for fault in faults)
    assert any("claim:19|" in fault and "and lost" in fault for fault in faults)


def test_another_seed_than_the_one_that_was_promised_is_found(brand: Brand) -> None:
    claim_all(brand)
    kept = brand.deployment.keys.encrypt("00" * 32)
    brand.campaign.draw_seed_encrypted = kept
    faults = verify(brand).faults
    assert "the seed is not the one that was promised" in faults
    assert any("was to lose and won" in fault for fault in faults)


def test_a_win_that_could_not_be_paid_is_told_as_one(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(draws, "new_seed", lambda: bytes.fromhex(SEED))
    certain = {**RULE, "amount": {"odds": [{"per_million": 1_000_000, "amount": 50}]}}
    product = add_product(deployment)
    campaign = publish(deployment, rules=[certain], budget=75, organiser="Tea Brand Ltd")
    brand = Brand(deployment, product, issue(deployment), campaign)
    alice = cast_of(brand)[0]
    assert alice.claim(0).rewards
    assert alice.claim(1).budget_spent
    found = verify(brand)
    assert (found.won, found.won_unpaid, found.faults) == (1, 1, [])


def test_both_sides_of_a_friend_s_claim_draw_a_ticket_each(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    half = [{"per_million": 500_000, "amount": 50}]
    rule = {"when": "referred_first_claim", "for": "both", "amount": {"odds": half}}
    product = add_product(deployment)
    campaign = publish(deployment, rules=[rule], organiser="Tea Brand Ltd")
    brand = Brand(deployment, product, issue(deployment), campaign)
    alice = cast_of(brand)[0]
    alice.sign_in()
    for number in range(8):
        friend = Person(brand, people.email(f"friend{number}@example.com"))
        friend.open(alice.link())
        friend.claim(number)
    with deployment.db.read() as tx:
        tickets = [each.ticket for each in report.tickets(tx, brand.campaign)]
        assert tx.scalar(sa.select(sa.func.count()).select_from(Reward)) not in {0, 16}
    assert len(set(tickets)) == len(tickets) == 16
    assert {ticket[-2:] for ticket in tickets} == {"|0", "|1"}
    assert verify(brand).faults == []


def test_a_campaign_without_a_draw_has_no_seed(deployment: Deployment) -> None:
    add_product(deployment)
    campaign = publish(deployment)
    assert campaign.draw_commitment is None
    with deployment.db.read() as tx, pytest.raises(NoDraw):
        report.verify(tx, campaign, deployment.keys)
