"""`replay`: recorded cascades through the real pages, and whether they come out as they went in."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from referral import actions, campaigns, people
from referral.campaigns import Campaign, CampaignState, Draft
from referral.cli.output import BY, answer, json_option, opened, progress
from referral.cli.player import CONNECTIONS, Played, Player, PlayFailed, answers
from referral.deployment import Deployment
from referral.reports import replays
from referral.spread import replay
from referral.spread.replay import Cascades

START_SECONDS = 60.0
STOP_SECONDS = 20.0
SETTLE_SECONDS = 30.0
"""How long what was played may be on its way into the database."""
WORKERS = 2
DIFFERENCES_SHOWN = 50
FINDINGS_SHOWN = 20
NOTED_AT_ONCE = 1_000
OWN_CAMPAIGN = "replay"
OWN_GTIN = "09506000134352"
"""A trade item that GS1 keeps for demonstrations."""


class Speed(click.ParamType[float | None]):
    """`max`, or how many times as fast as recorded."""

    name = "speed"

    def convert(self, value: Any, param: Any, ctx: Any) -> float | None:
        if value == "max":
            return None
        try:
            speed = float(value)
        except (TypeError, ValueError):
            speed = 0.0
        if not 0 < speed < float("inf"):
            self.fail("must be max, or a number such as 60: an hour in a minute.", param, ctx)
        return speed


@click.command("replay")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--campaign",
    "slug",
    help="Where to play; by default the newest that runs, or one made for it where none does.",
)
@click.option(
    "--url",
    help="A running service with these settings (keys, database); by default one is started for "
    "the play, on a free port.",
)
@click.option("--speed", type=Speed(), default="max", show_default=True, help="max or a factor.")
@click.option("--connections", type=click.IntRange(1, 64), default=CONNECTIONS, show_default=True)
@click.option(
    "--check", is_flag=True, help="Compare the graph with the file; exit 1 if it differs."
)
@click.option(
    "--names",
    type=click.Path(path_type=Path, dir_okay=False, writable=True),
    help="Write which visitor each node was: tree_id,node,visitor.",
)
@json_option
def replay_command(
    file: Path,
    slug: str | None,
    url: str | None,
    speed: float | None,
    connections: int,
    check: bool,
    names: Path | None,
    as_json: bool,
) -> None:
    """Play recorded cascades through the service's pages, one visitor a node.

    FILE is a CSV with the header tree_id,node,parent,seconds; a root has an empty parent. Each
    node is a new visitor, who opens the link that its parent got from its own page. Played twice,
    a file is there twice.

    Lines that are not as they should be are told on standard error, with how many there are of
    each sort. A node that stands there again counts as the first of its lines that leads up to a
    root; one that comes before its parent, in the file or in time, comes right after it; a parent
    that is in no line, a node that is its own parent and a circle are left out, with all below
    them. What --check expects is what remains. See docs/replay.md.
    """
    cascades = _read(file)
    with opened() as deployment:
        campaign = _campaign(deployment, slug)
        with _running(url) if url else _own_service(deployment) as address:
            player = Player(
                address,
                deployment.links,
                campaign.id,
                cascades,
                speed=speed,
                connections=connections,
            )
            try:
                with progress(f"Playing {len(cascades):,} nodes") as tell:
                    played = player.play(tell)
            except KeyboardInterrupt:
                print(f"Stopped; {player.done:,} nodes are played and stay.", file=sys.stderr)
                raise
            except PlayFailed as failure:
                raise click.ClickException(f"The play was broken off: {failure}.") from None
            finally:
                _note_ran(deployment, player.played)
        if names:
            names.write_text(replays.names(cascades, played.visitors), encoding="utf-8")
        found = _compared(deployment, campaign, cascades, played) if check else []
    _answer(cascades, campaign, played, found if check else None, as_json)
    if played.troubles or found:
        words = f"{len(played.troubles):,} nodes were not played"
        raise click.ClickException(f"{words}, {len(found):,} differences were found.")


def _note_ran(deployment: Deployment, played: Played) -> None:
    """Take who was played for people: a browser that reports nothing is in time taken for a
    machine, and to play every page's report as well would take half as long again."""
    visitors = [visitor for visitor in played.visitors if visitor]
    now = deployment.clock.now()
    for start in range(0, len(visitors), NOTED_AT_ONCE):
        part = visitors[start : start + NOTED_AT_ONCE]
        deployment.db.transact(partial(people.note_all_ran, ran=dict.fromkeys(part, now)))


def _read(file: Path) -> Cascades:
    try:
        # What is no UTF-8 stays apart from other names that are none.
        with file.open(encoding="utf-8-sig", errors="backslashreplace") as lines:
            cascades = replay.read(lines)
    except replay.BadHeader as error:
        raise click.ClickException(f"{file}: {error}") from None
    for finding in islice(cascades.findings, FINDINGS_SHOWN):
        print(f"{file}, {finding}", file=sys.stderr)
    if len(cascades.findings) > FINDINGS_SHOWN:
        print(f"{file}: ... {len(cascades.findings):,} lines in all:", file=sys.stderr)
    for dirt, count in cascades.findings.counts.most_common():
        done = "left out" if dirt.left_out else "put right"
        print(f"{file}: {count:,} x {dirt}; {done}", file=sys.stderr)
    return cascades


def _campaign(deployment: Deployment, slug: str | None) -> Campaign:
    """The campaign to play in; one for the purpose where none runs."""
    now = deployment.clock.now()
    with deployment.db.read() as tx:
        if slug is not None:
            named = campaigns.campaign_by_slug(tx, slug)
            if not named.runs_at(now):
                raise click.ClickException(f"The campaign {slug} does not run now.")
            return named
        running = campaigns.running(tx, now)
    if running:
        return running[0]
    product = {"name": "Replayed", "price": 10_000, "currency": "CNY"}
    terms = {
        "slug": OWN_CAMPAIGN,
        "title": "Replayed",
        "budget": 1_000,
        "gtins": [OWN_GTIN],
        "rules": [{"when": "claim", "for": "person", "amount": 1}],
    }
    actions.add_product(deployment, gtin=OWN_GTIN, **product)  # type: ignore[arg-type]
    made = actions.add_campaign(deployment, Draft.model_validate(terms))
    assert made.state == CampaignState.draft
    print(f"No campaign runs here; {OWN_CAMPAIGN} is made for it ({BY}).", file=sys.stderr)
    return actions.publish_campaign(deployment, OWN_CAMPAIGN)


@contextmanager
def _own_service(deployment: Deployment) -> Iterator[str]:
    """A service on this deployment's database and a free port, for as long as it is needed."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "referral", "serve", "--port", str(port)]
    command += ["--end-with", str(os.getpid())]  # also when this process is killed
    process = subprocess.Popen(
        [*command, "--workers", str(WORKERS)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "REFERRAL_BASE_URL": deployment.config.base_url},
        start_new_session=True,  # Ctrl-C is for this command, which then ends the service
    )
    try:
        _wait_until_it_answers(process, port)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
        shutil.rmtree(deployment.config.data_dir / f"metrics-{port}", ignore_errors=True)


@contextmanager
def _running(url: str) -> Iterator[str]:
    """A service that runs already."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise click.BadParameter("must begin with http:// or https://", param_hint="--url")
    if not answers(url):
        raise click.ClickException(f"No service answers at {url}; is it started?")
    yield url


def _wait_until_it_answers(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        if answers(f"http://127.0.0.1:{port}"):
            return
        time.sleep(0.05)
    raise click.ClickException("The service did not start; try `referral doctor`.")


def _compared(
    deployment: Deployment, campaign: Campaign, cascades: Cascades, played: Played
) -> list[str]:
    """Where the graph differs from the file, once everything has arrived."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        with deployment.db.read() as tx:
            found = replays.differences(tx, campaign.id, cascades, played.visitors)
        if not found or time.monotonic() > deadline:
            return found
        time.sleep(1.0)


def _answer(
    cascades: Cascades, campaign: Campaign, played: Played, found: list[str] | None, as_json: bool
) -> None:
    nodes = len(cascades) - len(played.troubles)
    rate = nodes / played.seconds if played.seconds else 0.0
    left_out = cascades.findings.left_out
    told: dict[str, Any] = {
        "campaign": campaign.slug,
        "nodes": nodes,
        "trees": cascades.trees,
        "depth": max(cascades.hops, default=0),
        "seconds": round(played.seconds, 3),
        "nodes_per_second": round(rate, 1),
        "left_out": left_out,
        "findings": len(cascades.findings),
        "dirt": {dirt.name: count for dirt, count in cascades.findings.counts.items()},
        "repeated": played.repeated,
        "troubles": played.troubles,
    }
    words = [
        f"Played {nodes:,} nodes in {cascades.trees:,} trees, {told['depth']} hops deep at most.",
        f"It took {played.seconds:.1f} s: {rate:,.0f} nodes a second.",
        *played.troubles,
    ]
    if left_out:
        words.append(f"{left_out:,} lines were left out.")
    if played.repeated:
        words.append(
            f"{played.repeated:,} pages were asked for again; they may count as opened twice."
        )
    if found is not None:
        told |= {"same": not found, "differences": found}
        words += found[:DIFFERENCES_SHOWN]
        if len(found) > DIFFERENCES_SHOWN:
            words.append(f"... and {len(found) - DIFFERENCES_SHOWN:,} more.")
        if not found:
            words.append("The graph is what the file says: same trees, same hops, same counts.")
    answer(told, as_json, "\n".join(words))
