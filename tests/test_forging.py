"""Codes in the hands of somebody without the key: what bottles show him, and how often he guesses
right.

Everything here is drawn with fixed keys and seeds, so that the numbers are the same in every run;
the bounds are far wider than chance needs.
"""

import contextlib
from math import sqrt

import numpy as np
import numpy.typing as npt
import pytest

from referral import codes
from referral.codes import (
    ALPHABET,
    INDEX_END,
    LENGTH,
    TAG_BITS,
    CodeCodec,
    Label,
    UnknownCode,
)
from tests import reference_codes
from tests.shelf import KEYS, LARGE, LAST, MIDDLE, RUNS, SECRETS, SHELF, SMALL, Run, Shelf

CODEC = CodeCodec(KEYS)
EVERYTHING = Run(9, 0, INDEX_END)
"""The guesser's best case: every index there is room for was issued, with both labels."""
PIECE = 1 << 16


# What codes show: nothing


SHOWN = [LARGE, MIDDLE, Run(5, 0, PIECE), Run(6, INDEX_END - PIECE, PIECE)]


def as_signs(texts: npt.NDArray[np.bytes_]) -> npt.NDArray[np.float32]:
    """The 80 bits of each code as +1 for 0 and -1 for 1, shape (n, 80)."""
    values = np.zeros(128, dtype=np.uint8)
    values[np.frombuffer(ALPHABET.encode(), dtype=np.uint8)] = np.arange(32)
    letters = values[texts.view(np.uint8).reshape(-1, LENGTH)]
    bits = np.unpackbits(letters[:, :, None], axis=2)[:, :, 3:]
    return 1 - 2 * bits.reshape(len(texts), -1).astype(np.float32)


def assert_even(counts: npt.NDArray[np.int64]) -> None:
    """Chi-square: that all these are counts of equally likely things."""
    expected, freedom = counts.mean(), len(counts) - 1
    chi_square = ((counts - expected) ** 2 / expected).sum()
    assert abs(chi_square - freedom) < 6 * sqrt(2 * freedom)


def assert_unrelated(left: npt.NDArray[np.float32], right: npt.NDArray[np.float32]) -> None:
    """That no column of one goes with a column of the other, to within six sigma."""
    assert np.abs(left.T @ right).max() < 6 * sqrt(len(left))


@pytest.mark.parametrize("label", Label)
@pytest.mark.parametrize("run", SHOWN, ids=lambda run: str(run.id))
def test_codes_made_one_after_another_look_like_dice(run: Run, label: Label) -> None:
    texts = CODEC.encode_many(run, 0, PIECE, label)
    signs = as_signs(texts)
    always = np.ones((PIECE, 1), dtype=np.float32)
    places = np.arange(PIECE)[:, None] >> np.arange(16) & 1
    assert_unrelated(signs, always)  # each bit is set in half of the codes
    assert_unrelated(signs[1:] * signs[:-1], always[1:])  # and changes from one to the next
    assert_unrelated(signs, (1 - 2 * places).astype(np.float32))  # whatever the index's bits
    for letters in texts.view(np.uint8).reshape(-1, LENGTH).T:
        used, counts = np.unique(letters, return_counts=True)
        assert len(used) == len(ALPHABET)
        assert_even(counts)


@pytest.mark.parametrize("label", Label)
def test_neither_order_nor_volume_can_be_read_from_codes(label: Label) -> None:
    first_pairs = []
    for run in SHOWN:
        texts = CODEC.encode_many(run, 0, PIECE, label)
        ranks = np.argsort(np.argsort(texts))
        correlation = np.corrcoef(ranks, np.arange(PIECE))[0, 1]
        assert abs(correlation) < 6 / sqrt(PIECE)
        first_pairs.append(texts.view(np.uint16).reshape(-1, LENGTH // 2)[:, 0])
    # The first package ever and the last there is room for lie anywhere among all codes.
    for pairs in first_pairs:
        used, counts = np.unique(pairs, return_counts=True)
        assert len(used) == len(ALPHABET) ** 2
        assert_even(counts)


def test_the_two_codes_of_a_package_have_nothing_in_common() -> None:
    inner, outer = (as_signs(CODEC.encode_many(LARGE, 0, PIECE, label)) for label in Label)
    assert_unrelated(inner, outer)


def test_the_codes_of_one_index_under_two_keys_have_nothing_in_common() -> None:
    ours, theirs = (
        as_signs(CODEC.encode_many(Run(7, 0, PIECE, key_id), 0, PIECE)) for key_id in KEYS.key_ids
    )
    assert_unrelated(ours, theirs)


# Guessing


def guesses(
    seed: int, count: int, *, tag_bits: int
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    """Masked indexes and tags, each any of those there are with the same chance."""
    dice = np.random.default_rng(seed)
    hidden = dice.integers(0, INDEX_END, count, dtype=np.uint64)
    return hidden, dice.integers(0, 1 << tag_bits, count, dtype=np.uint64)


def assert_poisson(hits: int, expected: float) -> None:
    """Within five sigma: chance alone leaves that once in a million runs."""
    assert abs(hits - expected) < 5 * sqrt(expected)


def test_a_shortened_tag_is_hit_as_often_as_it_is_short() -> None:
    """The tag bites: of 10^8 random codes exactly as many pass as a tag of 20 bits lets through,
    one in 2^20. Were it compared on one bit less, twice as many would pass, and none if it were
    compared with something else than what codes are made with. What passes these 20 bits 95 times
    passes the 43 that are printed once in 8.8e12 tries.
    """
    tag_bits, tries = 20, 10**8
    codec = CodeCodec(KEYS, tag_bits=tag_bits)
    hits = 0
    for seed, start in enumerate(range(0, tries, PIECE)):
        hidden, tags = guesses(seed, min(PIECE, tries - start), tag_bits=tag_bits)
        found = codec.indexes_of(hidden, tags, EVERYTHING)
        (won,) = np.nonzero(found >= 0)
        hits += len(won)
        for at in won:  # what passes here is what the service would take for genuine
            code = codec.decode(
                reference_codes.spell(int(hidden[at]), int(tags[at])), Shelf([EVERYTHING])
            )
            assert codec.encode(EVERYTHING, int(found[at])) == code
    assert_poisson(hits, tries / 2**tag_bits)


@pytest.mark.parametrize("tag_bits", [8, 12, 16])
@pytest.mark.parametrize("label", Label)
def test_every_bit_of_a_tag_halves_the_hits(tag_bits: int, label: Label) -> None:
    codec, tries = CodeCodec(KEYS, tag_bits=tag_bits), 1 << 22
    hidden, tags = guesses(tag_bits, tries, tag_bits=tag_bits)
    hits = (codec.indexes_of(hidden, tags, EVERYTHING, label) >= 0).sum()
    assert_poisson(hits, tries / 2**tag_bits)


def test_the_printed_tag_is_not_hit() -> None:
    hidden, tags = guesses(43, 1 << 22, tag_bits=TAG_BITS)
    assert (CODEC.indexes_of(hidden, tags, EVERYTHING) == -1).all()


def test_changing_a_genuine_code_gains_nothing_over_its_tag() -> None:
    """Keeping a genuine tag keeps its mask, so that the changed index stays near the genuine one:
    a guesser lands in an issued batch every time. The tag is all that is left against him, and
    lets him through as often as it lets through anybody."""
    tag_bits = 16
    codec = CodeCodec(KEYS, tag_bits=tag_bits)
    batch = Run(8, 1 << 30, 1 << 22)
    tries = hits = 0
    for index in range(0, batch.size, batch.size // 64):
        text = codec.encode(batch, index).text
        genuine, tag = reference_codes.unspell(text)
        changes = np.arange(1, 1 << 17, dtype=np.uint64)
        hidden = np.uint64(genuine) ^ changes
        found = codec.indexes_of(hidden, np.full(len(hidden), tag, dtype=np.uint64), batch)
        places = np.uint64(index) ^ changes  # where the changed codes land
        assert (found[found >= 0] == places[found >= 0]).all()
        tries += len(hidden)
        hits += int((found >= 0).sum())
    assert_poisson(hits, tries / 2**tag_bits)


@pytest.mark.parametrize("label", Label)
@pytest.mark.parametrize("bit", range(TAG_BITS))
def test_every_bit_of_the_tag_is_compared(bit: int, label: Label) -> None:
    """With the right index and the right mask, and one bit of 43 wrong: only the key's owner could
    make these, and they are refused."""
    for run in (LARGE, MIDDLE, LAST):
        secret = SECRETS[run.key_id]
        index = run.first_index + 8
        _, tag = reference_codes.fields(secret, run.first_index, label.value, index)
        assert refused(index, tag ^ 1 << bit, secret, label) == run.id
        with pytest.raises(AssertionError):
            refused(index, tag, secret, label)


def refused(index: int, tag: int, secret: str, label: Label) -> int | None:
    """The batch that a wrong code's index lands in."""
    hidden = index ^ reference_codes.mask(secret, label.value, tag)
    try:
        CODEC.decode(reference_codes.spell(hidden, tag), SHELF)
    except UnknownCode as unknown:
        return unknown.near_batch
    raise AssertionError("a wrong tag has passed")


# What a guesser is told


def wrong_codes() -> dict[str, str]:
    """Codes that are wrong in different ways."""
    tag = 12345
    found = {}
    for name, run, label, index in (
        ("beside a genuine one", LARGE, Label.inner, LARGE.first_index + 8),
        ("beside a genuine outer one", MIDDLE, Label.outer, MIDDLE.first_index + 8),
        ("outer code of a single label", SMALL, Label.outer, 9),
        ("nobody's index", SMALL, Label.inner, 15_000_000),
    ):
        hidden = index ^ reference_codes.mask(SECRETS[run.key_id], label.value, tag)
        found[name] = reference_codes.spell(hidden, tag)
    return found | {"anything": "0123456789ABCDEF"}


def test_wrong_codes_are_answered_alike() -> None:
    answers = set()
    for text in wrong_codes().values():
        with pytest.raises(UnknownCode) as error:
            CODEC.decode(text, SHELF)
        problem = error.value
        answers.add((type(problem), problem.status, str(problem), repr(problem.details)))
    assert answers == {(UnknownCode, 404, UnknownCode.title, "{}")}


def test_wrong_codes_cost_the_same_work_as_genuine_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many blocks of AES and as many looks for a batch, however far off a code is."""
    work: list[str] = []
    cut = codes._cut

    def counted(cipher: codes.CipherContext, value: int, bits: int) -> int:
        work.append(f"a block for {bits} bits")
        return cut(cipher, value, bits)

    class Counting(Shelf):
        def find(self, global_index: int) -> Run | None:
            work.append("a look")
            return super().find(global_index)

    monkeypatch.setattr(codes, "_cut", counted)
    done = set()
    genuine = [CODEC.encode(run, 5).text for run in (LARGE, SMALL, LAST)]
    for text in [*wrong_codes().values(), *genuine]:
        work.clear()
        with contextlib.suppress(UnknownCode):
            CODEC.decode(text, Counting(RUNS))
        done.add(tuple(work))
    assert len(done) == 1
    assert len(done.pop()) == 3 * len(KEYS.key_ids) * len(Label)


def test_statistics_learn_which_batch_was_guessed_at() -> None:
    near = {}
    for name, text in wrong_codes().items():
        with pytest.raises(UnknownCode) as error:
            CODEC.decode(text, SHELF)
        near[name] = error.value.near_batch
    assert near == {
        "beside a genuine one": LARGE.id,
        "beside a genuine outer one": MIDDLE.id,
        "outer code of a single label": None,
        "nobody's index": None,
        "anything": None,
    }


def test_a_text_that_is_genuine_twice_is_read_as_the_one_that_pays_nothing() -> None:
    """One package's inner code may be another's outer one: with whole tags 8e-5 such pairs are to
    be expected among 10^10 packages, with tags of 8 bits one in 2^16 tries."""
    codec, tag = CodeCodec(KEYS, tag_bits=8), 5
    hidden = np.arange(1 << 20, dtype=np.uint64)
    tags = np.full(len(hidden), tag, dtype=np.uint64)
    inner, outer = (codec.indexes_of(hidden, tags, EVERYTHING, label) >= 0 for label in Label)
    (both,) = np.nonzero(inner & outer)
    assert len(both) > 4
    for at in both.tolist():
        code = codec.decode(reference_codes.spell(at, tag), Shelf([EVERYTHING]))
        assert code.label is Label.outer
