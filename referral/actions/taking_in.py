"""What staff do about events that could not be stored."""

from sqlalchemy.orm import Session

from referral import audit
from referral.db import transaction
from referral.deployment import Deployment
from referral.errors import Problem
from referral.intake import parked
from referral.intake.parked import StillFails


def replay_parked(deployment: Deployment, parked_id: int, *, by: str) -> bool:
    """Store a parked event after all; `by` is who wants it. False when it was stored already.

    Raises `UnknownParked`, and `StillFails` when what is wrong with it has not changed.
    """
    try:
        return _replay(deployment, parked_id, by)
    except Problem:
        raise
    except Exception as error:
        raise StillFails() from error


@transaction
def _replay(tx: Session, deployment: Deployment, parked_id: int, by: str) -> bool:
    now = deployment.clock.now()
    is_new = parked.replay(tx, parked_id, now)
    if is_new:
        about = f"parked:{parked_id}"
        audit.note(tx, by=by, action="parked-replay", subject=about, now=now)
    return is_new


@transaction
def discard_parked(tx: Session, deployment: Deployment, parked_id: int, *, by: str) -> bool:
    """Give up a parked event that nobody can read. False when it was done with already.

    Raises `UnknownParked`, `IsReadable`.
    """
    now = deployment.clock.now()
    is_new = parked.discard(tx, parked_id, now)
    if is_new:
        about = f"parked:{parked_id}"
        audit.note(tx, by=by, action="parked-discard", subject=about, now=now)
    return is_new
