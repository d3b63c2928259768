"""What a browser has begun at the sign-in and has to finish itself, soon.

It travels in the browser's own signed cookie, so that nobody who only knocks writes anything. What
must not be finished twice is noted in `referral.staff.spent` when it is.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from flask import session

from referral.crypto import keyed_hash
from referral.errors import N_, Problem
from referral.staff import How, StaffMember, staff_by_id
from referral.web.context import deployment, now

SECOND_LIFETIME = timedelta(minutes=10)
"""From the password to the code."""


class SignInOver(Problem):
    slug = "sign-in-over"
    status = 403
    title = N_("This sign-in took too long, or was finished already.")
    advice = N_("Please sign in again.")


@dataclass(frozen=True)
class Second:
    """A member who has proved to be himself once, and has to do so in another way."""

    member: StaffMember
    how: How
    """What he has proved himself with."""
    target: str


def begin(kind: str, **kept: Any) -> None:
    session[f"staff_{kind}"] = {"at": int(now().timestamp()), **kept}


def begun(kind: str, lifetime: timedelta) -> dict[str, Any] | None:
    """What was kept, if it is not too old."""
    kept = session.get(f"staff_{kind}")
    if not isinstance(kept, dict):
        return None
    age = now() - datetime.fromtimestamp(kept["at"], UTC)
    return kept if age <= lifetime else None


def end(kind: str) -> None:
    session.pop(f"staff_{kind}", None)


def begin_second(member: StaffMember, how: How, target: str) -> None:
    begin("second", member=member.id, how=how, next=target, password=_mark(member))


def second() -> Second:
    """The member who is between the two. Raises `SignInOver`, also when he was switched off or his
    password was changed meanwhile."""
    kept = begun("second", SECOND_LIFETIME)
    if kept is None:
        raise SignInOver()
    with deployment().db.read() as tx:
        member = staff_by_id(tx, kept["member"])
    if member is None or member.disabled_at is not None or kept["password"] != _mark(member):
        raise SignInOver()
    return Second(member, How(kept["how"]), kept["next"])


def _mark(member: StaffMember) -> str:
    """What tells two passwords apart, and nothing about either."""
    key = deployment().keys.derive("staff-password-mark")
    return keyed_hash(key, member.password_hash or "")[:16]
