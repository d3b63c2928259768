"""What happens beside the campaign: what people say of their tea and order in the brand's shop, and
what staff keep and answer. Done again, it adds only what is missing."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral import actions, segments, staff
from referral.batches import Batch
from referral.catalog import Product
from referral.claims import Claim
from referral.clock import HeldClock
from referral.complaints import Complaint, State
from referral.demo import brand
from referral.demo.play import at_time
from referral.deployment import Deployment
from referral.orders import OrderIn, RefundIn

RATED = 8
"""Of how many claims one is rated."""
COMMENTED = 3
"""Of how many ratings one has words as well."""
ORDERED = 24
"""Of how many claims one is followed by an order in the shop."""
REFUNDED = 9
"""Of how many orders a part is given back of one."""
CARTON = 7_200
"""About what an order comes to, in fen."""
AFTERWARDS = timedelta(hours=20)
BY = "demo"


def play(deployment: Deployment, end: datetime) -> None:
    """All that customers do, and what staff keep, up to `end`."""
    clock = HeldClock(end)
    world = at_time(deployment, clock)
    with deployment.db.read() as tx:
        found = tx.execute(
            sa.select(Claim.id, Claim.customer_id, Claim.at, Product.gtin, Product.price)
            .join(Batch, Batch.id == Claim.batch_id)
            .join(Product, Product.id == Batch.product_id)
            .where(Claim.at < end - AFTERWARDS)
            .order_by(Claim.id)
        ).all()
    deployment.db.transact(lambda _tx: _rate(world, clock, found[::RATED]))
    deployment.db.transact(lambda _tx: _order(world, clock, found[::ORDERED]))
    deployment.db.transact(lambda tx: _complain(tx, world, clock, end))
    clock.set(end)
    for name, conditions in brand.SEGMENTS.items():
        with suppress(segments.SegmentExists):
            actions.add_segment(world, name, conditions, by=BY)
    actions.open_store_links(world, brand.SELLERS[0].slug, by=BY)


def _rate(world: Deployment, clock: HeldClock, found: Sequence[Any]) -> None:
    for number, (claim, customer, at, _gtin, _price) in enumerate(found):
        clock.set(at + AFTERWARDS)
        score = brand.SCORES[number % len(brand.SCORES)]
        words = brand.COMMENTS[score]
        said = None if number % COMMENTED else words[number // COMMENTED % len(words)]
        actions.rate(world, claim, customer, score=score, comment=said)


def _order(world: Deployment, clock: HeldClock, found: Sequence[Any]) -> None:
    for number, (claim, customer, at, gtin, price) in enumerate(found):
        clock.set(at + AFTERWARDS)
        sent = OrderIn(
            external_id=f"MB-{20_000 + claim}",
            customer_id=customer,
            amount=price * max(1, CARTON // price),
            currency="CNY",
            gtins=[gtin],
        )
        actions.place_order(world, sent)
        if number % REFUNDED == 0:
            part = RefundIn(external_id=f"{sent.external_id}-1", amount=sent.amount // 2)
            actions.refund_order(world, sent.external_id, part)


def _complain(tx: Session, world: Deployment, clock: HeldClock, end: datetime) -> None:
    """Each of the troubles is of one package, the latest but a few of its batch at that time."""
    for number, trouble in enumerate(brand.TROUBLES):
        clock.set(end - timedelta(days=trouble.days_ago))
        claim = tx.execute(
            sa.select(Claim.customer_id, Claim.batch_id, Claim.index)
            .join(Batch, Batch.id == Claim.batch_id)
            .where(Batch.name == trouble.batch, Claim.at < clock.now())
            .order_by(Claim.at.desc(), Claim.id)
            .offset(number)
            .limit(1)
        ).first()
        if claim is None:  # the history is short
            continue
        customer, batch_id, index = claim
        said = actions.Said(trouble.kind, trouble.text, (batch_id, index))
        actions.complain(world, customer, said, key=f"{BY}-{number}")


def answer(deployment: Deployment, email: str, end: datetime) -> None:
    """A member of the staff answers some of the complaints."""
    answers = {f"{BY}-{number}": trouble for number, trouble in enumerate(brand.TROUBLES)}
    with deployment.db.read() as tx:
        member = staff.staff_by_email(tx, email)
        opened = tx.scalars(sa.select(Complaint).where(Complaint.state == State.open)).all()
    assert member is not None
    for complaint in opened:
        trouble = answers[complaint.key]
        if trouble.state is State.open:
            continue
        at = min(complaint.opened_at + AFTERWARDS, end)
        actions.answer_complaint(
            at_time(deployment, HeldClock(at)),
            complaint.id,
            member,
            trouble.answer,
            state=trouble.state,
            seen=complaint.step,
        )
