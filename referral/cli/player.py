"""Plays recorded cascades on a service's pages: every node is a browser that opens a link.

Nobody opens a link before the page that carries it has answered; otherwise as many are on their
way as there are connections. Those with the longest chain behind them go first, so that a deep
tree does not begin when all others are done.

Each node has its cookie from the beginning, so that a page that had to be asked for twice makes no
second visitor.
"""

import heapq
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Condition, Thread
from urllib.parse import urlsplit

from referral.cli.wire import Wire
from referral.links import HOP_MAX, Link, LinkCodec, VisitorCookie
from referral.people import new_visitor_id
from referral.spread.replay import ROOT, Cascades

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


def answers(url: str) -> bool:
    """Whether a service answers there."""
    wire = Wire(url, TIMEOUT_SECONDS)
    try:
        return wire.ask("GET", f"{urlsplit(url).path.rstrip('/')}/healthz")[0] == 200
    except OSError:
        return False
    finally:
        wire.close()


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
        self._url = url
        self._path = urlsplit(url).path.rstrip("/")
        self._links = links
        self._campaign = campaign
        self._cascades = cascades
        self._connections = connections
        self._tokens: dict[int, str] = {}
        """The own links of the nodes that somebody will come through."""
        self._parents = cascades.children()
        self._schedule = _Schedule(cascades, self._parents, speed)
        self.played = Played([0] * len(cascades))

    @property
    def done(self) -> int:
        """How many nodes have been played."""
        return self._schedule.done

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
        browser = _Browser(self._url)
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
        visitor = new_visitor_id()
        if parent == ROOT:
            # A first sharer has his link from no page of another's. He looks at his own.
            token = self._links.token(Link(self._campaign, visitor))
        elif parent in self._tokens:
            token = self._tokens[parent]
        else:
            raise _Unanswered("its parent was not played")
        cookie = f"referral_visitor={self._links.cookie(VisitorCookie(visitor))}"
        page = browser.page(f"{self._path}/s/{token}", {**BROWSER, "Cookie": cookie})
        found = _OWN_LINK.search(page)
        own = self._links.read(found[1].decode()) if found else None
        if found is None or own is None:
            raise _Unanswered("the page carries no link of the reader's own")
        hop = min(self._cascades.hops[node], HOP_MAX)
        if own.campaign != self._campaign or own.hop != hop or own.visitor != visitor:
            raise _Unanswered(f"the page's own link is at hop {own.hop} and should be at {hop}")
        if node in self._parents:
            self._tokens[node] = found[1].decode()
        self.played.visitors[node] = visitor

    def _missed(self, node: int, words: str) -> None:
        name = f"node {self._cascades.names[node]} of tree {self._cascades.tree_ids[node]}"
        self.played.troubles.append(f"{name}: {words}")
        if len(self.played.troubles) > TROUBLES_MAX:
            self._schedule.stop(f"too many pages fail; the first: {self.played.troubles[0]}")


class _Browser:
    """One connection to the service, which is asked again when it does not answer."""

    def __init__(self, url: str) -> None:
        self._wire = Wire(url, TIMEOUT_SECONDS)
        self.repeated = 0

    def page(self, path: str, headers: dict[str, str]) -> bytes:
        """The page at a path. Raises `_Unanswered` when the service does not give it."""
        words = ""
        for attempt in range(TRIES_MAX):
            if attempt:
                time.sleep(PAUSE_SECONDS * 2 ** (attempt - 1))
            is_fresh = not self._wire.is_open
            try:
                status, body = self._wire.ask("GET", path, headers)
            except OSError as error:
                words = f"no answer ({type(error).__name__})"
                self.repeated += is_fresh
                continue
            if status == 200:
                return body
            words = f"the service answers {status}"
            if status not in (429, 502, 503, 504):
                break
        raise _Unanswered(words)

    def close(self) -> None:
        self._wire.close()


class _Schedule:
    """Which node is next: one whose parent has been played, in order of what waits behind it or,
    when it is played at a speed, of time."""

    def __init__(
        self, cascades: Cascades, children: Mapping[int, Sequence[int]], speed: float | None
    ) -> None:
        self._children = children
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
        """Count a node that is done with, and let those below it come."""
        children = self._children.get(node, ())
        with self._change:
            self.done += 1
            for child in children:
                heapq.heappush(self._ready, (self._keys[child], child))
            if not self._left:
                self._change.notify_all()
            elif children:
                self._change.notify(len(children))

    def stop(self, failure: str = "") -> None:
        with self._change:
            self._stopped = True
            self.failure = self.failure or failure
            self._change.notify_all()
