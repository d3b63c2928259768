"""Made-up histories of a campaign: who buys, shares, opens and buys again, as a branching process.

Every person begets a negative binomial number of people who open a link of theirs (Lloyd-Smith et
al. 2005, 10.1038/nature04153: few people bring in many), after lognormal waiting times (Iribarren
and Moro 2009, 10.1103/PhysRevLett.103.038702: most within hours, some after weeks). Somebody who
opens a link and buys is a customer from then on; the others are anonymous and may forward it all
the same. The size of cascades follows field studies: 0.24 to 0.47 new people per person.

Pure: the same generator and parameters give the same events.
"""

import heapq
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from random import Random

DAY_SECONDS = 86_400
GROUP_MEAN = 4.0
"""How many more than one read the same forward, on average: a chat group."""
POISSON_MEAN_MAX = 500.0
"""Beyond it the product of uniforms would underflow."""

Weighted = tuple[tuple[str, float], ...]
"""Names and how often each is picked."""


class Kind(StrEnum):
    purchase = "purchase"
    """A person buys a package, scans it and claims it."""
    share = "share"
    """A person presses a share button."""
    fetch = "fetch"
    """A chat app's preview machine asks for a person's link."""
    open = "open"
    """A person opens the link of `via`."""
    engagement = "engagement"
    """A person reads what was opened."""


@dataclass(frozen=True)
class Event:
    """Something a person did. People are numbered from 0 in the order they appear."""

    at: float
    """Days since the start."""
    kind: Kind
    person: int
    channel: str = "unknown"
    via: int | None = None
    """Whose link was opened."""


@dataclass(frozen=True)
class Wait:
    """A lognormal waiting time: its median in days and the spread of its logarithm."""

    median_days: float
    sigma: float

    def draw(self, rng: Random) -> float:
        return rng.lognormvariate(math.log(self.median_days), self.sigma)


@dataclass(frozen=True)
class Parameters:
    """What a history is drawn from; the defaults give a lively campaign of two months."""

    roots: int = 800
    """People who buy without anybody's link."""
    days: float = 60.0
    growth: float = 1.4
    """How purchases without a link grow over time: 1 is evenly, more is more of them later."""
    reproduction: float = 0.40
    """R: how many customers a customer brings in on average, anonymous hops in between or not."""
    dispersion: float = 0.15
    """k: the smaller, the more of it comes from a few people."""
    forwarding: float = 0.30
    """How many people an anonymous reader passes the link on to, on average."""
    conversion_new: float = 0.15
    conversion_known: float = 0.50
    """Of those who open a link, how many buy: new people, and people who are customers already."""
    known: float = 0.08
    """How many of those who open a link are customers already."""
    vain: float = 0.15
    """How many customers share and nobody opens it."""
    repeat: float = 0.30
    """How many more packages a customer buys on average, without anybody's link."""
    engaged: float = 0.70
    previewed: float = 0.65
    """How often a chat app fetches a preview of a shared link."""
    wait_to_share: Wait = Wait(0.35, 1.6)
    wait_to_open: Wait = Wait(0.05, 1.5)
    wait_to_buy: Wait = Wait(0.8, 1.2)
    wait_to_repeat: Wait = Wait(12.0, 0.8)
    customer_channels: Weighted = (
        ("sheet", 0.42),
        ("poster", 0.24),
        ("copy", 0.20),
        ("qr", 0.14),
    )
    reader_channels: Weighted = (
        ("address", 0.72),
        ("sheet", 0.18),
        ("copy", 0.10),
    )
    """Anonymous readers mostly forward from the browser's own menu."""

    @property
    def openings_per_customer(self) -> float:
        """How many people open a customer's link, so that `reproduction` of them become customers.

        An anonymous reader brings in g customers: of those who open his link some buy, and the
        others bring in g again. A customer's readers do the same.
        """
        new = 1 - self.known
        forwarded = self.forwarding * new
        converted, lost = self.conversion_new, 1 - self.conversion_new
        if forwarded * lost >= 1:
            raise ValueError("with so much forwarding the spread would never end")
        g = forwarded * converted / (1 - forwarded * lost)
        return self.reproduction / (new * (converted + lost * g))


def history(rng: Random, parameters: Parameters) -> list[Event]:
    """Everything that happened, in order of time."""
    return _History(rng, parameters).run()


@dataclass
class _History:
    """A history being drawn. What is still to happen waits in a heap, so that at every moment it
    is known who is a customer by then."""

    rng: Random
    parameters: Parameters
    people: int = 0
    customers: list[int] = field(default_factory=list)
    is_customer: set[int] = field(default_factory=set)
    events: list[Event] = field(default_factory=list)
    _ahead: list[tuple[float, int, Callable[[float], None]]] = field(default_factory=list)
    _scheduled: int = 0

    def run(self) -> list[Event]:
        for _ in range(self.parameters.roots):
            at = self.parameters.days * self.rng.random() ** (1 / self.parameters.growth)
            self._later(at, self._purchase_of_a_stranger)
        while self._ahead:
            at, _, happen = heapq.heappop(self._ahead)
            happen(at)
        return self.events

    def _later(self, at: float, happen: Callable[[float], None]) -> None:
        """Have something happen, unless the history is over by then."""
        if at < self.parameters.days:
            self._scheduled += 1  # equal times happen in the order they were scheduled
            heapq.heappush(self._ahead, (at, self._scheduled, happen))

    def _new_person(self) -> int:
        self.people += 1
        return self.people - 1

    def _note(self, at: float, kind: Kind, person: int, channel: str = "unknown") -> None:
        self.events.append(Event(at, kind, person, channel))

    def _purchase_of_a_stranger(self, at: float) -> None:
        self._purchase(at, self._new_person())

    def _purchase(self, at: float, person: int) -> None:
        p, rng = self.parameters, self.rng
        self._note(at, Kind.purchase, person)
        if person in self.is_customer:
            return
        self.is_customer.add(person)
        self.customers.append(person)
        for _ in range(poisson(rng, p.repeat)):
            self._later(at + p.wait_to_repeat.draw(rng), partial(self._purchase, person=person))
        readers = negative_binomial(rng, p.openings_per_customer, p.dispersion)
        if readers == 0 and rng.random() < p.vain:
            self._share_later(at, person, p.customer_channels, 0)
        self._pass_on(at, person, p.customer_channels, readers)

    def _pass_on(self, at: float, person: int, channels: Weighted, readers: int) -> None:
        """Spread a person's readers over one or more occasions: a chat group each, say."""
        while readers:
            group = min(readers, 1 + poisson(self.rng, GROUP_MEAN))
            self._share_later(at, person, channels, group)
            readers -= group

    def _share_later(self, at: float, person: int, channels: Weighted, readers: int) -> None:
        wait, channel = self.parameters.wait_to_share.draw(self.rng), pick(self.rng, channels)
        share = partial(self._share, person=person, channel=channel, readers=readers)
        self._later(at + wait, share)

    def _share(self, at: float, person: int, channel: str, readers: int) -> None:
        p, rng = self.parameters, self.rng
        if channel != "address":  # no page sees a forward from the browser's own menu
            self._note(at, Kind.share, person, channel)
        if rng.random() < p.previewed:
            fetch = partial(self._note, kind=Kind.fetch, person=person, channel=channel)
            self._later(at + rng.uniform(1, 20) / DAY_SECONDS, fetch)
        for _ in range(readers):
            open_ = partial(self._open, via=person, channel=channel)
            self._later(at + p.wait_to_open.draw(rng), open_)

    def _open(self, at: float, via: int, channel: str) -> None:
        p, rng = self.parameters, self.rng
        known = rng.random() < p.known
        reader = rng.choice(self.customers) if known else self._new_person()
        self.events.append(Event(at, Kind.open, reader, channel, via))
        if rng.random() < p.engaged:
            engage = partial(self._note, kind=Kind.engagement, person=reader, channel=channel)
            self._later(at + rng.uniform(2, 60) / DAY_SECONDS, engage)
        if rng.random() < (p.conversion_known if known else p.conversion_new):
            self._later(at + p.wait_to_buy.draw(rng), partial(self._purchase, person=reader))
        elif not known:
            readers = negative_binomial(rng, p.forwarding, p.dispersion)
            self._pass_on(at, reader, p.reader_channels, readers)


@dataclass(frozen=True)
class Shape:
    """What recorded cascades look like: figures of 31,524 trees, the largest of 553 nodes and 14
    generations, R between 0.24 and 0.47, median structural virality 2.3 to 3.1 of those that are
    more than a handful."""

    reproduction: float = 0.30
    """R: how many nodes a node begets, on average over cascades."""
    liveliness: float = 0.40
    """How much that differs between cascades: the spread of its logarithm."""
    dispersion: float = 0.07
    """k: the smaller, the more of it comes from a few nodes."""
    wait: Wait = Wait(0.1, 2.0)
    """Between a node and each of its children."""


@dataclass(frozen=True)
class Recorded:
    """A node of a cascade; the node it came from, None for the first; seconds since that one."""

    tree: int
    node: int
    parent: int | None
    seconds: float


REPRODUCTION_MAX = 0.95
"""A cascade livelier than this might not end."""


def recorded(rng: Random, trees: int, shape: Shape) -> Iterator[Recorded]:
    """Cascades as a log has them, one after the other, parents first. Nodes are numbered through.

    Raises `ValueError` for cascades that would never end.
    """
    if not 0 <= shape.reproduction <= REPRODUCTION_MAX:
        raise ValueError(f"R must be from 0 to {REPRODUCTION_MAX}; beyond 1 cascades never end")
    node = 0
    for tree in range(trees):
        liveliness = rng.lognormvariate(-(shape.liveliness**2) / 2, shape.liveliness)
        mean = min(shape.reproduction * liveliness, REPRODUCTION_MAX)
        waiting: list[tuple[int | None, float]] = [(None, 0.0)]
        for parent, seconds in waiting:  # grows while it is read
            yield Recorded(tree, node, parent, seconds)
            waits = (
                shape.wait.draw(rng) * DAY_SECONDS
                for _ in range(negative_binomial(rng, mean, shape.dispersion))
            )
            waiting.extend([(node, seconds + wait) for wait in waits])
            node += 1


def poisson(rng: Random, mean: float) -> int:
    """Knuth's method: how many uniform factors keep the product above exp(-mean)."""
    if mean > POISSON_MEAN_MAX:
        raise ValueError(f"a mean of {mean} is more than this is for")
    limit, product, count = math.exp(-mean), rng.random(), 0
    while product > limit:
        product *= rng.random()
        count += 1
    return count


def negative_binomial(rng: Random, mean: float, dispersion: float) -> int:
    """A Poisson number whose mean is itself drawn from a gamma distribution of shape k."""
    if mean == 0:
        return 0
    return poisson(rng, min(rng.gammavariate(dispersion, mean / dispersion), POISSON_MEAN_MAX))


def pick(rng: Random, weighted: Weighted) -> str:
    names = [name for name, _ in weighted]
    return rng.choices(names, [weight for _, weight in weighted])[0]
