"""Customers with points and won items, items to redeem, and tills: without a campaign's rules."""

from datetime import timedelta
from fractions import Fraction
from itertools import count
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral import actions, ledger, rewards
from referral.actions.reversing import reverse
from referral.deployment import Deployment
from referral.ledger import Account, Kind
from referral.redemption.items import Item, ItemDraft
from referral.redemption.tills import Till
from referral.redemption.vouchers import Voucher, VoucherState
from referral.rewards import Grant, Reason, Rule, Terms, What, wallets
from referral.stores import Store, StoreKind
from tests.cast import Brand
from tests.rewards.test_granting import verdict

_numbers = count(1)
LASTS = timedelta(days=365)


def item(**changes: Any) -> ItemDraft:
    """A thermos cup for 100 points, of which there are 10."""
    draft = {
        "slug": "cup",
        "titles": {"en": "Thermos cup", "zh-Hans": "保温杯"},
        "price": 100,
        "value": 3000,
        "currency": "CNY",
        "stock": 10,
    }
    return ItemDraft.model_validate({**draft, **changes})


def add_item(deployment: Deployment, **changes: Any) -> Item:
    return actions.add_item(deployment, item(**changes), by="tests")


def add_store(deployment: Deployment, slug: str) -> Store:
    name = f"{slug.title()} Store"
    return actions.add_store(deployment, slug=slug, name=name, kind=StoreKind.store, region=None)


def add_till(deployment: Deployment, store: str = "east") -> Till:
    """A till at a store that is new."""
    add_store(deployment, store)
    return actions.add_till(deployment, store, "Counter 1", by="tests")


def give(
    brand: Brand, customer_id: int, amount: int, *, won: str | None = None, lasts: timedelta = LASTS
) -> str:
    """Points for a customer, to be spent at once; or the right to items that are `won`.

    Returns the event they are for.
    """
    d, number = brand.deployment, next(_numbers)
    what = What.item if won else What.points
    promise = {"when": "claim", "for": "person", "amount": amount, "what": what, "of": won}
    rule = Rule.model_validate(promise)
    grant = Grant(rule, customer_id, 0, what, won, amount)
    terms = Terms(f"gift:{number}", brand.campaign.id, None, timedelta(0), lasts, is_cleared=True)

    def work(tx: Session) -> None:
        now = d.clock.now()
        ledger.fund(tx, brand.campaign.id, grant.unit(None), amount, key=f"gift|{number}", now=now)
        tx.add(verdict(terms.event, customer_id, brand))
        tx.flush()
        granted, refused = rewards.grant(tx, [grant], terms, now)
        assert (len(granted), refused) == (1, [])

    d.db.transact(work)
    return terms.event


def owe(brand: Brand, customer_id: int, amount: int) -> None:
    """Take points back from a customer who has spent them, and all else that she had."""
    d, event = brand.deployment, give(brand, customer_id, amount)

    def work(tx: Session) -> None:
        now, to = d.clock.now(), ledger.account(tx, Kind.redeemed, 0, "points")
        held = wallets.spendable(tx, customer_id, now)["points"]
        wallets.spend(tx, customer_id, "points", held, to=to, key=event, what="test", now=now)
        reverse(tx, event, Fraction(1), Reason.refunded, key=f"back|{event}", now=now)

    d.db.transact(work)


def stock(deployment: Deployment, slug: str = "cup") -> int:
    with deployment.db.read() as tx:
        return tx.scalar(sa.select(Item.stock).where(Item.slug == slug)) or 0


def states(deployment: Deployment) -> list[str]:
    """The state of every voucher there is, in their order."""
    with deployment.db.read() as tx:
        return list(tx.scalars(sa.select(Voucher.state).order_by(Voucher.id)))


def promised(deployment: Deployment) -> int:
    """How many items are in vouchers that were not given back."""
    out = {VoucherState.issued, VoucherState.accepted}
    return sum(state in out for state in states(deployment))


def held(deployment: Deployment, customer_id: int, unit: str = "points") -> int:
    with deployment.db.read() as tx:
        return ledger.balances(tx, Kind.wallet, customer_id).get(unit, 0)


def sums(deployment: Deployment) -> set[int]:
    """What the balances of all accounts add up to, for each unit: 0 where nothing is lost."""
    with deployment.db.read() as tx:
        return set(tx.scalars(sa.select(sa.func.sum(Account.balance)).group_by(Account.unit)))
