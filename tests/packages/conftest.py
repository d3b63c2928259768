"""Packages without a database: one batch, and a function that writes packages of it."""

import csv
import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyrage
import pytest
from PIL import Image

from referral.codes import CodeCodec, Labels
from referral.packages import sealing, writer
from referral.packages.check import Checked, check
from referral.packages.folder import manifest_in
from referral.packages.order import Manifest, Order, order_for
from referral.packages.rows import Rows
from tests.cast import GTIN
from tests.scanners import scan
from tests.shelf import KEYS

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
BASE_URL = "https://qr.brand.cn"
SIZE = 60_000
CODEC = CodeCodec(KEYS)


@dataclass(frozen=True)
class Issued:
    """A batch, as far as packages need to know it."""

    id: int = 7
    first_index: int = 5_000
    size: int = SIZE
    key_id: str = KEYS.key_ids[1]
    labels: str = Labels.pair
    name: str = "Spring, first run"
    scheme: str = "https"


BATCH = Issued()


def order(**changes: Any) -> Order:
    return order_for(BATCH, GTIN, KEYS, BASE_URL, **changes)


def rows_of(asked: Order, package_id: str) -> Rows:
    return Rows(CODEC, BATCH, asked, asked.fingerprint(KEYS, BATCH.key_id, package_id))


def write(
    folder: Path,
    *,
    tell: Callable[[int, int], None] = lambda done, total: None,
    passphrase: str | None = None,
    recipients: Sequence[str] = (),
    **changes: Any,
) -> Manifest:
    """Write a package as the command does, but for the database."""
    asked = order(
        recipients=sealing.public_keys(recipients),
        with_passphrase=passphrase is not None,
        **changes,
    )
    with writer.begun(folder, asked, KEYS, BATCH.key_id, now=NOW) as draft:
        rows = rows_of(asked, draft.id)
        manifest = draft.write(rows, tell, passphrase=passphrase, now=NOW)
        draft.finish(manifest)
    return manifest


def checked(folder: Path, **options: Any) -> Checked:
    """Check a package as the command does, but for the database."""
    manifest = manifest_in(folder)
    asked = order(
        start=manifest.start,
        end=manifest.end,
        label=manifest.label,
        level=manifest.qr.level,
        supplier=manifest.supplier,
    )
    rows = rows_of(asked, manifest.id)
    return check(folder, manifest, rows, **{"recorded": None, "may_be_unrecorded": True, **options})


def listed(text: bytes) -> list[tuple[int, str, str]]:
    """The rows of a list, read as a printer's software does."""
    reader = csv.DictReader(io.StringIO(text.decode()))
    return [(int(row["index"]), row["code"], row["url"]) for row in reader]


def stopping_at(done_at: int) -> Callable[[int, int], None]:
    """A process that ends when so much is done."""

    def tell(done: int, total: int) -> None:
        if done >= done_at:
            raise KeyboardInterrupt

    return tell


def shown(svg: Path) -> set[str]:
    """What two readers see in a picture, drawn here from the squares of its path."""
    squares = re.findall(r"M(\d+(?:\.\d+)?),(\d+(?:\.\d+)?)H", svg.read_text())
    places = np.array(squares, dtype=float)
    # The first module of the finder pattern has the quiet zone of four modules before it.
    places = np.rint(places / (places.min() / 4)).astype(int)
    side = places.max() + 5
    drawn = np.full((side, side), 255, np.uint8)
    drawn[places[:, 1], places[:, 0]] = 0
    return scan(Image.fromarray(drawn).resize((side * 10, side * 10), Image.Resampling.NEAREST))


class Quick:
    """A passphrase that takes no time: the real one is made to take a second, or five on a busy
    machine."""

    @staticmethod
    def encrypt(text: bytes, passphrase: str, *, armored: bool) -> bytes:
        assert armored
        return b"\n".join([sealing._ARMOR, passphrase.encode(), text])

    @staticmethod
    def decrypt(locked: bytes, passphrase: str) -> bytes:
        _, right, text = locked.split(b"\n", 2)
        if right != passphrase.encode():
            raise pyrage.DecryptError("Decryption failed")
        return text


@pytest.fixture
def quick_passphrase(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing, "age_passphrase", Quick)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"
