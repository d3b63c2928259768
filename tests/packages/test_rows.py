"""The list: the same as written one by one, in pieces that stay small."""

import csv
import io

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from referral.codes import Label
from referral.packages.rows import CHUNK, HEADER, pieces
from tests.packages.conftest import BATCH, CODEC, SIZE, order, rows_of

ranges = st.tuples(st.integers(0, SIZE - 1), st.integers(1, 300)).map(
    lambda pair: (pair[0], min(SIZE, pair[0] + pair[1]))
)


def one_by_one(indexes: list[int], label: Label, address: str) -> bytes:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    for index in indexes:
        code = CODEC.encode(BATCH, index, label).text
        writer.writerow([index, code, address + code])
    return file.getvalue().encode()


@given(ranges, st.sampled_from(Label), st.sampled_from([None, "Printer"]))
def test_it_is_what_a_csv_writer_writes(
    asked: tuple[int, int], label: Label, supplier: str | None
) -> None:
    start, end = asked
    wanted = order(start=start, end=end, label=label, supplier=supplier)
    rows = rows_of(wanted, "PACKAGE")
    chunks = list(rows.chunks(start, end))
    indexes = [index for chunk in chunks for index in chunk.indexes.tolist()]
    left_out = set()
    if rows.fingerprint is not None:
        every = np.arange(start, end)
        left_out = set(every[rows.fingerprint.left_out(every)].tolist())
    assert indexes == [index for index in range(start, end) if index not in left_out]
    written = b"".join(chunk.lines for chunk in chunks)
    assert written == one_by_one(indexes, label, wanted.address)


def test_lines_of_every_length_follow_one_another() -> None:
    rows = rows_of(order(end=12_000), "PACKAGE")
    written = b"".join(chunk.lines for chunk in rows.chunks(0, 12_000))
    assert written == one_by_one(list(range(12_000)), Label.inner, rows.order.address)
    assert HEADER == b"index,code,url\n"


@given(st.integers(0, 10**10), st.integers(0, 10**5))
def test_pieces_are_small_and_of_one_width(start: int, count: int) -> None:
    found = list(pieces(start, start + count))
    at = start
    for low, high in found:
        assert low == at
        assert 0 < high - low <= CHUNK
        assert len(str(low)) == len(str(high - 1))
        at = high
    assert at == start + count


def test_no_more_than_one_piece_is_held_whatever_the_range() -> None:
    """Memory is flat because the largest piece is: a hundred times the range, the same piece."""
    largest = {}
    for end in (CHUNK, SIZE):
        rows = rows_of(order(end=end), "PACKAGE")
        chunks = rows.chunks(0, end)
        assert iter(chunks) is chunks, "made one after another, not all at once"
        largest[end] = max(len(chunk.codes) for chunk in chunks)
    assert max(largest.values()) <= CHUNK
