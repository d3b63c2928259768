"""Markets: what the law of the place where a campaign runs asks of it, as data (`markets.toml`)."""

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources

from pydantic import BaseModel, ConfigDict, Field

from referral.errors import N_

DEFAULT = "default"

NAMES = {
    DEFAULT: N_("No market in particular"),
    "CN": N_("Mainland China"),
    "SG": N_("Singapore"),
    "MY": N_("Malaysia"),
    "VN": N_("Vietnam"),
    "ID": N_("Indonesia"),
    "TH": N_("Thailand"),
}
NOTICES = {
    "odds_are_told": N_("Chances, prizes, dates and organiser are told before and stay as told."),
    "terms_stay": N_("Once the campaign has begun, its terms only get better for you."),
    "unclaimed_prizes": N_("Prizes that nobody claims stay with the organiser."),
}
"""Sentences that markets ask for on the page with the rules."""


class Market(BaseModel):
    """What a market asks of campaigns."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    currency: str | None = Field(default=None, pattern=r"^[A-Z]{3}$")
    """Of `prize_max`."""
    prize_max: int | None = Field(default=None, gt=0)
    """The most that one prize of a draw may be worth, in minor units; None where none is known."""
    permit: bool = False
    """Whether a draw needs the number of a permit, a licence or a registration."""
    notices: list[str] = []
    """By their name in `NOTICES`."""
    source: str
    """Where that is written."""


@cache
def markets() -> Mapping[str, Market]:
    """All markets, by their code: ISO 3166, or `default`."""
    data = resources.files(__package__).joinpath("markets.toml").read_text(encoding="utf-8")
    return {code: Market.model_validate(told) for code, told in tomllib.loads(data).items()}


def market(code: str) -> Market:
    """What holds in a market; the default where the code is not known any more."""
    return markets().get(code) or markets()[DEFAULT]
