"""Claims a second that credit two people, all paid from one budget, against a budget each.

Each connection is a process of its own that calls `actions.claim` on PostgreSQL, so that waiting
for a row is not hidden behind Python's lock, and claims one product for buyers and referrers
of its own. There are two brands with as many campaigns: in one a single campaign pays for every
product, in the other each product has its own campaign, and with it its own budget. Nothing else
differs, so nothing but the budget can be what claims wait for.
"""

import multiprocessing
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

from bench.measure import Row, on_every_core, print_table
from referral import actions
from referral.campaigns import Draft
from referral.config import Config
from referral.db import upgrade
from referral.deployment import Deployment, open_deployment
from referral.links import Channel, Link, Touch
from referral.people import email, new_visitor_id
from referral.ranges import RangeState

CONNECTIONS = (1, 8, 32)
ROUNDS = 7
CLAIMS = {1: 24, 8: 80, 32: 192}
"""How many are made in a turn, by the connections."""
BUYERS = 3
"""Of each connection."""
SHARE_ASKED = 0.8
BUDGET = 10_000_000
PACKAGES = 5_000
SECRET = "a-secret-key-for-the-benchmarks"  # noqa: S105 - of brands that live for minutes
SHARED, EACH = "one budget", "a budget each"
QUICK = {"CONNECTIONS": (1, 2), "CLAIMS": {1: 2, 2: 4}, "ROUNDS": 1}


@dataclass(frozen=True)
class Brand:
    name: str
    url: str
    folder: Path
    batches: list[int]
    """One for each connection."""
    buyers: list[list[int]]

    def open(self) -> Deployment:
        return open_deployment(
            Config(self.url, self.folder, (SECRET,), base_url="http://127.0.0.1")
        )


def rows() -> Iterator[Row]:
    try:
        from tests.servers import PostgresServer  # the servers for tests come with the tests
    except ImportError:
        return
    with ExitStack() as stack:
        stack.enter_context(on_every_core())
        folder = Path(stack.enter_context(TemporaryDirectory(ignore_cleanup_errors=True)))
        server = stack.enter_context(PostgresServer(fsync=True))
        brands = []
        for name in (SHARED, EACH):
            url = server.create_database(f"claims_{len(brands)}")
            brands.append(open_brand(name, url, folder))
        rates = measured(brands)
    for count in CONNECTIONS:
        shared, each = rates[SHARED, count], rates[EACH, count]
        share = median(one / other for one, other in zip(shared, each, strict=True))
        what = f"{count} connection{'s' * (count > 1)}"
        yield Row(f"claims: {what}, {EACH}", f"{median(each):,.0f} a second")
        yield Row(
            f"claims: {what}, {SHARED}",
            f"{median(shared):,.0f} a second",
            f"{share:.2f} of those with {EACH}",
            f"at least {SHARE_ASKED}" if count == max(CONNECTIONS) else "",
        )


# The brands


def open_brand(name: str, url: str, folder: Path) -> Brand:
    """A product, a batch, buyers and a campaign for each connection."""
    upgrade(url)
    brand = Brand(name, url, folder / name.replace(" ", "-"), [], [])
    brand.folder.mkdir()
    d = brand.open()
    try:
        gtins = [gtin(number) for number in range(max(CONNECTIONS) * 2)]
        for each in gtins:
            actions.add_product(d, gtin=each, name="Green tea", price=600, currency="CNY")
        sold, others = gtins[: max(CONNECTIONS)], gtins[max(CONNECTIONS) :]
        campaigns = publish(d, name, sold, others)
        for number, each in enumerate(sold):
            batch = actions.issue_batch(d, gtin=each, count=PACKAGES, name="claims", by="bench")
            actions.set_range(d, batch.id, RangeState.activated, by="bench")
            brand.batches.append(batch.id)
            brand.buyers.append(list(buyers(d, campaigns[number], batch.id)))
    finally:
        d.db.close()
    return brand


def publish(d: Deployment, name: str, sold: Sequence[str], others: Sequence[str]) -> list[int]:
    """As many campaigns as products; the one that pays for each product that is sold."""
    if name == EACH:
        return [campaign(d, f"c{number}", [each]) for number, each in enumerate(sold)]
    # The others pay for what nobody claims: they are looked through all the same.
    for number, each in enumerate(others[1:]):
        campaign(d, f"c{number}", [each])
    return [campaign(d, "all", sold)] * len(sold)


def campaign(d: Deployment, slug: str, gtins: Sequence[str]) -> int:
    rules = [{"when": "claim", "for": "both", "amount": 20}]
    terms = {"slug": slug, "title": "Tea for two", "budget": BUDGET, "rules": rules}
    actions.add_campaign(d, Draft.model_validate({**terms, "gtins": list(gtins)}))
    return actions.publish_campaign(d, slug).id


def buyers(d: Deployment, campaign_id: int, batch_id: int) -> Iterator[int]:
    """Customers whom somebody brought in, with their first claim made."""
    batch = d.directory.batch(batch_id)
    for number in range(BUYERS):
        referrer, buyer = (
            actions.add_customer(d, [email(f"{who}-{batch_id}-{number}@example.com")], None)[0]
            for who in ("referrer", "buyer")
        )
        link = Link(campaign_id, new_visitor_id(), referrer, 0, Channel.address)
        code = d.codes.encode(batch, number)
        made = actions.claim(d, code, buyer, touches=[Touch(link, d.clock.now())])
        if made.referrer != referrer:
            raise RuntimeError("a buyer was brought in by nobody")
        yield buyer


def gtin(number: int) -> str:
    digits = f"0690{number:09d}"
    weighted = sum(int(digit) * (3, 1)[at % 2] for at, digit in enumerate(digits))
    return f"{digits}{-weighted % 10}"


# The claims


def measured(brands: Sequence[Brand]) -> dict[tuple[str, int], list[float]]:
    """Claims a second in each round, by brand and how many connections made them."""
    rates: dict[tuple[str, int], list[float]] = {}
    forked = multiprocessing.get_context("fork")
    with ExitStack() as stack:
        lines = []
        for number in range(max(CONNECTIONS)):
            ours, theirs = forked.Pipe()
            worker = forked.Process(target=work, args=(theirs, number, brands), daemon=True)
            worker.start()
            stack.callback(worker.kill)
            lines.append(ours)
        for line in lines:
            said(line)
        # The first round is for warming up and left out.
        for number in range(ROUNDS + 1):
            for count in CONNECTIONS:
                turns = list(enumerate(brands))
                for which, brand in turns if number % 2 else reversed(turns):
                    rate = turn(lines[:count], which, CLAIMS[count])
                    if number:
                        rates.setdefault((brand.name, count), []).append(rate)
        for line in lines:
            line.send(None)
    return rates


def turn(lines: Sequence[Connection], which: int, claims: int) -> float:
    """Claims a second, made by the workers at the other end of these lines."""
    begun = perf_counter()
    for line in lines:
        line.send((which, claims // len(lines)))
    for line in lines:
        said(line)
    return claims / (perf_counter() - begun)


def said(line: Connection) -> None:
    answer = line.recv()
    if answer != "done":
        raise RuntimeError(answer)


def work(line: Connection, number: int, brands: Sequence[Brand]) -> None:
    """One connection: makes as many claims of a brand's as it is told, until it is told None."""
    try:
        workers = [Claimer(brand, number) for brand in brands]
        line.send("done")
        while (told := line.recv()) is not None:
            which, count = told
            workers[which].claim(count)
            line.send("done")
    except Exception as error:
        with suppress(OSError):
            line.send(f"connection {number}: {error!r}")


class Claimer:
    def __init__(self, brand: Brand, number: int) -> None:
        self._deployment = brand.open()
        self._batch = self._deployment.directory.batch(brand.batches[number])
        self._buyers = brand.buyers[number]
        self._next = BUYERS

    def claim(self, count: int) -> None:
        d = self._deployment
        for _ in range(count):
            buyer = self._buyers[self._next % BUYERS]
            made = actions.claim(d, d.codes.encode(self._batch, self._next), buyer)
            if made.already or len({each.beneficiary_id for each in made.rewards}) != 2:
                raise RuntimeError("a claim did not credit two people")
            self._next += 1


if __name__ == "__main__":
    print_table(rows())
