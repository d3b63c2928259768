"""Codes: issuing batches, exporting them for a printer, putting ranges on sale, checking one."""

import csv
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any
from urllib.parse import unquote, urlsplit

import click

from referral import actions, batches, catalog, claims
from referral.batches import NAME_LENGTH_MAX, REASON_LENGTH_MAX, SIZE_MAX, BadRange, RangeState
from referral.cli.output import BY, answer, json_option, opened, progress
from referral.cli.setup import text_of
from referral.deployment import Deployment
from referral.reports import batches as batch_reports

CHUNK = 1_000
"""How many codes are written between two steps of the progress bar."""
CODES_FILE, MANIFEST_FILE = "codes.csv", "manifest.json"

batch_option = click.option("--batch", "batch_id", type=click.IntRange(1), required=True)
start_option = click.option("--start", type=click.IntRange(0), help="First index.")
end_option = click.option("--end", type=click.IntRange(1), help="One past the last index.")


@click.group()
def codes() -> None:
    """Codes and the batches they are made in."""


@codes.command()
@click.option("--gtin", required=True, help="The product's.")
@click.option("--count", type=click.IntRange(1, SIZE_MAX), required=True)
@click.option("--name", callback=text_of(NAME_LENGTH_MAX), required=True)
@json_option
def issue(gtin: str, count: int, name: str, as_json: bool) -> None:
    """Issue a batch of codes. They are worth nothing until they are activated."""
    with opened() as deployment:
        batch = actions.issue_batch(deployment, gtin=gtin, count=count, name=name, by=BY)
    found = {"id": batch.id, "gtin": catalog.gtin14(gtin), "count": batch.size, "name": batch.name}
    answer(found, as_json, f"Batch {batch.id}: {batch.size:,} codes of {found['gtin']}.")


@codes.command()
@batch_option
@start_option
@end_option
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True)
@json_option
def export(batch_id: int, start: int | None, end: int | None, out: Path, as_json: bool) -> None:
    """Write codes to OUT/codes.csv, and what it holds to OUT/manifest.json.

    Whoever has the file has the codes: it is readable by its owner only. Nothing is overwritten.
    """
    with opened() as deployment, progress("Writing codes") as tell:
        manifest = _export(deployment, batch_id, start, end, out, tell)
    where = out / CODES_FILE
    answer(manifest | {"file": where}, as_json, f"{manifest['count']:,} codes in {where}.")


def _export(
    deployment: Deployment,
    batch_id: int,
    start: int | None,
    end: int | None,
    out: Path,
    tell: Callable[[int, int], None],
) -> dict[str, Any]:
    with deployment.db.read() as tx:
        batch = batches.batch_by_id(tx, batch_id)
        report = batch_reports.one(tx, batch_id)
    first, last = start or 0, batch.size if end is None else end
    if not first < last <= batch.size:
        raise BadRange(size=batch.size)
    if batch.key_id not in deployment.keys.key_ids:
        raise click.ClickException(
            f"The key this batch was made with ({batch.key_id}) is not in REFERRAL_SECRET_KEYS."
        )
    out.mkdir(parents=True, exist_ok=True)
    for name in (CODES_FILE, MANIFEST_FILE):
        if (out / name).exists():
            raise click.ClickException(f"{out / name} is there already; choose another folder.")
    digest = hashlib.sha256()
    # Under another name until it is whole, so that half a file is never taken for all of it.
    draft = out / f".{CODES_FILE}.{os.getpid()}"
    try:
        with _private(draft) as file:
            writer = csv.writer(_Hashed(file, digest), lineterminator="\n")
            writer.writerow(["index", "code", "url"])
            for index in range(first, last):
                code = deployment.codes.encode(batch, index).text
                url = deployment.address(f"/01/{report.gtin}/21/{code}")
                writer.writerow([index, code, url])
                if (index + 1 - first) % CHUNK == 0:
                    tell(index + 1 - first, last - first)
        tell(last - first, last - first)
        manifest = {
            "batch": batch.id,
            "name": batch.name,
            "gtin": report.gtin,
            "start": first,
            "end": last,
            "count": last - first,
            "sha256": digest.hexdigest(),
            "written_at": f"{deployment.clock.now():%Y-%m-%dT%H:%M:%SZ}",
        }
        with _private(out / MANIFEST_FILE) as file:
            json.dump(manifest, file, ensure_ascii=False, indent=2)
        draft.rename(out / CODES_FILE)
    finally:
        draft.unlink(missing_ok=True)
    return manifest


def _private(path: Path) -> IO[str]:
    return open(
        path,
        "x",
        encoding="utf-8",
        newline="",
        opener=lambda name, flags: os.open(name, flags, 0o600),
    )


class _Hashed:
    """A file for `csv` that is hashed as it is written."""

    def __init__(self, file: IO[str], digest: "hashlib._Hash") -> None:
        self._file = file
        self._digest = digest

    def write(self, text: str) -> int:
        self._digest.update(text.encode())
        return self._file.write(text)


@codes.command()
@batch_option
@start_option
@end_option
@json_option
def activate(batch_id: int, start: int | None, end: int | None, as_json: bool) -> None:
    """Put codes on sale: from now on they can be claimed. Without a range, the whole batch."""
    _set_range(batch_id, RangeState.activated, start, end, "", as_json)


@codes.command()
@batch_option
@start_option
@end_option
@click.option("--reason", callback=text_of(REASON_LENGTH_MAX), help="Kept with the change.")
@json_option
def void(
    batch_id: int, start: int | None, end: int | None, reason: str | None, as_json: bool
) -> None:
    """Withdraw codes: they can no longer be claimed. Claims that were made stay."""
    _set_range(batch_id, RangeState.voided, start, end, reason or "", as_json)


def _set_range(
    batch_id: int, state: RangeState, start: int | None, end: int | None, reason: str, as_json: bool
) -> None:
    with opened() as deployment:
        batch = actions.set_range(
            deployment, batch_id, state, start=start, end=end, reason=reason, by=BY
        )
    first, last = start or 0, batch.size if end is None else end
    found = {"batch": batch.id, "state": state.value, "start": first, "end": last}
    words = f"Codes {first:,} to {last - 1:,} of batch {batch.id} are {state.value}."
    answer(found | {"count": last - first}, as_json, words)


@codes.command()
@click.argument("code_or_url")
@json_option
def check(code_or_url: str, as_json: bool) -> None:
    """Say what is known of a code, as typed or as the address on a package."""
    text, gtin = _parts(code_or_url)
    with opened() as deployment:
        product_gtin = catalog.gtin14(gtin) if gtin is not None else None
        code = deployment.codes.decode(text, deployment.directory)
        batch = deployment.directory.batch(code.batch_id)
        if product_gtin not in (None, batch.gtin):
            raise claims.WrongProduct(f"It belongs to {batch.product_name}, {batch.gtin}.")
        with deployment.db.read() as tx:
            state = batches.state_of(tx, code.batch_id, code.index)
            claim = claims.claim_of(tx, code)
    found = {
        "code": code.text,
        "product": batch.product_name,
        "gtin": batch.gtin,
        "batch": batch.id,
        "index": code.index,
        "state": state.value,
        "claimed": claim is not None,
        "claimed_at": claim.at if claim else None,
    }
    said = f"claimed {claim.at:%Y-%m-%d %H:%M} UTC" if claim else "not claimed"
    words = f"{code.grouped}: {batch.product_name} ({batch.gtin}), batch {batch.id}, "
    answer(found, as_json, f"{words}index {code.index:,}, {state.value}, {said}.")


def _parts(text: str) -> tuple[str, str | None]:
    """The code in an address, and the GTIN if it has one; or a code as it was typed."""
    if "/" not in text:
        return text, None
    steps = [unquote(step) for step in urlsplit(text).path.split("/")]
    gtin = steps[-3] if len(steps) >= 4 and steps[-4] == "01" and steps[-2] == "21" else None
    return steps[-1], gtin
