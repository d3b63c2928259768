"""Customers: people with an identity, and the tree of who brought in whom."""

from collections.abc import Callable
from datetime import datetime

from pydantic import Field

from referral import actions, people
from referral.people import (
    EXTERNAL_ID_LENGTH_MAX,
    REASON_LENGTH_MAX,
    BadContact,
    BadName,
    Contact,
    CustomerExists,
    UnknownCustomer,
)
from referral.reports import customers, trees
from referral.reports.trees import Branch
from referral.texts import Line
from referral.web.api.auth import caller
from referral.web.api.endpoint import Output, get, post
from referral.web.api.paging import Count
from referral.web.api.reading import Id, Index, Input, Query
from referral.web.context import deployment
from referral.web.problems import invalid_field

DEPTH_DEFAULT = 3
CHILDREN_DEFAULT = 20


class CustomerIn(Input):
    """A person and what identifies that person: at least one of the three."""

    external_id: str | None = Field(default=None, min_length=1, max_length=EXTERNAL_ID_LENGTH_MAX)
    """The brand's own member id."""
    phone: str | None = None
    """In E.164, or as it is dialled in China."""
    email: str | None = None
    name: str | None = None
    """1 to 40 characters; kept when the customer is new."""


class BalanceOut(Output):
    """Of one unit."""

    available: int
    pending: int
    """Granted and still on hold."""


class CustomerOut(Output):
    """A customer. Phone numbers and e-mail addresses are never shown again."""

    id: int
    name: str | None
    created_at: datetime
    referrer_id: int | None
    """Who brought this customer in; null for nobody, and before the first claim."""
    referred: int
    """How many customers this one brought in."""
    reached: int
    """How many browsers the customer's links reached, forwards of forwards included; each campaign
    counts for itself."""
    claims: int
    balances: dict[str, BalanceOut]
    """By unit; `points` is always there."""


class TreeQuery(Query):
    depth: Index = DEPTH_DEFAULT
    """How many levels below the customer; at most 10 are given."""
    limit: Count = CHILDREN_DEFAULT
    """How many children of each customer; at most 100 are given."""


class MergeIn(Input):
    """Who is the same person, and why that is known."""

    other_id: Id
    keep: Id | None = None
    """Which of the two is kept; the older one if left out."""
    reason: Line = Field(min_length=1, max_length=REASON_LENGTH_MAX)
    """Kept with the merge. Write no phone number or address into it."""


class BranchOut(Output):
    """A customer in the referral tree."""

    id: int
    name: str | None
    referred_at: datetime | None
    """When the customer's place was settled; null before the first claim."""
    direct: int
    """How many customers this one brought in."""
    total: int
    """All customers below, at any depth."""
    children: list["BranchOut"]
    """The earliest first."""


@post(
    "/customers",
    body=CustomerIn,
    answer=CustomerOut,
    statuses={201: "Added", 200: "There already"},
    problems=[BadContact, BadName, CustomerExists],
)
def add_customer(body: CustomerIn) -> tuple[CustomerOut, int]:
    """Add a customer.

    Or find the one with any of these identities; those that the customer lacks are added.
    """
    contacts = [
        _contact(field, make, typed)
        for field, make, typed in (
            ("external_id", people.external, body.external_id),
            ("phone", people.phone, body.phone),
            ("email", people.email, body.email),
        )
        if typed is not None
    ]
    if not contacts:
        raise invalid_field("", "Send at least one of external_id, phone and email.")
    customer_id, is_new = actions.add_customer(deployment(), contacts, body.name)
    return _customer(customer_id), 201 if is_new else 200


def _contact(field: str, make: Callable[[str], Contact], typed: str) -> Contact:
    try:
        return make(typed)
    except BadContact as problem:
        raise BadContact(errors=[{"field": field, "message": problem.title}]) from None


@get("/customers/<int:customer_id>", answer=CustomerOut, problems=[UnknownCustomer])
def get_customer(customer_id: int) -> CustomerOut:
    """Get a customer.

    The number of one who was merged into another gives that one, with its own `id`.
    """
    return _customer(customer_id)


@post(
    "/customers/<int:customer_id>/merge",
    body=MergeIn,
    answer=CustomerOut,
    statuses={200: "One customer"},
    problems=[UnknownCustomer],
)
def merge_customers(customer_id: int, body: MergeIn) -> CustomerOut:
    """Make one customer of two who are the same person. It cannot be undone.

    Packages, orders, friends, rewards and what identifies them are the kept one's, which is the
    answer; the number of the other one stands for it from then on, wherever it is sent. What one of
    them was paid for bringing in the other is taken back. Two that are one already stay so.
    """
    if body.keep is not None and body.keep not in (customer_id, body.other_id):
        raise invalid_field("keep", "Name one of the two.")
    merged = actions.merge_customers(
        deployment(),
        customer_id,
        body.other_id,
        by=caller(),
        reason=body.reason,
        keep=body.keep,
    )
    return _customer(merged.kept)


def _customer(customer_id: int) -> CustomerOut:
    with deployment().db.read() as tx:
        found = customers.profile(tx, deployment().keys, customer_id)
    return CustomerOut.model_validate(found)


@get(
    "/customers/<int:customer_id>/tree",
    query=TreeQuery,
    answer=BranchOut,
    problems=[UnknownCustomer],
)
def get_tree(customer_id: int, query: TreeQuery) -> BranchOut:
    """Get the tree below a customer.

    `direct` and `total` count everybody, also those whom `depth` and `limit` leave out; their
    branches are asked for by their own ids.
    """
    with deployment().db.read() as tx:
        branch = trees.branch(
            tx, deployment().keys, customer_id, depth=query.depth, limit=query.limit
        )
    return _shown(branch)


def _shown(branch: Branch) -> BranchOut:
    return BranchOut(
        id=branch.customer_id,
        name=branch.name,
        referred_at=branch.at,
        direct=branch.direct,
        total=branch.total,
        children=[_shown(child) for child in branch.children],
    )
