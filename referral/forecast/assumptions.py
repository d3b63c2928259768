"""What a forecast goes by: how many begin, how far links go, who buys, and how soon."""

from math import inf
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from referral.forecast.branching import OPENINGS_MAX, Lognormal, Offspring, Process

DAYS_MAX = 366
RUN_NODES_MAX = 1_000_000
"""With how many people a run is cut off."""


class Assumptions(BaseModel):
    """What a forecast goes by. The defaults are the field's figures: see docs/forecast.md."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    seeds: int = Field(default=1_000, ge=0, le=1_000_000)
    """How many people begin: customers who share, or buyers who scan a code."""
    days: int = Field(default=60, ge=1, le=DAYS_MAX)
    """How long the campaign runs."""
    reproduction: float = Field(default=0.35, ge=0, le=20, allow_inf_nan=False)
    """R: how many people open the link of somebody who opened one, on average."""
    per_seed: float | None = Field(default=None, ge=0, le=100, allow_inf_nan=False)
    """How many people open the link of somebody who begins. Left out: as many as `reproduction`."""
    dispersion: float = Field(default=0.15, ge=0.01, le=100, allow_inf_nan=False)
    """k: the smaller, the more of it comes from a few people."""
    conversion: float = Field(default=0.15, ge=0, le=1, allow_inf_nan=False)
    """Of those who open a link, how many buy and claim."""
    wait_days: float = Field(default=0.4, gt=0, le=365, allow_inf_nan=False)
    """The median time between an opening and the next one below it."""
    wait_spread: float = Field(default=1.6, ge=0, le=4, allow_inf_nan=False)
    """The spread of that time's logarithm: with 1.6 one of twenty takes 14 times as long."""
    buying_days: float = Field(default=0.8, gt=0, le=365, allow_inf_nan=False)
    """The median time between opening a link and the claim."""
    buying_spread: float = Field(default=1.2, ge=0, le=4, allow_inf_nan=False)
    claims: int = Field(default=1_000, ge=0, le=10_000_000)
    """Claims and orders in the campaign's time that no friend's link leads to."""
    new_share: float = Field(default=0.5, ge=0, le=1, allow_inf_nan=False)
    """How many of those are first ones, of new customers."""
    referred_share: float = Field(default=0.0, ge=0, le=1, allow_inf_nan=False)
    """How many of the others are of customers who had been brought in before."""
    repeat: float = Field(default=0.0, ge=0, le=100, allow_inf_nan=False)
    """How many more packages somebody who was brought in claims in 30 days, on average."""
    orders: float = Field(default=0.0, ge=0, le=1, allow_inf_nan=False)
    """How many of the purchases are orders of the shop, and not claims."""
    order_amount: int = Field(default=0, ge=0, le=10**9)
    """What an order comes to on average, in minor units."""
    order_spread: float = Field(default=0.5, ge=0, le=3, allow_inf_nan=False)
    """The spread of the logarithm of an order's amount."""
    audience: int | None = Field(default=None, ge=1, le=RUN_NODES_MAX)
    """How many people there are who could be reached. Left out: as many as it takes."""

    @model_validator(mode="after")
    def _ends(self) -> Self:
        if self.reproduction >= 1 and self.audience is None:
            raise ValueError(
                "with an R of 1 or more the spread does not end by itself: say how many people "
                "there are who could be reached (audience)"
            )
        return self

    @property
    def process(self) -> Process:
        of_seeds = self.reproduction if self.per_seed is None else self.per_seed
        return Process(
            seeds=self.seeds,
            days=self.days,
            of_seeds=Offspring(of_seeds, self.dispersion),
            of_openers=Offspring(self.reproduction, self.dispersion),
            wait=Lognormal(self.wait_days, self.wait_spread),
            conversion=self.conversion,
            wait_to_buy=Lognormal(self.buying_days, self.buying_spread),
            audience=self.audience,
            most=RUN_NODES_MAX,
        )

    @property
    def nodes(self) -> float:
        """How many openings a run has to do with on average, or somewhat more."""
        of_seeds = self.process.of_seeds
        most = self.audience or RUN_NODES_MAX
        first = self.seeds * of_seeds.mean
        r = self.reproduction
        later = first * r / (1 - r) if r < 1 else inf
        begun = self.seeds * (1 - of_seeds.none)
        return begun + min(first, OPENINGS_MAX * most) + min(later, r * most)
