import json
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner, Result

from referral.cli import cli
from referral.config import Config
from referral.deployment import Deployment
from tests.cast import Brand, open_brand
from tests.conftest import settings_of

Referral = Callable[..., Result]


@pytest.fixture
def referral(config: Config) -> Referral:
    """Run the command on this test's database: `referral("codes", "check", code)`.

    Its clock is the real one. `text` is what it reads, other names are settings.
    """

    def run(*arguments: object, text: str | None = None, **settings: str) -> Result:
        environment = {**settings_of(config), "REFERRAL_BASE_URL": "http://localhost", **settings}
        return CliRunner(env=environment).invoke(cli, [str(a) for a in arguments], input=text)

    return run


@pytest.fixture
def brand(deployment: Deployment) -> Brand:
    return open_brand(deployment)


def told(result: Result) -> dict[str, Any]:
    """The one JSON object of a command that went well."""
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def check_failed(result: Result, words: str) -> None:
    """It failed with one sentence on standard error, and nothing else."""
    assert result.exit_code == 1, result.output
    assert result.stdout == ""
    (line,) = [line for line in result.stderr.splitlines() if not line.endswith(" ...")]
    assert line.startswith("Error: ")
    assert words in line
