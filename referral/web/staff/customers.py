"""A customer's page: who, how far she has come, what happened, and the ledger behind it."""

from dataclasses import dataclass

from flask import redirect, render_template, request, url_for
from sqlalchemy.orm import Session

from referral import graph, people
from referral.campaigns import campaign_by_id
from referral.graph import Referral
from referral.links import visitor_name
from referral.reports import (
    customers,
    entries,
    lists,
    orders,
    reach,
    referrals,
    timeline,
    trees,
    values,
    wallet,
)
from referral.reports.timeline import Place
from referral.staff import Right, StaffMember
from referral.web.context import deployment
from referral.web.staff import life_words
from referral.web.staff.auth import Page, require
from referral.web.staff.blueprint import staff
from referral.web.staff.forms import Form, offset_of

FRIENDS_PAGE = 10
ORDERS_SHOWN = 10


@staff.get("/customers/<int(max=9223372036854775807):customer_id>")
@require(Right.read)
def customer(member: StaffMember, customer_id: int) -> Page:
    keys = deployment().keys
    with deployment().db.read() as tx:
        person = people.customer_by_id(tx, customer_id)
        if person.id != customer_id:
            return redirect(url_for(".customer", customer_id=person.id))
        referral = tx.get(Referral, customer_id)
        why = _why(tx, referral) if referral else None
        after = Place.read(request.args.get("after", ""))
        happened = timeline.timeline(tx, keys, customer_id, after=after)
        rewards = wallet.rewards_of(tx, customer_id)
        behind = entries.of_rewards(tx, rewards)
        campaigns, owners = entries.owners(entry for each in behind.values() for entry in each)
        campaigns += [reward.campaign_id for reward in rewards]
        campaigns += happened.campaigns()
        mentioned = [customer_id, *owners, *happened.customers()]
        if why is not None:
            campaigns += [touch.campaign_id for touch in why.touches]
            mentioned += why.customers
        return render_template(
            "staff/customer.html",
            person=person,
            name=customers.name_of(tx, keys, customer_id),
            contacts=customers.masked_contacts(tx, keys, customer_id),
            balances=customers.balances(tx, customer_id),
            referral=referral,
            why=why,
            brought_by=_brought_by(tx, referral),
            friends=trees.children(
                tx, keys, customer_id, offset=offset_of(request.args), limit=FRIENDS_PAGE
            ),
            rewards=rewards,
            behind=behind,
            bottles=wallet.packages_of(tx, customer_id),
            orders=orders.listed(tx, customer_id=customer_id, limit=ORDERS_SHOWN),
            reach=reach.reach_of(tx, customer_id),
            names=lists.names(tx, keys, mentioned),
            titles=lists.campaign_titles(tx, campaigns),
            merges=people.merges_of(tx, customer_id),
            timeline=happened,
            is_begun=after is not None,
            explained=values.explained(tx, customer_id),
            devices=values.devices_of(tx, customer_id),
            life=life_words,
            form=Form(),
        )


def _why(tx: Session, referral: Referral) -> referrals.Reasons:
    return referrals.reasons(referral, people.current(tx, referrals.mentioned(referral)))


@dataclass(frozen=True)
class BroughtBy:
    """Where a referral can be seen in a campaign's spread."""

    slug: str
    title: str
    window_days: int
    visitor: str | None


def _brought_by(tx: Session, referral: Referral | None) -> BroughtBy | None:
    if referral is None or referral.referrer_id is None:
        return None
    nodes = graph.touches_of(tx, referral.customer_id)
    node = next((n for n in nodes if n.campaign_id == referral.campaign_id), None)
    campaign_id = node.campaign_id if node else referral.campaign_id
    campaign = campaign_by_id(tx, campaign_id) if campaign_id else None
    if campaign is None:
        return None
    return BroughtBy(
        campaign.slug,
        campaign.title,
        campaign.window_days,
        visitor_name(node.visitor_id) if node else None,
    )
