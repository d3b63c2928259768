"""Codes: issuing batches of them."""

from typing import Any

import click

from referral import actions
from referral.batches import NAME_LENGTH_MAX, SIZE_MAX, Scheme
from referral.cli.output import BATCH_ID, BY, INT64_MAX, answer, json_option, opened
from referral.cli.setup import text_of
from referral.cli.terms import terms_of, terms_options
from referral.gs1.gtin import gtin14

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
