"""Plays recorded cascades on a service's pages: every node is a browser that opens a link.

Nobody opens a link before the page that carries it has answered; otherwise as many are on their
way as there are connections. Those with the longest chain behind them go first, so that a deep
tree does not begin when all others are done.
"""

import heapq
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from threading import Condition, Thread
from urllib.parse import urlsplit

from referral.links import HOP_MAX, Link, LinkCodec, VisitorCookie
from referral.people import new_visitor_id
from referral.replay import ROOT, Cascades

CONNECTIONS = 8
TIMEOUT_SECONDS = 60.0
TRIES_MAX = 6
PAUSE_SECONDS = 0.2
"""Before the second try; it doubles from then on."""
TROUBLES_MAX = 20
"""After so many nodes that could not be played there is no sense in going on."""
BROWSER = {
    "User-Agent": "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/130.0.0.0 Mobile Safari/537.36",
    "Accept": "text/html",
    "Accept-Language": "en",
}
"""What a person's browser says; without it the service would take every node for a machine."""
_OWN_LINK = re.compile(rb'data-own-link href="[^"]*/s/([\w.-]+)"')


class PlayFailed(Exception):
    """The service does not play along."""


class _Unanswered(Exception):
    """One page did not come as it should."""


@dataclass
class Played:
    """What became of the nodes."""

    visitors: list[int]
    """The visitor each node was; 0 for one that was not played."""
    seconds: float = 0.0
    repeated: int = 0
    """Requests that were sent again because no answer came: the service may count them twice."""
    troubles: list[str] = field(default_factory=list)


class Player:
    """Plays cascades on the campaign of that id; `speed` is how many times as fast as they were
    recorded, None for as fast as it goes."""

    def __init__(
        self,
        url: str,
        links: LinkCodec,
        campaign: int,
        cascades: Cascades,
        *,
        speed: float | None = None,
        connections: int = CONNECTIONS,
    ) -> None:
        parts = urlsplit(url)
        kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        self._connect = lambda: kind(parts.hostname or "", parts.port, timeout=TIMEOUT_SECONDS)
        self._path = parts.path.rstrip("/")
        self._links = links
        self._campaign = campaign
        self._cascades = cascades
        self._connections = connections
        self._tokens: list[str] = [""] * len(cascades)
        self._schedule = _Schedule(cascades, speed)
        self.played = Played([0] * len(cascades))

    def play(self, tell: Callable[[int, int], None]) -> Played:
        """Play everything, telling how much is done. Raises `PlayFailed`."""
        begun = time.monotonic()
        threads = [Thread(target=self._work, daemon=True) for _ in range(self._connections)]
        for thread in threads:
            thread.start()
        try:
            while any(thread.is_alive() for thread in threads):
                threads[0].join(0.2)
                if not threads[0].is_alive():
                    threads = threads[1:] + threads[:1]
                tell(self._schedule.done, len(self._cascades))
        finally:
            self._schedule.stop()
        self.played.seconds = time.monotonic() - begun
        if self._schedule.failure:
            raise PlayFailed(self._schedule.failure)
        return self.played

    def _work(self) -> None:
        browser = _Browser(self._connect)
        try:
            while (node := self._schedule.take()) is not None:
                try:
                    self._open(browser, node)
                except _Unanswered as trouble:
                    self._missed(node, str(trouble))
                self._schedule.finish(node)
        except Exception as error:  # a thread that ends in silence would leave the others waiting
            self._schedule.stop(f"{type(error).__name__}: {error}")
        finally:
            self.played.repeated += browser.repeated
            browser.close()

    def _open(self, browser: "_Browser", node: int) -> None:
        """Be this node: open the link of its parent and take one's own from the page."""
        parent = self._cascades.parents[node]
        headers = dict(BROWSER)
        if parent == ROOT:
            # A first sharer has his link from no page of another's. He looks at his own.
            visitor = new_visitor_id()
            token = self._links.token(Link(self._campaign, visitor))
            headers["Cookie"] = f"referral_visitor={self._links.cookie(VisitorCookie(visitor))}"
        else:
            visitor, token = 0, self._tokens[parent]
            if not token:
                raise _Unanswered("its parent was not played")
        found = _OWN_LINK.search(browser.page(f"{self._path}/s/{token}", headers))
        own = self._links.read(found[1].decode()) if found else None
        if found is None or own is None:
            raise _Unanswered("the page carries no link of the reader's own")
        hop = min(self._cascades.hops[node], HOP_MAX)
        if own.campaign != self._campaign or own.hop != hop or visitor not in (0, own.visitor):
            raise _Unanswered(f"the page's own link is at hop {own.hop} and should be at {hop}")
        self._tokens[node] = found[1].decode()
        self.played.visitors[node] = own.visitor

    def _missed(self, node: int, words: str) -> None:
        name = f"node {self._cascades.names[node]} of tree {self._cascades.tree_ids[node]}"
        self.played.troubles.append(f"{name}: {words}")
        if len(self.played.troubles) > TROUBLES_MAX:
            self._schedule.stop(f"too many pages fail; the first: {self.played.troubles[0]}")


class _Browser:
    """One connection that is kept open, and opened again when the service closed it."""

    def __init__(self, connect: Callable[[], HTTPConnection]) -> None:
        self._connect = connect
        self._connection: HTTPConnection | None = None
        self.repeated = 0

    def page(self, path: str, headers: dict[str, str]) -> bytes:
        """The page at a path. Raises `_Unanswered` when the service does not give it."""
        words = ""
        for attempt in range(TRIES_MAX):
            if attempt:
                time.sleep(PAUSE_SECONDS * 2 ** (attempt - 1))
            is_fresh = self._connection is None
            connection = self._connection = self._connection or self._connect()
            try:
                connection.request("GET", path, headers=headers)
                answer = connection.getresponse()
                body = answer.read()
            except (HTTPException, OSError) as error:
                self.close()
                words = f"no answer ({type(error).__name__})"
                self.repeated += is_fresh
                continue
            if answer.status == 200:
                return body
            words = f"the service answers {answer.status}"
            if answer.status not in (429, 502, 503, 504):
                break
        raise _Unanswered(words)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class _Schedule:
    """Which node is next: one whose parent has been played, in order of what waits behind it or,
    when it is played at a speed, of time."""

    def __init__(self, cascades: Cascades, speed: float | None) -> None:
        self._children = cascades.children()
        self._speed = speed
        self._begun = time.monotonic()
        self._left = len(cascades)
        self._change = Condition()
        self._keys = (
            [seconds / speed for seconds in cascades.seconds]
            if speed
            else [-float(counts.depth) for counts in cascades.counts()]
        )
        if speed and self._keys:
            first = min(self._keys)
            self._keys = [key - first for key in self._keys]
        self._ready = [(self._keys[n], n) for n, p in enumerate(cascades.parents) if p == ROOT]
        heapq.heapify(self._ready)
        self._stopped = False
        self.failure = ""
        self.done = 0

    def take(self) -> int | None:
        """The next node, once it is due; None when there is nothing left."""
        with self._change:
            while self._left and not self._stopped:
                wait = None
                if self._ready:
                    due = self._ready[0][0] if self._speed else 0.0
                    wait = self._begun + due - time.monotonic()
                    if wait <= 0:
                        self._left -= 1
                        return heapq.heappop(self._ready)[1]
                self._change.wait(wait)
            return None

    def finish(self, node: int) -> None:
        with self._change:
            self.done += 1
            for child in self._children[node]:
                heapq.heappush(self._ready, (self._keys[child], child))
            if not self._left:
                self._change.notify_all()
            elif self._children[node]:
                self._change.notify(len(self._children[node]))

    def stop(self, failure: str = "") -> None:
        with self._change:
            self._stopped = True
            self.failure = self.failure or failure
            self._change.notify_all()
