"""Files of labels: a label for each code of a run."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from referral.batches import Entry, LostBatchKey
from referral.codes import CodeCodec
from referral.printing.labels import Grid, Layout, Run, Shape
from referral.printing.qr import printed_address, version_of


@dataclass(frozen=True)
class Printed:
    """A file of labels, and what is in it."""

    pdf: bytes
    count: int
    pages: int
    version: int
    shape: Shape


def print_labels(
    run: Run,
    codec: CodeCodec,
    base_url: str,
    made_at: datetime,
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> Printed:
    """The labels of a run as PDF; the same bytes for the same arguments.

    `tell` is called with how many labels are done, and of how many. Raises `LabelTooLarge`,
    `LostBatchKey`.
    """
    from referral.printing.label_pdf import LabelPDF  # fpdf takes a second to load

    batch, terms = run.batch, run.terms
    try:
        codes = codec.encode_many(batch, run.start, run.end, run.label)
    except KeyError:
        raise LostBatchKey() from None
    texts = np.char.decode(codes, "ascii").tolist()
    version = version_of(_address(base_url, batch, texts[0]), terms.level)
    shape = run.shape(version)
    grid = Grid.of(shape) if terms.layout is Layout.a4 else None
    pdf = LabelPDF(run, shape, version, grid, made_at)
    for number, code in enumerate(texts):
        pdf.add(run.start + number, code, _address(base_url, batch, code))
        tell(number + 1, run.count)
    return Printed(bytes(pdf.output()), run.count, pdf.page, version, shape)


def _address(base_url: str, batch: Entry, code: str) -> str:
    return printed_address(base_url, batch.scheme, batch.gtin, code)
