"""Lucky draws: numbers that follow from a seed, fair to within chance, and checked by others."""

import hashlib
import hmac
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from referral.crypto import KeyRing, LostKey
from referral.rewards import Odds, Rule, drawn, draws
from referral.rewards.draws import DrawChanged
from tests import reference_draws

SEED = hashlib.sha256(b"a seed for the tests").digest()
DRAWS = 120_000
TABLE = Odds.model_validate(
    {
        "odds": [
            {"per_million": 1_000, "amount": 500},
            {"per_million": 49_000, "amount": 50},
            {"per_million": 200_000, "amount": 5},
        ]
    }
)
CRITICAL = 16.27
"""Chi-square with 3 degrees of freedom lies above it once in a thousand times."""


def chi_square(won: Counter[int | None], odds: Odds) -> float:
    """How far what was won is from what the odds say, by the amounts that they give."""
    expected: dict[int | None, float] = {
        chance.amount: DRAWS * chance.per_million / 1_000_000 for chance in odds.odds
    }
    expected[None] = DRAWS - sum(expected.values())
    return sum((won[amount] - much) ** 2 / much for amount, much in expected.items())


@pytest.fixture(scope="module")
def won() -> Counter[int | None]:
    """What so many tickets won, as a campaign would number them."""
    roll = draws.roller(SEED)
    found: Counter[int | None] = Counter()
    for number in range(DRAWS):
        chance = drawn(TABLE, roll(f"claim:{number}|claim:person:points:draw|0"))
        found[chance.amount if chance else None] += 1
    return found


def test_what_is_won_fits_the_odds_that_are_told(won: Counter[int | None]) -> None:
    assert won.total() == DRAWS
    assert chi_square(won, TABLE) < CRITICAL


@pytest.mark.parametrize("per_million", [[600, 49_000, 200_000], [1_000, 47_000, 202_000]])
def test_it_would_show_if_the_odds_were_others(
    won: Counter[int | None], per_million: list[int]
) -> None:
    rows = [
        {"per_million": share, "amount": chance.amount}
        for share, chance in zip(per_million, TABLE.odds, strict=True)
    ]
    assert chi_square(won, Odds.model_validate({"odds": rows})) > CRITICAL


@given(st.binary(min_size=32, max_size=32), st.integers(1, 10**9), st.integers(0, 2))
def test_whoever_reads_the_description_gets_the_same_numbers(
    seed: bytes, event: int, depth: int
) -> None:
    ticket = f"claim:{event}|claim:both:points:draw|{depth}"
    number = draws.roller(seed)(ticket)
    assert number == reference_draws.number(seed.hex(), ticket)
    assert draws.commitment(seed) == reference_draws.commitment(seed.hex())
    chance = drawn(TABLE, number)
    rows = [(each.per_million, "points", each.amount) for each in TABLE.odds]
    won = ("points", chance.amount) if chance else None
    assert won == reference_draws.prize(rows, number)


def test_numbers_that_would_favour_the_small_ones_are_passed_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """2 ** 64 is no multiple of a million; what is left over is drawn again."""
    too_high, next_ones = b"\xff" * 8, (1_234_567).to_bytes(8, "big")
    blocks = iter([too_high * 3 + next_ones, too_high * 4])
    monkeypatch.setattr(hmac, "digest", lambda *_: next(blocks))
    assert draws.roller(SEED)("a ticket") == 234_567
    block = hashlib.sha256(too_high * 4).digest()
    assert draws.roller(SEED)("a ticket") == int.from_bytes(block[:8], "big") % 1_000_000


def test_the_edges_of_the_odds() -> None:
    for number, amount in [(0, 500), (999, 500), (1_000, 50), (49_999, 50), (50_000, 5)]:
        chance = drawn(TABLE, number)
        assert chance is not None
        assert chance.amount == amount
    assert drawn(TABLE, 249_999) is not None
    assert drawn(TABLE, 250_000) is None
    assert drawn(TABLE, 999_999) is None


def test_a_seed_is_kept_so_that_only_the_brand_can_read_it() -> None:
    old = KeyRing(["a key that is long enough to be one"])
    kept, promised = draws.promised(old)
    seed = draws.seed_of(old, kept)
    assert len(seed) == draws.SEED_BYTES
    assert draws.commitment(seed) == promised
    assert seed.hex() not in kept
    assert draws.promised(old)[1] != promised
    rotated = KeyRing(["a key that is long enough to be one", "a newer one"])
    assert draws.roll_of(rotated, kept)("a ticket") == draws.roller(seed)("a ticket")
    with pytest.raises(LostKey):
        draws.seed_of(KeyRing(["another"]), kept)


def test_a_campaign_without_a_seed_draws_nothing() -> None:
    assert drawn(TABLE, draws.roll_of(KeyRing(["a key"]), None)("a ticket")) is None


def rule(**changes: Any) -> Rule:
    said = {"when": "claim", "for": "person", "amount": TABLE.model_dump(exclude_defaults=True)}
    return Rule.model_validate({**said, **changes})


def test_a_draw_stays_as_it_was_published() -> None:
    fixed = rule(amount=5)
    draws.check_unchanged([rule(), fixed], [rule(amount=6), rule()])
    draws.check_unchanged([fixed], [rule(), fixed])
    better = {"odds": [{"per_million": 1_000_000, "amount": 500}]}
    for changed in ([], [fixed], [rule(amount=better)], [rule(when="first_claim")]):
        with pytest.raises(DrawChanged):
            draws.check_unchanged([rule(), fixed], changed)
