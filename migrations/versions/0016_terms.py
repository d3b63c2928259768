"""Where a campaign runs, the permit for its draws, and what its coupons and items are worth."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0016"
down_revision = "0015"

JSONDocument = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    # What was published so far is of no market in particular, and paid points only.
    op.add_column(
        "campaigns",
        sa.Column("market", sa.String(length=8), nullable=False, server_default="default"),
    )
    op.add_column(
        "campaigns",
        sa.Column("permit", sa.String(length=80), nullable=False, server_default=""),
    )
    op.add_column(
        "campaigns", sa.Column("worth", JSONDocument, nullable=False, server_default="{}")
    )
