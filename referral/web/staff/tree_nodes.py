"""The trees for the script that draws them: nodes as short rows, parents before children.

Of the referral tree a row is id, parent (or null), name, when the place was settled (seconds since
1970, or null), direct, total, active, paying, value. Of a campaign's spread it is id, parent (or
null), name (null for somebody who never signed in), when, direct, total, customers below, buyers
below, hop, and whether this is no person but a store's posters.
"""

from typing import Any

from flask import jsonify, request
from werkzeug.wrappers import Response

from referral.campaigns import campaign_by_slug
from referral.links import visitor_name
from referral.reports import lists, spread_pictures, tree_pictures
from referral.reports.tree_lists import Line
from referral.reports.tree_pictures import NODES
from referral.reports.trees import SpreadBranch
from referral.staff import Right, StaffMember
from referral.web.context import deployment
from referral.web.staff import words
from referral.web.staff.auth import require
from referral.web.staff.blueprint import staff
from referral.web.staff.spread import place_in

BRANCH = 500
"""How many children one answer has where nothing is said."""
DIGITS_MAX = 19


@staff.get("/customers/<int(max=9223372036854775807):customer_id>/tree/picture.json")
@require(Right.read)
def tree_picture(member: StaffMember, customer_id: int) -> Response:
    keys, settings = deployment().keys, deployment().config.values
    with deployment().db.read() as tx:
        found = tree_pictures.picture(tx, keys, settings, customer_id, _number("nodes", NODES))
    return jsonify(
        unit=settings.currency,
        root=found.root,
        path=[[each, words.customer(each, name)] for each, name in found.path],
        people=found.nodes[0][0].sums.total + 1,
        nodes=[_row(line, parent) for line, parent in found.nodes],
    )


@staff.get("/customers/<int(max=9223372036854775807):customer_id>/tree/branch.json")
@require(Right.read)
def tree_branch(member: StaffMember, customer_id: int) -> Response:
    """Whom a customer brought in, the largest branches first."""
    keys, settings = deployment().keys, deployment().config.values
    after, limit = _number("offset_key", None), _number("limit", BRANCH)
    with deployment().db.read() as tx:
        found = tree_pictures.branch(
            tx, keys, settings, customer_id, after=after, limit=limit or BRANCH
        )
    return jsonify(nodes=[_row(line, customer_id) for line in found.rows], next=_key(found.next))


def _row(line: Line, parent: int | None) -> list[Any]:
    at = int(line.at.timestamp()) if line.at else None
    return [line.customer_id, parent, words.customer(line.customer_id, line.name), at, *line.sums]


@staff.get("/campaigns/<slug>/spread/picture.json")
@require(Right.read)
def spread_picture(member: StaffMember, slug: str) -> Response:
    """The largest branches of the visitor that `root` names, or of the whole campaign."""
    with deployment().db.read() as tx:
        campaign = campaign_by_slug(tx, slug)
        name = request.args.get("root")
        root = place_in(tx, campaign, name).visitor if name else None
        found = spread_pictures.picture(tx, campaign.id, root, _number("nodes", NODES))
        shown = [*(branch for branch, _ in found.nodes), *found.path]
        names = lists.names(tx, deployment().keys, _customers(shown))
    return jsonify(
        root=visitor_name(root) if root is not None else None,
        path=[[each.visitor_name, _name(each, names)] for each in found.path],
        people=sum(each.total + 1 for each, parent in found.nodes if parent is None),
        nodes=[_spread_row(branch, parent, names) for branch, parent in found.nodes],
    )


@staff.get("/campaigns/<slug>/spread/branch.json")
@require(Right.read)
def spread_branch(member: StaffMember, slug: str) -> Response:
    """Who came first through the link of the visitor that `node` names."""
    after, limit = _number("offset_key", None), _number("limit", BRANCH)
    with deployment().db.read() as tx:
        campaign = campaign_by_slug(tx, slug)
        name = request.args.get("node")
        parent = place_in(tx, campaign, name).visitor if name else None
        found = spread_pictures.branch(tx, campaign.id, parent, after=after, limit=limit or BRANCH)
        names = lists.names(tx, deployment().keys, _customers(found.branches))
    rows = [_spread_row(branch, parent, names) for branch in found.branches]
    return jsonify(nodes=rows, next=_key(found.next))


def _customers(shown: list[SpreadBranch]) -> list[int]:
    return sorted({each.customer_id for each in shown if each.customer_id})


def _name(branch: SpreadBranch, names: dict[int, str | None]) -> str | None:
    is_nobody = branch.customer_id is None and branch.store is None
    return None if is_nobody else words.visitor(branch, names)


def _spread_row(
    branch: SpreadBranch, parent: int | None, names: dict[int, str | None]
) -> list[Any]:
    return [
        branch.visitor_name,
        visitor_name(parent) if parent is not None else None,
        _name(branch, names),
        int(branch.at.timestamp()),
        branch.direct,
        branch.total,
        branch.customers,
        branch.buyers,
        branch.hop,
        branch.store is not None,
    ]


def _key(following: int | None) -> str | None:
    # As text: a visitor's number has more digits than a script's numbers hold.
    return None if following is None else str(following)


def _number(name: str, otherwise: Any) -> Any:
    """A whole number of the address; `otherwise` where there is none that makes sense."""
    text = request.args.get(name, "")
    is_number = text.isascii() and text.isdigit() and len(text) <= DIGITS_MAX
    return min(int(text), (1 << 63) - 1) if is_number else otherwise
