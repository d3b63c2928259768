"""What a brand says of itself, so that it can be worked out what a customer is worth."""

from dataclasses import dataclass

from babel.numbers import get_currency_precision, list_currencies

from referral.config.reading import ConfigError, read_decimal

VALUE_PURCHASES = ("both", "claims", "orders")
NEW_CUSTOMER_COST_MAX = 10**9


@dataclass(frozen=True)
class ValueSettings:
    """What a brand says of itself, so that it can be worked out what a customer is worth."""

    currency: str = "CNY"
    """What is counted: purchases in another currency are left out of values."""
    margin: int = 4_000
    """What is left of a purchase's amount, in basis points."""
    discount: int = 1_000
    """What money is worth less a year later, in basis points."""
    new_customer: int = 50_000
    """What one new customer costs in advertising, in minor units of `currency`."""
    purchases: str = "both"
    """What counts as a purchase: ``claims``, ``orders`` or ``both``."""


def read_values(
    *, currency: str, margin: str, discount: str, new_customer: str, purchases: str
) -> ValueSettings:
    if currency not in list_currencies():
        raise ConfigError(
            f"REFERRAL_VALUE_CURRENCY: {currency!r} is no currency's three letters, such as CNY."
        )
    if purchases not in VALUE_PURCHASES:
        raise ConfigError(
            f"REFERRAL_VALUE_PURCHASES: {purchases!r} is none of {', '.join(VALUE_PURCHASES)}."
        )
    places = get_currency_precision(currency)
    return ValueSettings(
        currency,
        read_decimal("VALUE_MARGIN", margin, most=100, places=2),
        read_decimal("VALUE_DISCOUNT", discount, most=1_000, places=2),
        read_decimal("NEW_CUSTOMER_COST", new_customer, most=NEW_CUSTOMER_COST_MAX, places=places),
        purchases,
    )
