import csv
import hashlib
import json
import stat
from pathlib import Path

import pytest

from referral import actions
from referral.batches import RangeState
from referral.codes import CodeCodec
from referral.deployment import Deployment
from tests.cast import GTIN, ON_SALE, OTHER_GTIN, SIZE, Brand, open_brand
from tests.cli.conftest import Referral, check_failed, told


@pytest.fixture
def brand(deployment: Deployment) -> Brand:
    return open_brand(deployment)


def test_a_batch_is_issued_and_put_on_sale(referral: Referral, brand: Brand) -> None:
    made = told(
        referral("codes", "issue", "--gtin", GTIN, "--count", 50, "--name", "Autumn", "--json")
    )
    assert made["count"] == 50
    assert made["name"] == "Autumn"
    batch = made["id"]
    assert told(referral("codes", "activate", "--batch", batch, "--end", 40, "--json")) == {
        "batch": batch,
        "state": "activated",
        "start": 0,
        "end": 40,
        "count": 40,
    }
    voided = referral(
        "codes", "void", "--batch", batch, "--start", 10, "--end", 12, "--reason", "lost"
    )
    assert voided.stdout == f"Codes 10 to 11 of batch {batch} are voided.\n"
    exported = brand.deployment.directory
    exported.forget()
    for index, state in {0: "activated", 11: "voided", 45: "issued"}.items():
        code = brand.deployment.codes.encode(exported.batch(batch), index).grouped
        assert told(referral("codes", "check", code, "--json"))["state"] == state


def test_what_is_not_there_is_refused(referral: Referral, brand: Brand) -> None:
    for arguments, words in {
        ("issue", "--gtin", OTHER_GTIN, "--count", "5", "--name", "x"): "product",
        ("issue", "--gtin", "06901234567893", "--count", "5", "--name", "x"): "digit",
        ("activate", "--batch", "99"): "no such batch",
        ("activate", "--batch", str(brand.batch.id), "--end", str(SIZE + 1)): "range",
        ("void", "--batch", str(brand.batch.id), "--start", "5", "--end", "5"): "range",
        ("check", "ABCD"): "does not look like",
        ("check", "0000-0000-0000-0000"): "do not know",
    }.items():
        check_failed(referral("codes", *arguments), words)


def test_a_code_is_checked_as_typed_or_as_printed(referral: Referral, brand: Brand) -> None:
    code = brand.code(7)
    url = f"http://localhost/01/{GTIN}/21/{code.text}"
    expected = {
        "code": code.text,
        "product": brand.product.name,
        "gtin": GTIN,
        "batch": brand.batch.id,
        "index": 7,
        "state": "activated",
        "claimed": False,
        "claimed_at": None,
    }
    for spelled in (code.grouped.lower(), url, f"{url}?x=1", f"https://b.example/c/{code.text}"):
        assert told(referral("codes", "check", spelled, "--json")) == expected
    other = f"http://localhost/01/{OTHER_GTIN}/21/{code.text}"
    check_failed(referral("codes", "check", other), "another product")
    wrong = f"http://localhost/01/06901234567893/21/{code.text}"
    check_failed(referral("codes", "check", wrong), "digit")


def test_a_claim_shows(referral: Referral, brand: Brand) -> None:
    customer, _ = actions.add_customer(brand.deployment, [], "Dora")
    actions.claim(brand.deployment, brand.code(3), customer)
    found = told(referral("codes", "check", brand.code(3).text, "--json"))
    assert found["claimed"] is True
    assert found["claimed_at"] == "2026-03-02T09:30:00Z"
    assert "claimed 2026-03-02 09:30 UTC" in referral("codes", "check", brand.code(3).text).stdout


def test_an_export_holds_the_codes_and_says_what_it_holds(
    referral: Referral, brand: Brand, tmp_path: Path
) -> None:
    out = tmp_path / "for" / "printer"
    manifest = told(
        referral(
            *("codes", "export", "--batch", brand.batch.id, "--start", 10, "--end", 30),
            *("--out", out, "--json"),
        )
    )
    file = out / "codes.csv"
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
        code = brand.code(int(row["index"]))
        assert row["code"] == code.text
        assert row["url"] == f"http://localhost/01/{GTIN}/21/{code.text}"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600, "who has the file has the codes"
    assert sorted(path.name for path in out.iterdir()) == ["codes.csv", "manifest.json"]


def test_an_export_is_the_whole_batch_by_default_and_overwrites_nothing(
    referral: Referral, brand: Brand, tmp_path: Path
) -> None:
    export = ("codes", "export", "--batch", brand.batch.id, "--out", tmp_path)
    assert told(referral(*export, "--json"))["count"] == SIZE
    before = (tmp_path / "codes.csv").read_bytes()
    check_failed(referral(*export, "--end", 5), "is there already")
    assert (tmp_path / "codes.csv").read_bytes() == before
    (tmp_path / "file").touch()
    assert referral("codes", "export", "--batch", 1, "--out", tmp_path / "file").exit_code == 2
    check_failed(referral(*export[:-1], tmp_path / "file" / "below"), "Not a directory")
    check_failed(referral(*export, "--start", 5, "--end", 5), "range")


def test_an_export_that_fails_leaves_nothing(
    referral: Referral, brand: Brand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode = CodeCodec.encode

    def full_disk(self: CodeCodec, batch: object, index: int) -> object:
        if index == ON_SALE:
            raise OSError(28, "No space left on device")
        return encode(self, batch, index)  # type: ignore[arg-type]

    monkeypatch.setattr(CodeCodec, "encode", full_disk)
    out = tmp_path / "out"
    check_failed(
        referral("codes", "export", "--batch", brand.batch.id, "--out", out), "No space left"
    )
    assert list(out.iterdir()) == []


def test_an_export_needs_the_batchs_own_key(
    referral: Referral, brand: Brand, tmp_path: Path
) -> None:
    result = referral(
        *("codes", "export", "--batch", brand.batch.id, "--out", tmp_path / "out"),
        REFERRAL_SECRET_KEYS="quite-another-key-than-before",
    )
    check_failed(result, "REFERRAL_SECRET_KEYS")


def test_voided_codes_say_so(referral: Referral, brand: Brand) -> None:
    actions.set_range(
        brand.deployment, brand.batch.id, RangeState.voided, start=0, end=1, by="test"
    )
    assert "voided, not claimed" in referral("codes", "check", brand.code(0).text).stdout
