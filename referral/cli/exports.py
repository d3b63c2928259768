"""Files that somebody waits for, made beside the visits that a worker stores."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from referral import actions
from referral.deployment import Deployment
from referral.errors import Unavailable

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
"""How often jobs are looked for."""
STOP_SECONDS = 5.0
"""How long the page that is being read may take when the worker is told to end."""


@contextmanager
def exports_beside(deployment: Deployment) -> Iterator[None]:
    """Make files in a thread, until the worker ends; what is half done goes on elsewhere."""
    stopping = threading.Event()

    def mind() -> None:
        while not stopping.wait(LOOK_SECONDS):
            try:
                actions.work_off_exports(deployment, stopping.is_set)
            except Unavailable:
                pass  # the jobs wait
            except Exception:
                log.exception("exports are not worked off")

    minder = threading.Thread(target=mind, name="exports", daemon=True)
    minder.start()
    try:
        yield
    finally:
        stopping.set()
        minder.join(STOP_SECONDS)
