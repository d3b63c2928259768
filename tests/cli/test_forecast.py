import json
from pathlib import Path

import pytest

from referral import actions
from referral.deployment import Deployment
from tests.cast import cast_of, draft, open_brand
from tests.cli.conftest import Referral, check_failed, told

RULES = [
    {"when": "claim", "for": "person", "amount": 20},
    {"when": "referred_first_claim", "for": "both", "amount": 50},
]


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    file = tmp_path / "rules.json"
    file.write_text(json.dumps(RULES))
    return file


def test_rules_in_a_file_are_simulated_without_a_campaign(referral: Referral, rules: Path) -> None:
    command = ("forecast", "--rules", rules, "--budget", 30_000, "--runs", 100, "--claims", 900)
    found = told(referral(*command, "--json"))
    assert (found["runs"], found["seed"], found["measured"]) == (100, 1, [])
    assert found["assumptions"]["claims"] == 900
    assert found["paid"]["points"]["high"] <= 30_000
    assert found == told(referral(*command, "--json"))
    assert found != told(referral(*command, "--seed", 2, "--json"))
    words = referral(*command).stdout
    assert words.startswith("100 runs.")
    assert "None of it is from own figures." in words


def test_a_campaign_is_simulated_with_its_own_rules(
    referral: Referral, deployment: Deployment
) -> None:
    open_brand(deployment)
    found = told(referral("forecast", "spring", "--runs", 50, "--json"))
    assert found["assumptions"]["days"] == 90
    assert found["currency"] == "CNY"
    assert found["paid"]["points"]["middle"] > 0
    own = told(referral("forecast", "spring", "--rates", "own", "--runs", 50, "--json"))
    assert own["measured"] == []


def test_what_makes_no_sense_is_refused(referral: Referral, rules: Path, tmp_path: Path) -> None:
    def refused(*options: object) -> str:
        result = referral("forecast", *options)
        assert result.exit_code == 2, result.output
        return result.stderr

    assert "Name a campaign" in refused()
    assert "goes with a CAMPAIGN" in refused("--rules", rules, "--rates", "own")
    assert "audience" in refused("--rules", rules, "--reproduction", 1.5)
    assert "--conversion" in refused("--rules", rules, "--conversion", 2)
    assert "--wait-days" in refused("--rules", rules, "--wait-days", "nan")
    odd = tmp_path / "odd.json"
    for text in ("", "{}", '[{"when": "share"}]', json.dumps([RULES[0], RULES[0]])):
        odd.write_text(text)
        assert "--rules" in refused("--rules", odd)


def test_an_unknown_campaign_is_told(referral: Referral, deployment: Deployment) -> None:
    check_failed(referral("forecast", "winter"), "no such campaign")
    check_failed(referral("dry-run", "winter"), "no such campaign")


def test_a_dry_run_compares_with_what_was_paid(
    referral: Referral, deployment: Deployment, rules: Path
) -> None:
    brand = open_brand(deployment)
    alice, bob, _ = cast_of(brand)
    alice.claim(0)
    bob.open(alice.link())
    bob.claim(1)
    found = told(referral("dry-run", "spring", "--json"))
    assert found["purchases"] == 2
    assert found["would"] == found["really"]
    assert found["would"]["by_unit"]["points"]["amount"] == 140
    actions.add_campaign(
        deployment, draft(slug="autumn", rules=[{"when": "claim", "for": "both", "amount": 7}])
    )
    # The command's clock is the real one, and these purchases are of March.
    tried = told(referral("dry-run", "autumn", "--days", 3650, "--json"))
    assert tried["would"]["by_unit"]["points"]["amount"] == 7 + 7 + 7
    assert tried["really"]["by_unit"]["points"]["amount"] == 140
    other = told(referral("dry-run", "autumn", "--days", 3650, "--rules", rules, "--json"))
    assert other["would"]["by_unit"]["points"]["amount"] == 140
    assert (
        "21 would have been paid, 140 was" in referral("dry-run", "autumn", "--days", 3650).stdout
    )


def test_the_example_of_the_documentation_is_what_comes_out(
    referral: Referral, rules: Path
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "forecast.md").read_text()
    command, _, told_there = page.partition("    $ referral forecast ")[2].partition("\n")
    assert f'{{"when": "claim", "for": "person", "amount": {RULES[0]["amount"]}}}' in page
    arguments = [rules if word == "rules.json" else word for word in command.split()]
    shown = [line[4:] for line in told_there.split("\n\n")[0].splitlines()]
    assert referral("forecast", *arguments).stdout.splitlines() == shown
