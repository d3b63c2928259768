"""Pools of coupon codes, and lucky draws whose seed is promised before it is told."""

import sqlalchemy as sa
from alembic import op

from referral.db import JSONDocument, RowId

revision = "0014"
down_revision = "0013"

Time = sa.DateTime(timezone=True)
FREE = sa.text("reward_id IS NULL")


def upgrade() -> None:
    op.create_table(
        "coupon_pools",
        sa.Column("id", RowId, nullable=False),
        sa.Column("slug", sa.String(length=40), nullable=False),
        sa.Column("content", JSONDocument, nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("shop_url", sa.String(length=500), nullable=True),
        sa.Column("expires_at", Time, nullable=True),
        sa.Column("lasts_days", sa.Integer(), nullable=True),
        sa.Column("created_at", Time, nullable=False),
        sa.CheckConstraint("value > 0", name=op.f("ck_coupon_pools_value_positive")),
        sa.CheckConstraint(
            "(expires_at IS NULL) <> (lasts_days IS NULL)", name=op.f("ck_coupon_pools_one_end")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_coupon_pools")),
        sa.UniqueConstraint("slug", name=op.f("uq_coupon_pools_slug")),
    )
    op.create_table(
        "coupons",
        sa.Column("id", RowId, nullable=False),
        sa.Column("pool_id", RowId, nullable=False),
        sa.Column("blind_index", sa.String(length=64), nullable=False),
        sa.Column("code_encrypted", sa.Text(), nullable=False),
        sa.Column("reward_id", RowId, nullable=True),
        sa.Column("given_at", Time, nullable=True),
        sa.Column("expires_at", Time, nullable=True),
        sa.Column("used_at", Time, nullable=True),
        sa.Column("used_by", sa.String(length=160), nullable=True),
        sa.CheckConstraint(
            "(reward_id IS NULL) = (given_at IS NULL) "
            "AND (given_at IS NULL) = (expires_at IS NULL)",
            name=op.f("ck_coupons_given_whole"),
        ),
        sa.CheckConstraint(
            "(used_at IS NULL) = (used_by IS NULL)", name=op.f("ck_coupons_used_whole")
        ),
        sa.CheckConstraint(
            "used_at IS NULL OR reward_id IS NOT NULL", name=op.f("ck_coupons_given_before_used")
        ),
        sa.ForeignKeyConstraint(
            ["pool_id"], ["coupon_pools.id"], name=op.f("fk_coupons_pool_id_coupon_pools")
        ),
        sa.ForeignKeyConstraint(
            ["reward_id"], ["rewards.id"], name=op.f("fk_coupons_reward_id_rewards")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_coupons")),
        sa.UniqueConstraint("blind_index", name=op.f("uq_coupons_blind_index")),
        sa.UniqueConstraint("reward_id", name=op.f("uq_coupons_reward_id")),
    )
    op.create_index(
        "ix_coupons_free",
        "coupons",
        ["pool_id", "id"],
        sqlite_where=FREE,
        postgresql_where=FREE,
    )
    op.create_index(op.f("ix_coupons_pool_id_id"), "coupons", ["pool_id", "id"])
    op.add_column("campaigns", sa.Column("draw_seed_encrypted", sa.Text(), nullable=True))
    op.add_column("campaigns", sa.Column("draw_commitment", sa.String(length=64), nullable=True))
    op.add_column(
        "withheld_rewards",
        sa.Column("depth", sa.SmallInteger(), nullable=False, server_default="0"),
    )
