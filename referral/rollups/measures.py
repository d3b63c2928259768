"""What holds for all customers: what was assumed of their value, and where the lines are drawn."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Self

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from referral.config import ValueSettings
from referral.db import Base
from referral.rollups.life import Further, Habits

_ONLY = 1


class ValueMeasures(Base):
    """What was measured of all customers together, when values were last worked out. One row."""

    __tablename__ = "value_measures"

    id: Mapped[int] = mapped_column(sa.SmallInteger, primary_key=True, autoincrement=False)
    at: Mapped[datetime]
    whole_at: Mapped[datetime]
    measures: Mapped[dict[str, Any]]
    """The rest of `Measures`."""


@dataclass(frozen=True)
class Sum:
    """How many customers are somewhere, and what they are worth together."""

    people: int = 0
    own: int = 0
    referral: int = 0


@dataclass(frozen=True)
class Measures:
    """What holds for all customers: what was assumed, and where the lines are drawn."""

    at: datetime
    """When values were last worked out, and when all of them were."""
    whole_at: datetime
    settings: ValueSettings
    habits: Habits
    own_line: int = 0
    """Who is above it, by own value, is worth more than most who are in a quadrant."""
    referral_line: int = 0
    """The same by the value of those brought in."""
    stages: Mapping[str, int] = field(default_factory=dict)
    quadrants: Mapping[str, Sum] = field(default_factory=dict)
    sample: Sequence[tuple[int, int, int]] = ()
    """Some customers who are in a quadrant: number, own value, value of those brought in."""
    marks: Mapping[str, int] = field(default_factory=dict)
    """The last claim, refund and merge that were certainly seen."""

    def dump(self) -> dict[str, Any]:
        return {
            "settings": asdict(self.settings),
            "days": self.habits.days,
            "classes": [[*of, n.people, n.purchases] for of, n in self.habits.classes.items()],
            "lines": [self.own_line, self.referral_line],
            "stages": dict(self.stages),
            "quadrants": {
                name: [n.people, n.own, n.referral] for name, n in self.quadrants.items()
            },
            "sample": [list(each) for each in self.sample],
            "marks": dict(self.marks),
        }

    @classmethod
    def load(cls, row: ValueMeasures) -> Self:
        told = row.measures
        classes = {
            (bought, since): Further(people, purchases)
            for bought, since, people, purchases in told["classes"]
        }
        return cls(
            at=row.at,
            whole_at=row.whole_at,
            settings=ValueSettings(**told["settings"]),
            habits=Habits(told["days"], classes),
            own_line=told["lines"][0],
            referral_line=told["lines"][1],
            stages=told["stages"],
            quadrants={name: Sum(*each) for name, each in told["quadrants"].items()},
            sample=[(number, own, referral) for number, own, referral in told["sample"]],
            marks=told["marks"],
        )


def measures(tx: Session) -> Measures | None:
    """What was measured last; None before the first time."""
    row = tx.get(ValueMeasures, _ONLY)
    return Measures.load(row) if row else None


def keep(tx: Session, made: Measures) -> None:
    tx.merge(ValueMeasures(id=_ONLY, at=made.at, whole_at=made.whole_at, measures=made.dump()))
    tx.flush()
