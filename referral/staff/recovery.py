"""Recovery codes: the way in for who has lost the phone. Ten of them, each good once.

They are shown when they are made and kept as keyed hashes only.
"""

import secrets
import unicodedata
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from referral.crypto import KeyRing
from referral.db import Base, insert_new
from referral.errors import N_, Problem

CODES = 10
LENGTH = 12
GROUP = 4
LETTERS = "23456789abcdefghjkmnpqrstvwxyz"
"""None that is mistaken for another one; twelve of them are 58 bits."""


class RecoveryCode(Base):
    __tablename__ = "staff_recovery_codes"

    staff_id: Mapped[int] = mapped_column(sa.ForeignKey("staff.id"), primary_key=True)
    code_hash: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    made_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class WrongRecoveryCode(Problem):
    slug = "wrong-recovery-code"
    status = 403
    title = N_("This recovery code is not right, or was used before.")
    advice = N_("Each of them is good once. Please try another one.")


def make(tx: Session, keys: KeyRing, staff_id: int, now: datetime) -> list[str]:
    """New codes in the place of those before."""
    remove(tx, staff_id)
    codes = ["".join(secrets.choice(LETTERS) for _ in range(LENGTH)) for _ in range(CODES)]
    rows = [
        {"staff_id": staff_id, "code_hash": _hashes(keys, staff_id, code)[0], "made_at": now}
        for code in codes
    ]
    insert_new(tx, RecoveryCode, rows)
    return ["-".join(code[at : at + GROUP] for at in range(0, LENGTH, GROUP)) for code in codes]


def use(tx: Session, keys: KeyRing, staff_id: int, code: str, now: datetime) -> None:
    """Accept a code, once. Raises `WrongRecoveryCode`."""
    plain = unicodedata.normalize("NFKC", code).lower()
    plain = "".join(letter for letter in plain if letter.isalnum())
    unused = sa.update(RecoveryCode).where(
        RecoveryCode.staff_id == staff_id,
        RecoveryCode.code_hash.in_(_hashes(keys, staff_id, plain)),
        RecoveryCode.used_at.is_(None),
    )
    if tx.connection().execute(unused.values(used_at=now)).rowcount != 1:
        raise WrongRecoveryCode()


def remove(tx: Session, staff_id: int) -> None:
    tx.connection().execute(sa.delete(RecoveryCode).where(RecoveryCode.staff_id == staff_id))


def _hashes(keys: KeyRing, staff_id: int, code: str) -> list[str]:
    return keys.blind_indexes("staff-recovery", f"{staff_id}|{code}")
