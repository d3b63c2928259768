"""What the tests of actions share."""

import pytest

from referral import limits


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine under load may take longer to answer than a page would wait for Redis."""
    monkeypatch.setattr(limits, "REDIS_TIMEOUT_SECONDS", 20.0)
