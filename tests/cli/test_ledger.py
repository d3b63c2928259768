import json
from pathlib import Path

import pytest
import sqlalchemy as sa

from referral import actions
from referral.cli import ledger as ledger_commands
from referral.clock import DatabaseClock, HeldClock
from referral.deployment import Deployment
from referral.ledger import Account, LedgerEntry
from tests.cast import cast_of, open_brand
from tests.cli.conftest import Referral, check_failed, told
from tests.ledger.test_seals import around_the_guards

NOTHING_SEALED = {"blocks": 0, "entries": 0, "postings": 0}


def test_a_ledger_that_adds_up(referral: Referral, deployment: Deployment) -> None:
    open_brand(deployment)
    good = {"ok": True, "findings": [], "first": None, "sealed": NOTHING_SEALED}
    assert told(referral("ledger", "verify", "--json")) == good
    said = referral("ledger", "verify").stdout
    assert said == "The ledger adds up. 0 entries are sealed, in 0 blocks.\n"


def test_a_ledger_that_does_not_add_up_fails(referral: Referral, deployment: Deployment) -> None:
    open_brand(deployment)

    def add(amount: int) -> None:
        more = sa.update(Account).where(Account.kind == "budget")
        deployment.db.transact(lambda tx: tx.execute(more.values(balance=Account.balance + amount)))

    add(5)
    for command in (["ledger", "verify"], ["doctor"]):
        result = referral(*command)
        assert result.exit_code == 1
        assert "its postings" in result.stdout
        assert result.stderr.startswith("Error: ")
    add(-5)


def test_what_was_posted_is_sealed(referral: Referral, deployment: Deployment) -> None:
    alice, *_ = cast_of(open_brand(deployment))
    alice.claim(0)
    said = referral("ledger", "head")
    assert said.stdout == "Nothing is sealed yet; run `referral ledger seal`.\n"
    sealed = told(referral("ledger", "seal", "--json"))
    assert sealed["entries"] >= 2
    assert (sealed["blocks"], sealed["complete"]) == (1, True)
    assert told(referral("ledger", "seal", "--json")) == {
        "entries": 0,
        "blocks": 0,
        "complete": True,
    }
    assert told(referral("ledger", "verify", "--json"))["sealed"]["entries"] == sealed["entries"]
    head = told(referral("ledger", "head", "--json"))
    assert set(head) == {"block", "hash", "at", "entries", "postings", "last_entry"}
    assert (head["block"], head["entries"]) == (1, sealed["entries"])
    assert head["hash"] in referral("ledger", "head").stdout


def test_somebody_who_posts_for_ever_is_not_waited_for(
    referral: Referral, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_brand(deployment)
    stuck = actions.Sealed(0, 0, complete=False)
    monkeypatch.setattr(ledger_commands.actions, "seal", lambda _: stuck)
    assert "has been posting for too long" in referral("ledger", "seal").stdout


def test_a_kept_head_is_compared(
    referral: Referral, deployment: Deployment, tmp_path: Path
) -> None:
    alice, *_ = cast_of(open_brand(deployment))
    alice.claim(0)
    referral("ledger", "seal")
    kept = tmp_path / "head.json"
    kept.write_text(referral("ledger", "head", "--json").stdout)
    alice.claim(1)
    referral("ledger", "seal")
    assert told(referral("ledger", "verify", "--head", kept, "--json"))["ok"] is True

    other = tmp_path / "other.json"
    other.write_text(json.dumps({**json.loads(kept.read_text()), "hash": "0" * 64}))
    result = referral("ledger", "verify", "--head", kept, "--head", other)
    assert result.exit_code == 1
    assert result.stdout == "block 1 is not the one of the exported head\n"


@pytest.mark.parametrize("text", ["", "[]", "{", '{"block": 1}', "\0\xff", "9" * 20_000])
def test_it_says_so_when_a_file_is_no_head(
    referral: Referral, deployment: Deployment, tmp_path: Path, text: str
) -> None:
    file = tmp_path / "head.json"
    file.write_text(text, encoding="latin-1")
    check_failed(referral("ledger", "verify", "--head", file), "is no head of the ledger")
    assert referral("ledger", "verify", "--head", tmp_path / "none").exit_code == 2


def test_what_is_broken_is_named_and_the_first_of_it_is_told(
    referral: Referral, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, *_ = cast_of(open_brand(deployment))
    alice.claim(0)
    actions.seal(deployment)
    monkeypatch.setattr("referral.cli.heads.FAULTS_MAX", 1)
    with around_the_guards(deployment, keep=True) as tx:
        tx.execute(sa.update(LedgerEntry).values(what="x"))
    result = referral("ledger", "verify", "--json")
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert found["ok"] is False
    assert found["first"] == {"block": 1, "entry": 1, "posting": None}
    assert found["findings"][0] == "entry 1 was changed"
    assert found["findings"][1].endswith(" more of what was sealed")
    assert result.stderr.startswith("Error: The ledger is not right: ")


def test_doctor_says_when_nothing_is_sealed_any_more(
    referral: Referral, deployment: Deployment, clock: HeldClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def seals() -> tuple[str, bool]:
        (check,) = (
            each for each in told(referral("doctor", "--json"))["checks"] if each["name"] == "seals"
        )
        return check["words"], check["alarm"]

    monkeypatch.setattr(DatabaseClock, "now", lambda _: clock.now())
    assert seals() == ("0 blocks", False)
    open_brand(deployment)
    posted = clock.now()
    clock.advance(days=2)
    assert seals() == ("0 blocks", False)
    clock.advance(seconds=1)
    words, alarm = seals()
    assert words == (
        f"nothing that was posted since {posted:%Y-%m-%d %H:%M} UTC is sealed; "
        "run `referral ledger seal` every night"
    )
    assert alarm
    referral("ledger", "seal")
    assert seals() == ("1 blocks", False)
