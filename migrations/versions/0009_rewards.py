"""Rewards of several units that can be taken back in part, held by somebody else and expire."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0009"
down_revision = "0008"

RowId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
JSONDocument = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
Time = sa.DateTime(timezone=True)
TO_RELEASE = sa.text("state = 'pending' AND is_cleared")
UNSPENT = sa.text("state = 'available' AND \"left\" > 0")


def upgrade() -> None:
    widen_accounts()
    widen_rewards()
    op.create_table(
        "withheld_rewards",
        sa.Column("id", RowId, nullable=False),
        sa.Column("event", sa.String(length=60), nullable=False),
        sa.Column("rule", sa.String(length=160), nullable=False),
        sa.Column("beneficiary_id", RowId, nullable=False),
        sa.Column("campaign_id", RowId, nullable=False),
        sa.Column("why", sa.String(length=20), nullable=False),
        sa.Column("at", Time, nullable=False),
        sa.ForeignKeyConstraint(
            ["beneficiary_id"],
            ["customers.id"],
            name=op.f("fk_withheld_rewards_beneficiary_id_customers"),
        ),
        sa.ForeignKeyConstraint(
            ["campaign_id"],
            ["campaigns.id"],
            name=op.f("fk_withheld_rewards_campaign_id_campaigns"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_withheld_rewards")),
        sa.UniqueConstraint(
            "event",
            "rule",
            "beneficiary_id",
            name=op.f("uq_withheld_rewards_event_rule_beneficiary_id"),
        ),
    )
    for column in ("beneficiary_id", "campaign_id"):
        op.create_index(op.f(f"ix_withheld_rewards_{column}"), "withheld_rewards", [column])
    op.create_table(
        "spent_lots",
        sa.Column("entry_id", RowId, nullable=False),
        sa.Column("reward_id", RowId, nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("amount > 0", name=op.f("ck_spent_lots_amount_positive")),
        sa.ForeignKeyConstraint(
            ["entry_id"], ["ledger_entries.id"], name=op.f("fk_spent_lots_entry_id_ledger_entries")
        ),
        sa.ForeignKeyConstraint(
            ["reward_id"], ["rewards.id"], name=op.f("fk_spent_lots_reward_id_rewards")
        ),
        sa.PrimaryKeyConstraint("entry_id", "reward_id", name=op.f("pk_spent_lots")),
    )
    op.create_table(
        "reward_caps",
        sa.Column("campaign_id", RowId, nullable=False),
        sa.Column("rule", sa.String(length=160), nullable=False),
        sa.Column("scope", sa.String(length=40), nullable=False),
        sa.Column("used", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["campaign_id"], ["campaigns.id"], name=op.f("fk_reward_caps_campaign_id_campaigns")
        ),
        sa.PrimaryKeyConstraint("campaign_id", "rule", "scope", name=op.f("pk_reward_caps")),
    )
    op.create_table(
        "audit_entries",
        sa.Column("id", RowId, nullable=False),
        sa.Column("by", sa.String(length=254), nullable=False),
        sa.Column("action", sa.String(length=40), nullable=False),
        sa.Column("subject", sa.String(length=80), nullable=False),
        sa.Column("details", JSONDocument, nullable=False),
        sa.Column("at", Time, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_entries")),
    )
    for column in ("subject", "at"):
        op.create_index(op.f(f"ix_audit_entries_{column}"), "audit_entries", [column])
    make_append_only("audit_entries")
    more_terms()


def widen_accounts() -> None:
    with op.batch_alter_table("accounts") as table:
        table.alter_column("unit", type_=sa.String(length=60))
        table.drop_constraint(op.f("ck_accounts_balance_not_negative"), type_="check")
        table.create_check_constraint(
            op.f("ck_accounts_balance_not_negative"), "kind IN ('issue', 'owed') OR balance >= 0"
        )
        table.create_check_constraint(
            op.f("ck_accounts_debt_not_positive"), "kind <> 'owed' OR balance <= 0"
        )


def widen_rewards() -> None:
    with op.batch_alter_table("rewards") as table:
        table.alter_column("unit", type_=sa.String(length=60))
        table.alter_column("rule", type_=sa.String(length=160))
        table.add_column(sa.Column("holder_id", RowId, nullable=True))
        table.add_column(sa.Column("left", sa.BigInteger(), nullable=True))
        table.add_column(sa.Column("taken_back", sa.BigInteger(), nullable=True))
        table.add_column(sa.Column("lapsed", sa.BigInteger(), nullable=True))
        table.add_column(sa.Column("why", sa.String(length=40), nullable=True))
        table.add_column(sa.Column("is_cleared", sa.Boolean(), nullable=True))
        table.add_column(sa.Column("expires_at", Time, nullable=True))
        table.drop_index(op.f("ix_rewards_available_at"))
        table.drop_index(op.f("ix_rewards_beneficiary_id"))
    op.execute(
        'UPDATE rewards SET holder_id = beneficiary_id, "left" = amount, taken_back = 0, '
        "lapsed = 0, is_cleared = TRUE"
    )
    with op.batch_alter_table("rewards") as table:
        for column in ("holder_id", "left", "taken_back", "lapsed", "is_cleared"):
            table.alter_column(column, nullable=False)
        table.create_foreign_key(
            op.f("fk_rewards_holder_id_customers"), "customers", ["holder_id"], ["id"]
        )
        table.create_check_constraint(
            op.f("ck_rewards_parts"), '"left" >= 0 AND taken_back >= 0 AND lapsed >= 0'
        )
        table.create_check_constraint(
            op.f("ck_rewards_parts_of_amount"), '"left" + taken_back + lapsed <= amount'
        )
        table.create_check_constraint(
            op.f("ck_rewards_cleared_before_paid"), "state <> 'available' OR is_cleared"
        )
    op.create_index(op.f("ix_rewards_holder_id"), "rewards", ["holder_id"])
    op.create_index(
        "ix_rewards_to_release",
        "rewards",
        ["available_at", "id"],
        sqlite_where=TO_RELEASE,
        postgresql_where=TO_RELEASE,
    )
    op.create_index(
        op.f("ix_rewards_expires_at"),
        "rewards",
        ["expires_at"],
        sqlite_where=UNSPENT,
        postgresql_where=UNSPENT,
    )


def more_terms() -> None:
    with op.batch_alter_table("campaigns") as table:
        table.add_column(sa.Column("budgets", JSONDocument, nullable=False, server_default="{}"))
        table.add_column(sa.Column("currency", sa.String(length=3), nullable=True))
        # What was published before said nothing of an end, so there is none.
        table.add_column(sa.Column("lasts_days", sa.Integer(), nullable=True))
        table.drop_constraint(op.f("ck_campaigns_budget_positive"), type_="check")
        table.create_check_constraint(op.f("ck_campaigns_budget_not_negative"), "budget >= 0")
    with op.batch_alter_table("campaigns") as table:
        table.alter_column("budgets", server_default=None)


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
