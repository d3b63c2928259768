"""The way in for visits, and what works off those that wait."""

from referral.intake.way_in import Intake, begin, hand_in, note_ran

__all__ = ["Intake", "begin", "hand_in", "note_ran"]
