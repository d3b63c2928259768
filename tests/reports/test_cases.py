"""Cases: staff are offered people who can still be decided about."""

import sqlalchemy as sa

from referral import actions
from referral.clock import HeldClock
from referral.deployment import Deployment
from referral.reports import cases
from referral.risk import VerdictRow
from tests.cast import cast_of, open_brand


def test_a_case_names_people_as_they_are_after_a_merge(
    deployment: Deployment, clock: HeldClock
) -> None:
    alice, bob, charlie = cast_of(open_brand(deployment))
    alice.sign_in()
    bob.sign_in()
    clock.advance(minutes=1)
    charlie.sign_in()
    bob.open(alice.link())
    bob.claim(0)
    actions.block_customer(deployment, alice.customer, by="olga", reason="a farm")
    actions.merge_customers(
        deployment, alice.customer, charlie.customer, by="olga", reason="one", keep=charlie.customer
    )
    with deployment.db.read() as tx:
        case_id = tx.scalar(sa.select(VerdictRow.id).order_by(VerdictRow.id))
        assert case_id is not None
        page = cases.case(tx, case_id)
    assert set(page.people) == {bob.customer, charlie.customer}
    assert set(page.blocked) == {charlie.customer}
    assert [each.action for each in page.history] == ["block"]
