"""The referral tree: customers by who brought them in, opened branch by branch."""

from flask import redirect, render_template, request, url_for

from referral import people
from referral.reports import lists, trees
from referral.staff import Right, StaffMember
from referral.web.context import deployment
from referral.web.staff.auth import Page, require
from referral.web.staff.blueprint import staff
from referral.web.staff.forms import offset_of

PAGE = 20
PATH_MAX = 100
"""How many customers above one its page names, nearest first."""


@staff.get("/tree")
@require(Right.read)
def tree(member: StaffMember) -> Page:
    with deployment().db.read() as tx:
        listed = trees.roots(tx, deployment().keys, offset=offset_of(request.args), limit=PAGE)
    return render_template("staff/tree.html", listed=listed)


@staff.get("/tree/branches")
@require(Right.read)
def root_branches(member: StaffMember) -> Page:
    with deployment().db.read() as tx:
        listed = trees.roots(tx, deployment().keys, offset=offset_of(request.args), limit=PAGE)
    return render_template("staff/_branches.html", listed=listed, top=None)


@staff.get("/tree/<int(max=9223372036854775807):customer_id>")
@require(Right.read)
def tree_of(member: StaffMember, customer_id: int) -> Page:
    """One customer's part of the tree, and the way up from there: all of it without scripts."""
    keys, offset = deployment().keys, offset_of(request.args)
    with deployment().db.read() as tx:
        top = trees.branch(tx, keys, customer_id, depth=0, limit=0)
        if top.customer_id != customer_id:
            return redirect(url_for(".tree_of", customer_id=top.customer_id))
        path = trees.path_to_root(tx, customer_id)[:PATH_MAX]
        return render_template(
            "staff/tree_of.html",
            top=top,
            path=path[::-1],
            names=lists.names(tx, keys, path),
            listed=trees.children(tx, keys, customer_id, offset=offset, limit=PAGE),
        )


@staff.get("/tree/<int(max=9223372036854775807):customer_id>/branches")
@require(Right.read)
def branches(member: StaffMember, customer_id: int) -> Page:
    """The same children as a fragment, for a branch that is opened in place."""
    offset = offset_of(request.args)
    with deployment().db.read() as tx:
        customer_id = people.customer_by_id(tx, customer_id).id
        listed = trees.children(tx, deployment().keys, customer_id, offset=offset, limit=PAGE)
    return render_template("staff/_branches.html", listed=listed, top=customer_id)
