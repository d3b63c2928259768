"""Readers, scanners and claimants at work, and a journal of what they were answered.

Only what was answered with success counts as acknowledged. Of all else it is open whether it was
done: at most once.
"""

import json
import random
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPResponse
from itertools import count
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from tests.chaos.world import World, wait_until
from tests.readers import PHONE

TIMEOUT_SECONDS = 120
BROWSERS_KEPT = 60
"""How many browsers of one thread come back; the others are seen once."""
OPENED_LINKS_KEPT = 40
PAUSE_SECONDS = 0.02
FRESH_CONNECTIONS = 16
RETRY_SECONDS = 0.2
CLAIM_AGAIN_SECONDS = 3.0
_COOKIE = re.compile(r"referral_visitor=([^;]+)")
_OWN_LINK = re.compile(r'data-own-link href="([^"]+)"')
GOOD = {200, 201, 204}
_TRY_AGAIN = {409, 503}
"""In flight by another request of the same key, or away."""


@dataclass
class Browser:
    cookie: str = ""
    own: str = ""
    """The token of its own link."""


@dataclass(frozen=True)
class Answer:
    """What one request got. `status` is 0 where the connection broke."""

    status: int
    body: bytes = b""
    cookie: str = ""
    retry_after: str | None = None

    @property
    def is_good(self) -> bool:
        return self.status in GOOD

    @property
    def own_token(self) -> str:
        found = _OWN_LINK.search(self.body.decode())
        assert found, "a page without the reader's own link"
        return urlsplit(found[1]).path.removeprefix("/s/")


@dataclass(frozen=True)
class Request:
    """One request in the journal: `what` it was, by whom and of what."""

    what: str
    cookie: str
    """The visitor's cookie: of the request, or of the answer for a new browser."""
    of: str
    """The token of the share link, or the code."""
    is_new: bool
    """Whether a new browser sent it."""
    status: int


@dataclass(eq=False)
class Claim:
    """A package that a customer claims, and the link that brought her."""

    code: str
    customer: int
    via: str
    not_before: float = 0.0
    """When it may be sent again, by the monotonic clock."""


@dataclass
class Journal:
    """Everything that was asked and how it was answered."""

    requests: list[Request] = field(default_factory=list)
    claims: dict[str, int] = field(default_factory=dict)
    """By code, to whom it was confirmed; 0 while it is not known."""
    broken: list[str] = field(default_factory=list)
    """How connections broke."""
    faults: list[str] = field(default_factory=list)
    """Answers that nobody may ever get."""

    def tell(self) -> None:
        """What was asked and how it was answered, for whoever reads the log of a test."""
        for what in sorted({each.what for each in self.requests}):
            print(f"{what}: {dict(sorted(self.statuses(what).items()))}")

    def statuses(self, what: str, since: int = 0) -> Counter[int]:
        """How requests of a kind were answered, from that entry of the journal on."""
        return Counter(each.status for each in self.requests[since:] if each.what == what)


class Load:
    """So many threads that ask without end, until told to rest or to stop."""

    def __init__(
        self, world: World, *, threads: int = 4, seed: int = 1, pause: float = PAUSE_SECONDS
    ) -> None:
        self.journal = Journal()
        self._pause = pause
        self._world = world
        self._codes = count()
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._may_work = threading.Event()
        self._may_work.set()
        self._busy = [False] * threads
        self._threads = [
            threading.Thread(target=self._run, args=(n, random.Random(f"{seed}|{n}")), daemon=True)
            for n in range(threads)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Ask nothing more, but what has to be asked again until it is confirmed."""
        self._stopping.set()
        self._may_work.set()
        for thread in self._threads:
            thread.join(2 * TIMEOUT_SECONDS)
            assert not thread.is_alive(), "a request is never answered"

    def next_code(self) -> str:
        with self._lock:
            index = next(self._codes)
        return self._world.code(index)

    def warm_up(self) -> None:
        """Let every process that answers have read the campaign once: it chooses connections, and
        one that was started a moment ago has answered none. A machine asks, which is nobody."""
        path = f"/s/{self._world.sharers[0].token}"
        for _ in range(FRESH_CONNECTIONS):
            port = self._world.web.port
            with closing(HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS)) as connection:
                connection.request("HEAD", path, headers={"User-Agent": PHONE})
                assert connection.getresponse().status == 200

    @contextmanager
    def resting(self) -> Iterator[None]:
        """Nobody asks anything meanwhile; what was asked has been answered."""
        self._may_work.clear()
        wait_until(lambda: not any(self._busy), "a request is never answered")
        yield
        self._may_work.set()

    def wait_for(self, what: str, more: int) -> int:
        """Until so many more have been answered well. Returns where in the journal that begins."""
        since = len(self.journal.requests)

        def is_enough() -> bool:
            answered = self.journal.statuses(what, since)
            return sum(answered[status] for status in GOOD) >= more

        wait_until(is_enough, f"not {more} times more: {what}")
        return since

    def wait_for_status(self, what: str, status: int) -> None:
        """Until one more has been answered so."""
        since = len(self.journal.requests)
        wait_until(
            lambda: self.journal.statuses(what, since)[status] > 0, f"no {what} gets {status}"
        )

    def _run(self, number: int, chance: random.Random) -> None:
        person = _Persons(self._world, self.journal, chance, self.next_code)
        while not self._stopping.is_set():
            self._busy[number] = True
            if self._may_work.is_set():
                try:
                    person.act()
                except Exception as error:
                    self.journal.faults.append(f"{type(error).__name__}: {error}")
            self._busy[number] = False
            self._may_work.wait(TIMEOUT_SECONDS)
            time.sleep(self._pause)
        person.finish()


class _Persons:
    """What one thread does, as many people one after the other."""

    def __init__(
        self, world: World, journal: Journal, chance: random.Random, next_code: Callable[[], str]
    ) -> None:
        self._world = world
        self._journal = journal
        self._chance = chance
        self._next_code = next_code
        self._browsers: list[Browser] = []
        self._tokens = [sharer.token for sharer in world.sharers]
        self._claims: list[Claim] = []
        """Not yet confirmed."""
        self._connection: HTTPConnection | None = None

    def act(self) -> None:
        acts = [self.open_anew, self.open_again, self.engage, self.share, self.scan, self.claim]
        self._chance.choices(acts, (50, 15, 12, 6, 10, 7))[0]()

    def finish(self) -> None:
        """Send what was not confirmed until it is."""
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while self._claims and time.monotonic() < deadline:
            if not self._claim_again():
                time.sleep(RETRY_SECONDS)
        if self._claims:
            self._journal.faults.append("claims are refused for ever")
        if self._connection is not None:
            self._connection.close()

    def open_anew(self) -> None:
        browser = Browser()
        token = self._chance.choice(self._tokens)
        if self._open(browser, token):
            self._browsers = [*self._browsers, browser][-BROWSERS_KEPT:]
            if len(self._tokens) < OPENED_LINKS_KEPT:
                self._tokens.append(browser.own)

    def open_again(self) -> None:
        if self._browsers:
            self._open(self._chance.choice(self._browsers), self._chance.choice(self._tokens))

    def _open(self, browser: Browser, token: str) -> bool:
        is_new = not browser.cookie
        answer = self._ask("GET", f"/s/{token}", browser)
        self._note("open", browser, token, answer, is_new=is_new)
        if answer.is_good:
            browser.own = answer.own_token
        return answer.is_good

    def engage(self) -> None:
        if self._browsers:
            browser = self._chance.choice(self._browsers)
            answer = self._ask("POST", f"/s/{browser.own}/seen", browser)
            self._note("engagement", browser, browser.own, answer)

    def share(self) -> None:
        if self._browsers:
            browser = self._chance.choice(self._browsers)
            answer = self._ask("POST", f"/s/{browser.own}/share", browser, b"channel=wechat")
            self._note("share", browser, browser.own, answer)

    def scan(self) -> None:
        browser = Browser()
        code = self._next_code()
        answer = self._ask("GET", f"/01/{self._world.brand.product.gtin}/21/{code}", browser)
        self._note("scan", browser, code, answer, is_new=True)

    def claim(self) -> None:
        if self._claim_again():
            return
        code, via = self._next_code(), self._chance.choice(self._tokens)
        self._journal.claims[code] = 0
        self._send(Claim(code, self._chance.choice(self._world.sharers).customer, via))

    def _claim_again(self) -> bool:
        """Send the first that may be sent again by now; False when there is none."""
        due = [each for each in self._claims if each.not_before < time.monotonic()]
        if due:
            self._claims.remove(due[0])
            self._send(due[0])
        return bool(due)

    def _send(self, claim: Claim) -> None:
        """The same request, with the same key, however often it takes."""
        code, customer = claim.code, claim.customer
        body = json.dumps({"code": code, "customer_id": customer, "via": claim.via}).encode()
        headers = {
            "Authorization": f"Bearer {self._world.api_key}",
            "Content-Type": "application/json",
            "Idempotency-Key": f"claim-{code}",
        }
        answer = self._ask("POST", "/api/v1/claims", Browser(), body, headers)
        self._note("claim", Browser(), code, answer)
        if answer.is_good:
            self._journal.claims[code] = customer
        elif answer.status in _TRY_AGAIN or not answer.status:
            claim.not_before = time.monotonic() + CLAIM_AGAIN_SECONDS
            self._claims.append(claim)
            if answer.status == 503 and not (answer.retry_after and b"try again" in answer.body):
                self._journal.faults.append(f"a 503 that does not say to try again: {answer}")
        else:
            self._journal.faults.append(f"a claim: {answer.status} {answer.body[:300]!r}")

    def _note(
        self, what: str, browser: Browser, of: str, answer: Answer, *, is_new: bool = False
    ) -> None:
        if answer.cookie:
            browser.cookie = answer.cookie
        self._journal.requests.append(Request(what, browser.cookie, of, is_new, answer.status))
        if answer.status not in {*GOOD, *_TRY_AGAIN, 0}:
            self._journal.faults.append(f"{what}: {answer.status} {answer.body[:300]!r}")

    def _ask(
        self,
        method: str,
        path: str,
        browser: Browser,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        sent = {"User-Agent": PHONE, "Accept-Language": "en", **(headers or {})}
        if body is not None:
            sent.setdefault("Content-Type", "application/x-www-form-urlencoded")
        if browser.cookie:
            sent["Cookie"] = f"referral_visitor={browser.cookie}"
        if self._connection is None:
            host = ("127.0.0.1", self._world.web.port)
            self._connection = HTTPConnection(*host, timeout=TIMEOUT_SECONDS)
        try:
            self._connection.request(method, path, body, sent)
            response = self._connection.getresponse()
            answer = _answer(response, response.read())
            if not answer.is_good:
                # It may have come before the body was read: then the server ends the connection.
                self._connection.close()
                self._connection = None
            return answer
        except (OSError, HTTPException) as error:
            self._journal.broken.append(f"{method} {path}: {error!r}")
            self._connection.close()
            self._connection = None
            time.sleep(RETRY_SECONDS)
            return Answer(0)


def _answer(response: HTTPResponse, body: bytes) -> Answer:
    cookies = response.headers.get_all("Set-Cookie") or []
    found = [match[1] for match in map(_COOKIE.match, cookies) if match]
    return Answer(
        response.status, body, found[0] if found else "", response.headers.get("Retry-After")
    )
