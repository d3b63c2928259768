"""Two labels a package, terms by range, where codes were seen, flags, product links, packages."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"

Time = sa.DateTime(timezone=True)
RowId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
Document = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    op.create_table(
        "stores",
        sa.Column("id", RowId, nullable=False),
        sa.Column("slug", sa.String(length=60), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("region", sa.String(length=6), nullable=True),
        sa.Column("created_at", Time, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stores")),
        sa.UniqueConstraint("slug", name=op.f("uq_stores_slug")),
    )
    add_filled("products", sa.Column("labels", sa.String(length=6), nullable=False), "single")
    add_filled("batches", sa.Column("labels", sa.String(length=6), nullable=False), "single")
    add_filled("batches", sa.Column("scheme", sa.String(length=5), nullable=False), "https")
    with op.batch_alter_table("code_ranges") as table:
        table.add_column(sa.Column("lot", sa.String(length=20), nullable=True))
        table.add_column(sa.Column("made_on", sa.Date(), nullable=True))
        table.add_column(sa.Column("expires_on", sa.Date(), nullable=True))
        table.add_column(sa.Column("market", sa.String(length=280), nullable=True))
        table.add_column(sa.Column("store_id", RowId, nullable=True))
        table.add_column(sa.Column("sale_from", Time, nullable=True))
        table.add_column(sa.Column("sale_until", Time, nullable=True))
        table.create_foreign_key(
            op.f("fk_code_ranges_store_id_stores"), "stores", ["store_id"], ["id"]
        )
    # Not copied on SQLite, as a batch would: its triggers that refuse changes have to stay.
    op.add_column("range_changes", sa.Column("terms", Document, nullable=True))
    op.add_column("visits", sa.Column("label", sa.String(length=5), nullable=True))
    op.add_column("visits", sa.Column("region", sa.String(length=6), nullable=True))
    op.execute("UPDATE visits SET label = 'inner' WHERE code_index IS NOT NULL")
    scans()
    figures()
    op.create_table(
        "code_flags",
        sa.Column("batch_id", RowId, nullable=False),
        sa.Column("index", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("first_at", Time, nullable=False),
        sa.Column("last_at", Time, nullable=False),
        sa.Column("times", sa.BigInteger(), nullable=False),
        sa.Column("region", sa.String(length=6), nullable=True),
        sa.ForeignKeyConstraint(
            ["batch_id"], ["batches.id"], name=op.f("fk_code_flags_batch_id_batches")
        ),
        sa.PrimaryKeyConstraint("batch_id", "index", "kind", name=op.f("pk_code_flags")),
    )
    op.create_index(op.f("ix_code_flags_last_at"), "code_flags", ["last_at"])
    op.create_index(op.f("ix_code_flags_batch_id_last_at"), "code_flags", ["batch_id", "last_at"])
    op.create_table(
        "code_misses",
        sa.Column("hour", Time, nullable=False),
        sa.Column("product_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("batch_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("region", sa.String(length=6), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "hour", "product_id", "batch_id", "region", name=op.f("pk_code_misses")
        ),
    )
    op.create_index(op.f("ix_code_misses_batch_id_hour"), "code_misses", ["batch_id", "hour"])
    op.create_table(
        "product_links",
        sa.Column("id", RowId, nullable=False),
        sa.Column("product_id", RowId, nullable=False),
        sa.Column("position", sa.SmallInteger(), nullable=False),
        sa.Column("link_type", sa.String(length=60), nullable=False),
        sa.Column("href", sa.String(length=1000), nullable=False),
        sa.Column("title", sa.String(length=120), nullable=False),
        sa.Column("language", sa.String(length=10), nullable=False),
        sa.Column("media_type", sa.String(length=100), nullable=False),
        sa.Column("is_default", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["product_id"], ["products.id"], name=op.f("fk_product_links_product_id_products")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_product_links")),
        sa.UniqueConstraint(
            "product_id", "position", name=op.f("uq_product_links_product_id_position")
        ),
    )
    op.create_index(
        "uq_product_links_default",
        "product_links",
        ["product_id"],
        unique=True,
        sqlite_where=sa.text("is_default"),
        postgresql_where=sa.text("is_default"),
    )
    op.create_table(
        "print_packages",
        sa.Column("id", sa.String(length=10), nullable=False),
        sa.Column("batch_id", RowId, nullable=False),
        sa.Column("label", sa.String(length=5), nullable=False),
        sa.Column("start", sa.BigInteger(), nullable=False),
        sa.Column("end", sa.BigInteger(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("supplier", sa.String(length=80), nullable=True),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("by", sa.String(length=80), nullable=False),
        sa.Column("at", Time, nullable=False),
        sa.CheckConstraint('"end" > start', name=op.f("ck_print_packages_not_empty")),
        sa.ForeignKeyConstraint(
            ["batch_id"], ["batches.id"], name=op.f("fk_print_packages_batch_id_batches")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_print_packages")),
    )
    op.create_index(op.f("ix_print_packages_batch_id"), "print_packages", ["batch_id"])


def add_filled(table: str, column: "sa.Column[str]", value: str) -> None:
    """Add a column that every row has, with the value of the rows that are there."""
    column.server_default = sa.DefaultClause(value)
    with op.batch_alter_table(table) as batch:
        batch.add_column(column)
    with op.batch_alter_table(table) as batch:
        batch.alter_column(column.name, server_default=None)


def figures() -> None:
    """Indexes that a batch's figures over time are counted from, for two that nothing reads."""
    op.drop_index(op.f("ix_visits_batch_id_code_index"), "visits")
    op.create_index(
        "ix_visits_scans",
        "visits",
        ["batch_id", "at", "label", "region", "kind"],
        sqlite_where=sa.text("kind = 'scan'"),
        postgresql_where=sa.text("kind = 'scan'"),
    )
    op.drop_index(op.f("ix_claims_at"), "claims")
    op.create_index(op.f("ix_claims_batch_id_at"), "claims", ["batch_id", "at"])


def scans() -> None:
    """A device is counted once a label, and what is known of a code's scans is kept in one row."""
    op.execute("CREATE TABLE scanned_before AS SELECT * FROM scanned_codes")
    op.drop_table("scanned_codes")
    op.create_table(
        "scanned_codes",
        sa.Column("batch_id", RowId, nullable=False),
        sa.Column("index", sa.BigInteger(), nullable=False),
        sa.Column("label", sa.String(length=5), nullable=False),
        sa.Column("visitor_id", sa.BigInteger(), nullable=False),
        sa.Column("first_at", Time, nullable=False),
        sa.ForeignKeyConstraint(
            ["batch_id"], ["batches.id"], name=op.f("fk_scanned_codes_batch_id_batches")
        ),
        sa.PrimaryKeyConstraint(
            "batch_id", "index", "label", "visitor_id", name=op.f("pk_scanned_codes")
        ),
    )
    op.execute(
        'INSERT INTO scanned_codes (batch_id, "index", label, visitor_id, first_at) '
        "SELECT batch_id, \"index\", 'inner', visitor_id, first_at FROM scanned_before"
    )
    op.drop_table("scanned_before")
    op.create_table(
        "seen_codes",
        sa.Column("batch_id", RowId, nullable=False),
        sa.Column("index", sa.BigInteger(), nullable=False),
        sa.Column("label", sa.String(length=5), nullable=False),
        sa.Column("first_at", Time, nullable=False),
        sa.Column("region", sa.String(length=6), nullable=True),
        sa.Column("devices", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["batch_id"], ["batches.id"], name=op.f("fk_seen_codes_batch_id_batches")
        ),
        sa.PrimaryKeyConstraint("batch_id", "index", "label", name=op.f("pk_seen_codes")),
    )
    op.create_index(
        op.f("ix_seen_codes_batch_id_first_at_label_region"),
        "seen_codes",
        ["batch_id", "first_at", "label", "region"],
    )
    op.execute(
        'INSERT INTO seen_codes (batch_id, "index", label, first_at, devices) '
        'SELECT batch_id, "index", label, min(first_at), count(*) FROM scanned_codes '
        'GROUP BY batch_id, "index", label'
    )
