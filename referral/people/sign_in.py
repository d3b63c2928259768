"""One-time codes: sent to a phone or an e-mail address, good once and in one browser."""

import hmac
import secrets
import unicodedata
from datetime import datetime, timedelta
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from referral.crypto import KeyRing, keyed_hash
from referral.db import Base, RowId, insert_new, lock, run
from referral.errors import N_, Problem
from referral.people.contacts import Contact

CODE_DIGITS = 6
CODE_TRIES_MAX = 5
CODE_LIFETIME = timedelta(minutes=10)


class SignInCode(Base):
    """A one-time code on its way to a phone or e-mail. Only its keyed hash is kept."""

    __tablename__ = "sign_in_codes"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    kind: Mapped[str] = mapped_column(sa.String(12))
    blind_index: Mapped[str] = mapped_column(sa.String(64), index=True)
    visitor_id: Mapped[int] = mapped_column(sa.BigInteger)
    """The browser that asked for it: a code is good there only, so nobody can spend another's."""
    code_hash: Mapped[str] = mapped_column(sa.String(64))
    tries: Mapped[int] = mapped_column(sa.Integer, default=0)
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class WrongSignInCode(Problem):
    slug = "wrong-sign-in-code"
    status = 403
    title = N_("This code is not right.")
    advice = N_("Please compare it with the message, or have a new one sent.")


class SignInCodeSpent(Problem):
    slug = "sign-in-code-spent"
    status = 403
    title = N_("This code can no longer be used.")
    advice = N_("Please have a new one sent.")


def new_sign_in_code() -> str:
    return f"{secrets.randbelow(10**CODE_DIGITS):0{CODE_DIGITS}}"


_DROP_CODES = (
    sa.delete(SignInCode)
    .where(SignInCode.kind == sa.bindparam("of_kind"))
    .where(SignInCode.blind_index.in_(sa.bindparam("indexes", expanding=True)))
    .where(
        sa.or_(
            SignInCode.visitor_id == sa.bindparam("visitor"),
            SignInCode.expires_at <= sa.bindparam("now"),
        )
    )
)
# One statement counts and reads, so two tries at once are two tries.
_TRY_CODE = (
    sa.update(SignInCode)
    .where(SignInCode.kind == sa.bindparam("of_kind"))
    .where(SignInCode.blind_index.in_(sa.bindparam("indexes", expanding=True)))
    .where(SignInCode.visitor_id == sa.bindparam("visitor"))
    .where(SignInCode.used_at.is_(None), SignInCode.expires_at > sa.bindparam("now"))
    .where(SignInCode.tries < CODE_TRIES_MAX)
    .values(tries=SignInCode.tries + 1)
    .returning(SignInCode.id, SignInCode.code_hash)
)
_USE_CODE = (
    sa.update(SignInCode)
    .where(SignInCode.id == sa.bindparam("code"))
    .values(used_at=sa.bindparam("now"))
)


def issue_sign_in_code(
    tx: Session,
    keys: KeyRing,
    contact: Contact,
    code: str,
    visitor_id: int,
    now: datetime,
    owner: int | None = None,
) -> None:
    """Store a one-time code; those this browser had sent to this contact before stop working.

    With `owner` it is good for adding the contact to this customer, and for nothing else.
    """
    indexes = keys.blind_indexes(contact.kind, contact.value)
    lock(tx, f"sign-in-code|{indexes[-1]}")  # two at once would leave two codes
    run(tx, _DROP_CODES, of_kind=contact.kind, indexes=indexes, visitor=visitor_id, now=now)
    row = {
        "kind": contact.kind,
        "blind_index": indexes[0],
        "visitor_id": visitor_id,
        "code_hash": _code_hash(keys.derive("sign-in-code"), contact, code, owner),
        "tries": 0,
        "expires_at": now + CODE_LIFETIME,
        "used_at": None,
    }
    insert_new(tx, SignInCode, row)


def sweep_sign_in_codes(tx: Session, now: datetime) -> int:
    """Drop one-time codes that are used or too old. Returns how many."""
    spent = sa.or_(SignInCode.used_at.is_not(None), SignInCode.expires_at <= now)
    return tx.connection().execute(sa.delete(SignInCode).where(spent)).rowcount


class CodeCheck(StrEnum):
    right = "right"
    wrong = "wrong"
    spent = "spent"


def check_sign_in_code(
    tx: Session,
    keys: KeyRing,
    contact: Contact,
    code: str,
    visitor_id: int,
    now: datetime,
    owner: int | None = None,
) -> CodeCheck:
    """Compare the one-time code this browser asked for, counting the try; a right one is used up.

    `owner` is the customer it was asked for to add the contact to, if it was.

    The answer is returned rather than raised, because a wrong try has to be committed to count.
    """
    indexes = keys.blind_indexes(contact.kind, contact.value)
    row = run(
        tx, _TRY_CODE, of_kind=contact.kind, indexes=indexes, visitor=visitor_id, now=now
    ).one_or_none()
    if row is None:
        return CodeCheck.spent
    hashes = [_code_hash(key, contact, code, owner) for key in keys.derive_all("sign-in-code")]
    if not any(hmac.compare_digest(row.code_hash, candidate) for candidate in hashes):
        return CodeCheck.wrong
    run(tx, _USE_CODE, code=row.id, now=now)
    return CodeCheck.right


def _code_hash(key: bytes, contact: Contact, code: str, owner: int | None) -> str:
    # A slow hash would not help six digits; the key, which is not in the database, does.
    digits = "".join(c for c in unicodedata.normalize("NFKC", code) if c.isdigit())
    purpose = "" if owner is None else f"|{owner}"
    return keyed_hash(key, f"{contact.kind}|{contact.value}|{digits}{purpose}")
