"""Every part that has tables, imported: the whole schema for migrations."""

from referral import (  # noqa: F401
    audit,
    batches,
    campaigns,
    catalog,
    claims,
    coupons,
    dead_links,
    flags,
    graph,
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
    rewards,
    risk,
    rollups,
    spread,
    staff,
    stores,
    visits,
)
from referral.intake import parked, waiting  # noqa: F401
from referral.ledger import seals  # noqa: F401
from referral.redemption import items, tills, vouchers  # noqa: F401
from referral.rollups import rates, sharers, sums, tallies  # noqa: F401
from referral.spread import counters  # noqa: F401
from referral.visits import keeping  # noqa: F401
from referral.wechat import tickets  # noqa: F401
