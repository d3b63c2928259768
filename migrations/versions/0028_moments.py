"""Ratings, complaints and moments."""

import sqlalchemy as sa
from alembic import op

from referral.db import RowId

revision = "0028"
down_revision = "0027"

Time = sa.DateTime(timezone=True)
COMMENTED = sa.text("commented_at IS NOT NULL")


def upgrade() -> None:
    _ratings()
    _complaints()
    _moments()


def _ratings() -> None:
    op.create_table(
        "ratings",
        sa.Column("claim_id", RowId, autoincrement=False, nullable=False),
        sa.Column("product_id", RowId, nullable=False),
        sa.Column("batch_id", RowId, nullable=False),
        sa.Column("score", sa.SmallInteger(), nullable=False),
        sa.Column("comment_encrypted", sa.Text(), nullable=True),
        sa.Column("commented_at", Time, nullable=True),
        sa.Column("at", Time, nullable=False),
        sa.Column("changed_at", Time, nullable=False),
        sa.CheckConstraint("score BETWEEN 1 AND 5", name=op.f("ck_ratings_score_range")),
        sa.CheckConstraint(
            "(comment_encrypted IS NULL) = (commented_at IS NULL)",
            name=op.f("ck_ratings_comment_has_a_time"),
        ),
        sa.ForeignKeyConstraint(["claim_id"], ["claims.id"], op.f("fk_ratings_claim_id_claims")),
        sa.ForeignKeyConstraint(
            ["product_id"], ["products.id"], op.f("fk_ratings_product_id_products")
        ),
        sa.ForeignKeyConstraint(["batch_id"], ["batches.id"], op.f("fk_ratings_batch_id_batches")),
        sa.PrimaryKeyConstraint("claim_id", name=op.f("pk_ratings")),
    )
    for name, columns in (("", []), ("_of_product", ["product_id"]), ("_of_batch", ["batch_id"])):
        op.create_index(
            f"ix_ratings_comments{name}",
            "ratings",
            [*columns, "commented_at", "claim_id"],
            sqlite_where=COMMENTED,
            postgresql_where=COMMENTED,
        )
    op.create_table(
        "rating_counts",
        sa.Column("product_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("batch_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("score", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("product_id", "batch_id", "score", name=op.f("pk_rating_counts")),
    )
    op.create_index(op.f("ix_rating_counts_batch_id"), "rating_counts", ["batch_id"])


def _complaints() -> None:
    op.create_table(
        "complaints",
        sa.Column("id", RowId, nullable=False),
        sa.Column("key", sa.String(length=32), nullable=False),
        sa.Column("customer_id", RowId, nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("owner_id", RowId, nullable=True),
        sa.Column("product_id", RowId, nullable=True),
        sa.Column("batch_id", RowId, nullable=True),
        sa.Column("code_index", sa.BigInteger(), nullable=True),
        sa.Column("may_reply", sa.Boolean(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("opened_at", Time, nullable=False),
        sa.Column("changed_at", Time, nullable=False),
        sa.CheckConstraint(
            "kind IN ('damaged', 'taste', 'not_genuine', 'delivery', 'other')",
            name=op.f("ck_complaints_known_kind"),
        ),
        sa.CheckConstraint(
            "state IN ('open', 'waiting', 'answered', 'closed')",
            name=op.f("ck_complaints_known_state"),
        ),
        sa.CheckConstraint(
            "(batch_id IS NULL) = (code_index IS NULL)",
            name=op.f("ck_complaints_package_is_batch_and_index"),
        ),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["customers.id"], op.f("fk_complaints_customer_id_customers")
        ),
        sa.ForeignKeyConstraint(["owner_id"], ["staff.id"], op.f("fk_complaints_owner_id_staff")),
        sa.ForeignKeyConstraint(
            ["product_id"], ["products.id"], op.f("fk_complaints_product_id_products")
        ),
        sa.ForeignKeyConstraint(
            ["batch_id"], ["batches.id"], op.f("fk_complaints_batch_id_batches")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_complaints")),
        sa.UniqueConstraint("customer_id", "key", name=op.f("uq_complaints_customer_id_key")),
    )
    for name, columns in (
        ("of_customer", ["customer_id", "id"]),
        ("in_state", ["state", "id"]),
        ("of_owner", ["owner_id", "state", "id"]),
        ("of_product", ["product_id", "id"]),
        ("of_batch", ["batch_id", "id"]),
    ):
        op.create_index(f"ix_complaints_{name}", "complaints", columns)
    op.create_table(
        "complaint_messages",
        sa.Column("id", RowId, nullable=False),
        sa.Column("complaint_id", RowId, nullable=False),
        sa.Column("staff_id", RowId, nullable=True),
        sa.Column("text_encrypted", sa.Text(), nullable=False),
        sa.Column("at", Time, nullable=False),
        sa.ForeignKeyConstraint(
            ["complaint_id"],
            ["complaints.id"],
            op.f("fk_complaint_messages_complaint_id_complaints"),
        ),
        sa.ForeignKeyConstraint(
            ["staff_id"], ["staff.id"], op.f("fk_complaint_messages_staff_id_staff")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_complaint_messages")),
    )
    op.create_index(
        op.f("ix_complaint_messages_complaint_id"), "complaint_messages", ["complaint_id"]
    )
    op.create_table(
        "complaint_pictures",
        sa.Column("complaint_id", RowId, autoincrement=False, nullable=False),
        sa.Column("data_encrypted", sa.Text(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["complaint_id"],
            ["complaints.id"],
            op.f("fk_complaint_pictures_complaint_id_complaints"),
        ),
        sa.PrimaryKeyConstraint("complaint_id", name=op.f("pk_complaint_pictures")),
    )
    op.create_table(
        "complaint_counts",
        sa.Column("product_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("batch_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("product_id", "batch_id", "kind", name=op.f("pk_complaint_counts")),
    )
    op.create_index(op.f("ix_complaint_counts_batch_id"), "complaint_counts", ["batch_id"])


def _moments() -> None:
    op.create_table(
        "customer_milestones",
        sa.Column("customer_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("batch_id", sa.BigInteger(), nullable=False),
        sa.Column("claimed_at", Time, nullable=False),
        sa.Column("again_at", Time, nullable=True),
        sa.Column("shared_at", Time, nullable=True),
        sa.Column("friend_at", Time, nullable=True),
        sa.PrimaryKeyConstraint("customer_id", name=op.f("pk_customer_milestones")),
    )
    op.create_table(
        "moment_counts",
        sa.Column("moment", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("product_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("batch_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("month", Time, nullable=False),
        sa.Column("step", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "moment", "product_id", "batch_id", "month", "step", name=op.f("pk_moment_counts")
        ),
    )
    op.create_index(
        op.f("ix_moment_counts_product_id_batch_id"), "moment_counts", ["product_id", "batch_id"]
    )
