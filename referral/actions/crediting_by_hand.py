"""Points by hand: a member credits a customer, or takes points back; over a limit another member
has to approve it first."""

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from referral import audit, campaigns, hand_credits, ledger, people
from referral.campaigns import Campaign, CampaignState, UnknownCampaign
from referral.db import as_a_whole, insert_new, lock, transaction
from referral.deployment import Deployment
from referral.hand_credits import (
    AMOUNT_MAX,
    RULE,
    UNIT,
    WAITS,
    CreditDecided,
    CreditReason,
    CreditTooLow,
    HandCredit,
    NotEnoughBudget,
    OwnCredit,
    State,
)
from referral.rewards import by_hand, wallets
from referral.risk.records import VerdictRow
from referral.rollups.money import midnight
from referral.staff import NotAllowed, Right, StaffMember


@dataclass(frozen=True)
class Wish:
    """What somebody wants to credit; below zero it is taken back."""

    key: str
    """Names the form: sent twice it is one credit."""
    customer_id: int
    campaign_id: int
    """Whose budget it comes out of or goes back to."""
    amount: int
    reason: str
    told: str = ""
    """What the customer reads of it."""


@transaction
def credit_by_hand(
    tx: Session, deployment: Deployment, wish: Wish, *, member: StaffMember
) -> HandCredit:
    """Carry out a wish, or have it wait where it is over what the member may do alone.

    Raises `NotAllowed`, `CreditReason`, `UnknownCustomer`, `UnknownCampaign`, `CreditTooLow`,
    `NotEnoughBudget`.
    """
    _check_may(member, Right.credit)
    if not wish.reason.strip():
        raise CreditReason()
    if not 0 < abs(wish.amount) <= AMOUNT_MAX:
        raise ValueError("no such amount is credited")
    now = deployment.clock.now()
    # What the member has credited today must not change meanwhile.
    lock(tx, f"credits by {member.id}")
    sent = hand_credits.credit_of_key(tx, wish.key)
    if sent is not None:
        return sent
    campaign = _campaign(tx, wish.campaign_id)
    customer_id = people.lock_customer(tx, wish.customer_id)
    within = alone(tx, deployment, member, now)
    credit = HandCredit(
        key=wish.key,
        customer_id=customer_id,
        campaign_id=campaign.id,
        amount=wish.amount,
        reason=wish.reason,
        told=wish.told,
        within=within,
        needs_approval=abs(wish.amount) > within,
        asked_by=member.id,
        asked_at=now,
        # The entry comes with it: until then it waits.
        state=State.waiting,
        ends_at=now + WAITS,
        word="",
    )
    tx.add(credit)
    tx.flush()
    if credit.needs_approval:
        _check_held(tx, credit, now)
        _note(tx, deployment, credit, member, "credit asked for")
    else:
        _carry_out(tx, credit, campaign, now)
        _note(tx, deployment, credit, member, "credited by hand")
    return credit


@transaction
def approve_credit(
    tx: Session, deployment: Deployment, credit_id: int, *, member: StaffMember
) -> HandCredit:
    """Carry out what somebody else wants to credit.

    Raises `NotAllowed`, `UnknownCredit`, `CreditDecided`, `OwnCredit`, `CreditTooLow`,
    `NotEnoughBudget`; it waits on after the last two.
    """
    credit = _undecided(tx, deployment, credit_id, member)
    credit.decided_by, credit.decided_at = member.id, deployment.clock.now()
    credit.customer_id = people.lock_customer(tx, credit.customer_id)
    campaign = _campaign(tx, credit.campaign_id)
    _carry_out(tx, credit, campaign, deployment.clock.now())
    _note(tx, deployment, credit, member, "credit approved")
    return credit


@transaction
def refuse_credit(
    tx: Session, deployment: Deployment, credit_id: int, word: str, *, member: StaffMember
) -> HandCredit:
    """Refuse what somebody else wants to credit, with a word why.

    Raises `NotAllowed`, `UnknownCredit`, `CreditDecided`, `OwnCredit`, `CreditReason`.
    """
    if not word.strip():
        raise CreditReason()
    credit = _undecided(tx, deployment, credit_id, member)
    credit.state, credit.word = State.refused, word
    credit.decided_by, credit.decided_at = member.id, deployment.clock.now()
    _note(tx, deployment, credit, member, "credit refused")
    return credit


@transaction
def withdraw_credit(
    tx: Session, deployment: Deployment, credit_id: int, *, member: StaffMember
) -> HandCredit:
    """Take back one's own wish. Raises `UnknownCredit`, `NotAllowed`, `CreditDecided`."""
    credit = hand_credits.credit_by_id(tx, credit_id, for_update=True)
    if credit.asked_by != member.id:
        raise NotAllowed()
    if credit.state != State.waiting:
        raise CreditDecided()
    credit.state, credit.decided_at = State.withdrawn, deployment.clock.now()
    _note(tx, deployment, credit, member, "credit withdrawn")
    return credit


@transaction
def expire_credits(tx: Session, deployment: Deployment) -> int:
    """Give up what nobody approved in time. Returns how many."""
    now = deployment.clock.now()
    due = hand_credits.expire_due(tx, now)
    for credit in due:
        audit.note(
            tx,
            by="sweep",
            action="credit expired",
            subject=f"customer:{credit.customer_id}",
            details={"credit": credit.id, "amount": credit.amount},
            now=now,
        )
    return len(due)


def alone(tx: Session, deployment: Deployment, member: StaffMember, now: datetime) -> int:
    """How much a member may still credit at once today without anybody's approval."""
    zone = ZoneInfo(deployment.config.timezone)
    today = midnight(now.astimezone(zone).date(), zone)
    left = deployment.config.credit_limit_day - hand_credits.credited_alone(tx, member.id, today)
    return max(0, min(deployment.config.credit_limit, left))


def _undecided(
    tx: Session, deployment: Deployment, credit_id: int, member: StaffMember
) -> HandCredit:
    """A credit that this member may decide, locked."""
    _check_may(member, Right.approve)
    credit = hand_credits.credit_by_id(tx, credit_id, for_update=True)
    if credit.state != State.waiting or credit.ends_at <= deployment.clock.now():
        raise CreditDecided()
    if credit.asked_by == member.id:
        raise OwnCredit()
    return credit


def _check_may(member: StaffMember, right: Right) -> None:
    if not member.may(right):
        raise NotAllowed()


def _campaign(tx: Session, campaign_id: int) -> Campaign:
    """A campaign whose budget was put up."""
    campaign = campaigns.campaign_by_id(tx, campaign_id)
    if campaign is None or campaign.state != CampaignState.published:
        raise UnknownCampaign()
    return campaign


def _check_held(tx: Session, credit: HandCredit, now: datetime) -> None:
    """Say at once what could not be carried out as things are. What is approved is looked at
    again."""
    if credit.amount > 0:
        left = ledger.balances(tx, ledger.Kind.budget, credit.campaign_id).get(UNIT, 0)
        if left < credit.amount:
            raise NotEnoughBudget()
    elif wallets.spendable(tx, credit.customer_id, now).get(UNIT, 0) < -credit.amount:
        raise CreditTooLow()


def _carry_out(tx: Session, credit: HandCredit, campaign: Campaign, now: datetime) -> None:
    """Post it. The customer is locked."""
    with as_a_whole(tx):
        try:
            credit.entry_id = (
                _give(tx, credit, campaign, now)
                if credit.amount > 0
                else by_hand.take(
                    tx,
                    event=credit.event,
                    campaign_id=campaign.id,
                    customer_id=credit.customer_id,
                    unit=UNIT,
                    amount=-credit.amount,
                    now=now,
                )
            )
        except ledger.Insufficient:
            raise (NotEnoughBudget if credit.amount > 0 else CreditTooLow)() from None
    credit.state = State.done
    tx.flush()


def _give(tx: Session, credit: HandCredit, campaign: Campaign, now: datetime) -> int:
    # No reward without a verdict; here staff have given theirs.
    verdict = {
        "event": credit.event,
        "customer_id": credit.customer_id,
        "referrer_id": None,
        "campaign_id": campaign.id,
        "at": now,
        "score": 0,
        "decision": "pay",
        "findings": [],
        "facts": {},
        "is_paid_referral": False,
        "looked_at": now,
        "case_state": None,
        "reviewed_by": None,
        "reviewed_at": None,
        "reason": None,
    }
    insert_new(tx, VerdictRow, verdict)
    return by_hand.credit(
        tx,
        event=credit.event,
        rule=RULE,
        campaign_id=campaign.id,
        customer_id=credit.customer_id,
        unit=UNIT,
        amount=credit.amount,
        lasts=campaign.lasts,
        now=now,
    )


def _note(
    tx: Session, deployment: Deployment, credit: HandCredit, member: StaffMember, action: str
) -> None:
    details: dict[str, object] = {
        "credit": credit.id,
        "amount": credit.amount,
        "campaign": credit.campaign_id,
        "reason": credit.reason,
    }
    if credit.word:
        details["word"] = credit.word
    audit.note(
        tx,
        by=member.email,
        action=action,
        subject=f"customer:{credit.customer_id}",
        details=details,
        now=deployment.clock.now(),
    )
