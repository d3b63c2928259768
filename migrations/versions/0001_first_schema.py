"""The first schema."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None

Time = sa.DateTime(timezone=True)
RowId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
Document = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")

APPEND_ONLY = ("ledger_entries", "postings", "range_changes")


def upgrade() -> None:
    op.create_table(
        "accounts",
        sa.Column("id", RowId, nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("owner", sa.BigInteger(), nullable=False),
        sa.Column("unit", sa.String(length=12), nullable=False),
        sa.Column("balance", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "kind = 'issue' OR balance >= 0", name=op.f("ck_accounts_balance_not_negative")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_accounts")),
        sa.UniqueConstraint("kind", "owner", "unit", name=op.f("uq_accounts_kind_owner_unit")),
    )
    op.create_table(
        "api_keys",
        sa.Column("id", RowId, nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("key_hash", sa.String(length=64), nullable=False),
        sa.Column("created_at", Time, nullable=False),
        sa.Column("revoked_at", Time, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("key_hash", name=op.f("uq_api_keys_key_hash")),
    )
    op.create_table(
        "campaigns",
        sa.Column("id", RowId, nullable=False),
        sa.Column("slug", sa.String(length=60), nullable=False),
        sa.Column("title", sa.String(length=80), nullable=False),
        sa.Column("content", Document, nullable=False),
        sa.Column("rules", Document, nullable=False),
        sa.Column("budget", sa.BigInteger(), nullable=False),
        sa.Column("gtins", Document, nullable=False),
        sa.Column("buy_url", sa.String(length=500), nullable=True),
        sa.Column("organiser", sa.String(length=120), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("starts_at", Time, nullable=False),
        sa.Column("ends_at", Time, nullable=False),
        sa.Column("hold_days", sa.Integer(), nullable=False),
        sa.Column("window_days", sa.Integer(), nullable=False),
        sa.Column("created_at", Time, nullable=False),
        sa.CheckConstraint("budget > 0", name=op.f("ck_campaigns_budget_positive")),
        sa.CheckConstraint("ends_at > starts_at", name=op.f("ck_campaigns_ends_after_start")),
        sa.CheckConstraint("id <= 65535", name=op.f("ck_campaigns_id_fits_a_link")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_campaigns")),
        sa.UniqueConstraint("slug", name=op.f("uq_campaigns_slug")),
    )
    op.create_table(
        "customers",
        sa.Column("id", RowId, nullable=False),
        sa.Column("name_encrypted", sa.Text(), nullable=True),
        sa.Column("created_at", Time, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_customers")),
    )
    op.create_index(op.f("ix_customers_created_at"), "customers", ["created_at"])

    op.create_table(
        "ledger_entries",
        sa.Column("id", RowId, nullable=False),
        sa.Column("key", sa.String(length=160), nullable=False),
        sa.Column("what", sa.String(length=120), nullable=False),
        sa.Column("at", Time, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger_entries")),
        sa.UniqueConstraint("key", name=op.f("uq_ledger_entries_key")),
    )
    op.create_index(op.f("ix_ledger_entries_at"), "ledger_entries", ["at"])

    op.create_table(
        "limit_counters",
        sa.Column("key", sa.String(length=120), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("expires_at", Time, nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_limit_counters")),
    )
    op.create_index(op.f("ix_limit_counters_expires_at"), "limit_counters", ["expires_at"])

    op.create_table(
        "products",
        sa.Column("id", RowId, nullable=False),
        sa.Column("gtin", sa.String(length=14), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("price", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("created_at", Time, nullable=False),
        sa.CheckConstraint("price > 0", name=op.f("ck_products_price_positive")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_products")),
        sa.UniqueConstraint("gtin", name=op.f("uq_products_gtin")),
    )
    op.create_table(
        "sign_in_codes",
        sa.Column("id", RowId, nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("blind_index", sa.String(length=64), nullable=False),
        sa.Column("visitor_id", sa.BigInteger(), nullable=False),
        sa.Column("code_hash", sa.String(length=64), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("expires_at", Time, nullable=False),
        sa.Column("used_at", Time, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sign_in_codes")),
    )
    op.create_index(op.f("ix_sign_in_codes_blind_index"), "sign_in_codes", ["blind_index"])

    op.create_table(
        "staff",
        sa.Column("id", RowId, nullable=False),
        sa.Column("email", sa.String(length=254), nullable=False),
        sa.Column("password_hash", sa.String(length=200), nullable=False),
        sa.Column("role", sa.String(length=12), nullable=False),
        sa.Column("created_at", Time, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_staff")),
        sa.UniqueConstraint("email", name=op.f("uq_staff_email")),
    )
    op.create_table(
        "visits",
        sa.Column("id", RowId, nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("at", Time, nullable=False),
        sa.Column("campaign_id", sa.Integer(), nullable=True),
        sa.Column("visitor_id", sa.BigInteger(), nullable=True),
        sa.Column("parent_id", sa.BigInteger(), nullable=True),
        sa.Column("hop", sa.SmallInteger(), nullable=True),
        sa.Column("channel", sa.String(length=12), nullable=False),
        sa.Column("batch_id", sa.BigInteger(), nullable=True),
        sa.Column("code_index", sa.BigInteger(), nullable=True),
        sa.Column("machine", sa.String(length=20), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_visits")),
        sa.UniqueConstraint("event_id", name=op.f("uq_visits_event_id")),
    )
    op.create_index(op.f("ix_visits_batch_id_code_index"), "visits", ["batch_id", "code_index"])
    op.create_index(
        op.f("ix_visits_campaign_id_kind_visitor_id"),
        "visits",
        ["campaign_id", "kind", "visitor_id"],
    )

    op.create_table(
        "batches",
        sa.Column("id", RowId, nullable=False),
        sa.Column("product_id", RowId, nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("first_index", sa.BigInteger(), nullable=False),
        sa.Column("key_id", sa.String(length=8), nullable=False),
        sa.Column("created_by", sa.String(length=80), nullable=False),
        sa.Column("created_at", Time, nullable=False),
        sa.CheckConstraint("size > 0", name=op.f("ck_batches_size_positive")),
        sa.ForeignKeyConstraint(
            ["product_id"], ["products.id"], name=op.f("fk_batches_product_id_products")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_batches")),
        sa.UniqueConstraint("first_index", name=op.f("uq_batches_first_index")),
    )
    op.create_index(op.f("ix_batches_product_id"), "batches", ["product_id"])

    op.create_table(
        "consents",
        sa.Column("customer_id", RowId, nullable=False),
        sa.Column("purpose", sa.String(length=20), nullable=False),
        sa.Column("version", sa.String(length=20), nullable=False),
        sa.Column("given_at", Time, nullable=False),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["customers.id"], name=op.f("fk_consents_customer_id_customers")
        ),
        sa.PrimaryKeyConstraint("customer_id", "purpose", "version", name=op.f("pk_consents")),
    )
    op.create_table(
        "idempotent_answers",
        sa.Column("api_key_id", RowId, nullable=False),
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("request_hash", sa.String(length=64), nullable=False),
        sa.Column("started_at", Time, nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("body", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["api_key_id"], ["api_keys.id"], name=op.f("fk_idempotent_answers_api_key_id_api_keys")
        ),
        sa.PrimaryKeyConstraint("api_key_id", "key", name=op.f("pk_idempotent_answers")),
    )
    op.create_table(
        "identities",
        sa.Column("id", RowId, nullable=False),
        sa.Column("customer_id", RowId, nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("blind_index", sa.String(length=64), nullable=False),
        sa.Column("value_encrypted", sa.Text(), nullable=False),
        sa.Column("created_at", Time, nullable=False),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["customers.id"], name=op.f("fk_identities_customer_id_customers")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_identities")),
        sa.UniqueConstraint("kind", "blind_index", name=op.f("uq_identities_kind_blind_index")),
    )
    op.create_index(op.f("ix_identities_customer_id"), "identities", ["customer_id"])

    op.create_table(
        "postings",
        sa.Column("id", RowId, nullable=False),
        sa.Column("entry_id", RowId, nullable=False),
        sa.Column("account_id", RowId, nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("amount <> 0", name=op.f("ck_postings_amount_not_zero")),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_postings_account_id_accounts")
        ),
        sa.ForeignKeyConstraint(
            ["entry_id"], ["ledger_entries.id"], name=op.f("fk_postings_entry_id_ledger_entries")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_postings")),
    )
    op.create_index(op.f("ix_postings_account_id"), "postings", ["account_id"])
    op.create_index(op.f("ix_postings_entry_id"), "postings", ["entry_id"])

    op.create_table(
        "referrals",
        sa.Column("customer_id", RowId, autoincrement=False, nullable=False),
        sa.Column("referrer_id", RowId, nullable=True),
        sa.Column("event", sa.String(length=60), nullable=False),
        sa.Column("campaign_id", RowId, nullable=True),
        sa.Column("why", Document, nullable=False),
        sa.Column("at", Time, nullable=False),
        sa.CheckConstraint(
            "referrer_id <> customer_id", name=op.f("ck_referrals_not_own_referrer")
        ),
        sa.ForeignKeyConstraint(
            ["campaign_id"], ["campaigns.id"], name=op.f("fk_referrals_campaign_id_campaigns")
        ),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["customers.id"], name=op.f("fk_referrals_customer_id_customers")
        ),
        sa.ForeignKeyConstraint(
            ["referrer_id"], ["customers.id"], name=op.f("fk_referrals_referrer_id_customers")
        ),
        sa.PrimaryKeyConstraint("customer_id", name=op.f("pk_referrals")),
    )
    op.create_index(op.f("ix_referrals_at"), "referrals", ["at"])
    op.create_index(op.f("ix_referrals_campaign_id"), "referrals", ["campaign_id"])
    op.create_index(op.f("ix_referrals_referrer_id"), "referrals", ["referrer_id"])

    op.create_table(
        "rewards",
        sa.Column("id", RowId, nullable=False),
        sa.Column("event", sa.String(length=60), nullable=False),
        sa.Column("rule", sa.String(length=80), nullable=False),
        sa.Column("beneficiary_id", RowId, nullable=False),
        sa.Column("campaign_id", RowId, nullable=False),
        sa.Column("depth", sa.SmallInteger(), nullable=False),
        sa.Column("unit", sa.String(length=12), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("granted_at", Time, nullable=False),
        sa.Column("available_at", Time, nullable=False),
        sa.Column("entry_id", RowId, nullable=False),
        sa.CheckConstraint("amount > 0", name=op.f("ck_rewards_amount_positive")),
        sa.CheckConstraint("depth BETWEEN 0 AND 2", name=op.f("ck_rewards_paid_depth")),
        sa.ForeignKeyConstraint(
            ["beneficiary_id"], ["customers.id"], name=op.f("fk_rewards_beneficiary_id_customers")
        ),
        sa.ForeignKeyConstraint(
            ["campaign_id"], ["campaigns.id"], name=op.f("fk_rewards_campaign_id_campaigns")
        ),
        sa.ForeignKeyConstraint(
            ["entry_id"], ["ledger_entries.id"], name=op.f("fk_rewards_entry_id_ledger_entries")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rewards")),
        sa.UniqueConstraint(
            "event", "rule", "beneficiary_id", name=op.f("uq_rewards_event_rule_beneficiary_id")
        ),
    )
    op.create_index(op.f("ix_rewards_available_at"), "rewards", ["available_at"])
    op.create_index(op.f("ix_rewards_beneficiary_id"), "rewards", ["beneficiary_id"])
    op.create_index(op.f("ix_rewards_campaign_id"), "rewards", ["campaign_id"])

    op.create_table(
        "spread_nodes",
        sa.Column("campaign_id", RowId, autoincrement=False, nullable=False),
        sa.Column("visitor_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("parent_id", sa.BigInteger(), nullable=True),
        sa.Column("hop", sa.Integer(), nullable=False),
        sa.Column("channel", sa.String(length=12), nullable=False),
        sa.Column("at", Time, nullable=False),
        sa.CheckConstraint("parent_id <> visitor_id", name=op.f("ck_spread_nodes_not_own_parent")),
        sa.ForeignKeyConstraint(
            ["campaign_id"], ["campaigns.id"], name=op.f("fk_spread_nodes_campaign_id_campaigns")
        ),
        sa.PrimaryKeyConstraint("campaign_id", "visitor_id", name=op.f("pk_spread_nodes")),
    )
    op.create_index(
        op.f("ix_spread_nodes_parent_id_campaign_id"), "spread_nodes", ["parent_id", "campaign_id"]
    )
    op.create_index(op.f("ix_spread_nodes_visitor_id"), "spread_nodes", ["visitor_id"])

    op.create_table(
        "visitors",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("customer_id", RowId, nullable=True),
        sa.Column("created_at", Time, nullable=False),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["customers.id"], name=op.f("fk_visitors_customer_id_customers")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_visitors")),
    )
    op.create_index(op.f("ix_visitors_customer_id"), "visitors", ["customer_id"])

    op.create_table(
        "claims",
        sa.Column("id", RowId, nullable=False),
        sa.Column("batch_id", RowId, nullable=False),
        sa.Column("index", sa.BigInteger(), nullable=False),
        sa.Column("customer_id", RowId, nullable=False),
        sa.Column("campaign_id", RowId, nullable=True),
        sa.Column("at", Time, nullable=False),
        sa.ForeignKeyConstraint(
            ["batch_id"], ["batches.id"], name=op.f("fk_claims_batch_id_batches")
        ),
        sa.ForeignKeyConstraint(
            ["campaign_id"], ["campaigns.id"], name=op.f("fk_claims_campaign_id_campaigns")
        ),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["customers.id"], name=op.f("fk_claims_customer_id_customers")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_claims")),
        sa.UniqueConstraint("batch_id", "index", name=op.f("uq_claims_batch_id_index")),
    )
    op.create_index(op.f("ix_claims_at"), "claims", ["at"])
    op.create_index(op.f("ix_claims_campaign_id"), "claims", ["campaign_id"])
    op.create_index(op.f("ix_claims_customer_id"), "claims", ["customer_id"])

    op.create_table(
        "code_ranges",
        sa.Column("batch_id", RowId, nullable=False),
        sa.Column("start", sa.BigInteger(), nullable=False),
        sa.Column("end", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.CheckConstraint('"end" > start', name=op.f("ck_code_ranges_not_empty")),
        sa.ForeignKeyConstraint(
            ["batch_id"], ["batches.id"], name=op.f("fk_code_ranges_batch_id_batches")
        ),
        sa.PrimaryKeyConstraint("batch_id", "start", name=op.f("pk_code_ranges")),
    )
    op.create_table(
        "range_changes",
        sa.Column("id", RowId, nullable=False),
        sa.Column("batch_id", RowId, nullable=False),
        sa.Column("start", sa.BigInteger(), nullable=False),
        sa.Column("end", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("reason", sa.String(length=200), nullable=False),
        sa.Column("by", sa.String(length=80), nullable=False),
        sa.Column("at", Time, nullable=False),
        sa.ForeignKeyConstraint(
            ["batch_id"], ["batches.id"], name=op.f("fk_range_changes_batch_id_batches")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_range_changes")),
    )
    op.create_index(op.f("ix_range_changes_batch_id"), "range_changes", ["batch_id"])

    op.create_table(
        "scanned_codes",
        sa.Column("batch_id", RowId, nullable=False),
        sa.Column("index", sa.BigInteger(), nullable=False),
        sa.Column("visitor_id", sa.BigInteger(), nullable=False),
        sa.Column("first_at", Time, nullable=False),
        sa.ForeignKeyConstraint(
            ["batch_id"], ["batches.id"], name=op.f("fk_scanned_codes_batch_id_batches")
        ),
        sa.PrimaryKeyConstraint("batch_id", "index", "visitor_id", name=op.f("pk_scanned_codes")),
    )
    for table in APPEND_ONLY:
        forbid_changes(table)


def forbid_changes(table: str) -> None:
    """Let the database itself refuse to change or delete what has been written."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            """
            CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$
            """
        )
        op.execute(
            f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION refuse_change()"
        )
        return
    for change in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER {table}_append_only_{change.lower()} BEFORE {change} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        )
