"""Whose link a visitor opened last, and which touch a campaign credits."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

Time = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column(
        "campaigns",
        sa.Column("touch", sa.String(length=5), nullable=False, server_default="first"),
    )
    op.add_column("spread_nodes", sa.Column("last_by", sa.BigInteger(), nullable=True))
    op.add_column("spread_nodes", sa.Column("last_at", Time, nullable=True))
    # What was kept so far is the first opening; no later one is known.
    op.execute(
        "UPDATE spread_nodes SET last_by = touched_by, last_at = at WHERE touched_by IS NOT NULL"
    )
