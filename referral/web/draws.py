"""Lucky draws on the pages of consumers: what a ticket won, and how anybody can check it."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass

from flask import Blueprint, Response, url_for
from flask_babel import gettext as _
from sqlalchemy.orm import Session

from referral import campaigns, claims
from referral.campaigns import Campaign, CampaignState
from referral.codes import Code
from referral.errors import NotFound
from referral.reports import draws as report
from referral.reports.draws import Outcome, Ticket
from referral.web.context import deployment, now, remote_address
from referral.web.prizes import prize

draws = Blueprint("draws", __name__)


@dataclass(frozen=True)
class Drawn:
    """What came of one ticket, for whoever has it."""

    text: str
    ticket: str


@dataclass(frozen=True)
class Seed:
    """What the page with the rules says of a campaign's draws."""

    commitment: str
    seed: str | None
    """In hex; None until the campaign is over."""
    table_url: str | None
    """Where all tickets are, once it is over."""


def seed_shown(campaign: Campaign) -> Seed | None:
    """None for a campaign without a draw."""
    if campaign.draw_commitment is None:
        return None
    seed = report.public_seed(campaign, deployment().keys, now())
    url = url_for("draws.table", slug=campaign.slug) if seed else None
    return Seed(campaign.draw_commitment, seed, url)


def drawn_for(tx: Session, code: Code, customer_id: int) -> list[Drawn]:
    """What a customer drew with the claim of a code."""
    claim = claims.claim_of(tx, code)
    campaign_id = claim.campaign_id if claim else None
    campaign = campaigns.campaign_by_id(tx, campaign_id) if campaign_id else None
    if claim is None or campaign is None or not campaign.has_draw:
        return []
    found = report.tickets(tx, campaign, event=claim.event)
    own = [each for each in found if each.beneficiary == customer_id]
    return [Drawn(_in_words(each), each.ticket) for each in own if each.outcome != Outcome.refused]


def _in_words(ticket: Ticket) -> str:
    if ticket.outcome is Outcome.won and ticket.unit:
        return _("You won in the draw: %(prize)s.", prize=prize(ticket.amount, ticket.unit))
    if ticket.outcome is Outcome.won_unpaid:
        return _("Your ticket won, but there is nothing left to give for it. We are sorry.")
    return _("No luck in the draw this time.")


@draws.get("/rules/<slug>/draws.csv")
def table(slug: str) -> Response:
    """Every ticket of a campaign that is over and what it won; nobody's data is in it."""
    deployment().limits.draw_table(remote_address())
    with deployment().db.read() as tx:
        campaign = campaigns.campaign_by_slug(tx, slug)
    is_public = campaign.state == CampaignState.published and campaign.ends_at <= now()
    if not is_public or campaign.draw_seed_encrypted is None:
        raise NotFound()
    response = Response(_rows(campaign), mimetype="text/csv")
    response.headers["Content-Disposition"] = f'attachment; filename="draws-{slug}.csv"'
    return response


def _rows(campaign: Campaign) -> Iterator[str]:
    served = deployment()

    def lines() -> Iterator[str]:
        with served.db.read() as tx:
            seed = report.seed_of(campaign, served.keys)
            for row in report.table(report.checked(tx, campaign, seed)):
                line = io.StringIO()
                csv.writer(line, lineterminator="\n").writerow(row)
                yield line.getvalue()

    return lines()
