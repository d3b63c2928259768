"""The ledger: double-entry, append-only, whole numbers; every balance kept beside what made it.

`entries` are written, `accounts` hold balances, and `seals` tell if anything is not as it was
written.
"""

from referral.ledger.accounts import (
    Account,
    AccountName,
    Insufficient,
    Kind,
    account,
    balances,
    balances_of_kinds,
)
from referral.ledger.entries import (
    AlreadyPosted,
    LedgerEntry,
    Move,
    Posting,
    budget,
    fund,
    post,
    post_along,
    verify,
)

__all__ = [
    "Account",
    "AccountName",
    "AlreadyPosted",
    "Insufficient",
    "Kind",
    "LedgerEntry",
    "Move",
    "Posting",
    "account",
    "balances",
    "balances_of_kinds",
    "budget",
    "fund",
    "post",
    "post_along",
    "verify",
]
