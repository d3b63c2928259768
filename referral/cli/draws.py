"""`referral draws`: lucky draws, computed again and told to everybody."""

import csv
import sys
from dataclasses import asdict

import click

from referral import campaigns
from referral.cli.output import answer, json_option, opened
from referral.cli.setup import storable
from referral.reports import draws as report
from referral.reports.draws import Verified

FAULTS_SHOWN_MAX = 20


@click.group("draws")
def draws_group() -> None:
    """Lucky draws."""


@draws_group.command()
@click.argument("campaign", callback=storable)
@json_option
def verify(campaign: str, as_json: bool) -> None:
    """Compute every draw of CAMPAIGN again from its seed; exit 1 where one differs."""
    with opened() as deployment, deployment.db.read() as tx:
        found = report.verify(tx, campaigns.campaign_by_slug(tx, campaign), deployment.keys)
    shown = found.faults[:FAULTS_SHOWN_MAX]
    told = {"ok": not found.faults, **asdict(found)}
    answer(told, as_json, "\n".join([_words(found), *shown]))
    if found.faults:
        raise click.ClickException(f"{len(found.faults):,} draw(s) are not what the seed gives.")


def _words(found: Verified) -> str:
    said = f"{found.tickets:,} tickets: {found.won:,} won, {found.lost:,} lost"
    if found.won_unpaid:
        said += f", {found.won_unpaid:,} won when the budget or a limit was used up"
    if found.refused:
        said += f", {found.refused:,} refused by the rules against abuse"
    return said + "."


@draws_group.command()
@click.argument("campaign", callback=storable)
def table(campaign: str) -> None:
    """Write the tickets of CAMPAIGN and what they won to standard output, as CSV.

    No personal data is in it: it may be published, so that anybody can check it.
    """
    with opened() as deployment, deployment.db.read() as tx:
        found = campaigns.campaign_by_slug(tx, campaign)
        checked = report.checked(tx, found, report.seed_of(found, deployment.keys))
        csv.writer(sys.stdout, lineterminator="\n").writerows(report.table(checked))
