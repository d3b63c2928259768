"""A stand-in for WeChat's servers: answers on a port as theirs do, errors included, and counts.

    with FakeWechat() as there:
        settings = WechatSettings(there.app_id, there.secret, api=there.url, open=there.url)

Nothing of it is known to the service, which talks to it as to the real ones.
"""

import json
import secrets
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

APP_ID = "wx5fa1ce0fa1ce0fa1"
SECRET = "5ec7e7c0ffee5ec7e7c0ffee5ec7e7c0"
ERRORS = {
    -1: "system error",
    40001: "invalid credential, access_token is invalid or not latest",
    40002: "invalid grant_type",
    40013: "invalid appid",
    40014: "invalid access_token",
    40029: "invalid code",
    40125: "invalid appsecret",
    40163: "code been used",
    40164: "invalid ip 192.0.2.7, not in whitelist",
    41002: "appid missing",
    41004: "appsecret missing",
    41008: "missing code",
    42001: "access_token expired",
    42003: "code expired",
    43002: "require POST method",
    45009: "reach max api daily quota limit",
    45011: "api minute-quota reach limit",
}
AUTHORIZE_ORDER = ["appid", "redirect_uri", "response_type", "scope", "state"]


@dataclass
class Code:
    """What a reader comes back from WeChat with."""

    openid: str
    scope: str
    is_used: bool = False
    is_expired: bool = False


@dataclass
class FakeWechat:
    """WeChat, with one official account and whoever holds the phone (`openid`)."""

    app_id: str = APP_ID
    secret: str = SECRET
    openid: str = "oAlice-at-this-account-000001"
    unionid: str | None = None
    declines: bool = False
    """The reader says no to signing in."""
    is_snapshot: bool = False
    """The page is shown as a snapshot, for a made-up person."""
    lifetime: int = 7200
    delay: float = 0.0
    """Seconds before each answer to the service."""
    calls: Counter[str] = field(default_factory=Counter)
    ticket: str = "kgt8ON7yVITDhtdwci0qeZ-the-first-ticket"

    def __post_init__(self) -> None:
        self.codes: dict[str, Code] = {}
        self.tokens: list[str] = []
        self._expired: set[str] = set()
        self._next_errors: dict[str, deque[int | bytes]] = {}
        self._lock = Lock()
        self._server = _Server(self)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    def __enter__(self) -> "FakeWechat":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    # What a test makes happen

    def answer_next(self, call: str, *errors: int | bytes) -> None:
        """The next calls of `stable_token`, `getticket` or `access_token` get these errors.

        A number is one of WeChat's; bytes are sent as they are instead of any HTTP.
        """
        self._next_errors.setdefault(call, deque()).extend(errors)

    def end_token_early(self) -> None:
        """The access token ends before its time, though it is handed out still."""
        self._expired.add(self.tokens[-1])

    # What WeChat answers

    def answer(self, method: str, path: str, query: dict[str, str], body: bytes) -> Any:
        call = path.rsplit("/", 1)[-1]
        time.sleep(self.delay)
        with self._lock:
            self.calls[call] += 1
            errors = self._next_errors.get(call)
            if errors:
                error = errors.popleft()
                return error if isinstance(error, bytes) else _error(error)
            if path == "/cgi-bin/stable_token":
                return self._stable_token(method, body)
            if path == "/cgi-bin/ticket/getticket":
                return self._getticket(query)
            if path == "/sns/oauth2/access_token":
                return self._access_token(query)
        return None

    def _stable_token(self, method: str, body: bytes) -> dict[str, Any]:
        if method != "POST":
            return _error(43002)
        sent = json.loads(body)
        if sent.get("grant_type") != "client_credential":
            return _error(40002)
        if problem := self._who(sent):
            return problem
        if not self.tokens or sent.get("force_refresh") is True:
            self.tokens.append(f"{len(self.tokens)}_{secrets.token_urlsafe(90)}")
        return {"access_token": self.tokens[-1], "expires_in": 7200}

    def _getticket(self, query: dict[str, str]) -> dict[str, Any]:
        token = query.get("access_token")
        if token not in self.tokens:
            return _error(40014)
        if token in self._expired:
            return _error(42001)
        if token != self.tokens[-1]:
            return _error(40001)
        if query.get("type") != "jsapi":
            return _error(40002)
        return {"errcode": 0, "errmsg": "ok", "ticket": self.ticket, "expires_in": self.lifetime}

    def _access_token(self, query: dict[str, str]) -> dict[str, Any]:
        if problem := self._who(query):
            return problem
        if query.get("grant_type") != "authorization_code":
            return _error(40002)
        if not query.get("code"):
            return _error(41008)
        code = self.codes.get(query["code"])
        if code is None:
            return _error(40029)
        if code.is_used:
            return _error(40163)
        if code.is_expired:
            return _error(42003)
        code.is_used = True
        given: dict[str, Any] = {
            "access_token": secrets.token_urlsafe(60),
            "expires_in": 7200,
            "refresh_token": secrets.token_urlsafe(60),
            "openid": code.openid,
            "scope": code.scope,
        }
        if self.unionid:
            given["unionid"] = self.unionid
        if self.is_snapshot:
            given["is_snapshotuser"] = 1
        return given

    def _who(self, sent: dict[str, Any]) -> dict[str, Any] | None:
        if not sent.get("appid"):
            return _error(41002)
        if not sent.get("secret"):
            return _error(41004)
        if sent["appid"] != self.app_id:
            return _error(40013)
        if sent["secret"] != self.secret:
            return _error(40125)
        return None

    def authorize(self, query: str) -> str | None:
        """Where the page that asks a reader leads on to; None when WeChat shows an error."""
        given = dict(parse_qsl(query, keep_blank_values=True))
        if list(given) != AUTHORIZE_ORDER or given["appid"] != self.app_id:
            return None
        if given["response_type"] != "code" or not given["state"].isalnum():
            return None
        self.calls["authorize"] += 1
        back = {"state": given["state"]}
        if not self.declines:
            code = secrets.token_hex(16)
            self.codes[code] = Code(self.openid, given["scope"])
            back = {"code": code, **back}
        return f"{given['redirect_uri']}?{urlencode(back)}"


def _error(number: int) -> dict[str, Any]:
    return {"errcode": number, "errmsg": f"{ERRORS[number]} rid: 6741a2b3-0c1d2e3f-4a5b6c7d"}


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers["Content-Length"])))

    def _answer(self, body: bytes) -> None:
        there: FakeWechat = self.server.there  # type: ignore[attr-defined]
        parts = urlsplit(self.path)
        if parts.path == "/connect/oauth2/authorize":
            target = there.authorize(parts.query)
            self.send_response(302 if target else 200)
            if target:
                self.send_header("Location", target)
            self._end("<h1>链接参数错误</h1>" if target is None else "", "text/html")
            return
        query = dict(parse_qsl(parts.query))
        answer = there.answer(self.command, parts.path, query, body)
        if isinstance(answer, bytes):
            self.wfile.write(answer)
            self.close_connection = True
            return
        self.send_response(200 if answer else 404)
        # Signing in is answered as text, though it is JSON.
        is_text = parts.path.startswith("/sns/")
        self._end(
            json.dumps(answer) if answer else "", "text/plain" if is_text else "application/json"
        )

    def _end(self, text: str, kind: str) -> None:
        self.send_header("Content-Type", f"{kind}; encoding=utf-8")
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name there
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, there: FakeWechat) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.there = there
