"""Regions as people write them."""

import pytest

from referral.web.staff import regions


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("", []),
        ("CN-GD", ["CN-GD"]),
        (" cn-gd ", ["CN-GD"]),
        ("Guangdong", ["CN-GD"]),
        ("guangdong province", ["CN-GD"]),
        ("日本、法國，Germany；us", ["JP", "FR", "DE", "US"]),
        ("China, Guangxi; CN", ["CN", "CN-GX"]),
        ("Hong Kong", ["CN-HK"]),
        ("GB-ENG,,\nJP", ["GB-ENG", "JP"]),
    ],
)
def test_names_and_codes_are_read(typed: str, found: list[str]) -> None:
    assert regions.read(typed) == (found, [])


def test_what_is_no_region_is_given_back() -> None:
    assert regions.read("Atlantis, CN-GD, CN-XX, ZZ") == (["CN-GD"], ["Atlantis", "CN-XX", "ZZ"])
