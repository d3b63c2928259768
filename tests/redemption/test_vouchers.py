"""Voucher codes: unguessable, readable in many spellings, and of no use without the keys."""

from hypothesis import given
from hypothesis import strategies as st

from referral.codes import ALPHABET
from referral.crypto import KeyRing
from referral.redemption import vouchers

OLD, NEW = "an-older-key-for-the-tests-only", "the-newest-key-for-the-tests-only"
KEYS = KeyRing([OLD, NEW])
SEEDS = st.binary(min_size=16, max_size=16).map(bytes.hex)


def code(seed: str, keys: KeyRing = KEYS) -> str:
    made = vouchers.code_of(keys, seed, keys.newest)
    assert made is not None
    return made


@given(SEEDS)
def test_a_code_is_read_in_every_spelling(seed: str) -> None:
    made = code(seed)
    assert len(made) == vouchers.CODE_LENGTH
    assert set(made) <= set(ALPHABET)
    grouped = vouchers.grouped(made)
    wide = "".join(chr(ord(c) + 0xFEE0) for c in made)
    for spelled in (
        made,
        grouped,
        grouped.lower(),
        f"  {made} ",
        made.replace("0", "o").replace("1", "l"),
        wide,
        f"https://brand.example/v/{made}?x=1#y",
    ):
        assert vouchers.read_code(spelled) == made


@given(st.text(max_size=80))
def test_anything_typed_is_a_code_or_none(typed: str) -> None:
    read = vouchers.read_code(typed)
    assert read is None or len(read) == vouchers.CODE_LENGTH


def test_a_code_needs_its_seed_and_its_key() -> None:
    seed = vouchers.new_seed()
    assert code(seed) != code(vouchers.new_seed())
    assert code(seed) != code(seed, KeyRing([NEW, OLD]))
    rotated = KeyRing([OLD, NEW, "another-newer-key-for-the-tests"])
    assert vouchers.code_of(rotated, seed, KEYS.newest) == code(seed), "rotation loses no code"
    assert vouchers.code_of(KeyRing([OLD]), seed, KEYS.newest) is None


def test_codes_use_every_letter_in_every_place() -> None:
    seeds = [f"{number:032x}" for number in range(2000)]
    for place in zip(*map(code, seeds), strict=True):
        assert set(place) == set(ALPHABET)
