"""A ledger whose database holds it to zero sums, with seals, and budgets in slots."""

import sqlalchemy as sa
from alembic import op

from referral.db import RowId

revision = "0010"
down_revision = "0009"

Time = sa.DateTime(timezone=True)
APPEND_ONLY = ("ledger_blocks", "ledger_seals")
NOT_TRUNCATED = (*APPEND_ONLY, "ledger_entries", "postings", "range_changes", "audit_entries")
FIXED = ("kind", "owner", "unit", "slot")


def upgrade() -> None:
    with op.batch_alter_table("accounts") as table:
        table.add_column(sa.Column("slot", sa.SmallInteger(), nullable=False, server_default="0"))
        table.drop_constraint(op.f("uq_accounts_kind_owner_unit"), type_="unique")
        table.create_unique_constraint(
            op.f("uq_accounts_kind_owner_unit_slot"), ["kind", "owner", "unit", "slot"]
        )
        table.create_check_constraint(
            op.f("ck_accounts_slots_of_budgets"), "slot = 0 OR kind = 'budget'"
        )
    with op.batch_alter_table("accounts") as table:
        table.alter_column("slot", server_default=None)
    op.create_table(
        "ledger_blocks",
        sa.Column("number", RowId, autoincrement=False, nullable=False),
        sa.Column("entries", sa.Integer(), nullable=False),
        sa.Column("postings", sa.Integer(), nullable=False),
        sa.Column("last_entry", RowId, nullable=False),
        sa.Column("at", Time, nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("number > 0", name=op.f("ck_ledger_blocks_number_positive")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_ledger_blocks")),
    )
    op.create_table(
        "ledger_seals",
        sa.Column("entry_id", RowId, autoincrement=False, nullable=False),
        sa.Column("block", RowId, nullable=False),
        sa.Column("parts", sa.LargeBinary(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["block"], ["ledger_blocks.number"], name=op.f("fk_ledger_seals_block_ledger_blocks")
        ),
        sa.ForeignKeyConstraint(
            ["entry_id"],
            ["ledger_entries.id"],
            name=op.f("fk_ledger_seals_entry_id_ledger_entries"),
        ),
        sa.PrimaryKeyConstraint("entry_id", name=op.f("pk_ledger_seals")),
    )
    op.create_index(op.f("ix_ledger_seals_block"), "ledger_seals", ["block"])
    if op.get_bind().dialect.name == "postgresql":
        guard_postgresql()
    else:
        guard_sqlite()


def guard_sqlite() -> None:
    for table in APPEND_ONLY:
        for change in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_append_only_{change.lower()} BEFORE {change} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )
    op.execute(
        f"CREATE TRIGGER accounts_fixed BEFORE UPDATE OF {', '.join(FIXED)} ON accounts "
        "BEGIN SELECT RAISE(ABORT, 'an account stays what it is'); END"
    )


def guard_postgresql() -> None:
    for table in APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION refuse_change()"
        )
    for table in NOT_TRUNCATED:
        op.execute(
            f"CREATE TRIGGER not_truncated BEFORE TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
    op.execute(
        """
        CREATE FUNCTION refuse_other_account() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN RAISE EXCEPTION 'an account stays what it is'; END $$
        """
    )
    op.execute(
        f"CREATE TRIGGER fixed BEFORE UPDATE OF {', '.join(FIXED)} ON accounts "
        "FOR EACH ROW EXECUTE FUNCTION refuse_other_account()"
    )
    # At the end of the transaction, when every posting of the entry is there.
    op.execute(
        """
        CREATE FUNCTION check_entry() RETURNS trigger LANGUAGE plpgsql AS $$
        DECLARE out_by text;
        BEGIN
            SELECT sum(p.amount) || ' ' || a.unit INTO out_by
            FROM postings p JOIN accounts a ON a.id = p.account_id
            WHERE p.entry_id = NEW.entry_id GROUP BY a.unit HAVING sum(p.amount) <> 0 LIMIT 1;
            IF FOUND THEN
                RAISE EXCEPTION 'ledger entry % is out by %', NEW.entry_id, out_by
                    USING ERRCODE = 'check_violation';
            END IF;
            RETURN NULL;
        END $$
        """
    )
    op.execute(
        """
        CREATE FUNCTION check_entry_is_posted() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF NOT EXISTS (SELECT FROM postings WHERE entry_id = NEW.id) THEN
                RAISE EXCEPTION 'ledger entry % has no postings', NEW.id
                    USING ERRCODE = 'check_violation';
            END IF;
            RETURN NULL;
        END $$
        """
    )
    op.execute(
        "CREATE CONSTRAINT TRIGGER sums_to_zero AFTER INSERT ON postings "
        "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION check_entry()"
    )
    op.execute(
        "CREATE CONSTRAINT TRIGGER is_posted AFTER INSERT ON ledger_entries "
        "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION check_entry_is_posted()"
    )
