"""What each role may do: the one table."""

from enum import StrEnum


class Role(StrEnum):
    owner = "owner"
    marketer = "marketer"
    analyst = "analyst"
    store_manager = "store_manager"
    support = "support"


class Right(StrEnum):
    read = "read"
    """See products, batches, campaigns, trees and the ledger; of people their nicknames."""
    change = "change"
    """Create and change them."""
    sign_off = "sign_off"
    """Answer by name for what the brand pays beyond the ordinary."""
    help = "help"
    """Answer customers: complaints, cases, blocks, coupons, vouchers."""
    see_people = "see_people"
    """Look at somebody's whole number or address, for a reason that is kept."""
    credit = "credit"
    """Credit a customer by hand; over a limit somebody else approves it."""
    approve = "approve"
    """Approve what somebody else wants to credit."""
    export = "export"
    """Take lists of people and money out of the console."""
    run_store = "run_store"
    """Run one store: its campaigns, posters and tills."""
    manage_staff = "manage_staff"
    """Add members, change their roles, end their sessions."""
    audit = "audit"
    """Read who saw or changed what."""


RIGHTS: dict[Role, frozenset[Right]] = {
    Role.owner: frozenset(Right) - {Right.run_store},
    Role.marketer: frozenset({Right.read, Right.change, Right.approve, Right.export}),
    Role.analyst: frozenset({Right.read, Right.export}),
    Role.store_manager: frozenset({Right.run_store}),
    Role.support: frozenset({Right.read, Right.help, Right.see_people, Right.credit}),
}
