"""Keys of the API: what other systems sign in with."""

import hashlib
import hmac
import secrets
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from referral.db import Base, RowId, insert_new

API_KEY_PREFIX = "rk_"


class ApiKey(Base):
    """A key of the API. Only its SHA-256 is kept: it is random, so a fast hash will do."""

    __tablename__ = "api_keys"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(80))
    key_hash: Mapped[str] = mapped_column(sa.String(64), unique=True)
    created_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]


def new_api_key() -> str:
    return API_KEY_PREFIX + secrets.token_urlsafe(32)


def add_api_key(tx: Session, *, name: str, key: str, now: datetime) -> None:
    insert_new(tx, ApiKey, {"name": name, "key_hash": _key_hash(key), "created_at": now})


def api_key_id(tx: Session, key: str) -> int | None:
    """The id of a key that is in force."""
    wanted = _key_hash(key)
    row = tx.execute(
        sa.select(ApiKey.id, ApiKey.key_hash).where(
            ApiKey.key_hash == wanted, ApiKey.revoked_at.is_(None)
        )
    ).one_or_none()
    return row.id if row is not None and hmac.compare_digest(row.key_hash, wanted) else None


def has_api_key_named(tx: Session, name: str) -> bool:
    """Whether a key of this name was ever made."""
    return tx.scalar(sa.select(sa.exists().where(ApiKey.name == name))) or False


def _key_hash(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
