"""What happened with a customer: everything, once, in its order, page by page."""

from typing import Any

import pytest

from referral import actions, complaints, intake
from referral.clock import HeldClock
from referral.orders import OrderIn, RefundIn
from referral.reports.timeline import Place, Timeline, What, timeline
from referral.risk import Mode
from referral.visits import Kind, Visit, new_event_id
from tests.cast import Brand, Person, cast_of
from tests.reports.conftest import read
from tests.reports.test_reach import statements
from tests.rewarded import add_item, add_till, give


def told(brand: Brand, person: Person, after: Place | None = None, limit: int = 100) -> Timeline:
    return read(brand, lambda tx: timeline(tx, person.customer, after=after, limit=limit))


@pytest.fixture
def alice(brand: Brand, clock: HeldClock) -> Person:
    """Somebody to whom all of it has happened, a minute apart."""
    d = brand.deployment
    alice, bob, charlie = cast_of(brand)
    charlie.sign_in()
    clock.advance(minutes=1)
    alice.sign_in()
    clock.advance(minutes=1)
    alice.open(charlie.link())
    clock.advance(minutes=1)
    alice.claim(0)
    clock.advance(minutes=1)
    bob.open(alice.link())
    bob.claim(1)
    clock.advance(minutes=1)
    order = {"external_id": "A-1", "customer_id": alice.customer, "amount": 5_000}
    actions.place_order(d, OrderIn.model_validate({**order, "currency": "CNY"}))
    clock.advance(minutes=1)
    refund = RefundIn.model_validate({"external_id": "R-1", "amount": 100})
    actions.refund_order(d, "A-1", refund)
    add_till(d)
    add_item(d)
    clock.advance(minutes=1)
    give(brand, alice.customer, 200)
    actions.redeem(d, alice.customer, "cup", key="press")
    clock.advance(minutes=1)
    both = (alice.customer, charlie.customer)
    actions.merge_customers(d, *both, by="olga", reason="one person", keep=alice.customer)
    return alice


def test_all_that_happened_is_told_newest_first(brand: Brand, alice: Person) -> None:
    found = told(brand, alice)
    assert found.next is None
    seen = [row.what for row in found.rows]
    assert set(seen) >= {
        *(What.joined, What.opened, What.claimed, What.rewarded, What.brought),
        *(What.ordered, What.refunded, What.redeemed, What.merged),
    }
    assert seen[0] is What.merged
    assert seen[-1] is What.joined
    moments = [row.at for row in found.rows]
    assert moments == sorted(moments, reverse=True)
    claimed = next(row for row in found.rows if row.what is What.claimed)
    assert (claimed.about["product"], claimed.about["index"]) == ("Cold Brew Tea", 0)
    brought = next(row for row in found.rows if row.what is What.brought)
    assert brought.about["friend"] in set(found.customers())
    assert brand.campaign.id in set(found.campaigns())


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_pages_have_everything_once(brand: Brand, alice: Person, limit: int) -> None:
    """Also where several things happened at one moment."""
    whole = [row.place for row in told(brand, alice).rows]
    paged: list[Place] = []
    after: Place | None = None
    while True:
        page = told(brand, alice, after, limit)
        assert len(page.rows) <= limit
        paged += [row.place for row in page.rows]
        if page.next is None:
            break
        after = Place.read(str(page.next))
        assert after == page.next
    assert paged == whole
    assert len(set(whole)) == len(whole)


def test_complaints_shares_and_verdicts_are_told(brand: Brand, clock: HeldClock) -> None:
    d = brand.deployment
    alice, *_ = cast_of(brand)
    alice.sign_in()
    now = clock.now()
    visit = Visit(Kind.share, now, new_event_id(now), alice.visitor, brand.campaign.id)
    intake.hand_in(d, visit)
    actions.set_risk_rule(d, "misses_first", Mode.on, points=60, by="tests")
    for _ in range(12):
        d.guessing.wrong_code(alice.customer, None, None)
    alice.claim(0)
    said = actions.Said(kind=complaints.Kind.taste, text="Sour.")
    actions.complain(d, alice.customer, said, key="k")
    seen = {row.what: row for row in told(brand, alice).rows}
    assert seen[What.shared].about["campaign_id"] == brand.campaign.id
    assert seen[What.judged].about["score"] >= 30
    assert seen[What.complained].about["kind"] == "taste"


@pytest.mark.parametrize(
    "text", ["", "x", "1.claimed", "1.flew.2", "-1.claimed.2", f"{10**19}.claimed.1", "1.claimed.٣"]
)
def test_what_is_no_place_is_the_beginning(text: str) -> None:
    assert Place.read(text) is None


def test_a_page_takes_as_many_statements_for_much_as_for_little(
    brand: Brand, alice: Person
) -> None:
    def counted() -> int:
        with statements(brand.deployment.db) as said:
            told(brand, alice, limit=5)
        return len(said)

    before: Any = counted()
    for index in range(10, 20):
        alice.claim(index)
    assert counted() == before <= len(What) + 1
