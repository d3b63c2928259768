"""Pictures, and which one a campaign shows."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

Time = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "pictures",
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.Column("media_type", sa.String(length=20), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("created_at", Time, nullable=False),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_pictures")),
    )
    with op.batch_alter_table("campaigns") as table:
        table.add_column(sa.Column("picture", sa.String(length=64), nullable=True))
        table.create_foreign_key(
            op.f("fk_campaigns_picture_pictures"), "pictures", ["picture"], ["sha256"]
        )
