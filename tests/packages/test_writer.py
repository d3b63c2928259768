"""Writing a package: whole or not a package, gone on with after an end, never overwritten."""

import hashlib
import json
import os
import stat
from pathlib import Path
from typing import IO, Any

import pytest

from referral.batches import LostBatchKey, NoSuchLabel
from referral.codes import Label
from referral.packages import folder as files
from referral.packages import writer
from referral.packages.fingerprint import Fingerprint
from referral.packages.folder import PackageBusy, PackageDiffers, PackageExists, held
from referral.packages.order import order_for
from referral.packages.rows import CHUNK
from referral.ranges import BadRange
from tests.cast import GTIN
from tests.packages.conftest import (
    BASE_URL,
    BATCH,
    CODEC,
    NOW,
    SIZE,
    Issued,
    listed,
    order,
    shown,
    stopping_at,
    write,
)
from tests.shelf import KEYS

ADDRESS = f"https://QR.BRAND.CN/01/{GTIN}/21/"
START, END = 800, 30_000
DRAFT = ".codes.csv.draft"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def content(folder: Path) -> dict[str, bytes]:
    """The files of a package but for its manifest, which names the package."""
    found = [path for path in folder.rglob("*") if path.is_file()]
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in found
        if path.name != "manifest.json"
    }


def test_a_package_holds_what_was_asked_for_and_says_so(out: Path) -> None:
    manifest = write(out, start=START, end=END, label=Label.outer)
    text = (out / "codes.csv").read_bytes()
    rows = listed(text)
    assert [index for index, _, _ in rows] == list(range(START, END))
    for index, code, url in rows[:: len(rows) // 50]:
        assert code == CODEC.encode(BATCH, index, Label.outer).text
        assert url == ADDRESS + code
    told = json.loads((out / "manifest.json").read_bytes())
    assert told == manifest.model_dump(mode="json")
    digest = hashlib.sha256(text).hexdigest()
    assert (
        told.items()
        >= {
            "batch": BATCH.id,
            "name": BATCH.name,
            "gtin": GTIN,
            "label": "outer",
            "start": START,
            "end": END,
            "count": END - START,
            "supplier": None,
            "address": ADDRESS,
            "sha256": digest,
            "bytes": len(text),
            "encryption": None,
            "written_at": "2026-03-02T09:30:00Z",
        }.items()
    )
    assert told["qr"] == {
        "level": "M",
        "version": 3,
        "modules": 29,
        "quiet_zone_modules": 4,
        "module_mm_min": 0.396,
        "side_mm_min": 14.65,
    }
    for file in told["files"]:
        path = out / file["name"]
        assert file["bytes"] == path.stat().st_size
        assert file["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert {file["name"] for file in told["files"]} == content(out).keys()


def test_only_its_owner_reads_it(out: Path) -> None:
    write(out, end=10)
    assert {mode(folder) for folder in (out, out / "samples")} == {0o700}
    assert {mode(path) for path in out.rglob("*") if path.is_file()} == {0o600}
    assert [path.name for path in out.iterdir() if path.name.startswith(".")] == []


def test_the_samples_are_pictures_of_codes_in_it(out: Path) -> None:
    manifest = write(out, start=START, end=END, supplier="Printer", level="Q")
    rows = {index: url for index, _, url in listed((out / "codes.csv").read_bytes())}
    indexes = [sample.index for sample in manifest.samples]
    assert indexes[0] == min(rows)
    assert indexes[-1] == max(rows)
    assert len(indexes) == 3
    for sample in manifest.samples:
        assert shown(out / sample.file) == {rows[sample.index]}


@pytest.mark.parametrize("count, samples", [(1, 1), (2, 2), (3, 3)])
def test_a_package_of_a_few_codes_has_samples_of_those(out: Path, count: int, samples: int) -> None:
    assert len(write(out, start=5, end=5 + count).samples) == samples


def test_a_supplier_leaves_some_out_and_nothing_else_does(out: Path) -> None:
    plain = write(out / "plain")
    assert plain.count == SIZE
    marked = write(out / "marked", supplier="Printer")
    kept = {index for index, _, _ in listed((out / "marked" / "codes.csv").read_bytes())}
    assert marked.count == len(kept)
    assert 0 < SIZE - marked.count < SIZE // 200
    again = write(out / "again", supplier="Printer")
    others = {index for index, _, _ in listed((out / "again" / "codes.csv").read_bytes())}
    assert others != kept, "each package has a fingerprint of its own"
    assert marked.id != again.id


def test_a_package_of_one_code_is_not_left_without_it(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def loses_it(package_id: str) -> bool:
        asked = order(start=5, end=6, supplier="Printer")
        found = asked.fingerprint(KEYS, BATCH.key_id, package_id)
        assert isinstance(found, Fingerprint)
        return bool(found.left_out(writer.np.arange(5, 6)).any())

    bad = next(name for name in map(str, range(100_000)) if loses_it(name))
    good = next(name for name in map(str, range(100_000)) if not loses_it(name))
    ids = iter([bad, bad, good])
    monkeypatch.setattr(writer, "new_id", lambda: next(ids))
    assert write(out, start=5, end=6, supplier="Printer").count == 1


# --- interrupted, and gone on with ------------------------------------------------------------


@pytest.mark.parametrize("supplier", [None, "Printer"])
@pytest.mark.parametrize("done_at", [1, CHUNK, 3 * CHUNK, END - START])
def test_an_interrupted_package_is_none_and_is_gone_on_with(
    out: Path, done_at: int, supplier: str | None
) -> None:
    with pytest.raises(KeyboardInterrupt):
        write(out, start=START, end=END, supplier=supplier, tell=stopping_at(done_at))
    assert not (out / "manifest.json").exists()
    assert not (out / "codes.csv").exists()
    begun = files.notes_in(out)
    assert begun is not None
    manifest = write(out, start=START, end=END, supplier=supplier)
    assert manifest.id == begun.id, "the fingerprint depends on it"

    whole = out.parent / "whole"
    whole.mkdir(mode=0o700)
    files.write_whole(whole / ".package.json", begun.model_dump_json().encode())
    assert write(whole, start=START, end=END, supplier=supplier) == manifest
    assert content(out) == content(whole)


LINE = len(f"{START},,{ADDRESS}\n") + 32


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda text: b"", id="nothing"),
        pytest.param(lambda text: text[:7], id="in the heading"),
        pytest.param(lambda text: text[: len(text) // 2], id="half"),
        pytest.param(lambda text: text[:-1], id="the last line without its end"),
        pytest.param(lambda text: text[: 15 + 3 * LINE + 9], id="in a line"),
        pytest.param(lambda text: text, id="all"),
        pytest.param(lambda text: text + b"1,2,3\n", id="more than all"),
        pytest.param(lambda text: text[:9999] + bytes(50_000), id="zeros after a power cut"),
        pytest.param(lambda text: text[:9999] + b"x" + text[10_000:], id="one byte"),
    ],
)
def test_whatever_a_crash_left_the_bytes_are_the_same(out: Path, damage: Any) -> None:
    whole = write(out / "whole", start=START, end=END)
    text = (out / "whole" / "codes.csv").read_bytes()
    begun = out / "begun"
    with pytest.raises(KeyboardInterrupt):
        write(begun, start=START, end=END, tell=stopping_at(1))
    (begun / DRAFT).write_bytes(damage(text))
    manifest = write(begun, start=START, end=END)
    assert (begun / "codes.csv").read_bytes() == text
    assert (manifest.sha256, manifest.count) == (whole.sha256, whole.count)


def test_what_is_there_is_not_written_again(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(KeyboardInterrupt):
        write(out, start=START, end=END, tell=stopping_at(3 * CHUNK))
    there = (out / DRAFT).stat().st_size
    written = 0

    class Counted:
        def __init__(self, file: IO[bytes]) -> None:
            self._file = file

        def __getattr__(self, name: str) -> Any:
            return getattr(self._file, name)

        def __enter__(self) -> "Counted":
            return self

        def __exit__(self, *_: object) -> None:
            self._file.close()

        def write(self, data: bytes) -> int:
            nonlocal written
            written += len(data)
            return self._file.write(data)

    private = files.private

    def counting(path: Path, flags: int) -> Any:
        file = private(path, flags)
        return Counted(file) if path.name == DRAFT else file

    monkeypatch.setattr(files, "private", counting)
    manifest = write(out, start=START, end=END)
    assert there > 0
    assert written <= manifest.bytes - there + CHUNK * 100
    assert 0 < written < manifest.bytes


def test_a_list_that_was_whole_is_looked_at_again(out: Path) -> None:
    """The end came between the list and the manifest."""
    whole = write(out / "whole", end=END)
    text = (out / "whole" / "codes.csv").read_bytes()
    with pytest.raises(KeyboardInterrupt):
        write(out / "begun", end=END, tell=stopping_at(1))
    (out / "begun" / "codes.csv").write_bytes(text[:-200])
    assert write(out / "begun", end=END).sha256 == whole.sha256
    assert (out / "begun" / "codes.csv").read_bytes() == text


def test_another_order_does_not_go_on_with_it(out: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        write(out, end=END, supplier="One", tell=stopping_at(1))
    for changes in (
        {"end": END - 1, "supplier": "One"},
        {"end": END, "start": 1, "supplier": "One"},
        {"end": END},
        {"end": END, "supplier": "Another"},
        {"end": END, "supplier": "One", "label": Label.outer},
        {"end": END, "supplier": "One", "level": "Q"},
        {"end": END, "supplier": "One", "passphrase": "words"},
    ):
        with pytest.raises(PackageDiffers):
            write(out, **changes)
    with pytest.raises(PackageDiffers, match="Its supplier was One"):
        write(out, end=END, supplier="Another")
    assert write(out, end=END, supplier="One").supplier == "One"


def test_damaged_notes_are_said(out: Path) -> None:
    out.mkdir()
    (out / ".package.json").write_text('{"id": 5')
    with pytest.raises(PackageDiffers, match="damaged"):
        write(out)


# --- what is there is kept --------------------------------------------------------------------


def test_a_finished_package_is_never_written_to(out: Path) -> None:
    write(out, end=END)
    before = {**content(out), "manifest.json": (out / "manifest.json").read_bytes()}
    for changes in ({"end": END}, {"end": 5}, {"end": END, "supplier": "Printer"}):
        with pytest.raises(PackageExists):
            write(out, **changes)
    assert {**content(out), "manifest.json": (out / "manifest.json").read_bytes()} == before


@pytest.mark.parametrize(
    "name", ["codes.csv", "codes-0001.csv.age", "identity.age", "samples", "manifest.json"]
)
def test_what_it_did_not_write_is_not_overwritten(out: Path, name: str) -> None:
    out.mkdir()
    (out / name).write_text("somebody's")
    with pytest.raises(PackageExists):
        write(out, end=5)
    assert (out / name).read_text() == "somebody's"
    assert [path.name for path in out.iterdir()] == [name]


def test_other_files_in_the_folder_do_not_matter(out: Path) -> None:
    out.mkdir()
    (out / "order.pdf").write_text("an order")
    assert write(out, end=5).count == 5


def test_two_do_not_write_to_one_folder(out: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        write(out, end=END, tell=stopping_at(CHUNK))
    draft = (out / DRAFT).read_bytes()
    with held(out), pytest.raises(PackageBusy):
        write(out, end=END)
    assert (out / DRAFT).read_bytes() == draft
    assert write(out, end=END).count == END


def test_a_link_is_not_followed(out: Path) -> None:
    """In a folder that others may write to, a draft could be made to point elsewhere."""
    target = out.parent / "target"
    target.write_text("precious")
    with pytest.raises(KeyboardInterrupt):
        write(out, end=END, tell=stopping_at(1))
    (out / DRAFT).unlink()
    (out / DRAFT).symlink_to(target)
    with pytest.raises(OSError):
        write(out, end=END)
    assert target.read_text() == "precious"


def test_a_refused_order_leaves_no_folder(out: Path) -> None:
    asked = order(end=5)
    with pytest.raises(RuntimeError), writer.begun(out, asked, KEYS, BATCH.key_id, now=NOW):
        raise RuntimeError
    assert not out.exists()


def test_what_cannot_be_written_is_named(out: Path) -> None:
    out.parent.joinpath("file").touch()
    with pytest.raises(NotADirectoryError) as failure:
        write(out.parent / "file" / "below", end=5)
    assert failure.value.filename

    def full(done: int, total: int) -> None:
        raise OSError(28, os.strerror(28))

    with pytest.raises(OSError, match="No space left") as failure:
        write(out, end=END, tell=full)
    assert failure.value.filename == str(out)
    assert not (out / "manifest.json").exists()
    assert write(out, end=END).count == END


def test_orders_that_cannot_be_met_are_refused() -> None:
    for start, end in ((5, 5), (6, 5), (0, SIZE + 1)):
        with pytest.raises(BadRange):
            order(start=start, end=end)
    single = Issued(labels="single")
    with pytest.raises(NoSuchLabel):
        order_for(single, GTIN, KEYS, BASE_URL, label=Label.outer)
    lost = Issued(key_id="00000000")
    with pytest.raises(LostBatchKey):
        order_for(lost, GTIN, KEYS, BASE_URL)
