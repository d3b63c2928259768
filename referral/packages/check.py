"""Checking a package: that its files are the ones that were written, and every code is genuine.

The manifest is not taken at its word: what the list has to hold is computed again from the keys,
so a manifest that was made to fit an altered list does not pass.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from referral.packages import PrintPackage, sealing
from referral.packages import folder as files
from referral.packages.folder import CODES_FILE, READ_BYTES, SAMPLES
from referral.packages.order import Manifest, Piece, printing_of
from referral.packages.reading import PackageDamaged, Reader
from referral.packages.rows import HEADER, Rows, Tally, Tell
from referral.packages.sealing import Identity
from referral.packages.writer import sample_indexes
from referral.printing.qr import qr_svg


@dataclass(frozen=True)
class Checked:
    """What was found in order."""

    files: int
    codes: int | None
    """How many codes were looked at; None where they are encrypted and no identity was given."""


def check(
    folder: Path,
    manifest: Manifest,
    rows: Rows,
    *,
    recorded: PrintPackage | None,
    may_be_unrecorded: bool = False,
    identities: Sequence[Identity] = (),
    tell: Tell = lambda done, total: None,
) -> Checked:
    """Look at everything in a package. `rows` are those it has to hold.

    `recorded` is what the service keeps of it; without that, whose package it is and what it was
    to hold is the manifest's word alone. Raises `PackageDamaged`, `BadIdentity`, `OSError`.
    """
    if recorded is None and not may_be_unrecorded:
        raise PackageDamaged(f"The service has no record of a package {manifest.id}.")
    _check_manifest(folder, manifest, rows, recorded)
    whole = Tally()
    whole.add(HEADER, 0)
    if manifest.encryption is None:
        _check_plain(
            folder, Reader(rows, CODES_FILE, rows.order.start, rows.order.end, whole, tell)
        )
    for written in manifest.files:
        found = files.described(folder, written.name)
        if (found.bytes, found.sha256) != (written.bytes, written.sha256):
            raise PackageDamaged(f"{written.name} was changed: its digest is another one.")
    if manifest.encryption is not None:
        parts = list(_parts(manifest))
        if not identities:
            return Checked(len(manifest.files), None)
        _check_parts(folder, parts, rows, identities, whole, tell)
    if (whole.count, whole.size, whole.sha256) != (
        manifest.count,
        manifest.bytes,
        manifest.sha256,
    ):
        raise PackageDamaged("manifest.json says something else than what the list holds.")
    _check_samples(folder, manifest, rows)
    return Checked(len(manifest.files), whole.count)


def _check_manifest(
    folder: Path, manifest: Manifest, rows: Rows, recorded: PrintPackage | None
) -> None:
    order = rows.order
    if manifest.address != order.address:
        raise PackageDamaged(
            f"Its addresses begin with {manifest.address}, those of this service with "
            f"{order.address}; see REFERRAL_BASE_URL."
        )
    right: dict[str, object] = {
        "gtin": order.gtin,
        "qr": printing_of(rows.address(order.start), order.level),
    }
    if recorded is not None:
        right["batch"] = recorded.batch_id
        for name in ("label", "start", "end", "count", "supplier", "sha256"):
            right[name] = getattr(recorded, name)
    for name, value in right.items():
        if getattr(manifest, name) != value:
            raise PackageDamaged(f"manifest.json was changed: its {name} is another one.")
    _check_names(folder, manifest)


def _check_names(folder: Path, manifest: Manifest) -> None:
    names = [written.name for written in manifest.files]
    listed = set(names)
    for name in sorted(listed):
        if names.count(name) > 1:
            raise PackageDamaged(f"manifest.json lists {name} more than once.")
    for name in sorted(_expected_names(manifest) - listed):
        raise PackageDamaged(f"manifest.json does not list {name}.")
    for name in sorted(listed):
        if not (folder / name).is_file():
            raise PackageDamaged(f"{name} is missing.")
    for name in sorted(_found_names(folder) - listed):
        raise PackageDamaged(f"{name} is not in manifest.json.")


def _expected_names(manifest: Manifest) -> set[str]:
    if manifest.encryption is None:
        return {CODES_FILE, *(sample.file for sample in manifest.samples)}
    if manifest.encryption.identity is None:
        return set()
    return {manifest.encryption.identity}


def _parts(manifest: Manifest) -> Iterator[tuple[str, Piece]]:
    """The files of an encrypted list, in order; together they hold the whole range."""
    end = manifest.start
    for written in manifest.files:
        if written.holds is None:
            continue
        if not written.holds.start == end < written.holds.end:
            raise PackageDamaged(f"manifest.json lists {written.name} at another place.")
        end = written.holds.end
        yield written.name, written.holds
    if end != manifest.end:
        raise PackageDamaged(f"manifest.json lists no file with index {end}.")


def _found_names(folder: Path) -> set[str]:
    """The files in a folder that would belong to a package, but for its manifest."""
    entries = [*folder.iterdir(), *(folder / SAMPLES).glob("*")]
    names = {str(entry.relative_to(folder)) for entry in entries if entry.is_file()}
    return {
        name
        for name in names - {files.MANIFEST_FILE}
        if files.is_of_package(name.partition("/")[0]) and not Path(name).name.startswith(".")
    }


def _check_plain(folder: Path, reader: Reader) -> None:
    with (folder / CODES_FILE).open("rb") as file:
        while data := file.read(READ_BYTES):
            reader.write(data)
    reader.close()


def _check_parts(
    folder: Path,
    parts: Sequence[tuple[str, Piece]],
    rows: Rows,
    identities: Sequence[Identity],
    whole: Tally,
    tell: Tell,
) -> None:
    for name, piece in parts:
        reader = Reader(rows, name, piece.start, piece.end, whole, tell)
        with (folder / name).open("rb") as file:
            sealing.unseal(file, reader, identities)
        reader.close()
        inside = reader.inside
        if (inside.count, inside.size, inside.sha256) != (piece.count, piece.bytes, piece.sha256):
            raise PackageDamaged(f"manifest.json says something else than what is in {name}.")


def _check_samples(folder: Path, manifest: Manifest, rows: Rows) -> None:
    if manifest.encryption is not None:
        return
    indexes = [sample.index for sample in manifest.samples]
    if indexes != sample_indexes(rows):
        raise PackageDamaged("manifest.json lists other samples than were written.")
    for sample in manifest.samples:
        picture = (folder / sample.file).read_bytes()
        if picture != qr_svg(rows.address(sample.index), rows.order.level):
            raise PackageDamaged(f"{sample.file} does not show the address of {sample.index}.")
