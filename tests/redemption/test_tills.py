"""Till links: signed, and good until the till is closed."""

import pytest

from referral.crypto import KeyRing
from referral.redemption.tills import TillTokens

OLD, NEW = "an-older-key-for-the-tests-only", "the-newest-key-for-the-tests-only"
KEYS = KeyRing([OLD, NEW])


def test_till_links_survive_a_rotation_and_nothing_else() -> None:
    token = TillTokens(KEYS).token(7)
    assert TillTokens(KEYS).read(token) == 7
    assert TillTokens(KeyRing([OLD, NEW, "another-newer-key-for-the-tests"])).read(token) == 7
    assert TillTokens(KeyRing([OLD])).read(token) is None


@pytest.mark.parametrize("wrong", ["", "x", "a.b", "é", "." * 40])
def test_what_is_no_till_link_is_none(wrong: str) -> None:
    assert TillTokens(KEYS).read(wrong) is None
