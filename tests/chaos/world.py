"""Everything a deployment is made of, as real processes that can be killed one by one."""

import random
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil
import redis

from referral import actions, db, people
from referral.batches import Batch
from referral.config import Config
from referral.db.url import read_database_url
from referral.deployment import Deployment, open_deployment
from referral.intake.health import health
from referral.intake.stream import GROUP, KEY
from referral.links import Channel
from referral.ranges import RangeState
from referral.risk import Mode
from tests import waits
from tests.conftest import SECRET_KEYS, settings_of
from tests.servers import PostgresServer, ServiceProcess, ValkeyServer
from tests.web.conftest import make_brand

wait_until = partial(waits.wait_until, seconds=240)
"""How long anything may take on a machine under load. Nothing here is about speed."""
SHARERS = 8
PACKAGES = 1_000_000
WEB_WORKERS = 2


class WebProcess(ServiceProcess):
    """`referral serve`, without a worker beside it."""

    def _command(self) -> Sequence[str | Path]:
        return [*super()._command(), "--no-worker", "--workers", str(WEB_WORKERS)]

    def kill_one(self, chance: random.Random) -> None:
        """SIGKILL one of its processes that answer; the main one replaces it."""
        children = psutil.Process(self.pid).children()
        chance.choice(children).kill()


class WorkerProcess(ServiceProcess):
    """`referral worker`, started again whenever it ends, as systemd does."""

    def _command(self) -> Sequence[str | Path]:
        again_and_again = 'while :; do "$@"; sleep 0.2; done'
        return ["/bin/sh", "-c", again_and_again, "sh", *super()._command()[:3], "worker"]

    def _check(self) -> None:
        """There is nothing to ask it; what it has worked off shows that it is there."""

    def kill_it(self, names: Callable[[], Sequence[str]]) -> None:
        """SIGKILL it once it is one of those that have asked for work, and let it be started again.

        `names` are theirs; a worker's has its process id in it.
        """

        def at_work() -> list[psutil.Process]:
            children = psutil.Process(self.pid).children()
            return [each for each in children if any(f"-{each.pid}-" in name for name in names())]

        wait_until(lambda: bool(at_work()), "a worker that was killed does not come back")
        for each in at_work():
            each.kill()


@dataclass(frozen=True)
class Sharer:
    """A customer whom the API made, and the link she passes on."""

    customer: int
    token: str


class World:
    """PostgreSQL, Valkey with AOF, the service and its workers, and a brand whose campaign runs."""

    def __init__(self, folder: Path, *, workers: int = 1) -> None:
        self.postgres = PostgresServer()
        self.valkey = ValkeyServer(appendonly=True, settings={"appendfsync": "everysec"})
        self._folder = folder
        self._workers = workers

    def start_database(self) -> str:
        """Returns the address of an empty database."""
        self.postgres.start()
        return self.postgres.create_database("chaos")

    def start_stream(self) -> str:
        """Returns the address of Redis."""
        return self.valkey.start().url

    @property
    def servers(self) -> Sequence[PostgresServer | ValkeyServer]:
        return (self.postgres, self.valkey)

    def __enter__(self) -> Self:
        address = self.start_database()
        url = read_database_url(address)
        redis_url = self.start_stream()
        db.upgrade(url)
        data_dir = self._folder / "data"
        data_dir.mkdir()
        config = Config(url, data_dir, SECRET_KEYS, redis_url=redis_url, intake="stream")
        settings = {**settings_of(config), "REFERRAL_DATABASE_URL": address}
        settings["REFERRAL_INTAKE"] = "stream"
        self.web = WebProcess(settings)
        self.workers = [WorkerProcess(settings) for _ in range(self._workers)]
        self.deployment = open_deployment(config)
        self.brand = make_brand(self.deployment)
        self.batch = self._issue(self.deployment)
        self._set_the_scene(self.deployment)
        self.web.start()
        for worker in self.workers:
            worker.start()
        wait_until(lambda: len(self._workers_names()) >= self._workers, "the workers do not begin")
        return self

    def _issue(self, d: Deployment) -> Batch:
        """More packages than anybody scans, all of them on sale."""
        gtin = self.brand.product.gtin
        batch = actions.issue_batch(d, gtin=gtin, count=PACKAGES, name="chaos", by="tests")
        actions.set_range(d, batch.id, RangeState.activated, start=0, end=PACKAGES, by="tests")
        return batch

    def code(self, index: int) -> str:
        return self.deployment.codes.encode(self.batch, index).text

    def _set_the_scene(self, d: Deployment) -> None:
        # Else the risk rules stop paying for the sixth friend of a day.
        for rule in ("too_many_in_a_day", "too_many_in_a_month"):
            actions.set_risk_rule(d, rule, Mode.off, by="tests")
        self.api_key = actions.add_api_key(d, "chaos")
        numbers = [
            actions.add_customer(d, [people.external(f"sharer-{n}")], None)[0]
            for n in range(SHARERS)
        ]
        links = [actions.make_link(d, "spring", who, Channel.copy) for who in numbers]
        self.sharers = [
            Sharer(who, d.links.token(link)) for who, link in zip(numbers, links, strict=True)
        ]

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.deployment.db.close()
        if self.deployment.stream is not None:
            self.deployment.stream.close()
        for process in (self.web, *self.workers):
            process.kill()
            if error is not None:
                print(f"--- log of {process.name} {process.folder.name}\n{process.logs(20_000)}")
            process.discard()
        for server in self.servers:
            server.discard()

    # What happens to it

    def kill_a_web_worker(self, chance: random.Random) -> None:
        self.web.kill_one(chance)

    def kill_web(self, chance: random.Random) -> None:
        """One of the processes that answer, or now and then all of them."""
        if chance.random() < 0.8:
            self.web.kill_one(chance)
        else:
            self.web.kill()
            self.web.start()

    def kill_worker(self, chance: random.Random) -> None:
        chance.choice(self.workers).kill_it(self._workers_names)

    def _workers_names(self) -> list[str]:
        """Those that have ever asked for work."""
        with redis.Redis.from_url(self.valkey.url, decode_responses=True) as connection:
            return consumers(connection, KEY)

    def kill_valkey(self, chance: random.Random) -> None:
        self.valkey.kill()
        time.sleep(chance.uniform(0, 1))
        self.valkey.start()

    def kill_postgres(self, chance: random.Random) -> None:
        self.postgres.kill()
        time.sleep(chance.uniform(0, 1))
        self.postgres.start()

    def empty_valkey(self) -> None:
        """Kill it and take away what it has kept on its disk."""
        self.valkey.kill()
        for path in self.valkey.folder.glob("appendonlydir*"):
            shutil.rmtree(path)

    def backlog(self) -> int:
        """Of the stream and of the table. Of a shard that is away it is not known."""
        found = health(self.deployment.stream, self.deployment.waiting)
        assert found.state is not None, "Redis is away"
        assert found.table is not None, "the database is away"
        return found.state.entries + len(found.state.faulty) + found.table.entries

    def wait_until_drained(self) -> float:
        """Until the workers have worked off what waits. Returns how many seconds it took."""
        begun = time.monotonic()
        wait_until(lambda: self.backlog() == 0, "the backlog stays")
        return time.monotonic() - begun


def consumers(connection: Any, key: str) -> list[str]:
    """Who has ever asked for the entries of a stream."""
    try:
        return [each["name"] for each in connection.xinfo_consumers(key, GROUP)]
    except redis.ResponseError:  # nobody has
        return []
