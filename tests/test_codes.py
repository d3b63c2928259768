"""Codes: computed, unforgeable as far as their tag goes, and forgiving to people who type them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from referral.codes import (
    ALPHABET,
    INDEX_END,
    LENGTH,
    CodeCodec,
    MistypedCode,
    Permutation,
    UnknownCode,
    normalise,
)
from referral.crypto import KeyRing

OLD, NEW = "an-older-key-for-the-tests-only", "the-newest-key-for-the-tests-only"
KEYS = KeyRing([OLD, NEW])
CODEC = CodeCodec(KEYS)
FULL_WIDTH = {ord(letter): ord(letter) + 0xFEE0 for letter in ALPHABET + ALPHABET.lower() + "-"}


@dataclass(frozen=True)
class Run:
    """A batch, as far as the codec needs to know it."""

    id: int
    first_index: int
    size: int
    key_id: str = KEYS.newest


class Shelf:
    def __init__(self, runs: Sequence[Run]) -> None:
        self._runs = runs

    def find(self, global_index: int) -> Run | None:
        for run in self._runs:
            if run.first_index <= global_index < run.first_index + run.size:
                return run
        return None


RUNS = (
    Run(1, 0, 700),
    Run(2, 700, 10_000_000, KEYS.key_ids[1]),
    Run(3, 20_000_000, 500),
    Run(4, INDEX_END - 300, 300),
)
SHELF = Shelf(RUNS)

issued = st.sampled_from(RUNS).flatmap(
    lambda run: st.tuples(st.just(run), st.integers(0, run.size - 1))
)


@given(issued)
def test_it_decodes_every_code_it_made(package: tuple[Run, int]) -> None:
    run, index = package
    code = CODEC.encode(run, index)
    assert (code.batch_id, code.index) == (run.id, index)
    assert CODEC.decode(code.text, SHELF) == code
    assert len(code.text) == LENGTH
    assert set(code.text) <= set(ALPHABET)


def test_no_two_packages_have_the_same_code() -> None:
    packages = [(run, index) for run in RUNS for index in range(min(run.size, 700))]
    codes = {CODEC.encode(run, index).text for run, index in packages}
    assert len(codes) == len(packages)


def test_codes_that_were_printed_stay_readable() -> None:
    """These are on bottles. A change that breaks this test breaks every package ever sold."""
    assert CODEC.encode(RUNS[0], 0).text == "QYR3YJM72YYZMGDA"
    assert CODEC.encode(RUNS[1], 1234).text == "FW8GA6SJVB0F36ZA"
    assert CODEC.encode(RUNS[3], 299).text == "QVZG5051P497JQ1F"


def test_a_code_of_neighbours_tells_neither_order_nor_volume() -> None:
    codes = [CODEC.encode(RUNS[1], index).text for index in range(200)]
    assert codes != sorted(codes)
    assert len({code[:3] for code in codes}) > 150


def refused(text: str) -> bool:
    try:
        CODEC.decode(text, SHELF)
    except UnknownCode:
        return True
    return False


@settings(max_examples=6)
@given(issued)
def test_it_refuses_every_change_of_one_character(package: tuple[Run, int]) -> None:
    text = CODEC.encode(*package).text
    for place, right in enumerate(text):
        for wrong in ALPHABET.replace(right, ""):
            assert refused(text[:place] + wrong + text[place + 1 :])


@given(issued)
def test_it_refuses_every_swap_of_neighbours(package: tuple[Run, int]) -> None:
    text = CODEC.encode(*package).text
    for place in range(LENGTH - 1):
        first, second = text[place : place + 2]
        if first != second:
            assert refused(text[:place] + second + first + text[place + 2 :])


def looks_like(letter: str) -> str:
    return {"0": "0Oo", "1": "1IiLl"}.get(letter, letter + letter.lower())


@given(issued, st.data())
def test_it_forgives_how_people_type(package: tuple[Run, int], data: st.DataObject) -> None:
    code = CODEC.encode(*package)
    typed = ""
    for letter in code.text:
        typed += data.draw(st.sampled_from(looks_like(letter)))
        typed += data.draw(st.sampled_from(["", "", "-", " ", "–", "\u3000"]))
    if data.draw(st.booleans()):
        typed = typed.translate(FULL_WIDTH)
    assert CODEC.decode(f"  {typed}\n", SHELF) == code


def test_it_shows_codes_in_groups_of_four() -> None:
    code = CODEC.encode(RUNS[0], 5)
    assert [len(group) for group in code.grouped.split("-")] == [4, 4, 4, 4]
    assert CODEC.decode(code.grouped.lower(), SHELF) == code


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "0" * 15,
        "0" * 17,
        "U" * 16,
        "0123-4567-89AB-CDE",
        "0123456789ABCDE🍵",
        "0123456789ABCDE\0",
        "\ud800" * 16,
        "0" * 4000,
        "-" * 4000,
        "../../etc/passwd",
    ],
    ids=lambda text: ascii(text[:17]),
)
def test_it_rejects_what_cannot_be_a_code(text: str) -> None:
    with pytest.raises(MistypedCode):
        normalise(text)


@given(st.text(max_size=80))
def test_any_text_is_a_code_or_a_named_error(text: str) -> None:
    assert refused(text)


@given(st.text(ALPHABET, min_size=LENGTH, max_size=LENGTH))
def test_it_rejects_codes_that_were_never_issued(text: str) -> None:
    assert refused(text)


@given(issued)
def test_a_code_of_one_batch_never_passes_for_another(package: tuple[Run, int]) -> None:
    run, index = package
    code = CODEC.encode(run, index)
    # The same indexes, in the hands of a batch with another number or another key.
    for other in (replace(run, id=run.id + 1), replace(run, key_id=swapped(run.key_id))):
        assert CODEC.encode(other, index).text != code.text
        with pytest.raises(UnknownCode):
            CODEC.decode(code.text, Shelf([other]))


def swapped(key_id: str) -> str:
    return next(each for each in KEYS.key_ids if each != key_id)


def test_a_code_of_another_installation_is_unknown() -> None:
    strangers = CodeCodec(KeyRing(["somebody-else's-key-altogether"]))
    run = Run(1, 0, 700, KeyRing(["somebody-else's-key-altogether"]).newest)
    with pytest.raises(UnknownCode):
        CODEC.decode(strangers.encode(run, 3).text, SHELF)
    with pytest.raises(UnknownCode):
        CODEC.decode(strangers.encode(run, 3).text, Shelf([run]))


def test_codes_of_older_keys_stay_readable_after_rotation() -> None:
    code = CODEC.encode(RUNS[0], 9)
    rotated = CodeCodec(KeyRing([OLD, NEW, "a-key-that-is-newer-still-than-these"]))
    assert rotated.decode(code.text, SHELF) == code
    assert rotated.encode(RUNS[0], 9) == code


def test_codes_of_a_lost_key_are_unknown() -> None:
    code = CODEC.encode(RUNS[1], 9)
    assert RUNS[1].key_id == KeyRing([OLD]).newest
    without_the_old_one = CodeCodec(KeyRing([NEW]))
    with pytest.raises(UnknownCode):
        without_the_old_one.decode(code.text, SHELF)
    with pytest.raises(KeyError):
        without_the_old_one.encode(RUNS[1], 9)


@pytest.mark.parametrize("index", [-1, 700, INDEX_END])
def test_it_makes_no_code_outside_its_batch(index: int) -> None:
    with pytest.raises(IndexError):
        CODEC.encode(RUNS[0], index)


PERMUTATION = Permutation(KEYS.derive("code.permutation"))


@given(st.integers(0, INDEX_END - 1))
def test_the_permutation_goes_there_and_back(index: int) -> None:
    hidden = PERMUTATION.hide(index)
    assert 0 <= hidden < INDEX_END
    assert PERMUTATION.reveal(hidden) == index
    assert PERMUTATION.hide(PERMUTATION.reveal(index)) == index


@pytest.mark.parametrize("index", [0, 1, (1 << 18) - 1, 1 << 18, 1 << 19, INDEX_END - 1])
def test_the_permutation_holds_at_its_edges(index: int) -> None:
    assert PERMUTATION.reveal(PERMUTATION.hide(index)) == index
    assert PERMUTATION.hide(PERMUTATION.reveal(index)) == index


def test_permutations_of_different_keys_differ() -> None:
    other = Permutation(KEYS.derive("code.permutation", KEYS.key_ids[1]))
    assert [other.hide(i) for i in range(50)] != [PERMUTATION.hide(i) for i in range(50)]
