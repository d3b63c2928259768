"""How one-time codes reach people: to a real SMTP server and a real HTTP hook in this process."""

import json
import socketserver
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from referral import people
from referral.senders import (
    DemoSender,
    HookSender,
    NotSent,
    Sender,
    SmtpSender,
    sender_for,
)
from tests.servers import free_port

ALICE = people.phone("13800138000")
BOB = people.email("bob@example.com")
TEXT = "某某茶：验证码 271828，10 分钟内有效。"


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that the developer's machine uses knows nothing of the servers started here."""
    monkeypatch.setenv("no_proxy", "*")


def send(sender: Sender, contact: people.Contact = BOB) -> None:
    sender.send(contact, "271828", TEXT, brand="某某茶")


@contextmanager
def serving(server: socketserver.BaseServer) -> Iterator[None]:
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


# The demo


def test_the_demo_prints_the_code_but_not_whom_it_is_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    send(DemoSender(), ALICE)
    printed = capsys.readouterr().err
    assert "271828" in printed
    assert "13800138000" not in printed
    assert DemoSender.shows_codes


# SMTP


class SmtpHandler(socketserver.StreamRequestHandler):
    """As much of RFC 5321 as a client that sends one message needs."""

    def handle(self) -> None:
        server: Any = self.server
        self._say(server.greeting)
        while line := self.rfile.readline().decode().strip():
            word = line.split()[0].upper()
            server.heard.append(line)
            if word == "EHLO":
                self._say("250-here", "250 AUTH PLAIN")
            elif word == "AUTH":
                self._say("235 welcome" if server.accepts else "535 who are you")
            elif word == "DATA":
                self._say("354 go on")
                server.messages.append(b"".join(iter(self.rfile.readline, b".\r\n")))
                self._say("250 taken")
            elif word == "QUIT":
                self._say("221 bye")
                return
            else:
                self._say("250 fine")

    def _say(self, *lines: str) -> None:
        self.wfile.write("".join(f"{line}\r\n" for line in lines).encode())


class SmtpServer(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def __init__(self, *, accepts: bool = True, greeting: str = "220 here") -> None:
        super().__init__(("127.0.0.1", 0), SmtpHandler)
        self.accepts, self.greeting = accepts, greeting
        self.heard: list[str] = []
        self.messages: list[bytes] = []

    @property
    def port(self) -> int:
        return self.server_address[1]


def test_a_mail_says_the_code_in_the_readers_language() -> None:
    server = SmtpServer()
    with serving(server):
        send(
            SmtpSender(f"smtp://tea%40brand:p%40ss@127.0.0.1:{server.port}/?from=hi@brand.example")
        )
    [raw] = server.messages
    message = message_from_bytes(raw, policy=policy.default)
    assert message.get_content().strip() == TEXT
    assert (message["To"], message["From"]) == ("bob@example.com", "hi@brand.example")
    assert message["Subject"] == "某某茶"
    assert any(line.startswith("AUTH PLAIN") for line in server.heard)


def test_without_a_password_nobody_signs_in() -> None:
    server = SmtpServer()
    with serving(server):
        send(SmtpSender(f"smtp://127.0.0.1:{server.port}"))
    assert len(server.messages) == 1
    assert not any(line.startswith("AUTH") for line in server.heard)


def test_a_mail_that_is_refused_was_not_sent() -> None:
    for server in (SmtpServer(accepts=False), SmtpServer(greeting="554 go away")):
        with serving(server), pytest.raises(NotSent):
            send(SmtpSender(f"smtp://user:wrong@127.0.0.1:{server.port}"))
        assert server.messages == []


def test_a_mail_server_that_is_not_there_or_talks_nonsense_is_a_named_error() -> None:
    with pytest.raises(NotSent):
        send(SmtpSender(f"smtp://127.0.0.1:{free_port()}"))
    server = SmtpServer(greeting="HTTP/1.1 400 what?")
    with serving(server), pytest.raises(NotSent):
        send(SmtpSender(f"smtp://127.0.0.1:{server.port}"))


def test_smtps_talks_tls_from_the_first_byte() -> None:
    server = SmtpServer()
    with serving(server), pytest.raises(NotSent) as refused:
        send(SmtpSender(f"smtps://127.0.0.1:{server.port}"))
    assert isinstance(refused.value.__context__, ssl.SSLError | OSError)
    assert server.messages == []


def test_an_sms_cannot_go_by_mail() -> None:
    with pytest.raises(NotSent, match="by e-mail only"):
        send(SmtpSender("smtp://127.0.0.1:1"), ALICE)


def test_an_address_a_server_cannot_write_is_a_named_error() -> None:
    server = SmtpServer()
    with serving(server), pytest.raises(NotSent):
        send(SmtpSender(f"smtp://127.0.0.1:{server.port}"), people.email("小明@example.com"))


# The hook


class HookHandler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        server: Any = self.server
        body = self.rfile.read(int(self.headers["Content-Length"]))
        server.taken.append((self.headers["Content-Type"], json.loads(body)))
        if isinstance(server.answer, bytes):
            self.wfile.write(server.answer)
            return
        self.send_response(server.answer)
        if server.answer in {301, 302, 303, 307, 308}:
            self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name there
        pass


class HookServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, answer: int | bytes) -> None:
        super().__init__(("127.0.0.1", 0), HookHandler)
        self.answer = answer
        self.taken: list[tuple[str, dict[str, str]]] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}/sms?key=1"


@pytest.mark.parametrize("answer", [200, 202, 204])
def test_the_hook_gets_the_code_as_json(answer: int) -> None:
    server = HookServer(answer)
    with serving(server):
        send(HookSender(server.url), ALICE)
    [(kind, body)] = server.taken
    assert kind == "application/json"
    assert body == {"kind": "phone", "to": "+8613800138000", "code": "271828", "text": TEXT}


@pytest.mark.parametrize(
    "answer",
    [400, 401, 404, 429, 500, 503, 301, 302, 303, 307, b"", b"not http at all\r\n\r\n"],
    ids=str,
)
def test_what_the_hook_does_not_take_was_not_sent(answer: int | bytes) -> None:
    server = HookServer(answer)
    with serving(server), pytest.raises(NotSent):
        send(HookSender(server.url), ALICE)


def test_a_hook_that_is_not_there_is_a_named_error() -> None:
    with pytest.raises(NotSent):
        send(HookSender(f"http://127.0.0.1:{free_port()}/"), ALICE)


@pytest.mark.parametrize(
    "setting, kind",
    [
        ("demo", DemoSender),
        ("smtp://mail.example", SmtpSender),
        ("smtps://user:p@mail.example:465", SmtpSender),
        ("https://sms.example/send", HookSender),
        ("http://127.0.0.1:9/", HookSender),
    ],
)
def test_the_setting_chooses_the_sender(setting: str, kind: type) -> None:
    assert isinstance(sender_for(setting), kind)


@pytest.mark.parametrize("setting", ["smtp://m.example", "https://sms.example"])
def test_only_the_demo_shows_codes(setting: str) -> None:
    assert not sender_for(setting).shows_codes
