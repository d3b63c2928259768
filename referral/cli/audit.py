"""The audit log, for whoever looks after it: whether it is as it was written."""

from pathlib import Path

import click

from referral import actions
from referral.audit import seals
from referral.audit.seals import KeptHead
from referral.cli.heads import heads_option, listed, read_heads
from referral.cli.output import answer, json_option, opened


@click.group("audit")
def audit_group() -> None:
    """The audit log: who saw or changed what."""


@audit_group.command()
@heads_option
@json_option
def verify(heads: tuple[Path, ...], as_json: bool) -> None:
    """Check that what is sealed of the audit log is as it was; else exit 1.

    The first line names the first broken entry.
    """
    kept = read_heads(heads, KeptHead, "the audit log", "audit")
    with opened() as deployment, deployment.db.read() as tx:
        faults, more = listed(seals.faults(tx, kept))
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
