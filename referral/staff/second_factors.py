"""What a member has to prove himself with beside a password."""

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import InstrumentedAttribute, Session

from referral.errors import N_, Conflict, Problem
from referral.staff import passkeys, recovery, totp
from referral.staff.passkeys import Passkey
from referral.staff.recovery import RecoveryCode
from referral.staff.totp import Totp


class SecondFactorNeeded(Problem):
    slug = "second-factor-needed"
    status = 409
    title = N_("Your role needs a second factor, and this is the only one.")
    advice = N_("Please add another one before you remove it.")


class SecondFactorThere(Conflict):
    slug = "second-factor-there"
    title = N_("Your account has a second factor already.")
    advice = N_("Please sign in with it.")


@dataclass(frozen=True)
class SecondFactors:
    has_totp: bool
    passkeys: int
    recovery_codes: int
    """How many are left."""

    @property
    def are_any(self) -> bool:
        """Whether a password alone is not enough. Recovery codes are no factor by themselves."""
        return self.has_totp or self.passkeys > 0


def of_members(tx: Session, staff_ids: Sequence[int]) -> dict[int, SecondFactors]:
    """By the members' numbers; whoever is missing has none."""
    has_totp = set(tx.scalars(sa.select(Totp.staff_id).where(Totp.staff_id.in_(staff_ids))))
    keys = _counted(tx, Passkey.staff_id, Passkey.staff_id.in_(staff_ids))
    left = _counted(
        tx,
        RecoveryCode.staff_id,
        RecoveryCode.staff_id.in_(staff_ids),
        RecoveryCode.used_at.is_(None),
    )
    return {
        each: SecondFactors(each in has_totp, keys.get(each, 0), left.get(each, 0))
        for each in staff_ids
    }


def of_member(tx: Session, staff_id: int) -> SecondFactors:
    return of_members(tx, [staff_id])[staff_id]


def remove_all(tx: Session, staff_id: int) -> None:
    """Leave a member with a password alone."""
    totp.remove(tx, staff_id)
    passkeys.remove_all(tx, staff_id)
    recovery.remove(tx, staff_id)


def _counted(
    tx: Session, by: InstrumentedAttribute[int], *where: sa.ColumnElement[bool]
) -> dict[int, int]:
    rows = tx.execute(sa.select(by, sa.func.count()).where(*where).group_by(by)).all()
    return {row[0]: row[1] for row in rows}
