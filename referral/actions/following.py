"""What follows purchases, people and days into what is counted of the referral tree."""

from collections.abc import Iterator
from contextlib import suppress
from functools import partial

from sqlalchemy.orm import Session

from referral import people
from referral.deployment import Deployment
from referral.errors import Unavailable
from referral.rollups import last_days, tree
from referral.spread import counters


def fold_afterwards(deployment: Deployment, customer_id: int) -> None:
    """Have what is counted of the referral tree follow, now and then, when a purchase is committed:
    nobody waits for a lock of it meanwhile."""
    if counters.is_turn(customer_id):
        with suppress(Unavailable):  # the purchase stands, and the next one folds
            deployment.db.transact(counters.fold)
            deployment.db.transact(partial(tree.fold, settings=deployment.config.values))


def follow_tree(deployment: Deployment) -> int:
    """Bring the sums of the referral tree up to date, as of today; safe to run at any time. Returns
    how many notes were worked off.

    Once a day names are looked for that were stored without being indexed.
    """
    now = deployment.clock.now()
    deployment.db.transact(lambda tx: last_days.tally(tx, now))
    if deployment.db.transact(lambda tx: tree.advance(tx, now)):
        while deployment.db.transact(lambda tx: people.index_missing(tx, deployment.keys)):
            pass
    total = 0
    while done := deployment.db.transact(partial(tree.fold, settings=deployment.config.values)):
        total += done
    return total


def recount_tree(deployment: Deployment) -> int:
    """Add up the referral tree anew. Returns how many last days of browsers were wrong."""
    wrong = deployment.db.transact(last_days.recount)
    deployment.db.transact(partial(tree.recount, settings=deployment.config.values))
    return wrong


def tree_differences(tx: Session, deployment: Deployment) -> Iterator[str]:
    """What `recount_tree` would put right, each in words."""
    yield from last_days.differences(tx)
    yield from tree.differences(tx, deployment.config.values)
