"""Labels: rendered as a printer would, read back by two readers, and measured."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest

from referral.batches import Entry, LostBatchKey, NoSuchLabel
from referral.codes import CodeCodec, Label, grouped
from referral.crypto import KeyRing
from referral.errors import Problem
from referral.printing import label_files, labels
from referral.printing.label_files import Printed
from referral.printing.label_pdf import LabelPDF
from referral.printing.labels import Grid, LabelTerms, Layout, Run
from referral.printing.qr import LEVELS, Level, printed_address
from referral.ranges import BadRange
from tests.scanners import scan
from tests.sheets import Box, page_names, pages

BASE_URL, GTIN = "https://brand.co.uk", "06901234567892"
KEYS = KeyRing(["a-key-for-the-tests-only"])
CODEC = CodeCodec(KEYS)
MADE_AT = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
NAME = "冷萃茶 Cold Brew"
SHARP = 24
"""Dots a millimetre where something is measured."""


def batch_of(**changes: Any) -> Entry:
    terms = {
        "id": 12,
        "product_id": 1,
        "gtin": GTIN,
        "product_name": NAME,
        "price": 2000,
        "currency": "CNY",
        "first_index": 70_000,
        "size": 20_000,
        "key_id": KEYS.key_ids[-1],
        "labels": "single",
        "scheme": "https",
    }
    return Entry(**{**terms, **changes})


BATCH = batch_of()
PAIR = batch_of(labels="pair")


def made(
    start: int, end: int, *, batch: Entry = BATCH, label: Label = Label.inner, **terms: Any
) -> Printed:
    mark = terms.pop("mark", "")
    run = Run(batch, start, end, label, LabelTerms(**terms), mark)
    return label_files.print_labels(run, CODEC, BASE_URL, MADE_AT)


def printed(index: int, batch: Entry = BATCH, label: Label = Label.inner) -> str:
    code = CODEC.encode(batch, index, label).text
    return printed_address(BASE_URL, batch.scheme, GTIN, code)


def box_at(grid: Grid, place: int) -> Box:
    left, top = grid.corner(place)
    return left, top, left + grid.shape.width, top + grid.shape.height


@pytest.mark.parametrize("level", LEVELS)
def test_every_code_of_a_sheet_is_read_back_where_it_belongs(level: Level) -> None:
    batch = batch_of(scheme="HTTPS") if level == "Q" else BATCH
    file = made(100, 210, batch=batch, level=level)
    grid = Grid.of(file.shape)
    assert (file.count, file.version) == (110, {"M": 3, "Q": 4}[level])
    assert file.pages == -(-110 // grid.per_sheet) == 2
    with pages(file.pdf) as sheets:
        for number in range(110):
            sheet, place = divmod(number, grid.per_sheet)
            part = sheets[sheet].part(box_at(grid, place))
            assert scan(part) == {printed(100 + number, batch)}
            words = sheets[sheet].text(box_at(grid, place))
            assert grouped(printed(100 + number, batch)[-16:]) in words.replace(" ", "-")


@pytest.mark.parametrize("label", Label)
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("bleed", [0, 3])
def test_every_single_label_is_read_back(label: Label, level: Level, bleed: float) -> None:
    terms = {"layout": Layout.single, "level": level, "bleed": bleed}
    file = made(7, 12, batch=PAIR, label=label, **terms)
    assert (file.count, file.pages) == (5, 5)
    assert page_names(file.pdf) == [f"12/{index}" for index in range(7, 12)]
    with pages(file.pdf) as found:
        for index, page in enumerate(found, start=7):
            assert scan(page.picture) == {printed(index, PAIR, label)}


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("module", [0.396, 0.5, 1.0])
def test_a_module_has_its_size_and_the_code_its_quiet_zone(module: float, level: Level) -> None:
    file = made(0, 1, layout=Layout.single, module=module, level=level)
    shape, count = file.shape, 17 + 4 * file.version
    assert shape.qr_side == pytest.approx((count + 8) * module)
    with pages(file.pdf, dots=SHARP) as (page,):
        assert page.width == pytest.approx(shape.width, abs=0.01)
        assert page.height == pytest.approx(shape.height, abs=0.01)
        zone = (0.0, shape.head, shape.width, shape.head + shape.qr_side)
        ink = page.ink(zone)
        quiet = 4 * module
        assert ink == pytest.approx(
            (
                labels.INSET + quiet,
                shape.head + quiet,
                shape.width - labels.INSET - quiet,
                shape.head + shape.qr_side - quiet,
            ),
            abs=1.5 / SHARP,
        )
        left, top, *_ = ink
        finder = np.asarray(page.part((left, top, left + 7 * module, top + module * 0.8))) < 128
        assert finder.mean() > 0.95, "seven modules without a seam"
        ring = page.part((left + module * 1.3, top + 1.3 * module, left + module * 5.7, top + 1.7))
        assert np.asarray(ring).max() > 250


def test_a_single_label_says_where_it_is_cut() -> None:
    file = made(5, 6, layout=Layout.single, bleed=3)
    shape = file.shape
    slug = 3 + labels.CROP_MARK_GAP + labels.CROP_MARK
    with pages(file.pdf, dots=SHARP) as (page,):
        trim = page.box("trim")
        assert trim == pytest.approx(
            (slug, slug, slug + shape.width, slug + shape.height), abs=0.01
        )
        left, top, right, bottom = trim
        bleed = page.box("bleed")
        assert bleed == pytest.approx((left - 3, top - 3, right + 3, bottom + 3), abs=0.01)
        assert page.box("media") == pytest.approx((0, 0, page.width, page.height), abs=0.01)
        inside = page.ink(bleed)
        assert inside is not None
        assert inside[0] > left + labels.INSET
        assert inside[2] < right - labels.INSET
        assert inside[1] > top + labels.INSET / 2
        assert inside[3] < bottom - labels.INSET / 2
        for x in (left, right):
            upper = page.ink((x - 0.5, 0, x + 0.5, bleed[1]))
            assert upper == pytest.approx((x - 0.05, 0, x + 0.05, labels.CROP_MARK), abs=0.1)
            lower = page.ink((x - 0.5, bleed[3], x + 0.5, page.height))
            assert lower is not None
        for y in (top, bottom):
            for mark in ((0, y - 0.5, bleed[0], y + 0.5), (bleed[2], y - 0.5, page.width, y + 0.5)):
                assert page.ink(mark) is not None


def test_a_single_label_without_bleed_is_the_whole_page() -> None:
    with pages(made(5, 6, layout=Layout.single).pdf) as (page,):
        assert page.box("trim") == page.box("bleed") == page.box("media")


def test_the_index_is_never_on_the_label() -> None:
    """It would tell whoever holds a few packages how many are made."""
    file = made(4321, 4322)
    grid = Grid.of(file.shape)
    with pages(file.pdf) as (sheet,):
        left, top, right, bottom = box_at(grid, 0)
        assert "4321" not in sheet.text((left, top, right, bottom))
        assert sheet.text((left, bottom, right, bottom + labels.GAP)) == "4321"
    with pages(made(4321, 4322, batch=PAIR, layout=Layout.single, bleed=2).pdf) as (page,):
        assert "4321" not in page.text(page.box("trim"))
        assert page.text((0, page.box("bleed")[3], page.width, page.height)) == "12/4321 inner"
    with pages(made(4321, 4322, layout=Layout.single).pdf) as (page,):
        assert "4321" not in page.text()


def test_texts_can_be_copied_and_the_typeface_is_embedded_as_far_as_it_is_used() -> None:
    file = made(0, 3, mark="for Sunrise Print / 旭日印刷")
    with pages(file.pdf) as (sheet,):
        words = sheet.text()
        assert sheet.images() == 0
    assert words.count("冷萃茶 Cold") == 4
    assert "for Sunrise Print / 旭日印刷" in words
    assert f"12: 0–2 · {GTIN}" in words.replace("・", "·")
    assert "QR 3-M 0.396 mm" in words
    assert "2026-03-02" in words
    assert "1/1" in words
    assert b"/FontFile3" in file.pdf
    assert b"/Type1" not in file.pdf, "a typeface that is not embedded"
    assert len(file.pdf) < 60_000


def test_printers_are_told_not_to_scale() -> None:
    file = made(0, 1)
    assert b"/PrintScaling /None" in file.pdf
    with pages(file.pdf, dots=SHARP) as (sheet,):
        foot = (0.0, sheet.height - labels.SHEET_FOOT / 2 + 0.5, 61.0, sheet.height - 4)
        ruler = sheet.ink(foot)
        assert ruler is not None
        assert ruler[2] - ruler[0] == pytest.approx(50.1, abs=0.2)


def test_the_same_input_gives_the_same_bytes() -> None:
    first = made(0, 30, batch=PAIR, level="Q", mark="x")
    assert first.pdf == made(0, 30, batch=PAIR, level="Q", mark="x").pdf
    assert first.pdf != made(0, 30, batch=PAIR, level="Q", mark="y").pdf
    run = Run(BATCH, 0, 1)
    east = MADE_AT.astimezone(timezone(timedelta(hours=8)))
    assert label_files.print_labels(run, CODEC, BASE_URL, east).pdf != made(0, 1).pdf
    assert b"20260302173000+08'00'" in label_files.print_labels(run, CODEC, BASE_URL, east).pdf


def test_progress_is_told_to_the_end() -> None:
    told: list[tuple[int, int]] = []
    run = Run(BATCH, 3, 8)
    label_files.print_labels(
        run, CODEC, BASE_URL, MADE_AT, lambda done, total: told.append((done, total))
    )
    assert told == [(1, 5), (2, 5), (3, 5), (4, 5), (5, 5)]


NAMES = {
    "none": "",
    "emoji": "🍵",
    "a word": "Tea",
    "Chinese": "桂花乌龙冷萃茶（无糖）五百毫升经典装",
    "long": "Cold Brew Oolong Tea with Osmanthus, sugar-free, 500 ml " * 2,
    "a long word": "W" * 120,
    "very long Chinese": "名" * 120,
    "brackets": "(Tea) \\ [500] %s <b>",
}


@pytest.mark.parametrize("pair", [False, True])
@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
@pytest.mark.parametrize("module", [labels.MODULE_MIN, 0.7, 1.5])
def test_any_name_and_the_widest_code_stay_on_the_label(
    name: str, pair: bool, module: float
) -> None:
    batch = batch_of(product_name=name, labels="pair" if pair else "single")
    run = Run(batch, 0, 1, terms=LabelTerms(Layout.single, module, bleed=2))
    shape = run.shape(3)
    pdf = LabelPDF(run, shape, 3, None, MADE_AT)
    pdf.add(0, "MWMWMWMWMWMWMWMW", printed(0))
    with pages(bytes(pdf.output())) as (page,):
        left, top, right, bottom = page.box("trim")
        ink = page.ink(page.box("bleed"))
        assert ink is not None
        assert ink[0] >= left + labels.INSET - 0.1
        assert ink[2] <= right - labels.INSET + 0.1
        assert ink[1] >= top + labels.INSET / 2
        assert ink[3] <= bottom - labels.INSET / 2
        assert scan(page.picture) == {printed(0)}
        zone_top = top + shape.head
        zone = (left, zone_top, right, zone_top + shape.qr_side)
        assert page.ink(zone) == pytest.approx(
            (
                left + labels.INSET + 4 * module,
                zone_top + 4 * module,
                right - labels.INSET - 4 * module,
                zone_top + shape.qr_side - 4 * module,
            ),
            abs=0.15,
        ), "nothing else is in the quiet zone"


def test_the_labels_of_a_pair_are_told_apart_by_a_dot() -> None:
    shares = {}
    for label in Label:
        file = made(0, 1, batch=PAIR, label=label, layout=Layout.single)
        right = file.shape.width - labels.INSET
        dot = (right - labels.PAIR_MARK, labels.INSET, right, labels.INSET + labels.PAIR_MARK)
        with pages(file.pdf, dots=SHARP) as (page,):
            shares[label] = (np.asarray(page.part(dot)) < 128).mean()
    assert shares[Label.inner] > 0.6
    assert 0.05 < shares[Label.outer] < 0.4
    alone = made(0, 1, layout=Layout.single)
    with pages(alone.pdf) as (page,):
        right = alone.shape.width - labels.INSET
        assert page.ink((right - 0.8, 0, right, labels.INSET + labels.PAIR_MARK)) is None


def test_a_sheet_is_filled_and_keeps_off_its_edges() -> None:
    file = made(0, 81)
    grid = Grid.of(file.shape)
    assert (grid.columns, grid.rows, file.pages) == (9, 9, 1)
    with pages(file.pdf) as (sheet,):
        assert (sheet.width, sheet.height) == pytest.approx((210, 297), abs=0.01)
        left, top, right, bottom = sheet.ink() or (0, 0, 0, 0)
        assert min(left, top, 210 - right, 297 - bottom) > 4.5
        _, _, _, last = box_at(grid, 80)
        foot = sheet.ink((0, last + labels.CROP_MARK_GAP + labels.CROP_MARK + 0.5, 210, 297))
        assert foot is not None
        assert foot[1] > last + 6, "the line at the foot is clear of the cuts"
        for place in range(9):
            x, _, x_end, _ = box_at(grid, place)
            for edge in (x, x_end):
                cut = sheet.ink((edge - 0.3, 0, edge + 0.3, 9.5))
                assert cut == pytest.approx((edge, 5, edge, 9), abs=0.15)


@pytest.mark.parametrize(
    "refused, wrong",
    [
        (labels.ModuleTooSmall, {"module": 0.3959}),
        (labels.ModuleTooSmall, {"module": float("nan")}),
        (labels.ModuleTooSmall, {"module": -1}),
        (labels.LabelTooLarge, {"module": float("inf")}),
        (labels.LabelTooLarge, {"module": 5.1}),
        (labels.LabelTooLarge, {"module": 5, "level": "Q"}),
        (labels.LabelTooLarge, {"bleed": 10.5}),
        (labels.LabelTooLarge, {"bleed": -1}),
        (labels.LabelTooLarge, {"bleed": float("nan")}),
        (NoSuchLabel, {"label": Label.outer}),
        (BadRange, {"start": 3, "end": 3}),
        (BadRange, {"start": -1, "end": 3}),
        (BadRange, {"start": 19_999, "end": 20_001}),
        (labels.TooManyLabels, {"end": labels.LABELS_MAX + 1}),
        (LostBatchKey, {"batch": batch_of(key_id="00000000")}),
    ],
)
def test_what_cannot_be_printed_is_refused(refused: type[Problem], wrong: dict[str, Any]) -> None:
    asked: dict[str, Any] = {"start": 0, "end": 1, **wrong}
    with pytest.raises(refused):
        made(asked.pop("start"), asked.pop("end"), **asked)


def test_the_largest_file_and_the_largest_label_are_possible() -> None:
    assert Run(BATCH, 0, labels.LABELS_MAX).count == 10_000
    assert made(0, 2, module=5.0).pages == 2
    assert made(0, 1, module=5.0, level="Q", layout=Layout.single, bleed=10).pages == 1
