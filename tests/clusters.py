"""A real Valkey Cluster for the tests.

with ValkeyCluster() as cluster:
    stream = VisitStream(cluster.url)
    cluster.master_of(key).kill()     # its replica takes over within seconds
"""

import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import redis
from redis.crc import key_slot

from tests.processes import START_SECONDS, ServerError, free_port
from tests.servers import ValkeyServer
from tests.waits import wait_until


class ValkeyCluster:
    """Valkey Cluster: masters that share the slots, each with a replica, as real processes."""

    def __init__(
        self,
        *,
        masters: int = 3,
        node_timeout_ms: int = 1_000,
        appendonly: bool = True,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self._password = secrets.token_hex(16)
        its = {
            "cluster-enabled": "yes",
            "cluster-node-timeout": str(node_timeout_ms),
            # Where one shard is away, the others go on.
            "cluster-require-full-coverage": "no",
            "requirepass": self._password,
            "masterauth": self._password,
            "databases": "1",
            "repl-diskless-sync-delay": "0",
            **(settings or {}),
        }
        self.nodes = [
            ValkeyServer(appendonly=appendonly, settings={**its, "cluster-port": str(free_port())})
            for _ in range(2 * masters)
        ]
        self._masters = masters
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)
        self.url = f"redis://:{self._password}@{hosts}"

    def start(self) -> Self:
        """Start the nodes, make a cluster of them, and return when it takes writes."""
        for node in self.nodes:
            node.start()
        for first, node in zip(self._first_slots(), self.nodes, strict=False):
            last = first + 16_384 // self._masters
            self._ask(node, "CLUSTER", "ADDSLOTSRANGE", first, min(last, 16_383))
        for node in self.nodes[1:]:
            bus = node.settings["cluster-port"]
            self._ask(self.nodes[0], "CLUSTER", "MEET", "127.0.0.1", node.port, bus)
        self.wait_until(lambda: all(self._known(node) == len(self.nodes) for node in self.nodes))
        for number, node in enumerate(self.nodes[self._masters :]):
            master = self._ask(self.nodes[number], "CLUSTER", "MYID")
            self._ask(node, "CLUSTER", "REPLICATE", master)
        self.wait_until(self.is_whole)
        return self

    def _first_slots(self) -> Sequence[int]:
        size = 16_384 // self._masters + 1
        return [number * size for number in range(self._masters)]

    def is_whole(self) -> bool:
        """Whether every node that runs agrees, and every master has its replica."""
        masters = self.masters()
        return len(masters) == self._masters and all(
            b"cluster_state:ok" in self._ask(node, "CLUSTER", "INFO")
            and (node not in masters or b"connected_slaves:1" in self._ask(node, "INFO"))
            and (node in masters or b"master_link_status:up" in self._ask(node, "INFO"))
            for node in self.nodes
            if node.running
        )

    def masters(self) -> Sequence[ValkeyServer]:
        """Those that run and have slots."""
        return [node for node in self.nodes if node.running and b"role:master" in self._role(node)]

    def master_of(self, key: str) -> ValkeyServer:
        """The node that has a key, as the others tell."""
        slot = key_slot(key.encode())
        for node in self.nodes:
            if node.running:
                for first, last, (_, port, *_more), *_replicas in self._ask(
                    node, "CLUSTER", "SLOTS"
                ):
                    if first <= slot <= last:
                        return next(each for each in self.nodes if each.port == port)
        raise ServerError(f"no node has {key}")

    def replica_of(self, master: ValkeyServer) -> ValkeyServer:
        for node in self.nodes:
            said = self._role(node) if node.running else b""
            if b"role:slave" in said and f"master_port:{master.port}\r".encode() in said:
                return node
        raise ServerError(f"{master.port} has no replica")

    def _role(self, node: ValkeyServer) -> bytes:
        said: bytes = self._ask(node, "INFO", "replication")
        return said

    def _known(self, node: ValkeyServer) -> int:
        said: bytes = self._ask(node, "CLUSTER", "INFO")
        found = re.search(rb"cluster_known_nodes:(\d+)", said)
        return int(found[1]) if found else 0

    def _ask(self, node: ValkeyServer, *words: object) -> Any:
        # As it comes: what the client would make of it is of no use here.
        with redis.Redis.from_url(node.url, socket_timeout=5) as client:
            connection = client.connection_pool.get_connection()
            try:
                connection.send_command(*words)
                return connection.read_response()
            finally:
                client.connection_pool.release(connection)

    @staticmethod
    def wait_until(is_so: Callable[[], bool]) -> None:
        wait_until(is_so, "the nodes do not become a cluster", seconds=START_SECONDS)

    def discard(self) -> None:
        for node in self.nodes:
            node.discard()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.discard()
