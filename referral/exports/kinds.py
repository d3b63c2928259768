"""Kinds: which lists there are to be exported. Registering one is a short declaration.

    kinds.register(
        Kind(
            name="orders",
            title=N_("Orders"),
            columns=(Column("number", N_("Order")), Column("amount", N_("Amount"))),
            page=_page,
            count=_count,
        )
    )

`page` reads the next rows behind a key, in a short transaction; the key of its last row is where
the next page begins, also for another worker after this one was killed. So a page never depends on
anything but the key and what was asked for.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from referral.crypto import KeyRing
from referral.exports.jobs import Form
from referral.staff import Right

AT_ONCE = 2_000
"""Rows that are read at a time."""

Value = str | int | float | Decimal | bool | datetime | None
"""What stands in a cell. Texts are made safe, times are written in the brand's zone."""
Key = Sequence[Any]
"""Where a page begins: numbers and texts, as JSON has them."""


@dataclass(frozen=True)
class Column:
    name: str
    """Short and stable; nobody reads it but programs, of GraphML."""
    title: str
    """Marked for translation; the first line of the file, in the language of who asked."""
    width: int = 16
    """Of the column in a spreadsheet, in characters."""


@dataclass(frozen=True)
class Wanted:
    """What a page is read for."""

    params: Mapping[str, Any]
    keys: KeyRing
    zone: ZoneInfo
    """Whose calendar decides what day it is."""
    at: datetime
    """When it was asked for."""


@dataclass(frozen=True)
class Page:
    rows: Sequence[Sequence[Value]]
    """A value for each column."""
    after: Key | None
    """The key behind which the next page begins; None for the last one."""


ReadPage = Callable[[Session, Wanted, Key | None], Page]
Count = Callable[[Session, Wanted], int | None]


@dataclass(frozen=True)
class Graph:
    """How rows become nodes and edges: the columns that name a node and the one it hangs below, and
    the columns that are said of each, with what GraphML calls their type."""

    node: str
    parent: str
    of_node: Mapping[str, str]
    of_edge: Mapping[str, str]


@dataclass(frozen=True)
class Kind:
    """A list that can be exported."""

    name: str
    title: str
    columns: tuple[Column, ...]
    page: ReadPage
    count: Count
    """How many rows there will be about, for the progress; None where that takes too long."""
    right: Right = Right.export
    """Who may, besides having `Right.export`."""
    graph: Graph | None = None
    """Where GraphML can be had as well."""
    of_period: bool = False
    """Whether `since` and `until` can be given, as days such as `2026-03-01`; both are included."""
    of_campaign: bool = False
    """Whether `campaign` has to be given: its number."""
    of_segment: bool = False
    """Whether `segment` has to be given: its number. With it come its `name` and `conditions`, as
    they are when it is asked for."""

    @property
    def forms(self) -> tuple[Form, ...]:
        return (Form.csv, Form.xlsx, Form.graphml) if self.graph else (Form.csv, Form.xlsx)


class Gone(Exception):
    """What was to be listed is not there any more; for `page` and `count` to raise."""


_kinds: dict[str, Kind] = {}


def register(kind: Kind) -> Kind:
    """Offer a kind. Its module is imported by whoever makes the deployment's exports known."""
    if kind.name in _kinds:
        raise ValueError(f"there is an export {kind.name} already")
    _kinds[kind.name] = kind
    return kind


def kind_named(name: str) -> Kind | None:
    return _kinds.get(name)


def every() -> list[Kind]:
    """In the order in which they were registered."""
    return list(_kinds.values())
