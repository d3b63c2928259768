"""Whether visits get in: what waits, who works it off, and what is wrong."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from referral.intake.stream import ShardFault, StreamAway, StreamState, VisitStream
from referral.intake.waiting import WaitingState, WaitingTable, state_of

LATE = timedelta(seconds=60)
"""Nothing waits for so long while workers keep up."""
DIRECT = "direct"
WELL = "ok"
AWAY = "Redis is away; visits go straight into the database"
_WHY = {ShardFault.away: "is away", ShardFault.alone: "has no replica"}


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
    table: WaitingState | None = None
    """What waits in the database; None where visits are stored at once, and while it is away."""

    @property
    def is_waited(self) -> bool:
        """Whether visits wait for a worker."""
        return self.is_streamed or self.table is not None

    @property
    def is_away(self) -> bool:
        return self.is_streamed and self.state is None

    @property
    def faults(self) -> tuple[Fault, ...]:
        waiting = self._waiting
        wrong = {
            Fault.late: any(each.oldest > LATE for each in waiting),
            Fault.idle: any(_has_none(each) for each in waiting),
        }
        return tuple(fault for fault, is_so in wrong.items() if is_so)

    @property
    def _waiting(self) -> list[StreamState | WaitingState]:
        """Where something waits."""
        return [each for each in (self.state, self.table) if each is not None and each.entries]

    @property
    def words(self) -> str:
        """One sentence for whoever runs the service."""
        if not self.is_waited:
            return DIRECT
        if not self.faults:
            away = AWAY if self.is_away else WELL
            return f"{away}{shards_away(self.state)}"
        said = "; ".join([AWAY] * self.is_away + [waiting(each) for each in self._waiting])
        if Fault.idle in self.faults:
            said += "; no worker runs"
        return f"{said}{shards_away(self.state)}"


def waiting(state: StreamState | WaitingState) -> str:
    """How much waits and for how long."""
    if not state.entries:
        return "none wait"
    seconds = int(state.oldest.total_seconds())
    said = f"{state.entries:,} entries wait, the oldest for {seconds:,} s"
    if state.entries == 1:
        said = f"1 entry waits, for {seconds:,} s"
    last = state.last if isinstance(state, StreamState) else None
    return f"{said} in shard {last.number} at {last.node}" if last else said


def shards_away(state: StreamState | None) -> str:
    """What is to be said of the shards of a Cluster that take no visits; empty without one."""
    by_node: dict[tuple[str, ShardFault | None], list[str]] = {}
    for each in state.faulty if state else ():
        by_node.setdefault((each.node, each.fault), []).append(str(each.number))
    said = [
        f"; the node {node} of {_shards(numbers)} {_WHY[fault]}"
        for (node, fault), numbers in by_node.items()
        if fault
    ]
    return f"{''.join(said)}: their visits go straight into the database" if said else ""


def _shards(numbers: Sequence[str]) -> str:
    return f"shard {numbers[0]}" if len(numbers) == 1 else f"shards {', '.join(numbers)}"


def _has_none(state: StreamState | WaitingState) -> bool:
    """Whether it is known that no worker runs."""
    return not state.workers and (not isinstance(state, StreamState) or state.is_heard)


def health(stream: VisitStream | None, table: WaitingTable | None = None) -> Health:
    if stream is None:
        return Health(is_streamed=False, state=None, table=state_of(table))
    try:
        return Health(is_streamed=True, state=stream.state(), table=state_of(table))
    except StreamAway:
        return Health(is_streamed=True, state=None, table=state_of(table))
