"""Addresses of databases: of one server, and of a primary with its standbys."""

import pytest
import sqlalchemy as sa

from referral.db.url import BadDatabaseUrl, read_database_url


def connected_to(address: str) -> dict[str, str]:
    """What the driver is told of where to connect to."""
    url = sa.make_url(read_database_url(address))
    _, told = url.get_dialect()().create_connect_args(url)
    return {name: str(value) for name, value in told.items() if name != "context"}


def test_one_server_is_as_it_was_written() -> None:
    assert read_database_url("sqlite:////tmp/a.db") == "sqlite:////tmp/a.db"
    assert connected_to("postgresql://u:p%40@db:5433/brand") == {
        "user": "u",
        "password": "p@",
        "host": "db",
        "port": "5433",
        "dbname": "brand",
    }


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://u:p%40@db1:5433,db2/brand",
        "postgresql://u:p%40@db1:5433,db2:5432/brand?target_session_attrs=read-write",
        "postgresql+psycopg://u:p%40@/brand?host=db1,db2&port=5433,5432",
    ],
)
def test_of_several_the_one_that_takes_writes_is_wanted(address: str) -> None:
    assert connected_to(address) == {
        "user": "u",
        "password": "p@",
        "host": "db1,db2",
        "port": "5433,5432",
        "dbname": "brand",
        "target_session_attrs": "read-write",
    }
    assert read_database_url(read_database_url(address)) == read_database_url(address)


def test_hosts_may_be_parameters_one_by_one() -> None:
    told = connected_to("postgresql://u:p@/brand?host=db1:5433&host=db2:5432")
    assert (told["host"], told["port"]) == ("db1,db2", "5433,5432")
    assert told["target_session_attrs"] == "read-write"


def test_other_parameters_and_numbers_for_hosts_stay() -> None:
    told = connected_to("postgresql://u:p@[::1]:5433,10.0.0.2/d?sslmode=require")
    assert connected_to("postgresql://db1,db2/d")["host"] == "db1,db2"
    assert (told["host"], told["port"], told["sslmode"]) == ("::1,10.0.0.2", "5433,5432", "require")


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("postgresql://u:p@db1:5432,/d", "is not a database address"),
        ("postgresql://u:p@db1:x,db2/d", "is not a database address"),
        ("postgresql://u:p@db1,db2/d?target_session_attrs=any", "says target_session_attrs=any"),
        ("mysql://db1,db2/d", "names mysql"),
        ("sqlite://", "names no file"),
        ("", "is not a database address"),
    ],
)
def test_what_leads_nowhere_is_said(address: str, words: str) -> None:
    with pytest.raises(BadDatabaseUrl, match=words):
        read_database_url(address)
