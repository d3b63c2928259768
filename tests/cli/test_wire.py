"""HTTP as services and the proxies before them speak it, from a server that says as told."""

import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from threading import Thread

import pytest

from referral.cli.wire import BadAnswer, Wire

Say = Callable[..., Wire]
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n"
)


@pytest.fixture
def say() -> Iterator[Say]:
    """A wire to a server that gives these answers, one a request, and then closes."""
    servers: list[socket.socket] = []
    wires: list[Wire] = []

    def start(*answers: bytes) -> Wire:
        server = socket.create_server(("127.0.0.1", 0))
        servers.append(server)

        def talk() -> None:
            with suppress(OSError):
                connection, _ = server.accept()
                with connection:
                    for answer in answers:
                        connection.recv(65_536)
                        connection.sendall(answer)

        Thread(target=talk, daemon=True).start()
        wires.append(Wire(f"http://127.0.0.1:{server.getsockname()[1]}", 5))
        return wires[-1]

    yield start
    for each in (*wires, *servers):
        each.close()


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", (200, b"hello")),
        (b"HTTP/1.1 204 No Content\r\nX: y\r\n\r\n", (204, b"")),
        (b"HTTP/1.1 404 \r\ncontent-length:0\r\n\r\n", (404, b"")),
        (b"HTTP/1.0 200 OK\r\n\r\nto the end", (200, b"to the end")),
        (CHUNKED, (200, b"abc0123456789")),
    ],
)
def test_answers_are_read(say: Say, answer: bytes, expected: tuple[int, bytes]) -> None:
    assert say(answer).ask("GET", "/") == expected


def test_one_connection_is_kept_for_many_requests(say: Say) -> None:
    wire = say(*[b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % n for n in range(3)])
    assert [wire.ask("POST", "/", {"A": "b"})[1] for _ in range(3)] == [b"0", b"1", b"2"]
    assert wire.is_open


def test_a_connection_that_is_to_be_closed_is(say: Say) -> None:
    wire = say(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: Close\r\n\r\n")
    wire.ask("GET", "/")
    assert not wire.is_open


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0\r\n",
        b"HTTP/1.1 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno header\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ncut",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ncut",
    ],
)
def test_what_is_no_answer_closes_the_connection(say: Say, answer: bytes) -> None:
    wire = say(answer)
    with pytest.raises(BadAnswer):
        wire.ask("GET", "/")
    assert not wire.is_open


def test_nobody_there_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(OSError):
        Wire(f"http://127.0.0.1:{port}", 5).ask("GET", "/")
