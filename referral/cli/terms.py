"""The options that say what holds for a range of codes: lot, dates, market, store, sale window."""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import click
from pydantic import ValidationError

from referral.cli.setup import storable
from referral.deployment import Deployment
from referral.terms import TermsIn, TermsOut

F = TypeVar("F", bound=Callable[..., Any])


class _Moment(click.ParamType[datetime]):
    """A time; without an offset it is in the brand's own zone, which is known later."""

    name = "time"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        try:
            return datetime.fromisoformat(value)
        except ValueError:
            self.fail("write a time as 2026-05-01, 2026-05-01T08:00 or 2026-05-01T08:00+08:00")


_DAY = click.DateTime(["%Y-%m-%d"])

_OPTIONS = (
    click.option("--lot", callback=storable, help="As it stands on the package."),
    click.option("--made-on", type=_DAY, metavar="DATE"),
    click.option("--expires-on", type=_DAY, metavar="DATE", help="The last day it is good."),
    click.option(
        "--market",
        multiple=True,
        callback=storable,
        metavar="REGION",
        help="Where it is made for, such as CN or CN-GD. May be given again.",
    ),
    click.option(
        "--store",
        metavar="SLUG",
        callback=storable,
        help="The store or distributor it goes to.",
    ),
    click.option(
        "--sale-from",
        type=_Moment(),
        help="In the brand's time zone, unless another one is given.",
    ),
    click.option("--sale-until", type=_Moment(), help="Not included."),
)


def terms_options(command: F) -> F:
    """Adds the options; their values arrive as keyword arguments, for `terms_of`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def terms_of(
    deployment: Deployment, options: dict[str, Any], cleared: tuple[str, ...] = ()
) -> TermsIn:
    """What the options say; `cleared` are the terms to take away."""
    said: dict[str, Any] = {
        name: value for name, value in options.items() if value not in (None, ())
    }
    zone = ZoneInfo(deployment.config.timezone)
    for name, value in said.items():
        if name in cleared:
            raise click.UsageError(f"{name} is both given and taken away.")
        if name in {"made_on", "expires_on"}:
            said[name] = value.date()
        elif isinstance(value, datetime) and value.tzinfo is None:
            said[name] = value.replace(tzinfo=zone)
    try:
        return TermsIn(**said, **dict.fromkeys(cleared))
    except ValidationError as error:
        said_of_it = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise click.UsageError(f"{said_of_it}.") from None


_WORDS = {
    "lot": "lot {}",
    "made_on": "made on {}",
    "expires_on": "best before {}",
    "market": "market {}",
    "store": "store {}",
    "sale_from": "on sale from {:%Y-%m-%d %H:%M} UTC",
    "sale_until": "on sale until {:%Y-%m-%d %H:%M} UTC",
}


def terms_in_words(terms: TermsIn | TermsOut) -> list[str]:
    """What these terms say, in the order in which they are read."""
    return list(_phrases(terms))


def _phrases(terms: TermsIn | TermsOut) -> Iterator[str]:
    for name, words in _WORDS.items():
        value = getattr(terms, name)
        if isinstance(value, list):
            value = ", ".join(value)
        if value:
            yield words.format(value)
        elif isinstance(terms, TermsIn) and name in terms.model_fields_set:
            yield f"no {name.replace('_', ' ')}"
