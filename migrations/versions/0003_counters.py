"""What decides a place in the spread, and counters of the spread and the referral tree."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

Time = sa.DateTime(timezone=True)
RowId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    places()
    op.create_table(
        "graph_counts",
        sa.Column("forest", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("node", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("parent", sa.BigInteger(), nullable=True),
        sa.Column("is_customer", sa.Boolean(), nullable=False),
        sa.Column("direct", sa.BigInteger(), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("customers", sa.BigInteger(), nullable=False),
        sa.Column("depth", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("forest", "node", name=op.f("pk_graph_counts")),
    )
    op.create_index(op.f("ix_graph_counts_parent_forest"), "graph_counts", ["parent", "forest"])
    op.create_index(
        "ix_graph_counts_tops",
        "graph_counts",
        ["forest", "direct"],
        sqlite_where=sa.text("parent IS NULL AND direct > 0"),
        postgresql_where=sa.text("parent IS NULL AND direct > 0"),
    )
    op.create_table(
        "graph_changes",
        sa.Column("id", RowId, nullable=False),
        sa.Column("forest", sa.Integer(), nullable=True),
        sa.Column("node", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_graph_changes")),
    )
    op.create_index(op.f("ix_graph_changes_forest_id"), "graph_changes", ["forest", "id"])
    # What is there already is counted like anything new: by whoever folds next.
    op.execute(
        "INSERT INTO graph_changes (forest, node) SELECT campaign_id, visitor_id FROM spread_nodes"
    )
    op.execute("INSERT INTO graph_changes (forest, node) SELECT 0, customer_id FROM referrals")
    note("spread_nodes", "INSERT", "new.campaign_id, new.visitor_id")
    note(
        "spread_nodes",
        "UPDATE",
        "new.campaign_id, new.visitor_id",
        "old.parent_id IS DISTINCT FROM new.parent_id OR old.at <> new.at",
    )
    note("referrals", "INSERT", "0, new.customer_id")
    note(
        "referrals",
        "UPDATE",
        "0, new.customer_id",
        "old.referrer_id IS DISTINCT FROM new.referrer_id",
    )
    note("visitors", "INSERT", "NULL, new.id", "new.customer_id IS NOT NULL")
    note(
        "visitors",
        "UPDATE",
        "NULL, new.id",
        "old.customer_id IS DISTINCT FROM new.customer_id",
    )


def places() -> None:
    """Keep whose link was opened first and when one's own was, whichever decides."""
    op.add_column("spread_nodes", sa.Column("touched_by", sa.BigInteger(), nullable=True))
    op.add_column("spread_nodes", sa.Column("link_hop", sa.SmallInteger(), nullable=True))
    op.add_column("spread_nodes", sa.Column("shared_at", Time, nullable=True))
    op.add_column("spread_nodes", sa.Column("shared_hop", sa.SmallInteger(), nullable=True))
    op.execute(
        "UPDATE spread_nodes SET touched_by = parent_id, "
        "link_hop = CASE WHEN hop > 255 THEN 255 ELSE hop - 1 END WHERE parent_id IS NOT NULL"
    )
    op.execute(
        "UPDATE spread_nodes SET shared_at = at, "
        "shared_hop = CASE WHEN hop > 255 THEN 255 ELSE hop END WHERE parent_id IS NULL"
    )
    op.execute(
        "UPDATE spread_nodes SET shared_hop = CASE WHEN hop > 255 THEN 255 ELSE hop END, "
        "shared_at = (SELECT min(child.at) FROM spread_nodes child "
        "WHERE child.campaign_id = spread_nodes.campaign_id "
        "AND child.parent_id = spread_nodes.visitor_id) "
        "WHERE parent_id IS NOT NULL AND EXISTS (SELECT 1 FROM spread_nodes child "
        "WHERE child.campaign_id = spread_nodes.campaign_id "
        "AND child.parent_id = spread_nodes.visitor_id)"
    )


def note(table: str, change: str, values: str, condition: str | None = None) -> None:
    """Have the database note every change of a graph, whoever makes it."""
    name, insert = f"{table}_note_{change.lower()}", "INSERT INTO graph_changes (forest, node)"
    when = f"WHEN ({condition}) " if condition else ""
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ "
            f"BEGIN {insert} VALUES ({values}); RETURN NULL; END $$"
        )
        op.execute(
            f"CREATE TRIGGER {name} AFTER {change} ON {table} FOR EACH ROW {when}"
            f"EXECUTE FUNCTION {name}()"
        )
        return
    when = when.replace("IS DISTINCT FROM", "IS NOT")
    op.execute(
        f"CREATE TRIGGER {name} AFTER {change} ON {table} FOR EACH ROW {when}"
        f"BEGIN {insert} VALUES ({values}); END"
    )
