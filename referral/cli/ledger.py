"""The ledger, for whoever looks after it: whether it adds up, and seals on what was written."""

from pathlib import Path

import click

from referral import actions, ledger
from referral.cli.heads import heads_option, listed, read_heads
from referral.cli.output import answer, json_option, opened
from referral.ledger import seals
from referral.ledger.seals import Fault, KeptHead


@click.group("ledger")
def ledger_group() -> None:
    """The ledger."""


@ledger_group.command()
@heads_option
@json_option
def verify(heads: tuple[Path, ...], as_json: bool) -> None:
    """Check that every entry sums to zero, every balance is what was posted, and that what is
    sealed is as it was; else exit 1.

    The first line names the first broken posting.
    """
    kept = read_heads(heads, KeptHead, "the ledger", "ledger")
    with opened() as deployment, deployment.db.read() as tx:
        faults, more = listed(seals.faults(tx, kept))
        sums = ledger.verify(tx)
        head = seals.head(tx)
    findings = [fault.words for fault in faults]
    if more:
        findings.append(f"and {more:,} more of what was sealed")
    findings += sums
    found = {
        "ok": not findings,
        "findings": findings,
        "first": _first(faults),
        "sealed": {"blocks": head.block, "entries": head.entries, "postings": head.postings},
    }
    sealed = f"{head.entries:,} entries are sealed, in {head.block:,} blocks."
    answer(found, as_json, "\n".join(findings) or f"The ledger adds up. {sealed}")
    if findings:
        raise click.ClickException(
            f"The ledger is not right: {len(findings) + max(0, more - 1)} finding(s)."
        )


def _first(faults: list[Fault]) -> dict[str, int | None] | None:
    if not faults:
        return None
    return {"block": faults[0].block, "entry": faults[0].entry, "posting": faults[0].posting}


@ledger_group.command()
@json_option
def seal(as_json: bool) -> None:
    """Chain what was posted since the last time into blocks. To be run every hour or every night.

    Running it twice, also at the same moment, does no harm; nobody who posts waits for it.
    """
    with opened() as deployment:
        sealed = actions.seal(deployment)
    found = {"entries": sealed.entries, "blocks": sealed.blocks, "complete": sealed.complete}
    words = f"Sealed {sealed.entries:,} entries in {sealed.blocks:,} blocks."
    if not sealed.complete:
        words += " A transaction has been posting for too long; the rest waits for the next pass."
    answer(found, as_json, words)


@ledger_group.command()
@json_option
def head(as_json: bool) -> None:
    """Print the end of the chain, to be kept where the database's operators cannot write.

    `ledger verify --head FILE` compares the chain with it.
    """
    with opened() as deployment, deployment.db.read() as tx:
        found = seals.head(tx)
    words = "Nothing is sealed yet; run `referral ledger seal`."
    if found.at is not None:
        words = (
            f"Block {found.block} of {found.at:%Y-%m-%d %H:%M} UTC: {found.hash}\n"
            f"{found.entries:,} entries with {found.postings:,} postings are sealed."
        )
    answer(seals.as_document(found), as_json, words)
