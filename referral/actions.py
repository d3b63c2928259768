"""What people do here. One function is one user-visible write and one database transaction.

Call them as ``actions.claim(deployment, ...)``: `transaction` opens, retries and commits.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import event
from sqlalchemy.orm import Session

from referral import batches, campaigns, catalog, claims, graph, idempotency, people, rewards, staff
from referral.batches import Batch, Entry, RangeState
from referral.campaigns import Campaign
from referral.catalog import Product
from referral.claims import Claim
from referral.codes import Code
from referral.db import transaction
from referral.deployment import Deployment
from referral.links import Channel, Link, Touch, visitor_name
from referral.people import CodeCheck, Contact
from referral.rewards import PurchaseFacts, Reward

# What staff set up


@transaction
def add_product(
    tx: Session, deployment: Deployment, *, gtin: str, name: str, price: int, currency: str
) -> Product:
    """Raises `BadGTIN`, `ProductExists`."""
    now = deployment.clock.now()
    return catalog.add_product(tx, gtin=gtin, name=name, price=price, currency=currency, now=now)


@transaction
def issue_batch(
    tx: Session, deployment: Deployment, *, gtin: str, count: int, name: str, by: str
) -> Batch:
    """Issue a batch of `count` codes. Raises `UnknownProduct`, `CodesExhausted`."""
    product = catalog.product_by_gtin(tx, gtin)
    batch = batches.add_batch(
        tx,
        product=product,
        name=name,
        size=count,
        key_id=deployment.keys.newest,
        by=by,
        now=deployment.clock.now(),
    )
    # Not sooner: a thread that looks before the commit would go on without the batch for a while.
    event.listen(tx, "after_commit", lambda _: deployment.directory.forget(), once=True)
    return batch


@transaction
def set_range(
    tx: Session,
    deployment: Deployment,
    batch_id: int,
    state: RangeState,
    *,
    start: int | None = None,
    end: int | None = None,
    reason: str = "",
    by: str,
) -> Batch:
    """Activate or void a range of codes. Raises `UnknownBatch`, `BadRange`."""
    now = deployment.clock.now()
    return batches.set_state(
        tx, batch_id, state, start=start, end=end, reason=reason, by=by, now=now
    )


@transaction
def add_campaign(tx: Session, deployment: Deployment, draft: campaigns.Draft) -> Campaign:
    """Store a draft. Raises `CampaignExists`, `EndsTooEarly`."""
    return campaigns.add_campaign(tx, draft, deployment.clock.now())


@transaction
def revise_campaign(
    tx: Session, deployment: Deployment, slug: str, draft: campaigns.Draft
) -> Campaign:
    """Change a draft. Raises `UnknownCampaign`, `AlreadyPublished`, `EndsTooEarly`."""
    campaign = campaigns.campaign_by_slug(tx, slug, for_update=True)
    return campaigns.revise(campaign, draft, deployment.clock.now())


@transaction
def publish_campaign(tx: Session, deployment: Deployment, slug: str) -> Campaign:
    """Raises what `campaigns.publish` refuses."""
    campaign = campaigns.campaign_by_slug(tx, slug, for_update=True)
    products = catalog.products_in(tx, campaign.gtins)
    return campaigns.publish(tx, campaign, products, deployment.clock.now())


@transaction
def add_staff(
    tx: Session, deployment: Deployment, *, email: str, password: str, role: staff.Role
) -> None:
    """Raises `BadContact`, `WeakPassword`, `StaffExists`."""
    now = deployment.clock.now()
    staff.add_staff(tx, email=email, password=password, role=role, now=now)


@transaction
def add_api_key(tx: Session, deployment: Deployment, name: str) -> str:
    """A new key; it is shown once and only its hash is kept."""
    key = staff.new_api_key()
    staff.add_api_key(tx, name=name, key=key, now=deployment.clock.now())
    return key


# Customers


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
    """Set a customer's name, or take it away with None. Raises `BadName`, `UnknownCustomer`."""
    people.rename(tx, deployment.keys, customer_id, name)


def request_sign_in_code(
    deployment: Deployment,
    contact: Contact,
    address: str,
    visitor: int,
    text: Callable[[str], str],
) -> str | None:
    """Send a one-time code; returned only where the sender is one that shows it.

    It is good in the browser of `visitor` only. `text` puts the code into words. Raises `TooMany`,
    `NotSent`.
    """
    # The contact's comes last: who is refused for himself takes nothing from its owner.
    deployment.limits.code_request(contact.value, visitor)
    deployment.limits.code_request_address(address)
    deployment.limits.code_request_contact(contact.value)
    code, now = people.new_sign_in_code(), deployment.clock.now()
    deployment.db.transact(
        lambda tx: people.issue_sign_in_code(tx, deployment.keys, contact, code, visitor, now)
    )
    deployment.sender.send(contact, code, text(code), brand=deployment.config.brand)
    return code if deployment.sender.shows_codes else None


@dataclass(frozen=True)
class SignedIn:
    customer: int
    visitor: int
    """The browser's visitor from now on: another one when it was another customer's."""
    is_new: bool


def sign_in(deployment: Deployment, contact: Contact, code: str, visitor: int) -> SignedIn:
    """Sign in with the one-time code this browser asked for and make it the customer's.

    Raises `TooMany`, `WrongSignInCode`, `SignInCodeSpent`.
    """
    tried = deployment.limits.sign_in(contact.value, visitor)
    outcome = _sign_in(deployment, contact, code, visitor)
    # Raised out here: a wrong try has to be committed in order to count.
    if outcome is CodeCheck.wrong:
        raise people.WrongSignInCode()
    if not isinstance(outcome, SignedIn):
        raise people.SignInCodeSpent()
    deployment.limits.give_back(tried)
    return outcome


@transaction
def _sign_in(
    tx: Session, deployment: Deployment, contact: Contact, code: str, visitor: int
) -> SignedIn | CodeCheck:
    now = deployment.clock.now()
    check = people.check_sign_in_code(tx, deployment.keys, contact, code, visitor, now)
    if check is not CodeCheck.right:
        return check
    customer, is_new = people.find_or_add_customer(
        tx, deployment.keys, [contact], name=None, now=now
    )
    people.consent(tx, customer, "service", now)
    if not people.fold_visitor(tx, visitor, customer, now):
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
    people.customer_by_id(tx, customer_id)
    fresh, now = people.new_visitor_id(), deployment.clock.now()
    visitor = people.own_visitor(tx, customer_id, fresh, now)
    hop = graph.hop_of(tx, campaign.id, visitor)
    return Link(campaign.id, visitor, customer_id, hop, channel)


# The proof of purchase


@dataclass(frozen=True)
class Claimed:
    """A claim and what it brought. `already` when the customer had made it before."""

    claim: Claim
    already: bool
    rewards: list[Reward]
    referrer: int | None
    budget_spent: bool = False
    """Whether a promise could not be kept because the campaign's budget is used up."""


@transaction
def claim(
    tx: Session,
    deployment: Deployment,
    code: Code,
    customer_id: int,
    *,
    visitor: int | None = None,
    touches: Sequence[Touch] = (),
) -> Claimed:
    """A customer takes a code; whoever brought the customer in is credited.

    `visitor` and `touches` are what the browser's cookie (or an API call's `via`) knows, and may
    be ahead of the database. Claiming one's own code again returns the first answer. Raises
    `AlreadyClaimed`, `NotActivated`, `Voided`, `UnknownCustomer`.
    """
    now = deployment.clock.now()
    people.lock_customer(tx, customer_id)
    taken = claims.claim_of(tx, code)
    if taken is not None:
        return _claimed_before(tx, taken, customer_id)
    _check_on_sale(tx, code)

    others = _keep_touches(tx, customer_id, visitor, touches, now)
    credit = _credit(tx, customer_id, others, now)
    campaign = _campaign_for(tx, deployment.directory.batch(code.batch_id), credit, now)
    campaign_id = campaign.id if campaign else None

    made = claims.add_claim(tx, code, customer_id, campaign_id, now)
    if made is None:
        return _claimed_before(tx, claims.claim_of(tx, code), customer_id)
    is_first = not graph.is_settled(tx, customer_id)
    if is_first:
        referrer = graph.settle(
            tx,
            customer_id,
            credit.candidates,
            event=made.event,
            campaign_id=campaign_id,
            why=credit.why,
            now=now,
        )
    else:
        referrer = graph.referrer_of(tx, customer_id)
    # A first claim is paid for by the campaign whose link led to it, or without a referrer.
    is_paid_for = not is_first or credit.campaign_id == campaign_id
    facts = PurchaseFacts(customer_id, is_first, referrer if is_paid_for else None)
    granted, budget_spent = _grant(tx, campaign, facts, made.event, now)
    return Claimed(made, False, granted, referrer, budget_spent)


def _claimed_before(tx: Session, taken: Claim | None, customer_id: int) -> Claimed:
    """The answer that the claim got when it was made. Raises `AlreadyClaimed`."""
    if taken is None or taken.customer_id != customer_id:
        raise claims.AlreadyClaimed()
    was_first = graph.is_settled_by(tx, customer_id, taken.event)
    facts = PurchaseFacts(customer_id, was_first, graph.referrer_of(tx, customer_id))
    campaign = campaigns.campaign_by_id(tx, taken.campaign_id) if taken.campaign_id else None
    # The terms of a campaign that pays do not change, so they still say what was promised.
    promised = rewards.evaluate(campaign.checked_rules, facts) if campaign else []
    granted = rewards.of_event(tx, taken.event)
    return Claimed(taken, True, granted, facts.referrer, len(granted) < len(promised))


def _check_on_sale(tx: Session, code: Code) -> None:
    state = batches.state_of(tx, code.batch_id, code.index)
    if state is RangeState.voided:
        raise claims.Voided()
    if state is not RangeState.activated:
        raise claims.NotActivated()


def _keep_touches(
    tx: Session, customer_id: int, visitor: int | None, touches: Sequence[Touch], now: datetime
) -> list[Touch]:
    """Bring the spread up to what the cookie knows, in case the openings are still on their way.

    Returns the touches that are somebody else's: one's own link brings nobody in.
    """
    others = [
        touch
        for touch in touches
        # The keys may be older than the database: a link may name what was never in this one.
        if touch.link.customer != customer_id
        and campaigns.campaign_by_id(tx, touch.link.campaign) is not None
        and (touch.link.customer is None or people.is_customer(tx, touch.link.customer))
    ]
    if not others:
        return []
    if visitor is None or not people.fold_visitor(tx, visitor, customer_id, now):
        visitor = people.own_visitor(tx, customer_id, people.new_visitor_id(), now)
    others = [touch for touch in others if touch.link.visitor != visitor]
    for touch in others:
        graph.attach(tx, visitor, touch.link, touch.at)
    return others


@dataclass(frozen=True)
class Credit:
    """Who may be credited for a customer, best first, and why."""

    candidates: list[int]
    campaign_id: int | None
    why: dict[str, Any]


def _credit(tx: Session, customer_id: int, touches: Sequence[Touch], now: datetime) -> Credit:
    """The nearest customer up the path of the first touch that is still in its window."""
    considered: list[dict[str, Any]] = []
    for way in _ways_in(tx, customer_id, touches):
        campaign = campaigns.campaign_by_id(tx, way.campaign)
        in_window = campaign is not None and now - way.at <= campaign.window
        considered.append(
            {"campaign": way.campaign, "at": way.at.isoformat(), "in_window": in_window}
        )
        if not in_window:
            continue
        path = list(graph.path_up(tx, way.campaign, way.visitor))
        if way.begins_with_visitor:
            path.insert(0, graph.step_of(tx, way.visitor))
        above = [*(step.customer for step in path), way.in_link]
        candidates = [each for each in above if each is not None and each != customer_id]
        if candidates:
            steps = [{"visitor": visitor_name(s.visitor), "customer": s.customer} for s in path]
            why = {"rule": "first touch, nearest customer", "path": steps, "touches": considered}
            return Credit(candidates, way.campaign, why)
    return Credit([], None, {"rule": "nobody up the path", "path": [], "touches": considered})


@dataclass(frozen=True)
class _WayIn:
    """Somebody's link that a customer opened in a campaign."""

    at: datetime
    campaign: int
    visitor: int
    """Where the path up begins: above the customer's own visitor, or with the sharer himself."""
    begins_with_visitor: bool
    in_link: int | None
    """Whom the link says to credit, for a path that has not wholly arrived yet."""


def _ways_in(tx: Session, customer_id: int, touches: Sequence[Touch]) -> list[_WayIn]:
    """How a customer was reached, first touch first.

    A touch that is not in the spread is one of a reader whose place there was taken before: by a
    link of his own, by one that leads to nobody, or by one that is too old.
    """
    carried = {(touch.link.campaign, touch.link.visitor): touch for touch in touches}
    ways = []
    for node in graph.touches_of(tx, customer_id):
        touch = carried.pop((node.campaign_id, node.parent_id or 0), None)
        in_link = touch.link.customer if touch else None
        ways.append(_WayIn(node.at, node.campaign_id, node.visitor_id, False, in_link))
    for touch in carried.values():
        link = touch.link
        ways.append(_WayIn(touch.at, link.campaign, link.visitor, True, link.customer))
    return sorted(ways, key=lambda way: (way.at, way.campaign))


def _campaign_for(tx: Session, item: Entry, credit: Credit, now: datetime) -> Campaign | None:
    """The campaign that pays: the credited link's if it runs for this product, else the newest."""
    running = campaigns.running(tx, now, item)
    for campaign in running:
        if campaign.id == credit.campaign_id:
            return campaign
    return running[0] if running else None


def _grant(
    tx: Session, campaign: Campaign | None, facts: PurchaseFacts, event: str, now: datetime
) -> tuple[list[Reward], bool]:
    """Keep the campaign's promises for one purchase; and whether its budget ran out doing so."""
    if campaign is None:
        return [], False
    granted: list[Reward] = []
    proposed = rewards.evaluate(campaign.checked_rules, facts)
    for each in proposed:
        reward = rewards.grant(
            tx, each, event=event, campaign_id=campaign.id, hold=campaign.hold, now=now
        )
        if reward is not None:
            granted.append(reward)
    return granted, len(granted) < len(proposed)


def release_rewards(deployment: Deployment) -> int:
    """Make every reward available whose hold is over; safe to run twice. Returns how many."""
    total = 0
    while moved := deployment.db.transact(
        lambda tx: rewards.release_due(tx, deployment.clock.now())
    ):
        total += moved
    return total


@dataclass(frozen=True)
class Swept:
    """How much was dropped."""

    limits: int
    answers: int
    sign_in_codes: int


def sweep(deployment: Deployment) -> Swept:
    """Drop what is of no use any more; safe to run at any time."""
    now = deployment.clock.now()
    return Swept(
        limits=deployment.limits.sweep(),
        answers=deployment.db.transact(lambda tx: idempotency.sweep(tx, now)),
        sign_in_codes=deployment.db.transact(lambda tx: people.sweep_sign_in_codes(tx, now)),
    )
