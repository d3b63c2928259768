"""The fingerprint: one code in 500 is left out, and another one from every package."""

import math

import numpy as np
import pytest

from referral.packages.fingerprint import LEFT_OUT_ONE_IN, Fingerprint, odds_of_chance
from tests.shelf import KEYS

INDEXES = np.arange(500_000)
EXPECTED = len(INDEXES) / LEFT_OUT_ONE_IN
SPREAD = 6 * math.sqrt(EXPECTED)
"""Six standard deviations: what is fixed by the keys here was not chosen to fit."""


def left_out(package_id: str, key_id: str = KEYS.newest) -> np.ndarray:
    return Fingerprint(KEYS, key_id, package_id).left_out(INDEXES)


def test_about_one_in_five_hundred_is_left_out_and_evenly() -> None:
    mask = left_out("A")
    assert abs(mask.sum() - EXPECTED) < SPREAD
    per_tenth = mask.reshape(10, -1).sum(axis=1)
    assert abs(per_tenth - EXPECTED / 10).max() < 6 * math.sqrt(EXPECTED / 10)


def test_each_package_and_key_leaves_out_others() -> None:
    one = left_out("A")
    for other in (left_out("B"), left_out("A", KEYS.key_ids[1])):
        both = int((one & other).sum())
        assert both < 20, f"{both} codes in common, where chance has about two"


def test_it_is_the_same_whatever_the_pieces() -> None:
    print_ = Fingerprint(KEYS, KEYS.newest, "A")
    pieces = [print_.left_out(INDEXES[at : at + 7_777]) for at in range(0, len(INDEXES), 7_777)]
    assert np.array_equal(np.concatenate(pieces), left_out("A"))


def test_a_lost_key_is_said() -> None:
    with pytest.raises(KeyError):
        Fingerprint(KEYS, "00000000", "A")


@pytest.mark.parametrize("codes, found", [(1, 0), (500, 0), (3000, 0), (3000, 2), (20_000, 30)])
def test_the_odds_are_those_of_drawing_so_few(codes: int, found: int) -> None:
    share = 1 / LEFT_OUT_ONE_IN
    expected = sum(
        math.comb(codes, k) * share**k * (1 - share) ** (codes - k) for k in range(found + 1)
    )
    assert odds_of_chance(codes, found) == pytest.approx(expected, rel=1e-6)


def test_as_many_as_chance_has_prove_nothing() -> None:
    assert odds_of_chance(5_000, 10) == 1.0
    assert odds_of_chance(10**9, 0) < 1e-300
