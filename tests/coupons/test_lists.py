"""Lists of coupon codes: what shops hand over, read kindly, and codes that are made up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from referral.coupons import lists
from referral.coupons.lists import (
    CODES_MAX,
    KNOWN,
    NOT_A_CODE,
    SEVERAL_COLUMNS,
    TWICE,
    BadCouponList,
    BadPrefix,
    CouponListTooLong,
    Fault,
    NotACouponList,
    made_up,
    normal,
    read,
)


def codes(file: bytes) -> list[tuple[int, str]]:
    return [(each.line, each.code) for each in read(file)]


@pytest.mark.parametrize(
    "file",
    [
        b"TEA-0001\nTEA-0002\n",
        b"TEA-0001\r\nTEA-0002\r\n",
        b"TEA-0001,\nTEA-0002,\n",
        b'"TEA-0001"\n"TEA-0002"',
        b"TEA-0001  \n TEA-0002",
        "\ufeffTEA-0001\nTEA-0002".encode(),
        "TEA-0001\nTEA-0002".encode("utf-16"),
        "ＴＥＡ－０００１\nＴＥＡ－０００２".encode(),
        "ＴＥＡ-０００１\nTEA-0002".encode("gb18030"),
    ],
)
def test_a_list_is_read_however_it_was_written(file: bytes) -> None:
    assert codes(file) == [(1, "TEA-0001"), (2, "TEA-0002")]


@pytest.mark.parametrize(
    "file",
    [
        b"Code\nTEA-1\n\nTEA-2\n",
        b"number,code,note\n1,TEA-1,\n\n2,TEA-2,for May\n",
        b"code;note\nTEA-1;x\n;\nTEA-2;y",
        b"code\tnote\nTEA-1\tx\n\nTEA-2\ty",
        "门店,优惠码\n东店,TEA-1\n\n东店,TEA-2".encode("gb18030"),
    ],
)
def test_a_column_with_a_name_is_found_among_others(file: bytes) -> None:
    assert codes(file) == [(2, "TEA-1"), (4, "TEA-2")]


def test_what_cannot_be_used_is_said_by_line() -> None:
    file = "TEA-1\nab\ntea 1\nTEA-2,TEA-3\n茶茶茶茶\n=1+2cmd\nTEA-4".encode()
    with pytest.raises(BadCouponList) as refused:
        read(file)
    assert refused.value.faults == [
        Fault(2, NOT_A_CODE),
        Fault(3, TWICE),
        Fault(4, SEVERAL_COLUMNS),
        Fault(5, NOT_A_CODE),
        Fault(6, NOT_A_CODE),
    ]
    assert "line 2: A code has 4 to 60" in str(refused.value)
    assert "TEA" not in str(refused.value.details), "codes are no part of an error"


def test_many_faults_are_counted_and_some_are_named() -> None:
    with pytest.raises(BadCouponList) as refused:
        read(b"x\n" * 200)
    assert refused.value.count == 200
    assert len(refused.value.faults) == lists.FAULTS_MAX


@pytest.mark.parametrize("file", [b"", b"\n\n", b"code\n", b"\x89PNG\r\n\x1a\n\0\0", b"\xff\xfe\0"])
def test_what_is_no_list_is_refused(file: bytes) -> None:
    with pytest.raises(NotACouponList):
        read(file)


def test_a_list_may_be_long_but_not_endless() -> None:
    full = "\n".join(f"TEA{number:06}" for number in range(CODES_MAX)).encode()
    assert len(read(full)) == CODES_MAX
    with pytest.raises(CouponListTooLong):
        read(full + b"\nTEA-LAST")
    with pytest.raises(CouponListTooLong):
        read(b"x" * (lists.BYTES_MAX + 1))
    with pytest.raises(BadCouponList):
        read(b"TEA" * 100_000)


@given(st.binary(max_size=300))
def test_any_file_is_read_or_refused(file: bytes) -> None:
    try:
        found = read(file)
    except (BadCouponList, NotACouponList):
        return
    assert found
    assert all(lists.is_code(each.code) for each in found)


def test_spaces_dashes_and_capitals_make_no_difference() -> None:
    assert normal(" tea‑ab 12 ") == normal("TEA-AB12") == normal("ｔｅａａｂ１２") == "TEAAB12"
    assert KNOWN != TWICE


def test_made_up_codes_are_all_different_and_easily_read() -> None:
    made = made_up("tea", 2_000)
    assert len({normal(code) for code in made}) == 2_000
    letters = {letter for code in made for letter in code.removeprefix("TEA-")}
    assert letters == {*lists.LETTERS, "-"}
    assert not letters & set("01IOLU")
    assert {len(code) for code in made} == {len("TEA-XXXX-XXXX-XXXX")}
    assert all(lists.is_code(code) for code in made)
    assert len(made_up("", 1)[0]) == len("XXXX-XXXX-XXXX")
    assert not set(made) & set(made_up("tea", 2_000))


@pytest.mark.parametrize("prefix", ["A-B", "茶", "X" * 13, "a b", "=1"])
def test_a_prefix_is_letters_and_digits(prefix: str) -> None:
    with pytest.raises(BadPrefix):
        made_up(prefix, 1)


def test_so_many_at_once_are_not_made() -> None:
    with pytest.raises(CouponListTooLong):
        made_up("", CODES_MAX + 1)
