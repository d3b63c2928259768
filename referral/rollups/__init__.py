"""Rollups: what is counted once and kept, so that figures are read from few rows."""

from referral.rollups.hours import (
    CORRECTIONS,
    SLOTS,
    Difference,
    VisitCount,
    count,
    differences,
    mend_sums,
    recount,
    sum_differences,
    turn,
)

__all__ = [
    "CORRECTIONS",
    "SLOTS",
    "Difference",
    "VisitCount",
    "count",
    "differences",
    "mend_sums",
    "recount",
    "sum_differences",
    "turn",
]
