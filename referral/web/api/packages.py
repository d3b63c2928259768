"""Print packages: which codes of a batch were handed over for printing, when and to whom."""

from datetime import datetime

from referral import batches, packages
from referral.batches import UnknownBatch
from referral.codes import Label
from referral.reports import lists
from referral.web.api.endpoint import Output, get
from referral.web.api.paging import Page, following
from referral.web.context import deployment


class PackageOut(Output):
    """A package of codes that was written for a printer, by `referral codes export`."""

    id: str
    label: Label
    start: int
    end: int
    """Not included."""
    count: int
    """How many codes it holds: fewer than the range has when it is for a supplier."""
    supplier: str | None
    """Whom it is for; null for a package without a fingerprint."""
    sha256: str
    """Of its codes, unencrypted, as one file."""
    by: str
    """Who wrote it."""
    at: datetime


class PackageList(Output):
    """A page of packages, oldest first."""

    items: list[PackageOut]
    next: str | None


@get("/batches/<int:batch_id>/packages", query=Page, answer=PackageList, problems=[UnknownBatch])
def list_packages(batch_id: int, query: Page) -> PackageList:
    """List a batch's print packages.

    Which of its codes were handed over for printing, when and to whom.
    """
    with deployment().db.read() as tx:
        batches.batch_by_id(tx, batch_id)
        # A batch has a few printer orders: cutting the page out here saves a query of its own.
        known = packages.packages_of(tx, [batch_id])[query.offset :][: query.size + 1]
    found = lists.listed(known, query.offset, query.size)
    items = [PackageOut.model_validate(package, from_attributes=True) for package in found.rows]
    return PackageList(items=items, next=following(found))
