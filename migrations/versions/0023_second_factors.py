"""What staff sign in with beside a password: codes of an app, recovery codes, passkeys, and an
account at the brand's own provider; and what was used up on the way in."""

import sqlalchemy as sa
from alembic import op

from referral.db import JSONDocument, RowId

revision = "0023"
down_revision = "0022"

Time = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "staff_totp",
        sa.Column("staff_id", RowId, autoincrement=False, nullable=False),
        sa.Column("secret_encrypted", sa.Text(), nullable=False),
        sa.Column("last_step", sa.BigInteger(), nullable=False),
        sa.Column("added_at", Time, nullable=False),
        of_staff("staff_totp"),
        sa.PrimaryKeyConstraint("staff_id", name=op.f("pk_staff_totp")),
    )
    op.create_table(
        "staff_recovery_codes",
        sa.Column("staff_id", RowId, nullable=False),
        sa.Column("code_hash", sa.String(length=64), nullable=False),
        sa.Column("made_at", Time, nullable=False),
        sa.Column("used_at", Time, nullable=True),
        of_staff("staff_recovery_codes"),
        sa.PrimaryKeyConstraint("staff_id", "code_hash", name=op.f("pk_staff_recovery_codes")),
    )
    op.create_table(
        "staff_passkeys",
        sa.Column("id", RowId, nullable=False),
        sa.Column("staff_id", RowId, nullable=False),
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.Column("credential_id", sa.String(length=1400), nullable=False),
        sa.Column("user_handle", sa.String(length=64), nullable=False),
        sa.Column("public_key", sa.LargeBinary(), nullable=False),
        sa.Column("sign_count", sa.BigInteger(), nullable=False),
        sa.Column("transports", JSONDocument, nullable=False),
        sa.Column("added_at", Time, nullable=False),
        sa.Column("used_at", Time, nullable=True),
        of_staff("staff_passkeys"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_staff_passkeys")),
        sa.UniqueConstraint("credential_id", name=op.f("uq_staff_passkeys_credential_id")),
    )
    op.create_index(op.f("ix_staff_passkeys_staff_id"), "staff_passkeys", ["staff_id"])
    op.create_table(
        "staff_subjects",
        sa.Column("issuer", sa.String(length=255), nullable=False),
        sa.Column("subject", sa.String(length=255), nullable=False),
        sa.Column("staff_id", RowId, nullable=False),
        sa.Column("bound_at", Time, nullable=False),
        of_staff("staff_subjects"),
        sa.PrimaryKeyConstraint("issuer", "subject", name=op.f("pk_staff_subjects")),
        sa.UniqueConstraint("staff_id", "issuer", name=op.f("uq_staff_subjects_staff_id_issuer")),
    )
    op.create_table(
        "staff_spent",
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("expires_at", Time, nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_staff_spent")),
    )
    op.create_index(op.f("ix_staff_spent_expires_at"), "staff_spent", ["expires_at"])


def of_staff(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["staff_id"], ["staff.id"], name=op.f(f"fk_{table}_staff_id_staff")
    )
