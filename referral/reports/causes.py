"""What caused entries of the ledger, out of their keys: claims, orders, redemptions and so on."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral.campaigns import Campaign
from referral.claims import Claim
from referral.redemption.vouchers import Voucher
from referral.rewards import Reward


class What(StrEnum):
    """What kind of thing caused an entry."""

    claim = "claim"
    order = "order"
    case = "case"
    credit = "credit"
    voucher = "voucher"
    campaign = "campaign"
    customer = "customer"


@dataclass(frozen=True)
class Cause:
    """What an entry goes back to, as the page that shows it is called."""

    what: What
    number: int
    """The order's, case's, credit's, voucher's or customer's own; of a claim the customer's."""
    slug: str = ""
    """Of a campaign."""


def causes(tx: Session, entries: Iterable[tuple[int, str]]) -> dict[int, Cause]:
    """The causes of these entries (id and key), as far as they are known; in at most four
    statements."""
    keys = dict(entries)
    found: dict[int, Cause] = {}
    events: dict[int, str] = {}
    rewards: dict[int, int] = {}
    vouchers: dict[int, str] = {}
    budgets: dict[int, int] = {}
    for entry, key in keys.items():
        first, _, rest = key.partition("|")
        parts = rest.split("|")
        if first == "rewards":
            events[entry] = parts[0]
        elif first in ("release", "expire") and parts[0].isdecimal():
            rewards[entry] = int(parts[0])
        elif first == "redeem":
            vouchers[entry] = rest
        elif first == "credit" and parts[0].isdecimal():
            found[entry] = Cause(What.credit, int(parts[0]))
        elif first == "case" and parts[0].isdecimal():
            found[entry] = Cause(What.case, int(parts[0]))
        elif first == "merge" and rest.isdecimal():
            found[entry] = Cause(What.customer, int(rest))
        elif first in ("coupon used", "coupon good again"):
            continue
        elif first == "budget" and parts[0].isdecimal():
            budgets[entry] = int(parts[0])
        elif parts[-1].isdecimal():  # what was taken back ends with its reward
            rewards[entry] = int(parts[-1])
    events |= _events_of(tx, rewards)
    return found | _of_events(tx, events) | _of_vouchers(tx, vouchers) | _budgets(tx, budgets)


def _events_of(tx: Session, rewards: dict[int, int]) -> dict[int, str]:
    if not rewards:
        return {}
    rows = tx.execute(sa.select(Reward.id, Reward.event).where(Reward.id.in_(rewards.values())))
    events = {row[0]: row[1] for row in rows}
    return {entry: events[number] for entry, number in rewards.items() if number in events}


def _of_events(tx: Session, events: dict[int, str]) -> dict[int, Cause]:
    found: dict[int, Cause] = {}
    claims: dict[int, int] = {}
    for entry, event in events.items():
        kind, _, number = event.partition(":")
        if not number.isdecimal():
            continue
        if kind == "claim":
            claims[entry] = int(number)
        elif kind in (What.order, What.credit):
            found[entry] = Cause(What(kind), int(number))
    if claims:
        rows = tx.execute(
            sa.select(Claim.id, Claim.customer_id).where(Claim.id.in_(claims.values()))
        )
        owners = {row[0]: row[1] for row in rows}
        found |= {
            entry: Cause(What.claim, owners[number])
            for entry, number in claims.items()
            if number in owners
        }
    return found


def _of_vouchers(tx: Session, keys: dict[int, str]) -> dict[int, Cause]:
    """The key of a redemption begins with the voucher's own, and may end with its state."""
    if not keys:
        return {}
    wanted = {entry: (key, key.rpartition("|")[0]) for entry, key in keys.items()}
    every = {each for pair in wanted.values() for each in pair if each}
    rows = tx.execute(sa.select(Voucher.key, Voucher.id).where(Voucher.key.in_(every)))
    vouchers = {row[0]: row[1] for row in rows}
    return {
        entry: Cause(What.voucher, vouchers[whole if whole in vouchers else part])
        for entry, (whole, part) in wanted.items()
        if whole in vouchers or part in vouchers
    }


def _budgets(tx: Session, campaigns: dict[int, int]) -> dict[int, Cause]:
    """Of what was put up, the campaign."""
    if not campaigns:
        return {}
    rows = tx.execute(
        sa.select(Campaign.id, Campaign.slug).where(Campaign.id.in_(campaigns.values()))
    )
    slugs = {row[0]: row[1] for row in rows}
    return {
        entry: Cause(What.campaign, number, slugs[number])
        for entry, number in campaigns.items()
        if number in slugs
    }
