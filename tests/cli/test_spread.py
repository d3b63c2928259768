from pathlib import Path

import sqlalchemy as sa

from referral.deployment import Deployment
from referral.spread.counters import GraphCount
from tests.cast import Brand, cast_of, open_brand
from tests.cli.conftest import Referral, check_failed, told


def spread(deployment: Deployment) -> Brand:
    brand = open_brand(deployment)
    alice, bob, charlie = cast_of(brand)
    bob.open(alice.link())
    charlie.open(bob.link())
    return brand


def test_the_spread_is_written_to_a_file_or_to_standard_output(
    referral: Referral, deployment: Deployment, tmp_path: Path
) -> None:
    spread(deployment)
    out = tmp_path / "spread.csv"
    export = ("spread", "export", "--campaign", "spring", "--out")
    result = referral(*export, out)
    assert (result.exit_code, result.stdout) == (0, "")
    assert len(out.read_text().splitlines()) == 4
    again = referral(*export, "-")
    assert again.stdout == out.read_text()
    graph = referral(
        "spread", "export", "--campaign", "spring", "--format", "graphml", "--out", "-"
    )
    assert graph.stdout.count("<edge ") == 2


def test_the_spread_of_no_campaign_is_refused(
    referral: Referral, deployment: Deployment, tmp_path: Path
) -> None:
    out = tmp_path / "spread.csv"
    result = referral("spread", "export", "--campaign", "winter", "--out", out)
    check_failed(result, "campaign")
    assert not out.exists()


def test_counters_are_checked_and_counted_anew(referral: Referral, deployment: Deployment) -> None:
    spread(deployment)
    assert told(referral("spread", "check", "--json")) == {"ok": True, "differences": []}
    assert told(referral("spread", "recount", "--json")) == {"nodes": 3}
    deployment.db.transact(lambda tx: tx.execute(sa.update(GraphCount).values(total=9)))
    result = referral("spread", "check")
    assert result.exit_code == 1
    assert "says Counts" in result.stdout
    assert "`referral spread recount` mends them" in result.stderr
    assert "Counted 3" in referral("spread", "recount").stdout
    assert "from scratch" in referral("spread", "check").stdout


def test_visitors_that_ran_no_page_are_sifted(referral: Referral, deployment: Deployment) -> None:
    spread(deployment)  # long ago by the real clock
    assert told(referral("spread", "sift", "--json")) == {"to_fetches": 2, "to_opens": 0}
    assert "0 openings turned out to be machines'" in referral("spread", "sift").stdout
    assert told(referral("spread", "check", "--json")) == {"ok": True, "differences": []}
