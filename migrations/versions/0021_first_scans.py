"""Who scanned a code first, as noted when its page was sent."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    op.add_column("seen_codes", sa.Column("first_visitor_id", sa.BigInteger(), nullable=True))
