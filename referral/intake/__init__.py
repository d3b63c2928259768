"""The way in for visits, and what works off those that wait."""

from referral.intake.way_in import Intake, hand_in, note_ran

__all__ = ["Intake", "hand_in", "note_ran"]
