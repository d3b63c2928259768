"""What rules pay for each kind of purchase: `rewards.evaluate`, asked once a kind. Pure.

A simulation has millions of purchases and few kinds of them. So the rules themselves say what is
paid, and still it is looked up in an array.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from referral.rewards import (
    Grant,
    Odds,
    Proof,
    PurchaseFacts,
    Rule,
    When,
    evaluate,
    unit_of,
)
from referral.rewards.rules import MILLION

BUYER, REFERRER, ABOVE = 1, 2, 3
"""The people of a purchase whose numbers do not matter."""
DEPTHS = (0, 1, 2)


class Kind(NamedTuple):
    """What purchases have in common as far as rules ask."""

    is_first: bool
    is_referred: bool
    """Whether somebody brought the customer in."""
    has_above: bool = False
    """Whether somebody brought the referrer in."""
    proof: Proof = Proof.claim
    amount: int = 0
    """Of an order, in minor units."""
    referrals: int = 1
    """How many customers the referrer has brought in, this one included."""
    claims: int = 1
    """How many claims the customer has made, this one included."""


class Prize(NamedTuple):
    """One row of a draw."""

    unit: str
    amount: int
    chance: float


@dataclass
class Tariff:
    """A rule's prices."""

    rule: Rule
    currency: str
    _known: dict[Kind, tuple[int, ...]] = field(default_factory=dict)

    @property
    def is_draw(self) -> bool:
        return isinstance(self.rule.amount, Odds)

    @property
    def prizes(self) -> list[Prize]:
        """The rows of a draw; for another rule none."""
        if not isinstance(self.rule.amount, Odds):
            return []
        return [
            Prize(unit_of(what, of, self.currency), chance.amount, chance.per_million / MILLION)
            for chance, (what, of) in zip(self.rule.amount.odds, self.rule.prizes, strict=True)
        ]

    @property
    def unit(self) -> str:
        """Of what it pays without a draw."""
        return unit_of(self.rule.what, self.rule.of, self.currency)

    @property
    def units(self) -> set[str]:
        """Of all that it can pay."""
        return {prize.unit for prize in self.prizes} or {self.unit}

    def amounts(self, kinds: Sequence[Kind]) -> npt.NDArray[np.int64]:
        """A row for each depth of `DEPTHS`, a column for each kind: what is paid, 0 for nothing.

        For a draw it is 1 where there is one.
        """
        rows = [self._amounts(kind) for kind in kinds]
        return np.array(rows, dtype=np.int64).reshape(len(kinds), len(DEPTHS)).T

    def _amounts(self, kind: Kind) -> tuple[int, ...]:
        if kind not in self._known:
            paid = [0] * len(DEPTHS)
            for each in evaluate([self.rule], self._facts(kind), _first_prize):
                if isinstance(each, Grant):
                    paid[each.depth] = 1 if self.is_draw else each.amount
            self._known[kind] = tuple(paid)
        return self._known[kind]

    def _facts(self, kind: Kind) -> PurchaseFacts:
        return PurchaseFacts(
            customer=BUYER,
            is_first=kind.is_first,
            referrer=REFERRER if kind.is_referred else None,
            proof=kind.proof,
            above=ABOVE if kind.has_above else None,
            amount=kind.amount,
            referrals=kind.referrals,
            paid=self._paid(kind.referrals),
            stamps={self.rule.id: self._stamp(kind.claims)} if self._has_stamps else {},
        )

    def _paid(self, referrals: int) -> set[str]:
        """Whether it has paid for a referral that is paid for once: the one that first reached the
        number is taken to have been paid for."""
        return {self.rule.id} if referrals > (self.rule.nth or 1) else set()

    @property
    def _has_stamps(self) -> bool:
        return self.rule.when is When.nth_claim

    def _stamp(self, claims: int) -> int:
        """How many claims count towards an nth one: those since it last paid."""
        nth = self.rule.nth or 1
        if self.rule.every:
            return (claims - 1) % nth + 1
        return claims if claims <= nth else 0


def _first_prize(ticket: str) -> int:
    return 0
