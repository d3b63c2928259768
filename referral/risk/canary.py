"""The canary: facts whose verdict is known, judged by the very code that judges purchases.

Rules that find nothing look like honest customers. So it is tried all the time whether what has to
be held is held, what has to be refused is refused, and what is harmless is paid.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from referral.rewards import Why
from referral.risk.rules import Facts, Package, defaults
from referral.risk.verdicts import Decision, Verdict, judge

_NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
_HARMLESS = Facts(_NOW, customer=2, referrer=1, pays_referrer=True, packages=[Package(_NOW, None)])


def _bad() -> Facts:
    """A machine that claims every ten minutes, after trying codes, from three provinces."""
    return Facts(
        _NOW,
        customer=2,
        referrer=1,
        pays_referrer=True,
        packages=[Package(_NOW, f"CN-{place}") for place in ("GD", "BJ", "XJ")],
        misses=30,
        accounts=5,
        children=[_NOW - timedelta(minutes=10 * number) for number in range(10)],
    )


def _oneself() -> Facts:
    return Facts(_NOW, customer=2, referrer=1, pays_referrer=True, same_device=True)


def _sixth() -> Facts:
    paid_at = [_NOW - timedelta(hours=hours) for hours in range(1, 6)]
    return Facts(_NOW, customer=7, referrer=1, pays_referrer=True, paid_at=paid_at)


_KNOWN: dict[str, tuple[Callable[[], Facts], Decision, Why | None]] = {
    "harmless": (lambda: _HARMLESS, Decision.pay, None),
    "a machine": (_bad, Decision.hold, None),
    "oneself": (_oneself, Decision.pay, Why.self_referral),
    "a sixth in a day": (_sixth, Decision.pay, Why.too_many),
}


def canary(tried: Callable[..., Verdict] = judge) -> list[str]:
    """Which known facts get another verdict than they must, in words; empty when all is well."""
    settings = defaults()
    wrong = []
    for name, (make, decision, refused) in _KNOWN.items():
        verdict = tried(make(), settings)
        if (verdict.decision, verdict.refused) != (decision, refused):
            wrong.append(f"{name}: {verdict.decision} instead of {decision}")
    return wrong
