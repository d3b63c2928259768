"""First sharers are listed from behind one of them: the index says who is next among equals."""

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0030"

ARE_TOPS = sa.text("parent IS NULL AND direct > 0")


def upgrade() -> None:
    op.drop_index("ix_graph_counts_tops", table_name="graph_counts")
    op.create_index(
        "ix_graph_counts_tops",
        "graph_counts",
        ["forest", "direct", "node"],
        sqlite_where=ARE_TOPS,
        postgresql_where=ARE_TOPS,
    )
