"""Claims: a customer takes a code, once, ever."""

from datetime import datetime
from typing import Literal, Self

from pydantic import Field, model_validator

from referral import actions, campaigns, lookup
from referral.actions import Claimed
from referral.actions.touching import ViaReason, read_via
from referral.batches import Entry
from referral.checking import check_code
from referral.claims import (
    AlreadyClaimed,
    Expired,
    NotActivated,
    OuterCode,
    Recalled,
    Voided,
    WrongProduct,
)
from referral.codes import Code, MistypedCode, UnknownCode
from referral.gs1.gtin import BadGTIN
from referral.guessing import CheckingPaused
from referral.links import Link, Touch
from referral.lookup import TEXT_LENGTH_MAX
from referral.people import UnknownCustomer
from referral.rewards import RewardState
from referral.web.api.endpoint import Output, post
from referral.web.api.reading import Id, Input
from referral.web.context import deployment, now
from referral.web.problems import invalid_field


class ClaimIn(Input):
    """Who claims which code."""

    url: str | None = Field(default=None, max_length=TEXT_LENGTH_MAX)
    """What the package's QR code says. Either this or `code`."""
    code: str | None = Field(default=None, max_length=TEXT_LENGTH_MAX)
    """The 16 characters by themselves; dashes, spaces and case do not matter."""
    customer_id: Id
    via: str | None = Field(default=None, max_length=TEXT_LENGTH_MAX)
    """The token of the share link that brought the customer, if there was one."""

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.url is None) == (self.code is None):
            raise ValueError("Send either url or code.")
        return self


class ClaimOut(Output):
    """A claim."""

    id: int
    gtin: str
    """GTIN-14 of the product."""
    code: str
    customer_id: int
    campaign: str | None
    """The slug of the campaign that pays; null when none ran for the product."""
    claimed_at: datetime
    already: bool
    """Whether the customer had made this claim before."""


class RewardOut(Output):
    """What a rule of the campaign granted somebody for this claim."""

    customer_id: int
    """Who has it now: who was paid, or the customer that one was merged into."""
    rule: str
    unit: str
    amount: int
    """In minor units of the unit; points have none."""
    state: RewardState
    available_at: datetime


class ClaimedOut(Output):
    """A claim and what it brought."""

    claim: ClaimOut
    rewards: list[RewardOut]
    """The customer's own and the referrer's."""
    referrer_id: int | None
    """Who brought the customer in; settled at the first claim, then fixed."""
    budget_spent: bool
    """Whether a promise could not be kept because the campaign's budget is used up."""
    via: Literal["accepted", "ignored"] | None
    """What became of the link that was sent. The claim stands in any case."""
    via_reason: ViaReason | None
    """Why it was ignored."""


@post(
    "/claims",
    body=ClaimIn,
    answer=ClaimedOut,
    statuses={201: "Claimed", 200: "Claimed before, by the same customer"},
    problems=[
        BadGTIN,
        MistypedCode,
        UnknownCode,
        WrongProduct,
        OuterCode,
        NotActivated,
        Expired,
        Voided,
        Recalled,
        AlreadyClaimed,
        UnknownCustomer,
        CheckingPaused,
    ],
)
def add_claim(body: ClaimIn) -> tuple[ClaimedOut, int]:
    """Claim a code for a customer.

    The customer, and whoever brought the customer in, get what the campaign promises. Claiming
    one's own code again changes nothing and answers with what it brought.
    """
    code, batch = _code(body)
    link, ignored = None, None
    if body.via is not None:
        with deployment().db.read() as tx:
            found = read_via(tx, deployment().links, body.via, body.customer_id, now())
        link, ignored = (found, None) if isinstance(found, Link) else (None, found)
    touches = [Touch(link, now())] if link else []
    claimed = actions.claim(deployment(), code, body.customer_id, touches=touches)
    if link and claimed.already:
        ignored = ViaReason.already_claimed
    return _shown(claimed, code, batch, body.via, ignored), 200 if claimed.already else 201


def _code(body: ClaimIn) -> tuple[Code, Entry]:
    """The genuine code that was sent, and its batch. Wrong ones count against the customer."""
    text, gtin = body.code or "", None
    if body.url is not None:
        found = lookup.in_address(body.url)
        if found is None:
            raise invalid_field("url", "This is not an address such as .../01/GTIN/21/CODE.")
        text, gtin = found
    return check_code(deployment(), text, gtin=gtin, customer=body.customer_id, address=None)


def _shown(
    claimed: Claimed, code: Code, batch: Entry, via: str | None, ignored: ViaReason | None
) -> ClaimedOut:
    claim = claimed.claim
    with deployment().db.read() as tx:
        campaign = campaigns.campaign_by_id(tx, claim.campaign_id) if claim.campaign_id else None
    rewards = [
        RewardOut(
            customer_id=reward.holder_id,
            rule=reward.rule,
            unit=reward.unit,
            amount=reward.amount,
            state=RewardState(reward.state),
            available_at=reward.available_at,
        )
        for reward in claimed.rewards
    ]
    return ClaimedOut(
        claim=ClaimOut(
            id=claim.id,
            gtin=batch.gtin,
            code=code.text,
            customer_id=claim.customer_id,
            campaign=campaign.slug if campaign else None,
            claimed_at=claim.at,
            already=claimed.already,
        ),
        rewards=rewards,
        referrer_id=claimed.referrer,
        budget_spent=claimed.budget_spent,
        via=None if via is None else "ignored" if ignored else "accepted",
        via_reason=ignored,
    )
