"""What a reward was for and how it stands, in the words of whoever has it."""

from datetime import datetime

from flask_babel import format_date
from flask_babel import gettext as _

from referral import hand_credits
from referral.rewards import Reason, Reward, RewardState, When
from referral.web.context import now


def reward_text(rule_id: str, depth: int) -> str:
    """What a reward was for, in the words of its beneficiary."""
    word = rule_id.partition(":")[0]
    if word == hand_credits.RULE:
        return _("From our team, with thanks")
    when = When(word) if word in set(When) else None
    if when is None:
        return _("Reward")
    if depth > 1:
        return _("Somebody whom a friend of yours brought in bought something")
    if depth:
        if not when.of_orders:
            return _("A friend you brought in claimed a package")
        if not when.of_claims:
            return _("A friend you brought in ordered something")
        return _("A friend you brought in bought something")
    return {
        When.claim: _("Claimed a package"),
        When.first_claim: _("Your first claim"),
        When.referred_first_claim: _("First claim through a friend's link"),
        When.order: _("Your order"),
        When.first_order: _("Your first order"),
        When.referred_first_order: _("First order through a friend's link"),
        When.referred_first_purchase: _("First purchase through a friend's link"),
        When.nth_referral: _("First purchase through a friend's link"),
        When.nth_claim: _("So many packages claimed"),
    }[when]


def spendable_text(available_at: datetime) -> str:
    """From when on something pending can be spent; it is moved some time after it is due."""
    if available_at <= now():
        return _("Yours to spend within a day")
    return _("Yours to spend from %(day)s", day=format_date(available_at, "long"))


def looked_at_text() -> str:
    """Of what waits for somebody to look at it: not why, which would teach how to get round it."""
    return _("We are looking at this one before it can be spent. You need not do anything.")


def _taken_back_text(why: str | None) -> str:
    if why == Reason.same_person:
        return _("Taken back, because the friend was yourself")
    return _("Taken back, because what earned it was undone")


def reward_state_text(reward: Reward) -> str:
    """Why a reward is in the state it is in."""
    if reward.is_looked_at:
        return looked_at_text()
    return {
        RewardState.pending: spendable_text(reward.available_at),
        RewardState.available: "",
        RewardState.reversed: _taken_back_text(reward.why),
        RewardState.expired: _("Expired"),
    }[RewardState(reward.state)]
