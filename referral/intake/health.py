"""Whether visits get in: what waits, who works it off, and what is wrong."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from referral.intake.stream import StreamAway, StreamState, VisitStream

LATE = timedelta(seconds=60)
"""Nothing waits for so long while workers keep up."""
DIRECT = "direct"
WELL = "ok"
AWAY = "Redis is away; visits go straight into the database"


class Fault(StrEnum):
    late = "late"
    """Something has been waiting for too long."""
    idle = "idle"
    """Something waits, and no worker runs."""


@dataclass(frozen=True)
class Health:
    """How visits get in at the moment."""

    is_streamed: bool
    """Whether they are to go through the stream."""
    state: StreamState | None
    """None without a stream, and while Redis is away: visits go straight into the database then."""

    @property
    def is_away(self) -> bool:
        return self.is_streamed and self.state is None

    @property
    def faults(self) -> tuple[Fault, ...]:
        if self.state is None or not self.state.entries:
            return ()
        wrong = {Fault.late: self.state.oldest > LATE, Fault.idle: not self.state.workers}
        return tuple(fault for fault, is_so in wrong.items() if is_so)

    @property
    def words(self) -> str:
        """One sentence for whoever runs the service."""
        if not self.is_streamed:
            return DIRECT
        if self.state is None:
            return AWAY
        if not self.faults:
            return WELL
        said = waiting(self.state)
        return f"{said}; no worker runs" if Fault.idle in self.faults else said


def waiting(state: StreamState) -> str:
    """How much waits and for how long."""
    if not state.entries:
        return "none wait"
    seconds = int(state.oldest.total_seconds())
    if state.entries == 1:
        return f"1 entry waits, for {seconds:,} s"
    return f"{state.entries:,} entries wait, the oldest for {seconds:,} s"


def health(stream: VisitStream | None) -> Health:
    if stream is None:
        return Health(is_streamed=False, state=None)
    try:
        return Health(is_streamed=True, state=stream.state())
    except StreamAway:
        return Health(is_streamed=True, state=None)
