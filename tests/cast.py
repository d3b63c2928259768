"""The fixed cast of the tests, and a brand with a campaign that runs.

Alice buys and shares. Bob gets what she shares. Charlie is a stranger: nobody brought him in, and
what is somebody else's is refused to him. Each has a phone with a browser, and does here what the
pages do for a reader, without the pages.

    brand = open_brand(deployment)
    alice, bob, charlie = cast_of(brand)
    alice.claim(0)
    bob.open(alice.link())
    assert bob.claim(1).referrer == alice.customer
"""

from dataclasses import dataclass, field
from typing import Any

from referral import actions, intake, ledger, links, people
from referral.actions import Claimed
from referral.batches import Batch
from referral.campaigns import Campaign, Draft
from referral.catalog import Product
from referral.codes import Code, Labels
from referral.deployment import Deployment
from referral.links import Arrival, Channel, Link, VisitorCookie
from referral.people import Contact
from referral.ranges import RangeState
from referral.visits import Kind, Visit, new_event_id

GTIN = "06901234567892"
OTHER_GTIN = "06901234567908"
PRICE = 2000
PER_CLAIM, PER_FRIEND = 20, 50
RULES = [
    {"when": "claim", "for": "person", "amount": PER_CLAIM},
    {"when": "referred_first_claim", "for": "both", "amount": PER_FRIEND},
]
BUDGET = 100_000
SIZE, ON_SALE = 1000, 500


@dataclass
class Brand:
    """A product with a batch of `SIZE` codes, the first `ON_SALE` on sale, and a campaign."""

    deployment: Deployment
    product: Product
    batch: Batch
    campaign: Campaign

    def code(self, index: int) -> Code:
        return self.deployment.codes.encode(self.batch, index)

    def budget_left(self, campaign: Campaign | None = None) -> int:
        owner = (campaign or self.campaign).id
        with self.deployment.db.read() as tx:
            return ledger.balances(tx, ledger.Kind.budget, owner).get("points", 0)


@dataclass
class Person:
    """Somebody with a phone. `customer` is known from the first sign-in on."""

    brand: Brand
    contact: Contact
    customer: int = 0
    cookie: VisitorCookie = field(default_factory=lambda: VisitorCookie(people.new_visitor_id()))

    @property
    def visitor(self) -> int:
        return self.cookie.visitor

    def sign_in(self) -> int:
        """Sign in on this phone with a one-time code."""
        d = self.brand.deployment
        code = actions.request_sign_in_code(
            d, self.contact, "192.0.2.1", self.visitor, lambda code: code
        )
        signed_in = actions.sign_in(d, self.contact, code or "", self.visitor)
        if signed_in.visitor != self.visitor:
            self.cookie = VisitorCookie(signed_in.visitor)
        self.customer = signed_in.customer
        return signed_in.customer

    def take_other_phone(self) -> None:
        """From now on the person uses another browser and is not signed in there."""
        self.cookie = VisitorCookie(people.new_visitor_id())

    def link(self, campaign: Campaign | None = None, channel: Channel = Channel.copy) -> Link:
        """The link this browser shares."""
        campaign_id = (campaign or self.brand.campaign).id
        own = links.own_link(self.cookie, campaign_id, self.customer or None)
        return own.through(channel)

    def open(self, link: Link, *, arrives: bool = True) -> Arrival:
        """Open a share link. With `arrives=False` the opening never gets past the intake."""
        d = self.brand.deployment
        now = d.clock.now()
        arrival = links.arrive(self.cookie, link, self.customer or None, now)
        self.cookie = arrival.cookie
        visit = Visit(
            Kind.open,
            now,
            new_event_id(now),
            visitor=self.visitor,
            campaign=link.campaign,
            parent=None if arrival.is_own else link.visitor,
            hop=link.hop + 1,
            channel=link.channel,
        )
        if arrives:
            intake.hand_in(d, visit)
        return arrival

    def claim(self, index: int, batch: Batch | None = None) -> Claimed:
        """Claim the package of that index, signing in first where that has not happened."""
        if not self.customer:
            self.sign_in()
        d = self.brand.deployment
        return actions.claim(
            d,
            d.codes.encode(batch or self.brand.batch, index),
            self.customer,
            visitor=self.visitor,
            touches=self.cookie.touches,
        )

    def points(self) -> int:
        """What is available to spend."""
        return self._balance(ledger.Kind.wallet)

    def pending(self) -> int:
        return self._balance(ledger.Kind.pending)

    def _balance(self, kind: ledger.Kind) -> int:
        with self.brand.deployment.db.read() as tx:
            return ledger.balances(tx, kind, self.customer).get("points", 0)


def draft(**changes: Any) -> Draft:
    """A campaign that pays the buyer for every claim, and both sides for a friend's first."""
    terms = {
        "slug": "spring",
        "title": "Spring together",
        "budget": BUDGET,
        "hold_days": 0,
        "rules": RULES,
    }
    return Draft.model_validate({**terms, **changes})


def publish(deployment: Deployment, **changes: Any) -> Campaign:
    """A campaign that runs, with changes to its terms."""
    terms = draft(**changes)
    actions.add_campaign(deployment, terms)
    return actions.publish_campaign(deployment, terms.slug)


def add_product(
    deployment: Deployment,
    gtin: str = GTIN,
    price: int = PRICE,
    labels: Labels = Labels.single,
) -> Product:
    name = "Cold Brew Tea"
    return actions.add_product(
        deployment, gtin=gtin, name=name, price=price, currency="CNY", labels=labels
    )


def issue(
    deployment: Deployment, gtin: str = GTIN, *, on_sale: int = ON_SALE, name: str = "a batch"
) -> Batch:
    """A batch of which the first `on_sale` codes are activated."""
    batch = actions.issue_batch(deployment, gtin=gtin, count=SIZE, name=name, by="tests")
    if on_sale:
        actions.set_range(
            deployment, batch.id, RangeState.activated, start=0, end=on_sale, by="tests"
        )
    return batch


def open_brand(deployment: Deployment, *, labels: Labels = Labels.single, **terms: Any) -> Brand:
    """A brand whose campaign runs; `terms` change what it promises."""
    product = add_product(deployment, labels=labels)
    return Brand(deployment, product, issue(deployment), publish(deployment, **terms))


def cast_of(brand: Brand) -> tuple[Person, Person, Person]:
    """Alice, Bob and Charlie; none of them has signed in."""
    return (
        Person(brand, people.phone("138 0013 8000")),
        Person(brand, people.email("bob@example.com")),
        Person(brand, people.phone("139 0013 9000")),
    )
