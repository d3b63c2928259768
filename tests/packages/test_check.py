"""Checking a package: whatever was changed in it is found, and named."""

import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyrage
import pytest

from referral.codes import Label
from referral.packages import PrintPackage
from referral.packages.check import Checked
from referral.packages.folder import NoPackage, manifest_in
from referral.packages.order import Manifest
from referral.packages.reading import PackageDamaged
from referral.ranges import BadRange
from tests.cast import GTIN
from tests.packages.conftest import BATCH, CODEC, checked, stopping_at, write

START, END = 100, 20_000
Lines = list[bytes]


@pytest.fixture
def package(out: Path) -> Path:
    write(out, start=START, end=END)
    return out


def record(manifest: Manifest, **changes: Any) -> PrintPackage:
    names = ("id", "label", "start", "end", "count", "supplier", "sha256")
    columns = {name: getattr(manifest, name) for name in names}
    columns |= {"batch_id": manifest.batch, "by": "tests", "at": datetime(2026, 3, 2, tzinfo=UTC)}
    return PrintPackage(**columns | changes)


def change_list(folder: Path, change: Callable[[Lines], Lines]) -> None:
    """Alter the list, and make the manifest fit: only the codes themselves can tell."""
    path = folder / "codes.csv"
    text = b"".join(change(path.read_bytes().splitlines(keepends=True)))
    path.write_bytes(text)

    def fit(manifest: dict[str, Any]) -> None:
        digest = hashlib.sha256(text).hexdigest()
        manifest.update(sha256=digest, bytes=len(text), count=text.count(b"\n") - 1)
        manifest["files"][0].update(sha256=digest, bytes=len(text))

    change_manifest(folder, fit)


def change_manifest(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    manifest = json.loads((folder / "manifest.json").read_bytes())
    change(manifest)
    (folder / "manifest.json").write_text(json.dumps(manifest))


def line_of(index: int, *, code: str | None = None, url: str | None = None) -> bytes:
    right = CODEC.encode(BATCH, index).text
    address = f"https://QR.BRAND.CN/01/{GTIN}/21/"
    return f"{index},{code or right},{url or address + (code or right)}\n".encode()


@pytest.mark.parametrize("supplier", [None, "Printer"])
@pytest.mark.parametrize("label", Label)
def test_a_package_as_it_was_written_passes(out: Path, supplier: str | None, label: Label) -> None:
    manifest = write(out, start=START, end=END, supplier=supplier, label=label)
    assert checked(out, recorded=record(manifest)) == Checked(4, manifest.count)


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda it: [*it[:5], *it[6:]], "line 6: index 104 should stand here, and index 105"),
        (lambda it: [*it[:5], it[6], it[5], *it[7:]], "line 6: index 104 should stand here"),
        (
            lambda it: [*it[:5], it[4], *it[5:]],
            "line 6: index 104 should stand here, and index 103",
        ),
        (lambda it: it[:-1], f"ends before index {END - 1}"),
        (lambda it: [*it[:-1], it[-1][:-1]], f"ends before index {END - 1}"),
        (lambda it: it[:1], f"ends before index {START}"),
        (lambda it: [*it, line_of(END)], "goes on after its last code"),
        (lambda it: [*it, b"\n"], "goes on after its last code"),
        (lambda it: it[1:], "does not begin with the names of its columns"),
        (lambda it: [], "does not begin"),
        (lambda it: [*it[:9], b"108,GARBAGE\n", *it[10:]], "line 10: this is no row"),
        (
            lambda it: [*it[:9], b"1" * 5_000 + line_of(108)[3:], *it[10:]],
            "line 10: this is no row",
        ),
        (
            lambda it: [*it[:9], line_of(108, code="0000000000000000"), *it[10:]],
            "line 10: the code of index 108 is not a genuine one",
        ),
        (
            lambda it: [*it[:9], line_of(108, code="?"), *it[10:]],
            "line 10: the code of index 108 is not a genuine one",
        ),
        (
            lambda it: [*it[:9], line_of(108, code=CODEC.encode(BATCH, 7).text), *it[10:]],
            "line 10: the code of index 7 stands at index 108",
        ),
        (
            lambda it: [
                *it[:9],
                line_of(108, code=CODEC.encode(BATCH, 108, Label.outer).text),
                *it[10:],
            ],
            "line 10: the code of index 108 is not a genuine one of this batch and label",
        ),
        (
            lambda it: [*it[:9], line_of(108, url="https://evil.example/"), *it[10:]],
            "line 10: the address of index 108 is another one",
        ),
        (
            lambda it: [*it[:9], line_of(108).replace(b"108,", b"108, "), *it[10:]],
            "line 10: the code of index 108 is not written as it should be",
        ),
        (lambda it: [line.replace(b"\n", b"\r\n") for line in it], "names of its columns"),
        (lambda it: [*it[:15_000], it[15_000].lower(), *it[15_001:]], "line 15001: "),
    ],
)
def test_a_changed_list_is_found_though_the_manifest_fits(
    package: Path, change: Callable[[Lines], Lines], words: str
) -> None:
    change_list(package, change)
    with pytest.raises(PackageDamaged) as damage:
        checked(package)
    assert words in str(damage.value)
    assert "codes.csv" in str(damage.value)


def test_one_byte_anywhere_is_found(package: Path) -> None:
    path = package / "codes.csv"
    text = path.read_bytes()
    for at in (0, 14, 15, 20, 60, len(text) // 2, len(text) - 1):
        path.write_bytes(text[:at] + bytes([text[at] ^ 1]) + text[at + 1 :])
        with pytest.raises(PackageDamaged):
            checked(package)
    path.write_bytes(text)
    assert checked(package).codes == END - START


def test_a_code_that_the_fingerprint_leaves_out_is_found(out: Path) -> None:
    manifest = write(out, start=START, end=END, supplier="Printer")
    kept = {int(line.split(b",")[0]) for line in (out / "codes.csv").read_bytes().split()[1:]}
    missing = min(set(range(START, END)) - kept)
    assert manifest.count == len(kept)
    change_list(out, lambda it: sorted([*it[1:], line_of(missing)], key=_index))
    path = out / "codes.csv"
    path.write_bytes(b"index,code,url\n" + path.read_bytes())
    with pytest.raises(PackageDamaged, match=f"index {missing} does"):
        checked(out)


def _index(line: bytes) -> int:
    return int(line.split(b",")[0])


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda m: m.update(count=5), "something else"),
        (lambda m: m.update(sha256="0" * 64), "something else"),
        (lambda m: m.update(bytes=5), "something else"),
        (lambda m: m.update(end=END - 1), "goes on after"),
        (lambda m: m.update(start=START + 1), "line 2"),
        (lambda m: m.update(supplier="Another"), "line"),
        (lambda m: m.update(label="outer"), "not a genuine one"),
        (lambda m: m.update(gtin="06901234567908"), "its gtin is another one"),
        (lambda m: m.update(address="https://evil.example/"), "REFERRAL_BASE_URL"),
        (lambda m: m["qr"].update(version=4), "its qr is another one"),
        (lambda m: m["files"].pop(0), "does not list codes.csv"),
        (lambda m: m["files"].append(m["files"][0]), "lists codes.csv more than once"),
        (lambda m: m["files"].pop(), "does not list samples/"),
        (lambda m: m["files"][0].update(sha256="0" * 64), "codes.csv was changed"),
        (lambda m: (m["samples"].pop(), m["files"].pop()), "is not in manifest.json"),
    ],
)
def test_a_changed_manifest_is_found(
    package: Path, change: Callable[[dict[str, Any]], None], words: str
) -> None:
    change_manifest(package, change)
    with pytest.raises(PackageDamaged) as damage:
        checked(package)
    assert words in str(damage.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"sha256": "0" * 64},
        {"count": 3},
        {"supplier": "Printer"},
        {"batch_id": 8},
        {"start": 99},
        {"end": END + 1},
        {"label": "outer"},
    ],
)
def test_what_the_service_kept_counts(package: Path, changes: dict[str, Any]) -> None:
    recorded = record(manifest_in(package), **changes)
    name = next(iter(changes)).removesuffix("_id")
    with pytest.raises(PackageDamaged, match=f"its {name} is another one"):
        checked(package, recorded=recorded)


def test_a_package_without_a_record_passes_only_where_that_is_meant(package: Path) -> None:
    manifest = manifest_in(package)
    with pytest.raises(PackageDamaged, match=f"no record of a package {manifest.id}"):
        checked(package, may_be_unrecorded=False)
    assert checked(package, may_be_unrecorded=False, recorded=record(manifest)).files == 4


@pytest.mark.parametrize(
    "changes", [{"start": -5}, {"start": -5, "end": -1}, {"start": 5, "end": 5}, {"end": 10**30}]
)
def test_a_manifest_of_no_range_is_refused(package: Path, changes: dict[str, Any]) -> None:
    change_manifest(package, lambda m: m.update(changes))
    with pytest.raises(BadRange):
        checked(package)


@pytest.mark.parametrize("batch", [10**30, 0, -1])
def test_a_manifest_of_no_batch_is_none(package: Path, batch: int) -> None:
    change_manifest(package, lambda m: m.update(batch=batch))
    with pytest.raises(NoPackage):
        manifest_in(package)


def test_missing_and_strange_files_are_found(package: Path) -> None:
    sample = package / "samples" / f"{START}.svg"
    picture = sample.read_bytes()
    sample.unlink()
    with pytest.raises(PackageDamaged, match=r"samples/100\.svg is missing"):
        checked(package)
    sample.write_bytes(picture.replace(b"M", b"m", 1))
    with pytest.raises(PackageDamaged, match=r"samples/100\.svg was changed"):
        checked(package)
    sample.write_bytes(picture)
    (package / "codes-0001.csv.age").touch()
    with pytest.raises(PackageDamaged, match=r"codes-0001\.csv\.age is not in manifest"):
        checked(package)
    (package / "codes-0001.csv.age").unlink()
    (package / "a note of the printer.txt").touch()
    assert checked(package).codes == END - START


def test_a_picture_of_another_code_is_found_though_the_manifest_fits(package: Path) -> None:
    first, last = package / "samples" / f"{START}.svg", package / "samples" / f"{END - 1}.svg"
    first.write_bytes(last.read_bytes())

    def fit(manifest: dict[str, Any]) -> None:
        one, *_, other = manifest["files"][1:]
        one.update(sha256=other["sha256"], bytes=other["bytes"])

    change_manifest(package, fit)
    with pytest.raises(PackageDamaged, match="does not show the address of 100"):
        checked(package)


def test_what_is_in_sealed_pieces_is_looked_at(out: Path) -> None:
    identity = pyrage.x25519.Identity.generate()
    write(out, start=START, end=END, recipients=[str(identity.to_public())])
    assert checked(out, identities=[identity]).codes == END - START
    path = out / "codes-0001.csv.age"
    lines = pyrage.decrypt(path.read_bytes(), [identity]).splitlines(keepends=True)
    lines[5], lines[6] = lines[6], lines[5]
    path.write_bytes(pyrage.encrypt(b"".join(lines), [identity.to_public()]))

    def fit(manifest: dict[str, Any]) -> None:
        sealed = path.read_bytes()
        digest = hashlib.sha256(sealed).hexdigest()
        manifest["files"][0].update(sha256=digest, bytes=len(sealed))

    change_manifest(out, fit)
    assert checked(out).codes is None
    with pytest.raises(PackageDamaged, match=r"codes-0001\.csv\.age, line 6: index 104"):
        checked(out, identities=[identity])


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda m: m["files"][0]["holds"].update(start=0), "lists codes-0001.csv.age at another"),
        (lambda m: m["files"][0]["holds"].update(end=END - 1), "no file with index 19999"),
        (lambda m: m["files"][0]["holds"].update(count=3), "than what is in codes-0001.csv.age"),
        (lambda m: m["files"][0]["holds"].update(sha256="0" * 64), "than what is in"),
        (lambda m: m["files"][0].update(holds=None), "no file with index 100"),
    ],
)
def test_what_a_manifest_says_of_sealed_pieces_counts(
    out: Path, change: Callable[[dict[str, Any]], None], words: str
) -> None:
    identity = pyrage.x25519.Identity.generate()
    write(out, start=START, end=END, recipients=[str(identity.to_public())])
    change_manifest(out, change)
    with pytest.raises(PackageDamaged) as damage:
        checked(out, identities=[identity])
    assert words in str(damage.value)


def test_what_is_no_package_is_told(out: Path) -> None:
    out.mkdir()
    with pytest.raises(NoPackage):
        manifest_in(out)
    for text in ("", "{}", "[]", '{"format": 2}'):
        (out / "manifest.json").write_text(text)
        with pytest.raises(NoPackage, match="is not what an export writes"):
            manifest_in(out)


def test_an_unfinished_package_is_none(out: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        write(out, end=END, tell=stopping_at(1))
    with pytest.raises(NoPackage):
        manifest_in(out)


@pytest.mark.parametrize("name", ["../manifest.json", "/etc/passwd", "samples/../../x", ".lock"])
def test_a_manifest_names_nothing_outside_its_folder(package: Path, name: str) -> None:
    change_manifest(package, lambda m: m["files"][0].update(name=name))
    with pytest.raises(NoPackage):
        manifest_in(package)
