"""A worker's end of the stream: it is given entries, and says when they are committed."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from referral.intake.nodes import Answers, Command, Nodes
from referral.intake.shards import shards_of
from referral.redis_server import RedisServer, read_address

GROUP = "workers"
FIELD = b"e"
SERVER_SECONDS = 10.0
"""How long to wait for an answer of one server, which waits itself while there are no entries."""
NODE_SECONDS = 2.0
"""The same of a node of a Cluster: meanwhile the entries of the others wait as well."""
CONNECT_SECONDS = 0.5
LOOK_SECONDS = 0.05
"""How often a Cluster is asked for entries while there are none: no command waits at several nodes
at once."""
_FIRST = b"0-0"


class StreamAway(Exception):
    """Redis is not there, or takes nothing."""

    def __init__(self, left: Sequence[int] | None = None) -> None:
        super().__init__()
        self._left = left

    def left(self, count: int) -> Sequence[int]:
        """Which of so many events that were handed in are not known to be safe."""
        return range(count) if self._left is None else self._left


@dataclass(frozen=True)
class Entry:
    """Events that were handed in together."""

    id: str
    """In a Cluster with the number of its shard in front: 3/1700000000000-0."""
    data: bytes
    deliveries: int = 1
    """How often it was given to a worker."""


class StreamReader:
    """One worker's end. All methods raise `StreamAway`; while only some shards of a Cluster are
    away, they are about the others."""

    def __init__(self, url: str, key: str, name: str) -> None:
        self.name = name
        seconds = NODE_SECONDS if read_address(url).is_cluster else SERVER_SECONDS
        self._server = RedisServer(url, timeout=seconds, connect_timeout=CONNECT_SECONDS)
        self._keys = shards_of(self._server, key).keys
        self._nodes = Nodes(self._server)
        self._turn = 0
        self._unsure: dict[str, str] = {}
        """Shards that were away: what they gave may never have come, and what they were told may
        never have arrived. By key, up to which number that has been looked through since."""

    def begin(self) -> None:
        """Make the group of workers where there is none yet."""
        self._begin(self._keys)

    def new(self, most: int, wait: timedelta) -> list[Entry]:
        """Entries that no worker has been given yet. While a shard is away and the others have
        none, it raises: more may be waiting."""
        if entries := self._left_over(most):
            return entries
        if not self._server.is_cluster:
            millis = max(1, int(wait.total_seconds() * 1000))
            found, _ = self._read(self._keys, most, "BLOCK", millis)
            return found[self._keys[0]]
        until = time.monotonic() + wait.total_seconds()
        while True:
            entries, is_whole = self._from_all(most)
            if entries or not is_whole:
                break
            left = until - time.monotonic()
            if left <= 0:
                break
            time.sleep(min(LOOK_SECONDS, left))
        if not entries and not is_whole:
            raise StreamAway
        return entries

    def _left_over(self, most: int) -> list[Entry]:
        """Entries of shards that were away, which this worker was given before. What of them is
        committed is committed once."""
        keys = list(self._unsure)[:most]
        if not keys:
            return []
        share = most // len(keys)
        command = ("XREADGROUP", "GROUP", GROUP, self.name, "COUNT", share, "STREAMS")
        try:
            answers, _ = self._ask({key: [(*command, key, self._unsure[key])] for key in keys})
        except StreamAway:
            return []
        entries: list[Entry] = []
        for key, (said,) in answers.items():
            found = _entries_in(said)
            if len(found) < share:
                del self._unsure[key]
            else:
                self._unsure[key] = found[-1][0].decode()
            entries += [self._entry(key, one) for one in found if one[1]]
        return entries

    def _from_all(self, most: int) -> tuple[list[Entry], bool]:
        """From every shard its part, and then more of those that have more."""
        self._turn = (self._turn + 1) % len(self._keys)
        keys = [*self._keys[self._turn :], *self._keys[: self._turn]]
        entries: list[Entry] = []
        is_whole = True
        while keys and (not entries or len(entries) + len(keys) <= most):
            some, rest = keys[: most - len(entries)], keys[most - len(entries) :]
            share = (most - len(entries)) // len(some)
            found, are_there = self._read(some, share)
            is_whole = is_whole and are_there
            entries += [entry for each in found.values() for entry in each]
            keys = [*rest, *(key for key in some if len(found[key]) == share)]
        return entries, is_whole

    def _read(
        self, keys: Sequence[str], count: int, *more: Any
    ) -> tuple[dict[str, list[Entry]], bool]:
        """So many new entries of each, and whether all are there."""
        command = ("XREADGROUP", "GROUP", GROUP, self.name, "COUNT", count, *more, "STREAMS")
        answers, is_whole = self._ask({key: [(*command, key, ">")] for key in keys})
        found: dict[str, list[Entry]] = {key: [] for key in keys}
        for key, (said,) in answers.items():
            found[key] = [self._entry(key, one) for one in _entries_in(said)]
        return found, is_whole

    def abandoned(self, after: timedelta, most: int) -> list[Entry]:
        """Entries that were given to a worker so long ago and are not done, now this one's."""
        millis = int(after.total_seconds() * 1000)
        cursors = dict.fromkeys(self._keys, _FIRST)
        found: dict[str, list[Entry]] = {key: [] for key in self._keys}
        while cursors and (count := most - sum(map(len, found.values()))) > 0:
            share = max(1, count // len(cursors))
            claim = ("XAUTOCLAIM", GROUP, self.name, millis)
            answers, _ = self._ask(
                {
                    key: [(claim[0], key, *claim[1:], cursor, "COUNT", share)]
                    for key, cursor in cursors.items()
                }
            )
            for key, ((_, entries, *_rest),) in answers.items():
                found[key] += [self._entry(key, one) for one in entries if one and one[1]]
            cursors = {key: said[0][0] for key, said in answers.items() if said[0][0] != _FIRST}
        return self._with_deliveries({key: entries for key, entries in found.items() if entries})

    def _with_deliveries(self, found: Mapping[str, list[Entry]]) -> list[Entry]:
        if not found:
            return []
        commands: dict[str, list[Command]] = {}
        for key, entries in found.items():
            numbers = sorted((_own_number(each) for each in entries), key=_order)
            span = (numbers[0], numbers[-1], len(entries) + 10_000, self.name)
            commands[key] = [("XPENDING", key, GROUP, *span)]
        answers, _ = self._ask(commands)
        times = {
            self._entry(key, (number, None)).id: int(count)
            for key, (said,) in answers.items()
            for number, _, _, count in said
        }
        every = [entry for entries in found.values() for entry in entries]
        return [replace(each, deliveries=times.get(each.id, 1)) for each in every]

    def done(self, entries: Iterable[Entry]) -> None:
        """These are committed: they leave the stream."""
        numbers: dict[str, list[str]] = {}
        for entry in entries:
            numbers.setdefault(self._key_of(entry), []).append(_own_number(entry))
        if not numbers:
            return
        commands: dict[str, list[Command]] = {
            key: [("MULTI",), ("XACK", key, GROUP, *some), ("XDEL", key, *some), ("EXEC",)]
            for key, some in numbers.items()
        }
        _, is_whole = self._ask(commands)
        if not is_whole:
            raise StreamAway

    def forget_the_dead(self, after: timedelta) -> None:
        """Drop the names of workers that have not asked for so long and hold nothing."""
        answers, _ = self._ask({key: [("XINFO", "CONSUMERS", key, GROUP)] for key in self._keys})
        commands: dict[str, list[Command]] = {}
        for key, (said,) in answers.items():
            for each in map(_named, said):
                is_dead = each[b"idle"] >= after.total_seconds() * 1000 and not each[b"pending"]
                if is_dead and each[b"name"].decode() != self.name:
                    drop = ("XGROUP", "DELCONSUMER", key, GROUP, each[b"name"])
                    commands.setdefault(key, []).append(drop)
        if commands:
            self._ask(commands)

    def _begin(self, keys: Sequence[str]) -> None:
        make = ("XGROUP", "CREATE")
        self._ask({key: [(*make, key, GROUP, "0", "MKSTREAM")] for key in keys})

    def _ask(self, commands: Mapping[str, Sequence[Command]]) -> tuple[dict[str, list[Any]], bool]:
        """The answers of shards that are there, and whether all are."""
        good: dict[str, list[Any]] = {}
        groupless: list[str] = []
        away: Exception | None = None
        for key, answers in self._nodes.ask(commands).items():
            error = _error(answers)
            if isinstance(answers, list) and (error is None or _says(error, "BUSYGROUP")):
                good[key] = answers
            elif _says(error, "NOGROUP"):
                groupless.append(key)
            else:
                away = error
                self._unsure[key] = _FIRST.decode()
        if away is not None and not good and not groupless:
            raise StreamAway from away
        if groupless:  # Redis was emptied, or nobody has ever worked
            self._begin(groupless)
        return good, away is None

    def _entry(self, key: str, one: Any) -> Entry:
        number, fields = one[0].decode(), one[1]
        name = f"{self._keys.index(key)}/{number}" if self._server.is_cluster else number
        if not isinstance(fields, dict):
            fields = dict(zip(fields[::2], fields[1::2], strict=True)) if fields else {}
        return Entry(name, fields.get(FIELD, b""))

    def _key_of(self, entry: Entry) -> str:
        shard, slash, _ = entry.id.partition("/")
        return self._keys[int(shard) if slash else 0]

    def close(self) -> None:
        self._nodes.close()
        self._server.close()


def _entries_in(said: Any) -> list[Any]:
    """Those of the one stream that was read. What an older version of the protocol says in a list,
    a newer one says by name."""
    by_key = said.values() if isinstance(said, dict) else (one[1] for one in said or ())
    return [one for entries in by_key for one in entries]


def _error(answers: Answers) -> Exception | None:
    if isinstance(answers, Exception):
        return answers
    return next((each for each in answers if isinstance(each, Exception)), None)


def _says(error: Exception | None, word: str) -> bool:
    return str(error).startswith(word)


def _named(said: Any) -> dict[bytes, Any]:
    return said if isinstance(said, dict) else dict(zip(said[::2], said[1::2], strict=True))


def _own_number(entry: Entry) -> str:
    """As its shard numbers it."""
    return entry.id.rpartition("/")[2]


def _order(number: str) -> tuple[int, int]:
    millis, _, rest = number.partition("-")
    return int(millis), int(rest)
