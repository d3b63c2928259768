"""PDFs as a printer would see them: pages as pictures, in millimetres."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pypdfium2 as pdfium
from PIL import Image

POINT = 25.4 / 72
Box = tuple[float, float, float, float]
"""Left, top, right and bottom in mm, from the top left corner."""


class Page:
    def __init__(self, page: pdfium.PdfPage, dots: float) -> None:
        self._page = page
        self.dots = dots
        """How many a millimetre."""
        self.width, self.height = (measure * POINT for measure in page.get_size())
        self.picture: Image.Image = page.render(scale=dots * POINT).to_pil().convert("L")

    def part(self, box: Box) -> Image.Image:
        left, top, right, bottom = (round(measure * self.dots) for measure in box)
        return self.picture.crop((left, top, right, bottom))

    def ink(self, box: Box | None = None) -> Box | None:
        """Where in a part of the page something is printed; None where nothing is."""
        left, top, right, bottom = box or (0, 0, self.width, self.height)
        dark = np.argwhere(np.asarray(self.part((left, top, right, bottom))) < 128)
        if not len(dark):
            return None
        (y, x), (y_end, x_end) = dark.min(axis=0), dark.max(axis=0) + 1
        at = self.dots
        return left + x / at, top + y / at, left + x_end / at, top + y_end / at

    def text(self, box: Box | None = None) -> str:
        """What can be copied from the page, in one line."""
        left, top, right, bottom = box or (0, 0, self.width, self.height)
        words = self._page.get_textpage().get_text_bounded(
            left / POINT, (self.height - bottom) / POINT, right / POINT, (self.height - top) / POINT
        )
        return " ".join(words.split())

    def box(self, name: str) -> Box:
        """The media, trim or bleed box."""
        left, bottom, right, top = (
            measure * POINT for measure in getattr(self._page, f"get_{name}box")(fallback_ok=False)
        )
        return left, self.height - top, right, self.height - bottom

    def images(self) -> int:
        return len(list(self._page.get_objects(filter=[pdfium.raw.FPDF_PAGEOBJ_IMAGE])))


@contextmanager
def pages(pdf: bytes, *, dots: float = 12) -> Iterator[list[Page]]:
    document = pdfium.PdfDocument(pdf)
    try:
        yield [Page(page, dots) for page in document]
    finally:
        document.close()


def page_names(pdf: bytes) -> list[str]:
    """What a viewer calls the pages."""
    document = pdfium.PdfDocument(pdf)
    try:
        return [document.get_page_label(number) for number in range(len(document))]
    finally:
        document.close()
