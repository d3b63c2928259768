"""Takes the pictures of the console that the documentation shows, from the demo.

`python docs/images/take.py` loads the demo into a folder of its own, which takes a minute or two,
serves it and writes the four files beside this one. It needs Playwright and Chromium, as tests do,
and fonts with Chinese and emoji. `REFERRAL_DATA_DIR` names a folder with a demo that is loaded.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import which

from playwright.sync_api import Browser, Page, expect, sync_playwright

HERE = Path(__file__).parent
PORT = 8765
BASE = f"http://127.0.0.1:{PORT}"
DESK, PHONE = (1440, 960), (390, 844)
READY_WITHIN = 600
"""Seconds in which the demo has to be loaded and served."""


@dataclass(frozen=True)
class Picture:
    name: str
    path: str
    language: str
    size: tuple[int, int]
    drawn: str
    """What has to be seen before it is taken."""
    goes_to: str = ""
    """The link to press there first; the picture is of what it leads to."""


PICTURES = (
    Picture("campaign", "/staff/campaigns/share-a-bottle", "zh-CN", DESK, ".drawn canvas"),
    Picture("tree", "/staff/tree", "en-GB", DESK, ".replay output", ".tree .node a"),
    Picture("customer", "/staff/tree?sort=direct", "zh-CN", PHONE, ".ladder", ".tree .node a"),
    Picture("budget", "/staff/money/budgets/share-a-bottle", "en-GB", PHONE, ".drawn canvas"),
)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        data = Path(os.environ.get("REFERRAL_DATA_DIR") or folder)
        with served(data), sync_playwright() as playwright:
            owner = json.loads((data / "demo.json").read_text())["owner"]
            arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
            browser = playwright.chromium.launch(executable_path=which("chromium"), args=arguments)
            for picture in PICTURES:
                take(browser, picture, owner)


@contextmanager
def served(data: Path) -> Iterator[None]:
    """The demo, until the end of the block."""
    environment = os.environ | {"REFERRAL_DATA_DIR": str(data), "REFERRAL_BASE_URL": BASE}
    command = [sys.executable, "-m", "referral", "run", "--port", str(PORT)]
    root = HERE.parent.parent
    with subprocess.Popen(command, cwd=root, env=environment, stdout=subprocess.DEVNULL) as process:
        try:
            _wait()
            yield
        finally:
            process.terminate()


def _wait() -> None:
    last = time.monotonic() + READY_WITHIN
    while True:
        try:
            socket.create_connection(("127.0.0.1", PORT), timeout=5).close()
            return
        except OSError:
            if time.monotonic() > last:
                raise
            time.sleep(1)


def take(browser: Browser, picture: Picture, owner: dict[str, str]) -> None:
    width, height = picture.size
    context = browser.new_context(
        viewport={"width": width, "height": height},
        locale=picture.language,
        reduced_motion="reduce",  # pictures of numbers stand at once
    )
    page = context.new_page()
    _sign_in(page, owner)
    page.goto(BASE + picture.path)
    if picture.goes_to:
        page.goto(_leads_to(page, picture))
    expect(page.locator(picture.drawn).first).to_be_visible()
    page.screenshot(path=HERE / f"console-{picture.name}.png")
    context.close()


def _leads_to(page: Page, picture: Picture) -> str:
    """The page of the first of a list: her own, or that of the picture of whom she brought in."""
    href = page.locator(picture.goes_to).first.get_attribute("href") or ""
    return BASE + href + ("/tree/picture" if picture.name == "tree" else "")


def _sign_in(page: Page, owner: dict[str, str]) -> None:
    page.goto(f"{BASE}/staff/sign-in")
    page.fill("[name=email]", owner["email"])
    page.fill("[name=password]", owner["password"])
    page.click("main button[type=submit]")
    page.wait_for_url(f"{BASE}/staff/")


if __name__ == "__main__":
    main()
