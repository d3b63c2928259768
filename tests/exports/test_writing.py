"""Writing: CSV that Excel reads, spreadsheets whose cells are values, and well-formed graphs."""

import csv
import io
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from xml.etree import ElementTree
from zipfile import ZipFile
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy.orm import Session

from referral.exports import writing
from referral.exports.jobs import Form
from referral.exports.kinds import Column, Graph, Key, Kind, Page, Value, Wanted

SHANGHAI = ZoneInfo("Asia/Shanghai")
MOMENT = datetime(2026, 3, 1, 16, 30, tzinfo=UTC)


def nothing(tx: Session, wanted: Wanted, after: Key | None) -> Page:
    return Page([], None)


KIND = Kind(
    name="people",
    title="People",
    columns=(Column("name", "Name"), Column("parent", "By"), Column("points", "Points")),
    page=nothing,
    count=lambda tx, wanted: None,
    graph=Graph("name", "parent", {"points": "long"}, {"points": "long"}),
)


def made(form: Form, *pages: Sequence[Sequence[Value]]) -> bytes:
    with writing.writer_of(KIND, form, ["名字", "By", "=Points"], SHANGHAI) as writer:
        parts = [writer.begin(), *(writer.add(page) for page in pages), *writer.end()]
    return b"".join(parts)


def test_csv_has_a_byte_order_mark_and_reads_back() -> None:
    file = made(Form.csv, [("张三", None, 5)], [('a "quoted", one', "x\r\ny", -3)])
    assert file.startswith(b"\xef\xbb\xbf")
    rows = list(csv.reader(io.StringIO(file.decode("utf-8-sig"), newline="")))
    assert rows == [
        ["名字", "By", "'=Points"],
        ["张三", "", "5"],
        ['a "quoted", one', "x\r\ny", "-3"],
    ]


def test_a_formula_cannot_get_out_of_its_cell_in_csv() -> None:
    file = made(Form.csv, [('x",=HYPERLINK("http://evil")', "=1", 1)])
    [_, row] = csv.reader(io.StringIO(file.decode("utf-8-sig"), newline=""))
    assert row == ['x",=HYPERLINK("http://evil")', "'=1", "1"]


def cells(file: bytes, sheet: int = 1) -> list[dict[str, str]]:
    """The rows of a sheet, as attributes and texts of their cells."""
    with ZipFile(io.BytesIO(file)) as archive:
        root = ElementTree.fromstring(archive.read(f"xl/worksheets/sheet{sheet}.xml"))
    space = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
    return [
        {
            cell.get("r", ""): "".join(cell.itertext())
            + ("!" if cell.find(f"{space}f") is not None else "")
            for cell in row
        }
        for row in root.iter(f"{space}row")
    ]


def test_a_spreadsheet_has_values_and_never_formulas() -> None:
    file = made(Form.xlsx, [("=1+1", MOMENT, Decimal("-1.50")), ("https://x.example", True, None)])
    header, first, second = cells(file)
    assert header == {"A1": "名字", "B1": "By", "C1": "=Points"}
    # 2 March 2026, half past midnight in Shanghai, as spreadsheets count days.
    assert first["A2"] == "'=1+1"
    assert float(first["B2"]) == pytest.approx(46083 + 0.5 / 24)
    assert float(first["C2"]) == -1.5
    assert second == {"A3": "https://x.example", "B3": "1"}


def test_a_number_too_long_for_a_spreadsheet_is_not_rounded() -> None:
    _, row = cells(made(Form.xlsx, [("a", None, 2**60 + 1)]))
    assert row["C2"] == str(2**60 + 1)


def test_more_rows_than_a_sheet_holds_go_on_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "ROWS_A_SHEET", 2)
    file = made(Form.xlsx, [(f"row {n}", None, n) for n in range(3)])
    assert [row.get("A2") for row in cells(file)[1:2]] == ["row 0"]
    assert cells(file, 2) == [
        {"A1": "名字", "B1": "By", "C1": "=Points"},
        {"A2": "row 2", "C2": "2"},
    ]


def test_a_graph_is_well_formed_whatever_names_are_in_it() -> None:
    file = made(Form.graphml, [("a", "", 1)], [('b<&"\x01', "a", -2)])
    root = ElementTree.fromstring(file)
    space = "{http://graphml.graphdrawing.org/xmlns}"
    nodes = [node.get("id") for node in root.iter(f"{space}node")]
    edges = [(edge.get("source"), edge.get("target")) for edge in root.iter(f"{space}edge")]
    assert (nodes, edges) == (["a", 'b<&"'], [("a", 'b<&"')])
    assert [data.text for data in root.iter(f"{space}data")] == ["1", "-2", "-2"]


def test_a_list_that_is_no_graph_has_no_graphml() -> None:
    with pytest.raises(ValueError, match="no graph"):
        writing.GraphmlWriter(Kind("x", "X", (), nothing, lambda tx, wanted: None), SHANGHAI)
