"""Waiting for the thing itself."""

import time
from collections.abc import Callable

LOOK_SECONDS = 0.02


def wait_until(
    is_so: Callable[[], object], else_say: str = "it does not come to that", *, seconds: float
) -> None:
    """Until `is_so` is true. Raises `AssertionError` with these words when it takes longer."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, else_say
        time.sleep(LOOK_SECONDS)
