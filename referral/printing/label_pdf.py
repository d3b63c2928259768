"""How labels are drawn: black as vectors, one typeface embedded as far as it is used."""

from datetime import datetime

from fpdf import FPDF
from fpdf.output import PDFPage
from fpdf.prefs import ViewerPreferences

from referral.codes import Label, grouped
from referral.printing.labels import (
    A4,
    CROP_MARK,
    CROP_MARK_GAP,
    GAP,
    INSET,
    PAIR_MARK,
    POINT,
    SHEET_FOOT,
    SHEET_MARGIN,
    Grid,
    Run,
    Shape,
    line,
)
from referral.printing.qr import QR_BORDER, modules_of, runs_of
from referral.printing.typeface import settable, typeface_file

FACE = "sans"
HAIRLINE = 0.1
RULER = 50.0
"""A sheet carries a line this long, so that a printer that scales is found out with a ruler."""
INDEX_POINTS, FOOT_POINTS = 3.5, 6.0
NAME_SHOWN_MAX = 40
_BASELINE = 0.76
"""How far down its line a text stands: what hangs below stays inside the line."""


class PageWithBoxes(PDFPage):
    """A page that says where it is cut, and how far its ink may go beyond."""

    __slots__ = ("bleed_box", "trim_box")

    def __init__(self, page: PDFPage, slug: float, bleed: float) -> None:
        """`slug` and `bleed` are points around what remains when it is cut."""
        assert isinstance(page.contents, bytearray)
        super().__init__(None, None, page.contents, page.index())
        width, height = page.dimensions()
        self.set_dimensions(width, height)
        self.set_page_label(None, page.get_page_label())
        self.media_box = _box(0, width, height)  # said on each page: not every RIP inherits it
        self.trim_box = _box(slug, width, height)
        self.bleed_box = _box(slug - bleed, width, height)


def _box(inset: float, width: float, height: float) -> str:
    return f"[{inset:.4f} {inset:.4f} {width - inset:.4f} {height - inset:.4f}]"


class LabelPDF(FPDF):
    """Labels one after the other: on sheets when there is a grid, else on a page each."""

    def __init__(
        self, run: Run, shape: Shape, version: int, grid: Grid | None, made_at: datetime
    ) -> None:
        slug = 2 * run.terms.slug
        page = A4 if grid else (shape.width + slug, shape.height + slug)
        super().__init__(unit="mm", format=page)
        self._run, self._shape, self._grid = run, shape, grid
        self._version, self._made_at = version, made_at
        self.set_auto_page_break(False)
        self.set_margin(0)
        self.set_line_width(HAIRLINE)
        with typeface_file() as path:
            self.add_font(FACE, fname=path)
        self.set_creation_date(made_at)
        self.set_title(f"{run.batch.id}: {run.start}–{run.end - 1}")
        self.set_creator("referral")
        self.set_subject(run.mark)
        # A printer that makes the page fit makes the modules too small.
        self.viewer_preferences = ViewerPreferences(print_scaling="None")

    def add(self, index: int, code: str, address: str) -> None:
        """Draw the next label."""
        if self._grid is None:
            left, top = self._begin_page(index)
        else:
            left, top = self._place(index, self._grid)
        self._draw_name(left, top)
        self._draw_qr(left + INSET, top + self._shape.head, address)
        self._draw_code(left, top, code)

    # --- pages --------------------------------------------------------------------------------

    def _begin_page(self, index: int) -> tuple[float, float]:
        terms, batch = self._run.terms, self._run.batch
        self.add_page(label_prefix=f"{batch.id}/{index}")
        self._cut_page(terms.slug, terms.bleed)
        if terms.bleed:
            self._draw_crop_marks(terms.slug, terms.bleed)
            which = f" {self._run.label}" if self._run.is_pair else ""
            self._write_centred(
                f"{batch.id}/{index}{which}", INDEX_POINTS, self.w / 2, self.h - CROP_MARK / 2
            )
        return terms.slug, terms.slug

    def _place(self, index: int, grid: Grid) -> tuple[float, float]:
        number = index - self._run.start
        if number % grid.per_sheet == 0:
            self._begin_sheet(number, grid)
        left, top = grid.corner(number % grid.per_sheet)
        # In the gap: it would tell whoever holds a few packages how many there are.
        below = top + self._shape.height + GAP * 0.6
        self._write_centred(str(index), INDEX_POINTS, left + self._shape.width / 2, below)
        return left, top

    def _begin_sheet(self, number: int, grid: Grid) -> None:
        self.add_page()
        self._cut_page(0, 0)
        here = min(grid.per_sheet, self._run.count - number)
        self._draw_cuts(grid, (here + grid.columns - 1) // grid.columns)
        self._draw_foot(number, here, (self._run.count + grid.per_sheet - 1) // grid.per_sheet)

    def _cut_page(self, slug: float, bleed: float) -> None:
        page = self.pages[self.page]
        self.pages[self.page] = PageWithBoxes(page, slug / POINT, bleed / POINT)

    def _draw_cuts(self, grid: Grid, rows: int) -> None:
        """Where a guillotine cuts: beside the first and last label of each row and column."""
        right, bottom = grid.corner(grid.columns * rows - 1)
        after = right + self._shape.width + CROP_MARK_GAP
        below = bottom + self._shape.height + CROP_MARK_GAP
        before, above = grid.left - CROP_MARK_GAP, SHEET_MARGIN - CROP_MARK_GAP
        for column in range(grid.columns):
            left, _ = grid.corner(column)
            for x in (left, left + self._shape.width):
                self.line(x, above - CROP_MARK, x, above)
                self.line(x, below, x, below + CROP_MARK)
        for row in range(rows):
            _, top = grid.corner(row * grid.columns)
            for y in (top, top + self._shape.height):
                self.line(before - CROP_MARK, y, before, y)
                self.line(after, y, after + CROP_MARK, y)

    def _draw_foot(self, number: int, here: int, sheets: int) -> None:
        run, batch = self._run, self._run.batch
        first = run.start + number
        name = settable(batch.product_name)
        parts = [
            f"{batch.id}: {first}–{first + here - 1}",
            batch.gtin,
            name if len(name) <= NAME_SHOWN_MAX else f"{name[: NAME_SHOWN_MAX - 1]}…",
            run.label.value if run.is_pair else "",
            f"QR {self._version}-{run.terms.level} {run.terms.module:g} mm",
            f"{self._made_at:%Y-%m-%d}",
            settable(run.mark),
        ]
        y = A4[1] - SHEET_FOOT / 2
        self.set_font(FACE, size=FOOT_POINTS)
        self.text(SHEET_MARGIN, y, " · ".join(filter(None, parts)))
        page = f"{self.page}/{sheets}"
        self.text(A4[0] - SHEET_MARGIN - self.get_string_width(page), y, page)
        ruler = y + line(FOOT_POINTS)
        for x in (SHEET_MARGIN, SHEET_MARGIN + RULER):
            self.line(x, ruler - 1, x, ruler)
        self.line(SHEET_MARGIN, ruler, SHEET_MARGIN + RULER, ruler)
        self.text(SHEET_MARGIN + RULER + 1, ruler, f"{RULER:g} mm = 100 %")

    def _draw_crop_marks(self, slug: float, bleed: float) -> None:
        begin = slug - bleed - CROP_MARK_GAP
        for x, outer_x in ((slug, begin), (self.w - slug, self.w - begin)):
            for y, outer_y in ((slug, begin), (self.h - slug, self.h - begin)):
                away_x = CROP_MARK if outer_x > x else -CROP_MARK
                away_y = CROP_MARK if outer_y > y else -CROP_MARK
                self.line(outer_x, y, outer_x + away_x, y)
                self.line(x, outer_y, x, outer_y + away_y)

    # --- a label ------------------------------------------------------------------------------

    def _draw_name(self, left: float, top: float) -> None:
        shape = self._shape
        centre = left + shape.width / 2
        for number, words in enumerate(shape.name):
            baseline = top + INSET + (number + _BASELINE) * line(shape.name_points)
            self._write_centred(words, shape.name_points, centre, baseline)
        if self._run.is_pair:
            dot = PAIR_MARK - HAIRLINE
            style = "DF" if self._run.label is Label.inner else "D"
            x = left + shape.width - INSET - PAIR_MARK
            self.ellipse(x, top + INSET + HAIRLINE / 2, dot, dot, style=style)

    def _draw_qr(self, left: float, top: float, address: str) -> None:
        """One path in units of modules: no seams where rectangles meet, and no rounding."""
        modules = modules_of(address, self._run.terms.level)
        scale = self._run.terms.module / POINT
        x, y = left / POINT + QR_BORDER * scale, (self.h - top) / POINT - QR_BORDER * scale
        path = " ".join(f"{a} {b} {width} {height} re" for a, b, width, height in runs_of(modules))
        self._out(f"q {scale:.6f} 0 0 {-scale:.6f} {x:.4f} {y:.4f} cm {path} f Q")

    def _draw_code(self, left: float, top: float, code: str) -> None:
        shape = self._shape
        words = grouped(code)
        half = len(words) // 2
        lines = [words] if shape.code_lines == 1 else [words[:half], words[half + 1 :]]
        under = top + shape.head + shape.qr_side
        for number, text in enumerate(lines):
            baseline = under + (number + _BASELINE) * line(shape.code_points)
            self._write_centred(text, shape.code_points, left + shape.width / 2, baseline)

    def _write_centred(self, text: str, points: float, x: float, y: float) -> None:
        self.set_font(FACE, size=points)
        self.text(x - self.get_string_width(text) / 2, y, text)
