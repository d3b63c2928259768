"""What customers are worth and how far they have come, segments of them, and campaigns for one."""

import sqlalchemy as sa
from alembic import op

from referral.db import JSONDocument, RowId

revision = "0024"
down_revision = "0023"

Time = sa.DateTime(timezone=True)


def upgrade() -> None:
    """The values are empty: the next hour's work fills them."""
    op.create_table(
        "customer_values",
        sa.Column("customer_id", RowId, autoincrement=False, nullable=False),
        sa.Column("stage", sa.String(length=10), nullable=False),
        sa.Column("quadrant", sa.String(length=10), nullable=False),
        sa.Column("purchases", sa.Integer(), nullable=False),
        sa.Column("first_at", Time, nullable=True),
        sa.Column("last_at", Time, nullable=True),
        sa.Column("scanned_at", Time, nullable=True),
        sa.Column("past", sa.BigInteger(), nullable=False),
        sa.Column("year", sa.BigInteger(), nullable=False),
        sa.Column("potential", sa.BigInteger(), nullable=False),
        sa.Column("own", sa.BigInteger(), nullable=False),
        sa.Column("brought", sa.Integer(), nullable=False),
        sa.Column("referral", sa.BigInteger(), nullable=False),
        sa.Column("at", Time, nullable=False),
        sa.ForeignKeyConstraint(
            ["customer_id"],
            ["customers.id"],
            name=op.f("fk_customer_values_customer_id_customers"),
        ),
        sa.PrimaryKeyConstraint("customer_id", name=op.f("pk_customer_values")),
    )
    op.create_index(
        op.f("ix_customer_values_own_customer_id"), "customer_values", ["own", "customer_id"]
    )
    op.create_index(
        op.f("ix_customer_values_quadrant_own_customer_id"),
        "customer_values",
        ["quadrant", "own", "customer_id"],
    )
    op.create_table(
        "value_measures",
        sa.Column("id", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("at", Time, nullable=False),
        sa.Column("whole_at", Time, nullable=False),
        sa.Column("measures", JSONDocument, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_value_measures")),
    )
    op.create_table(
        "segments",
        sa.Column("id", RowId, nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("conditions", JSONDocument, nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=True),
        sa.Column("counted_at", Time, nullable=True),
        sa.Column("by", sa.String(length=254), nullable=False),
        sa.Column("created_at", Time, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_segments")),
        sa.UniqueConstraint("name", name=op.f("uq_segments_name")),
    )
    op.add_column(
        "campaigns", sa.Column("audience", JSONDocument, nullable=False, server_default="{}")
    )
