"""Verdicts: no reward without one. Rules as they are set, blocked customers, shared browsers."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0011"
down_revision = "0010"

RowId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
JSONDocument = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
Time = sa.DateTime(timezone=True)


def upgrade() -> None:
    verdicts()
    settings()
    people()
    verdicts_from_before()
    with op.batch_alter_table("rewards") as table:
        table.create_foreign_key(
            op.f("fk_rewards_event_verdicts"), "verdicts", ["event"], ["event"]
        )
    latest_first()


def verdicts() -> None:
    op.create_table(
        "verdicts",
        sa.Column("id", RowId, nullable=False),
        sa.Column("event", sa.String(length=60), nullable=False),
        sa.Column("customer_id", RowId, nullable=False),
        sa.Column("referrer_id", RowId, nullable=True),
        sa.Column("campaign_id", RowId, nullable=False),
        sa.Column("at", Time, nullable=False),
        sa.Column("score", sa.SmallInteger(), nullable=False),
        sa.Column("decision", sa.String(length=8), nullable=False),
        sa.Column("findings", JSONDocument, nullable=False),
        sa.Column("facts", JSONDocument, nullable=False),
        sa.Column("is_paid_referral", sa.Boolean(), nullable=False),
        sa.Column("looked_at", Time, nullable=True),
        sa.Column("case_state", sa.String(length=8), nullable=True),
        sa.Column("reviewed_by", sa.String(length=254), nullable=True),
        sa.Column("reviewed_at", Time, nullable=True),
        sa.Column("reason", sa.String(length=300), nullable=True),
        sa.CheckConstraint(
            "decision IN ('pay', 'review', 'hold')", name=op.f("ck_verdicts_known_decision")
        ),
        sa.CheckConstraint("score BETWEEN 0 AND 100", name=op.f("ck_verdicts_score_range")),
        sa.CheckConstraint(
            "decision = 'pay' OR case_state IS NOT NULL", name=op.f("ck_verdicts_review_is_a_case")
        ),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["customers.id"], name=op.f("fk_verdicts_customer_id_customers")
        ),
        sa.ForeignKeyConstraint(
            ["referrer_id"], ["customers.id"], name=op.f("fk_verdicts_referrer_id_customers")
        ),
        sa.ForeignKeyConstraint(
            ["campaign_id"], ["campaigns.id"], name=op.f("fk_verdicts_campaign_id_campaigns")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_verdicts")),
        sa.UniqueConstraint("event", name=op.f("uq_verdicts_event")),
    )
    for column in ("customer_id", "at"):
        op.create_index(op.f(f"ix_verdicts_{column}"), "verdicts", [column])
    partial("ix_verdicts_paid_referrals", ["referrer_id", "at"], "is_paid_referral")
    partial("ix_verdicts_referrer", ["referrer_id"], "referrer_id IS NOT NULL")
    partial("ix_verdicts_cases", ["case_state", "id"], "case_state IS NOT NULL")
    partial("ix_verdicts_to_look_at", ["id"], "looked_at IS NULL")


def partial(name: str, columns: list[str], where: str) -> None:
    condition = sa.text(where)
    op.create_index(name, "verdicts", columns, sqlite_where=condition, postgresql_where=condition)


def settings() -> None:
    op.create_table(
        "risk_rules",
        sa.Column("rule", sa.String(length=40), nullable=False),
        sa.Column("mode", sa.String(length=8), nullable=False),
        sa.Column("points", sa.SmallInteger(), nullable=False),
        sa.CheckConstraint(
            "mode IN ('on', 'shadow', 'off')", name=op.f("ck_risk_rules_known_mode")
        ),
        sa.CheckConstraint("points BETWEEN 0 AND 100", name=op.f("ck_risk_rules_points_range")),
        sa.PrimaryKeyConstraint("rule", name=op.f("pk_risk_rules")),
    )


def people() -> None:
    op.create_table(
        "blocked_customers",
        sa.Column("customer_id", RowId, nullable=False),
        sa.Column("by", sa.String(length=254), nullable=False),
        sa.Column("reason", sa.String(length=300), nullable=False),
        sa.Column("at", Time, nullable=False),
        sa.ForeignKeyConstraint(
            ["customer_id"],
            ["customers.id"],
            name=op.f("fk_blocked_customers_customer_id_customers"),
        ),
        sa.PrimaryKeyConstraint("customer_id", name=op.f("pk_blocked_customers")),
    )
    op.create_table(
        "shared_devices",
        sa.Column("customer_id", RowId, nullable=False),
        sa.Column("other_id", RowId, nullable=False),
        sa.Column("first_at", Time, nullable=False),
        sa.CheckConstraint("customer_id <> other_id", name=op.f("ck_shared_devices_two_customers")),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["customers.id"], name=op.f("fk_shared_devices_customer_id_customers")
        ),
        sa.ForeignKeyConstraint(
            ["other_id"], ["customers.id"], name=op.f("fk_shared_devices_other_id_customers")
        ),
        sa.PrimaryKeyConstraint("customer_id", "other_id", name=op.f("pk_shared_devices")),
    )
    op.create_index(op.f("ix_shared_devices_other_id"), "shared_devices", ["other_id"])
    op.create_table(
        "customer_networks",
        sa.Column("customer_id", RowId, nullable=False),
        sa.Column("block", sa.String(length=32), nullable=False),
        sa.Column("last_at", Time, nullable=False),
        sa.ForeignKeyConstraint(
            ["customer_id"],
            ["customers.id"],
            name=op.f("fk_customer_networks_customer_id_customers"),
        ),
        sa.PrimaryKeyConstraint("customer_id", "block", name=op.f("pk_customer_networks")),
    )
    op.create_index(op.f("ix_customer_networks_last_at"), "customer_networks", ["last_at"])


def verdicts_from_before() -> None:
    """A verdict for every event that was paid before there were any, which says so."""
    document = "JSONB" if op.get_bind().dialect.name == "postgresql" else "TEXT"
    op.execute(
        f"""
        INSERT INTO verdicts (event, customer_id, referrer_id, campaign_id, at, score, decision,
            findings, facts, is_paid_referral, looked_at, reason)
        SELECT r.event, COALESCE(c.customer_id, MIN(r.beneficiary_id)),
            MAX(CASE WHEN r.depth = 1 THEN r.beneficiary_id END), MIN(r.campaign_id),
            MIN(r.granted_at), 0, 'pay', CAST('[]' AS {document}),
            CAST('{{"before": true}}' AS {document}),
            MAX(r.depth) >= 1 AND MAX(f.customer_id) IS NOT NULL, MIN(r.granted_at),
            'Granted before verdicts were kept.'
        FROM rewards r
        LEFT JOIN claims c ON c.id = CASE WHEN r.event LIKE 'claim:%'
            THEN CAST(substr(r.event, 7) AS BIGINT) END
        LEFT JOIN referrals f ON f.customer_id = c.customer_id AND f.event = r.event
        GROUP BY r.event, c.customer_id
        ORDER BY MIN(r.granted_at), MIN(r.id)
        """  # noqa: S608 - nothing in it comes from outside
    )


def latest_first() -> None:
    """Find somebody's latest claims, and the latest whom somebody brought in."""
    op.drop_index(op.f("ix_claims_customer_id"), "claims")
    op.create_index(op.f("ix_claims_customer_id_at"), "claims", ["customer_id", "at"])
    op.drop_index(op.f("ix_referrals_referrer_id"), "referrals")
    op.create_index(op.f("ix_referrals_referrer_id_at"), "referrals", ["referrer_id", "at"])
