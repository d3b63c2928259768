import csv
import hashlib
import json
import os
import random
import resource
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyrage
import pytest

from referral import actions, packages
from referral.batches import Batch
from referral.codes import Label, Labels
from referral.config import Config
from referral.deployment import Deployment
from referral.packages import writer
from referral.packages.folder import held
from tests.cast import GTIN, ON_SALE, SIZE, Brand, open_brand
from tests.cli.conftest import Referral, check_failed, told
from tests.conftest import settings_of
from tests.packages.conftest import quick_passphrase  # noqa: F401 - a fixture

ADDRESS = f"http://LOCALHOST/01/{GTIN}/21/"
MANY, PART = 60_000, 20_000

# `referral`, killed when it has written so many indexes.
_KILLED = """
import os, signal, sys
from referral.packages import rows, writer
from referral.cli import main

writer.PART, kill_at = int(sys.argv.pop(1)), int(sys.argv.pop(1))
chunks = rows.Rows.chunks

def dying(self, start, end):
    for chunk in chunks(self, start, end):
        yield chunk
        if chunk.end >= kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

if kill_at:
    rows.Rows.chunks = dying
main()
"""


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that there are several without hundreds of megabytes."""
    monkeypatch.setattr(writer, "PART", PART)


@pytest.fixture
def brand(deployment: Deployment) -> Brand:
    return open_brand(deployment, labels=Labels.pair)


@pytest.fixture
def many(brand: Brand) -> Batch:
    return actions.issue_batch(
        brand.deployment, gtin=GTIN, count=MANY, name="a larger batch", by="tests"
    )


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "for" / "printer"


def run(
    config: Config, *arguments: object, kill_at: int = 0, file_size: int | None = None
) -> subprocess.CompletedProcess[str]:
    """The command as a process of its own."""

    def limit() -> None:
        if file_size is not None:
            # The signal that comes with it would end the process; full disks send none.
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size))

    command = [sys.executable, "-c", _KILLED, str(PART), str(kill_at), *map(str, arguments)]
    environment = {**os.environ, **settings_of(config), "REFERRAL_BASE_URL": "http://localhost"}
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, preexec_fn=limit
    )


def export(batch: Batch, out: Path, *options: object) -> tuple[object, ...]:
    return ("codes", "export", "--batch", batch.id, "--out", out, *options, "--json")


def content(folder: Path) -> dict[str, bytes]:
    """Every file, but for what differs between two packages: the manifest."""
    found = [path for path in folder.rglob("*") if path.is_file()]
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in found
        if path.name != "manifest.json"
    }


def test_an_export_holds_the_codes_and_says_what_it_holds(
    referral: Referral, brand: Brand, out: Path
) -> None:
    manifest = told(referral(*export(brand.batch, out, "--start", 10, "--end", 30)))
    file = out / "codes.csv"
    assert manifest["file"] == str(file)
    assert manifest["count"] == 20
    assert (manifest["start"], manifest["end"]) == (10, 30)
    assert manifest["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert json.loads((out / "manifest.json").read_text()) == {
        key: value for key, value in manifest.items() if key != "file"
    }
    with file.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert [int(row["index"]) for row in rows] == list(range(10, 30))
    for row in rows:
        code = brand.code(int(row["index"])).text
        assert (row["code"], row["url"]) == (code, ADDRESS + code)
    assert stat.S_IMODE(out.stat().st_mode) == 0o700, "who has the files has the codes"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert sorted(path.name for path in out.iterdir()) == ["codes.csv", "manifest.json", "samples"]


def test_what_is_printed_is_found_again(referral: Referral, brand: Brand, out: Path) -> None:
    """The address is in capitals; a phone's scan of it is the code's page."""
    told(referral(*export(brand.batch, out, "--label", "outer", "--end", 3)))
    with (out / "codes.csv").open(newline="") as lines:
        last = list(csv.DictReader(lines))[-1]
    code = brand.deployment.read_code(last["url"].rpartition("/")[2])
    assert (code.index, code.label) == (2, Label.outer)
    assert told(referral("codes", "check", last["url"], "--json"))["index"] == 2


def test_an_export_is_the_whole_batch_by_default_and_overwrites_nothing(
    referral: Referral, brand: Brand, tmp_path: Path
) -> None:
    assert told(referral(*export(brand.batch, tmp_path)))["count"] == SIZE
    before = (tmp_path / "codes.csv").read_bytes()
    check_failed(referral(*export(brand.batch, tmp_path, "--end", 5)), "never overwritten")
    assert (tmp_path / "codes.csv").read_bytes() == before
    (tmp_path / "file").touch()
    assert referral(*export(brand.batch, tmp_path / "file")).exit_code == 2
    check_failed(referral(*export(brand.batch, tmp_path / "file" / "below")), "Not a directory")
    new = tmp_path / "new"
    check_failed(referral(*export(brand.batch, new, "--start", 5, "--end", 5)), "range")
    assert not new.exists()


def test_an_export_needs_the_batchs_own_key(referral: Referral, brand: Brand, out: Path) -> None:
    result = referral(
        *export(brand.batch, out), REFERRAL_SECRET_KEYS="quite-another-key-than-before"
    )
    check_failed(result, "REFERRAL_SECRET_KEYS")
    assert not out.exists()


def test_the_range_is_marked_printed_only_if_asked(
    referral: Referral, brand: Brand, tmp_path: Path
) -> None:
    def state(index: int) -> str:
        return str(told(referral("codes", "check", brand.code(index).text, "--json"))["state"])

    told(referral(*export(brand.batch, tmp_path / "first", "--start", ON_SALE)))
    assert state(ON_SALE) == "issued"
    told(referral(*export(brand.batch, tmp_path / "second", "--end", 800, "--mark-printed")))
    assert [state(index) for index in (ON_SALE, 799, 800, 0)] == [
        "printed",
        "printed",
        "issued",
        "activated",
    ]


# --- interrupted ------------------------------------------------------------------------------


@pytest.mark.parametrize("supplier", [(), ("--supplier", "Ada")])
def test_killed_in_the_middle_and_run_again_it_has_the_same_bytes(
    config: Config, referral: Referral, many: Batch, tmp_path: Path, supplier: tuple[str, ...]
) -> None:
    broken, whole = tmp_path / "broken", tmp_path / "whole"
    killed = run(config, *export(many, broken, *supplier), kill_at=MANY // 2)
    assert killed.returncode == -signal.SIGKILL
    assert {path.name for path in broken.iterdir()} == {
        ".lock",
        ".package.json",
        ".codes.csv.draft",
    }
    draft = (broken / ".codes.csv.draft").read_bytes()
    # The same package, by its id, that nothing happens to.
    whole.mkdir()
    (whole / ".package.json").write_bytes((broken / ".package.json").read_bytes())

    once, again = (told(referral(*export(many, folder, *supplier))) for folder in (whole, broken))
    assert content(broken) == content(whole)
    assert {**once, "file": None} == {**again, "file": None}
    text = (broken / "codes.csv").read_bytes()
    assert 0 < len(draft) < len(text)
    assert text.startswith(draft)


def test_killed_in_an_encrypted_piece_and_run_again_it_has_the_same_codes(
    config: Config, referral: Referral, many: Batch, tmp_path: Path
) -> None:
    printer = pyrage.x25519.Identity.generate()
    sealed, plain = tmp_path / "sealed", tmp_path / "plain"
    arguments = export(many, sealed, "--recipient", printer.to_public())
    killed = run(config, *arguments, kill_at=PART + 1)
    assert killed.returncode == -signal.SIGKILL
    assert {path.name for path in sealed.iterdir()} == {
        ".lock",
        ".package.json",
        "codes-0001.csv.age",
        ".codes-0002.csv.age.draft",
    }
    first = (sealed / "codes-0001.csv.age").read_bytes()
    manifest = told(referral(*arguments))
    assert (sealed / "codes-0001.csv.age").read_bytes() == first
    told(referral(*export(many, plain)))
    text = b"index,code,url\n"
    for file in manifest["files"]:
        piece = pyrage.decrypt((sealed / file["name"]).read_bytes(), [printer])
        assert piece.startswith(b"index,code,url\n")
        text += piece.partition(b"\n")[2]
    assert text == (plain / "codes.csv").read_bytes()


def test_a_full_disk_is_said_and_gone_on_with(
    config: Config, referral: Referral, many: Batch, out: Path
) -> None:
    # Room for the database's files, not for the list.
    failed = run(config, *export(many, out), file_size=2 << 20)
    assert failed.returncode == 1
    assert failed.stdout == ""
    assert failed.stderr.splitlines()[-1] == f"Error: {out}: File too large"
    assert not (out / "manifest.json").exists()
    assert told(referral(*export(many, out)))["count"] == MANY


def test_an_unfinished_package_of_another_order_is_refused(
    config: Config, referral: Referral, many: Batch, out: Path
) -> None:
    assert run(config, *export(many, out), kill_at=100).returncode == -signal.SIGKILL
    check_failed(referral(*export(many, out, "--end", 7)), "Its end was 60000")
    check_failed(referral("codes", "check", out), "no finished package")
    with held(out):
        check_failed(referral(*export(many, out)), "Another process")
    assert told(referral(*export(many, out)))["count"] == MANY


@pytest.mark.parametrize("place", ["/proc/self/out", "/proc/self"])
def test_a_folder_that_cannot_be_written_is_said(
    referral: Referral, brand: Brand, place: str
) -> None:
    """Not even root writes here."""
    check_failed(referral(*export(brand.batch, place)), f"{place}")


# --- encrypted --------------------------------------------------------------------------------


@pytest.mark.usefixtures("quick_passphrase")
@pytest.mark.parametrize("is_asked", [True, False])
def test_a_passphrase_is_asked_for_or_read(
    referral: Referral, brand: Brand, tmp_path: Path, out: Path, is_asked: bool
) -> None:
    file = tmp_path / "passphrase"
    file.write_text("six words of mine\nand a line that does not count\n")
    secret: dict[str, Any] = {}
    if is_asked:
        secret["text"] = "six words of mine\nsix words of mine\n"
    option = ("--passphrase",) if is_asked else ("--passphrase-file", file)
    manifest = told(referral(*export(brand.batch, out, *option), **secret))
    assert manifest["encryption"]["identity"] == "identity.age"
    assert manifest["file"] == str(out / "codes-0001.csv.age")

    found = told(referral("codes", "check", out, "--json"))
    assert (found["files"], found["codes_checked"]) == (2, None)
    assert "were not looked at" in referral("codes", "check", out).stdout
    identity = ("--identity", out / "identity.age")
    opened = referral(*("codes", "check", out, *identity, "--passphrase-file", file, "--json"))
    assert told(opened)["codes_checked"] == SIZE
    asked = referral("codes", "check", out, *identity, "--json", text="six words of mine\n")
    assert told(asked)["codes_checked"] == SIZE
    file.write_text("another")
    check_failed(
        referral("codes", "check", out, *identity, "--passphrase-file", file), "another one"
    )
    file.write_text("\n")
    check_failed(referral(*export(brand.batch, out / "x", "--passphrase-file", file)), "is empty")


@pytest.mark.parametrize(
    "recipient, words",
    [
        ("age1nothing", "is broken"),
        ("ssh-ed25519 AAAA", "is broken"),
        ("nowhere", "nor is there a file"),
    ],
)
def test_a_bad_recipient_is_refused_before_anything_is_written(
    referral: Referral, brand: Brand, out: Path, recipient: str, words: str
) -> None:
    check_failed(referral(*export(brand.batch, out, "--recipient", recipient)), words)
    assert not out.exists()


def test_to_a_key_and_with_a_passphrase_is_wrong_usage(
    referral: Referral, brand: Brand, out: Path
) -> None:
    result = referral(*export(brand.batch, out, "--recipient", "age1x", "--passphrase"))
    assert result.exit_code == 2
    assert "not both" in result.stderr


# --- checked and traced -----------------------------------------------------------------------


def test_a_package_is_checked(referral: Referral, brand: Brand, out: Path) -> None:
    manifest = told(referral(*export(brand.batch, out, "--supplier", "Ada")))
    assert told(referral("codes", "check", out, "--json")) == {
        "id": manifest["id"],
        "batch": brand.batch.id,
        "supplier": "Ada",
        "start": 0,
        "end": SIZE,
        "count": manifest["count"],
        "files": 4,
        "codes_checked": manifest["count"],
        "recorded": True,
    }
    text = (out / "codes.csv").read_bytes()
    (out / "codes.csv").write_bytes(text.replace(b",", b";", 7))
    check_failed(referral("codes", "check", out), "codes.csv")
    assert referral("codes", "check", brand.code(1).text, "--identity", __file__).exit_code == 2


def test_a_package_the_service_does_not_know_is_told(
    referral: Referral, brand: Brand, out: Path
) -> None:
    told(referral(*export(brand.batch, out, "--end", 5)))
    manifest = json.loads((out / "manifest.json").read_text())
    (out / "manifest.json").write_text(json.dumps({**manifest, "id": "0000000000"}))
    check_failed(referral("codes", "check", out), "no record of a package 0000000000")
    known = ("codes", "check", out, "--unrecorded")
    assert told(referral(*known, "--json"))["recorded"] is False
    assert "no record" in referral(*known).stdout
    assert referral("codes", "check", brand.code(1).text, "--unrecorded").exit_code == 2
    (out / "manifest.json").write_text(json.dumps({**manifest, "start": -5}))
    check_failed(referral("codes", "check", out), "range is not inside")
    (out / "manifest.json").write_text(json.dumps({**manifest, "batch": 2**70}))
    check_failed(referral("codes", "check", out), "not what an export writes")


def test_a_leaked_list_names_whose_it_was(referral: Referral, many: Batch, tmp_path: Path) -> None:
    for name in ("Ada", "Ben", "Cy"):
        again = () if name == "Ada" else ("--again",)
        told(referral(*export(many, tmp_path / name, "--supplier", name, *again)))
    with (tmp_path / "Ben" / "codes.csv").open(newline="") as lines:
        urls = [row["url"] for row in csv.DictReader(lines)]
    leak = tmp_path / "leak.txt"
    leak.write_text("\n".join(random.Random(1).sample(urls, 9_000)))
    found = told(referral("codes", "trace", leak, "--json"))
    assert (found["codes"], found["unknown"]) == (9_000, 0)
    assert found["batches"] == [{"batch": many.id, "label": "inner", "codes": 9_000}]
    best, *others = found["packages"]
    assert (best["supplier"], best["fit"], best["left_out"]) == ("Ben", "fits", 0)
    assert best["left_out_elsewhere"] == 18
    assert best["odds"] < 1e-7
    assert {(each["supplier"], each["fit"]) for each in others} == {("Ada", "no"), ("Cy", "no")}
    words = referral("codes", "trace", leak).stdout.splitlines()
    assert words[0] == "9,000 different codes of ours."
    assert words[1].startswith(f"fits      {best['id']}  Ben, ")

    (tmp_path / "nothing").write_text("nothing of ours\n")
    check_failed(referral("codes", "trace", tmp_path / "nothing"), "no code of ours")
    assert referral("codes", "trace", tmp_path / "missing").exit_code == 2


def test_codes_in_no_package_are_told(referral: Referral, brand: Brand, tmp_path: Path) -> None:
    (tmp_path / "leak").write_text(f"{brand.code(3).text}\nABCD-EFGH-JKMN-PQRS\n")
    assert referral("codes", "trace", tmp_path / "leak").stdout.splitlines() == [
        "1 different codes of ours; 1 more look like codes and are not.",
        "No package that is known has any of them.",
    ]


def test_a_range_goes_to_one_supplier(referral: Referral, brand: Brand, tmp_path: Path) -> None:
    told(referral(*export(brand.batch, tmp_path / "a", "--end", 500, "--supplier", "Ada")))
    later = export(brand.batch, tmp_path / "b", "--start", 499, "--supplier", "Ben")
    check_failed(referral(*later), "went to Ada; --again hands the codes out once more")
    assert not (tmp_path / "b").exists()
    told(referral(*later, "--again"))
    with brand.deployment.db.read() as tx:
        kept = packages.packages_of(tx, [brand.batch.id])
    assert [package.supplier for package in kept] == ["Ada", "Ben"]
