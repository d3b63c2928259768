"""Connections of its own to the server or to each node of a Cluster, over which commands for
several shards travel at once: all are sent before the first answer is waited for.

They are spoken to without what the client does around every command, which takes three times as
long as the command. What a node does not answer fails for its shards alone. Where the shards are
is then looked for by a thread: nobody waits for nodes that are away.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from threading import Lock, Thread
from typing import Any

import redis
from redis.cluster import RedisCluster
from redis.exceptions import AskError, ClusterDownError

from referral.redis_server import ERRORS, RedisServer, node_of

Command = tuple[Any, ...]
Answers = list[Any] | Exception
"""One answer for each command, which may be an error; or why there are none."""
ONLY = ""
"""The name of a server that is no node of a Cluster."""


class Nodes:
    """For one thread at a time."""

    def __init__(self, server: RedisServer) -> None:
        self._server = server
        self._lines: dict[str, Any] = {}
        self._homes: dict[str, str] = {}
        self._lock = Lock()
        self._looking: Thread | None = None
        self._has_tried = False
        self._is_owed = False
        """Whether an answer of the one server has not been waited for."""

    def ask(
        self, commands: Mapping[str, Sequence[Command]], *, last: Command | None = None
    ) -> dict[str, Answers]:
        """Send to the node of each key what is for it, and `last` behind all that goes to one
        node. Returns the answers by key, that to `last` at the end of each."""
        answers: dict[str, Answers] = {}
        sent: list[tuple[str, list[str]]] = []
        try:
            for name, keys in self._by_node(commands, answers).items():
                every = [command for key in keys for command in commands[key]]
                try:
                    self._send(name, [*every, last] if last else every)
                    sent.append((name, keys))
                except ERRORS as error:
                    answers |= self._failed(name, keys, error)
            while sent:
                name, keys = sent[0]
                try:
                    answers |= self._read(name, {key: len(commands[key]) for key in keys}, last)
                except ERRORS as error:
                    answers |= self._failed(name, keys, error)
                del sent[0]
        finally:
            for name, _ in sent:  # what is answered later must not be taken for the next answer
                self._lines[name].disconnect()
        if any(_is_elsewhere(each) for each in answers.values()):
            self._look_again()
        return answers

    def begin(self, *command: Any) -> None:
        """Send one command to the one server, with nothing more around it than has to be: there is
        one for every page. `finish` waits for its answer. Raises one of `ERRORS`."""
        line = self._lines.get(ONLY) or self._only()
        if self._is_owed:  # an answer that nobody waited for must not be taken for the next one
            line.disconnect()
        self._is_owed = True
        try:
            line.send_packed_command(line.pack_command(*command))
        except BaseException:
            line.disconnect()
            raise

    def finish(self) -> None:
        """Wait for the answer to what was begun. Raises one of `ERRORS`."""
        line = self._lines[ONLY]
        try:
            line.read_response()
        except redis.ResponseError:
            self._is_owed = False
            raise
        except BaseException:
            line.disconnect()
            raise
        self._is_owed = False

    def name_of(self, key: str) -> str:
        """The host and port of a key's node, `ONLY` on one server. Raises one of `ERRORS` while
        none is known."""
        if not self._server.is_cluster:
            return ONLY
        with self._lock:
            if key not in self._homes:
                node = node_of(self._cluster(), key)
                name = self._homes[key] = str(node.name)
                if name not in self._lines:
                    self._lines[name] = node.redis_connection.connection_pool.make_connection()
            return self._homes[key]

    def where(self, key: str) -> str:
        """The name of a key's node; empty as long as none is known, and on one server."""
        try:
            return self.name_of(key)
        except ERRORS:
            return ONLY

    def _by_node(
        self, keys: Mapping[str, Any], answers: dict[str, Answers]
    ) -> dict[str, list[str]]:
        """Which keys are at which node; into `answers` why not, where none is known."""
        found: dict[str, list[str]] = {}
        for key in keys:
            try:
                found.setdefault(self.name_of(key), []).append(key)
            except ERRORS as error:
                answers[key] = error
                self._look_again()
        return found

    def _cluster(self) -> RedisCluster:
        """Connects the first time only; later that is for the thread."""
        if self._has_tried and not self._server.is_connected:
            raise redis.ConnectionError("no node has answered yet")
        self._has_tried = True
        client = self._server.client
        assert isinstance(client, RedisCluster)
        return client

    def _send(self, name: str, commands: Sequence[Command]) -> None:
        line = self._lines.get(name) or self._only()
        line.send_packed_command(line.pack_commands(commands))

    def _only(self) -> Any:
        client = self._server.client
        assert isinstance(client, redis.Redis)
        line = self._lines[ONLY] = client.connection_pool.make_connection()
        return line

    def _read(
        self, name: str, counts: Mapping[str, int], last: Command | None
    ) -> dict[str, Answers]:
        line = self._lines[name]
        read = {key: [_answer(line) for _ in range(count)] for key, count in counts.items()}
        if last:
            said = _answer(line)
            for each in read.values():
                each.append(said)
        return {**read}

    def _failed(self, name: str, keys: Sequence[str], error: Exception) -> dict[str, Answers]:
        if name in self._lines:
            self._lines[name].disconnect()
        self._look_again()
        return dict.fromkeys(keys, error)

    def _look_again(self) -> None:
        """Look for where the shards are, unless that is being done."""
        if not self._server.is_cluster:
            return
        with self._lock:
            if self._looking is None or not self._looking.is_alive():
                self._looking = Thread(target=self._look, name="shards", daemon=True)
                self._looking.start()

    def _look(self) -> None:
        with suppress(*ERRORS):
            client = self._server.client
            assert isinstance(client, RedisCluster)
            client.nodes_manager.initialize()
            with self._lock:
                self._homes.clear()

    def close(self) -> None:
        for line in self._lines.values():
            line.disconnect()


def _answer(line: Any) -> Any:
    """The next answer, or the error that it is. Raises what ends the connection."""
    try:
        return line.read_response()
    except redis.ResponseError as error:
        return error


def _is_elsewhere(answers: Answers) -> bool:
    """Whether a node says that it does not have what was asked."""
    said = answers if isinstance(answers, list) else ()
    return any(isinstance(each, AskError | ClusterDownError) for each in said)
