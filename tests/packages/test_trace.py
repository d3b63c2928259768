"""Tracing: a leaked list, however it was shuffled and stripped, names the package it came from."""

import random
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from referral.codes import Label, grouped
from referral.packages import PrintPackage, writer
from referral.packages.order import Manifest
from referral.packages.trace import Evidence, Fit, Leak, compare, read_leak
from tests.packages.conftest import BATCH, CODEC, SIZE, Issued, listed, write
from tests.shelf import KEYS, Shelf

LEAKED = 12_000
OTHER: Any = Issued(id=8, first_index=BATCH.first_index + SIZE, size=1000)


class Directory(Shelf):
    def batch(self, batch_id: int) -> Any:
        return {BATCH.id: BATCH, OTHER.id: OTHER}[batch_id]


DIRECTORY: Any = Directory([BATCH, OTHER])


def recorded(manifest: Manifest) -> PrintPackage:
    names = ("id", "label", "start", "end", "count", "supplier", "sha256")
    columns = {name: getattr(manifest, name) for name in names}
    at = datetime(2026, 3, 2, tzinfo=UTC)
    return PrintPackage(**columns, batch_id=manifest.batch, by="tests", at=at)


@pytest.fixture(autouse=True)
def _same_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which codes are left out follows from the ids: chosen freely, one run in thousands fails."""
    ids = (f"PACKAGE{number}" for number in range(10))
    monkeypatch.setattr(writer, "new_id", lambda: next(ids))


@pytest.fixture
def handed_over(tmp_path: Path) -> dict[str, tuple[PrintPackage, Path]]:
    """Four printers got the same codes, and a fifth list is without a fingerprint."""
    found = {}
    for name in ("Ada", "Ben", "Cy", "Di", "nobody"):
        folder = tmp_path / name
        manifest = write(folder, supplier=None if name == "nobody" else name)
        found[name] = recorded(manifest), folder / "codes.csv"
    return found


def leak_of(path: Path, lines: list[str]) -> Leak:
    path.write_text("\n".join(lines))
    return read_leak(path, CODEC, DIRECTORY)


def compared(leak: Leak, handed_over: dict[str, tuple[PrintPackage, Path]]) -> list[Evidence]:
    return compare(leak, [package for package, _ in handed_over.values()], KEYS, DIRECTORY)


@pytest.mark.parametrize(
    "as_line",
    [
        pytest.param(lambda index, code, url: code, id="codes"),
        pytest.param(lambda index, code, url: url, id="addresses"),
        pytest.param(lambda index, code, url: f"{index},{code},{url}", id="as it was"),
        pytest.param(lambda index, code, url: f'"x";"{grouped(code).lower()}";12', id="retyped"),
        pytest.param(
            lambda index, code, url: code.replace("0", "O").replace("1", "l"), id="lookalikes"
        ),
    ],
)
def test_a_shuffled_sample_names_its_package(
    handed_over: dict[str, tuple[PrintPackage, Path]], tmp_path: Path, as_line: Any
) -> None:
    chance = random.Random(5)
    for name in ("Ada", "Cy"):
        rows = listed(handed_over[name][1].read_bytes())
        sample = chance.sample(rows, LEAKED)
        lines = [as_line(*row) for row in sample]
        leak = leak_of(tmp_path / "leak", ["some;heading", *lines, *lines[:50]])
        assert (leak.codes, leak.unknown) == (LEAKED, 0)
        best, *others = compared(leak, handed_over)
        assert best.package.supplier == name
        assert (best.fit, best.codes, best.left_out) == (Fit.fits, LEAKED, 0)
        assert best.odds == pytest.approx((1 - 1 / 500) ** LEAKED, rel=1e-6)
        assert {each.package.supplier: each.fit for each in others} == {
            other: Fit.unmarked if other is None else Fit.no
            for other in ("Ada", "Ben", "Cy", "Di", None)
            if other != name
        }
        assert all(each.left_out > 5 for each in others if each.fit is Fit.no)


def test_a_list_mixed_with_another_ones_codes_still_points_to_its_package(
    handed_over: dict[str, tuple[PrintPackage, Path]], tmp_path: Path
) -> None:
    rows = listed(handed_over["Ben"][1].read_bytes())
    some = listed(handed_over["nobody"][1].read_bytes())
    chance = random.Random(6)
    codes = {code for _, code, _ in chance.sample(rows, 40_000) + chance.sample(some, 4_000)}
    best, *others = compared(leak_of(tmp_path / "leak", sorted(codes)), handed_over)
    assert (best.package.supplier, best.fit) == ("Ben", Fit.in_part)
    assert best.left_out > 0
    assert {each.fit for each in others} == {Fit.no, Fit.unmarked}


def test_a_list_from_elsewhere_fits_none(
    handed_over: dict[str, tuple[PrintPackage, Path]], tmp_path: Path
) -> None:
    lines = [code for _, code, _ in listed(handed_over["nobody"][1].read_bytes())]
    evidence = compared(leak_of(tmp_path / "leak", lines), handed_over)
    assert [each.fit for each in evidence] == [Fit.unmarked] + [Fit.no] * 4


def test_a_few_codes_prove_nothing_and_say_so(
    handed_over: dict[str, tuple[PrintPackage, Path]], tmp_path: Path
) -> None:
    rows = listed(handed_over["Ada"][1].read_bytes())
    evidence = compared(leak_of(tmp_path / "leak", [rows[0][1], rows[1][1]]), handed_over)
    assert all(each.odds > 0.99 for each in evidence)


def test_only_packages_that_have_such_codes_are_looked_at(tmp_path: Path) -> None:
    first = recorded(write(tmp_path / "first", end=1000, supplier="Ada"))
    second = recorded(write(tmp_path / "second", start=1000, end=3000, supplier="Ada"))
    outer = recorded(write(tmp_path / "outer", end=3000, supplier="Ada", label=Label.outer))
    rows = listed((tmp_path / "second" / "codes.csv").read_bytes())
    leak = leak_of(tmp_path / "leak", [code for _, code, _ in rows])
    evidence = compare(leak, [first, second, outer], KEYS, DIRECTORY)
    assert [each.package.id for each in evidence] == [second.id]
    assert evidence[0].codes == len(rows)


def test_what_is_in_a_list_is_told_apart(tmp_path: Path) -> None:
    lines = [
        CODEC.encode(BATCH, 1).text,
        CODEC.encode(BATCH, 1).text.lower(),
        CODEC.encode(BATCH, 1, Label.outer).text,
        CODEC.encode(BATCH, 2, Label.outer).text,
        CODEC.encode(OTHER, 3).text,
        "0000000000000000",
        "ABCD EFGH JKMN PQRS",
        "too short",
        "06901234567892",
        "X" * 17,
    ]
    leak = leak_of(tmp_path / "leak", lines)
    assert {kind: found.tolist() for kind, found in leak.indexes.items()} == {
        (BATCH.id, Label.inner): [1],
        (BATCH.id, Label.outer): [1, 2],
        (OTHER.id, Label.inner): [3],
    }
    assert (leak.codes, leak.unknown) == (4, 2)


SPELLED = [grouped(CODEC.encode(BATCH, index).text) for index in range(3)]


@pytest.mark.parametrize(
    "line, indexes",
    [
        (f"1000 {SPELLED[0]}", [0]),
        (f"12345678 {SPELLED[0]} 1000", [0]),
        (f"1000 {SPELLED[0].replace('-', ' ')} 2026", [0]),
        (f"1000-{SPELLED[0].replace('-', '')}", [0]),
        (" ".join(SPELLED), [0, 1, 2]),
        (f"1000 {SPELLED[0]} 2000 {SPELLED[1]}", [0, 1]),
        (f"{SPELLED[0].replace('-', ' - ')}", [0]),
        *(
            (f"1000 {SPELLED[0].replace('-', dash)}", [0])
            for dash in "\u2010\u2011\u2013\u2014\u3000"
        ),
        *(
            (f"{SPELLED[0].replace('-', dash)};1000", [0])
            for dash in "\u00a0\u200b\ufe63\uff0d\u058a"
        ),
        (SPELLED[0].translate({ord(c): ord(c) + 0xFEE0 for c in SPELLED[0]}), [0]),
    ],
)
def test_the_tag_tells_where_a_code_begins(tmp_path: Path, line: str, indexes: list[int]) -> None:
    """However many groups of four stand beside it, and whatever kind of dash parts its own."""
    leak = leak_of(tmp_path / "leak", [line, line])
    assert {kind: found.tolist() for kind, found in leak.indexes.items()} == {
        (BATCH.id, Label.inner): indexes
    }
    assert leak.unknown == 0, "what overlaps a code is none by itself"


def test_what_is_no_code_however_it_is_read_counts_once(tmp_path: Path) -> None:
    lines = ["1000 ABCD-EFGH-JKMN-PQRS", "1000 ABCD-EFGH-JKMN-PQRS", f"9999 {SPELLED[2]}"]
    leak = leak_of(tmp_path / "leak", lines)
    assert (leak.codes, leak.unknown) == (1, 1)


def test_a_file_of_nothing_has_nothing(tmp_path: Path) -> None:
    for content in (b"", b"\n\n", bytes(range(256)) * 50):
        (tmp_path / "leak").write_bytes(content)
        leak = read_leak(tmp_path / "leak", CODEC, DIRECTORY)
        assert (leak.codes, leak.unknown) == (0, 0)


def test_a_list_longer_than_one_reading_is_read_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No code is lost where one reading ends and the next begins."""
    monkeypatch.setattr("referral.packages.trace.READ_BYTES", 1_000)
    codes = [code.decode() for code in CODEC.encode_many(BATCH, 0, 2_000).tolist()]
    for end in ("\n", ""):
        (tmp_path / "leak").write_text("\r\n".join(codes) + end)
        assert read_leak(tmp_path / "leak", CODEC, DIRECTORY).codes == 2_000
