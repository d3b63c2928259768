"""Redis or Valkey, one server or a Cluster, by its address.

    redis://:PASSWORD@cache:6379/0                     one server
    redis://:PASSWORD@n1:6379,n2:6379,n3:6379          a Cluster: nodes to ask for all the others
    redis://:PASSWORD@cache:6379/?cluster=yes          a Cluster behind one name

In a Cluster the commands of one pipeline or transaction may only be about keys of one slot, and so
may each command; keys with the same part in braces are in one.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Any
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.exceptions import RedisClusterException
from redis.retry import Retry

Client = redis.Redis | RedisCluster
ERRORS = (redis.RedisError, RedisClusterException)
"""What a client raises when Redis is away, or does not do what it is told."""
PORT = 6379
SCHEMES = ("redis", "rediss")
YES = {"yes", "true", "1"}
_ONE_OF_MANY = (
    "a node of a Cluster; name several of its nodes in REFERRAL_REDIS_URL, with commas between "
    "them, or add ?cluster=yes"
)
_ONLY_ONE = "one server and no Cluster; name one host in REFERRAL_REDIS_URL, without cluster=yes"
_NODE = re.compile(r"(?P<host>\[[0-9a-fA-F:.]+\]|[^\[\]:@/\s]+)(?::(?P<port>[0-9]{1,5}))?")


class BadAddress(ValueError):
    """An address that leads nowhere; the message ends the sentence "It ..."."""


@dataclass(frozen=True)
class Address:
    """Where Redis is. `url` names one server, and is what a client understands."""

    url: str
    others: tuple[tuple[str, int], ...] = ()
    """Further nodes of a Cluster."""
    is_cluster: bool = False


def read_address(value: str) -> Address:
    """Raises `BadAddress`."""
    value = re.sub(r"^valkey(s?)://", r"redis\1://", value.strip())
    try:
        parts = urlsplit(value)
    except ValueError:
        raise BadAddress("has a host that is none") from None
    if parts.scheme == "unix":
        return Address(value)
    if parts.scheme not in SCHEMES:
        raise BadAddress("must start with redis://, rediss:// or unix://")
    before, at, hosts = parts.netloc.rpartition("@")
    nodes = [_node(each) for each in hosts.split(",")]
    if len(set(nodes)) < len(nodes):
        raise BadAddress("names a node twice")
    parts, is_cluster = _without_cluster(parts)
    if len(nodes) == 1 and not is_cluster:
        return Address(value)
    if parts.path.strip("/") not in ("", "0"):
        raise BadAddress(
            "names a database by its number, and a Cluster has none but 0; leave the number out"
        )
    first = hosts.split(",")[0]
    url = parts._replace(netloc=f"{before}{at}{first}", path="").geturl()
    return Address(url, tuple(nodes[1:]), is_cluster=True)


def _node(text: str) -> tuple[str, int]:
    found = _NODE.fullmatch(text)
    port = int(found["port"] or PORT) if found else 0
    if not found or not 0 < port < 65_536:
        raise BadAddress(
            f"has {text!r} for a host; write host:port, and several, of a Cluster, with commas "
            "between them"
        )
    return found["host"].strip("[]"), port


def _without_cluster(parts: SplitResult) -> tuple[SplitResult, bool]:
    """The address without `cluster=`, and what that said."""
    query = parse_qsl(parts.query, keep_blank_values=True)
    said = [value.lower() for name, value in query if name == "cluster"]
    rest = [(name, value) for name, value in query if name != "cluster"]
    if said and said[-1] not in YES:
        raise BadAddress("may say cluster=yes, or leave that out")
    return parts._replace(query=urlencode(rest)), bool(said)


class RedisServer:
    """One server or a Cluster; connected to when it is needed first."""

    def __init__(self, url: str, *, timeout: float, connect_timeout: float, tries: int = 1) -> None:
        """Timeouts are in seconds; `tries` is how often a command is sent at most.

        Raises `BadAddress`.
        """
        self.address = read_address(url)
        self._tries = tries
        self._options: Mapping[str, Any] = {
            "socket_timeout": timeout,
            "socket_connect_timeout": connect_timeout,
        }
        self._lock = Lock()
        self._client: Client | None = None

    @property
    def is_cluster(self) -> bool:
        return self.address.is_cluster

    @property
    def is_connected(self) -> bool:
        """Whether `client` is at hand without asking anybody."""
        return self._client is not None

    @property
    def client(self) -> Client:
        """Raises one of `ERRORS` while no node of a Cluster answers."""
        with self._lock:
            if self._client is None:
                self._client = self._cluster() if self.is_cluster else self._single()
            return self._client

    def _single(self) -> redis.Redis:
        retry = Retry(NoBackoff(), self._tries - 1)
        return redis.Redis.from_url(self.address.url, retry=retry, **self._options)

    def _cluster(self) -> RedisCluster:
        return RedisCluster(
            url=self.address.url,
            startup_nodes=[
                ClusterNode(host, port)  # type: ignore[no-untyped-call]
                for host, port in self.address.others
            ],
            # To be sent again at once is of use after a master was replaced: the map is read anew.
            retry=Retry(NoBackoff(), max(self._tries - 1, 1)),
            # Where one part is away, the others are there.
            require_full_coverage=False,
            # Names stay good when the addresses behind them change.
            dynamic_startup_nodes=False,
            reinitialize_steps=1,
            **self._options,
        )

    def now(self, key: str) -> datetime:
        """The time where a key is kept. Raises one of `ERRORS`."""
        return time_at(self.client, key)

    def answers(self) -> bool:
        """Whether it is there: of a Cluster every node that keeps something."""
        try:
            client = self.client
            if isinstance(client, RedisCluster):
                return bool(client.ping(target_nodes=RedisCluster.PRIMARIES))
            return bool(client.ping())
        except ERRORS:
            return False

    def mistake(self) -> str | None:
        """What the address gets wrong, as far as its first host tells: "It is ..."."""
        with self._single() as client:
            try:
                said: Any = client.info("cluster")
            except ERRORS:  # away, or it may not be asked
                return None
        is_node = bool(int(said.get("cluster_enabled", self.is_cluster)))
        if is_node == self.is_cluster:
            return None
        return _ONE_OF_MANY if is_node else _ONLY_ONE

    def close(self) -> None:
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()


def time_at(client: Client, key: str) -> datetime:
    """The time where a key is kept. Raises one of `ERRORS`."""
    if isinstance(client, RedisCluster):
        told: Any = client.time(target_nodes=node_of(client, key))
    else:
        told = client.time()
    seconds, micros = told
    return datetime.fromtimestamp(seconds, UTC) + timedelta(microseconds=micros)


def node_of(client: RedisCluster, key: str) -> ClusterNode:
    """The node of a Cluster that takes writes of a key. Raises one of `ERRORS`."""
    node: ClusterNode = client.get_node_from_key(key)  # type: ignore[no-untyped-call]
    return node
