"""The whole spread of a campaign as CSV or GraphML, piece by piece: it may be larger than memory.

Visitors have their opaque names; those who are customers also the customer's number. What is read
is the graph as it stands while it is written, a page of visitors at a time.
"""

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from io import StringIO
from xml.sax.saxutils import quoteattr

import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral.graph import SpreadNode
from referral.links import visitor_name
from referral.people import Visitor
from referral.spread import counters

AT_ONCE = 2_000
"""Visitors that are read at a time, each time in a transaction of its own: a slow download holds
none open."""


class Format(StrEnum):
    csv = "csv"
    graphml = "graphml"

    @property
    def mimetype(self) -> str:
        return {Format.csv: "text/csv", Format.graphml: "application/graphml+xml"}[self]


@dataclass(frozen=True)
class Row:
    """A visitor in the spread; without a parent for a first sharer."""

    visitor: str
    parent: str
    hop: int
    channel: str
    at: str
    customer: int | None
    direct: int
    total: int
    customers: int
    depth: int
    buyers: int


COLUMNS = tuple(column.name for column in fields(Row))
Reading = Callable[[], AbstractContextManager[Session]]
"""Opens a transaction to read in."""


def lines(read: Reading, campaign_id: int, form: Format) -> Iterator[str]:
    """The file, in pieces."""
    rows = _rows(read, campaign_id)
    return _csv(rows) if form is Format.csv else _graphml(rows)


def size(tx: Session, campaign_id: int) -> int:
    """How many visitors there are in the spread."""
    nodes = sa.select(sa.func.count()).where(SpreadNode.campaign_id == campaign_id)
    return tx.scalar(nodes) or 0


def _rows(read: Reading, campaign_id: int) -> Iterator[list[Row]]:
    """The spread in pages, in the order of the visitors' numbers."""
    statement = (
        sa.select(SpreadNode, Visitor.customer_id)
        .outerjoin(Visitor, Visitor.id == SpreadNode.visitor_id)
        .where(SpreadNode.campaign_id == campaign_id)
        .order_by(SpreadNode.visitor_id)
        .limit(AT_ONCE)
    )
    after = -1
    while True:
        with read() as tx:
            found = tx.execute(statement.where(SpreadNode.visitor_id > after)).all()
            below = counters.counts_of(tx, campaign_id, [node.visitor_id for node, _ in found])
        if not found:
            return
        after = found[-1][0].visitor_id
        yield [
            Row(
                visitor_name(node.visitor_id),
                "" if node.parent_id is None else visitor_name(node.parent_id),
                node.hop,
                node.channel,
                node.at.isoformat(timespec="microseconds").replace("+00:00", "Z"),
                customer_id,
                **asdict(below[node.visitor_id]),
            )
            for node, customer_id in found
        ]


def _csv(pages: Iterable[list[Row]]) -> Iterator[str]:
    yield ",".join(COLUMNS) + "\n"
    for page in pages:
        text = StringIO()
        rows = csv.writer(text, lineterminator="\n")
        rows.writerows([getattr(row, name) for name in COLUMNS] for row in page)
        yield text.getvalue()


# What GraphML calls the types of the columns; the two ends of an edge are not among its data.
_NODE_KEYS: Mapping[str, str] = {
    "hop": "int",
    "at": "string",
    "customer": "long",
    "direct": "long",
    "total": "long",
    "customers": "long",
    "depth": "int",
    "buyers": "long",
}
_EDGE_KEYS: Mapping[str, str] = {"channel": "string"}


def _graphml(pages: Iterable[list[Row]]) -> Iterator[str]:
    head = ['<?xml version="1.0" encoding="UTF-8"?>']
    head.append('<graphml xmlns="http://graphml.graphdrawing.org/xmlns">')
    for owner, keys in (("node", _NODE_KEYS), ("edge", _EDGE_KEYS)):
        head += [
            f'<key id="{name}" for="{owner}" attr.name="{name}" attr.type="{kind}"/>'
            for name, kind in keys.items()
        ]
    head.append('<graph id="spread" edgedefault="directed">\n')
    yield "\n".join(head)
    for page in pages:
        yield "".join(map(_element, page))
    yield "</graph>\n</graphml>\n"


def _element(row: Row) -> str:
    """A visitor, and the edge that leads there: each stands once in the file."""
    node = f"<node id={quoteattr(row.visitor)}>{_data(row, _NODE_KEYS)}</node>\n"
    if not row.parent:
        return node
    ends = f"source={quoteattr(row.parent)} target={quoteattr(row.visitor)}"
    return f"{node}<edge {ends}>{_data(row, _EDGE_KEYS)}</edge>\n"


def _data(row: Row, keys: Iterable[str]) -> str:
    # Numbers, times and names of channels: nothing in them means anything to XML.
    values = {key: getattr(row, key) for key in keys}
    return "".join(
        f'<data key="{key}">{value}</data>' for key, value in values.items() if value is not None
    )
