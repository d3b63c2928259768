"""Links that lead nowhere, and openings by what never runs a page."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

Time = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "dead_links",
        sa.Column("hour", Time, nullable=False),
        sa.Column("fault", sa.String(length=10), nullable=False),
        sa.Column("region", sa.String(length=6), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("hour", "fault", "region", name=op.f("pk_dead_links")),
    )
    browsers()
    openings()
    note_those_who_leave()


def browsers() -> None:
    """Keep which visitors ran a page, and which are to be looked at for that."""
    for name in ("ran_at", "sift_at", "sifted_at"):
        op.add_column("visitors", sa.Column(name, Time, nullable=True))
    # What was not asked for cannot be missed: whoever is there already is taken for a person.
    op.execute("UPDATE visitors SET ran_at = created_at")
    op.create_index(
        op.f("ix_visitors_sift_at"),
        "visitors",
        ["sift_at"],
        sqlite_where=sa.text("sift_at IS NOT NULL"),
        postgresql_where=sa.text("sift_at IS NOT NULL"),
    )


def openings() -> None:
    """Find the openings of a visitor's link, and those that a visitor made."""
    is_open = sa.text("kind = 'open'")
    op.create_index(
        "ix_visits_openings",
        "visits",
        ["parent_id", "campaign_id", "hop", "at"],
        sqlite_where=is_open,
        postgresql_where=is_open,
    )
    opened = sa.text("kind = 'open' OR machine = 'never-ran'")
    op.create_index(
        "ix_visits_opened_by",
        "visits",
        ["visitor_id"],
        sqlite_where=opened,
        postgresql_where=opened,
    )


def note_those_who_leave() -> None:
    """A place that is given up changes the counters above it."""
    insert = "INSERT INTO graph_changes (forest, node) VALUES (old.campaign_id, old.visitor_id)"
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE FUNCTION spread_nodes_note_delete() RETURNS trigger LANGUAGE plpgsql AS $$ "
            f"BEGIN {insert}; RETURN NULL; END $$"
        )
        op.execute(
            "CREATE TRIGGER spread_nodes_note_delete AFTER DELETE ON spread_nodes FOR EACH ROW "
            "EXECUTE FUNCTION spread_nodes_note_delete()"
        )
        return
    op.execute(
        "CREATE TRIGGER spread_nodes_note_delete AFTER DELETE ON spread_nodes FOR EACH ROW "
        f"BEGIN {insert}; END"
    )
