"""Labels for small runs, as PDF: how many fit on a sheet, and where everything on one is.

Measures are in millimetres unless a name says points. What a package must not tell anybody, its
index, is printed beside the label, where it is cut off.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from referral.batches import Entry, NoSuchLabel
from referral.codes import Label, Labels, carries
from referral.errors import N_, InvalidInput
from referral.printing.qr import QR_BORDER, Level
from referral.printing.typeface import font_of, lines_of, settable
from referral.ranges import BadRange

LABELS_MAX = 10_000
"""In one file. A larger run goes to a printer as a package of codes."""
MODULE_MIN = 0.396
"""The smallest module of a QR code on a package, by GS1's General Specifications."""
MODULE_MAX = 5.0
BLEED_MAX = 10.0
MARK_LENGTH_MAX = 60

A4 = (210.0, 297.0)
SHEET_MARGIN, SHEET_FOOT = 10.0, 18.0
"""What desktop printers leave white at the edges, and the room for the line at the foot."""
GAP = 3.0
"""Between two labels of a sheet."""
INSET = 1.0
"""How far a cut may be off before it touches the quiet zone or a text."""
CROP_MARK, CROP_MARK_GAP = 4.0, 1.0
PAIR_MARK = 1.2
"""The dot that tells the labels of a pair apart: full on the one that claims."""

POINT = 25.4 / 72
LINE_HEIGHT = 1.25
TEXT_POINTS_MAX = 9.0
ONE_LINE_POINTS_MIN = 6.0
_HALF_CODE_EMS, _CODE_EMS = 7.2, 15.4
"""The widest code there can be, as two lines and as one: it is all M and W."""
_NAME_LINES_MAX = 2
_NAME_SHRUNK = 0.8
_EM_PIXELS = 100


class Layout(StrEnum):
    a4 = "a4"
    single = "single"


class ModuleTooSmall(InvalidInput):
    slug = "module-too-small"
    title = N_("Phones cannot be relied on to read modules this small.")
    advice = N_("GS1's smallest is 0.396 mm.")


class LabelTooLarge(InvalidInput):
    slug = "label-too-large"
    title = N_("A label this large does not fit on its page.")
    advice = N_("Choose smaller modules, up to 5 mm on single labels, and at most 10 mm of bleed.")


class TooManyLabels(InvalidInput):
    slug = "too-many-labels"
    title = N_("That is too many labels for one file.")
    advice = N_("Choose a smaller range, or export the codes for a printer.")


@dataclass(frozen=True)
class LabelTerms:
    """How labels are printed. Raises `ModuleTooSmall`, `LabelTooLarge`.

    `bleed` is for single labels: with it, the page has room around the label for crop marks.
    """

    layout: Layout = Layout.a4
    module: float = MODULE_MIN
    level: Level = "M"
    bleed: float = 0.0

    def __post_init__(self) -> None:
        if not self.module >= MODULE_MIN:
            raise ModuleTooSmall(module_min=MODULE_MIN)
        if self.module > MODULE_MAX or not 0 <= self.bleed <= BLEED_MAX:
            raise LabelTooLarge(module_max=MODULE_MAX, bleed_max=BLEED_MAX)

    @property
    def slug(self) -> float:
        """What a single label's page has on each side for bleed and crop marks, 0 without bleed."""
        return self.bleed + CROP_MARK_GAP + CROP_MARK if self.bleed else 0.0


@dataclass(frozen=True)
class Shape:
    """One label, from its top left corner: the name, the QR code in its quiet zone, the code."""

    name: tuple[str, ...]
    name_points: float
    code_lines: int
    code_points: float
    qr_side: float
    """With the quiet zone."""
    head: float
    """How far down the quiet zone begins."""

    @property
    def width(self) -> float:
        return self.qr_side + 2 * INSET

    @property
    def height(self) -> float:
        return self.head + self.qr_side + self.code_lines * line(self.code_points) + INSET


@dataclass(frozen=True)
class Grid:
    """A sheet of labels. Raises `LabelTooLarge`."""

    shape: Shape
    columns: int
    rows: int

    fits: ClassVar[tuple[float, float]] = (
        A4[0] - 2 * SHEET_MARGIN,
        A4[1] - SHEET_MARGIN - SHEET_FOOT,
    )

    @classmethod
    def of(cls, shape: Shape) -> "Grid":
        columns = int((cls.fits[0] + GAP) // (shape.width + GAP))
        rows = int((cls.fits[1] + GAP) // (shape.height + GAP))
        if not columns or not rows:
            raise LabelTooLarge()
        return cls(shape, columns, rows)

    @property
    def per_sheet(self) -> int:
        return self.columns * self.rows

    @property
    def left(self) -> float:
        """The grid is in the middle of the sheet."""
        return (A4[0] - self.columns * (self.shape.width + GAP) + GAP) / 2

    def corner(self, place: int) -> tuple[float, float]:
        """Where the label at a place of the sheet has its top left corner."""
        row, column = divmod(place, self.columns)
        return (
            self.left + column * (self.shape.width + GAP),
            SHEET_MARGIN + row * (self.shape.height + GAP),
        )


@dataclass(frozen=True)
class Run:
    """Which labels to print. Raises `BadRange`, `TooManyLabels`, `NoSuchLabel`.

    `mark` names whom a file is for; it stands on every sheet.
    """

    batch: Entry
    start: int
    end: int
    label: Label = Label.inner
    terms: LabelTerms = LabelTerms()
    mark: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.end <= self.batch.size:
            raise BadRange(size=self.batch.size)
        if self.count > LABELS_MAX:
            raise TooManyLabels(labels_max=LABELS_MAX)
        if not carries(self.batch.labels, self.label):
            raise NoSuchLabel()

    @property
    def count(self) -> int:
        return self.end - self.start

    @property
    def is_pair(self) -> bool:
        return self.batch.labels == Labels.pair

    def shape(self, version: int) -> Shape:
        return shape_of(
            settable(self.batch.product_name), 17 + 4 * version, self.terms.module, self.is_pair
        )


def shape_of(name: str, modules: int, module: float, is_pair: bool = False) -> Shape:
    """A label for a QR code of so many modules a side, each of `module` millimetres."""
    side = (modules + 2 * QR_BORDER) * module
    room = side / POINT
    one_line = room / _CODE_EMS >= ONE_LINE_POINTS_MIN
    code_points = min(TEXT_POINTS_MAX, room / (_CODE_EMS if one_line else _HALF_CODE_EMS))
    name_room = room - (4 * PAIR_MARK / POINT if is_pair else 0)
    name_points = min(TEXT_POINTS_MAX, room / _HALF_CODE_EMS)
    lines = _broken(name, name_room / name_points)
    if len(lines) > _NAME_LINES_MAX:
        name_points *= _NAME_SHRUNK
        lines = _broken(name, name_room / name_points)
    if len(lines) > _NAME_LINES_MAX:
        last = lines[_NAME_LINES_MAX - 1]
        while len(_broken(f"{last}…", name_room / name_points)) > 1:
            last = last[:-1].rstrip()
        lines = [*lines[: _NAME_LINES_MAX - 1], f"{last}…"]
    shown = max(len(lines), 1 if is_pair else 0)  # the dot of a pair needs a line of its own
    return Shape(
        name=tuple(lines),
        name_points=name_points,
        code_lines=1 if one_line else 2,
        code_points=code_points,
        qr_side=side,
        head=INSET + shown * line(name_points),
    )


def line(points: float) -> float:
    """How high a line of text is."""
    return points * LINE_HEIGHT * POINT


def _broken(text: str, ems: float) -> list[str]:
    return lines_of(text, font_of(_EM_PIXELS), ems * _EM_PIXELS)
