"""What a landing page shows, and where a link may lead."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"

JSONDocument = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    with op.batch_alter_table("campaigns") as table:
        table.add_column(
            sa.Column("more_pictures", JSONDocument, nullable=False, server_default="[]")
        )
        table.add_column(sa.Column("video_url", sa.String(length=500), nullable=True))
        table.add_column(
            sa.Column("landing", sa.String(length=8), nullable=False, server_default="page")
        )
        table.create_check_constraint(
            op.f("ck_campaigns_redirect_has_address"),
            "landing = 'page' OR (landing = 'redirect' AND buy_url IS NOT NULL)",
        )
