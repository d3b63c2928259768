"""Files of orders: a CSV as shops export it, read line by line, and what is wrong with a line.

The first line names the columns, in any order, as the API names its fields; `kind` says whether a
line is an order or a refund, and `order` which order a refund is of.
"""

import codecs
import csv
import io
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, TextIO, TypeVar

from pydantic import TypeAdapter, ValidationError

from referral.errors import N_, InvalidInput
from referral.orders.order import OrderIn, RefundIn, ShopNumber

NEEDED = ("external_id", "amount")
OF_REFUNDS = ("external_id", "amount")
COLUMNS = ("kind", *OrderIn.model_fields, "order")
"""Every column there may be."""
DELIMITERS = ",;\t"
if TYPE_CHECKING:
    import _csv

Sent = TypeVar("Sent", OrderIn, RefundIn)
_CHUNK = 1 << 16
_WHOLE = re.compile(r"\d{1,19}", re.ASCII)
_SHORTENED = re.compile(r"\d(\.\d+)?E\+\d+", re.ASCII)
"""What Excel makes of a number of many digits."""
_NUMBER: TypeAdapter[str] = TypeAdapter(ShopNumber)

WRONG = N_("This does not fit the column.")
ADVICE = {
    "kind": N_("Write order or refund; an empty cell is an order."),
    "external_id": N_("The shop's number of the order or refund, with 1 to 120 characters."),
    "customer_id": N_("The customer's number here, digits only."),
    "member_id": N_("The brand's own number of the customer, with at most 120 characters."),
    "phone": N_("A phone number, such as +86 138 0013 8000."),
    "coupon": N_("The code of a coupon that a customer was given here."),
    "via": N_("The token at the end of a share link."),
    "amount": N_("A whole number in the currency's smallest unit, such as 1250 for 12.50."),
    "currency": N_("A currency's three letters, such as CNY."),
    "at": N_("A date and time with its zone, such as 2026-11-30T09:00:00+08:00."),
    "gtins": N_("GTINs with their check digits, parted by spaces."),
    "order": N_("The number of the order that the refund is of; empty for an order."),
}
SHORTENED = N_("Excel has shortened this number. Make the column a text, and export it again.")
NOBODY = N_("It does not say who bought.")
SAY_WHO = N_("Fill in customer_id, member_id, phone, coupon or via.")
TOO_MANY_CELLS = N_("This line has more cells than there are columns.")
QUOTE_COMMAS = N_("A cell with a comma in it stands between double quotes.")
UNREADABLE = N_("This line cannot be read as CSV.")
CHECK_QUOTES = N_("Look for a double quote that is not closed, here or in a line before.")


class BadOrderFile(InvalidInput):
    slug = "bad-order-file"
    title = N_("This file of orders cannot be read.")
    advice = N_("Export it again as CSV in UTF-8, with the names of the columns in its first line.")


class NotUTF8(BadOrderFile):
    slug = "orders-not-utf-eight"
    title = N_("This file is not in UTF-8.")
    advice = N_("In Excel, save it as “CSV UTF-8”; in other programs choose UTF-8.")


class NoOrderColumns(BadOrderFile):
    """`details` have the columns: those that are `unknown`, `missing` or there `twice`."""

    slug = "no-order-columns"
    title = N_("The first line of this file does not name the columns as it should.")
    advice = N_(
        "It needs external_id and amount, and may have kind, customer_id, member_id, phone, "
        "coupon, via, currency, at, gtins and order."
    )


@dataclass(frozen=True)
class Fault:
    """What is wrong with a line, and what to do: texts as they are marked for translation."""

    line: int
    column: str | None
    """None where it is about the line as a whole."""
    title: str
    advice: str


@dataclass(frozen=True)
class RefundOf:
    """A refund, and the number of its order."""

    order: str
    refund: RefundIn


@dataclass(frozen=True)
class Line:
    """A line that can be read. A cell may have several lines, so it is known by where it begins."""

    number: int
    sent: OrderIn | RefundOf


class OrderFile:
    """A file whose encoding and columns are as they should be. Raises `BadOrderFile`."""

    def __init__(self, file: IO[bytes]) -> None:
        self.lines = _count(file)
        """How many lines it has, the first one included."""
        self._file = file
        with self._opened() as text:
            first = text.readline()
        self._delimiter = max(DELIMITERS, key=first.count)
        self._columns = _columns(first, self._delimiter)

    @contextmanager
    def _opened(self) -> Iterator[TextIO]:
        self._file.seek(0)
        text = io.TextIOWrapper(self._file, encoding="utf-8-sig", newline="")
        try:
            yield text
        finally:
            text.detach()  # or it would close the file

    def __iter__(self) -> Iterator[Line | Fault]:
        """Every line but the first and empty ones."""
        with self._opened() as text:
            rows = csv.reader(text, delimiter=self._delimiter, strict=True)
            next(rows)
            yield from self._read(rows)

    def _read(self, rows: "_csv.Reader") -> Iterator[Line | Fault]:
        while True:
            number = rows.line_num + 1
            try:
                cells = next(rows, None)
            except csv.Error:
                yield Fault(number, None, UNREADABLE, CHECK_QUOTES)
                continue
            if cells is None:
                return
            if any(cell.strip() for cell in cells):
                yield self._line(number, cells)

    def _line(self, number: int, cells: list[str]) -> Line | Fault:
        width = len(self._columns)
        if any(cell.strip() for cell in cells[width:]):
            return Fault(number, None, TOO_MANY_CELLS, QUOTE_COMMAS)
        row = {
            column: cell.strip()
            for column, cell in zip(self._columns, cells, strict=False)
            if cell.strip()
        }
        for column in ("external_id", "order", "member_id", "phone"):
            if _SHORTENED.fullmatch(row.get(column, "")):
                return Fault(number, column, SHORTENED, ADVICE[column])
        kind = row.pop("kind", "order").lower()
        if kind == "refund":
            return _refund(number, row)
        if kind != "order":
            return _fault(number, "kind")
        return _order(number, row)


def _count(file: IO[bytes]) -> int:
    """How many lines there are. Raises `NotUTF8`."""
    file.seek(0)
    decoder = codecs.getincrementaldecoder("utf-8")()
    ends, last = {b"\n": 0, b"\r": 0}, b""
    while chunk := file.read(_CHUNK):
        try:
            decoder.decode(chunk)
        except UnicodeDecodeError:
            raise NotUTF8() from None
        if b"\0" in chunk:  # as in UTF-16 without a mark
            raise NotUTF8()
        ends = {end: count + chunk.count(end) for end, count in ends.items()}
        last = chunk
    try:
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        raise NotUTF8() from None
    return max(ends.values()) + (last != b"" and not last.endswith((b"\n", b"\r")))


def _columns(first: str, delimiter: str) -> list[str]:
    """The names in the first line. Raises `NoOrderColumns`."""
    try:
        cells = next(csv.reader(io.StringIO(first), delimiter=delimiter, strict=True), [])
    except csv.Error:
        raise NoOrderColumns() from None
    names = [cell.strip().lower() for cell in cells]
    while names and not names[-1]:
        names.pop()
    wrong = {
        "unknown": [name[:40] for name in names if name not in COLUMNS][:20],
        "missing": [name for name in NEEDED if name not in names],
        "twice": sorted({name for name in names if name in COLUMNS and names.count(name) > 1}),
    }
    if any(wrong.values()):
        said = (f"{what}: {', '.join(found)}" for what, found in wrong.items() if found)
        detail = f"{NoOrderColumns.advice} Here are {'; '.join(said)}."
        raise NoOrderColumns(detail, **wrong)
    return names


def _fault(number: int, column: str) -> Fault:
    return Fault(number, column, WRONG, ADVICE[column])


def _refund(number: int, row: dict[str, str]) -> Line | Fault:
    """A refund; what its line says in columns of orders is left alone."""
    try:
        order = _NUMBER.validate_python(row.get("order", ""))
    except ValidationError:
        return _fault(number, "order")
    sent = _checked(number, RefundIn, {name: row[name] for name in OF_REFUNDS if name in row})
    return sent if isinstance(sent, Fault) else Line(number, RefundOf(order, sent))


def _order(number: int, row: dict[str, str]) -> Line | Fault:
    if "order" in row:
        return _fault(number, "order")
    sent = _checked(number, OrderIn, row)
    return sent if isinstance(sent, Fault) else Line(number, sent)


def _checked(number: int, model: type[Sent], row: dict[str, str]) -> Sent | Fault:
    values: dict[str, Any] = dict(row)
    for column in ("amount", "customer_id"):
        if column in row:
            if not _WHOLE.fullmatch(row[column]):
                return _fault(number, column)
            values[column] = int(row[column])
    if "gtins" in row:
        values["gtins"] = re.split(r"[\s|;,]+", row["gtins"])
    try:
        return model.model_validate_json(json.dumps(values))
    except ValidationError as error:
        place = error.errors(include_url=False)[0]["loc"]
        if not place:
            return Fault(number, None, NOBODY, SAY_WHO)
        return _fault(number, str(place[0]))
