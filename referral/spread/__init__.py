"""The spread of a campaign: who opened whose link, counted, drawn, and played again."""

from referral.spread.nodes import (
    SpreadNode,
    Step,
    attach,
    children_of,
    forget_opening,
    hold_still,
    hop_of,
    leave,
    path_up,
    step_of,
    touches_of,
)

__all__ = [
    "SpreadNode",
    "Step",
    "attach",
    "children_of",
    "forget_opening",
    "hold_still",
    "hop_of",
    "leave",
    "path_up",
    "step_of",
    "touches_of",
]
