"""The customers of a segment as a file: by nickname, with what they are worth. No contacts.

The job has the conditions as they were when it was asked for, and its moment is the one that days
are counted back from: whatever becomes of the segment meanwhile.
"""

import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral.errors import N_
from referral.exports.cells import major
from referral.exports.kinds import AT_ONCE, Column, Key, Kind, Page, Value, Wanted, register
from referral.people import Customer
from referral.rollups.customer_values import CustomerValue
from referral.rollups.measures import measures
from referral.segments import COUNTED_MAX, Conditions, count, meets


def _page(tx: Session, wanted: Wanted, after: Key | None) -> Page:
    value = CustomerValue
    # By number, which never changes: whoever's value does meanwhile is still in it once at most.
    found = tx.execute(
        sa.select(value, Customer.name_encrypted)
        .join(Customer, Customer.id == value.customer_id)
        .where(value.customer_id > (after[0] if after else 0))
        .where(*meets(_said(wanted), wanted.at))
        .order_by(value.customer_id)
        .limit(AT_ONCE)
    ).all()
    known = measures(tx)
    currency = known.settings.currency if known else ""
    rows = [_row(row, wanted.keys.decrypt_if_any(name), currency) for row, name in found]
    return Page(rows, [found[-1][0].customer_id] if len(found) == AT_ONCE else None)


def _row(row: CustomerValue, name: str | None, currency: str) -> tuple[Value, ...]:
    return (
        row.customer_id,
        name,
        row.stage,
        row.quadrant,
        row.purchases,
        row.first_at,
        row.last_at,
        major(row.past, currency),
        major(row.year, currency),
        major(row.potential, currency),
        row.brought,
        major(row.referral, currency),
        currency,
    )


def _said(wanted: Wanted) -> Conditions:
    return Conditions.load(wanted.params["conditions"])


def _count(tx: Session, wanted: Wanted) -> int | None:
    found = count(tx, _said(wanted), wanted.at)
    return None if found > COUNTED_MAX else found


register(
    Kind(
        name="segment",
        title=N_("Customers of a segment"),
        columns=(
            Column("customer", N_("Customer")),
            Column("name", N_("Name"), 20),
            Column("stage", N_("Life stage")),
            Column("quadrant", N_("Quadrant")),
            Column("purchases", N_("Purchases")),
            Column("first", N_("First purchase"), 20),
            Column("last", N_("Last purchase"), 20),
            Column("past", N_("Value: past")),
            Column("year", N_("Value: this year")),
            Column("potential", N_("Value: potential")),
            Column("brought", N_("Customers brought in")),
            Column("referral", N_("Value of those brought in")),
            Column("currency", N_("Currency"), 8),
        ),
        page=_page,
        count=_count,
        of_segment=True,
    )
)
