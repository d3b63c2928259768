"""Stores: the outlets that sell, and the distributors that supply them."""

from dataclasses import asdict

import click

from referral import actions
from referral.cli.output import answer, json_option, opened
from referral.cli.setup import storable, text_of
from referral.reports import stores as report
from referral.reports.stores import StoreLine
from referral.stores import NAME_LENGTH_MAX, StoreKind

PAGE = 500


@click.group("stores")
def stores_group() -> None:
    """Stores and distributors, to which codes are assigned."""


@stores_group.command("add")
@click.argument("slug")
@click.option("--name", required=True, callback=text_of(NAME_LENGTH_MAX))
@click.option("--kind", type=click.Choice(StoreKind), default=StoreKind.store, show_default=True)
@click.option(
    "--region",
    callback=storable,
    help="Where it is, ISO 3166: a country or a part of one, such as CN-GD.",
)
@json_option
def add(slug: str, name: str, kind: StoreKind, region: str | None, as_json: bool) -> None:
    """Add a store. SLUG is what other systems name it by: small letters, digits, single dashes."""
    with opened() as deployment:
        store = actions.add_store(deployment, slug=slug, name=name, kind=kind, region=region)
    found = {"slug": store.slug, "name": store.name, "kind": store.kind, "region": store.region}
    answer(found, as_json, f"Added the {store.kind} {store.name} as {store.slug}.")


@stores_group.command("list")
@json_option
def list_stores(as_json: bool) -> None:
    """List them by name, with how many codes are assigned to each."""
    found: list[StoreLine] = []
    offset: int | None = 0
    with opened() as deployment, deployment.db.read() as tx:
        while offset is not None:
            page = report.lines(tx, offset=offset, limit=PAGE)
            found += page.rows
            offset = page.next
    words = "\n".join(map(_line, found)) or "There are no stores yet; see `referral stores add`."
    answer({"items": [asdict(line) for line in found]}, as_json, words)


def _line(store: StoreLine) -> str:
    place = f"{store.slug:<24} {store.kind:<12} {store.region or '-':<7}"
    return f"{place} {store.codes:>13,} codes  {store.name}"
