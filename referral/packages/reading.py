"""Reading a list of codes against what it has to hold, and saying where it differs."""

import numpy as np

from referral.codes import LENGTH, MistypedCode, normalise
from referral.errors import N_, InvalidInput
from referral.packages.rows import HEADER, Chunk, Rows, Tally, Tell

INDEX_DIGITS_MAX = 20
"""No batch has an index as long; Python reads no number of thousands of digits."""


class PackageDamaged(InvalidInput):
    slug = "package-damaged"
    title = N_("This package is not as it was written.")
    advice = N_("Do not print from it. Export the range again.")


class Reader:
    """Takes a list in pieces of any size, as a file does. Raises `PackageDamaged`."""

    def __init__(
        self, rows: Rows, name: str, start: int, end: int, whole: Tally, tell: Tell
    ) -> None:
        self.inside = Tally()
        self._rows = rows
        self._name = name
        self._whole = whole
        self._tell = tell
        self._chunks = rows.chunks(start, end)
        self._rest = b""
        self._line = 1
        self._expected: Chunk | None = None
        self._heading_is_read = False

    def write(self, data: bytes) -> int:
        self._rest += data
        if not self._heading_is_read:
            if len(self._rest) < len(HEADER):
                return len(data)
            self._read_heading()
        while (chunk := self._next()) is not None and len(self._rest) >= len(chunk.lines):
            self._take(chunk)
        return len(data)

    def close(self) -> None:
        """Nothing comes any more."""
        if not self._heading_is_read:
            self._read_heading()
        if (chunk := self._next()) is not None:
            self._say_difference(chunk, self._rest)
        if self._rest:
            raise PackageDamaged(f"{self._name} goes on after its last code, in line {self._line}.")

    def _read_heading(self) -> None:
        if not self._rest.startswith(HEADER):
            raise PackageDamaged(f"{self._name} does not begin with the names of its columns.")
        self.inside.add(HEADER, 0)
        self._rest = self._rest[len(HEADER) :]
        self._heading_is_read = True
        self._line += 1

    def _next(self) -> Chunk | None:
        if self._expected is None:
            self._expected = next(self._chunks, None)
        return self._expected

    def _take(self, chunk: Chunk) -> None:
        size, count = len(chunk.lines), len(chunk.indexes)
        lines, self._rest = self._rest[:size], self._rest[size:]
        if lines != chunk.lines:
            self._say_difference(chunk, lines + self._rest)
        # Back from the codes as well: what makes them is not to be its own witness.
        if not np.array_equal(self._places(chunk.codes), chunk.indexes):
            raise PackageDamaged(f"{self._name} has codes that are not genuine.")
        for tally in (self.inside, self._whole):
            tally.add(lines, count)
        order = self._rows.order
        self._tell(chunk.end - order.start, order.end - order.start)
        self._line += count
        self._expected = None

    def _places(self, codes: "np.typing.NDArray[np.bytes_]") -> "np.typing.NDArray[np.int64]":
        rows = self._rows
        return rows.codec.indexes_in(codes, rows.batch, rows.order.label)

    def _say_difference(self, chunk: Chunk, found: bytes) -> None:
        """Raise for the first line that is another one than expected."""
        expected = chunk.lines.splitlines()
        lines = found.split(b"\n")
        for at, (index, right) in enumerate(zip(chunk.indexes.tolist(), expected, strict=True)):
            # The last one has no end of line behind it.
            line = lines[at] if at < len(lines) - 1 else None
            if line == right:
                continue
            where = f"{self._name}, line {self._line + at}"
            if line is None:
                raise PackageDamaged(f"{self._name} ends before index {index}.")
            raise PackageDamaged(f"{where}: {self._difference(line, right, index)}")

    def _difference(self, line: bytes, right: bytes, index: int) -> str:
        cells, wanted = line.split(b","), right.split(b",")
        is_index = cells[0].isdigit() and len(cells[0]) <= INDEX_DIGITS_MAX
        if len(cells) != len(wanted) or not is_index:
            return f"this is no row of index, code and url, as it should be for index {index}."
        if int(cells[0]) != index:
            return f"index {index} should stand here, and index {int(cells[0])} does."
        if cells[1] == wanted[1]:
            return f"the address of index {index} is another one."
        place = self._place_of(cells[1])
        if place < 0:
            return f"the code of index {index} is not a genuine one of this batch and label."
        if place != index:
            return f"the code of index {place} stands at index {index}."
        return f"the code of index {index} is not written as it should be."

    def _place_of(self, cell: bytes) -> int:
        try:
            text = normalise(cell.decode("ascii", "replace"))
        except MistypedCode:
            return -1
        return int(self._places(np.array([text.encode()], dtype=f"S{LENGTH}"))[0])
