"""Keys: each use has its own, old ones keep working, and what is signed has one spelling."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from referral.crypto import KeyRing, LostKey, TokenSigner, decode_base64, encode_base64

OLD, NEW, NEWER = (f"a-{age}-key-for-the-tests-only" for age in ("first", "second", "third"))
BEFORE, AFTER = KeyRing([OLD, NEW]), KeyRing([OLD, NEW, NEWER])
URL_SAFE = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def test_it_needs_a_key() -> None:
    with pytest.raises(ValueError, match="at least one"):
        KeyRing([])


def test_the_newest_key_is_the_last_one() -> None:
    assert KeyRing([OLD, NEW]).newest == KeyRing([NEW]).newest
    assert AFTER.key_ids == (KeyRing([NEWER]).newest, *BEFORE.key_ids)


def test_no_two_uses_share_a_key() -> None:
    purposes = ["code.tag.1", "code.tag.2", "visitor", "limits"]
    keys = {BEFORE.derive(purpose, key_id) for purpose in purposes for key_id in BEFORE.key_ids}
    assert len(keys) == len(purposes) * 2
    assert BEFORE.derive_all("visitor") == [
        BEFORE.derive("visitor", key_id) for key_id in BEFORE.key_ids
    ]


def test_it_has_no_key_that_is_not_listed() -> None:
    with pytest.raises(KeyError):
        BEFORE.derive("visitor", AFTER.newest)


def test_key_ids_give_no_key_away() -> None:
    assert all(len(key_id) == 8 for key_id in AFTER.key_ids)
    assert not any(key_id in OLD + NEW + NEWER for key_id in AFTER.key_ids)


# Personal fields


@given(st.text())
def test_a_personal_field_comes_back(text: str) -> None:
    stored = BEFORE.encrypt(text)
    assert BEFORE.decrypt(stored) == text
    assert AFTER.decrypt(stored) == text, "also after a key was added"
    assert len(text) < 4 or text not in stored


def test_equal_fields_are_stored_differently() -> None:
    assert BEFORE.encrypt("+8613800138000") != BEFORE.encrypt("+8613800138000")


def test_a_field_whose_key_is_lost_is_a_named_error() -> None:
    with pytest.raises(LostKey):
        BEFORE.decrypt(AFTER.encrypt("alice"))
    with pytest.raises(LostKey):
        BEFORE.decrypt("not something that was encrypted")


def test_a_value_is_found_under_every_key_it_may_have_been_stored_with() -> None:
    stored = BEFORE.blind_indexes("phone", "+8613800138000")[0]
    looked_up = AFTER.blind_indexes("phone", "+8613800138000")
    assert stored in looked_up
    assert stored != looked_up[0], "the newest key is the one to store with"
    assert len(set(looked_up)) == 3


def test_blind_indexes_differ_by_value_and_by_purpose() -> None:
    indexes = {
        BEFORE.blind_indexes(purpose, value)[0]
        for purpose in ("phone", "email")
        for value in ("+8613800138000", "+8613800138001")
    }
    assert len(indexes) == 4
    assert all(len(index) == 64 for index in indexes)


# Tokens


@given(st.binary(max_size=60), st.sampled_from([10, 32]))
def test_what_was_signed_comes_back(payload: bytes, tag_bytes: int) -> None:
    token = TokenSigner(BEFORE, "here", tag_bytes=tag_bytes).sign(payload)
    assert TokenSigner(BEFORE, "here", tag_bytes=tag_bytes).unsign(token) == (
        payload,
        BEFORE.newest,
    )
    assert set(token) <= set(URL_SAFE + ".")


@pytest.mark.parametrize("tag_bytes", [10, 32])
def test_every_change_of_a_token_is_noticed(tag_bytes: int) -> None:
    """Of the last character too, some of whose bits say nothing: a token has one spelling."""
    signer = TokenSigner(BEFORE, "here", tag_bytes=tag_bytes)
    token = signer.sign(b"sixteen bytes...")
    for place, right in enumerate(token):
        for wrong in (URL_SAFE + ".=+/ \n!").replace(right, ""):
            assert signer.unsign(token[:place] + wrong + token[place + 1 :]) is None
    for cut in range(len(token)):
        assert signer.unsign(token[:cut]) is None
        assert signer.unsign(token[cut + 1 :]) is None
        assert signer.unsign(token[:cut] + token[cut + 1 :]) is None
        for more in "A!=. \n":
            assert signer.unsign(token[:cut] + more + token[cut:]) is None
    for more in "A!=. \n":
        assert signer.unsign(token + more) is None


@given(st.text(max_size=80))
def test_any_text_is_a_token_or_none(text: str) -> None:
    assert TokenSigner(BEFORE, "here").unsign(text) is None


def test_a_token_of_another_use_or_another_installation_is_not_ours() -> None:
    token = TokenSigner(BEFORE, "here").sign(b"payload")
    assert TokenSigner(BEFORE, "there").unsign(token) is None
    assert TokenSigner(KeyRing(["a-stranger's-key-altogether"]), "here").unsign(token) is None
    assert TokenSigner(BEFORE, "here", tag_bytes=10).unsign(token) is None


def test_rotation_loses_no_token_and_signs_with_the_newest() -> None:
    before, after = TokenSigner(BEFORE, "here"), TokenSigner(AFTER, "here")
    assert after.unsign(before.sign(b"payload")) == (b"payload", BEFORE.newest)
    assert after.unsign(after.sign(b"payload")) == (b"payload", AFTER.newest)
    assert before.unsign(after.sign(b"payload")) is None


@given(st.binary(max_size=40))
def test_base64_has_one_spelling(data: bytes) -> None:
    assert decode_base64(encode_base64(data)) == data


@pytest.mark.parametrize(
    "text", [b"AB", b"AAB", b"AA==", b"A", b"A+/A", b"AA A", b"AAA\n", b"====", b"\xff"]
)
def test_it_rejects_other_spellings_of_base64(text: bytes) -> None:
    with pytest.raises(ValueError):
        decode_base64(text)
