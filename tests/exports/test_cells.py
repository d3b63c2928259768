"""Cells: nothing in a file is run by whoever opens it, and amounts are as people write them."""

from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from referral.exports.cells import TEXT_MAX, in_csv, major, safe

SHANGHAI = ZoneInfo("Asia/Shanghai")


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "\n=1",
        "  =cmd|' /C calc'!A0",
        "＝1+1",
        "＠x",
        "－2",
        "　=1",
    ],
)
def test_a_text_that_a_spreadsheet_would_run_is_made_a_text(text: str) -> None:
    assert safe(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "Alice", "a=b", "张三", "1-2", "'=1", "a\n=1"])
def test_other_texts_are_left_alone(text: str) -> None:
    assert safe(text) == text


def test_a_text_is_cut_to_what_a_cell_holds_and_has_no_null() -> None:
    assert len(safe("x" * 100_000)) == TEXT_MAX
    assert safe("a\0b") == "ab"


def test_numbers_stay_numbers_also_below_zero() -> None:
    assert in_csv(-5, SHANGHAI) == "-5"
    assert in_csv(Decimal("-0.50"), SHANGHAI) == "-0.50"
    assert in_csv(Decimal("1E+3"), SHANGHAI) == "1000"
    assert [in_csv(each, SHANGHAI) for each in (True, False, None)] == ["1", "0", ""]


def test_times_are_of_the_brands_zone_and_say_so() -> None:
    moment = datetime(2026, 3, 1, 16, 30, tzinfo=UTC)
    assert in_csv(moment, SHANGHAI) == "2026-03-02 00:30:00+08:00"


def test_amounts_are_in_major_units_of_their_currency_and_else_as_they_are() -> None:
    assert major(1250, "CNY") == Decimal("12.50")
    assert major(1250, "JPY") == Decimal(1250)
    assert major(1250, "points") == 1250
    assert major(-1250, "BHD") == Decimal("-1.250")
    assert major(3, "coupon:tea") == 3
