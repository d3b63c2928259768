"""The ledger by account: pages that add up line by line, and what caused each line."""

import pytest

from referral import actions
from referral.clock import HeldClock
from referral.deployment import Deployment
from referral.ledger import Kind
from referral.reports import accounts
from referral.reports.accounts import UnknownAccount
from referral.reports.causes import Cause, What
from tests.cast import BUDGET, PER_CLAIM, PER_FRIEND, Brand, cast_of, open_brand
from tests.rewarded import add_item, give


@pytest.fixture
def brand(deployment: Deployment) -> Brand:
    return open_brand(deployment)


def test_accounts_of_a_kind_are_pages_by_owner(brand: Brand) -> None:
    for person in cast_of(brand):
        person.sign_in()
        give(brand, person.customer, person.customer)
    with brand.deployment.db.read() as tx:
        first = accounts.accounts(tx, Kind.wallet, limit=2)
        assert [(each.owner, each.balance) for each in first.lines] == [(1, 1), (2, 2)]
        assert first.next == (2, "points")
        last = accounts.accounts(tx, Kind.wallet, after=first.next, limit=2)
        assert [each.owner for each in last.lines] == [3]
        assert last.next is None
        [budget] = accounts.accounts(tx, Kind.budget).lines
        assert budget.balance == BUDGET, "its parts are one account"


def test_a_statement_is_explained_line_by_line(brand: Brand, clock: HeldClock) -> None:
    d = brand.deployment
    alice, bob, _ = cast_of(brand)
    alice.claim(0)
    bob.open(alice.link())
    bob.claim(1)
    add_item(d)
    give(brand, alice.customer, 60)
    redeemed = actions.redeem(d, alice.customer, "cup", key="press")
    with d.db.read() as tx:
        found = accounts.statement(tx, Kind.wallet, alice.customer, "points")
    assert found.account.balance == PER_CLAIM + PER_FRIEND + 60 - 100
    assert [(line.amount, line.after) for line in found.lines] == [
        (-100, 30),
        (60, 130),
        (PER_FRIEND, PER_CLAIM + PER_FRIEND),
        (PER_CLAIM, PER_CLAIM),
    ]
    assert [line.cause for line in found.lines] == [
        Cause(What.voucher, redeemed.voucher.id),
        None,
        Cause(What.claim, bob.customer),
        Cause(What.claim, alice.customer),
    ]
    friend = found.lines[2]
    assert [(each.kind, each.owner, each.amount) for each in friend.others] == [
        ("budget", brand.campaign.id, -PER_CLAIM - 2 * PER_FRIEND),
        ("wallet", bob.customer, PER_CLAIM + PER_FRIEND),
    ]


@pytest.mark.parametrize("kind", [Kind.wallet, Kind.budget])
def test_pages_of_a_statement_add_up_also_while_more_is_posted(
    brand: Brand, clock: HeldClock, kind: Kind
) -> None:
    d = brand.deployment
    alice, _, _ = cast_of(brand)
    for n in range(7):
        alice.claim(n)
    owner = alice.customer if kind is Kind.wallet else brand.campaign.id
    with d.db.read() as tx:
        whole = accounts.statement(tx, kind, owner, "points").lines
    assert whole[-1].after == whole[-1].amount
    pages, before = [], None
    while True:
        with d.db.read() as tx:
            page = accounts.statement(tx, kind, owner, "points", before=before, limit=3)
        pages += page.lines
        if page.next is None:
            break
        before = page.next
        alice.claim(10 + len(pages))
    assert pages == whole


def test_every_kind_of_cause_is_found(brand: Brand, clock: HeldClock) -> None:
    d = brand.deployment
    alice, bob, _ = cast_of(brand)
    bob.sign_in()
    alice.claim(0)
    actions.merge_customers(d, alice.customer, bob.customer, by="tests", reason="one")
    with d.db.read() as tx:
        budget = accounts.statement(tx, Kind.budget, brand.campaign.id, "points")
    assert budget.lines[-1].cause == Cause(What.campaign, brand.campaign.id, brand.campaign.slug)
    assert budget.lines[-1].what == "budget"


def test_an_account_that_is_not_there_is_a_named_error(brand: Brand) -> None:
    with brand.deployment.db.read() as tx, pytest.raises(UnknownAccount):
        accounts.statement(tx, Kind.wallet, 999, "points")
