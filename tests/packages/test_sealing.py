"""Encryption for the printer: opened with what he has, and the codes are nowhere in the clear."""

import hashlib
import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyrage
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from referral.packages import sealing, writer
from referral.packages.check import Checked
from referral.packages.order import Manifest
from referral.packages.reading import PackageDamaged
from referral.packages.sealing import BadIdentity, BadRecipient, WrongPassphrase
from tests.packages.conftest import checked, listed, stopping_at, write

NOW = datetime(2026, 3, 2, tzinfo=UTC)
END, PART = 50_000, 20_000
PASSPHRASE = "correct horse battery staple"

PRINTER = pyrage.x25519.Identity.generate()
PUBLIC = str(PRINTER.to_public())


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "PART", PART)


def ssh_pair(key: Any) -> tuple[str, bytes]:
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    return public, secret


def opened(folder: Path, manifest: Manifest, identities: list[Any]) -> list[bytes]:
    """The pieces, decrypted as the printer does it, each as the manifest says it is."""
    pieces = []
    for written in manifest.files:
        if written.holds is None:
            continue
        text = pyrage.decrypt((folder / written.name).read_bytes(), identities)
        assert written.holds.sha256 == hashlib.sha256(text).hexdigest()
        assert written.holds.bytes == len(text)
        pieces.append(text)
    return pieces


def joined(pieces: list[bytes]) -> bytes:
    """One list from pieces that begin with the same heading each."""
    heading, _, _ = pieces[0].partition(b"\n")
    return heading + b"\n" + b"".join(piece.partition(b"\n")[2] for piece in pieces)


def test_a_printer_opens_it_with_his_key(out: Path) -> None:
    plain = write(out / "plain", end=END)
    manifest = write(out / "sealed", end=END, recipients=[PUBLIC])
    assert sorted(path.name for path in (out / "sealed").iterdir()) == [
        *(f"codes-000{number}.csv.age" for number in (1, 2, 3)),
        "manifest.json",
    ]
    pieces = opened(out / "sealed", manifest, [PRINTER])
    assert [len(listed(piece)) for piece in pieces] == [PART, PART, END - 2 * PART]
    assert joined(pieces) == (out / "plain" / "codes.csv").read_bytes()
    assert (manifest.sha256, manifest.bytes) == (plain.sha256, plain.bytes)
    assert manifest.samples == ()
    with pytest.raises(pyrage.DecryptError):
        opened(out / "sealed", manifest, [pyrage.x25519.Identity.generate()])


def test_ssh_keys_and_files_of_keys_will_do(out: Path, tmp_path: Path) -> None:
    ed, ed_secret = ssh_pair(ed25519.Ed25519PrivateKey.generate())
    rsa_key, rsa_secret = ssh_pair(rsa.generate_private_key(65537, 2048))
    keys = tmp_path / "keys"
    keys.write_text(f"# the press\n{rsa_key} press@printer.example\n\n{PUBLIC}\n")
    manifest = write(out, end=100, recipients=[f"{ed} someone@printer.example", str(keys)])
    assert manifest.encryption is not None
    assert set(manifest.encryption.recipients) == {ed, rsa_key, PUBLIC}
    texts = [
        opened(out, manifest, [identity])
        for identity in (
            PRINTER,
            pyrage.ssh.Identity.from_buffer(ed_secret),
            pyrage.ssh.Identity.from_buffer(rsa_secret),
        )
    ]
    assert texts[0] == texts[1] == texts[2]


def test_a_passphrase_opens_a_key_made_for_the_package(out: Path) -> None:
    manifest = write(out, end=100, passphrase=PASSPHRASE)
    assert manifest.encryption is not None
    # As the age tool does it: the passphrase opens the identity, that opens the list.
    locked = (out / "identity.age").read_bytes()
    text = pyrage.passphrase.decrypt(locked, PASSPHRASE).decode()
    created, public, secret = text.splitlines()
    assert created == "# created: 2026-03-02T09:30:00Z"
    assert manifest.encryption.recipients == (public.removeprefix("# public key: "),)
    (piece,) = opened(out, manifest, [pyrage.x25519.Identity.from_str(secret)])
    assert len(listed(piece)) == 100
    assert "identity.age" in {file.name for file in manifest.files}

    assert checked(out) == Checked(2, None)
    identities = sealing.identities_in(out / "identity.age", PASSPHRASE)
    assert checked(out, identities=identities) == Checked(2, 100)


def test_the_codes_are_never_in_the_clear_on_the_disk(out: Path) -> None:
    write(out / "plain", end=END)
    rows = listed((out / "plain" / "codes.csv").read_bytes())
    looks = 0

    def look(done: int, total: int) -> None:
        nonlocal looks
        looks += 1
        code = rows[done - 1][1].encode()
        for path in (out / "sealed").rglob("*"):
            assert not path.is_file() or code not in path.read_bytes()

    write(out / "sealed", end=END, recipients=[PUBLIC], tell=look)
    assert looks > 3


# --- interrupted, and gone on with ------------------------------------------------------------


@pytest.mark.parametrize("done_at", [1, PART, PART + 9_000, END])
def test_an_interrupted_one_is_gone_on_with(out: Path, done_at: int) -> None:
    plain = write(out / "plain", end=END)
    with pytest.raises(KeyboardInterrupt):
        write(out / "sealed", end=END, recipients=[PUBLIC], tell=stopping_at(done_at))
    assert not (out / "sealed" / "manifest.json").exists()
    kept = {path: path.read_bytes() for path in (out / "sealed").glob("codes-*")}
    assert len(kept) == (done_at - 1) // PART, "a piece has its name once it is whole"
    manifest = write(out / "sealed", end=END, recipients=[PUBLIC])
    assert {path: path.read_bytes() for path in kept} == kept, "whole pieces are kept"
    pieces = opened(out / "sealed", manifest, [PRINTER])
    assert joined(pieces) == (out / "plain" / "codes.csv").read_bytes()
    assert manifest.sha256 == plain.sha256


def test_a_piece_that_was_changed_or_lost_meanwhile_is_written_again(out: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        write(out, end=END, recipients=[PUBLIC], tell=stopping_at(END))
    (out / "codes-0001.csv.age").unlink()
    second = (out / "codes-0002.csv.age").read_bytes()
    (out / "codes-0002.csv.age").write_bytes(second[:-1] + b"x")
    manifest = write(out, end=END, recipients=[PUBLIC])
    assert len(listed(joined(opened(out, manifest, [PRINTER])))) == END


@pytest.mark.usefixtures("quick_passphrase")
def test_a_package_with_a_passphrase_goes_on_with_its_key(out: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        write(out, end=END, passphrase=PASSPHRASE, tell=stopping_at(PART + 1))
    first = (out / "codes-0001.csv.age").read_bytes()
    with pytest.raises(WrongPassphrase):
        write(out, end=END, passphrase="another")
    manifest = write(out, end=END, passphrase=PASSPHRASE)
    assert (out / "codes-0001.csv.age").read_bytes() == first
    identities = sealing.identities_in(out / "identity.age", PASSPHRASE)
    assert len(listed(joined(opened(out, manifest, identities)))) == END


# --- what goes wrong --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "key",
    [
        "age1nothing",
        "age1yubikey1qwhatever",
        "ssh-ed25519 AAAA",
        "ssh-dss AAAAB3NzaC1kc3M=",
        "no-such-file",
    ],
)
def test_what_is_no_public_key_is_refused(key: str) -> None:
    with pytest.raises(BadRecipient):
        sealing.public_keys([key])


def test_a_secret_key_in_place_of_the_public_one_is_not_repeated(tmp_path: Path) -> None:
    secret = str(PRINTER)
    (tmp_path / "keys").write_text(f"{PUBLIC}\n{secret}\n")
    for given in (secret, str(tmp_path / "keys")):
        with pytest.raises(BadRecipient) as refusal:
            sealing.public_keys([given])
        assert secret[:20] not in str(refusal.value)
    with pytest.raises(BadRecipient):
        sealing.public_keys([PUBLIC[:-1]])


@pytest.mark.parametrize("content", [b"", b"# nothing\n", b"not a key\n", b"\xff\xfe"])
def test_a_file_without_public_keys_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "keys").write_bytes(content)
    with pytest.raises(BadRecipient):
        sealing.public_keys([str(tmp_path / "keys")])


@pytest.mark.parametrize(
    "content", [b"", b"# nothing\n", b"not a key\n", b"\xff\xfe", b"-----BEGIN X"]
)
def test_a_file_without_secret_keys_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "keys").write_bytes(content)
    with pytest.raises(BadIdentity):
        sealing.identities_in(tmp_path / "keys")


def test_a_wrong_passphrase_is_told(tmp_path: Path) -> None:
    locked = pyrage.passphrase.encrypt(str(PRINTER).encode(), PASSPHRASE, armored=False)
    (tmp_path / "identity.age").write_bytes(locked)
    assert sealing.needs_passphrase(tmp_path / "identity.age")
    with pytest.raises(WrongPassphrase):
        sealing.identities_in(tmp_path / "identity.age", "another")


def test_anothers_key_and_a_cut_file_are_told(out: Path) -> None:
    write(out, end=100, recipients=[PUBLIC])
    with pytest.raises(BadIdentity):
        checked(out, identities=[pyrage.x25519.Identity.generate()])
    assert checked(out, identities=[PRINTER]).codes == 100
    path = out / "codes-0001.csv.age"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(PackageDamaged, match=r"codes-0001\.csv\.age was changed"):
        checked(out)


class Full:
    """A disk that takes so many bytes."""

    def __init__(self, room: int) -> None:
        self._room = room

    def write(self, data: bytes) -> int:
        self._room -= len(data)
        if self._room < 0:
            raise OSError(28, "No space left on device")
        return len(data)


@pytest.mark.parametrize("room, size", [(0, 200), (100, 200), (300, 500_000), (100_000, 500_000)])
def test_a_full_disk_is_not_lost_on_the_way(room: int, size: int) -> None:
    """The library alone says nothing when the last bytes of a file cannot be written."""
    with pytest.raises(OSError, match="No space"):
        sealing.seal(iter([b"x" * size]), Full(room), [PUBLIC])


def test_what_ends_the_writing_is_what_is_raised() -> None:
    def interrupted() -> Any:
        yield b"first"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sealing.seal(interrupted(), io.BytesIO(), [PUBLIC])
    sealed = pyrage.encrypt(b"x" * 500_000, [PRINTER.to_public()])
    with pytest.raises(OSError, match="No space"):
        sealing.unseal(io.BytesIO(sealed), Full(100), [PRINTER])
