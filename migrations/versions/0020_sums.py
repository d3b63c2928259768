"""Sums of hourly counts, who shared first when, tallies of purchases, and rates that are kept."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0020"
down_revision = "0019"

JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    op.create_table(
        "campaign_visits",
        sa.Column("campaign_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("slot", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("campaign_id", "kind", "slot", name=op.f("pk_campaign_visits")),
    )
    op.create_table(
        "batch_scans",
        sa.Column("batch_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("hour", sa.DateTime(timezone=True), nullable=False),
        sa.Column("label", sa.String(length=5), nullable=False),
        sa.Column("slot", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("batch_id", "hour", "label", "slot", name=op.f("pk_batch_scans")),
    )
    op.create_table(
        "batch_regions",
        sa.Column("batch_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("day", sa.DateTime(timezone=True), nullable=False),
        sa.Column("label", sa.String(length=5), nullable=False),
        sa.Column("region", sa.String(length=6), nullable=False),
        sa.Column("slot", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "batch_id", "day", "label", "region", "slot", name=op.f("pk_batch_regions")
        ),
    )
    op.create_table(
        "sharers",
        sa.Column("campaign_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("visitor_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("campaign_id", "visitor_id", name=op.f("pk_sharers")),
    )
    op.execute(_CAMPAIGNS)
    op.execute(_SCANS)
    op.execute(_REGIONS.format(day=_DAY[op.get_bind().dialect.name]))
    op.execute(_SHARERS)
    op.create_index(op.f("ix_sharers_campaign_id_at"), "sharers", ["campaign_id", "at"])
    tallies()
    op.create_table(
        "kept_rates",
        sa.Column("campaign_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("rates", JSON, nullable=False),
        sa.PrimaryKeyConstraint("campaign_id", name=op.f("pk_kept_rates")),
    )


def tallies() -> None:
    """Empty: the next hour's work fills them."""
    op.create_table(
        "claim_days",
        sa.Column("batch_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("day", sa.DateTime(timezone=True), nullable=False),
        sa.Column("campaign_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("batch_id", "day", "campaign_id", name=op.f("pk_claim_days")),
    )
    op.create_index(op.f("ix_claim_days_campaign_id"), "claim_days", ["campaign_id"])
    op.create_table(
        "claim_hours",
        sa.Column("batch_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("hour", sa.DateTime(timezone=True), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("batch_id", "hour", name=op.f("pk_claim_hours")),
    )
    op.create_table(
        "claim_region_days",
        sa.Column("batch_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("day", sa.DateTime(timezone=True), nullable=False),
        sa.Column("region", sa.String(length=6), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("batch_id", "day", "region", name=op.f("pk_claim_region_days")),
    )
    op.create_table(
        "newcomer_days",
        sa.Column("campaign_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("day", sa.DateTime(timezone=True), nullable=False),
        sa.Column("is_referred", sa.Boolean(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("campaign_id", "day", "is_referred", name=op.f("pk_newcomer_days")),
    )
    op.create_table(
        "tallied",
        sa.Column("what", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("what", name=op.f("pk_tallied")),
    )
    op.create_table(
        "seen_hours",
        sa.Column("batch_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("hour", sa.DateTime(timezone=True), nullable=False),
        sa.Column("label", sa.String(length=5), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("batch_id", "hour", "label", name=op.f("pk_seen_hours")),
    )
    op.create_table(
        "seen_days",
        sa.Column("batch_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("day", sa.DateTime(timezone=True), nullable=False),
        sa.Column("label", sa.String(length=5), nullable=False),
        sa.Column("region", sa.String(length=6), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("batch_id", "day", "label", "region", name=op.f("pk_seen_days")),
    )
    for table in ("claims", "referrals"):
        op.drop_index(op.f(f"ix_{table}_campaign_id"), table)
        op.create_index(op.f(f"ix_{table}_campaign_id_at"), table, ["campaign_id", "at"])
    uncleared = sa.text("state = 'available' AND NOT is_cleared")
    op.create_index(
        "ix_rewards_uncleared",
        "rewards",
        ["id"],
        sqlite_where=uncleared,
        postgresql_where=uncleared,
    )
    op.drop_index(op.f("ix_rewards_holder_id"), "rewards")
    op.create_index(op.f("ix_rewards_holder_id_id"), "rewards", ["holder_id", "id"])
    op.drop_index(op.f("ix_postings_account_id"), "postings")
    op.create_index(op.f("ix_postings_account_id_entry_id"), "postings", ["account_id", "entry_id"])


_DAY = {
    "sqlite": "strftime('%Y-%m-%d 00:00:00.000000', hour)",
    "postgresql": "date_trunc('day', hour, 'UTC')",
}
_CAMPAIGNS = """
    INSERT INTO campaign_visits (campaign_id, kind, slot, count)
    SELECT campaign_id, kind, slot, sum(count) FROM visit_counts
    WHERE campaign_id <> 0 GROUP BY 1, 2, 3
"""
_SCANS = """
    INSERT INTO batch_scans (batch_id, hour, label, slot, count)
    SELECT batch_id, hour, label, slot, sum(count) FROM visit_counts
    WHERE batch_id <> 0 AND kind = 'scan' GROUP BY 1, 2, 3, 4
"""
_REGIONS = """
    INSERT INTO batch_regions (batch_id, day, label, region, slot, count)
    SELECT batch_id, {day}, label, region, slot, sum(count) FROM visit_counts
    WHERE batch_id <> 0 AND kind = 'scan' GROUP BY 1, 2, 3, 4, 5
"""
_SHARERS = """
    INSERT INTO sharers (campaign_id, visitor_id, at)
    SELECT campaign_id, visitor_id, min(at) FROM visits
    WHERE kind = 'share' AND campaign_id IS NOT NULL AND visitor_id IS NOT NULL GROUP BY 1, 2
"""
