"""Figures by run and day."""

from dataclasses import dataclass

import numpy as np

from referral.forecast.branching import Floats, Ints


@dataclass(frozen=True)
class Grid:
    """So many runs of so many days: a row for each run, a column for each day."""

    runs: int
    days: int

    def zeros(self) -> Floats:
        return np.zeros((self.runs, self.days))

    def cell(self, run: Ints, at: Floats) -> Ints:
        """Where what happens in these runs at these times belongs, all rows in one line."""
        return run * self.days + at.astype(np.int64)

    def counted(self, cell: Ints) -> Ints:
        """How many of these there are, by run and day."""
        found = np.bincount(cell, minlength=self.runs * self.days)
        return found.reshape(self.runs, self.days).astype(np.int64)

    def added(self, cell: Ints, amount: Ints) -> Floats:
        """What they come to, by run and day."""
        found = np.bincount(cell, amount, minlength=self.runs * self.days)
        return found.reshape(self.runs, self.days).astype(np.float64, copy=False)
