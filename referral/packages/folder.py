"""The folder of a package: its private files, the notes on an unfinished one, one writer at a time.

A file has a draft's name until it is whole, and the manifest comes last: a folder without a
manifest is no package, and one with a manifest is never written to again.
"""

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Literal

from pydantic import BaseModel, ValidationError

from referral.errors import N_, Conflict, InvalidInput
from referral.packages.order import Manifest, Order, PackageFile

CODES_FILE, MANIFEST_FILE = "codes.csv", "manifest.json"
IDENTITY_FILE: Literal["identity.age"] = "identity.age"
SAMPLES = "samples"
NOTES_FILE, LOCK_FILE = ".package.json", ".lock"

READ_BYTES = 1 << 20


class PackageExists(Conflict):
    slug = "package-exists"
    title = N_("There is a finished package in this folder already.")
    advice = N_("Choose another folder; a package is never overwritten.")


class PackageDiffers(Conflict):
    slug = "package-differs"
    title = N_("An unfinished package in this folder was asked for in another way.")
    advice = N_("Finish it with the command it was begun with, or choose another folder.")


class PackageBusy(Conflict):
    slug = "package-busy"
    title = N_("Another process is writing a package to this folder.")
    advice = N_("Wait for it, or choose another folder.")


class NoPackage(InvalidInput):
    slug = "no-package"
    title = N_("There is no finished package in this folder.")
    advice = N_("A package is whole when it has its manifest.json; finish the export first.")


class Notes(BaseModel):
    """What is kept of a package while it is unfinished."""

    format: Literal[1] = 1
    id: str
    order: Order
    begun_at: str
    public_key: str | None = None
    """Of the identity made for it."""
    parts: list[PackageFile] = []
    """The pieces that are whole, when the list is encrypted."""


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold a folder, made if it is not there, for writing a package. Raises `PackageBusy`."""
    is_new = not folder.exists()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with private(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PackageBusy() from None
        try:
            yield
        finally:
            # While a package is unfinished the file stays: whoever opened it a moment ago and
            # whoever opens it next have to meet at the same one.
            is_untouched = not (folder / NOTES_FILE).exists()
            if is_untouched or (folder / MANIFEST_FILE).exists():
                (folder / LOCK_FILE).unlink(missing_ok=True)
            if is_untouched and is_new and not any(folder.iterdir()):
                folder.rmdir()


def notes_in(folder: Path) -> Notes | None:
    """The notes on the unfinished package in a folder. Raises `PackageDiffers` for broken ones."""
    try:
        text = (folder / NOTES_FILE).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        return Notes.model_validate_json(text)
    except ValidationError:
        raise PackageDiffers(f"{folder / NOTES_FILE} is damaged; choose another folder.") from None


def manifest_in(folder: Path) -> Manifest:
    """Raises `NoPackage`."""
    try:
        text = (folder / MANIFEST_FILE).read_bytes()
    except FileNotFoundError:
        raise NoPackage() from None
    try:
        return Manifest.model_validate_json(text)
    except ValidationError:
        raise NoPackage(f"{folder / MANIFEST_FILE} is not what an export writes.") from None


def is_of_package(name: str) -> bool:
    """Whether a file or folder of this name would belong to a package."""
    is_list = name.startswith("codes") and name.endswith((".csv", ".csv.age"))
    return is_list or name in {MANIFEST_FILE, IDENTITY_FILE, SAMPLES}


def part_file(number: int) -> str:
    """The name of a piece of an encrypted list, numbered from 1."""
    return f"codes-{number:04}.csv.age"


def draft_of(path: Path) -> Path:
    """What a file is called until it is whole."""
    return path.with_name(f".{path.name}.draft")


def private(path: Path, flags: int) -> IO[bytes]:
    """Open a file that its owner alone can read. `flags` are those of `os.open`."""
    mode = "r+b" if flags & os.O_RDWR else "wb"
    return os.fdopen(os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600), mode)


def write_whole(path: Path, content: bytes) -> None:
    """Write a small file that is there wholly or not at all."""
    draft = draft_of(path)
    with private(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) as file:
        file.write(content)
        finish(file, draft, path)


def finish(file: IO[bytes], draft: Path, path: Path) -> None:
    """Give a draft its name once the disk has it, so that the name always means the whole file."""
    file.flush()
    os.fsync(file.fileno())
    draft.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def described(folder: Path, name: str) -> PackageFile:
    """A file's size and digest."""
    with (folder / name).open("rb") as file:
        digest = hashlib.sha256()
        size = 0
        while piece := file.read(READ_BYTES):
            digest.update(piece)
            size += len(piece)
    return PackageFile(name=name, bytes=size, sha256=digest.hexdigest())
