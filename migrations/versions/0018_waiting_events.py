"""Events that wait in the database until a worker stores them."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"

RowId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "waiting_events",
        sa.Column("id", RowId, nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tries", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("tried_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_waiting_events")),
    )
    failed = sa.text("tries > 0")
    op.create_index(
        "ix_waiting_events_failed",
        "waiting_events",
        ["tried_at"],
        sqlite_where=failed,
        postgresql_where=failed,
    )
