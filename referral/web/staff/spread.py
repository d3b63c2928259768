"""The spread of a campaign: visitors by whose link they opened first, the anonymous among them."""

from flask import render_template, request
from sqlalchemy.orm import Session

from referral import graph
from referral.campaigns import Campaign, campaign_by_slug
from referral.errors import NotFound
from referral.links import visitor_id
from referral.reports import lists, trees
from referral.reports.trees import SpreadBranch, SpreadPage
from referral.staff import Right, StaffMember
from referral.web.context import deployment
from referral.web.staff.auth import Page, require
from referral.web.staff.blueprint import staff

PAGE = 20
PATH_MAX = 100
"""How many visitors above one its page names, nearest first."""


@staff.get("/campaigns/<slug>/spread")
@require(Right.read)
def spread(member: StaffMember, slug: str) -> Page:
    with deployment().db.read() as tx:
        campaign = campaign_by_slug(tx, slug)
        listed = trees.spread_children(tx, campaign.id, None, after=_after(), limit=PAGE)
        return render_template(
            "staff/spread.html", campaign=campaign, listed=listed, names=names_in(tx, listed)
        )


@staff.get("/campaigns/<slug>/spread/branches")
@require(Right.read)
def first_sharers(member: StaffMember, slug: str) -> Page:
    with deployment().db.read() as tx:
        return _fragment(tx, campaign_by_slug(tx, slug), None)


@staff.get("/campaigns/<slug>/spread/<visitor>")
@require(Right.read)
def spread_of(member: StaffMember, slug: str, visitor: str) -> Page:
    """One visitor's part of the spread, and the way up from there: all of it without scripts."""
    with deployment().db.read() as tx:
        campaign = campaign_by_slug(tx, slug)
        top = place_in(tx, campaign, visitor)
        above = [s.visitor for s in graph.path_up(tx, campaign.id, top.visitor)][:PATH_MAX]
        places = trees.spread_of(tx, campaign.id, above)
        path = [places[each] for each in reversed(above) if each in places]
        listed = trees.spread_children(tx, campaign.id, top.visitor, after=_after(), limit=PAGE)
        return render_template(
            "staff/spread_of.html",
            campaign=campaign,
            top=top,
            path=path,
            listed=listed,
            names=names_in(tx, listed, [top, *path]),
        )


@staff.get("/campaigns/<slug>/spread/<visitor>/branches")
@require(Right.read)
def spread_branches(member: StaffMember, slug: str, visitor: str) -> Page:
    with deployment().db.read() as tx:
        campaign = campaign_by_slug(tx, slug)
        return _fragment(tx, campaign, place_in(tx, campaign, visitor))


def names_in(
    tx: Session, page: SpreadPage, others: list[SpreadBranch] | None = None
) -> dict[int, str | None]:
    """The names of the customers among these visitors."""
    shown = [*page.branches, *(others or [])]
    known = sorted({branch.customer_id for branch in shown if branch.customer_id})
    return lists.names(tx, deployment().keys, known)


def _fragment(tx: Session, campaign: Campaign, top: SpreadBranch | None) -> str:
    parent = top.visitor if top else None
    listed = trees.spread_children(tx, campaign.id, parent, after=_after(), limit=PAGE)
    return render_template(
        "staff/_spread_branches.html",
        campaign=campaign,
        listed=listed,
        top=top.visitor_name if top else None,
        names=names_in(tx, listed),
    )


def place_in(tx: Session, campaign: Campaign, name: str) -> SpreadBranch:
    """The visitor of this name in the spread. Raises `NotFound`."""
    try:
        visitor = visitor_id(name)
    except (ValueError, OverflowError):
        raise NotFound() from None
    # A name is eight bytes, an id in use has 63 bits.
    found = trees.spread_of(tx, campaign.id, [visitor]) if visitor < 1 << 63 else {}
    if visitor not in found:
        raise NotFound()
    return found[visitor]


def _after() -> int | None:
    """Behind whom the page begins; None for the beginning, and for what is nobody's name."""
    try:
        visitor = visitor_id(request.args.get("after", ""))
    except (ValueError, OverflowError):
        return None
    return visitor if visitor < 1 << 63 else None
