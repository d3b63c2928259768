"""Ledger entries as staff read them: what is behind a reward and a budget, posting by posting."""

import pytest

from referral import actions
from referral.clock import HeldClock
from referral.deployment import Deployment
from referral.ledger import Kind
from referral.reports import entries, wallet
from referral.reports.entries import EntryLine, PostingLine
from tests.cast import BUDGET, PER_CLAIM, Brand, cast_of, open_brand


@pytest.fixture
def brand(deployment: Deployment) -> Brand:
    return open_brand(deployment, hold_days=7)


def behind(brand: Brand, customer: int) -> list[list[EntryLine]]:
    with brand.deployment.db.read() as tx:
        rewards = wallet.rewards_of(tx, customer)
        found = entries.of_rewards(tx, rewards)
        return [found[reward.id] for reward in rewards]


def test_a_reward_on_hold_has_its_grant_behind_it(brand: Brand) -> None:
    alice, _, _ = cast_of(brand)
    claimed = alice.claim(0)
    [[grant]] = behind(brand, alice.customer)
    assert grant.key == f"rewards|{claimed.claim.event}|claim:person:points|{alice.customer}"
    assert sorted(grant.postings, key=lambda posting: posting.amount) == [
        PostingLine(Kind.budget, brand.campaign.id, "points", -PER_CLAIM),
        PostingLine(Kind.pending, alice.customer, "points", PER_CLAIM),
    ]
    assert grant.totals == {"points": 0}


def test_a_released_reward_has_its_release_behind_it_too(brand: Brand, clock: HeldClock) -> None:
    alice, bob, _ = cast_of(brand)
    alice.claim(0)
    bob.claim(1)
    clock.advance(days=7)
    actions.release_rewards(brand.deployment)
    [[grant, release]] = behind(brand, alice.customer)
    assert (grant.what, release.what) == ("rewards for claim", "hold is over")
    assert {posting.kind for posting in release.postings} == {Kind.pending, Kind.wallet}
    assert {posting.owner for posting in release.postings} == {alice.customer}
    assert entries.owners([grant, release]) == ([brand.campaign.id], [alice.customer])


def test_a_budget_is_read_newest_first_page_by_page(brand: Brand) -> None:
    alice, _, _ = cast_of(brand)
    for index in range(3):
        alice.claim(index)
    with brand.deployment.db.read() as tx:
        first = entries.of_budget(tx, brand.campaign.id, limit=3)
        last = entries.of_budget(tx, brand.campaign.id, offset=3, limit=3)
        assert entries.of_budget(tx, 999).rows == []
        assert entries.of_rewards(tx, []) == {}
    assert [entry.what for entry in first.rows] == ["rewards for claim"] * 3
    assert [entry.id for entry in first.rows] == sorted(
        (entry.id for entry in first.rows), reverse=True
    )
    assert (first.next, last.next) == (3, None)
    [funding] = last.rows
    assert funding.what == "budget"
    assert {(p.kind, p.amount) for p in funding.postings} == {
        (Kind.issue, -BUDGET),
        (Kind.budget, BUDGET),
    }
