"""Sealing the ledger: what was posted is chained, by a pass that no posting waits for."""

import time
from dataclasses import dataclass

from referral.deployment import Deployment
from referral.ledger import seals

WRITERS_SECONDS = 40.0
"""How long whoever is posting is waited for: longer than a transaction may be idle."""
POLL_SECONDS = 0.02


@dataclass(frozen=True)
class Sealed:
    """What a pass sealed. `complete` is False when somebody has been posting for too long: the
    entries since are left to the next pass."""

    entries: int
    blocks: int
    complete: bool


def seal(deployment: Deployment, *, wait: float = WRITERS_SECONDS) -> Sealed:
    """Seal every entry that is there; safe to run at any time, also twice at once.

    Each block is a transaction of its own. `wait` is how many seconds to wait for those who are
    posting at this moment.
    """
    db = deployment.db
    with db.read() as tx:
        upto = seals.newest(tx)
    # Only now: whoever begins to post after the newest was seen takes a higher id.
    with db.read() as tx:
        running = seals.writers(tx)
    deadline = time.monotonic() + wait
    while running:
        if time.monotonic() > deadline:
            return Sealed(0, 0, complete=False)
        time.sleep(POLL_SECONDS)
        with db.read() as tx:
            running &= seals.writers(tx)
    now = deployment.clock.now()
    entries = blocks = 0
    while done := db.transact(lambda tx: seals.seal_next(tx, upto, now)):
        entries, blocks = entries + done, blocks + 1
    return Sealed(entries, blocks, complete=True)
