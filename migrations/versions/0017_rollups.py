"""Visits counted by the hour, the store of a scan, and events that could not be stored."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"

RowId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("visits", sa.Column("store_id", sa.BigInteger(), nullable=True))
    op.create_table(
        "visit_counts",
        sa.Column("campaign_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("batch_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("hour", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("label", sa.String(length=5), nullable=False),
        sa.Column("channel", sa.String(length=12), nullable=False),
        sa.Column("store_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("region", sa.String(length=6), nullable=False),
        sa.Column("slot", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "campaign_id",
            "batch_id",
            "hour",
            "kind",
            "label",
            "channel",
            "store_id",
            "region",
            "slot",
            name=op.f("pk_visit_counts"),
        ),
    )
    op.create_index(op.f("ix_visit_counts_batch_id_hour"), "visit_counts", ["batch_id", "hour"])
    op.execute(_COUNTED.format(hour=_HOUR[op.get_bind().dialect.name]))
    op.create_table(
        "parked_events",
        sa.Column("id", RowId, nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("replayed_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_parked_events")),
    )
    op.create_index(op.f("ix_parked_events_replayed_at"), "parked_events", ["replayed_at"])


_HOUR = {
    "sqlite": "strftime('%Y-%m-%d %H:00:00.000000', at)",
    "postgresql": "date_trunc('hour', at, 'UTC')",
}
_COUNTED = """
    INSERT INTO visit_counts
        (campaign_id, batch_id, hour, kind, label, channel, store_id, region, slot, count)
    SELECT coalesce(campaign_id, 0), coalesce(batch_id, 0), {hour}, kind, coalesce(label, ''),
        channel, 0, coalesce(region, ''), 0, count(*)
    FROM visits
    GROUP BY 1, 2, 3, 4, 5, 6, 8
"""
