"""`referral coupons`: pools of coupon codes."""

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from pydantic import ValidationError

from referral import actions
from referral.cli.output import BY, answer, json_option, opened
from referral.cli.setup import storable, text_of
from referral.coupons import TITLE_LENGTH_MAX, PoolDraft, lists
from referral.reports import coupons as report
from referral.reports.coupons import PoolLine

PAGE = 500


@click.group("coupons")
def coupons_group() -> None:
    """Coupons: pools of codes that rules give out."""


@coupons_group.command("pool")
@click.argument("slug", callback=storable)
@click.option("--title", required=True, callback=text_of(TITLE_LENGTH_MAX))
@click.option("--value", type=click.IntRange(1), required=True, help="Of one, in minor units.")
@click.option("--currency", default="CNY", show_default=True)
@click.option("--how-to", default="", callback=storable, help="How to use it.")
@click.option("--shop-url", callback=storable, help="Where to use it, https.")
@click.option("--language", "lang", default="zh-Hans", show_default=True, help="Of the texts.")
@click.option("--expires", type=click.DateTime(), help="When all of them end, in UTC.")
@click.option("--lasts-days", type=click.IntRange(1), help="Or how long each one lasts.")
@json_option
def add_pool(
    slug: str,
    title: str,
    value: int,
    currency: str,
    how_to: str,
    shop_url: str | None,
    lang: str,
    expires: datetime | None,
    lasts_days: int | None,
    as_json: bool,
) -> None:
    """Add a pool. SLUG is what rules name it by: small letters, digits and dashes."""
    said = {
        "slug": slug,
        "content": {lang: {"title": title, "how_to": how_to}},
        "value": value,
        "currency": currency,
        "shop_url": shop_url,
        "expires_at": expires.replace(tzinfo=UTC) if expires else None,
        "lasts_days": lasts_days,
    }
    try:
        draft = PoolDraft.model_validate(said)
    except ValidationError as error:
        raise click.UsageError(_first(error)) from None
    with opened() as deployment:
        pool = actions.add_pool(deployment, draft, by=BY)
    answer({"slug": pool.slug, "unit": pool.unit}, as_json, f"Added the pool {pool.slug}.")


def _first(error: ValidationError) -> str:
    """What is wrong with the first thing that is."""
    found = error.errors(include_url=False, include_input=False)[0]
    said = found["msg"].removeprefix("Value error, ")
    where = ".".join(map(str, found["loc"]))
    return f"{where}: {said}" if where else said


@coupons_group.command("add")
@click.argument("slug", callback=storable)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@json_option
def add(slug: str, file: Path, as_json: bool) -> None:
    """Put the codes of FILE into the pool SLUG: plain text or CSV, one code on a line.

    All of them, or none where one cannot be used; the lines are named then.
    """
    with file.open("rb") as opened_file:
        codes = lists.read(opened_file.read(lists.BYTES_MAX + 1))
    with opened() as deployment:
        added = actions.add_coupons(deployment, slug, codes, by=BY)
    answer({"pool": slug, "added": added}, as_json, f"Added {added:,} codes to {slug}.")


@coupons_group.command("generate")
@click.argument("slug", callback=storable)
@click.option("--count", type=click.IntRange(1, lists.CODES_MAX), required=True)
@click.option("--prefix", default="", callback=storable, help="Capital letters and digits.")
@json_option
def generate(slug: str, count: int, prefix: str, as_json: bool) -> None:
    """Make random codes up and put them into the pool SLUG; `export` has them for the shop."""
    with opened() as deployment:
        made = actions.generate_coupons(deployment, slug, prefix=prefix, count=count, by=BY)
    answer({"pool": slug, "added": len(made)}, as_json, f"Made {len(made):,} codes for {slug}.")


@coupons_group.command("export")
@click.argument("slug", callback=storable)
def export(slug: str) -> None:
    """Write all codes of the pool SLUG to standard output, for the shop that is to take them.

    Whoever has a code can use it: keep them secret. It is noted who took them out.
    """
    with opened() as deployment:
        for code in actions.take_out_coupons(deployment, slug, by=BY):
            print(code)


@coupons_group.command("list")
@json_option
def list_pools(as_json: bool) -> None:
    """List the pools, newest first, with how many codes are left, given, used and withdrawn."""
    found: list[PoolLine] = []
    offset: int | None = 0
    with opened() as deployment, deployment.db.read() as tx:
        while offset is not None:
            page = report.lines(tx, deployment.clock.now(), offset=offset, limit=PAGE)
            found += page.rows
            offset = page.next
    words = "\n".join(map(_line, found)) or "There are no coupons; see `referral coupons pool`."
    answer({"items": [_told(line) for line in found]}, as_json, words)


def _told(line: PoolLine) -> dict[str, Any]:
    pool = line.pool
    return {
        "slug": pool.slug,
        "value": pool.value,
        "currency": pool.currency,
        "expires_at": pool.expires_at,
        "lasts_days": pool.lasts_days,
        **asdict(line.counts),
        "missing": line.missing,
        "campaigns": [payer.slug for payer in line.payers],
    }


def _line(line: PoolLine) -> str:
    counts = line.counts
    said = f"{line.pool.slug:<24} {counts.left:>9,} left {counts.given:>9,} given"
    said += f" {counts.used:>9,} used {counts.withdrawn:>7,} withdrawn"
    return f"{said}  {line.missing:,} too few" if line.missing else said
