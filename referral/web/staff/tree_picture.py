"""The pages of the pictures of the referral tree and of a campaign's spread.

A picture is drawn by a script, out of the rows of `tree_nodes`; its page holds the beginning of the
list as well, which works without.
"""

from itertools import islice

from flask import redirect, render_template, request, url_for

from referral import graph, people
from referral.campaigns import campaign_by_slug
from referral.reports import lists, tree_lists, trees
from referral.reports.tree_pictures import NODES
from referral.rollups import tree as tree_sums
from referral.staff import Right, StaffMember
from referral.web.context import deployment
from referral.web.staff.auth import Page, require
from referral.web.staff.blueprint import staff
from referral.web.staff.spread import names_in, place_in
from referral.web.staff.tree import PAGE, PATH_MAX, children_of

ANYBODY = 9_223_372_036_854_775_807
"""Stands for a customer in the addresses that the script completes."""
ANY_VISITOR = "VISITOR"


@staff.get("/customers/<int(max=9223372036854775807):customer_id>/tree/picture")
@require(Right.read)
def tree_drawn(member: StaffMember, customer_id: int) -> Page:
    keys, settings = deployment().keys, deployment().config.values
    with deployment().db.read() as tx:
        found = people.customer_by_id(tx, customer_id).id
        if found != customer_id:
            return redirect(url_for(".tree_drawn", customer_id=found))
        lately = tree_sums.since(tx, settings)
        [line] = tree_lists.lines(tx, keys, [customer_id], lately)
        path = trees.path_to_root(tx, customer_id)[:PATH_MAX]
        listed = children_of(tx, customer_id, lately)
        return render_template(
            "staff/tree_picture.html",
            line=line,
            path=path[::-1],
            names=lists.names(tx, keys, path),
            listed=listed,
            top=customer_id,
            sort=listed.sort,
            currency=settings.currency,
            addresses={
                "picture": url_for(".tree_picture", customer_id=customer_id, nodes=NODES),
                "branch": url_for(".tree_branch", customer_id=ANYBODY),
                "person": url_for(".customer", customer_id=ANYBODY),
                "from": url_for(".tree_drawn", customer_id=ANYBODY),
            },
            mark=str(ANYBODY),
            zone=deployment().config.timezone,
            most=NODES,
        )


@staff.get("/campaigns/<slug>/spread/picture")
@require(Right.read)
def spread_drawn(member: StaffMember, slug: str) -> Page:
    """The whole spread, or with `root` one visitor's part of it."""
    root = request.args.get("root")
    with deployment().db.read() as tx:
        campaign = campaign_by_slug(tx, slug)
        top = place_in(tx, campaign, root) if root else None
        up = graph.path_up(tx, campaign.id, top.visitor) if top else iter(())
        steps = list(islice(up, PATH_MAX))
        places = trees.spread_of(tx, campaign.id, [step.visitor for step in steps])
        above = [places[step.visitor] for step in reversed(steps) if step.visitor in places]
        parent = top.visitor if top else None
        listed = trees.spread_children(tx, campaign.id, parent, limit=PAGE)
        return render_template(
            "staff/spread_picture.html",
            campaign=campaign,
            top=top,
            path=above,
            listed=listed,
            names=names_in(tx, listed, [*above, *([top] if top else [])]),
            addresses={
                "picture": url_for(".spread_picture", slug=slug, nodes=NODES, root=root or None),
                "branch": url_for(".spread_branch", slug=slug, node=ANY_VISITOR),
                "person": url_for(".spread_of", slug=slug, visitor=ANY_VISITOR),
                "from": url_for(".spread_drawn", slug=slug, root=ANY_VISITOR),
            },
            mark=ANY_VISITOR,
            zone=deployment().config.timezone,
            most=NODES,
        )
