"""The audit log, for whoever looks after it: whether it is as it was written."""

from pathlib import Path

import click
from pydantic import ValidationError

from referral import actions
from referral.audit import seals
from referral.audit.seals import Fault, KeptHead
from referral.cli.output import answer, json_option, opened

FAULTS_MAX = 100
"""How many broken entries are listed; the first one is what is looked for."""
HEAD_BYTES_MAX = 10_000


@click.group("audit")
def audit_group() -> None:
    """The audit log: who saw or changed what."""


@audit_group.command()
@click.option(
    "--head",
    "heads",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A head that `audit head --json` printed earlier; may be given more than once.",
)
@json_option
def verify(heads: tuple[Path, ...], as_json: bool) -> None:
    """Check that what is sealed of the audit log is as it was; else exit 1.

    The first line names the first broken entry.
    """
    kept = [_kept(path) for path in heads]
    with opened() as deployment, deployment.db.read() as tx:
        faults: list[Fault] = []
        more = 0
        for fault in seals.faults(tx, kept):
            if len(faults) < FAULTS_MAX:
                faults.append(fault)
            else:
                more += 1
        head = seals.head(tx)
    findings = [fault.words for fault in faults]
    if more:
        findings.append(f"and {more:,} more")
    found = {
        "ok": not findings,
        "findings": findings,
        "first": faults[0].entry if faults else None,
        "sealed": head.entries,
    }
    words = f"The audit log is as it was written. {head.entries:,} entries are sealed."
    answer(found, as_json, "\n".join(findings) or words)
    if findings:
        raise click.ClickException(
            f"The audit log is not as it was written: {len(faults) + more} finding(s)."
        )


def _kept(path: Path) -> KeptHead:
    with path.open("rb") as file:
        text = file.read(HEAD_BYTES_MAX)
    try:
        return KeptHead.model_validate_json(text)
    except ValidationError:
        raise click.ClickException(
            f"{path} is no head of the audit log; `referral audit head --json` prints one."
        ) from None


@audit_group.command()
@json_option
def seal(as_json: bool) -> None:
    """Chain what was written since the last time. `referral sweep` does it too.

    Running it twice, also at the same moment, does no harm; nobody who writes waits for it.
    """
    with opened() as deployment:
        sealed = actions.seal_audit_log(deployment)
    words = f"Sealed {sealed.entries:,} entries of the audit log."
    if not sealed.complete:
        words += " A transaction has been writing for too long; the rest waits for the next pass."
    answer({"entries": sealed.entries, "complete": sealed.complete}, as_json, words)


@audit_group.command()
@json_option
def head(as_json: bool) -> None:
    """Print the end of the chain, to be kept where the database's operators cannot write.

    `audit verify --head FILE` compares the chain with it.
    """
    with opened() as deployment, deployment.db.read() as tx:
        found = seals.head(tx)
    words = "Nothing is sealed yet; run `referral audit seal`."
    if found.entry:
        words = f"Entry {found.entry}: {found.hash}\n{found.entries:,} entries are sealed."
    answer(seals.as_document(found), as_json, words)
