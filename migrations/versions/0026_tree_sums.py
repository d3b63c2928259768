"""What is below everybody in the referral tree, buyers in the spread, and names to be searched."""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"

Time = sa.DateTime(timezone=True)
RowId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
SORTED_BY = ("direct", "total", "active", "paying", "value")


def upgrade() -> None:
    tree_sums()
    op.create_table(
        "last_days",
        sa.Column("visitor_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("day", Time, nullable=False),
        sa.PrimaryKeyConstraint("visitor_id", name=op.f("pk_last_days")),
    )
    op.create_table(
        "name_parts",
        sa.Column("part", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("customer_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("part", "customer_id", name=op.f("pk_name_parts")),
    )
    op.create_index(op.f("ix_name_parts_customer_id"), "name_parts", ["customer_id"])
    buyers()
    # What is there already is counted like anything new: by whoever folds next.
    op.execute("INSERT INTO tree_changes (customer_id) SELECT customer_id FROM referrals")
    op.execute(
        "INSERT INTO graph_changes (forest, node) SELECT NULL, visitors.id FROM visitors "
        "JOIN referrals ON referrals.customer_id = visitors.customer_id"
    )
    notes()


def tree_sums() -> None:
    op.create_table(
        "tree_sums",
        sa.Column("customer_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("parent", sa.BigInteger(), nullable=True),
        sa.Column("is_settled", sa.Boolean(), nullable=False),
        sa.Column("active_at", Time, nullable=True),
        sa.Column("bought_at", Time, nullable=True),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("is_paying", sa.Boolean(), nullable=False),
        sa.Column("worth", sa.BigInteger(), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in SORTED_BY),
        sa.PrimaryKeyConstraint("customer_id", name=op.f("pk_tree_sums")),
    )
    for name in SORTED_BY:
        partial(f"ix_tree_sums_by_{name}", ["parent", name, "customer_id"], "total > 0")
    partial("ix_tree_sums_active_at", ["active_at"], "is_active")
    partial("ix_tree_sums_bought_at", ["bought_at"], "is_paying")
    op.create_table(
        "tree_changes",
        sa.Column("id", RowId, nullable=False),
        sa.Column("customer_id", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tree_changes")),
    )


def partial(name: str, columns: list[str], where: str) -> None:
    condition = sa.text(where)
    op.create_index(name, "tree_sums", columns, sqlite_where=condition, postgresql_where=condition)


def buyers() -> None:
    for name, kind, zero in (
        ("is_buyer", sa.Boolean(), sa.false()),
        ("buyers", sa.BigInteger(), sa.text("0")),
    ):
        op.add_column("graph_counts", sa.Column(name, kind, nullable=False, server_default=zero))


def notes() -> None:
    """Have the database note every change, whoever makes it."""
    for table, changed in (
        ("referrals", "old.referrer_id IS DISTINCT FROM new.referrer_id"),
        ("claims", "old.customer_id <> new.customer_id"),
        (
            "orders",
            "(old.customer_id, old.amount, old.refunded) "  # noqa: ISC004
            "<> (new.customer_id, new.amount, new.refunded)",
        ),
    ):
        note(table, "INSERT", "SELECT new.customer_id")
        note(table, "DELETE", "SELECT old.customer_id")
        note(table, "UPDATE", "SELECT old.customer_id UNION SELECT new.customer_id", changed)
    # Who scanned or shared before signing in did it as the customer.
    note(
        "visitors",
        "UPDATE",
        "SELECT who FROM (SELECT old.customer_id AS who UNION SELECT new.customer_id) AS both_of "
        "WHERE who IS NOT NULL "
        "AND EXISTS (SELECT 1 FROM last_days WHERE visitor_id = new.id)",
        "old.customer_id IS DISTINCT FROM new.customer_id",
    )
    signed_in = "SELECT customer_id FROM visitors WHERE id = new.visitor_id "
    for change in ("INSERT", "UPDATE"):
        note("last_days", change, signed_in + "AND customer_id IS NOT NULL")
    # A first purchase makes a buyer of the customer wherever the spread has her.
    for change, row in (("INSERT", "new"), ("DELETE", "old")):
        note(
            "referrals",
            change,
            f"SELECT NULL, id FROM visitors WHERE customer_id = {row}.customer_id",  # noqa: S608
            of="graph_changes (forest, node)",
            what="buyer",
        )


def note(
    table: str,
    change: str,
    chosen: str,
    condition: str | None = None,
    *,
    of: str = "tree_changes (customer_id)",
    what: str = "tree",
) -> None:
    name, insert = f"{table}_{what}_{change.lower()}", f"INSERT INTO {of} {chosen}"
    when = f"WHEN ({condition}) " if condition else ""
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ "
            f"BEGIN {insert.replace('SELECT NULL, id', 'SELECT NULL::integer, id')}; "
            "RETURN NULL; END $$"
        )
        op.execute(
            f"CREATE TRIGGER {name} AFTER {change} ON {table} FOR EACH ROW {when}"
            f"EXECUTE FUNCTION {name}()"
        )
        return
    when = when.replace("IS DISTINCT FROM", "IS NOT")
    op.execute(
        f"CREATE TRIGGER {name} AFTER {change} ON {table} FOR EACH ROW {when}BEGIN {insert}; END"
    )
