"""What a campaign promises, as a forecast takes it: rules, budgets, and what things are worth."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from referral.forecast.tariffs import Tariff
from referral.rewards import NO_CURRENCY, POINT_VALUE, Rule


@dataclass(frozen=True)
class Terms:
    """What a campaign promises."""

    rules: Sequence[Rule]
    budgets: Mapping[str, int] = field(default_factory=dict)
    """By unit; a unit that is not there has no bound."""
    currency: str | None = None
    """Of prices and store credit."""
    worth: Mapping[str, int] = field(default_factory=dict)
    """What a coupon or an item is worth in minor units, by unit; 0 where it is not said."""
    is_for_some: bool = False
    """Whether it pays the customers of a segment only: nobody who comes through a link and nobody's
    first purchase, as who is new is in none."""

    def money(self, unit: str) -> int:
        """What one of a unit is worth, in minor units of the currency."""
        if unit == "points":
            return POINT_VALUE
        return self.worth.get(unit, 0) if ":" in unit else 1

    def tariffs(self) -> list[Tariff]:
        """What each rule pays."""
        return [Tariff(rule, self.currency or NO_CURRENCY) for rule in self.rules]

    @property
    def budget_in_money(self) -> int | None:
        """None where something that is paid has no bound."""
        units = {unit for tariff in self.tariffs() for unit in tariff.units}
        if not units or not units <= set(self.budgets):
            return None
        return sum(self.budgets[unit] * self.money(unit) for unit in units)
