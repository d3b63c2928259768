"""`referral audit`: what was written is sealed, and what was changed since is named."""

import json
from pathlib import Path

import pytest

from referral import actions
from referral.audit import seals
from referral.deployment import Deployment
from referral.staff import Role
from tests.cli.conftest import Referral, told

PASSWORD = "four ordinary words here"


@pytest.fixture(autouse=True)
def _written(deployment: Deployment) -> None:
    for name in ("olga", "otto"):
        email = f"{name}@brand.example"
        actions.add_staff(deployment, email=email, password=PASSWORD, role=Role.owner)


def test_the_log_is_sealed_and_verified(referral: Referral) -> None:
    assert "Nothing is sealed yet" in referral("audit", "head").stdout
    assert told(referral("audit", "seal", "--json")) == {"entries": 2, "complete": True}
    assert referral("audit", "seal").stdout == "Sealed 0 entries of the audit log.\n"
    said = referral("audit", "verify")
    assert said.exit_code == 0
    assert said.stdout == "The audit log is as it was written. 2 entries are sealed.\n"
    assert told(referral("audit", "head", "--json"))["entries"] == 2


def test_what_does_not_fit_a_kept_head_is_found(referral: Referral, tmp_path: Path) -> None:
    referral("audit", "seal")
    kept = told(referral("audit", "head", "--json"))
    path = tmp_path / "head.json"
    path.write_text(json.dumps(kept))
    assert referral("audit", "verify", "--head", str(path)).exit_code == 0
    path.write_text(json.dumps({**kept, "hash": "0" * 64}))
    refused = referral("audit", "verify", "--head", str(path), "--json")
    assert refused.exit_code == 1
    assert json.loads(refused.stdout)["findings"] == [
        f"entry {kept['entry']} is not the one of the exported head"
    ]
    path.write_text("{}")
    refused = referral("audit", "verify", "--head", str(path))
    assert refused.exit_code == 1
    assert "is no head of the audit log" in refused.stderr


def test_the_first_line_names_the_first_entry_that_was_changed(
    referral: Referral, monkeypatch: pytest.MonkeyPatch
) -> None:
    referral("audit", "seal")
    monkeypatch.setattr(seals, "hash_of", lambda _: b"another")  # what a changed row comes to
    monkeypatch.setattr("referral.cli.heads.FAULTS_MAX", 1)
    refused = referral("audit", "verify")
    assert refused.exit_code == 1
    assert refused.stdout.startswith("entry 1 was changed\nand 1 more\n")
    assert "The audit log is not as it was written: 2 finding(s)." in refused.stderr
