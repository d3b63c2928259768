"""Starting the service: `serve` for production, `run` with the demo, and `demo` itself."""

import os
import shutil
import sys
from contextlib import AbstractContextManager, nullcontext

import click

from referral.cli import server
from referral.cli.intake import worker_beside
from referral.cli.output import answer, json_option, opened, progress
from referral.config import Config
from referral.db import upgrade
from referral.demo import Demo, brand, is_loaded
from referral.demo import demo as load_demo
from referral.places import Places
from referral.printing.qr import qr_of_address

LOADING = "Loading two months of a demo brand's history"
BLACK_ON_WHITE, PLAIN = "\x1b[30;107m", "\x1b[0m"

port_option = click.option(
    "--port", type=click.IntRange(1, 65_535), default=8000, envvar="PORT", show_default=True
)


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@port_option
@click.option("--workers", type=click.IntRange(1, 64), default=2, show_default=True)
@click.option(
    "--worker/--no-worker",
    default=True,
    help="Whether to run a `referral worker` beside it, where visits wait for one.",
    show_default=True,
)
@click.option("--end-with", type=int, hidden=True, help="End when this parent process ends.")
def serve(host: str, port: int, workers: int, worker: bool, end_with: int | None) -> None:
    """Start the service. Needs a migrated database; see `db upgrade`."""
    config = _config(port)
    with _worker_beside(config) if worker else nullcontext():
        server.serve(
            config,
            host=host,
            port=port,
            workers=workers,
            when_ready=lambda: _say(f"Listening on {host}, port {port}; open {config.base_url}"),
            end_with=end_with,
        )


def _worker_beside(config: Config) -> AbstractContextManager[None]:
    return nullcontext() if config.intake == "direct" else worker_beside()


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@port_option
@click.option("--workers", type=click.IntRange(1, 64), default=2, show_default=True)
def run(host: str, port: int, workers: int) -> None:
    """Set everything up with a demo brand, start the service and say what to open."""
    if not os.environ.get("REFERRAL_BRAND", "").strip():
        os.environ["REFERRAL_BRAND"] = brand.NAME
    config = _config(port)
    server.check_port(host, port)  # before the long work, not after it
    upgrade(config.database_url)
    found = _demo()
    with _worker_beside(config):
        server.serve(
            config,
            host=host,
            port=port,
            workers=workers,
            when_ready=lambda: print(_welcome(config, found), flush=True),
        )


@click.command()
@json_option
def demo(as_json: bool) -> None:
    """Load the demo brand, once, and say how to try it."""
    found = _demo()
    lines = [
        f"Address     {found.base_url}",
        f"Staff       {found.staff.email}  password {found.staff.password}",
        f"API key     {found.api_key}",
        f"Campaign    {found.campaign}",
        f"Share link  {found.share_url}",
        f"A code      {found.codes[0]}" if found.codes else "No codes are left to try.",
    ]
    answer(found.as_json(), as_json, "\n".join(lines))


def _demo() -> Demo:
    with opened() as deployment:
        if is_loaded(deployment):
            return load_demo(deployment)
        with progress(LOADING) as tell:
            return load_demo(deployment, progress=tell)


def _config(port: int) -> Config:
    os.environ["PORT"] = str(port)  # the public address follows the port unless it is set
    config = Config.from_env()
    Places(config.geoip)  # a broken file is told once here, and not by every worker for ever
    return config


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _welcome(config: Config, found: Demo) -> str:
    base = found.base_url
    lines = [
        "",
        f"{config.brand} is open. Try:",
        "",
        f"  Home        {base}/",
        f"  A package   {found.codes[0]}" if found.codes else "",
        f"  Share link  {found.share_url}",
        f"  Staff       {base}/staff/",
        f"              {found.staff.email}  password {found.staff.password}",
        f"  API         {base}/api/docs",
        f"              key {found.api_key}",
        "",
    ]
    if found.codes:
        lines += [*qr_lines(found.codes[0]), ""]
    lines.append(
        f"One-time codes are shown on the page and here. The data is in {config.data_dir}."
    )
    lines.append("Ctrl-C stops the service.")
    return "\n".join(lines)


def qr_lines(text: str) -> list[str]:
    """A QR code in half blocks, two modules a character; nothing where it does not fit.

    On a terminal the colours are set, because readers want dark on light whatever the theme.
    """
    rows = qr_of_address(text).get_matrix()
    columns, height = shutil.get_terminal_size()
    on_terminal = sys.stdout.isatty()
    if len(rows[0]) > columns or (on_terminal and (len(rows) + 1) // 2 > height):
        return []
    rows = [*rows, [False] * len(rows[0])] if len(rows) % 2 else rows
    blocks = {(False, False): " ", (True, False): "▀", (False, True): "▄", (True, True): "█"}
    lines = [
        "".join(blocks[pair] for pair in zip(upper, lower, strict=True))
        for upper, lower in zip(rows[::2], rows[1::2], strict=True)
    ]
    return [f"{BLACK_ON_WHITE}{line}{PLAIN}" for line in lines] if on_terminal else lines
