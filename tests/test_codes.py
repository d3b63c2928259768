"""Codes: computed, each its own, hiding where they come from, and forgiving to those who type.

What somebody without the key gets out of them is in test_forging.py.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import combinations
from threading import Barrier

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from referral.codes import (
    ALPHABET,
    INDEX_BITS,
    INDEX_END,
    LENGTH,
    TAG_BITS,
    Code,
    CodeCodec,
    Label,
    Labels,
    MistypedCode,
    UnknownCode,
    carries,
    normalise,
)
from referral.crypto import KeyRing
from tests import reference_codes
from tests.shelf import KEYS, LARGE, LAST, MIDDLE, NEW, OLD, RUNS, SECRETS, SHELF, SMALL, Run, Shelf

CODEC = CodeCodec(KEYS)

FULL_WIDTH = {ord(letter): ord(letter) + 0xFEE0 for letter in ALPHABET + ALPHABET.lower() + "-"}


Package = tuple[Run, int, Label]

runs = st.sampled_from(RUNS)
issued = runs.flatmap(
    lambda run: st.tuples(
        st.just(run),
        st.integers(0, run.size - 1),
        st.sampled_from([label for label in Label if carries(run.labels, label)]),
    )
)


def as_array(codes: Sequence[str]) -> npt.NDArray[np.bytes_]:
    return np.array([code.encode() for code in codes], dtype="S")


# Every code that was issued


@given(issued)
def test_it_decodes_every_code_it_made(package: Package) -> None:
    run, index, label = package
    code = CODEC.encode(run, index, label)
    assert (code.batch_id, code.index, code.label) == (run.id, index, label)
    assert CODEC.decode(code.text, SHELF) == code
    assert len(code.text) == LENGTH
    assert set(code.text) <= set(ALPHABET)


def test_millions_of_codes_read_back_and_no_two_are_the_same() -> None:
    piece = 1 << 15
    texts = []
    for run in RUNS:
        for label in Label:
            if not carries(run.labels, label):
                continue
            for start in range(0, min(run.size, 1_000_000), piece):
                end = min(start + piece, run.size)
                made = CODEC.encode_many(run, start, end, label)
                assert (CODEC.indexes_in(made, run, label) == np.arange(start, end)).all()
                texts.append(made)
    halves = np.concatenate(texts).view(np.uint64).reshape(-1, 2)
    assert len(halves) > 4_000_000
    halves = halves[np.lexsort(halves.T)]
    assert not (halves[1:] == halves[:-1]).all(axis=1).any()


@settings(max_examples=25)
@given(runs, st.data())
def test_one_at_a_time_and_many_at_once_agree(run: Run, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, run.size))
    end = data.draw(st.integers(start, min(start + 40, run.size)))
    for label in Label:
        if not carries(run.labels, label):
            continue
        many = CODEC.encode_many(run, start, end, label)
        one = [CODEC.encode(run, index, label).text for index in range(start, end)]
        assert [text.decode() for text in many.tolist()] == one
        assert CODEC.indexes_in(many, run, label).tolist() == list(range(start, end))


@given(st.lists(st.text(ALPHABET + "UO-", min_size=14, max_size=18), max_size=5), issued, st.data())
def test_one_at_a_time_and_many_at_once_agree_on_what_is_no_code(
    texts: list[str], package: Package, data: st.DataObject
) -> None:
    run, index, label = package
    genuine = CODEC.encode(run, index, label).text
    texts.append(genuine)
    texts.append(genuine + data.draw(st.text(ALPHABET, min_size=1, max_size=3)))
    texts.append(genuine[: data.draw(st.integers(1, LENGTH - 1))])
    expected = [index if text == genuine else -1 for text in texts]
    assert CODEC.indexes_in(as_array(texts), run, label).tolist() == expected
    assert CODEC.indexes_in(as_array(texts)[::-1], run, label).tolist() == expected[::-1]


@settings(max_examples=60)
@given(issued)
def test_a_second_implementation_makes_the_same_codes(package: Package) -> None:
    run, index, label = package
    text = CODEC.encode(run, index, label).text
    place = run.first_index + index
    assert reference_codes.encode(SECRETS[run.key_id], run.first_index, label.value, place) == text
    hidden, tag = reference_codes.unspell(text)
    assert hidden ^ reference_codes.mask(SECRETS[run.key_id], label.value, tag) == place


def test_the_second_implementation_knows_its_cipher() -> None:
    """FIPS 197, appendix C.3."""
    block = bytes.fromhex("00112233445566778899aabbccddeeff")
    ciphered = reference_codes.aes256(bytes(range(32)), block)
    assert ciphered.hex() == "8ea2b7ca516745bfeafc49904b496089"


def test_codes_that_were_printed_stay_readable() -> None:
    """These are on bottles. A change that breaks this test breaks every package ever sold."""
    printed = [
        Code(1, 0, "4PMK3QVEY3SA5J30", Label.inner),
        Code(1, 699, "NHQPKT72BT1STTZG", Label.inner),
        Code(2, 1_234, "CQ48S9EZR866FYAA", Label.inner),
        Code(2, 1_234, "7HMHY7020WT1NEBQ", Label.outer),
        Code(3, 1_999_999, "GY8NBEYMQNKY40ZA", Label.outer),
        Code(4, 299, "P1A8W5CRT0K8PCAY", Label.inner),
        Code(4, 299, "8ET296G5VPPKD94K", Label.outer),
    ]
    for code in printed:
        run = next(run for run in RUNS if run.id == code.batch_id)
        assert CODEC.encode(run, code.index, code.label) == code
        assert CODEC.decode(code.text, SHELF) == code


@pytest.mark.parametrize("index", [-1, 700, INDEX_END])
def test_it_makes_no_code_outside_its_batch(index: int) -> None:
    with pytest.raises(IndexError):
        CODEC.encode(SMALL, index)
    with pytest.raises(IndexError):
        CODEC.encode_many(SMALL, index, index + 1)


def test_eight_threads_share_a_codec() -> None:
    """Each begins with the same batches at the same moment, none of them met before."""
    codec = CodeCodec(KEYS)
    begin = Barrier(8)
    expected = {run.id: CODEC.encode_many(run, 0, 300) for run in RUNS}

    def work(thread: int) -> bool:
        begin.wait()
        for _ in range(40):
            for run in RUNS:
                made = codec.encode_many(run, 0, 300)
                assert (made == expected[run.id]).all()
                assert (codec.indexes_in(made, run) == np.arange(300)).all()
                text = made[thread].decode()
                assert codec.decode(text, SHELF) == codec.encode(run, thread)
                assert codec.decode(text, SHELF).batch_id == run.id
        return True

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(8)))


# What was never issued, and what was issued as something else


def refused(text: str) -> bool:
    try:
        CODEC.decode(text, SHELF)
    except UnknownCode:
        return True
    return False


def changed(text: str) -> Iterator[str]:
    """Every other text with one character changed or two swapped."""
    for place, right in enumerate(text):
        for wrong in ALPHABET.replace(right, ""):
            yield text[:place] + wrong + text[place + 1 :]
    for first, second in combinations(range(LENGTH), 2):
        if text[first] != text[second]:
            letters = list(text)
            letters[first], letters[second] = letters[second], letters[first]
            yield "".join(letters)


@settings(max_examples=6)
@given(issued)
def test_it_refuses_every_change_of_one_character_and_every_swap(package: Package) -> None:
    for text in changed(CODEC.encode(*package).text):
        assert refused(text)


@pytest.mark.parametrize("label", Label)
@pytest.mark.parametrize("run", [LARGE, MIDDLE, LAST], ids=lambda run: str(run.id))
def test_it_refuses_every_slip_in_hundreds_of_codes(run: Run, label: Label) -> None:
    texts = [text.decode() for text in CODEC.encode_many(run, 0, 300, label)]
    slips = as_array([slip for text in texts for slip in changed(text)])
    assert len(slips) > 300 * (LENGTH * 31 + 100)
    for looked_for in Label:
        assert (CODEC.indexes_in(slips, run, looked_for) == -1).all()


@given(st.text(max_size=80))
def test_any_text_is_a_code_or_a_named_error(text: str) -> None:
    assert refused(text)


@given(st.text(ALPHABET, min_size=LENGTH, max_size=LENGTH))
def test_it_rejects_codes_that_were_never_issued(text: str) -> None:
    assert refused(text)


@given(issued)
def test_a_code_never_passes_for_one_of_another_batch_key_or_label(package: Package) -> None:
    """Nor then of another product: a batch is of one."""
    run, index, label = package
    code = CODEC.encode(run, index, label)
    # The same indexes in the hands of a batch that begins elsewhere, or has another key.
    later = replace(run, first_index=run.first_index + 1, size=run.size - 1)
    for other in (later, replace(run, key_id=swapped(run.key_id))):
        place = run.first_index + index - other.first_index
        if place >= 0:
            assert CODEC.encode(other, place, label).text != code.text
        assert CODEC.indexes_in(as_array([code.text]), other, label).tolist() == [-1]
        with pytest.raises(UnknownCode):
            CODEC.decode(code.text, Shelf([other]))
    twin = Label.outer if label is Label.inner else Label.inner
    pair = replace(run, labels=Labels.pair)
    assert CODEC.encode(pair, index, twin).text != code.text
    assert CODEC.indexes_in(as_array([code.text]), pair, twin).tolist() == [-1]


def swapped(key_id: str) -> str:
    return next(each for each in KEYS.key_ids if each != key_id)


def test_batches_beside_each_other_keep_their_codes_apart() -> None:
    neighbours = [Run(number, 1000 * number, 1000) for number in range(1, 6)]
    for run in neighbours:
        for label in Label:
            made = CODEC.encode_many(run, 0, run.size, label)
            for other in neighbours:
                for asked in Label:
                    found = CODEC.indexes_in(made, other, asked) >= 0
                    assert found.all() if (other, asked) == (run, label) else not found.any()


def test_a_batch_ends_where_it_ends() -> None:
    wide, narrow = Run(5, 1000, 3000), Run(5, 1000, 2000)
    for label in Label:
        made = CODEC.encode_many(wide, 0, wide.size, label)
        expected = [at if at < 2000 else -1 for at in range(wide.size)]
        assert CODEC.indexes_in(made, narrow, label).tolist() == expected
        for at in (2000, 2999):
            with pytest.raises(UnknownCode):
                CODEC.decode(made[at].decode(), Shelf([narrow]))


@given(st.integers(0, SMALL.size - 1))
def test_a_package_with_a_single_label_has_no_outer_code(index: int) -> None:
    outer = CODEC.encode(replace(SMALL, labels=Labels.pair), index, Label.outer)
    assert refused(outer.text)
    assert CODEC.indexes_in(as_array([outer.text]), SMALL, Label.outer).tolist() == [-1]
    with pytest.raises(ValueError, match="no outer label"):
        CODEC.encode(SMALL, index, Label.outer)
    with pytest.raises(ValueError, match="no outer label"):
        CODEC.encode_many(SMALL, index, index + 1, Label.outer)


def test_a_code_of_another_installation_is_unknown() -> None:
    theirs = KeyRing(["somebody-else's-key-altogether"])
    run = Run(1, 0, 700, theirs.newest)
    text = CodeCodec(theirs).encode(run, 3).text
    assert refused(text)
    with pytest.raises(UnknownCode):
        CODEC.decode(text, Shelf([run]))


def test_codes_of_older_keys_stay_readable_after_rotation() -> None:
    rotated = CodeCodec(KeyRing([OLD, NEW, "a-key-that-is-newer-still-than-these"]))
    for run in (SMALL, LARGE):
        code = CODEC.encode(run, 9)
        assert rotated.decode(code.text, SHELF) == code
        assert rotated.encode(run, 9) == code


def test_codes_of_a_lost_key_are_unknown() -> None:
    code = CODEC.encode(LARGE, 9)
    assert LARGE.key_id == KeyRing([OLD]).newest
    without_the_old_one = CodeCodec(KeyRing([NEW]))
    with pytest.raises(UnknownCode):
        without_the_old_one.decode(code.text, SHELF)
    with pytest.raises(KeyError):
        without_the_old_one.encode(LARGE, 9)
    with pytest.raises(KeyError):
        without_the_old_one.encode_many(LARGE, 0, 9)


def test_the_fields_fill_a_code_exactly() -> None:
    assert INDEX_BITS + TAG_BITS == 5 * LENGTH
    assert INDEX_END > 10**11
    assert TAG_BITS >= 40


# Typing


def looks_like(letter: str) -> str:
    return {"0": "0Oo", "1": "1IiLl"}.get(letter, letter + letter.lower())


@given(issued, st.data())
def test_it_forgives_how_people_type(package: Package, data: st.DataObject) -> None:
    code = CODEC.encode(*package)
    typed = ""
    for letter in code.text:
        typed += data.draw(st.sampled_from(looks_like(letter)))
        typed += data.draw(st.sampled_from(["", "", "-", " ", "–", "\u3000"]))
    if data.draw(st.booleans()):
        typed = typed.translate(FULL_WIDTH)
    assert CODEC.decode(f"  {typed}\n", SHELF) == code


def test_it_shows_codes_in_groups_of_four() -> None:
    code = CODEC.encode(SMALL, 5)
    assert [len(group) for group in code.grouped.split("-")] == [4, 4, 4, 4]
    assert CODEC.decode(code.grouped.lower(), SHELF) == code


@pytest.mark.parametrize(
    "text, read, strange",
    [
        ("", 0, ""),
        (" ", 0, ""),
        ("0" * 15, 15, ""),
        ("0" * 17, 17, ""),
        ("U" * 16, 16, "U"),
        ("u234-5678-9abc-defg", 16, "U"),
        ("0123-4567-89AB-CDE", 15, ""),
        ("0123-4567-89AB-CD*?", 16, "*?"),
        ("0123456789ABCDE🍵", 16, "🍵"),
        ("0123456789ABCDE\0", 15, ""),
        ("\ud800" * 16, 16, "\ufffd"),
        ("!?*+UU", 6, "!?*"),
        ("../../etc/passwd", 16, "./"),
        ("0" * 4000, 4000, ""),
        ("-" * 4000, 4000, ""),
    ],
    ids=lambda value: ascii(value)[:18],
)
def test_it_says_what_cannot_be_a_code_and_why(text: str, read: int, strange: str) -> None:
    with pytest.raises(MistypedCode) as mistyped:
        normalise(text)
    assert (mistyped.value.read, mistyped.value.strange) == (read, strange)
    mistyped.value.strange.encode()  # fit for a page
