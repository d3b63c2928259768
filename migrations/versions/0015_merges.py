"""Two customers who are one person: who went into whom, and why."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0015"
down_revision = "0014"

RowId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
JSONDocument = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
Time = sa.DateTime(timezone=True)


def upgrade() -> None:
    add_merged_into()
    op.create_table(
        "merges",
        sa.Column("id", RowId, nullable=False),
        sa.Column("kept_id", RowId, nullable=False),
        sa.Column("gone_id", RowId, nullable=False),
        sa.Column("by", sa.String(length=254), nullable=False),
        sa.Column("reason", sa.String(length=200), nullable=False),
        sa.Column("details", JSONDocument, nullable=False),
        sa.Column("at", Time, nullable=False),
        sa.CheckConstraint("kept_id <> gone_id", name=op.f("ck_merges_two_customers")),
        sa.ForeignKeyConstraint(
            ["kept_id"], ["customers.id"], name=op.f("fk_merges_kept_id_customers")
        ),
        sa.ForeignKeyConstraint(
            ["gone_id"], ["customers.id"], name=op.f("fk_merges_gone_id_customers")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_merges")),
        sa.UniqueConstraint("gone_id", name=op.f("uq_merges_gone_id")),
    )
    op.create_index(op.f("ix_merges_kept_id"), "merges", ["kept_id"])
    make_append_only("merges")
    note_places_that_are_given_up()


def add_merged_into() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.add_column("customers", sa.Column("merged_into", RowId, nullable=True))
        op.create_foreign_key(
            op.f("fk_customers_merged_into_customers"),
            "customers",
            "customers",
            ["merged_into"],
            ["id"],
        )
        op.create_check_constraint(
            op.f("ck_customers_not_into_oneself"), "customers", "merged_into <> id"
        )
    else:
        # In place: every other table refers to this one, which Alembic would make anew.
        op.execute(
            "ALTER TABLE customers ADD COLUMN merged_into INTEGER "
            "CONSTRAINT fk_customers_merged_into_customers REFERENCES customers (id) "
            "CONSTRAINT ck_customers_not_into_oneself CHECK (merged_into <> id)"
        )
    op.create_index(op.f("ix_customers_merged_into"), "customers", ["merged_into"])


def note_places_that_are_given_up() -> None:
    """A customer who is gone into another has no place in the tree any more."""
    insert = "INSERT INTO graph_changes (forest, node) VALUES (0, old.customer_id)"
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE FUNCTION referrals_note_delete() RETURNS trigger LANGUAGE plpgsql AS $$ "
            f"BEGIN {insert}; RETURN NULL; END $$"
        )
        op.execute(
            "CREATE TRIGGER referrals_note_delete AFTER DELETE ON referrals FOR EACH ROW "
            "EXECUTE FUNCTION referrals_note_delete()"
        )
        return
    op.execute(
        "CREATE TRIGGER referrals_note_delete AFTER DELETE ON referrals FOR EACH ROW "
        f"BEGIN {insert}; END"
    )


def make_append_only(table: str) -> None:
    if op.get_bind().dialect.name == "postgresql":
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
