"""What stores come to by the day, and who their posters' links belong to."""

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"


def upgrade() -> None:
    op.create_table(
        "store_scans",
        sa.Column("store_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("day", sa.DateTime(timezone=True), nullable=False),
        sa.Column("slot", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("store_id", "day", "slot", name=op.f("pk_store_scans")),
    )
    op.create_table(
        "claim_store_days",
        sa.Column("store_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("day", sa.DateTime(timezone=True), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("store_id", "day", name=op.f("pk_claim_store_days")),
    )
    dialect = op.get_bind().dialect.name
    op.execute(_SCANS.format(day=_DAY[dialect].format("hour")))
    op.execute(_CLAIMS.format(day=_DAY[dialect].format("claims.at")))
    op.add_column("stores", sa.Column("visitor_id", sa.BigInteger(), nullable=True))
    op.create_index(op.f("ix_stores_visitor_id"), "stores", ["visitor_id"], unique=True)
    op.drop_index(op.f("ix_vouchers_store_id"), "vouchers")
    op.create_index(
        op.f("ix_vouchers_store_id_accepted_at"), "vouchers", ["store_id", "accepted_at"]
    )


_DAY = {
    "sqlite": "strftime('%Y-%m-%d 00:00:00.000000', {})",
    "postgresql": "date_trunc('day', {}, 'UTC')",
}
_SCANS = """
    INSERT INTO store_scans (store_id, day, slot, count)
    SELECT store_id, {day}, slot, sum(count) FROM visit_counts
    WHERE store_id <> 0 AND kind = 'scan' GROUP BY 1, 2, 3
"""
_CLAIMS = """
    INSERT INTO claim_store_days (store_id, day, count)
    SELECT code_ranges.store_id, {day}, count(*) FROM claims
    JOIN code_ranges ON code_ranges.batch_id = claims.batch_id
        AND code_ranges.start <= claims."index" AND code_ranges."end" > claims."index"
    WHERE code_ranges.store_id IS NOT NULL
        AND claims.at < (SELECT until FROM tallied WHERE what = 1)
    GROUP BY 1, 2
"""
