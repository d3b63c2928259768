"""Exporting: the files of a print package, written to a disk, with their checksums.

Each package is written by a process of its own, whose memory is then asked for. The time is the
clock's on the wall, so it has the disk in it.
"""

import json
import resource
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

from bench.measure import Row, on_one_core, print_table
from bench.stock import Stock, key_ring
from referral.codes import CodeCodec, Labels
from referral.packages import sealing, writer
from referral.packages.order import order_for
from referral.packages.rows import Rows

SIZES = (10**5, 10**6, 10**7)
OF_KINDS = 10**6
MARKED, SEALED = "with a fingerprint", "encrypted"
QUICK = {"SIZES": (10**3, 10**4), "OF_KINDS": 10**4}
GTIN = "06901234567892"
MILLIONS_ASKED = 1
TIMES_ASKED = 1.1
STATUS = Path("/proc/self/status")


@dataclass(frozen=True)
class Batch(Stock):
    name: str = "a batch"
    scheme: str = "https"


@dataclass(frozen=True)
class Written:
    seconds: float
    megabytes: float
    """The most memory the process had."""


def rows() -> Iterator[Row]:
    first: Written | None = None
    for size, kind in [*((size, "") for size in SIZES), (OF_KINDS, MARKED), (OF_KINDS, SEALED)]:
        written = measured(size, kind)
        first = first or written
        yield Row(
            f"export: {size:,} codes{', ' * bool(kind)}{kind}",
            f"{size / written.seconds * 60 / 1e6:.0f} million/min",
            "",
            f"{MILLIONS_ASKED} million/min",
        )
        yield Row(
            f"export: {size:,} codes{', ' * bool(kind)}{kind}, memory",
            f"{written.megabytes:.0f} MB",
            f"{written.megabytes / first.megabytes:.2f} x with {SIZES[0]:,}",
            f"{TIMES_ASKED} x" if not kind else "",
        )


def measured(size: int, kind: str) -> Written:
    """Write a package in another process."""
    with TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "bench.export", str(size), kind, folder]
        answer = subprocess.run(command, capture_output=True, text=True, check=True)
    return Written(**json.loads(answer.stdout))


def write(size: int, kind: str, folder: Path) -> Written:
    keys = key_ring(1)
    batch = Batch(1, 0, size, keys.newest, Labels.single)
    recipients: tuple[str, ...] = ()
    if kind == SEALED:
        recipients = (str(sealing.x25519.Identity.generate().to_public()),)
    supplier = "a printer" if kind == MARKED else None
    order = order_for(
        batch, GTIN, keys, "https://qr.brand.cn", supplier=supplier, recipients=recipients
    )
    now = datetime.now(UTC)
    begun = perf_counter()
    with writer.begun(folder / "package", order, keys, batch.key_id, now=now) as draft:
        fingerprint = order.fingerprint(keys, batch.key_id, draft.id)
        codes = Rows(CodeCodec(keys), batch, order, fingerprint)
        draft.finish(draft.write(codes, lambda done, total: None, passphrase=None, now=now))
    seconds = perf_counter() - begun
    return Written(seconds, _most_megabytes())


def _most_megabytes() -> float:
    """The most memory this process had.

    Linux carries what `getrusage` says over from the process that started this one, so it is
    asked for the process's own there.
    """
    if STATUS.exists():
        [line] = [line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM:")]
        return int(line.split()[1]) / 2**10
    bytes_each = 1 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * bytes_each / 2**20


def main(arguments: list[str]) -> None:
    if not arguments:
        on_one_core()
        print_table(rows())
        return
    size, kind, folder = arguments
    written = write(int(size), kind, Path(folder))
    print(json.dumps({"seconds": written.seconds, "megabytes": written.megabytes}))


if __name__ == "__main__":
    main(sys.argv[1:])
