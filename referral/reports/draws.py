"""Lucky draws, told so that anybody can check them: every ticket, its number and what it won."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral.campaigns import Campaign
from referral.crypto import KeyRing
from referral.errors import N_, InvalidInput
from referral.rewards import (
    Odds,
    Reward,
    Roll,
    Rule,
    Why,
    Withheld,
    drawn,
    draws,
    ticket,
    unit_of,
)

_CHUNK = 1000


class NoDraw(InvalidInput):
    slug = "no-draw"
    title = N_("This campaign has no lucky draw.")
    advice = N_("A draw is a rule with odds; its seed is made when the campaign is published.")


class Outcome(StrEnum):
    """What came of a ticket."""

    won = "won"
    lost = "lost"
    won_unpaid = "won_unpaid"
    """It won, and the budget or a limit of the rule was used up."""
    refused = "refused"
    """It won, and the rules against abuse said no."""


_OUTCOMES = {
    Why.no_win: Outcome.lost,
    Why.budget_spent: Outcome.won_unpaid,
    Why.limit_reached: Outcome.won_unpaid,
}


@dataclass(frozen=True)
class Ticket:
    """One draw as it was kept. Nobody's name or number is in it."""

    ticket: str
    rule: str
    outcome: Outcome
    unit: str | None
    """Of what was won; None for nothing that was granted."""
    amount: int
    at: datetime
    beneficiary: int
    """For that customer's own page; it is not published."""


@dataclass(frozen=True)
class Checked:
    """A ticket with the number that the seed gives it."""

    kept: Ticket
    number: int
    fault: str | None
    """In what the outcome is not what the seed gives; None when it is."""


@dataclass(frozen=True)
class Verified:
    """What came of computing all draws of a campaign again."""

    tickets: int
    won: int
    lost: int
    won_unpaid: int
    refused: int
    faults: list[str]


def seed_of(campaign: Campaign, keys: KeyRing) -> bytes:
    """The seed, for the operator. Raises `NoDraw`, `LostKey`."""
    if campaign.draw_seed_encrypted is None:
        raise NoDraw()
    return draws.seed_of(keys, campaign.draw_seed_encrypted)


def public_seed(campaign: Campaign, keys: KeyRing, now: datetime) -> str | None:
    """The seed in hex once the campaign is over; None before, and where there is no draw.

    Raises `LostKey`.
    """
    if campaign.draw_seed_encrypted is None or now < campaign.ends_at:
        return None
    return draws.seed_of(keys, campaign.draw_seed_encrypted).hex()


def draw_rules(campaign: Campaign) -> list[Rule]:
    """The rules that are lucky draws."""
    return [rule for rule in campaign.checked_rules if isinstance(rule.amount, Odds)]


def tickets(tx: Session, campaign: Campaign, *, event: str | None = None) -> Iterator[Ticket]:
    """Every draw of a campaign, or of one event: those that were granted something, then others."""
    rules = {rule.id: rule for rule in draw_rules(campaign)}
    granted = sa.select(Reward).where(Reward.campaign_id == campaign.id, Reward.rule.in_(rules))
    withheld = sa.select(Withheld).where(
        Withheld.campaign_id == campaign.id, Withheld.rule.in_(rules)
    )
    if event is not None:
        granted, withheld = (
            granted.where(Reward.event == event),
            withheld.where(Withheld.event == event),
        )
    in_parts = {"yield_per": _CHUNK}
    for reward in tx.scalars(granted.order_by(Reward.id), execution_options=in_parts):
        yield Ticket(
            ticket(reward.event, rules[reward.rule], reward.depth),
            reward.rule,
            Outcome.won,
            reward.unit,
            reward.amount,
            reward.granted_at,
            reward.beneficiary_id,
        )
    for each in tx.scalars(withheld.order_by(Withheld.id), execution_options=in_parts):
        yield Ticket(
            ticket(each.event, rules[each.rule], each.depth),
            each.rule,
            _OUTCOMES.get(Why(each.why), Outcome.refused),
            None,
            0,
            each.at,
            each.beneficiary_id,
        )


def checked(tx: Session, campaign: Campaign, seed: bytes) -> Iterator[Checked]:
    """Every draw of a campaign with its number, computed again."""
    rules = {rule.id: rule for rule in draw_rules(campaign)}
    roll = draws.roller(seed)
    for each in tickets(tx, campaign):
        number, fault = _compare(each, rules[each.rule], roll, campaign.currency)
        yield Checked(each, number, fault)


def _compare(kept: Ticket, rule: Rule, roll: Roll, currency: str | None) -> tuple[int, str | None]:
    assert isinstance(rule.amount, Odds)
    number = roll(kept.ticket)
    chance = drawn(rule.amount, number)
    if kept.outcome is Outcome.refused:
        return number, None
    if chance is None:
        is_right = kept.outcome is Outcome.lost
        return number, None if is_right else f"{kept.ticket} was to lose and {kept.outcome}"
    what, of = (chance.what, chance.of) if chance.what else (rule.what, rule.of)
    prize = (unit_of(what, of, currency), chance.amount)
    if kept.outcome is Outcome.lost:
        return number, f"{kept.ticket} was to win {prize[1]} {prize[0]} and lost"
    if kept.outcome is Outcome.won and (kept.unit, kept.amount) != prize:
        got = f"{kept.amount} {kept.unit}"
        return number, f"{kept.ticket} was to win {prize[1]} {prize[0]} and won {got}"
    return number, None


TABLE = ("ticket", "number", "outcome", "unit", "amount")
"""The columns of the public list of tickets."""


def table(found: Iterable[Checked]) -> Iterator[tuple[str | int, ...]]:
    """The public list of tickets, row by row, its head first."""
    yield TABLE
    for each in found:
        kept = each.kept
        yield kept.ticket, each.number, kept.outcome.value, kept.unit or "", kept.amount


def verify(tx: Session, campaign: Campaign, keys: KeyRing) -> Verified:
    """Compute every draw again. Raises `NoDraw`, `LostKey`."""
    seed = seed_of(campaign, keys)
    faults = []
    if draws.commitment(seed) != campaign.draw_commitment:
        faults.append("the seed is not the one that was promised")
    counts = dict.fromkeys(Outcome, 0)
    for each in checked(tx, campaign, seed):
        counts[each.kept.outcome] += 1
        if each.fault:
            faults.append(each.fault)
    return Verified(
        tickets=sum(counts.values()),
        won=counts[Outcome.won],
        lost=counts[Outcome.lost],
        won_unpaid=counts[Outcome.won_unpaid],
        refused=counts[Outcome.refused],
        faults=faults,
    )
