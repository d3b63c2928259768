"""Encryption for the printer, in the age format: `age` or `rage` opens what is written here.

To public keys of the printer's own, or to a key made for one package, which lies beside the codes
under a passphrase that is told on another way.
"""

import io
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pyrage
from pyrage import passphrase as age_passphrase
from pyrage import ssh, x25519

from referral.errors import N_, InvalidInput

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_ARMOR = b"-----BEGIN AGE ENCRYPTED FILE-----"
_BINARY = b"age-encryption.org/"
_PUBLIC = ("age1", "ssh-")
KEY_FILE_BYTES_MAX = 1 << 20
_SHOWN_MAX = 30

Recipient = x25519.Recipient | ssh.Recipient
Identity = x25519.Identity | ssh.Identity


class BadRecipient(InvalidInput):
    slug = "bad-recipient"
    title = N_("This is no public key that a package can be encrypted to.")
    advice = N_("Give one that begins with age1, ssh-ed25519 or ssh-rsa, or a file of them.")


class BadIdentity(InvalidInput):
    slug = "bad-identity"
    title = N_("This file holds no key that opens the package.")
    advice = N_("Give the identity file of age, or the SSH key, that it was encrypted to.")


class WrongPassphrase(InvalidInput):
    slug = "wrong-passphrase"
    title = N_("The passphrase is another one.")
    advice = N_("Give the passphrase that the package was begun with.")


def public_keys(given: Sequence[str]) -> tuple[str, ...]:
    """The keys in what was given, each a key or the name of a file of them, each once, sorted.

    Raises `BadRecipient`.
    """
    keys: set[str] = set()
    for text in given:
        if text.startswith(_PUBLIC):
            keys.add(_checked(text))
        else:
            keys.update(_keys_in(Path(text)))
    return tuple(sorted(keys))


def _keys_in(path: Path) -> list[str]:
    # What stands in place of a key is not repeated: it may be the secret one.
    try:
        with path.open("rb") as file:
            lines = file.read(KEY_FILE_BYTES_MAX).decode().splitlines()
    except FileNotFoundError:
        raise BadRecipient(
            "It neither begins with age1, ssh-ed25519 or ssh-rsa nor is there a file of that name."
        ) from None
    except UnicodeDecodeError:
        raise BadRecipient(f"{path} is not a text.") from None
    found = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    if not found:
        raise BadRecipient(f"{path} names none.")
    if not all(key.startswith(_PUBLIC) for key in found):
        raise BadRecipient(f"{path} has a line that is none.")
    return [_checked(key) for key in found]


def _checked(key: str) -> str:
    """A public key without the comment that may stand behind it."""
    kept = " ".join(key.split()[: 2 if key.startswith("ssh-") else 1])
    recipient_of(kept)
    return kept


def recipient_of(key: str) -> Recipient:
    """Raises `BadRecipient`."""
    try:
        if key.startswith("ssh-"):
            return ssh.Recipient.from_str(key)
        return x25519.Recipient.from_str(key)
    except pyrage.RecipientError:
        shown = key if len(key) <= _SHOWN_MAX else f"{key[:_SHOWN_MAX]}..."
        raise BadRecipient(f"{shown} is broken, or of a kind that is not known.") from None


def new_identity(passphrase: str, now: datetime) -> tuple[str, bytes]:
    """A fresh key: its public half, and a file with the secret half that the passphrase opens."""
    made = x25519.Identity.generate()
    public = str(made.to_public())
    text = f"# created: {now:%Y-%m-%dT%H:%M:%SZ}\n# public key: {public}\n{made}\n"
    return public, age_passphrase.encrypt(text.encode(), passphrase, armored=True)


def needs_passphrase(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_ARMOR)).startswith((_ARMOR, _BINARY))


def identities_in(path: Path, passphrase: str | None = None) -> list[Identity]:
    """The secret keys in a file, opened with the passphrase where it needs one.

    Raises `BadIdentity`, `WrongPassphrase`.
    """
    with path.open("rb") as file:
        content = file.read(KEY_FILE_BYTES_MAX)
    if content.startswith((_ARMOR, _BINARY)):
        try:
            content = age_passphrase.decrypt(content, passphrase or "")
        except pyrage.DecryptError:
            raise WrongPassphrase(f"It does not open {path}.") from None
    try:
        if content.startswith(b"-----BEGIN"):
            return [ssh.Identity.from_buffer(content)]
        lines = [line.strip() for line in content.decode().splitlines()]
        found = [x25519.Identity.from_str(each) for each in lines if each and each[0] != "#"]
    except (pyrage.IdentityError, UnicodeDecodeError):
        raise BadIdentity(f"{path} is neither an identity file of age nor an SSH key.") from None
    if not found:
        raise BadIdentity(f"{path} names none.")
    return list(found)


def public_key_of(identities: Iterable[Identity]) -> str | None:
    """The public half of the first key that is age's own."""
    for identity in identities:
        if isinstance(identity, x25519.Identity):
            return str(identity.to_public())
    return None


class Writable(Protocol):
    def write(self, data: bytes, /) -> int: ...


def seal(pieces: Iterator[bytes], file: Writable, recipients: Sequence[str]) -> None:
    """Encrypt what comes, piece by piece, into a file."""
    source, sink = _Source(pieces), _Sink(file)
    failed: BaseException | None = None
    try:
        pyrage.encrypt_io(source, sink, [recipient_of(key) for key in recipients])
    except Exception as error:
        failed = error
    # The library puts an error of ours into words of its own, and may lose one of the file's.
    first = source.failure or sink.failure or failed
    if first is not None:
        raise first


def unseal(file: BufferedReader, into: Writable, identities: Sequence[Identity]) -> None:
    """Decrypt a file piece by piece. Raises `BadIdentity`, also for a file that is damaged."""
    sink = _Sink(into)
    try:
        pyrage.decrypt_io(file, sink, identities)
    except (pyrage.DecryptError, OSError) as error:
        if sink.failure is None:
            raise BadIdentity(f"{error} ({file.name}).") from None
    if sink.failure is not None:
        raise sink.failure


class _Source(io.BufferedIOBase):
    """What is to be encrypted, as a file."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = memoryview(b"")
        self.failure: BaseException | None = None

    def read(self, size: int | None = -1) -> bytes:
        try:
            while not self._rest:
                self._rest = memoryview(next(self._pieces))
        except StopIteration:
            return b""
        except BaseException as error:
            self.failure = error
            raise
        wanted = len(self._rest) if size is None or size < 0 else size
        taken, self._rest = self._rest[:wanted], self._rest[wanted:]
        return bytes(taken)


class _Sink(io.BufferedIOBase):
    """A file that remembers what went wrong with it."""

    def __init__(self, file: "Writable") -> None:
        self._file = file
        self.failure: BaseException | None = None

    def write(self, data: "ReadableBuffer") -> int:
        if self.failure is not None:
            raise self.failure
        try:
            return self._file.write(bytes(data))
        except BaseException as error:
            self.failure = error
            raise

    def flush(self) -> None:
        """Not the file's: it is flushed, with its errors, before it gets its name."""
