"""What happened with a customer: everything, once, in its order, page by page."""

from typing import Any

import pytest
import sqlalchemy as sa

from referral import actions, complaints, intake
from referral.claims import Claim
from referral.clock import HeldClock
from referral.orders import OrderIn, RefundIn
from referral.reports.timeline import Place, Timeline, What, timeline
from referral.risk import Mode
from referral.staff import Role, StaffMember
from referral.visits import Kind, Visit, new_event_id
from tests.cast import Brand, Person, cast_of
from tests.reports.conftest import read
from tests.rewarded import add_item, add_till, give
from tests.statements import statements


def told(brand: Brand, person: Person, after: Place | None = None, limit: int = 100) -> Timeline:
    keys, customer = brand.deployment.keys, person.customer
    return read(brand, lambda tx: timeline(tx, keys, customer, after=after, limit=limit))


def rate(brand: Brand, person: Person, **said: Any) -> int:
    """Rate the first package of somebody's."""
    of = sa.select(Claim.id).where(Claim.customer_id == person.customer).order_by(Claim.id)
    claim = read(brand, lambda tx: tx.scalars(of.limit(1)).one())
    actions.rate(brand.deployment, claim, person.customer, **said)
    return claim


def complain(brand: Brand, person: Person) -> int:
    """A complaint that is answered and written back about, all at one moment. Its number."""
    d = brand.deployment
    said = actions.Said(kind=complaints.Kind.taste, text="Sour.")
    number = actions.complain(d, person.customer, said, key="k")
    sam = {"email": "sam@brand.example", "password": "four words are fine"}
    staff_id = actions.add_staff(d, **sam, role=Role.support)
    member = read(brand, lambda tx: tx.get_one(StaffMember, staff_id))
    waiting = complaints.State.waiting
    actions.answer_complaint(d, number, member, "Which cap?", state=waiting, seen=0)
    actions.write_back(d, number, person.customer, "The red one.")
    return number


@pytest.fixture
def alice(brand: Brand, clock: HeldClock) -> Person:
    """Somebody to whom nearly all of it has happened, a minute apart, some of it at one moment."""
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
    rate(brand, alice, score=4, comment="Nice.\n\nA bit sweet.")
    complain(brand, alice)
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
        *(What.ordered, What.refunded, What.redeemed, What.merged, What.rated, What.commented),
        *(What.complained, What.answered, What.wrote_back),
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


def test_what_she_said_of_packages_is_told_and_can_be_read(brand: Brand, clock: HeldClock) -> None:
    alice, bob, _charlie = cast_of(brand)
    alice.sign_in()
    alice.claim(0)
    bob.sign_in()
    bob.claim(1)
    rate(brand, bob, score=1, comment="Awful.")
    rate(brand, alice, score=2)
    at = clock.now()
    clock.advance(minutes=5)
    claim = rate(brand, alice, score=5, comment="Better by now.")
    seen = {row.what: row for row in told(brand, alice).rows}
    rated, commented = seen[What.rated], seen[What.commented]
    assert (rated.at, rated.about["score"], rated.number) == (at, 5, claim)
    assert commented.at == clock.now()
    assert commented.about["comment"] == "Better by now."
    assert (commented.about["product"], commented.about["index"]) == ("Cold Brew Tea", 0)
    assert "comment_encrypted" not in commented.about
    rate(brand, alice, comment="")
    assert What.commented not in {row.what for row in told(brand, alice).rows}


def test_what_was_written_about_a_complaint_is_told_without_its_words(
    brand: Brand, clock: HeldClock
) -> None:
    alice, bob, _charlie = cast_of(brand)
    alice.sign_in()
    bob.sign_in()
    clock.advance(minutes=1)
    number = complain(brand, alice)
    rows = told(brand, alice).rows
    about = {row.what: row.about.get("complaint_id", row.number) for row in rows[:3]}
    three = (What.complained, What.answered, What.wrote_back)
    assert about == dict.fromkeys(three, number)
    assert [row.what for row in rows].count(What.wrote_back) == 1
    assert not any("cap" in str(row.about) for row in rows)
    assert {row.what for row in told(brand, bob).rows} == {What.joined}


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
