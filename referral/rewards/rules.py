"""Reward rules: the promises of a campaign as checked data.

A rule says `when` something is paid for, `for` whom, `what`, how much of it (`amount`), and within
which `limits`. Every event is a proof of purchase: nothing pays for a share, an open or a sign-up.
"""

from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

AMOUNT_MAX = 1_000_000
RULES_MAX = 20
ROWS_MAX = 20
"""How many tiers or chances one rule may have."""
MILLION = 1_000_000
BASIS_POINTS = 10_000
SLUG = r"^[a-z0-9][a-z0-9-]{0,39}$"
KEY = r"^[a-z0-9_:-]{1,160}$"
DEPTH_MAX = 2
"""How far up the referral tree may be paid at all; the database holds it too."""


class When(StrEnum):
    """The event a rule answers to. Every one is a proof of purchase."""

    claim = "claim"
    first_claim = "first_claim"
    """A customer's first proof of purchase, where it is a claim."""
    referred_first_claim = "referred_first_claim"
    """The same, of a customer whom somebody brought in."""
    order = "order"
    first_order = "first_order"
    """A customer's first proof of purchase, where it is an order."""
    referred_first_order = "referred_first_order"
    referred_first_purchase = "referred_first_purchase"
    """The first claim or order of a customer whom somebody brought in."""
    nth_referral = "nth_referral"
    """The first claim or order of the `nth` customer whom the referrer brought in."""
    nth_claim = "nth_claim"
    """The `nth` claim of a customer, within `within_days` where that is said: a stamp card."""

    @property
    def of_orders(self) -> bool:
        """Whether an order can be this event."""
        return self in _ONLY_ORDERS or self in _EITHER

    @property
    def of_claims(self) -> bool:
        """Whether a claim can be this event."""
        return self not in _ONLY_ORDERS

    @property
    def of_referred(self) -> bool:
        """Whether it is the first purchase of somebody who was brought in."""
        return self in {When.referred_first_claim, When.referred_first_order, *_EITHER}

    @property
    def of_first(self) -> bool:
        """Whether it is a first purchase."""
        return self in {When.first_claim, When.first_order} or self.of_referred


_ONLY_ORDERS = frozenset({When.order, When.first_order, When.referred_first_order})
_EITHER = frozenset({When.referred_first_purchase, When.nth_referral})


class ForWhom(StrEnum):
    person = "person"
    referrer = "referrer"
    both = "both"


class What(StrEnum):
    points = "points"
    credit = "credit"
    """Store credit, in minor units of the campaign's currency."""
    coupon = "coupon"
    """A coupon out of the pool that `of` names."""
    item = "item"
    """An item of the catalogue that `of` names, to be handed over for a voucher."""

    @property
    def is_counted_out(self) -> bool:
        """Whether it is a thing of a kind, which `of` names, and no amount of money or points."""
        return self in {What.coupon, What.item}


def _is_left_out(value: object) -> bool:
    return value is None


class Part(BaseModel):
    """A part of a rule. What is not known is refused."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_enum_values=False, use_attribute_docstrings=True
    )


class Percent(Part):
    """A share of an order's amount, rounded down."""

    basis_points: int = Field(gt=0, le=BASIS_POINTS, strict=True)
    """Hundredths of a per cent: 500 is 5 %."""
    cap: int = Field(gt=0, le=AMOUNT_MAX, strict=True)
    """The most it comes to for one order."""


class Tier(Part):
    """What is paid from a number of referrals on."""

    since: int = Field(alias="from", gt=0, le=AMOUNT_MAX, strict=True)
    """How many friends the referrer has brought in, this one included."""
    amount: int = Field(gt=0, le=AMOUNT_MAX, strict=True)


class Tiers(Part):
    """An amount that grows with the number of customers the referrer has brought in."""

    tiers: list[Tier] = Field(min_length=1, max_length=ROWS_MAX)

    @model_validator(mode="after")
    def _rising(self) -> Self:
        starts = [tier.since for tier in self.tiers]
        if starts != sorted(set(starts)):
            raise ValueError("each tier must begin above the one before")
        return self


class Chance(Part):
    """One row of a lucky draw's table."""

    per_million: int = Field(gt=0, le=MILLION, strict=True)
    """How many of a million draws win it."""
    amount: int = Field(default=1, gt=0, le=AMOUNT_MAX, strict=True)
    what: What | None = Field(default=None, exclude_if=_is_left_out)
    """Left out: what the rule says."""
    of: str | None = Field(default=None, exclude_if=_is_left_out, pattern=SLUG)


class Odds(Part):
    """A lucky draw: at most one row is won, and what the rows leave of a million wins nothing."""

    odds: list[Chance] = Field(min_length=1, max_length=ROWS_MAX)

    @model_validator(mode="after")
    def _within_a_million(self) -> Self:
        if sum(chance.per_million for chance in self.odds) > MILLION:
            raise ValueError("the chances add up to more than a million in a million")
        return self


Fixed = Annotated[int, Field(gt=0, le=AMOUNT_MAX, strict=True)]


NUMBER, PERCENT, TIERS, ODDS = FORMS = ("a number", "a percentage", "tiers of amounts", "a draw")
"""What the forms of an amount are called where one of them is wrong; no field has such a name."""


def _form_of(amount: Any) -> str:
    """Which of the forms an amount is written in, so that only that one is checked."""
    if isinstance(amount, Percent) or (isinstance(amount, dict) and "basis_points" in amount):
        return PERCENT
    if isinstance(amount, Tiers) or (isinstance(amount, dict) and "tiers" in amount):
        return TIERS
    if isinstance(amount, Odds) or (isinstance(amount, dict) and "odds" in amount):
        return ODDS
    return NUMBER


Amount = Annotated[
    Annotated[Fixed, Tag(NUMBER)]
    | Annotated[Percent, Tag(PERCENT)]
    | Annotated[Tiers, Tag(TIERS)]
    | Annotated[Odds, Tag(ODDS)],
    Discriminator(_form_of),
]


class Limits(Part):
    """How often, or how much, one rule pays. What is left out is not limited."""

    per_person: int | None = Field(
        default=None, exclude_if=_is_left_out, gt=0, le=AMOUNT_MAX, strict=True
    )
    """How many rewards one customer gets from it, ever."""
    per_person_per_day: int | None = Field(
        default=None, exclude_if=_is_left_out, gt=0, le=AMOUNT_MAX, strict=True
    )
    """On one day of the brand's calendar."""
    per_day: int | None = Field(default=None, exclude_if=_is_left_out, gt=0, le=10**9, strict=True)
    """How many rewards all customers get from it on one day of the brand's calendar."""
    total: int | None = Field(default=None, exclude_if=_is_left_out, gt=0, le=10**9, strict=True)
    """How many rewards all customers get from it."""
    budget: int | None = Field(default=None, exclude_if=_is_left_out, gt=0, le=10**12, strict=True)
    """How much it pays in all, in its own unit."""


class Rule(Part):
    """One promise of a campaign."""

    when: When
    """The event, which is always a proof of purchase."""
    for_whom: ForWhom = Field(alias="for")
    """Who gets it: the buyer (`person`), who brought the buyer in (`referrer`), or each of them."""
    what: What = What.points
    of: str | None = Field(default=None, exclude_if=_is_left_out, pattern=SLUG)
    """The coupons' pool or the catalogue's item, where that is what it pays."""
    amount: Amount
    """How much, for each beneficiary: a number, a `Percent`, `Tiers` or `Odds`."""
    nth: int | None = Field(default=None, exclude_if=_is_left_out, gt=0, le=1000, strict=True)
    """Which referral or claim, for `nth_referral` and `nth_claim`."""
    every: bool = Field(default=False, exclude_if=lambda every: not every)
    """Whether every `nth` one is paid for, and not only the first time."""
    within_days: int | None = Field(
        default=None, exclude_if=_is_left_out, gt=0, le=3650, strict=True
    )
    """Within how many days the `nth` claims have to be made."""
    least: int | None = Field(default=None, exclude_if=_is_left_out, gt=0, le=10**9, strict=True)
    """The smallest order it is paid for, in minor units; a claim is paid for all the same."""
    depth: int = Field(default=1, exclude_if=lambda depth: depth == 1, ge=1, le=9, strict=True)
    """How far up the referral tree the `referrer` is: 1 is who brought the buyer in."""
    limits: Limits = Field(default=Limits(), exclude_if=lambda limits: limits == Limits())
    key: str | None = Field(default=None, exclude_if=_is_left_out, pattern=KEY)
    """The name it was published under, where its terms were made better since and say another. It
    is told, and sent it has to be that of the rule that is made better."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        is_nth = self.when in {When.nth_referral, When.nth_claim}
        if is_nth != (self.nth is not None):
            raise ValueError("`nth` goes with `nth_referral` and `nth_claim`, and only with them")
        if self.every and not is_nth:
            raise ValueError("`every` goes with `nth`")
        if self.within_days is not None and self.when is not When.nth_claim:
            raise ValueError("`within_days` goes with `nth_claim`")
        if self.least is not None and not self.when.of_orders:
            raise ValueError("`least` goes with orders")
        if isinstance(self.amount, Percent) and (self.when.of_claims or not self.is_money_like):
            raise ValueError("a percentage is paid of an order, in points or store credit")
        if isinstance(self.amount, Tiers) and (
            self.for_whom is not ForWhom.referrer or not self.when.of_referred
        ):
            raise ValueError("tiers go by the referrals of a referrer, who is to be paid")
        if self.when is When.nth_claim and self.for_whom is not ForWhom.person:
            raise ValueError("claims are counted for who claimed, who is to be paid")
        if self.depth > 1 and self.for_whom is not ForWhom.referrer:
            raise ValueError("only a referrer has a depth")
        if any(what is What.coupon and most != 1 for what, most in self._amounts()):
            raise ValueError("a coupon is granted one at a time: its amount is 1")
        for what, of in self.prizes:
            if what.is_counted_out != (of is not None):
                raise ValueError("`of` names the pool of a coupon or the item, and nothing else")
        return self

    @property
    def is_money_like(self) -> bool:
        return not self.what.is_counted_out

    @property
    def prizes(self) -> list[tuple[What, str | None]]:
        """What it can pay, and the pool or item of each."""
        if isinstance(self.amount, Odds):
            return [
                (chance.what or self.what, chance.of if chance.what else self.of)
                for chance in self.amount.odds
            ]
        return [(self.what, self.of)]

    def _amounts(self) -> list[tuple[What, int]]:
        """Of what it can pay how much; a percentage is left out."""
        if isinstance(self.amount, Odds):
            return [(chance.what or self.what, chance.amount) for chance in self.amount.odds]
        if isinstance(self.amount, Tiers):
            return [(self.what, tier.amount) for tier in self.amount.tiers]
        return [(self.what, self.amount)] if isinstance(self.amount, int) else []

    @property
    def id(self) -> str:
        """Its name in rewards and the ledger; no two rules of a campaign have the same.

        It stays when the terms are made better, and with it what was paid and counted.
        """
        return self.key or self.said

    @property
    def said(self) -> str:
        """What it promises, but for how much: the name a new rule goes by."""
        said = [self.when.value, self.for_whom.value, self.what.value]
        if self.of:
            said.append(self.of)
        if self.nth:
            said.append(f"{'every' if self.every else 'nth'}-{self.nth}")
        if self.within_days:
            said.append(f"within-{self.within_days}")
        if self.least:
            said.append(f"least-{self.least}")
        if self.depth > 1:
            said.append(f"depth-{self.depth}")
        if isinstance(self.amount, Odds):
            said.append("draw")
        return ":".join(said)

    def dump(self) -> dict[str, Any]:
        """As it is stored and told: what was left out stays out."""
        return self.model_dump(mode="json", by_alias=True)
