"""The ticket that pages are signed with at WeChat, one for all processes."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

Time = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "wechat_tickets",
        sa.Column("app_id", sa.String(length=128), nullable=False),
        sa.Column("ticket_encrypted", sa.Text(), nullable=True),
        sa.Column("good_until", Time, nullable=False),
        sa.Column("ask_from", Time, nullable=False),
        sa.Column("is_asking", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("app_id", name=op.f("pk_wechat_tickets")),
    )
