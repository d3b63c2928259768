"""Every part that has tables, imported: the whole schema for migrations."""

from referral import (  # noqa: F401
    audit,
    batches,
    campaigns,
    catalog,
    claims,
    complaints,
    coupons,
    database_time,
    dead_links,
    flags,
    graph,
    hand_credits,
    idempotency,
    ledger,
    limits,
    misses,
    orders,
    packages,
    people,
    pictures,
    product_links,
    ranges,
    ratings,
    rewards,
    risk,
    rollups,
    segments,
    spread,
    staff,
    stores,
    visits,
)
from referral.campaigns import of_stores  # noqa: F401
from referral.exports import jobs  # noqa: F401
from referral.intake import parked, waiting  # noqa: F401
from referral.ledger import seals  # noqa: F401
from referral.redemption import items, tills, vouchers  # noqa: F401
from referral.rollups import (  # noqa: F401
    customer_values,
    days,
    last_days,
    measures,
    milestones,
    moments,
    rates,
    sharers,
    sums,
    tallies,
    tree,
)
from referral.spread import counters  # noqa: F401
from referral.staff import passkeys, recovery, spent, subjects, totp  # noqa: F401
from referral.visits import keeping  # noqa: F401
from referral.wechat import tickets  # noqa: F401
