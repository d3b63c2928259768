"""What a browser takes for the picture of a tree: until it is drawn, and for a frame.

The page and the people come out of the memory of this process, styles and scripts out of the
browser's cache, as on anybody's second visit. So this is the browser's share of what somebody waits
for; `first_picture` gives it for any people.
"""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import StringIO
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any

import structlog
from flask import Flask, render_template_string

from bench.measure import Row, on_every_core
from referral import create_app
from referral.config import Config
from referral.db import upgrade
from referral.deployment import open_deployment

SIZES = (2_000, 10_000)
"""How many people a picture has."""
ROUNDS = 7
FRAMES = 60
FIRST_ASKED_MS = 300
FRAME_ASKED_MS = 33
QUICK = {"SIZES": (50,), "ROUNDS": 1, "FRAMES": 5}
STATIC = Path(__file__).resolve().parents[1] / "static"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PAGE = """<!doctype html><html lang="en"><link rel="stylesheet" href="/static/site.css">
<link rel="stylesheet" href="/static/staff.css"><body class="console"><main>
{% from "staff/_tree_picture.html" import tree_picture with context %}
{{ tree_picture("tree", "Bench", "Bench",
  {"picture": "/rows", "branch": "/", "person": "/", "from": "/"}, "0", "Asia/Shanghai", 0,
  [("value", "by value")], {"first": "start", "nameless": "{id}", "direct": "", "total": "",
  "active": "", "paying": "", "value": ""}) }}
</main><script src="/static/built/tree.js" defer></script>"""
PICTURE = "document.querySelector('[data-tree-picture]').picture"
DRAWN = """() => {
    const [measure] = performance.getEntriesByName('tree picture');
    return [measure.startTime + measure.duration, measure.duration];
}"""
MOVED = f"""frames => new Promise((done) => {{
    const picture = {PICTURE};
    const took = [];
    let before = 0;
    const intervals = [];
    const step = (now) => {{
        if (before) intervals.push(now - before);
        before = now;
        const begun = performance.now();
        const at = took.length;
        picture.view.zoom(at % frames < frames / 2 ? 1.2 : 1 / 1.2, 400, 250);
        picture.view.pan(3, -12);
        picture.draw();
        took.push(performance.now() - begun);
        if (took.length < frames) requestAnimationFrame(step);
        else done([took, intervals]);
    }};
    requestAnimationFrame(step);
}})"""


def rows() -> Iterator[Row]:
    from tests import heavy_trees  # trees for tests come with the tests

    with on_every_core(), opened() as picture:
        if picture is None:
            yield Row("tree_browser", "not measured: there is no Chromium, or no built script")
            return
        for size in SIZES:
            yield from measured(picture, size, heavy_trees.customers(size))


def measured(picture: "Picture", size: int, people: list[list[Any]]) -> Iterator[Row]:
    rounds = [picture.show(people) for _ in range(ROUNDS + 1)][1:]
    whole, script = zip(*rounds, strict=True)
    yield Row(
        f"tree_browser: {size:,} people, from the start of the page until they are drawn",
        f"{median(whole):.0f} ms, the fastest {min(whole):.0f} ms",
    )
    yield Row(
        f"tree_browser: {size:,} people, the script until they are drawn",
        f"{median(script):.0f} ms, the fastest {min(script):.0f} ms",
        asked=f"{FIRST_ASKED_MS} ms",
    )
    took, intervals = picture.move()
    yield Row(
        f"tree_browser: {size:,} people, a frame while zooming and moving",
        f"{median(took):.1f} ms, the longest {max(took):.1f} ms",
        f"{median(intervals):.0f} ms between two",
        f"{FRAME_ASKED_MS} ms",
    )


def first_picture(picture: "Picture", people: list[list[Any]], rounds: int = ROUNDS) -> float:
    """Milliseconds from the start of the page until these people are drawn; the median."""
    picture.show(people)
    return median(picture.show(people)[0] for _ in range(rounds))


class Picture:
    """A page of a browser that shows people as they are given to it."""

    def __init__(self, page: Any, pages: "Pages") -> None:
        self._page = page
        self._pages = pages

    def show(self, people: list[list[Any]]) -> tuple[float, float]:
        """Milliseconds until the people are drawn: of all, and of the script alone."""
        body = {"unit": "CNY", "root": 1, "path": [[1, ""]], "people": len(people)}
        self._pages.rows = json.dumps({**body, "nodes": people}).encode()
        self._page.goto(f"http://127.0.0.1:{self._pages.server_port}/page")
        self._page.wait_for_function(f"() => {PICTURE}?.drawn > 0")
        whole, script = self._page.evaluate(DRAWN)
        return float(whole), float(script)

    def move(self) -> tuple[list[float], list[float]]:
        """Milliseconds that frames took, and that passed from one to the next."""
        took, intervals = self._page.evaluate(MOVED, FRAMES)
        return took, intervals


class Pages(ThreadingHTTPServer):
    """Serves one page, its people, and static files that a browser may keep."""

    def __init__(self, html: str) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.html = html.encode()
        self.rows = b""


class _Answer(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Pages

    def do_GET(self) -> None:
        if self.path in {"/page", "/rows"}:
            body = self.server.html if self.path == "/page" else self.server.rows
            kind, kept = ("text/html" if self.path == "/page" else "application/json"), "no-store"
        else:
            file = STATIC / self.path.removeprefix("/static/")
            body, kept = (file.read_bytes() if file.is_file() else b""), "max-age=31536000"
            kind = "text/css" if file.suffix == ".css" else "text/javascript"
        self.send_response(200)
        for name, value in (
            ("Content-Type", f"{kind}; charset=utf-8"),
            ("Content-Length", str(len(body))),
            ("Cache-Control", kept),
        ):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def opened() -> Iterator[Picture | None]:
    """A browser with an empty page; None without a browser, or without the script."""
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)
    try:
        from playwright.sync_api import sync_playwright  # it comes with the tests
    except ImportError:
        found = None
    if found is None or not (STATIC / "built" / "tree.js").is_file():
        yield None
        return
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=found, args=arguments)
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        with Pages(page_of()) as pages:
            Thread(target=pages.serve_forever, daemon=True).start()
            yield Picture(page, pages)
            pages.shutdown()
        browser.close()


def page_of() -> str:
    """The page of a picture, without the console around it."""
    structlog.configure(logger_factory=structlog.WriteLoggerFactory(StringIO()))
    with (
        TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        made(Path(folder)) as app,
        app.test_request_context("/", headers={"Accept-Language": "en"}),
    ):
        return render_template_string(PAGE, csp_nonce="")


@contextmanager
def made(folder: Path) -> Iterator[Flask]:
    url = f"sqlite:///{folder / 'empty.db'}"
    upgrade(url)
    secrets = ("a-secret-key-for-the-benchmarks",)
    deployment = open_deployment(Config(url, folder, secrets, base_url="http://localhost"))
    try:
        yield create_app(deployment=deployment)
    finally:
        deployment.db.close()
