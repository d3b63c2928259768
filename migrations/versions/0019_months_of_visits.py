"""Visits by month and in the order of their time, and notes of many new nodes at once."""

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"

Time = sa.DateTime(timezone=True)
MONTHS_AHEAD = 2


def upgrade() -> None:
    op.add_column("campaigns", sa.Column("keep_months", sa.Integer(), nullable=True))
    op.create_table(
        "visits_kept_since",
        sa.Column("campaign_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("since", Time, nullable=False),
        sa.Column("is_dropped", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("campaign_id", name=op.f("pk_visits_kept_since")),
    )
    visits()
    one_note_a_statement()
    totals()
    op.drop_index(op.f("ix_visitors_customer_id"), "visitors")
    is_customers = sa.text("customer_id IS NOT NULL")
    op.create_index(
        op.f("ix_visitors_customer_id"),
        "visitors",
        ["customer_id"],
        sqlite_where=is_customers,
        postgresql_where=is_customers,
    )


def is_postgresql() -> bool:
    return bool(op.get_bind().dialect.name == "postgresql")


# Visits: the number begins with the time, so that it says which month's table a visit is in

VISIT = (
    "event_id, kind, at, campaign_id, visitor_id, parent_id, hop, channel, batch_id, code_index, "
    "label, store_id, region, machine"
)
# One engagement a visitor, campaign and day: its time is the day's beginning. What is in the
# stream meanwhile gets the same number when it is read.
IN_TIME = {
    "postgresql": "(lpad(to_hex(floor(extract(epoch FROM CASE kind WHEN 'engagement' "
    "THEN date_trunc('day', at, 'UTC') ELSE at END) * 1000)::bigint), 12, '0') || '8' "
    "|| substr(replace(event_id::text, '-', ''), 14))::uuid",
    "sqlite": "printf('%012x', CASE kind WHEN 'engagement' "
    "THEN CAST(strftime('%s', date(at)) AS INTEGER) * 1000 "
    "ELSE CAST(strftime('%s', at) AS INTEGER) * 1000 + CAST(substr(at, 21, 3) AS INTEGER) END) "
    "|| '8' || substr(event_id, 14)",
}


def visits() -> None:
    for name in ("campaign_id_kind_visitor_id", "scans", "openings", "opened_by"):
        op.drop_index(f"ix_visits_{name}", "visits")
    op.rename_table("visits", "visits_before")
    if is_postgresql():
        op.execute("ALTER TABLE visits_before RENAME CONSTRAINT pk_visits TO pk_visits_before")
    op.create_table(
        "visits",
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
        sa.Column("label", sa.String(length=5), nullable=True),
        sa.Column("store_id", sa.BigInteger(), nullable=True),
        sa.Column("region", sa.String(length=6), nullable=True),
        sa.Column("machine", sa.String(length=20), nullable=True),
        sa.PrimaryKeyConstraint("event_id", name=op.f("pk_visits")),
        postgresql_partition_by="RANGE (event_id)",
    )
    if is_postgresql():
        op.execute("CREATE TABLE visits_rest PARTITION OF visits DEFAULT")
        for year, month in months():
            first, end = first_id(year, month), first_id(year, month + 1)
            op.execute(
                f"CREATE TABLE visits_{year:04}_{month:02} PARTITION OF visits "
                f"FOR VALUES FROM ('{first}') TO ('{end}')"
            )
    in_time = IN_TIME[op.get_bind().dialect.name]
    values = VISIT.replace("event_id", in_time, 1)
    moved = f"INSERT INTO visits ({VISIT}) SELECT {values} FROM visits_before"  # noqa: S608
    op.execute(moved)
    op.drop_table("visits_before")
    is_open = sa.text("kind = 'open'")
    op.create_index(
        "ix_visits_openings",
        "visits",
        ["parent_id", "campaign_id"],
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


def months() -> list[tuple[int, int]]:
    """From the first visit's until a little after this one."""
    first = op.get_bind().execute(sa.text("SELECT min(at) FROM visits_before")).scalar()
    now = datetime.now(UTC)
    begin = min(first.astimezone(UTC), now) if first else now
    numbers = range(begin.year * 12 + begin.month - 1, now.year * 12 + now.month + MONTHS_AHEAD)
    return [(number // 12, number % 12 + 1) for number in numbers]


def first_id(year: int, month: int) -> str:
    """What comes before every number of a month."""
    moment = datetime(year + (month - 1) // 12, (month - 1) % 12 + 1, 1, tzinfo=UTC)
    number = f"{int(moment.timestamp() * 1000):012x}"
    return f"{number[:8]}-{number[8:]}-0000-0000-000000000000"


def one_note_a_statement() -> None:
    """Note all nodes that one statement adds at once; SQLite knows triggers of single rows only."""
    if not is_postgresql():
        return
    op.execute("DROP TRIGGER spread_nodes_note_insert ON spread_nodes")
    op.execute(
        "CREATE OR REPLACE FUNCTION spread_nodes_note_insert() RETURNS trigger "
        "LANGUAGE plpgsql AS $$ BEGIN INSERT INTO graph_changes (forest, node) "
        "SELECT campaign_id, visitor_id FROM added; RETURN NULL; END $$"
    )
    op.execute(
        "CREATE TRIGGER spread_nodes_note_insert AFTER INSERT ON spread_nodes "
        "REFERENCING NEW TABLE AS added FOR EACH STATEMENT "
        "EXECUTE FUNCTION spread_nodes_note_insert()"
    )


def totals() -> None:
    """What has been counted of every forest, and room beside counters: they change all the time."""
    op.create_table(
        "forest_totals",
        sa.Column("forest", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("reached", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("forest", name=op.f("pk_forest_totals")),
    )
    op.execute(
        "INSERT INTO forest_totals (forest, reached) "
        "SELECT forest, count(*) FROM graph_counts WHERE parent IS NOT NULL GROUP BY forest"
    )
    if is_postgresql():
        op.execute("ALTER TABLE graph_counts SET (fillfactor = 70)")
