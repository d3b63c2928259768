"""Verdicts: what the scan page says of a genuine code, to this reader and to others."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from referral import actions, intake
from referral.clock import HeldClock
from referral.codes import Label, Labels
from referral.deployment import Deployment
from referral.flags import CodeFlag
from referral.ranges import RangeState
from referral.reports.scans import Verdict, verdict
from referral.visits import Kind, Visit, new_event_id
from tests.cast import ON_SALE, Brand, Person, cast_of, open_brand


def scan(person: Person, index: int = 0, region: str | None = None) -> Verdict:
    """Look at a code as the page does: first the verdict, then this scan is kept."""
    d = person.brand.deployment
    said = look(person, index, region)
    visit = Visit(
        Kind.scan,
        d.clock.now(),
        new_event_id(),
        visitor=person.visitor,
        campaign=person.brand.campaign.id,
        batch=person.brand.batch.id,
        code_index=index,
        label=Label.inner,
        region=region,
        flags=said.flags,
    )
    intake.hand_in(d, visit)
    return said


def look(
    person: Person, index: int = 0, region: str | None = None, label: Label = Label.inner
) -> Verdict:
    d = person.brand.deployment
    code = d.codes.encode(person.brand.batch, index, label)
    with d.db.read() as tx:
        return verdict(
            tx, code, person.visitor, person.customer or None, now=d.local_now(), region=region
        )


def assign(brand: Brand, **terms: Any) -> None:
    actions.assign_range(brand.deployment, brand.batch.id, terms, by="tests")


def withdraw(brand: Brand, state: RangeState) -> None:
    actions.set_range(brand.deployment, brand.batch.id, state, start=0, end=10, by="tests")


def flags_of(brand: Brand) -> dict[tuple[int, str], int]:
    with brand.deployment.db.read() as tx:
        return {(f.index, f.kind): f.times for f in tx.scalars(sa.select(CodeFlag))}


def test_the_first_who_looks_is_told_so_also_when_looking_again(
    brand: Brand, clock: HeldClock
) -> None:
    alice, _, _ = cast_of(brand)
    said = scan(alice)
    assert (said.word, said.devices, said.first_seen_at) == ("first_seen", 0, None)
    first_seen_at = clock.now()
    clock.advance(days=1)
    said = scan(alice)
    assert (said.word, said.devices, said.first_seen_at) == ("first_seen", 0, first_seen_at)


def test_another_is_told_when_it_was_first_seen_and_by_how_many(
    brand: Brand, clock: HeldClock
) -> None:
    alice, bob, charlie = cast_of(brand)
    first_seen_at = clock.now()
    scan(alice)
    clock.advance(days=1)
    scan(bob)
    clock.advance(days=1)
    said = scan(charlie)
    assert (said.word, said.devices, said.first_seen_at) == ("seen_before", 2, first_seen_at)
    assert look(charlie, index=1).word == "first_seen", "another package is another matter"


def test_who_claimed_it_is_told_so_and_another_that_it_is_claimed(
    brand: Brand, clock: HeldClock
) -> None:
    alice, _, charlie = cast_of(brand)
    scan(alice)
    claimed_at = clock.now()
    alice.claim(0)
    clock.advance(days=1)
    own, others = look(alice), look(charlie)
    assert (own.word, own.claimed_at, own.campaign_id) == (
        "claimed_by_you",
        claimed_at,
        brand.campaign.id,
    )
    assert (others.word, others.claimed_at, others.campaign_id) == ("claimed", claimed_at, None)


def test_the_phone_alone_does_not_make_it_yours(brand: Brand) -> None:
    alice, _, _ = cast_of(brand)
    alice.claim(0)
    alice.customer = 0
    assert look(alice).word == "claimed"


def test_a_code_that_is_not_on_sale_yet_is_said_to_be_dark(brand: Brand) -> None:
    alice, _, _ = cast_of(brand)
    said = look(alice, ON_SALE)
    assert said.word == "not_activated"
    assert look(alice, ON_SALE - 1).word == "first_seen"


def test_a_withdrawn_code_is_said_to_be_so_except_to_who_claimed_it(brand: Brand) -> None:
    alice, _, charlie = cast_of(brand)
    alice.claim(0)
    actions.set_range(
        brand.deployment, brand.batch.id, RangeState.voided, start=0, end=10, by="tests"
    )
    assert look(alice).word == "claimed_by_you"
    assert look(charlie).word == "voided"
    assert look(charlie, 1).word == "voided"


def test_a_machine_sees_what_a_stranger_sees(brand: Brand) -> None:
    alice, _, _ = cast_of(brand)
    scan(alice)
    with brand.deployment.db.read() as tx:
        said = verdict(tx, brand.code(0), None, None, now=brand.deployment.local_now())
    assert (said.word, said.devices) == ("seen_before", 1)


def test_it_is_told_where_it_was_first_seen_also_when_scans_come_out_of_order(
    brand: Brand, clock: HeldClock
) -> None:
    alice, bob, charlie = cast_of(brand)
    earlier = clock.now()
    clock.advance(days=1)
    scan(alice, region="CN-GD")
    clock.set(earlier)
    scan(bob, region="SG")
    said = look(charlie)
    assert (said.first_seen_at, said.first_seen_in, said.devices) == (earlier, "SG", 2)


def test_scans_of_one_label_are_none_of_the_other(deployment: Deployment) -> None:
    brand = open_brand(deployment, labels=Labels.pair)
    alice, bob, _ = cast_of(brand)
    scan(alice)
    assert look(bob, label=Label.outer).word == "first_seen"
    assert look(bob).word == "seen_before"


def test_the_code_outside_is_for_looking(deployment: Deployment) -> None:
    brand = open_brand(deployment, labels=Labels.pair)
    alice, _, _ = cast_of(brand)
    assert look(alice).may_claim
    assert not look(alice, label=Label.outer).may_claim


def test_a_recall_comes_before_everything_else(brand: Brand) -> None:
    alice, _, charlie = cast_of(brand)
    alice.claim(0)
    withdraw(brand, RangeState.recalled)
    assert [look(alice).word, look(charlie).word, look(charlie, 1).word] == ["recalled"] * 3


def test_a_sale_window_opens_and_closes(brand: Brand, clock: HeldClock) -> None:
    alice, _, _ = cast_of(brand)
    opens, closes = clock.now() + timedelta(days=1), clock.now() + timedelta(days=3)
    assign(brand, sale_from=opens, sale_until=closes)
    said = look(alice)
    assert (said.word, said.opens_at, said.may_claim) == ("not_activated", opens, False)
    clock.set(opens)
    assert look(alice).word == "first_seen"
    clock.set(closes)
    said = look(alice)
    assert (said.word, said.is_past_best_before, said.may_claim) == ("expired", False, False)


def test_the_best_before_day_is_over_at_midnight_where_the_brand_is(
    brand: Brand, clock: HeldClock
) -> None:
    alice, _, _ = cast_of(brand)
    assert brand.deployment.config.timezone == "Asia/Shanghai"
    assign(brand, expires_on=date(2026, 3, 2))
    clock.set(datetime(2026, 3, 2, 15, 59, tzinfo=UTC))
    assert look(alice).word == "first_seen"
    clock.set(datetime(2026, 3, 2, 16, 0, tzinfo=UTC))
    said = look(alice)
    assert (said.word, said.is_past_best_before) == ("expired", True)


@pytest.mark.parametrize(
    ("region", "is_out"),
    [("CN-GD", False), ("CN-FJ", True), ("CN", False), ("SG", False), ("MY", True), (None, False)],
)
def test_a_code_of_another_market_says_so_and_can_be_claimed(
    brand: Brand, region: str | None, *, is_out: bool
) -> None:
    alice, _, _ = cast_of(brand)
    assign(brand, market=("CN-GD", "SG"))
    said = scan(alice, region=region)
    assert (said.word, said.is_out_of_market, said.may_claim) == ("first_seen", is_out, True)
    assert flags_of(brand) == ({(0, "other_market"): 1} if is_out else {})


def test_odd_scans_are_flagged_once_a_kind_and_counted(brand: Brand, clock: HeldClock) -> None:
    alice, bob, _ = cast_of(brand)
    scan(alice, ON_SALE)
    scan(bob, ON_SALE)
    withdraw(brand, RangeState.voided)
    scan(alice, 3)
    assign(brand, sale_until=clock.now())
    scan(alice, 20, region="SG")
    assert flags_of(brand) == {
        (ON_SALE, "not_on_sale"): 2,
        (3, "withdrawn"): 1,
        (20, "expired"): 1,
    }


def test_what_one_claimed_oneself_is_no_oddity(brand: Brand) -> None:
    alice, _, _ = cast_of(brand)
    alice.claim(0)
    withdraw(brand, RangeState.voided)
    scan(alice)
    assert flags_of(brand) == {}
