"""The staff console: what a brand's people see and do. One noun, one file."""

from referral.web.staff import (  # noqa: F401 - importing them adds their routes
    auth,
    batches,
    campaigns,
    customers,
    home,
    products,
    search,
    spread,
    tree,
)
from referral.web.staff.blueprint import staff

__all__ = ["staff"]
