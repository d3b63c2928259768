"""Items of the catalogue of rewards, vouchers for them, and the tills of stores."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0013"
down_revision = "0012"

Time = sa.DateTime(timezone=True)
RowId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
Document = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    op.create_table(
        "items",
        sa.Column("id", RowId, nullable=False),
        sa.Column("slug", sa.String(length=40), nullable=False),
        sa.Column("titles", Document, nullable=False),
        sa.Column("picture", sa.String(length=64), nullable=True),
        sa.Column("price", sa.BigInteger(), nullable=True),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("stock", sa.BigInteger(), nullable=False),
        sa.Column("starts_at", Time, nullable=True),
        sa.Column("ends_at", Time, nullable=True),
        sa.Column("per_person", sa.Integer(), nullable=True),
        sa.Column("voucher_days", sa.Integer(), nullable=False),
        sa.Column("created_at", Time, nullable=False),
        sa.CheckConstraint("stock >= 0", name=op.f("ck_items_stock_not_negative")),
        sa.CheckConstraint("price > 0", name=op.f("ck_items_price_positive")),
        sa.CheckConstraint("value >= 0", name=op.f("ck_items_value_not_negative")),
        sa.ForeignKeyConstraint(
            ["picture"], ["pictures.sha256"], name=op.f("fk_items_picture_pictures")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_items")),
        sa.UniqueConstraint("slug", name=op.f("uq_items_slug")),
    )
    op.create_table(
        "item_stores",
        sa.Column("item_id", RowId, nullable=False),
        sa.Column("store_id", RowId, nullable=False),
        sa.ForeignKeyConstraint(
            ["item_id"], ["items.id"], name=op.f("fk_item_stores_item_id_items")
        ),
        sa.ForeignKeyConstraint(
            ["store_id"], ["stores.id"], name=op.f("fk_item_stores_store_id_stores")
        ),
        sa.PrimaryKeyConstraint("item_id", "store_id", name=op.f("pk_item_stores")),
    )
    op.create_index(op.f("ix_item_stores_store_id"), "item_stores", ["store_id"])
    op.create_table(
        "tills",
        sa.Column("id", RowId, nullable=False),
        sa.Column("store_id", RowId, nullable=False),
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.Column("created_at", Time, nullable=False),
        sa.Column("closed_at", Time, nullable=True),
        sa.ForeignKeyConstraint(["store_id"], ["stores.id"], name=op.f("fk_tills_store_id_stores")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tills")),
    )
    op.create_index(op.f("ix_tills_store_id"), "tills", ["store_id"])
    op.create_table(
        "vouchers",
        sa.Column("id", RowId, nullable=False),
        sa.Column("item_id", RowId, nullable=False),
        sa.Column("customer_id", RowId, nullable=False),
        sa.Column("unit", sa.String(length=60), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("entry_id", RowId, nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("seed", sa.String(length=32), nullable=False),
        sa.Column("key_id", sa.String(length=8), nullable=False),
        sa.Column("code_hash", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("issued_at", Time, nullable=False),
        sa.Column("expires_at", Time, nullable=False),
        sa.Column("accepted_at", Time, nullable=True),
        sa.Column("store_id", RowId, nullable=True),
        sa.Column("till_id", RowId, nullable=True),
        sa.Column("press", sa.String(length=64), nullable=True),
        sa.Column("closed_at", Time, nullable=True),
        sa.Column("reason", sa.String(length=200), nullable=True),
        sa.CheckConstraint(
            "state IN ('issued', 'accepted', 'undone', 'expired')",
            name=op.f("ck_vouchers_state_known"),
        ),
        sa.CheckConstraint(
            "(accepted_at IS NULL) = (till_id IS NULL) AND (till_id IS NULL) = (store_id IS NULL)",
            name=op.f("ck_vouchers_accepted_somewhere"),
        ),
        sa.CheckConstraint(
            "(state <> 'accepted' OR accepted_at IS NOT NULL)"
            " AND (state NOT IN ('issued', 'expired') OR accepted_at IS NULL)",
            name=op.f("ck_vouchers_state_as_it_happened"),
        ),
        sa.CheckConstraint("amount > 0", name=op.f("ck_vouchers_amount_positive")),
        sa.ForeignKeyConstraint(["item_id"], ["items.id"], name=op.f("fk_vouchers_item_id_items")),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["customers.id"], name=op.f("fk_vouchers_customer_id_customers")
        ),
        sa.ForeignKeyConstraint(
            ["entry_id"], ["ledger_entries.id"], name=op.f("fk_vouchers_entry_id_ledger_entries")
        ),
        sa.ForeignKeyConstraint(
            ["store_id"], ["stores.id"], name=op.f("fk_vouchers_store_id_stores")
        ),
        sa.ForeignKeyConstraint(["till_id"], ["tills.id"], name=op.f("fk_vouchers_till_id_tills")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_vouchers")),
        sa.UniqueConstraint("entry_id", name=op.f("uq_vouchers_entry_id")),
        sa.UniqueConstraint("key", name=op.f("uq_vouchers_key")),
        sa.UniqueConstraint("code_hash", name=op.f("uq_vouchers_code_hash")),
    )
    for column in ("item_id", "customer_id", "store_id", "till_id"):
        op.create_index(op.f(f"ix_vouchers_{column}"), "vouchers", [column])
    op.create_index(op.f("ix_vouchers_state_expires_at"), "vouchers", ["state", "expires_at"])
