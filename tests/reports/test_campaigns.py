"""A campaign's figures: three counts that are never added up, and the spread page by page."""

import itertools
from datetime import timedelta

import pytest

from referral import intake, people, visits
from referral.clock import HeldClock
from referral.codes import Label
from referral.links import Channel, visitor_name
from referral.reports import campaigns as figures
from referral.reports.campaigns import Edge, Metrics
from referral.visits import Kind, Visit, new_event_id
from tests.cast import (
    BUDGET,
    PER_CLAIM,
    PER_FRIEND,
    Brand,
    Person,
    cast_of,
    publish,
)


def metrics(brand: Brand) -> Metrics:
    with brand.deployment.db.read() as tx:
        return figures.metrics(tx, brand.campaign)


def happen(person: Person, kind: Kind, **details: object) -> None:
    d = person.brand.deployment
    fields = {"visitor": person.visitor, "campaign": person.brand.campaign.id, **details}
    event_id = fields.pop("event_id", None) or new_event_id()
    intake.hand_in(d, Visit(kind, d.clock.now(), event_id, **fields))  # type: ignore[arg-type]


def test_before_anything_happens_everything_is_zero(brand: Brand) -> None:
    numbers = figures.as_numbers(metrics(brand))
    assert numbers.pop("budget_left") == BUDGET
    assert len(numbers) == 13
    assert set(numbers.values()) == {0}


def test_every_count_counts_its_own(brand: Brand) -> None:
    alice, bob, charlie = cast_of(brand)
    happen(alice, Kind.scan, batch=brand.batch.id, code_index=0, label=Label.inner)
    happen(alice, Kind.scan, batch=brand.batch.id, code_index=0, label=Label.inner)
    alice.claim(0)
    happen(alice, Kind.share, channel=Channel.copy)
    for _ in range(4):
        happen(alice, Kind.fetch, visitor=None, machine="fetcher")
    for _ in range(2):
        bob.open(alice.link())
    charlie.open(bob.link())
    day = brand.deployment.clock.now()
    for _ in range(3):
        seen = visits.engagement_id(bob.visitor, brand.campaign.id, day)
        happen(bob, Kind.engagement, event_id=seen)
    charlie.claim(1)
    charlie.claim(2)
    assert metrics(brand) == Metrics(
        fetches=4,
        opens=3,
        engagements=1,
        visitors=2,
        shares=1,
        scans=2,
        claims=3,
        new_customers=2,
        referred_customers=1,
        cost=3 * PER_CLAIM + 2 * PER_FRIEND,
        orders=0,
        order_amount=0,
        refunded_amount=0,
        budget_left=BUDGET - 3 * PER_CLAIM - 2 * PER_FRIEND,
    )


def test_campaigns_do_not_count_each_others(brand: Brand, clock: HeldClock) -> None:
    alice, bob, _ = cast_of(brand)
    alice.claim(0)
    before = metrics(brand)
    clock.advance(minutes=1)
    other = publish(brand.deployment, slug="other")
    bob.open(alice.link(other))
    bob.claim(1)
    assert metrics(brand) == before
    with brand.deployment.db.read() as tx:
        theirs = figures.metrics(tx, other)
    assert (theirs.opens, theirs.claims, theirs.referred_customers) == (1, 1, 1)


# The spread


@pytest.fixture
def readers(brand: Brand, clock: HeldClock) -> list[Person]:
    """Alice's link is opened by one who is followed by another, and so on: five in a row."""
    alice, _, _ = cast_of(brand)
    alice.sign_in()
    row = [alice]
    for number in range(5):
        reader = Person(brand, people.email(f"person-{number}@example.com"))
        clock.advance(minutes=1)
        reader.open(row[-1].link(channel=Channel.address))
        row.append(reader)
    return row


def page(brand: Brand, after: str | None = None, limit: int = 2) -> tuple[list[Edge], str | None]:
    with brand.deployment.db.read() as tx:
        return figures.spread(tx, brand.campaign.id, after=after, limit=limit)


def test_every_edge_is_on_one_page(brand: Brand, readers: list[Person], clock: HeldClock) -> None:
    edges: list[Edge] = []
    after, pages = None, 0
    while True:
        found, after = page(brand, after)
        edges += found
        pages += 1
        if after is None:
            break
    assert pages == 3
    start = clock.now() - timedelta(minutes=5)
    assert sorted(edges, key=lambda edge: edge.hop) == [
        Edge(
            visitor_name(sharer.visitor),
            visitor_name(reader.visitor),
            hop,
            "address",
            start + timedelta(minutes=hop),
        )
        for hop, (sharer, reader) in enumerate(itertools.pairwise(readers), start=1)
    ]


def test_a_page_that_holds_all_has_none_after_it(brand: Brand, readers: list[Person]) -> None:
    assert [len(page(brand, limit=limit)[0]) for limit in (4, 5, 6)] == [4, 5, 5]
    assert page(brand, limit=5)[1] is None
    assert page(brand, limit=4)[1] is not None


def test_an_empty_spread_is_one_empty_page(brand: Brand) -> None:
    assert page(brand) == ([], None)


@pytest.mark.parametrize("cursor", ["", "nonsense", "__________8", "AAAAAAAAAAA=", "\0", "é"])
def test_it_rejects_a_cursor_it_did_not_give(brand: Brand, cursor: str) -> None:
    with pytest.raises(ValueError):
        page(brand, cursor)
