"""The spread: taking it out whole, and whether its counters are right."""

from dataclasses import asdict
from itertools import islice
from pathlib import Path
from zoneinfo import ZoneInfo

import click

from referral import actions, campaigns
from referral.actions import Sifted
from referral.cli.output import answer, json_option, opened, progress
from referral.db import one_moment
from referral.exports.jobs import Form
from referral.exports.kinds import Wanted
from referral.exports.writing import writer_of, written
from referral.reports.exports.spread import SPREAD
from referral.spread import counters

DIFFERENCES_SHOWN = 50


@click.group("spread")
def spread_group() -> None:
    """The spread of visitors, and the counters of it and of the referral tree."""


@spread_group.command()
@click.option("--campaign", "slug", required=True)
@click.option("--format", "form", type=click.Choice(Form), default=Form.csv, show_default=True)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False, writable=True, allow_dash=True),
    required=True,
    help="The file to write; - for standard output.",
)
def export(slug: str, form: Form, out: Path) -> None:
    """Write the whole spread of a campaign, with what is below each visitor."""
    with opened() as deployment:
        with deployment.db.read() as tx:
            campaign = campaigns.campaign_by_slug(tx, slug)
            zone = ZoneInfo(deployment.config.timezone)
            params = {"campaign": campaign.id}
            wanted = Wanted(params, deployment.keys, zone, deployment.clock.now())
            total = SPREAD.count(tx, wanted) or 0
        names = [column.name for column in SPREAD.columns]
        done = 0
        with (
            writer_of(SPREAD, form, names, zone) as writer,
            progress(f"Writing {total:,} visitors") as tell,
            click.open_file(str(out), "wb") as file,
        ):
            for piece, rows in written(SPREAD, writer, wanted, deployment.db.read):
                file.write(piece)
                done += rows
                tell(done, total)


@spread_group.command()
@json_option
def sift(as_json: bool) -> None:
    """Take out visitors whose browsers ran no page within an hour; put back who did after all.

    Their openings become fetches and the other way round. `referral sweep` does it too.
    """
    with opened() as deployment:
        sifted = actions.sift(deployment)
    answer(asdict(sifted), as_json, in_words(sifted))


def in_words(sifted: Sifted) -> str:
    return (
        f"{sifted.to_fetches:,} openings turned out to be machines' and "
        f"{sifted.to_opens:,} to be people's after all."
    )


@spread_group.command()
@json_option
def recount(as_json: bool) -> None:
    """Count everything below every visitor and customer from scratch."""
    with opened() as deployment:
        nodes = deployment.db.transact(counters.recount)
    answer({"nodes": nodes}, as_json, f"Counted {nodes:,} visitors and customers.")


@spread_group.command()
@json_option
def check(as_json: bool) -> None:
    """Compare every counter with a count from scratch; exit 1 if any differs."""
    with opened() as deployment, deployment.db.read() as tx:
        one_moment(tx)
        found = list(islice(counters.differences(tx), DIFFERENCES_SHOWN))
    words = "\n".join(found) or "The counters are what a count from scratch gives."
    answer({"ok": not found, "differences": found}, as_json, words)
    if found:
        raise click.ClickException("The counters are wrong; `referral spread recount` mends them.")
