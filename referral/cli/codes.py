"""Codes: issuing batches, checking a code or a package."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from referral import actions, lookup
from referral.batches import NAME_LENGTH_MAX, SIZE_MAX, Scheme
from referral.cli.output import BATCH_ID, BY, INT64_MAX, answer, json_option, opened
from referral.cli.setup import text_of
from referral.cli.terms import terms_in_words, terms_of, terms_options
from referral.codes import Code
from referral.gs1.gtin import gtin14
from referral.reports import checks
from referral.reports.checks import CodeCheck

batch_option = click.option("--batch", "batch_id", type=BATCH_ID, required=True)
start_option = click.option("--start", type=click.IntRange(0, INT64_MAX), help="First index.")
end_option = click.option(
    "--end", type=click.IntRange(1, INT64_MAX), help="One past the last index."
)


@click.group()
def codes() -> None:
    """Codes and the batches they are made in."""


@codes.command()
@click.option("--gtin", required=True, help="The product's.")
@click.option("--count", type=click.IntRange(1, SIZE_MAX), required=True)
@click.option("--name", callback=text_of(NAME_LENGTH_MAX), required=True)
@click.option(
    "--scheme",
    type=click.Choice([scheme.value for scheme in Scheme]),
    default=Scheme.small.value,
    show_default=True,
    help="How printed addresses begin. In capitals the QR code is smallest; "
    "some phones do not open one like that.",
)
@terms_options
@json_option
def issue(gtin: str, count: int, name: str, scheme: str, as_json: bool, **options: Any) -> None:
    """Issue a batch of codes. They are worth nothing until they are activated."""
    with opened() as deployment:
        with deployment.db.read() as tx:
            terms = terms_of(deployment, options).terms(tx)
        batch = actions.issue_batch(
            deployment,
            gtin=gtin,
            count=count,
            name=name,
            scheme=Scheme(scheme),
            terms=terms,
            by=BY,
        )
    found = {"id": batch.id, "gtin": gtin14(gtin), "count": batch.size, "name": batch.name}
    found |= {"labels": batch.labels, "scheme": batch.scheme}
    answer(found, as_json, f"Batch {batch.id}: {batch.size:,} codes of {found['gtin']}.")


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
        from referral.cli.packages import check_package  # its commands are added to `codes` here

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
