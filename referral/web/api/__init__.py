"""The HTTP API under /api/v1. One noun, one module; each registers its views on the blueprint."""

from referral.web.api import (
    activity,
    alarms,
    batches,
    campaigns,
    cases,
    claims,
    codes,
    coupons,
    customers,
    draws,
    flags,
    forecasts,
    items,
    keeping,
    links,
    orders,
    packages,
    pictures,
    product_links,
    products,
    ranges,
    redemptions,
    spec,
    stores,
)
from referral.web.api.endpoint import api
from referral.web.security import csrf

__all__ = [
    "activity",
    "alarms",
    "api",
    "batches",
    "campaigns",
    "cases",
    "claims",
    "codes",
    "coupons",
    "customers",
    "draws",
    "flags",
    "forecasts",
    "items",
    "keeping",
    "links",
    "orders",
    "packages",
    "pictures",
    "product_links",
    "products",
    "ranges",
    "redemptions",
    "stores",
]

# No cookie counts here, only a key: there is nothing that a forged form could borrow.
csrf.exempt(api)
api.record_once(spec.set_up)
