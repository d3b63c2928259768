"""The referral tree: customers by who brought them in, branch by branch, sorted by any figure."""

from flask import redirect, render_template, request, url_for
from sqlalchemy.orm import Session

from referral import people
from referral.errors import N_
from referral.reports import lists, tree_lists, trees
from referral.reports.tree_lists import OF_SUMS, Lines, Sort
from referral.rollups import tree as tree_sums
from referral.rollups.tree import Since
from referral.rollups.tree_state import ACTIVE, PAYING
from referral.staff import Right, StaffMember
from referral.web.context import deployment
from referral.web.staff.auth import Page, require
from referral.web.staff.blueprint import staff

PAGE = 20
PATH_MAX = 100
"""How many customers above one its page names, nearest first."""
AFTER_DIGITS_MAX = 19
SORTS = {
    Sort.total: N_("all below"),
    Sort.direct: N_("friends"),
    Sort.active: N_("active below"),
    Sort.paying: N_("paying below"),
    Sort.value: N_("spent below"),
    Sort.newest: N_("newest"),
    Sort.oldest: N_("earliest"),
    Sort.name: N_("name"),
}


@staff.get("/tree")
@require(Right.read)
def tree(member: StaffMember) -> Page:
    with deployment().db.read() as tx:
        listed = _roots(tx)
    return render_template("staff/tree.html", listed=listed, top=None, **_said(listed))


@staff.get("/tree/branches")
@require(Right.read)
def root_branches(member: StaffMember) -> Page:
    with deployment().db.read() as tx:
        listed = _roots(tx)
    return render_template("staff/_twigs.html", listed=listed, top=None, **_said(listed))


@staff.get("/tree/<int(max=9223372036854775807):customer_id>")
@require(Right.read)
def tree_of(member: StaffMember, customer_id: int) -> Page:
    """One customer's part of the tree, and the way up from there: all of it without scripts."""
    keys = deployment().keys
    with deployment().db.read() as tx:
        found = people.customer_by_id(tx, customer_id).id
        if found != customer_id:
            return redirect(url_for(".tree_of", customer_id=found))
        lately = tree_sums.since(tx, deployment().config.values)
        [line] = tree_lists.lines(tx, keys, [customer_id], lately)
        path = trees.path_to_root(tx, customer_id)[:PATH_MAX]
        listed = children_of(tx, customer_id, lately)
        return render_template(
            "staff/tree_of.html",
            line=line,
            top=customer_id,
            path=path[::-1],
            names=lists.names(tx, keys, path),
            listed=listed,
            **_said(listed),
        )


@staff.get("/tree/<int(max=9223372036854775807):customer_id>/branches")
@require(Right.read)
def branches(member: StaffMember, customer_id: int) -> Page:
    """The same children as a fragment, for a branch that is opened in place."""
    with deployment().db.read() as tx:
        customer_id = people.customer_by_id(tx, customer_id).id
        listed = children_of(tx, customer_id, tree_sums.since(tx, deployment().config.values))
    return render_template("staff/_twigs.html", listed=listed, top=customer_id, **_said(listed))


def children_of(tx: Session, customer_id: int, lately: Since) -> Lines:
    """A page of whom a customer brought in, as the address asks for it."""
    keys = deployment().keys
    return tree_lists.children(
        tx, keys, customer_id, lately, sort=_sort(), after=_after(), limit=PAGE
    )


def _roots(tx: Session) -> Lines:
    lately = tree_sums.since(tx, deployment().config.values)
    return tree_lists.roots(tx, deployment().keys, lately, sort=_sort(), after=_after(), limit=PAGE)


def _said(listed: Lines) -> dict[str, object]:
    return {
        "sorts": SORTS,
        "root_sorts": {sort: SORTS[sort] for sort in SORTS if sort in OF_SUMS},
        "sort": listed.sort,
        "is_unsorted": listed.sort != _sort(),
        "currency": deployment().config.values.currency,
        "active_days": ACTIVE.days,
        "paying_days": PAYING.days,
    }


def _sort() -> Sort:
    """What is asked for; by all below where that makes no sense."""
    asked = request.args.get("sort", "")
    return Sort(asked) if asked in set(Sort) else Sort.total


def _after() -> int | None:
    text = request.args.get("after", "")
    is_number = text.isascii() and text.isdigit() and len(text) < AFTER_DIGITS_MAX
    return int(text) if is_number else None
