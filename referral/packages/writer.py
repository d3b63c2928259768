"""Writing a package: in constant memory, and so that an interrupted one is gone on with.

What an unencrypted draft holds is compared with what belongs there before more is written behind
it, so nothing that a crash left in it is trusted. An encrypted list is written in pieces, and those
that are whole are kept.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import numpy as np

from referral.crypto import KeyRing
from referral.packages import folder as files
from referral.packages import new_id, sealing
from referral.packages.folder import (
    CODES_FILE,
    IDENTITY_FILE,
    MANIFEST_FILE,
    NOTES_FILE,
    SAMPLES,
    Notes,
    PackageDiffers,
    PackageExists,
)
from referral.packages.order import (
    Encryption,
    Manifest,
    Order,
    PackageFile,
    Piece,
    Sample,
    printing_of,
)
from referral.packages.rows import CHUNK, HEADER, Rows, Tally, Tell
from referral.printing.qr import qr_svg

PART = 1_000_000
"""How many indexes a piece of an encrypted list covers."""
_FEW = 8


@contextmanager
def begun(
    folder: Path, order: Order, keys: KeyRing, key_id: str, *, now: datetime
) -> Iterator["Draft"]:
    """The package in a folder that this order began, or a new one; held while it is worked on.

    `key_id` is the batch's. Raises `PackageExists`, `PackageDiffers`, `PackageBusy`,
    `LostBatchKey`, `OSError`.
    """
    try:
        with files.held(folder):
            yield Draft(folder, _notes_for(folder, order, keys, key_id, now))
    except OSError as error:
        # A full disk does not say which: the file is known by its number only.
        error.filename = error.filename or str(folder)
        raise


def _notes_for(folder: Path, order: Order, keys: KeyRing, key_id: str, now: datetime) -> Notes:
    if (folder / MANIFEST_FILE).exists():
        raise PackageExists()
    notes = files.notes_in(folder)
    if notes is None:
        if any(files.is_of_package(entry.name) for entry in folder.iterdir()):
            raise PackageExists()
        package_id = _new_id(order, keys, key_id)
        return Notes(id=package_id, order=order, begun_at=f"{now:%Y-%m-%dT%H:%M:%SZ}")
    before, after = notes.order.model_dump(mode="json"), order.model_dump(mode="json")
    differing = [f"{name} was {before[name]}" for name in before if before[name] != after[name]]
    if differing:
        raise PackageDiffers(f"Its {', its '.join(differing)}; choose another folder.")
    return notes


def _new_id(order: Order, keys: KeyRing, key_id: str) -> str:
    first = np.arange(order.start, min(order.end, order.start + _FEW))
    while True:
        package_id = new_id()
        fingerprint = order.fingerprint(keys, key_id, package_id)
        # A package of one code or two must not be left without any.
        if fingerprint is None or not fingerprint.left_out(first).all():
            return package_id


class Draft:
    """A package that is being written."""

    def __init__(self, folder: Path, notes: Notes) -> None:
        self._folder = folder
        self._notes = notes

    @property
    def id(self) -> str:
        return self._notes.id

    def write(self, rows: Rows, tell: Tell, *, passphrase: str | None, now: datetime) -> Manifest:
        """Write what is missing of every file but the manifest, and return that.

        `tell` is called with how many indexes are done, and of how many. Raises `WrongPassphrase`,
        `OSError`.
        """
        order, notes = self._notes.order, self._notes
        self._keep_notes()
        encryption = None
        if order.with_passphrase:
            public = self._own_key(passphrase or "", now)
            encryption = Encryption(recipients=(public,), identity=IDENTITY_FILE)
        elif order.recipients:
            encryption = Encryption(recipients=order.recipients, identity=None)

        samples: list[Sample] = []
        if encryption is not None:
            whole = self._write_parts(rows, encryption.recipients, tell)
            written = [*notes.parts]
            if encryption.identity:
                written.append(files.described(self._folder, encryption.identity))
        else:
            whole = self._write_list(rows, tell)
            written = [PackageFile(name=CODES_FILE, bytes=whole.size, sha256=whole.sha256)]
            samples = self._write_samples(rows)
            written += [files.described(self._folder, sample.file) for sample in samples]
        return Manifest(
            id=notes.id,
            batch=order.batch,
            name=order.name,
            gtin=order.gtin,
            label=order.label,
            start=order.start,
            end=order.end,
            count=whole.count,
            supplier=order.supplier,
            address=order.address,
            sha256=whole.sha256,
            bytes=whole.size,
            qr=printing_of(rows.address(order.start), order.level),
            encryption=encryption,
            files=tuple(written),
            samples=tuple(samples),
            written_at=notes.begun_at,
        )

    def finish(self, manifest: Manifest) -> None:
        """Write the manifest: from now on the package is whole."""
        content = manifest.model_dump_json(indent=2) + "\n"
        files.write_whole(self._folder / MANIFEST_FILE, content.encode())
        (self._folder / NOTES_FILE).unlink()

    def _keep_notes(self) -> None:
        content = self._notes.model_dump_json(indent=2) + "\n"
        files.write_whole(self._folder / NOTES_FILE, content.encode())

    def _own_key(self, passphrase: str, now: datetime) -> str:
        """The public half of the package's own key, made the first time."""
        path = self._folder / IDENTITY_FILE
        if self._notes.public_key is None:
            public, locked = sealing.new_identity(passphrase, now)
            files.write_whole(path, locked)
            self._notes.public_key = public
            self._keep_notes()
            return public
        identities = sealing.identities_in(path, passphrase)
        if sealing.public_key_of(identities) != self._notes.public_key:
            raise sealing.BadIdentity(f"{path} is not the one the package was begun with.")
        return self._notes.public_key

    def _write_list(self, rows: Rows, tell: Tell) -> Tally:
        path = self._folder / CODES_FILE
        draft = files.draft_of(path)
        if path.exists():
            path.rename(draft)
        tally = Tally()
        with files.private(draft, os.O_RDWR | os.O_CREAT) as file:
            is_there = True
            for lines, count in _pieces(rows, rows.order.start, rows.order.end, tell):
                if is_there and file.read(len(lines)) != lines:
                    is_there = False
                    file.seek(tally.size)
                    file.truncate()
                if not is_there:
                    file.write(lines)
                tally.add(lines, count)
            file.truncate(tally.size)
            files.finish(file, draft, path)
        return tally

    def _write_parts(self, rows: Rows, recipients: tuple[str, ...], tell: Tell) -> Tally:
        whole = Tally()
        whole.add(HEADER, 0)
        starts = range(rows.order.start, rows.order.end, PART)
        for number, start in enumerate(starts, 1):
            name, end = files.part_file(number), min(start + PART, rows.order.end)
            inside = Tally()
            pieces = _tallied(rows, start, end, tell, whole, inside)
            if self._has_part(number, name):
                for _ in pieces:
                    pass
                continue
            path = self._folder / name
            draft = files.draft_of(path)
            with files.private(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) as file:
                sealing.seal(pieces, file, recipients)
                files.finish(file, draft, path)
            piece = Piece(
                start=start,
                end=end,
                count=inside.count,
                bytes=inside.size,
                sha256=inside.sha256,
            )
            part = files.described(self._folder, name).model_copy(update={"holds": piece})
            self._notes.parts[number - 1 : number] = [part]
            self._keep_notes()
        return whole

    def _has_part(self, number: int, name: str) -> bool:
        """Whether a piece is there as it was written."""
        if len(self._notes.parts) < number or not (self._folder / name).exists():
            return False
        known, found = self._notes.parts[number - 1], files.described(self._folder, name)
        return (known.name, known.bytes, known.sha256) == (found.name, found.bytes, found.sha256)

    def _write_samples(self, rows: Rows) -> list[Sample]:
        folder = self._folder / SAMPLES
        folder.mkdir(mode=0o700, exist_ok=True)
        samples = []
        for index in sample_indexes(rows):
            sample = Sample(file=f"{SAMPLES}/{index}.svg", index=index)
            picture = qr_svg(rows.address(index), rows.order.level)
            files.write_whole(self._folder / sample.file, picture)
            samples.append(sample)
        return samples


def _pieces(rows: Rows, start: int, end: int, tell: Tell) -> Iterator[tuple[bytes, int]]:
    """A list as it is written: its lines, and how many codes are in them."""
    yield HEADER, 0
    for chunk in rows.chunks(start, end):
        yield chunk.lines, len(chunk.indexes)
        tell(chunk.end - rows.order.start, rows.order.end - rows.order.start)


def _tallied(
    rows: Rows, start: int, end: int, tell: Tell, whole: Tally, inside: Tally
) -> Iterator[bytes]:
    """The lines of a piece, counted for itself and, without its heading, for the whole list."""
    for lines, count in _pieces(rows, start, end, tell):
        inside.add(lines, count)
        if count:
            whole.add(lines, count)
        yield lines


def sample_indexes(rows: Rows) -> list[int]:
    """The first, a middle and the last index that is in a package."""
    start, end = rows.order.start, rows.order.end
    middle = (start + end) // 2
    first = rows.kept(start, min(end, start + CHUNK))[:1]
    between = rows.kept(middle, min(end, middle + CHUNK))[:1]
    last = rows.kept(max(start, end - CHUNK), end)[-1:]
    return sorted({*first.tolist(), *between.tolist(), *last.tolist()})
