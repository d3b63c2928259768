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
from referral.spread.reached import Reached, asking_reached, reached, reached_of

__all__ = [
    "Reached",
    "SpreadNode",
    "Step",
    "asking_reached",
    "attach",
    "children_of",
    "forget_opening",
    "hold_still",
    "hop_of",
    "leave",
    "path_up",
    "reached",
    "reached_of",
    "step_of",
    "touches_of",
]
