"""Every part that has tables, imported: the whole schema for migrations."""

from referral import (  # noqa: F401
    batches,
    campaigns,
    catalog,
    claims,
    graph,
    idempotency,
    ledger,
    limits,
    people,
    rewards,
    staff,
    visits,
)
