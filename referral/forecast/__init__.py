"""What a campaign may bring and cost before it starts: simulated many times over. Pure."""

from referral.forecast.outcome import Day, Forecast, Interval
from referral.forecast.purchases import order_amounts
from referral.forecast.simulation import RUNS_DEFAULT, RUNS_MAX, SEED_DEFAULT, forecast
from referral.forecast.terms import Terms

__all__ = [
    "RUNS_DEFAULT",
    "RUNS_MAX",
    "SEED_DEFAULT",
    "Day",
    "Forecast",
    "Interval",
    "Terms",
    "forecast",
    "order_amounts",
]
