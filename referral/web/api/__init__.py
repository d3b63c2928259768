"""The HTTP API under /api/v1. One noun, one module; each registers its views on the blueprint."""

from referral.web.api import batches, campaigns, claims, customers, links, products, spec
from referral.web.api.endpoint import api
from referral.web.security import csrf

__all__ = ["api", "batches", "campaigns", "claims", "customers", "links", "products"]

# No cookie counts here, only a key: there is nothing that a forged form could borrow.
csrf.exempt(api)
api.record_once(spec.set_up)
