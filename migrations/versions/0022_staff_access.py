"""Staff of one store; sessions that can be ended, invitations, and seals of the audit log."""

import sqlalchemy as sa
from alembic import op

from referral.db import RowId

revision = "0022"
down_revision = "0021"

Time = sa.DateTime(timezone=True)
SEARCHED = ("by", "action")
"""What the audit log is searched by, each with the newest first; by subject and time it was
before."""


def upgrade() -> None:
    with op.batch_alter_table("staff") as table:
        table.alter_column("role", existing_type=sa.String(length=12), type_=sa.String(length=20))
        table.alter_column("password_hash", existing_type=sa.String(length=200), nullable=True)
        table.add_column(sa.Column("name", sa.String(length=80), nullable=False, server_default=""))
        table.add_column(sa.Column("store_id", RowId, nullable=True))
        table.add_column(sa.Column("disabled_at", Time, nullable=True))
        table.create_foreign_key(op.f("fk_staff_store_id_stores"), "stores", ["store_id"], ["id"])
    with op.batch_alter_table("staff") as table:
        table.alter_column("name", existing_type=sa.String(length=80), server_default=None)
    op.create_table(
        "staff_sessions",
        sa.Column("id", RowId, nullable=False),
        sa.Column("staff_id", RowId, nullable=False),
        sa.Column("secret_hash", sa.String(length=64), nullable=False),
        sa.Column("how", sa.String(length=20), nullable=False),
        sa.Column("browser", sa.String(length=60), nullable=False),
        sa.Column("block", sa.String(length=45), nullable=False),
        sa.Column("begun_at", Time, nullable=False),
        sa.Column("used_at", Time, nullable=False),
        sa.Column("ends_at", Time, nullable=False),
        sa.Column("ended_at", Time, nullable=True),
        sa.Column("why", sa.String(length=20), nullable=True),
        sa.ForeignKeyConstraint(
            ["staff_id"], ["staff.id"], name=op.f("fk_staff_sessions_staff_id_staff")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_staff_sessions")),
        sa.UniqueConstraint("secret_hash", name=op.f("uq_staff_sessions_secret_hash")),
    )
    for column in ("staff_id", "ends_at"):
        op.create_index(op.f(f"ix_staff_sessions_{column}"), "staff_sessions", [column])
    op.create_table(
        "staff_invitations",
        sa.Column("id", RowId, nullable=False),
        sa.Column("staff_id", RowId, nullable=False),
        sa.Column("secret_hash", sa.String(length=64), nullable=False),
        sa.Column("by", sa.String(length=254), nullable=False),
        sa.Column("made_at", Time, nullable=False),
        sa.Column("ends_at", Time, nullable=False),
        sa.Column("used_at", Time, nullable=True),
        sa.ForeignKeyConstraint(
            ["staff_id"], ["staff.id"], name=op.f("fk_staff_invitations_staff_id_staff")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_staff_invitations")),
        sa.UniqueConstraint("secret_hash", name=op.f("uq_staff_invitations_secret_hash")),
    )
    op.create_index(op.f("ix_staff_invitations_staff_id"), "staff_invitations", ["staff_id"])
    for column in SEARCHED:
        op.create_index(op.f(f"ix_audit_entries_{column}"), "audit_entries", [column])
    op.create_table(
        "audit_seals",
        sa.Column("entry_id", RowId, autoincrement=False, nullable=False),
        sa.Column("row", sa.LargeBinary(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["entry_id"],
            ["audit_entries.id"],
            name=op.f("fk_audit_seals_entry_id_audit_entries"),
        ),
        sa.PrimaryKeyConstraint("entry_id", name=op.f("pk_audit_seals")),
    )
    make_append_only("audit_seals")


def make_append_only(table: str) -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION refuse_change()"
        )
        op.execute(
            f"CREATE TRIGGER not_truncated BEFORE TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
        return
    for change in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER {table}_append_only_{change.lower()} BEFORE {change} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        )
