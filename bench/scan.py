"""A scan's cost, as the issued codes and batches grow: the scan page over Flask's test client.

Four brands, each with its own database and service, are scanned in turn. In each as many codes
are scanned as often, spread over all that were issued, so that only what was issued differs.
"""

import shutil
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from random import Random
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import structlog
from flask import Flask
from sqlalchemy import event

from bench.measure import Row, Work, in_turn, print_table, ratio
from referral import actions, create_app
from referral.codes import ALPHABET, LENGTH
from referral.config import Config
from referral.db import upgrade
from referral.deployment import Deployment, open_deployment
from referral.ranges import RangeState

SIZES = ((10**3, 1), (10**3, 10**3), (10**7, 1), (10**7, 10**3))
"""How many codes in how many batches."""
SCANNED = 50
UNKNOWN = 30
"""A round's. Few, for whoever tries a thousand in ten minutes is not answered any longer."""
GTIN = "06901234567892"
TIMES_ASKED = 1.2
QUICK = {"SIZES": ((10**3, 1), (10**3, 10)), "SCANNED": 5, "UNKNOWN": 5}
PHONE = {
    "User-Agent": "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko)"
    " Chrome/140.0 Mobile Safari/537.36"
}


@dataclass(frozen=True)
class Brand:
    name: str
    deployment: Deployment
    app: Flask
    codes: Sequence[str]

    def scan(self) -> int:
        return self._get(self.codes, 200)

    def guess(self) -> int:
        dice = Random()  # noqa: S311 - what is drawn here is no secret
        texts = ["".join(dice.choices(ALPHABET, k=LENGTH)) for _ in range(UNKNOWN)]
        return self._get(texts, 404)

    def statements(self, text: str, status: int) -> int:
        """How many SQL statements one request costs; the fewest of some, for the list of batches
        is looked at every other second whoever asks."""
        counts = []
        for _ in range(5):
            with counted(self.deployment) as seen:
                self._get([text], status)
            counts.append(len(seen))
        return min(counts)

    def _get(self, texts: Sequence[str], status: int) -> int:
        client = self.app.test_client(use_cookies=False)
        for text in texts:
            answer = client.get(f"/01/{GTIN}/21/{text}", headers=PHONE)
            if answer.status_code != status:
                raise RuntimeError(f"{text} was answered with {answer.status}")
        return len(texts)


def rows() -> Iterator[Row]:
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        brands = list(open_brands(Path(folder)))
        # The log of requests is written, as always, and not shown.
        structlog.configure(logger_factory=structlog.WriteLoggerFactory(StringIO()))
        for what, works in (
            ("genuine code", {brand.name: brand.scan for brand in brands}),
            ("unknown code", {brand.name: brand.guess for brand in brands}),
        ):
            yield from compare(what, works)
        last = brands[-1]
        for what, text, status in (
            ("genuine code", last.codes[SCANNED // 2], 200),
            ("genuine code with a slip", slip(last.codes[SCANNED // 2]), 404),
            ("random code", "0123456789ABCDEF", 404),
        ):
            yield Row(
                f"scan: {what}, {last.name}",
                f"{last.statements(text, status)} SQL statements",
                asked="none" if status != 200 else "",
            )
        for brand in brands:
            brand.deployment.misses.flush()
            brand.deployment.db.close()


def slip(text: str) -> str:
    """A wrong code, of an index beside a genuine one's."""
    return text[:6] + ("A" if text[6] != "A" else "B") + text[7:]


def compare(what: str, works: dict[str, Work]) -> Iterator[Row]:
    seconds = in_turn(works, clock=perf_counter)
    first = next(iter(works))
    for name, took in seconds.items():
        measured = f"{median(took) * 1e3:.2f} ms"
        if name == first:
            yield Row(f"scan: {what}, {name}", measured)
            continue
        yield Row(
            f"scan: {what}, {name}",
            measured,
            f"{ratio(took, seconds[first]):.2f} x the first",
            f"at most {TIMES_ASKED} x",
        )


def open_brands(folder: Path) -> Iterator[Brand]:
    template = folder / "empty.db"
    upgrade(f"sqlite:///{template}")
    for count, batches in SIZES:
        database = folder / f"{count}-{batches}.db"
        shutil.copyfile(template, database)
        config = Config(
            database_url=f"sqlite:///{database}",
            data_dir=folder,
            secret_keys=("a-secret-key-for-the-benchmarks",),
            base_url="http://localhost",
        )
        deployment = open_deployment(config)
        name = f"{count:,} in {batches:,} batch{'es' * (batches > 1)}"
        codes = issue(deployment, count, batches)
        yield Brand(name, deployment, create_app(deployment=deployment), codes)


def issue(deployment: Deployment, count: int, batches: int) -> list[str]:
    """Issues and activates them, and returns some, spread over all of them."""
    actions.add_product(deployment, gtin=GTIN, name="Green tea", price=600, currency="CNY")
    size = count // batches
    made = []
    for number in range(batches):
        batch = actions.issue_batch(
            deployment, gtin=GTIN, count=size, name=f"batch {number}", by="bench"
        )
        actions.set_range(deployment, batch.id, RangeState.activated, by="bench")
        made.append(batch)
    places = (at * count // SCANNED for at in range(SCANNED))
    return [deployment.codes.encode(made[at // size], at % size).text for at in places]


@contextmanager
def counted(deployment: Deployment) -> Iterator[list[str]]:
    """The SQL statements of this thread meanwhile."""
    seen: list[str] = []
    thread = threading.get_ident()

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if threading.get_ident() == thread:
            seen.append(statement)

    event.listen(deployment.db.engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(deployment.db.engine, "before_cursor_execute", note)


if __name__ == "__main__":
    print_table(rows())
