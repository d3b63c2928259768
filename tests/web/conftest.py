"""A small brand for the tests of the pages."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from threading import Thread

import pytest
from flask import Flask
from werkzeug.serving import WSGIRequestHandler, make_server

from referral.config import Config
from referral.deployment import Deployment, open_deployment
from referral.reports import campaigns as figures
from referral.web import connect
from tests import cast
from tests.cast import PER_CLAIM, PER_FRIEND, RULES, add_product, issue, publish
from tests.processes import free_port
from tests.readers import Reader

__all__ = ["PER_CLAIM", "PER_FRIEND", "RULES", "Brand", "make_brand"]


class Brand(cast.Brand):
    """The brand of the cast, by the addresses of its pages."""

    def path(self, index: int) -> str:
        return f"/01/{self.product.gtin}/21/{self.code(index).text}"

    def metrics(self) -> figures.Metrics:
        with self.deployment.db.read() as tx:
            return figures.metrics(tx, self.campaign)


@pytest.fixture
def brand(deployment: Deployment) -> Brand:
    return make_brand(deployment)


def make_brand(
    deployment: Deployment, rules: Sequence[Mapping[str, object]] = tuple(RULES)
) -> Brand:
    product = add_product(deployment)
    batch = issue(deployment, name="first batch")
    return Brand(deployment, product, batch, publish(deployment, rules=list(rules)))


@pytest.fixture
def alice(app: Flask) -> Reader:
    """A customer in the making, with her own phone."""
    return Reader(app)


@pytest.fixture
def bob(app: Flask) -> Reader:
    return Reader(app)


@pytest.fixture
def charlie(app: Flask) -> Reader:
    return Reader(app)


class _Handler(WSGIRequestHandler):
    timeout = 5
    """Seconds: a browser also opens connections that it never uses."""

    def log_request(self, *_: object) -> None:
        """Say nothing: the service keeps a log of its own."""


@pytest.fixture
def site(app: Flask, config: Config) -> Iterator[str]:
    """The address of the pages, for a browser, by the real clock.

    They are served by this process, where all is loaded. What is about the service as a process
    asks for `live_server`, which takes seconds to start.
    """
    with served(app, config, "127.0.0.1") as address:
        yield address


@contextmanager
def served(app: Flask, config: Config, host: str) -> Iterator[str]:
    """The pages at a name of this machine."""
    port = free_port()
    address = f"http://{host}:{port}"
    opened = open_deployment(replace(config, base_url=address))
    connect(app, opened)
    server = make_server("127.0.0.1", port, app, threaded=True, request_handler=_Handler)
    server.daemon_threads = False  # closing it waits for the last answer
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield address
    server.shutdown()
    thread.join()
    server.server_close()
    opened.db.close()
