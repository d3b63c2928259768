"""Rules that would pay for what is no purchase: named, instead of an unknown word in a list."""

from typing import Annotated, Any

from pydantic import BeforeValidator

from referral.errors import N_, InvalidInput
from referral.rewards.rules import Rule

NO_PROOF = frozenset(
    {"share", "shared", "sharing", "forward", "repost", "post", "invite", "invitation", "open"}
    | {"opened", "opening", "view", "visit", "click", "scan", "seen", "engagement", "sign_up"}
    | {"signup", "sign_in", "signin", "login", "register", "registration", "join", "follow", "like"}
    | {"comment", "subscribe", "download", "install", "check_in", "checkin"}
)
"""What people send as an event that proves no purchase."""


class PaysForSharing(InvalidInput):
    """`details` have the number of the rule, from 0, and the event that was sent."""

    slug = "pays-for-sharing"
    title = N_("Only a purchase can be paid for.")
    advice = N_(
        "Chat platforms ban paid sharing, and pay by the head is pyramid selling. Let the rule "
        "answer to a claim or an order: a friend's first purchase pays whoever brought the friend."
    )

    def __init__(self, number: int, when: str) -> None:
        super().__init__(
            f"Rule {number + 1} would pay for “{when}”, which proves no purchase. {self.advice}",
            rule=number,
            when=when,
            why=self.title,
            change=self.advice,
        )


def _refuse(sent: Any) -> Any:
    """Look at rules as they were sent, before they are checked. Raises `PaysForSharing`."""
    for number, rule in enumerate(sent if isinstance(sent, list) else ()):
        when = rule.get("when") if isinstance(rule, dict) else None
        if isinstance(when, str) and when.strip().lower().replace("-", "_") in NO_PROOF:
            raise PaysForSharing(number, when[:40])
    return sent


Rules = Annotated[list[Rule], BeforeValidator(_refuse)]
"""Rules as they are sent. Raises `PaysForSharing` where one answers to what proves no purchase."""
