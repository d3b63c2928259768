"""Nicknames that are numbers or addresses are masked; others stay as they are."""

import pytest

from referral.people.masking import masked_name


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("小雨", "小雨"),
        ("Tea 1998", "Tea 1998"),
        ("Room 12-34", "Room 12-34"),
        ("at@home", "at@home"),
        ("13800138000", "138****8000"),
        ("１３８００１３８０００", "138****8000"),
        ("Ann 138 0013 8000", "Ann 138****8000"),
        ("+44 20 7946 0018", "+442****0018"),
        ("1234567", "123****67"),
        ("ann.lee@example.com", "a***@example.com"),
        ("ann＠example.com", "a***@example.com"),
        ("a@example.com 13800138000", "a***@example.com 138****8000"),
    ],
)
def test_a_name(name: str, shown: str) -> None:
    assert masked_name(name) == shown
