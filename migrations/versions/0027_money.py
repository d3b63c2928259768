"""Exports as background work, credits by hand, and sums of the ledger by the day."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from referral.db import RowId

revision = "0027"
down_revision = "0026"

JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
Time = sa.DateTime(timezone=True)


def upgrade() -> None:
    exports()
    credits_by_hand()
    sums()
    op.create_index(op.f("ix_rewards_entry_id"), "rewards", ["entry_id"])


def exports() -> None:
    op.create_table(
        "exports",
        sa.Column("id", RowId, nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("form", sa.String(length=8), nullable=False),
        sa.Column("params", JSON, nullable=False),
        sa.Column("headings", JSON, nullable=False),
        sa.Column("staff_id", RowId, nullable=False),
        sa.Column("by", sa.String(length=254), nullable=False),
        sa.Column("asked_at", Time, nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("rows_of", sa.BigInteger(), nullable=True),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("pieces", sa.Integer(), nullable=False),
        sa.Column("after", JSON, nullable=False),
        sa.Column("worker", sa.String(length=40), nullable=True),
        sa.Column("taken_until", Time, nullable=True),
        sa.Column("tries", sa.SmallInteger(), nullable=False),
        sa.Column("why", sa.String(length=40), nullable=True),
        sa.Column("ended_at", Time, nullable=True),
        sa.Column("expires_at", Time, nullable=True),
        sa.CheckConstraint(
            "state IN ('waiting', 'running', 'done', 'failed', 'deleted')",
            name=op.f("ck_exports_known_state"),
        ),
        sa.CheckConstraint(
            "state <> 'done' OR expires_at IS NOT NULL", name=op.f("ck_exports_done_expires")
        ),
        sa.ForeignKeyConstraint(["staff_id"], ["staff.id"], name=op.f("fk_exports_staff_id_staff")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_exports")),
    )
    op.create_index(op.f("ix_exports_staff_id_id"), "exports", ["staff_id", "id"])
    open_ones = sa.text("state IN ('waiting', 'running')")
    op.create_index(
        "ix_exports_open", "exports", ["id"], sqlite_where=open_ones, postgresql_where=open_ones
    )
    done = sa.text("state = 'done'")
    op.create_index(
        "ix_exports_done", "exports", ["expires_at"], sqlite_where=done, postgresql_where=done
    )
    op.create_table(
        "export_pieces",
        sa.Column("export_id", RowId, autoincrement=False, nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["export_id"], ["exports.id"], name=op.f("fk_export_pieces_export_id_exports")
        ),
        sa.PrimaryKeyConstraint("export_id", "number", name=op.f("pk_export_pieces")),
    )


def credits_by_hand() -> None:
    op.create_table(
        "hand_credits",
        sa.Column("id", RowId, nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("customer_id", RowId, nullable=False),
        sa.Column("campaign_id", RowId, nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.String(length=300), nullable=False),
        sa.Column("told", sa.String(length=120), nullable=False),
        sa.Column("within", sa.BigInteger(), nullable=False),
        sa.Column("needs_approval", sa.Boolean(), nullable=False),
        sa.Column("asked_by", RowId, nullable=False),
        sa.Column("asked_at", Time, nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("ends_at", Time, nullable=False),
        sa.Column("decided_by", RowId, nullable=True),
        sa.Column("decided_at", Time, nullable=True),
        sa.Column("word", sa.String(length=300), nullable=False),
        sa.Column("entry_id", RowId, nullable=True),
        sa.CheckConstraint("amount <> 0", name=op.f("ck_hand_credits_amount_not_zero")),
        sa.CheckConstraint(
            "state IN ('waiting', 'done', 'refused', 'withdrawn', 'expired')",
            name=op.f("ck_hand_credits_known_state"),
        ),
        sa.CheckConstraint(
            "needs_approval OR abs(amount) <= within", name=op.f("ck_hand_credits_within_limit")
        ),
        sa.CheckConstraint(
            "decided_by IS NULL OR decided_by <> asked_by", name=op.f("ck_hand_credits_two_people")
        ),
        sa.CheckConstraint(
            "NOT (needs_approval AND state = 'done') OR decided_by IS NOT NULL",
            name=op.f("ck_hand_credits_approved_before_done"),
        ),
        sa.CheckConstraint(
            "(state = 'done') = (entry_id IS NOT NULL)",
            name=op.f("ck_hand_credits_done_is_posted"),
        ),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["customers.id"], name=op.f("fk_hand_credits_customer_id_customers")
        ),
        sa.ForeignKeyConstraint(
            ["campaign_id"], ["campaigns.id"], name=op.f("fk_hand_credits_campaign_id_campaigns")
        ),
        sa.ForeignKeyConstraint(
            ["asked_by"], ["staff.id"], name=op.f("fk_hand_credits_asked_by_staff")
        ),
        sa.ForeignKeyConstraint(
            ["decided_by"], ["staff.id"], name=op.f("fk_hand_credits_decided_by_staff")
        ),
        sa.ForeignKeyConstraint(
            ["entry_id"],
            ["ledger_entries.id"],
            name=op.f("fk_hand_credits_entry_id_ledger_entries"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hand_credits")),
        sa.UniqueConstraint("key", name=op.f("uq_hand_credits_key")),
        sa.UniqueConstraint("entry_id", name=op.f("uq_hand_credits_entry_id")),
    )
    op.create_index(op.f("ix_hand_credits_customer_id_id"), "hand_credits", ["customer_id", "id"])
    op.create_index(
        op.f("ix_hand_credits_asked_by_asked_at"), "hand_credits", ["asked_by", "asked_at"]
    )
    op.create_index(op.f("ix_hand_credits_state_id"), "hand_credits", ["state", "id"])


def sums() -> None:
    """Empty: the next sweep fills them."""
    op.create_table(
        "money_days",
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("owner", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("unit", sa.String(length=60), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("what", sa.String(length=120), nullable=False),
        sa.Column("plus", sa.BigInteger(), nullable=False),
        sa.Column("minus", sa.BigInteger(), nullable=False),
        sa.Column("entries", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "owner", "unit", "day", "what", name=op.f("pk_money_days")),
    )
    op.create_index(op.f("ix_money_days_day"), "money_days", ["day"])
    op.create_table(
        "reward_days",
        sa.Column("campaign_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("unit", sa.String(length=60), nullable=False),
        sa.Column("rule", sa.String(length=160), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("rewards", sa.BigInteger(), nullable=False),
        sa.Column("granted", sa.BigInteger(), nullable=False),
        sa.Column("reversed", sa.BigInteger(), nullable=False),
        sa.Column("expired", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("campaign_id", "unit", "rule", "day", name=op.f("pk_reward_days")),
    )
    op.create_index(op.f("ix_reward_days_day"), "reward_days", ["day"])
