"""What happened in a campaign day by day, and what a new customer costs in advertising."""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"


def upgrade() -> None:
    """Empty: the next hour's work fills it."""
    op.create_table(
        "campaign_days",
        sa.Column("campaign_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("part", sa.String(length=8), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("step", sa.String(length=12), nullable=False),
        sa.Column("value", sa.String(length=60), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "campaign_id", "part", "day", "step", "value", name=op.f("pk_campaign_days")
        ),
    )
    op.create_index(
        op.f("ix_visit_counts_campaign_id_hour"), "visit_counts", ["campaign_id", "hour"]
    )
    op.add_column("campaigns", sa.Column("advertising_cost", sa.BigInteger(), nullable=True))
