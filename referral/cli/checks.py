"""Checking a code, or the codes of a print package."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import click

from referral import actions, lookup
from referral.cli.codes import codes
from referral.cli.output import answer, json_option, opened
from referral.cli.packages import check_package
from referral.cli.terms import terms_in_words
from referral.codes import Code
from referral.reports import checks
from referral.reports.checks import CodeCheck


@codes.command()
@click.argument("code_or_package")
@click.argument("other", required=False)
@click.option(
    "--identity",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="What opens an encrypted package: an identity file of age, or an SSH key.",
)
@click.option(
    "--passphrase-file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A file whose first line is the identity's passphrase.",
)
@click.option(
    "--unrecorded",
    is_flag=True,
    help="Also a package that this database has no record of, such as one of a lost database.",
)
@json_option
def check(
    code_or_package: str,
    other: str | None,
    identity: Path | None,
    passphrase_file: Path | None,
    unrecorded: bool,
    as_json: bool,
) -> None:
    """Say what is known of a code, as typed or as the address on a package.

    With the OTHER code on the package, say whether the two belong together; both are flagged if
    they do not. Given the folder of a print package, check that it is whole and every code in it
    genuine.
    """
    if _is_folder(code_or_package):
        if other is not None:
            raise click.UsageError("A package is compared with nothing else.")
        check_package(
            *(Path(code_or_package), identity, passphrase_file, as_json),
            may_be_unrecorded=unrecorded,
        )
        return
    if identity or passphrase_file or unrecorded:
        raise click.UsageError(f"{code_or_package} is no folder; this option is for a package.")
    with opened() as deployment:
        code, batch = lookup.find(deployment, *lookup.in_text(code_or_package))
        match = None
        if other is not None:
            second, _ = lookup.find(deployment, *lookup.in_text(other))
            match = actions.compare_labels(deployment, *lookup.pair(code, second), region=None)
        with deployment.db.read() as tx:
            found = checks.check(tx, code, batch, deployment.local_now())
    found = found.model_copy(update={"labels_match": match})
    answer(found.model_dump(mode="json"), as_json, "\n".join(_lines(code, found)))


def _is_folder(text: str) -> bool:
    try:
        return Path(text).is_dir()
    except OSError:
        return False  # a longer name than any folder has


def _lines(code: Code, found: CodeCheck) -> Iterator[str]:
    claimed = f"claimed {_time(found.claimed_at)}" if found.claimed_at else "not claimed"
    yield (
        f"{code.grouped}: {found.product} ({found.gtin}), batch {found.batch}, "
        f"index {found.index:,}, {found.state}, {claimed}."
    )
    known = [f"{found.label.capitalize()} label", _AVAILABILITY[found.availability]]
    yield "; ".join(known + terms_in_words(found.terms)) + "."
    if found.first_seen_at is None:
        yield "Not scanned yet."
    else:
        where = f" in {found.first_seen_in}" if found.first_seen_in else ""
        devices = f"{found.devices:,} device{'s' if found.devices != 1 else ''}"
        yield f"First scanned {_time(found.first_seen_at)}{where}; seen by {devices}."
    for flag in found.flags:
        where = f" in {flag.region}" if flag.region else ""
        times = "once" if flag.times == 1 else f"{flag.times:,} times"
        yield f"Flagged {flag.kind} {times}, last {_time(flag.last_at)}{where}."
    if found.labels_match is not None:
        yield _MATCH[found.labels_match]


_AVAILABILITY = {
    "on_sale": "on sale",
    "not_activated": "not on sale yet",
    "expired": "its time is over",
    "voided": "withdrawn",
    "recalled": "called back",
}
_MATCH = {
    True: "The labels match: they belong to one package.",
    False: "The labels do not match: they belong to two packages. Both are flagged.",
}


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
