"""Rewards: what a rule grants a beneficiary for an event.

`evaluate` is pure: facts and rules in, proposed grants out. `grant` writes one: a row whose unique
key says that a rule pays a beneficiary once per event, and the ledger entry behind it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Literal, Protocol

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Mapped, Session, mapped_column

from referral import ledger
from referral.db import Base, RowId, run

AMOUNT_MAX = 1_000_000
RULES_MAX = 20
RELEASE_BATCH = 500
"""How many pending rewards one transaction of the nightly pass moves."""


class When(StrEnum):
    """The event a rule answers to. Every one is a proof of purchase."""

    claim = "claim"
    first_claim = "first_claim"
    referred_first_claim = "referred_first_claim"
    """The first claim of a customer whom somebody brought in."""


class ForWhom(StrEnum):
    person = "person"
    referrer = "referrer"
    both = "both"


class Rule(BaseModel):
    """One promise of a campaign."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_enum_values=False, use_attribute_docstrings=True
    )

    when: When
    """The event, which is always a proof of purchase."""
    for_whom: ForWhom = Field(alias="for")
    """Who gets it: the buyer (`person`), who brought the buyer in (`referrer`), or each of them."""
    what: Literal["points"] = "points"
    amount: int = Field(gt=0, le=AMOUNT_MAX, strict=True)
    """Of points, for each beneficiary."""

    @property
    def id(self) -> str:
        return f"{self.when}:{self.for_whom}:{self.what}"

    def dump(self) -> dict[str, Any]:
        return self.model_dump(mode="json", by_alias=True)


@dataclass(frozen=True)
class PurchaseFacts:
    """What the rules may know about one proof of purchase."""

    customer: int
    is_first: bool
    referrer: int | None
    """Who brought the customer in; None for nobody."""


class Place(Protocol):
    """Where a customer was put in the referral tree at the first proof of purchase."""

    @property
    def event(self) -> str: ...
    @property
    def referrer_id(self) -> int | None: ...
    @property
    def link_campaign_id(self) -> int | None: ...


def facts_of(
    customer_id: int, event: str, campaign_id: int | None, place: Place | None
) -> PurchaseFacts:
    """The facts of a purchase that was made, for which `campaign_id` pays.

    A first one is paid for to the referrer only by the campaign whose link led to it.
    """
    if place is None:
        return PurchaseFacts(customer_id, False, None)
    is_first = place.event == event
    is_paid_for = not is_first or place.link_campaign_id in {None, campaign_id}
    return PurchaseFacts(customer_id, is_first, place.referrer_id if is_paid_for else None)


@dataclass(frozen=True)
class Grant:
    """A proposed reward. `depth` is 0 for the person and 1 for the referrer."""

    rule: Rule
    beneficiary: int
    depth: int


def evaluate(rules: Sequence[Rule], facts: PurchaseFacts) -> list[Grant]:
    """What these rules grant for this purchase."""
    happened = {
        When.claim: True,
        When.first_claim: facts.is_first,
        When.referred_first_claim: facts.is_first and facts.referrer is not None,
    }
    grants = []
    for rule in rules:
        if not happened[rule.when]:
            continue
        if rule.for_whom is not ForWhom.referrer:
            grants.append(Grant(rule, facts.customer, 0))
        if rule.for_whom is not ForWhom.person and facts.referrer is not None:
            grants.append(Grant(rule, facts.referrer, 1))
    return grants


def payout_max(rules: Sequence[Rule]) -> int:
    """The most that one purchase can pay out under these rules, in points."""
    most = PurchaseFacts(customer=1, is_first=True, referrer=2)
    return sum(grant.rule.amount for grant in evaluate(rules, most))


class RewardState(StrEnum):
    pending = "pending"
    available = "available"
    reversed = "reversed"
    expired = "expired"


class Reward(Base):
    """A granted reward. The unique key makes paying a rule twice for one event impossible."""

    __tablename__ = "rewards"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    event: Mapped[str] = mapped_column(sa.String(60))
    """The proof of purchase, e.g. ``claim:17``."""
    rule: Mapped[str] = mapped_column(sa.String(80))
    beneficiary_id: Mapped[int] = mapped_column(sa.ForeignKey("customers.id"), index=True)
    campaign_id: Mapped[int] = mapped_column(sa.ForeignKey("campaigns.id"), index=True)
    depth: Mapped[int] = mapped_column(sa.SmallInteger)
    unit: Mapped[str] = mapped_column(sa.String(12))
    amount: Mapped[int] = mapped_column(sa.BigInteger)
    state: Mapped[str] = mapped_column(sa.String(12))
    granted_at: Mapped[datetime]
    available_at: Mapped[datetime] = mapped_column(index=True)
    entry_id: Mapped[int] = mapped_column(sa.ForeignKey("ledger_entries.id"))

    __table_args__ = (
        sa.UniqueConstraint("event", "rule", "beneficiary_id"),
        # Tracing has no depth limit; pay has, and the database holds it.
        sa.CheckConstraint("depth BETWEEN 0 AND 2", name="paid_depth"),
        sa.CheckConstraint("amount > 0", name="amount_positive"),
    )


def grant(
    tx: Session,
    proposed: Grant,
    *,
    event: str,
    campaign_id: int,
    hold: timedelta,
    now: datetime,
) -> Reward | None:
    """Write one reward and its postings; None when the campaign's budget cannot pay it."""
    unit = proposed.rule.what
    budget = ledger.account(tx, ledger.Kind.budget, campaign_id, unit)
    kind = ledger.Kind.pending if hold else ledger.Kind.wallet
    to = ledger.account(tx, kind, proposed.beneficiary, unit)
    try:
        entry_id = ledger.post(
            tx,
            key=f"reward|{event}|{proposed.rule.id}|{proposed.beneficiary}",
            what=f"{proposed.rule.when} -> {'referrer' if proposed.depth else 'person'}",
            moves=[ledger.Move(budget, to, proposed.rule.amount)],
            now=now,
        )
    except ledger.Insufficient:
        return None
    row = {
        "event": event,
        "rule": proposed.rule.id,
        "beneficiary_id": proposed.beneficiary,
        "campaign_id": campaign_id,
        "depth": proposed.depth,
        "unit": unit,
        "amount": proposed.rule.amount,
        "state": RewardState.pending if hold else RewardState.available,
        "granted_at": now,
        "available_at": now + hold,
        "entry_id": entry_id,
    }
    run(tx, _GRANT, **row)
    return Reward(**row)


_GRANT = sa.insert(Reward.__table__)  # type: ignore[arg-type]


_OF_EVENT = sa.select(Reward).where(Reward.event == sa.bindparam("event")).order_by(Reward.id)


def of_event(tx: Session, event: str) -> list[Reward]:
    return list(tx.scalars(_OF_EVENT, {"event": event}))


def release_due(tx: Session, now: datetime) -> int:
    """Make pending rewards available whose hold is over. Returns how many; call until 0."""
    due = tx.scalars(
        sa.select(Reward)
        .where(Reward.state == RewardState.pending, Reward.available_at <= now)
        .order_by(Reward.id)
        .limit(RELEASE_BATCH)
        .with_for_update(skip_locked=True)
    ).all()
    for reward in due:
        pending = ledger.account(tx, ledger.Kind.pending, reward.beneficiary_id, reward.unit)
        wallet = ledger.account(tx, ledger.Kind.wallet, reward.beneficiary_id, reward.unit)
        ledger.post(
            tx,
            key=f"release|{reward.id}",
            what="hold is over",
            moves=[ledger.Move(pending, wallet, reward.amount)],
            now=now,
        )
        reward.state = RewardState.available
    return len(due)
