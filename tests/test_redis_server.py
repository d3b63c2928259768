"""Addresses of Redis: of one server, and of a Cluster."""

import pytest

from referral.redis_server import Address, BadAddress, RedisServer, read_address


@pytest.mark.parametrize(
    "address",
    ["redis://:p@cache:6379/2", "rediss://cache", "unix:///run/valkey.sock", "redis://[::1]:1/0"],
)
def test_one_server_is_as_it_was_written(address: str) -> None:
    assert read_address(address) == Address(address)


def test_valkey_is_another_name_for_it() -> None:
    assert read_address("valkeys://cache/0") == Address("rediss://cache/0")


@pytest.mark.parametrize(
    ("address", "first", "others"),
    [
        ("redis://:p@n1:7000,n2:7001,n3", "redis://:p@n1:7000", (("n2", 7001), ("n3", 6379))),
        ("redis://u:p,q@n1,n2:1/0", "redis://u:p,q@n1", (("n2", 1),)),
        ("redis://:p@[::1]:1,[::2]:2", "redis://:p@[::1]:1", (("::2", 2),)),
        ("rediss://n1,n2?ssl_cert_reqs=none", "rediss://n1?ssl_cert_reqs=none", (("n2", 6379),)),
        ("redis://:p@all.example:6379/?cluster=yes", "redis://:p@all.example:6379", ()),
    ],
)
def test_several_hosts_or_the_word_are_a_cluster(
    address: str, first: str, others: tuple[tuple[str, int], ...]
) -> None:
    assert read_address(address) == Address(first, others, is_cluster=True)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("http://cache", "must start with redis://"),
        ("cache:6379", "must start with redis://"),
        ("redis://n1,n2/3", "a Cluster has none but 0"),
        ("redis://n1/1?cluster=yes", "a Cluster has none but 0"),
        ("redis://n1:7000,n1:7000", "names a node twice"),
        ("redis://n1:7000,,n2", "has '' for a host"),
        ("redis://n1:port,n2", "has 'n1:port' for a host"),
        ("redis://n1:70000,n2", "has 'n1:70000' for a host"),
        ("redis://n1, n2", "has ' n2' for a host"),
        ("redis://[n1,n2", "host"),
        ("redis://n1?cluster=no", "may say cluster=yes"),
        ("redis://", "has '' for a host"),
    ],
)
def test_what_leads_nowhere_is_said(address: str, words: str) -> None:
    with pytest.raises(BadAddress, match=words):
        read_address(address)


def test_a_cluster_that_is_away_is_said_to_be() -> None:
    for address in ("redis://127.0.0.1:1,127.0.0.1:2", "redis://127.0.0.1:1"):
        server = RedisServer(address, timeout=1, connect_timeout=1)
        assert not server.answers()
        server.close()
