"""A connection to a service that costs little: as much of HTTP as a play of cascades needs.

The standard library's client spends more on reading a header than some of our pages take.
"""

import socket
import ssl
from collections.abc import Mapping
from io import BufferedReader
from urllib.parse import urlsplit

LINE_MAX = 65_536
HEADERS_MAX = 200
_NO_BODY = {204, 304}


class BadAnswer(OSError):
    """What came back is no HTTP, or was cut off."""


class Wire:
    """One connection that is kept open; it is opened when it is needed."""

    def __init__(self, url: str, timeout: float) -> None:
        parts = urlsplit(url)
        self._is_tls = parts.scheme == "https"
        self._address = (parts.hostname or "", parts.port or (443 if self._is_tls else 80))
        self._host = parts.netloc.rpartition("@")[2]
        self._timeout = timeout
        self._socket: socket.socket | None = None
        self._reader: BufferedReader | None = None

    @property
    def is_open(self) -> bool:
        return self._socket is not None

    def ask(
        self, method: str, path: str, headers: Mapping[str, str] | None = None
    ) -> tuple[int, bytes]:
        """The status and the body of an answer. Raises `OSError`; the connection is closed then."""
        head = [f"{method} {path} HTTP/1.1", f"Host: {self._host}"]
        head += [f"{name}: {value}" for name, value in (headers or {}).items()]
        if method == "POST":
            head.append("Content-Length: 0")
        try:
            wire, reader = self._opened()
            wire.sendall("\r\n".join([*head, "", ""]).encode("latin-1"))
            status, fields = _head(reader)
            body = b"" if status in _NO_BODY or method == "HEAD" else _body(reader, fields)
        except OSError:
            self.close()
            raise
        if b"close" in fields.get(b"connection", b""):
            self.close()
        return status, body

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()
        if self._socket is not None:
            self._socket.close()
        self._socket = self._reader = None

    def _opened(self) -> tuple[socket.socket, BufferedReader]:
        if self._socket is None or self._reader is None:
            made = socket.create_connection(self._address, self._timeout)
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._is_tls:
                made = ssl.create_default_context().wrap_socket(
                    made, server_hostname=self._address[0]
                )
            self._socket, self._reader = made, made.makefile("rb")
        return self._socket, self._reader


def _head(reader: BufferedReader) -> tuple[int, dict[bytes, bytes]]:
    """The status, and the headers with names and values in lower case."""
    begun = reader.readline(LINE_MAX)
    if not begun:
        raise BadAnswer("the connection was closed")
    version, _, rest = begun.partition(b" ")
    if not version.startswith(b"HTTP/1.") or not rest[:3].isdigit():
        raise BadAnswer("this is no HTTP")
    fields: dict[bytes, bytes] = {} if version != b"HTTP/1.0" else {b"connection": b"close"}
    for _ in range(HEADERS_MAX):
        line = reader.readline(LINE_MAX)
        if line in {b"\r\n", b"\n"}:
            return int(rest[:3]), fields
        name, colon, value = line.partition(b":")
        if not colon:
            break
        fields[name.lower()] = value.strip().lower()
    raise BadAnswer("this is no HTTP")


def _body(reader: BufferedReader, fields: Mapping[bytes, bytes]) -> bytes:
    if b"chunked" in fields.get(b"transfer-encoding", b""):
        return b"".join(iter(lambda: _chunk(reader), b""))
    length = fields.get(b"content-length")
    if length is None:
        return reader.read()
    if not length.isdigit():
        raise BadAnswer("this is no HTTP")
    return _exactly(reader, int(length))


def _chunk(reader: BufferedReader) -> bytes:
    try:
        size = int(reader.readline(LINE_MAX).partition(b";")[0], 16)
    except ValueError:
        raise BadAnswer("this is no HTTP") from None
    found = _exactly(reader, size)
    while reader.readline(LINE_MAX) not in {b"\r\n", b"\n", b""} and not size:
        pass  # what may follow the last one
    return found


def _exactly(reader: BufferedReader, size: int) -> bytes:
    found = reader.read(size)
    if len(found) < size:
        raise BadAnswer("the connection was closed")
    return found
