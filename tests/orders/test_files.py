"""Files of orders: what can be read of them, and what is said of the rest."""

import io

import pytest

from referral.orders import OrderIn
from referral.orders.files import (
    ADVICE,
    NOBODY,
    SHORTENED,
    TOO_MANY_CELLS,
    UNREADABLE,
    Fault,
    Line,
    NoOrderColumns,
    NotUTF8,
    OrderFile,
    RefundOf,
)

HEADER = "external_id,member_id,amount,currency"


def read(text: str | bytes) -> list[Line | Fault]:
    data = text.encode() if isinstance(text, str) else text
    return list(OrderFile(io.BytesIO(data)))


def only(text: str) -> Line | Fault:
    (found,) = read(text)
    return found


def fault(text: str) -> Fault:
    found = only(text)
    assert isinstance(found, Fault)
    return found


def test_columns_stand_in_any_order_and_lines_end_in_any_way() -> None:
    rows = (
        "amount,currency,external_id,member_id",
        "2000,CNY,A-1,bob",
        "",
        " , ,,",
        "30,CNY,A-2,bob",
    )
    for end in ("\n", "\r\n", "\r"):
        for mark in ("", "\ufeff"):
            data = (mark + end.join(rows)).encode()
            assert OrderFile(io.BytesIO(data)).lines == 5
            found = read(data)
            assert [line.number for line in found if isinstance(line, Line)] == [2, 5]
            assert [line.sent for line in found if isinstance(line, Line)] == [
                OrderIn(external_id="A-1", member_id="bob", amount=2000, currency="CNY"),
                OrderIn(external_id="A-2", member_id="bob", amount=30, currency="CNY"),
            ]


def test_semicolons_and_tabs_part_cells_too() -> None:
    for mark in ";\t":
        line = only(f"{HEADER}\nA,bob,5,CNY\n".replace(",", mark))
        assert isinstance(line, Line)
        assert line.number == 2


def test_every_field_of_the_api_has_its_column() -> None:
    line = only(
        "kind,external_id,customer_id,member_id,phone,coupon,via,amount,currency,at,gtins,order\n"
        'Order,"A,1",7,bob,13800138000,TEA-1,tok,5,CNY,2026-03-01T10:00:00+08:00,'
        "6901234567892 06901234567908,\n"
    )
    assert isinstance(line, Line)
    sent = line.sent
    assert isinstance(sent, OrderIn)
    assert (sent.external_id, sent.customer_id, sent.phone) == ("A,1", 7, "+8613800138000")
    assert sent.gtins == ["06901234567892", "06901234567908"]
    assert sent.at is not None
    assert sent.at.isoformat() == "2026-03-01T10:00:00+08:00"


def test_a_refund_names_its_order_and_leaves_other_columns_alone() -> None:
    line = only(f"kind,order,{HEADER}\nrefund,A-1,R-1,,500,CNY\n")
    assert isinstance(line, Line)
    assert isinstance(line.sent, RefundOf)
    assert (line.sent.order, line.sent.refund.external_id, line.sent.refund.amount) == (
        "A-1",
        "R-1",
        500,
    )


@pytest.mark.parametrize(
    ("row", "column"),
    [
        ("A,bob,12.50,CNY", "amount"),
        ("A,bob,-5,CNY", "amount"),
        ("A,bob,0,CNY", "amount"),
        ("A,bob,,CNY", "amount"),
        ("A,bob,٣,CNY", "amount"),
        (f"A,bob,{'9' * 500},CNY", "amount"),
        (f"A,bob,{'9' * 19},CNY", "amount"),
        ("A,bob,5,cny", "currency"),
        ("A,bob,5,", "currency"),
        (",bob,5,CNY", "external_id"),
        (f"{'x' * 121},bob,5,CNY", "external_id"),
        ("a//b,bob,5,CNY", "external_id"),
        (f"A,{'x' * 121},5,CNY", "member_id"),
    ],
)
def test_a_cell_that_does_not_fit_is_named_with_what_to_write(row: str, column: str) -> None:
    found = fault(f"{HEADER}\n{row}\n")
    assert (found.line, found.column, found.advice) == (2, column, ADVICE[column])


def test_other_columns_are_checked_as_well() -> None:
    for column, value in {
        "kind": "return",
        "customer_id": "x",
        "phone": "12",
        "at": "2026-03-01 10:00",
        "gtins": "6901234567893",
        "order": "A-0",
    }.items():
        found = fault(f"{HEADER},{column}\nA,bob,5,CNY,{value}\n")
        assert (found.column, found.advice) == (column, ADVICE[column])
    assert fault(f"kind,{HEADER}\nrefund,R,,5,\n").column == "order"
    assert fault(f"kind,order,{HEADER}\nrefund,A,R,,x,\n").column == "amount"


def test_a_line_that_names_nobody_says_so() -> None:
    found = fault(f"{HEADER}\nA,,5,CNY\n")
    assert (found.column, found.title) == (None, NOBODY)


def test_numbers_that_excel_has_shortened_are_told() -> None:
    found = fault(f"{HEADER}\n1.23457E+15,bob,5,CNY\n")
    assert (found.column, found.title) == ("external_id", SHORTENED)


def test_a_line_with_too_many_cells_is_told_and_the_next_one_is_read() -> None:
    first, second = read(f"{HEADER}\nA,bob,5,CNY,extra\nB,bob,5,CNY,,\n")
    assert isinstance(first, Fault)
    assert first.title == TOO_MANY_CELLS
    assert isinstance(second, Line)


def test_a_cell_with_several_lines_counts_from_where_it_begins() -> None:
    first, second = read(f'{HEADER}\n"A\nB",bob,5,CNY\nC,bob,5,CNY\n')
    assert isinstance(first, Fault)
    assert (first.line, first.column) == (2, "external_id")
    assert isinstance(second, Line)
    assert second.number == 4


def test_a_quote_that_is_not_closed_does_not_stop_the_rest_from_being_told() -> None:
    found = read(f'{HEADER}\nA,bob,5,CNY\nB,"bob,5,CNY\nC,bob,5,CNY\n')
    assert isinstance(found[0], Line)
    assert [each.title for each in found if isinstance(each, Fault)] == [UNREADABLE]


def test_another_encoding_is_told_before_anything_is_read() -> None:
    for data in (
        f"{HEADER}\n张,bob,5,CNY\n".encode("gb18030"),
        f"{HEADER}\nA,bob,5,CNY\n".encode("utf-16"),
        f"{HEADER}\nA,bob,5,CNY\n".encode("utf-16-le"),
        f"{HEADER}\nA,张".encode()[:-1],
        f"{HEADER}\nA\0,bob,5,CNY\n".encode(),
    ):
        with pytest.raises(NotUTF8):
            OrderFile(io.BytesIO(data))


def test_columns_that_are_not_known_missing_or_there_twice_are_told() -> None:
    for text, what in [
        ("", {"missing": ["external_id", "amount"]}),
        ("external_id,member\n", {"unknown": ["member"], "missing": ["amount"]}),
        (f"{HEADER},amount\n", {"twice": ["amount"]}),
        (f"{HEADER},,at\n", {"unknown": [""]}),
    ]:
        with pytest.raises(NoOrderColumns) as refused:
            OrderFile(io.BytesIO(text.encode()))
        found = {name: value for name, value in refused.value.details.items() if value}
        assert found == what


def test_a_file_can_be_read_twice_and_stays_open() -> None:
    stream = io.BytesIO(f"{HEADER}\nA,bob,5,CNY\nB,bob,5,CNY".encode())
    file = OrderFile(stream)
    assert file.lines == 3
    assert list(file) == list(file)
    assert not stream.closed
