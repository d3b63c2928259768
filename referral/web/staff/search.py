"""The search box: a customer by whatever is known of her, a share link or a code.

It is sent as a form and never as an address, because what is looked for is often a phone number
and addresses end up in logs.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from flask import redirect, render_template, request, url_for
from sqlalchemy.orm import Session

from referral import lookup, people
from referral.campaigns import Campaign, campaign_by_id
from referral.codes import Code, UnknownCode
from referral.links import visitor_name
from referral.packages import PrintPackage
from referral.people import BadContact, Contact
from referral.reports import codes, customers, lists, trees
from referral.reports.codes import CodeReport
from referral.reports.trees import SpreadBranch
from referral.staff import Right, StaffMember
from referral.web.context import deployment
from referral.web.staff.auth import Page, require
from referral.web.staff.blueprint import staff
from referral.web.staff.forms import Form

QUERY_LENGTH_MAX = 2_000
"""Room for a share link that a chat app has decorated with parameters."""
CUSTOMER_ID_DIGITS_MAX = 18


@dataclass(frozen=True)
class FoundLink:
    campaign: Campaign
    visitor: str
    hop: int
    channel: str
    customer_id: int | None
    """Whom a claim through this link credits."""
    place: SpreadBranch | None


@dataclass(frozen=True)
class FoundCode:
    code: Code
    report: CodeReport
    packages: list[PrintPackage]


@dataclass
class Found:
    customers: list[int] = field(default_factory=list)
    link: FoundLink | None = None
    code: FoundCode | None = None
    has_more: bool = False
    """Whether there may be more customers with such a name."""


@staff.get("/search")
@require(Right.read)
def search(member: StaffMember) -> Page:
    return _page(Form(), None, {})


@staff.post("/search")
@require(Right.read)
def find(member: StaffMember) -> Page:
    form = Form(request.form)
    query = form.text("q", least=1, most=QUERY_LENGTH_MAX)
    if not form.ok:
        return _page(form, None, {}), 422
    with deployment().db.read() as tx:
        found = Found(customers_named(tx, query), _link(tx, query), _code(tx, query))
        if found.link is None and found.code is None:
            named = people.find_named(tx, deployment().keys, query)
            found.customers = list(dict.fromkeys([*found.customers, *named.customers]))
            found.has_more = named.has_more
        mentioned = [*found.customers, *_customers_in(found)]
        names = lists.names(tx, deployment().keys, mentioned)
        contacts = customers.masked_contacts_of(tx, deployment().keys, found.customers)
    if len(found.customers) == 1 and found.link is None and found.code is None:
        return redirect(url_for(".customer", customer_id=found.customers[0]), 303)
    is_empty = not (found.customers or found.link or found.code)
    return _page(form, found, names, contacts), 404 if is_empty else 200


def _page(
    form: Form,
    found: Found | None,
    names: dict[int, str | None],
    contacts: dict[int, list[tuple[str, str]]] | None = None,
) -> str:
    return render_template(
        "staff/search.html", form=form, found=found, names=names, contacts=contacts or {}
    )


def _customers_in(found: Found) -> list[int]:
    """Customers that a found link or code leads to."""
    ids = [
        found.link.customer_id if found.link else None,
        found.link.place.customer_id if found.link and found.link.place else None,
        found.code.report.claim.customer_id if found.code and found.code.report.claim else None,
    ]
    return [each for each in ids if each]


def customers_named(tx: Session, query: str) -> list[int]:
    """By number, phone, e-mail or the brand's own member id; a number can be several of them."""
    found: list[int] = []
    digits = query.removeprefix("#")
    if digits.isascii() and digits.isdigit() and len(digits) <= CUSTOMER_ID_DIGITS_MAX:
        found += lists.names(tx, deployment().keys, [int(digits)])
    for read in (people.contact, people.external):
        known = _by_contact(tx, query, read)
        if known is not None:
            found.append(known)
    now = people.current(tx, found) if found else {}
    return list(dict.fromkeys(now[each] for each in found))


def _by_contact(tx: Session, query: str, read: Callable[[str], Contact]) -> int | None:
    try:
        contact = read(query)
    except BadContact:
        return None
    return people.find_customer(tx, deployment().keys, contact)


def _link(tx: Session, query: str) -> FoundLink | None:
    path = _path(query)
    token = path.partition("/s/")[2].partition("/")[0] if "/s/" in path else path.strip("/")
    link = deployment().links.read(token)
    campaign = campaign_by_id(tx, link.campaign) if link else None
    if link is None or campaign is None:
        return None
    return FoundLink(
        campaign,
        visitor_name(link.visitor),
        link.hop,
        link.channel.name,
        link.customer,
        trees.spread_of(tx, campaign.id, [link.visitor]).get(link.visitor),
    )


def _code(tx: Session, query: str) -> FoundCode | None:
    try:
        code = deployment().read_code(lookup.in_text(query)[0])
    except UnknownCode:
        return None
    batch = deployment().directory.batch(code.batch_id)
    return FoundCode(
        code,
        codes.report(tx, batch, code.index, deployment().local_now()),
        codes.printed_in(tx, deployment().keys, batch, code.index),
    )


def _path(query: str) -> str:
    """The path of a pasted address; a bare token or code is its own."""
    try:
        return unquote(urlsplit(query).path)
    except ValueError:
        return query
