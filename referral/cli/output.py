"""What the commands share: the deployment, words or JSON on the way out, errors, progress bars."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from sqlalchemy.exc import SQLAlchemyError

from referral.config import Config, ConfigError
from referral.crypto import LostKey
from referral.db import migration_head, migration_of
from referral.deployment import Deployment, open_deployment
from referral.errors import Problem, Unavailable

BY = "command line"
"""Who is named where the service keeps who did something."""
INTERRUPTED = 130
"""The exit code of a command that was ended with Ctrl-C, as shells have it."""

INT64_MAX = 2**63 - 1
"""What a column holds: a database is not asked for more."""
BATCH_ID = click.IntRange(1, INT64_MAX)

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@dataclass(frozen=True)
class Check:
    """What `referral doctor` looked at."""

    name: str
    ok: bool
    words: str
    alarm: bool = False
    """Nothing is broken, but somebody should look."""

    @property
    def mark(self) -> str:
        return "LOOK" if self.alarm else "ok" if self.ok else "FAIL"


class Commands(click.Group):
    """A group whose commands fail with one sentence on standard error and exit code 1."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            ctx.exit(INTERRUPTED)
        except BrokenPipeError:
            raise  # click ends quietly: whoever read our output has gone
        except (ConfigError, Problem, LostKey, SQLAlchemyError, OSError) as error:
            raise click.ClickException(sentence(error)) from None


def sentence(error: Exception) -> str:
    """What is the matter and what to do, in one line."""
    if isinstance(error, Unavailable):
        return "The database is locked or cannot be reached; check REFERRAL_DATABASE_URL."
    if isinstance(error, Problem):
        return f"{error.title} {error.detail or error.advice}"
    if isinstance(error, LostKey):
        return "A secret key that encrypted this is no longer listed in REFERRAL_SECRET_KEYS."
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return (str(error).splitlines() or [type(error).__name__])[0]


@contextmanager
def opened(*, migrated: bool = True) -> Iterator[Deployment]:
    """The deployment that the environment describes. `migrated`: refuse an old database."""
    deployment = open_deployment(Config.from_env())
    try:
        if migrated:
            check_migrated(deployment)
        yield deployment
    finally:
        deployment.db.close()


def check_migrated(deployment: Deployment) -> None:
    """Refuse an old database. Raises `Unavailable`."""
    with deployment.db.read() as tx:
        current = migration_of(tx)
    if current != migration_head():
        raise click.ClickException(
            "The database is not at this version's migration; run `referral db upgrade`."
        )


def answer(found: dict[str, Any], as_json: bool, words: str) -> None:
    """Print what was found: as one JSON object, or in words."""
    print(json.dumps(found, ensure_ascii=False, default=_plain) if as_json else words)


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return str(value)


@contextmanager
def progress(label: str) -> Iterator[Callable[[int, int], None]]:
    """Tells how far long work is: a bar on a terminal, one line elsewhere.

    Yields a function to call with how much is done, and of how much.
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        print(f"{label} ...", file=sys.stderr, flush=True)
        yield lambda done, total: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console) as bar:
        task = bar.add_task(label, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
