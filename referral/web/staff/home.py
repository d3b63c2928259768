"""The first page: what is going on."""

from datetime import timedelta

from flask import redirect, render_template, url_for

from referral.campaigns import Campaign, CampaignState
from referral.intake import parked
from referral.reports import alarms, batches, dead_links, flags, lists
from referral.reports import campaigns as figures
from referral.staff import Right, StaffMember
from referral.web import intake_figures
from referral.web.context import deployment, now
from referral.web.staff import words
from referral.web.staff.auth import Page, require
from referral.web.staff.blueprint import staff

LATEST = 5
"""How many of each kind the page shows."""
LATEST_CLAIMS = 8
FLAGS_OF = timedelta(days=7)
DEAD_LINKS_OF = timedelta(days=7)


@staff.get("/")
@require(Right.read, Right.run_store)
def home(member: StaffMember) -> Page:
    if not member.may(Right.read):
        return redirect(url_for(".own_store"))
    with deployment().db.read() as tx:
        campaigns = lists.campaigns(tx, limit=LATEST).rows
        newest = _newest([line.campaign for line in campaigns])
        claims = lists.latest_claims(tx, LATEST_CLAIMS)
        people = {c.customer_id for c in claims} | {c.referrer_id for c in claims if c.referrer_id}
        return render_template(
            "staff/home.html",
            progress=lists.progress(tx),
            newest=newest,
            metrics=figures.metrics(tx, newest) if newest else None,
            campaigns=campaigns,
            batches=batches.lines(tx, limit=LATEST).rows,
            alarms=alarms.current(tx, now()),
            found=intake_figures.health(),
            parked=parked.count_waiting(tx),
            flags=flags.counts(tx, since=now() - FLAGS_OF),
            dead_links=dead_links.counts(tx, since=now() - DEAD_LINKS_OF),
            products=lists.products(tx, limit=LATEST).rows,
            claims=claims,
            names=lists.names(tx, deployment().keys, sorted(people)),
        )


def _newest(campaigns: list[Campaign]) -> Campaign | None:
    """The newest one that runs; else the newest that ran or will. Drafts have no figures."""
    published = [each for each in campaigns if each.state == CampaignState.published]
    running = [each for each in published if words.campaign_state(each) == "running"]
    return next(iter(running or published), None)
