"""A campaign as it is handed in: checked data, before it is stored."""

import re
from enum import StrEnum
from typing import Annotated, Self

from pydantic import AwareDatetime, Field, field_validator, model_validator

from referral import texts
from referral.campaigns import markets
from referral.campaigns.content import CampaignContent
from referral.config import KEEP_MONTHS_MAX
from referral.gs1.gtin import BadGTIN, gtin14
from referral.rewards import RULES_MAX, Rule
from referral.rewards.paid_sharing import Rules

HOLD_DAYS_DEFAULT = 7
WINDOW_DAYS_DEFAULT = 30
LASTS_DAYS_DEFAULT = 365
BUDGET_MAX = 10**12
PERMIT_LENGTH_MAX = 80
PRODUCTS_MAX = 500
YEAR_MIN, YEAR_MAX = 2000, 2200
SLUG = re.compile(r"^[a-z0-9][a-z0-9-]{0,59}$")
UNIT_PATTERN = r"^([A-Z]{3}|(coupon|item):[a-z0-9][a-z0-9-]{0,39})$"
Unit = Annotated[str, Field(pattern=UNIT_PATTERN)]
"""What else than points a budget can be of."""


class CreditedTouch(StrEnum):
    """Which of the links that somebody opened, within the window, brought the person in."""

    first = "first"
    last = "last"


class Draft(CampaignContent):
    """A campaign as staff or the API hand it in."""

    slug: str = Field(pattern=SLUG.pattern)
    """Its short name in addresses."""
    rules: Rules = Field(default_factory=list, max_length=RULES_MAX)
    budget: int = Field(default=0, ge=0, le=BUDGET_MAX)
    """In points."""
    budgets: dict[Unit, Annotated[int, Field(gt=0, le=BUDGET_MAX)]] = Field(
        default_factory=dict, max_length=RULES_MAX
    )
    """Of what else its rules pay, by unit: minor units of a currency (`CNY`), or how many of
    `coupon:POOL` and `item:SLUG`."""
    gtins: list[str] = Field(default_factory=list, max_length=PRODUCTS_MAX)
    """The products it is for; empty for all."""
    starts_at: AwareDatetime | None = None
    """Left out: now."""
    ends_at: AwareDatetime | None = None
    """Not included. Left out: 90 days after the start."""
    hold_days: int = Field(default=HOLD_DAYS_DEFAULT, ge=0, le=90)
    """How long a reward stays pending."""
    lasts_days: int | None = Field(default=LASTS_DAYS_DEFAULT, ge=1, le=3650)
    """How long a reward can be spent once it is available; null for ever."""
    window_days: int = Field(default=WINDOW_DAYS_DEFAULT, ge=1, le=365)
    """How long after a link was opened a claim still credits it."""
    touch: CreditedTouch = CreditedTouch.first
    """Which of the links that somebody opened within the window is credited."""
    market: str = markets.DEFAULT
    """Where it runs, as far as the law there asks for something: see docs/rules.md."""
    permit: str = Field(default="", max_length=PERMIT_LENGTH_MAX)
    """The number of the permit for its draws, where the market asks for one."""
    keep_months: int | None = Field(default=None, ge=1, le=KEEP_MONTHS_MAX)
    """For how many whole months its visits are kept, beside the current one; left out: as the
    operator has set it for all."""

    audience: int | None = Field(default=None, ge=1)
    """The number of the segment whose customers alone it pays; left out: everybody. Who that is, is
    fixed when it is published."""

    @field_validator("market")
    @classmethod
    def _known_market(cls, market: str) -> str:
        if market not in markets.markets():
            raise ValueError(f"the markets are {', '.join(markets.markets())}")
        return market

    @field_validator("permit")
    @classmethod
    def _clean_permit(cls, permit: str) -> str:
        return texts.one_line(permit)

    @field_validator("gtins")
    @classmethod
    def _normal_gtins(cls, gtins: list[str]) -> list[str]:
        try:
            return [gtin14(gtin) for gtin in gtins]
        except BadGTIN as error:
            raise ValueError("a GTIN's check digit is wrong") from error

    @field_validator("rules")
    @classmethod
    def _without_keys(cls, rules: list[Rule]) -> list[Rule]:
        """A draft's rules have paid nothing yet: what they said is their name."""
        return [rule.model_copy(update={"key": None}) for rule in rules]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len({rule.id for rule in self.rules}) < len(self.rules):
            raise ValueError("two rules promise the same; add their amounts up instead")
        if self.starts_at and self.ends_at and self.ends_at <= self.starts_at:
            raise ValueError("the end must lie after the start")
        for moment in (self.starts_at, self.ends_at):
            if moment and not YEAR_MIN <= moment.year <= YEAR_MAX:
                raise ValueError(f"the year must lie between {YEAR_MIN} and {YEAR_MAX}")
        return self
