"""Writing: rows into the pieces of a file, as CSV, XLSX or GraphML, in bounded memory.

CSV and GraphML grow row by row, so a job can go on behind the last piece. A spreadsheet is a ZIP
archive whose directory comes last: it is written into a file of its own first, and a job that was
interrupted begins again.
"""

import csv
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from datetime import datetime
from decimal import Decimal
from io import StringIO
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self
from xml.sax.saxutils import escape, quoteattr
from zoneinfo import ZoneInfo

import xlsxwriter
from sqlalchemy.orm import Session

from referral.exports.cells import in_csv, safe
from referral.exports.jobs import BYTES_MAX, Form, TooLarge, Why
from referral.exports.kinds import Kind, Value, Wanted

PIECE_BYTES = 1024 * 1024
ROWS_A_SHEET = 1_000_000
"""A sheet has 1,048,576 rows at most; what is more goes on the next one."""
BOM = "\ufeff"
"""By which Excel knows that a CSV file is UTF-8."""
_NUMBERS_MAX = 2**53
"""A spreadsheet's numbers are floats: a longer one is written as text, and not rounded."""

Rows = Sequence[Sequence[Value]]


class Writer(Protocol):
    """Makes a file out of rows."""

    @property
    def is_resumable(self) -> bool:
        """Whether another writer can go on where this one was interrupted."""
        ...

    def begin(self) -> bytes: ...

    def add(self, rows: Rows) -> bytes:
        """What these rows add to the file; nothing where it comes only at the end."""
        ...

    def end(self) -> Iterator[bytes]: ...


class CsvWriter:
    """CSV as RFC 4180 has it, in UTF-8."""

    is_resumable = True

    def __init__(self, headings: Sequence[str], zone: ZoneInfo) -> None:
        self._headings = headings
        self._zone = zone

    def begin(self) -> bytes:
        return (BOM + self._lines([self._headings])).encode()

    def add(self, rows: Rows) -> bytes:
        return self._lines(rows).encode()

    def end(self) -> Iterator[bytes]:
        return iter(())

    def _lines(self, rows: Sequence[Sequence[Value]]) -> str:
        text = StringIO()
        zone = self._zone
        csv.writer(text, lineterminator="\r\n").writerows(
            [in_csv(value, zone) for value in row] for row in rows
        )
        return text.getvalue()


class GraphmlWriter:
    """GraphML: each row a node, and an edge from the one it hangs below. Each stands in the file
    once."""

    is_resumable = True

    def __init__(self, kind: Kind, zone: ZoneInfo) -> None:
        if kind.graph is None:
            raise ValueError(f"{kind.name} is no graph")
        self._kind, self._graph, self._zone = kind, kind.graph, zone
        self._at = {column.name: n for n, column in enumerate(kind.columns)}

    def begin(self) -> bytes:
        head = ['<?xml version="1.0" encoding="UTF-8"?>']
        head.append('<graphml xmlns="http://graphml.graphdrawing.org/xmlns">')
        for owner, keys in (("node", self._graph.of_node), ("edge", self._graph.of_edge)):
            head += [
                f'<key id="{name}" for="{owner}" attr.name="{name}" attr.type="{of}"/>'
                for name, of in keys.items()
            ]
        head.append(f'<graph id="{self._kind.name}" edgedefault="directed">\n')
        return "\n".join(head).encode()

    def add(self, rows: Rows) -> bytes:
        return "".join(map(self._element, rows)).encode()

    def end(self) -> Iterator[bytes]:
        yield b"</graph>\n</graphml>\n"

    def _element(self, row: Sequence[Value]) -> str:
        name, parent = (self._text(row, at) for at in (self._graph.node, self._graph.parent))
        node = f"<node id={quoteattr(name)}>{self._data(row, self._graph.of_node)}</node>\n"
        if not parent:
            return node
        ends = f"source={quoteattr(parent)} target={quoteattr(name)}"
        return f"{node}<edge {ends}>{self._data(row, self._graph.of_edge)}</edge>\n"

    def _data(self, row: Sequence[Value], keys: Any) -> str:
        said = ((key, self._text(row, key)) for key in keys)
        return "".join(f'<data key="{key}">{escape(text)}</data>' for key, text in said if text)

    def _text(self, row: Sequence[Value], column: str) -> str:
        value = row[self._at[column]]
        if isinstance(value, str):  # no formulas are read out of this; what XML forbids is
            return "".join(c for c in value if c.isprintable())
        return in_csv(value, self._zone)


class XlsxWriter:
    """A spreadsheet, written row by row into temporary files."""

    is_resumable = False

    def __init__(self, kind: Kind, headings: Sequence[str], zone: ZoneInfo) -> None:
        self._kind, self._headings, self._zone = kind, headings, zone
        self._folder = tempfile.TemporaryDirectory(prefix="referral-export-")
        self._path = Path(self._folder.name) / "export.xlsx"
        self._book = xlsxwriter.Workbook(
            str(self._path),
            {
                "constant_memory": True,
                "tmpdir": self._folder.name,
                "strings_to_formulas": False,
                "strings_to_urls": False,
                "strings_to_numbers": False,
            },
        )
        self._bold = self._book.add_format({"bold": True, "bottom": 1})
        self._time = self._book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})
        self._exact = self._book.add_format({"num_format": "#,##0.00"})
        self._sheet: Any = None
        self._row = 0
        self._is_closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._is_closed:
            # Only to let go of the temporary files: nobody reads what comes of it.
            with suppress(Exception):
                self._book.close()
        self._folder.cleanup()

    def begin(self) -> bytes:
        self._next_sheet()
        return b""

    def add(self, rows: Rows) -> bytes:
        for row in rows:
            if self._row > ROWS_A_SHEET:
                self._next_sheet()
            for column, value in enumerate(row):
                self._write(column, value)
            self._row += 1
        return b""

    def end(self) -> Iterator[bytes]:
        self._is_closed = True
        self._book.close()
        if self._path.stat().st_size > BYTES_MAX:
            raise TooLarge(Why.too_large)
        with self._path.open("rb") as file:
            while part := file.read(PIECE_BYTES):
                yield part

    def _next_sheet(self) -> None:
        self._sheet = self._book.add_worksheet()
        for n, column in enumerate(self._kind.columns):
            self._sheet.set_column(n, n, column.width)
        for n, heading in enumerate(self._headings):
            self._sheet.write_string(0, n, heading, self._bold)
        self._sheet.freeze_panes(1, 0)
        self._row = 1

    def _write(self, column: int, value: Value) -> None:
        if value is None or value == "":
            return
        if isinstance(value, datetime):
            local = value.astimezone(self._zone).replace(tzinfo=None)
            self._sheet.write_datetime(self._row, column, local, self._time)
        elif isinstance(value, str):
            # As text no cell is run; the apostrophe is for whoever saves the sheet as CSV.
            self._sheet.write_string(self._row, column, safe(value))
        elif isinstance(value, bool):
            self._sheet.write_boolean(self._row, column, value)
        elif not -_NUMBERS_MAX <= value <= _NUMBERS_MAX:
            self._sheet.write_string(self._row, column, str(value))
        elif isinstance(value, Decimal):
            self._sheet.write_number(self._row, column, float(value), self._exact)
        else:
            self._sheet.write_number(self._row, column, value)


def writer_of(
    kind: Kind, form: Form, headings: Sequence[str], zone: ZoneInfo
) -> AbstractContextManager[Writer]:
    """A writer, which lets go of its temporary files in the end."""
    if form is Form.csv:
        return nullcontext(CsvWriter(headings, zone))
    if form is Form.graphml:
        return nullcontext(GraphmlWriter(kind, zone))
    return XlsxWriter(kind, headings, zone)


def written(
    kind: Kind,
    writer: Writer,
    wanted: Wanted,
    read: Callable[[], AbstractContextManager[Session]],
) -> Iterator[tuple[bytes, int]]:
    """A whole file at one go: its pieces, and how many rows each of them adds.

    `read` opens a transaction; every page is read in one of its own.
    """
    yield writer.begin(), 0
    after = None
    while True:
        with read() as tx:
            page = kind.page(tx, wanted, after)
        yield writer.add(page.rows), len(page.rows)
        after = page.after
        if after is None:
            break
    for piece in writer.end():
        yield piece, 0
