"""What a timer does: rewards whose hold is over, openings by what ran no page, and what is of no
use any more."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from referral import campaigns, dead_links, idempotency, misses, people, pictures, rewards
from referral.actions.crediting_by_hand import expire_credits
from referral.actions.exporting import sweep_exports, work_off_exports
from referral.actions.following import follow_tree
from referral.actions.keeping import drop_visits
from referral.actions.looking import look
from referral.actions.measuring import measure_rates, tally
from referral.actions.sealing import seal, seal_audit_log
from referral.actions.sifting import sift
from referral.actions.valuing import refresh_values
from referral.deployment import Deployment
from referral.redemption import items
from referral.staff import sessions, spent


def release_rewards(deployment: Deployment) -> int:
    """Make every reward available whose hold is over; safe to run twice. Returns how many.

    Before, purchases are looked at once more: what has to be held is held.
    """
    look(deployment)
    return _until_none(deployment, rewards.release_due)


def expire_rewards(deployment: Deployment) -> int:
    """Expire what nobody spent in time; safe to run twice. Returns of how many rewards."""
    return _until_none(deployment, rewards.expire_due)


def _until_none(deployment: Deployment, move: Callable[[Session, datetime], int]) -> int:
    """Move what is due, some of it in each transaction, until nothing is."""
    total = 0
    while moved := deployment.db.transact(lambda tx: move(tx, deployment.clock.now())):
        total += moved
    return total


def _pictures_in_use(tx: Session) -> set[str]:
    """Of campaigns and of items."""
    return {*campaigns.pictures_in_use(tx), *items.pictures_in_use(tx)}


@dataclass(frozen=True)
class Swept:
    """How much was dropped, and how many openings changed what they count as."""

    limits: int
    answers: int
    sign_in_codes: int
    misses: int
    pictures: int
    dead_links: int
    to_fetches: int
    """Openings that turned out to be machines'."""
    to_opens: int
    """Openings that turned out to be people's after all."""
    sealed: int
    """Entries of the ledger."""
    sealed_log: int
    """Entries of the audit log."""
    staff_sessions: int
    """Of staff, over for long."""
    staff_spent: int
    """Challenges and sign-ins elsewhere that staff used up and that are too old by now."""
    visits: int
    """Dropped one by one, as their campaigns do not keep them any more."""
    months: tuple[str, ...]
    """Months whose visits nobody keeps and that were dropped as a whole, such as `2026-03`."""
    new_months: tuple[str, ...]
    """Months that the database is now ready for, each with a table of its own."""
    months_put_off: bool
    """Whether a month was left for the next time, as its visits were in use."""
    tallied: bool
    """Whether purchases of days that are over were tallied."""
    rates: int
    """Of how many campaigns, all together being one, the rates were measured."""
    exports: int
    """Files that staff asked for and whose time was over."""
    credits: int
    """Credits by hand that nobody approved in time."""
    values: int
    """Of how many customers the value or the life stage is another one."""
    tree: int
    """How many notes the sums of the referral tree followed."""


def sweep(deployment: Deployment) -> Swept:
    """Drop what is of no use any more, and sift openings; safe to run at any time."""
    now = deployment.clock.now()
    sifted = sift(deployment)
    dropped = drop_visits(deployment)
    return Swept(
        limits=deployment.limits.sweep(),
        answers=deployment.db.transact(lambda tx: idempotency.sweep(tx, now)),
        sign_in_codes=deployment.db.transact(lambda tx: people.sweep_sign_in_codes(tx, now)),
        misses=deployment.db.transact(lambda tx: misses.sweep(tx, now)),
        dead_links=deployment.db.transact(lambda tx: dead_links.sweep(tx, now)),
        to_fetches=sifted.to_fetches,
        to_opens=sifted.to_opens,
        sealed=seal(deployment).entries,
        sealed_log=seal_audit_log(deployment).entries,
        staff_sessions=deployment.db.transact(lambda tx: sessions.sweep(tx, now)),
        staff_spent=deployment.db.transact(lambda tx: spent.sweep(tx, now)),
        pictures=deployment.db.transact(
            lambda tx: pictures.sweep(tx, lambda: _pictures_in_use(tx), now)
        ),
        visits=dropped.visits,
        months=_named(dropped.months),
        new_months=_named(dropped.new_months),
        months_put_off=dropped.is_put_off,
        tallied=tally(deployment),
        rates=measure_rates(deployment),
        exports=_exports(deployment),
        credits=expire_credits(deployment),
        values=refresh_values(deployment),
        tree=follow_tree(deployment),
    )


def _exports(deployment: Deployment) -> int:
    """Delete old files, and make those that nobody works on. Returns how many were deleted."""
    work_off_exports(deployment)
    return sweep_exports(deployment)


def _named(months: Iterable[datetime]) -> tuple[str, ...]:
    return tuple(f"{month:%Y-%m}" for month in months)
