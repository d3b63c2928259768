"""Heads of chains of seals: files that were kept elsewhere, and what does not fit them."""

from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

import click
from pydantic import BaseModel, ValidationError

FAULTS_MAX = 100
"""How many broken things are listed; the first one is what is looked for."""
HEAD_BYTES_MAX = 10_000

Head = TypeVar("Head", bound=BaseModel)
Fault = TypeVar("Fault")

heads_option = click.option(
    "--head",
    "heads",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="What `head --json` printed earlier; may be given more than once.",
)


def read_heads(paths: Iterable[Path], model: type[Head], chain: str, group: str) -> list[Head]:
    """The heads in files, of a chain such as `the ledger`, which `referral GROUP head` prints."""
    return [_read(path, model, chain, group) for path in paths]


def _read(path: Path, model: type[Head], chain: str, group: str) -> Head:
    with path.open("rb") as file:
        text = file.read(HEAD_BYTES_MAX)
    try:
        return model.model_validate_json(text)
    except ValidationError:
        raise click.ClickException(
            f"{path} is no head of {chain}; `referral {group} head --json` prints one."
        ) from None


def listed(faults: Iterable[Fault]) -> tuple[list[Fault], int]:
    """The first faults, and how many more there are."""
    found: list[Fault] = []
    more = 0
    for fault in faults:
        if len(found) < FAULTS_MAX:
            found.append(fault)
        else:
            more += 1
    return found, more
