"""Customers: adding them, signing in, their names and links."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from referral import campaigns, graph, people, risk
from referral.crypto import KeyRing
from referral.db import transaction
from referral.deployment import Deployment
from referral.errors import Problem
from referral.links import Channel, Link
from referral.people import CodeCheck, Contact, CustomerExists
from referral.wechat import WechatTaken


@transaction
def add_customer(
    tx: Session, deployment: Deployment, contacts: Sequence[Contact], name: str | None
) -> tuple[int, bool]:
    """The customer with these identities, made if new; and whether it is new.

    Raises `BadName`, and `CustomerExists` when the identities belong to several customers.
    """
    return people.find_or_add_customer(
        tx,
        deployment.keys,
        contacts,
        name=people.clean_name(name) if name is not None else None,
        now=deployment.clock.now(),
    )


@transaction
def rename(tx: Session, deployment: Deployment, customer_id: int, name: str | None) -> None:
    """As `people.rename`."""
    people.rename(tx, deployment.keys, customer_id, name)


def request_sign_in_code(
    deployment: Deployment,
    contact: Contact,
    address: str,
    visitor: int,
    text: Callable[[str], str],
    owner: int | None = None,
) -> str | None:
    """Send a one-time code; returned only where the sender is one that shows it.

    It is good in the browser of `visitor` only: for signing in, or with `owner` for adding the
    contact to that customer. Whose the contact is makes no difference. `text` puts the code into
    words. Raises `TooMany`, `NotSent`.
    """
    # The contact's comes last: who is refused for himself takes nothing from its owner.
    deployment.limits.code_request(contact.value, visitor)
    deployment.limits.code_request_address(address)
    deployment.limits.code_request_contact(contact.value)
    code, now = people.new_sign_in_code(), deployment.clock.now()
    deployment.db.transact(
        lambda tx: people.issue_sign_in_code(
            tx, deployment.keys, contact, code, visitor, now, owner
        )
    )
    deployment.sender.send(contact, code, text(code), brand=deployment.config.brand)
    return code if deployment.sender.shows_codes else None


@dataclass(frozen=True)
class SignedIn:
    customer: int
    visitor: int
    """The browser's visitor from now on: another one when it was another customer's."""
    is_new: bool


def sign_in(
    deployment: Deployment, contact: Contact, code: str, visitor: int, address: str | None = None
) -> SignedIn:
    """Sign in with the one-time code this browser asked for and make it the customer's.

    Of `address` the network is kept, as a keyed hash. Raises `TooMany`, `WrongSignInCode`,
    `SignInCodeSpent`.
    """
    tried = deployment.limits.sign_in(contact.value, visitor)
    outcome = _sign_in(deployment, contact, code, visitor, address)
    # Raised out here: a wrong try has to be committed in order to count.
    if outcome is CodeCheck.wrong:
        raise people.WrongSignInCode()
    if not isinstance(outcome, SignedIn):
        raise people.SignInCodeSpent()
    deployment.limits.give_back(tried)
    return outcome


@transaction
def _sign_in(
    tx: Session,
    deployment: Deployment,
    contact: Contact,
    code: str,
    visitor: int,
    address: str | None,
) -> SignedIn | CodeCheck:
    now = deployment.clock.now()
    check = people.check_sign_in_code(tx, deployment.keys, contact, code, visitor, now)
    if check is not CodeCheck.right:
        return check
    customer, is_new = people.find_or_add_customer(
        tx, deployment.keys, [contact], name=None, now=now
    )
    return _signed_in(tx, deployment.keys, customer, visitor, address, is_new=is_new, now=now)


def add_contact(
    deployment: Deployment, customer: int, contact: Contact, code: str, visitor: int
) -> None:
    """Add a phone or e-mail to a customer, with the one-time code this browser asked for.

    Who has the code has the contact; only then is it looked whose it is. Pressing the button
    twice adds it once. Raises `TooMany`, `WrongSignInCode`, `SignInCodeSpent`, `ContactTaken`,
    `ContactKept`, `UnknownCustomer`.
    """
    tried = deployment.limits.sign_in(contact.value, visitor)
    refused = _add_contact(deployment, customer, contact, code, visitor)
    # Raised out here: a try has to be committed in order to count.
    if not isinstance(refused, people.WrongSignInCode | people.SignInCodeSpent):
        deployment.limits.give_back(tried)
    if refused is not None:
        raise refused


@transaction
def _add_contact(
    tx: Session, deployment: Deployment, customer: int, contact: Contact, code: str, visitor: int
) -> Problem | None:
    keys, now = deployment.keys, deployment.clock.now()
    check = people.check_sign_in_code(tx, keys, contact, code, visitor, now, customer)
    if check is CodeCheck.wrong:
        return people.WrongSignInCode()
    customer = people.lock_customer(tx, customer)  # two kinds at once are one after the other
    owner = people.find_customer(tx, keys, contact)
    if owner == customer:
        return None
    if check is CodeCheck.spent:
        return people.SignInCodeSpent()
    if owner is not None:
        return people.ContactTaken()
    if contact.kind in people.kinds_of(tx, customer):
        return people.ContactKept()
    try:
        people.find_or_add_customer(tx, keys, [contact], name=None, now=now, owner=customer)
    except CustomerExists:  # somebody signed up with it in this moment
        return people.ContactTaken()
    return None


@transaction
def sign_in_with_wechat(
    tx: Session,
    deployment: Deployment,
    contacts: Sequence[Contact],
    visitor: int,
    owner: int | None,
    *,
    may_add: bool = True,
    address: str | None = None,
) -> SignedIn:
    """Sign in whom WeChat has named, and make the browser the customer's.

    `owner` is signed in on this browser already: what WeChat calls him is added to the rest that
    he is known by, if he `may_add` to that. Raises `WechatTaken` when it is another customer's,
    or nobody's that may be added.
    """
    now = deployment.clock.now()
    if owner is not None and not people.is_customer(tx, owner):
        owner = None  # a session that is older than a database set up anew
    if owner is not None:
        owner = people.hold(tx, owner)
    if owner is not None and not may_add:
        known = {people.find_customer(tx, deployment.keys, each) for each in contacts}
        if owner not in known:
            raise WechatTaken()
    try:
        customer, is_new = people.find_or_add_customer(
            tx, deployment.keys, contacts, name=None, now=now, owner=owner
        )
    except CustomerExists:
        raise WechatTaken() from None
    return _signed_in(tx, deployment.keys, customer, visitor, address, is_new=is_new, now=now)


def _signed_in(
    tx: Session,
    keys: KeyRing,
    customer: int,
    visitor: int,
    address: str | None,
    *,
    is_new: bool,
    now: datetime,
) -> SignedIn:
    people.consent(tx, customer, "service", now)
    if address is not None:
        risk.note_network(tx, keys, customer, address, now)
    if not people.fold_visitor(tx, visitor, customer, now):
        other = people.customer_of(tx, visitor)
        if other is not None and other != customer:
            risk.note_shared(tx, customer, other, now)
        visitor = people.new_visitor_id()
        people.fold_visitor(tx, visitor, customer, now)
    return SignedIn(customer, visitor, is_new)


@transaction
def make_link(
    tx: Session, deployment: Deployment, slug: str, customer_id: int, channel: Channel
) -> Link:
    """A customer's own link where no browser is at hand.

    Raises `UnknownCampaign`, `UnknownCustomer`.
    """
    campaign = campaigns.campaign_by_slug(tx, slug)
    customer_id = people.customer_by_id(tx, customer_id).id
    fresh, now = people.new_visitor_id(), deployment.clock.now()
    visitor = people.own_visitor(tx, customer_id, fresh, now)
    hop = graph.hop_of(tx, campaign.id, visitor)
    return Link(campaign.id, visitor, customer_id, hop, channel)
