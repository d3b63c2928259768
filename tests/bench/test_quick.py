"""Every benchmark works: each is gone through once with little of everything. Nothing is timed."""

import subprocess
import sys
from pathlib import Path

import pytest

from bench import __main__ as bench

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT_SECONDS = 120


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bench", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )


@pytest.mark.parametrize("name", bench.parts())
def test_a_part_has_rows_to_give(name: str) -> None:
    done = run("--quick", name)
    assert done.returncode == 0, done.stderr
    _machine, head, *rows = done.stdout.splitlines()
    assert head.split()[:2] == ["what", "measured"]
    assert rows
    assert all(len(row.split("  ")) > 1 for row in rows), rows


def test_every_part_says_how_it_is_gone_through_quickly() -> None:
    for name in bench.parts():
        part = bench.module(name)
        assert part.QUICK.keys() <= vars(part).keys(), name


def test_what_runs_on_demand_is_a_part() -> None:
    assert bench.ON_DEMAND.keys() <= set(bench.parts())


@pytest.mark.parametrize("arguments", [("nothing",), ("check", "--visits", "3"), ("--loud",)])
def test_what_there_is_not_is_refused(arguments: tuple[str, ...]) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert "usage: python -m bench" in done.stderr
    assert not done.stdout


def test_a_large_brand_has_its_visits_per_customer() -> None:
    done = run("large", "--visits", "10", "--customers", "9")
    assert done.returncode == 2
    assert "three visits for each customer" in done.stderr
