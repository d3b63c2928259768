"""The hand-off to a printer: writing a package, checking one, and tracing a list that leaked."""

from pathlib import Path
from typing import Any

import click

from referral import actions, batches, packages
from referral.cli.codes import batch_option, codes, end_option, start_option
from referral.cli.output import BY, answer, json_option, opened, progress
from referral.cli.setup import text_of
from referral.codes import Label
from referral.deployment import Deployment
from referral.packages import SUPPLIER_LENGTH_MAX, sealing, trace, writer
from referral.packages import folder as files
from referral.packages.check import check
from referral.packages.fingerprint import LEFT_OUT_ONE_IN
from referral.packages.order import Manifest, Order, order_for
from referral.packages.rows import Rows
from referral.packages.sealing import Identity
from referral.packages.trace import Evidence, Fit
from referral.printing.qr import LEVELS, Level

PASSPHRASE_BYTES_MAX = 4096
CERTAIN = 1e-9

passphrase_file_option = click.option(
    "--passphrase-file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A file whose first line is the passphrase.",
)


@codes.command()
@batch_option
@start_option
@end_option
@click.option("--label", type=click.Choice(Label), default=Label.inner, show_default=True)
@click.option(
    "--level",
    type=click.Choice(LEVELS),
    default="M",
    show_default=True,
    help="Error correction of the samples; Q for caps and for curved or wet packs.",
)
@click.option(
    "--supplier",
    callback=text_of(SUPPLIER_LENGTH_MAX),
    help="Who prints it. One code in 500 is left out, so that a leak tells whose it was.",
)
@click.option("--again", is_flag=True, help="Also if another supplier has codes of this range.")
@click.option(
    "--recipient",
    "recipients",
    multiple=True,
    metavar="KEY|FILE",
    help="Encrypt to a public key: age1..., ssh-ed25519 or ssh-rsa, or a file of them.",
)
@click.option("--passphrase", is_flag=True, help="Encrypt with a passphrase that is asked for.")
@passphrase_file_option
@click.option("--mark-printed", is_flag=True, help="Put the range into the state 'printed'.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True)
@json_option
def export(
    batch_id: int,
    start: int | None,
    end: int | None,
    label: Label,
    level: Level,
    supplier: str | None,
    again: bool,
    recipients: tuple[str, ...],
    passphrase: bool,
    passphrase_file: Path | None,
    mark_printed: bool,
    out: Path,
    as_json: bool,
) -> None:
    """Write a package of codes for a printer to the folder OUT.

    Interrupted, the same command goes on where it stopped. Whoever has the files has the codes:
    they are readable by their owner only. Nothing is overwritten.
    """
    if recipients and (passphrase or passphrase_file):
        raise click.UsageError("Encrypt to --recipient or with a passphrase, not both.")
    secret = _new_passphrase(passphrase, passphrase_file)
    keys = sealing.public_keys(recipients)
    with opened() as deployment:
        with deployment.db.read() as tx:
            batch = batches.batch_by_id(tx, batch_id)
        order = order_for(
            batch,
            deployment.directory.batch(batch_id).gtin,
            deployment.keys,
            deployment.config.base_url,
            start=start,
            end=end,
            label=label,
            level=level,
            supplier=supplier,
            recipients=keys,
            with_passphrase=secret is not None,
        )
        if not again:
            _check_not_given(deployment, order, out)
        now = deployment.clock.now()
        with (
            writer.begun(out, order, deployment.keys, batch.key_id, now=now) as draft,
            progress("Writing codes") as tell,
        ):
            fingerprint = order.fingerprint(deployment.keys, batch.key_id, draft.id)
            rows = Rows(deployment.codes, batch, order, fingerprint)
            manifest = draft.write(rows, tell, passphrase=secret, now=now)
            # Before the manifest: a package that is whole is always one the service knows.
            actions.record_package(
                deployment, manifest, again=again, mark_printed=mark_printed, by=BY
            )
            draft.finish(manifest)
    found = manifest.model_dump(mode="json") | {"file": out / manifest.files[0].name}
    words = f"{manifest.count:,} codes in {out}, package {manifest.id}; the addresses begin with "
    answer(found, as_json, f"{words}{manifest.address}")


def _check_not_given(deployment: Deployment, order: Order, out: Path) -> None:
    """Before the work, and not only when it is kept."""
    begun = files.notes_in(out)
    with deployment.db.read() as tx:
        packages.check_not_given(
            tx,
            package_id=begun.id if begun else None,
            batch_id=order.batch,
            label=order.label,
            start=order.start,
            end=order.end,
            supplier=order.supplier,
        )


def _new_passphrase(is_asked: bool, file: Path | None) -> str | None:
    if file is not None:
        return _passphrase_in(file)
    if is_asked:
        said: str = click.prompt("Passphrase", hide_input=True, confirmation_prompt=True, err=True)
        return said
    return None


def _passphrase_in(file: Path) -> str:
    with file.open("rb") as lines:
        text = lines.read(PASSPHRASE_BYTES_MAX).decode(errors="replace")
    first = text.splitlines()[0] if text else ""
    if not first.strip():
        raise click.ClickException(f"{file} is empty; its first line is the passphrase.")
    return first


def check_package(
    folder: Path,
    identity: Path | None,
    passphrase_file: Path | None,
    as_json: bool,
    *,
    may_be_unrecorded: bool,
) -> None:
    """What `codes check` does with a folder."""
    manifest = files.manifest_in(folder)
    identities = _identities(identity, passphrase_file)
    with opened() as deployment:
        with deployment.db.read() as tx:
            batch = batches.batch_by_id(tx, manifest.batch)
            recorded = packages.package_by_id(tx, manifest.id)
        order = _order_of(manifest, batch, deployment)
        fingerprint = order.fingerprint(deployment.keys, batch.key_id, manifest.id)
        rows = Rows(deployment.codes, batch, order, fingerprint)
        with progress("Checking the package") as tell:
            checked = check(
                folder,
                manifest,
                rows,
                recorded=recorded,
                may_be_unrecorded=may_be_unrecorded,
                identities=identities,
                tell=tell,
            )
    found = {
        "id": manifest.id,
        "batch": manifest.batch,
        "supplier": manifest.supplier,
        "start": manifest.start,
        "end": manifest.end,
        "count": manifest.count,
        "files": checked.files,
        "codes_checked": checked.codes,
        "recorded": recorded is not None,
    }
    said = (
        f"{checked.codes:,} codes are genuine and in their places"
        if checked.codes is not None
        else "the codes are encrypted and were not looked at; --identity opens them"
    )
    kept = "" if recorded else " The service has no record of this package."
    answer(found, as_json, f"Package {manifest.id}: {checked.files} files are whole; {said}.{kept}")


def _order_of(manifest: Manifest, batch: batches.Batch, deployment: Deployment) -> Order:
    return order_for(
        batch,
        deployment.directory.batch(batch.id).gtin,
        deployment.keys,
        deployment.config.base_url,
        start=manifest.start,
        end=manifest.end,
        label=manifest.label,
        level=manifest.qr.level,
        supplier=manifest.supplier,
    )


def _identities(identity: Path | None, passphrase_file: Path | None) -> list[Identity]:
    if identity is None:
        return []
    secret = None
    if passphrase_file is not None:
        secret = _passphrase_in(passphrase_file)
    elif sealing.needs_passphrase(identity):
        secret = click.prompt("Passphrase", hide_input=True, err=True)
    return sealing.identities_in(identity, secret)


@codes.command("trace")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@json_option
def trace_leak(file: Path, as_json: bool) -> None:
    """Say which package a list of codes leaked from.

    FILE holds codes or addresses, one a line or in any columns, in any order.
    """
    with opened() as deployment:
        with progress("Reading the list"):
            leak = trace.read_leak(file, deployment.codes, deployment.directory)
        if not leak.indexes:
            raise click.ClickException(f"{file} has no code of ours in it.")
        with deployment.db.read() as tx:
            known = packages.packages_of(tx, {batch_id for batch_id, _ in leak.indexes})
        evidence = trace.compare(leak, known, deployment.keys, deployment.directory)
    found = {
        "codes": leak.codes,
        "unknown": leak.unknown,
        "batches": [
            {"batch": batch_id, "label": label.value, "codes": len(indexes)}
            for (batch_id, label), indexes in sorted(leak.indexes.items())
        ],
        "packages": [_told(each) for each in evidence],
    }
    others = f"; {leak.unknown:,} more look like codes and are not" if leak.unknown else ""
    lines = [f"{leak.codes:,} different codes of ours{others}."]
    lines += [_line(each) for each in evidence] or ["No package that is known has any of them."]
    answer(found, as_json, "\n".join(lines))


def _told(evidence: Evidence) -> dict[str, Any]:
    package = evidence.package
    return {
        "id": package.id,
        "supplier": package.supplier,
        "batch": package.batch_id,
        "label": package.label,
        "start": package.start,
        "end": package.end,
        "at": package.at,
        "fit": evidence.fit.value,
        "codes": evidence.codes,
        "left_out": evidence.left_out,
        "left_out_elsewhere": round(evidence.codes / LEFT_OUT_ONE_IN, 1),
        "odds": evidence.odds,
    }


def _line(evidence: Evidence) -> str:
    package = evidence.package
    whose = (
        f"{evidence.fit:<9} {package.id}  {package.supplier or '-'}, {package.at:%Y-%m-%d}, "
        f"batch {package.batch_id} {package.label} {package.start:,} to {package.end - 1:,}: "
        f"{evidence.codes:,} codes"
    )
    if evidence.fit is Fit.unmarked:
        return f"{whose}; it has no fingerprint"
    elsewhere = evidence.codes / LEFT_OUT_ONE_IN
    return (
        f"{whose}, {evidence.left_out:,} of those it leaves out where a list from elsewhere has "
        f"about {elsewhere:,.1f}; by chance {_odds(evidence.odds)}"
    )


def _odds(odds: float) -> str:
    if odds < CERTAIN:
        return "less than 1 in a billion"
    return f"1 in {1 / odds:,.0f}" if odds < 0.5 else "as likely as not"
