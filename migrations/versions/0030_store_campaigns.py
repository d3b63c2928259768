"""Campaigns of one store, and what the brand lets each store run."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0030"
down_revision = "0029"

JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    op.add_column("campaigns", sa.Column("store_id", sa.BigInteger(), nullable=True))
    op.create_index(op.f("ix_campaigns_store_id"), "campaigns", ["store_id"])
    op.create_table(
        "store_limits",
        sa.Column("store_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("templates", JSON, nullable=False),
        sa.Column("budget_max", sa.BigInteger(), nullable=False),
        sa.Column("days_max", sa.Integer(), nullable=False),
        sa.Column("running_max", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("store_id", name=op.f("pk_store_limits")),
    )
