"""The stream in parts, so that the nodes of a Cluster share it: whose events are in which."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from referral.intake.events import Event, Visited, visitor_of
from referral.redis_server import RedisServer

SHARDS = 16
"""Into how many a stream is parted in a Cluster. Not to be changed while anything waits: workers
read no others."""


@dataclass(frozen=True)
class Shards:
    """The keys of one stream. Each is in a slot of its own."""

    base: str
    """What else belongs to the stream has keys that begin so, all in one slot."""
    keys: tuple[str, ...]

    def parted(self, events: Sequence[Event]) -> Mapping[str, Sequence[int]]:
        """By key, which of these events go there."""
        found: dict[str, list[int]] = {}
        for position, event in enumerate(events):
            found.setdefault(self.keys[self.of(event)], []).append(position)
        return found

    def of(self, event: Event) -> int:
        """The shard of its visitor. Nobody's events are shared out by their numbers."""
        number = visitor_of(event)
        if not number and isinstance(event, Visited):
            number = event.visit.event_id.int
        return number % len(self.keys)


def shards_of(server: RedisServer, key: str) -> Shards:
    """One on one server, where what waits already goes on being read."""
    if not server.is_cluster:
        return Shards(key, (key,))
    return Shards(f"{{{key}}}", tuple(f"{key}|{{{number}}}" for number in range(SHARDS)))
