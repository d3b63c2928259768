import stat
from pathlib import Path

import pytest

from referral import actions
from referral.codes import Label
from referral.printing.qr import printed_address
from tests.cast import GTIN, SIZE, Brand, issue
from tests.cli.conftest import Referral, check_failed, told
from tests.scanners import scan
from tests.sheets import pages


def test_labels_of_a_range_are_printed(referral: Referral, brand: Brand, tmp_path: Path) -> None:
    out = tmp_path / "labels.pdf"
    found = told(
        referral(
            *("codes", "print", "--batch", brand.batch.id, "--start", 10, "--end", 13),
            *("--layout", "single", "--level", "Q", "--module", 0.5, "--bleed", 2),
            *("--out", out, "--json"),
        )
    )
    assert found == {
        "batch": brand.batch.id,
        "label": "inner",
        "start": 10,
        "end": 13,
        "count": 3,
        "pages": 3,
        "version": found["version"],
        "level": "Q",
        "module_mm": 0.5,
        "width_mm": (17 + 4 * found["version"] + 8) * 0.5 + 2,
        "height_mm": found["height_mm"],
        "file": str(out),
    }
    assert stat.S_IMODE(out.stat().st_mode) == 0o600, "who has the file has the codes"
    with pages(out.read_bytes()) as labels:
        for index, page in enumerate(labels, start=10):
            code = brand.code(index).text
            assert scan(page.picture) == {printed_address("http://localhost", "https", GTIN, code)}


def test_a_sheet_is_what_is_printed_by_default(
    referral: Referral, brand: Brand, tmp_path: Path
) -> None:
    out = tmp_path / "labels.pdf"
    result = referral(
        *("codes", "print", "--batch", brand.batch.id, "--end", 5, "--mark", "for Sunrise"),
        *("--out", out),
    )
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("5 labels of 16.7 x ")
    assert f"on 1 page in {out}." in result.stdout
    with pages(out.read_bytes(), dots=4) as (sheet,):
        assert sheet.width == pytest.approx(210, abs=0.1)
        assert "for Sunrise" in sheet.text()


def test_the_whole_batch_is_printed_without_a_range(
    referral: Referral, brand: Brand, tmp_path: Path
) -> None:
    batch = actions.issue_batch(brand.deployment, gtin=GTIN, count=30, name="few", by="tests")
    out = tmp_path / "labels.pdf"
    found = told(referral("codes", "print", "--batch", batch.id, "--out", out, "--json"))
    assert (found["start"], found["end"], found["count"]) == (0, 30, 30)


def test_nothing_is_overwritten(referral: Referral, brand: Brand, tmp_path: Path) -> None:
    out = tmp_path / "labels.pdf"
    out.write_bytes(b"mine")
    command = ("codes", "print", "--batch", brand.batch.id, "--end", 1, "--out", out)
    check_failed(referral(*command), "is there already")
    assert out.read_bytes() == b"mine"
    check_failed(referral(*command[:-1], tmp_path / "no" / "x.pdf"), "No such file")
    assert referral(*command[:-1], tmp_path).exit_code == 2


def test_what_cannot_be_printed_is_refused_and_leaves_no_file(
    referral: Referral, brand: Brand, tmp_path: Path
) -> None:
    out = tmp_path / "labels.pdf"
    command = ("codes", "print", "--batch", brand.batch.id, "--out", out)
    for arguments, words in {
        ("--module", "0.39"): "0.396 mm",
        ("--module", "nan"): "0.396 mm",
        ("--module", "6"): "does not fit",
        ("--label", "outer"): "one label only",
        ("--start", "5", "--end", "5"): "not inside the batch",
        ("--end", str(SIZE + 1)): "not inside the batch",
    }.items():
        check_failed(referral(*command, *arguments), words)
    check_failed(referral("codes", "print", "--batch", 99, "--out", out), "no such batch")
    check_failed(
        referral(*command, REFERRAL_SECRET_KEYS="quite-another-key-than-before"),
        "REFERRAL_SECRET_KEYS",
    )
    for arguments in [("--level", "H"), ("--layout", "a3"), ("--bleed", "11"), ("--mark", "")]:
        assert referral(*command, *arguments).exit_code == 2
    assert not out.exists()


def test_both_labels_of_a_pair_are_printed(
    referral: Referral, brand: Brand, tmp_path: Path
) -> None:
    brand.deployment.db.transact(lambda tx: setattr(tx.merge(brand.product), "labels", "pair"))
    batch = issue(brand.deployment)
    for label in Label:
        out = tmp_path / f"{label}.pdf"
        told(
            referral(
                *("codes", "print", "--batch", batch.id, "--end", 1, "--label", label),
                *("--layout", "single", "--out", out, "--json"),
            )
        )
        code = brand.deployment.codes.encode(batch, 0, label).text
        with pages(out.read_bytes()) as (page,):
            assert scan(page.picture) == {printed_address("http://localhost", "https", GTIN, code)}
