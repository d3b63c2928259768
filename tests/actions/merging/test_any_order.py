"""Whatever happened before, a merge leaves a forest and sums that add up."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from referral import actions, ledger, people
from referral.clock import HeldClock
from referral.graph import Referral
from referral.links import Channel, Link, Touch
from referral.spread import counters
from tests.actions.merging.conftest import faults, merge, spend, take_back
from tests.cast import Brand, Person

SLOW_BUT_FINE = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


class _Undone(Exception):
    """What an example did is rolled back: one database does for all of them."""


@dataclass
class Play:
    """A few customers, who buy, bring one another in, spend, send back, and turn out to be one."""

    brand: Brand
    numbers: list[int]
    events: list[str]
    step: int = 0

    def claim(self, who: int, sharer: int) -> None:
        d = self.brand.deployment
        link = Link(self.brand.campaign.id, 900 + sharer, self.numbers[sharer], 0, Channel.copy)
        touches = [Touch(link, d.clock.now() - timedelta(minutes=1))]
        code = self.brand.code(self.step)
        claimed = actions.claim(
            d, code, self.numbers[who], visitor=900 + who, touches=touches if who != sharer else []
        )
        self.events.append(claimed.claim.event)

    def merge(self, tx: Session, who: int, other: int) -> None:
        one, two = self.numbers[who], self.numbers[other]
        places = {place.customer_id: (place.at, place.referrer_id) for place in _places(tx)}
        merged = merge(self.brand, one, two)
        if merged.gone is None:
            return
        tx.expire_all()
        found = {place.customer_id: (place.at, place.referrer_id) for place in _places(tx)}
        assert found == expected(places, merged.gone, merged.kept)

    def take_back(self, which: int, share: int) -> None:
        if self.events:
            take_back(self.brand, self.events[which % len(self.events)], Fraction(share, 3))

    def spend(self, tx: Session, who: int, amount: int) -> None:
        with suppress(ledger.Insufficient):
            person = Person(self.brand, people.phone("13800138000"), self.numbers[who])
            spend(self.brand, person, amount, f"spend|{self.step}")


def _places(tx: Session) -> Sequence[Referral]:
    return tx.scalars(sa.select(Referral)).all()


def expected(places: dict[int, Any], gone: int, kept: int) -> dict[int, Any]:
    """What a merge makes of the places of a tree, by its definition."""

    def above(customer: int) -> list[int]:
        found: list[int] = []
        while customer in places and places[customer][1] is not None:
            customer = places[customer][1]
            found.append(customer)
        return found

    both = (gone, kept)
    own = {each: places[each] for each in both if each in places}
    upper = next((each for each in both if each in above(gone) + above(kept)), None)
    final = None
    if upper is not None:
        lower = gone if upper == kept else kept
        final = own.get(upper) or (own[lower][0], None)
    elif own:
        final = min(own.values(), key=lambda place: place[0])
    others = {each: place for each, place in places.items() if each not in both}
    moved = {
        each: (at, kept if referrer == gone else referrer)
        for each, (at, referrer) in others.items()
    }
    return {**moved, **({kept: final} if final else {})}


who = st.integers(0, 5)
steps = st.one_of(
    st.tuples(st.just("claim"), who, who),
    st.tuples(st.just("merge"), who, who),
    st.tuples(st.just("merge"), who, who),
    st.tuples(st.just("take_back"), st.integers(0, 9), st.integers(1, 3)),
    st.tuples(st.just("spend"), who, st.integers(1, 80)),
)


@settings(max_examples=8, suppress_health_check=SLOW_BUT_FINE)
@given(st.lists(steps, min_size=6, max_size=14))
def test_merges_in_any_order_leave_a_forest_and_sums_that_add_up(
    brand: Brand, clock: HeldClock, happened: Sequence[tuple[str, int, int]]
) -> None:
    d = brand.deployment

    def work(tx: Session) -> None:
        numbers = [
            actions.add_customer(d, [people.external(f"member {each}")], None)[0]
            for each in range(6)
        ]
        play = Play(brand, numbers, [])
        for what, one, two in happened:
            clock.advance(minutes=2)
            play.step += 1
            if what == "claim":
                play.claim(one, two)
            elif what == "merge":
                play.merge(tx, one, two)
            elif what == "take_back":
                play.take_back(one, two)
            else:
                play.spend(tx, one, two)
            if what == "merge":
                assert not faults(tx)
            if play.step % 5 == 0:
                counters.fold(tx)
        assert not faults(tx)
        raise _Undone

    with pytest.raises(_Undone):
        d.db.transact(work)
