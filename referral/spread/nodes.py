"""The spread of visitors per campaign: who opened whose link first, hop by hop."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from referral import people
from referral.db import Base, as_a_whole, insert_new, is_sqlite, lock, run
from referral.db.bulk import Given, among, copy_rows, insert_many, numbers, update_many
from referral.links import Link
from referral.people import Visitor
from referral.spread.crowds import Crowd, apart
from referral.spread.placing import NOWHERE, Node, Opening, Place, Sharing, Touch, in_sequence

NODES_AT_ONCE = 1_000


class SpreadNode(Base):
    """A visitor in a campaign's spread: whose link was opened first, and at which hop.

    A node's hop is its parent's plus one. See `placing` for what decides on the parent and why
    there can be no circle.
    """

    __tablename__ = "spread_nodes"

    campaign_id: Mapped[int] = mapped_column(
        sa.ForeignKey("campaigns.id"), primary_key=True, autoincrement=False
    )
    visitor_id: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    parent_id: Mapped[int | None] = mapped_column(sa.BigInteger)
    """None for a first sharer."""
    hop: Mapped[int] = mapped_column(sa.Integer)
    channel: Mapped[str] = mapped_column(sa.String(12))
    at: Mapped[datetime]
    """When he first opened somebody's link; if he never did, when his own was first opened."""
    touched_by: Mapped[int | None] = mapped_column(sa.BigInteger)
    """Whose link he opened first, also if he was sharing before that."""
    link_hop: Mapped[int | None] = mapped_column(sa.SmallInteger)
    """The hop that link said."""
    shared_at: Mapped[datetime | None]
    """When somebody first opened his own link."""
    shared_hop: Mapped[int | None] = mapped_column(sa.SmallInteger)
    """The hop his link said then."""
    last_by: Mapped[int | None] = mapped_column(sa.BigInteger)
    """Whose link he opened last."""
    last_at: Mapped[datetime | None]

    __table_args__ = (
        # Parents and visitors first: a customer's visitors are looked up in all campaigns at once.
        sa.Index(None, "parent_id", "campaign_id"),
        sa.Index(None, "visitor_id"),
        sa.CheckConstraint("parent_id <> visitor_id", name="not_own_parent"),
    )


_NODE = SpreadNode.__table__.c
_PLACE_OF = (_NODE.touched_by, _NODE.link_hop, _NODE.channel, _NODE.at)
_SHARING_OF = (_NODE.shared_at, _NODE.shared_hop)
_IN_CAMPAIGN = _NODE.campaign_id == sa.bindparam("campaign")
_FIND_NODES = sa.select(
    _NODE.visitor_id, _NODE.parent_id, _NODE.hop, *_PLACE_OF, *_SHARING_OF
).where(_IN_CAMPAIGN, among(_NODE.visitor_id, "visitors"))
# In the order of their numbers, so that two who want the same nodes do not wait in a circle.
_LOCK_NODES = _FIND_NODES.order_by(_NODE.visitor_id).with_for_update()


_Row = tuple[Any, ...]


def _nodes(tx: Session, statement: sa.Executable, campaign: int, *visitors: int) -> dict[int, Node]:
    found = _rows(tx, statement, campaign, visitors)
    return {visitor: _node(row) for visitor, row in found.items()}


def _rows(
    tx: Session, statement: sa.Executable, campaign: int, visitors: Collection[int]
) -> dict[int, _Row]:
    """What is stored of these visitors, as far as they have a place."""
    if not visitors:
        return {}
    rows = run(tx, statement, campaign=campaign, visitors=numbers(tx, visitors)).all()
    return {row[0]: tuple(row) for row in rows}


def _node(row: _Row) -> Node:
    _, parent, node_hop, touched_by, link_hop, channel, at, shared_at, shared_hop = row
    touch = None if touched_by is None else Touch(touched_by, at, link_hop, channel)
    sharing = None if shared_at is None else Sharing(shared_at, shared_hop)
    return Node(parent, node_hop, Place(touch, sharing))


def _columns(place: Place, hop: int) -> dict[str, Any]:
    """A node's columns but for its keys."""
    touch, sharing = place.touch, place.sharing
    at = touch.at if touch else sharing.at if sharing else None
    return {
        "parent_id": place.parent,
        "hop": hop,
        "channel": touch.channel if touch else "unknown",
        "at": at,
        "touched_by": touch.by if touch else None,
        "link_hop": touch.hop if touch else None,
        "shared_at": sharing.at if sharing else None,
        "shared_hop": sharing.hop if sharing else None,
    }


def attach(tx: Session, visitor: int, link: Link, at: datetime) -> bool:
    """Keep that `visitor` opened `link`. True when that decides his place.

    Openings may arrive out of order, late and twice; see `placing`. A sharer whose own opening is
    still on its way gets a node without a parent, at the hop that the link says.
    """
    opening = Opening(visitor, link.visitor, link.hop, at, link.channel.name)
    return _attach(tx, link.campaign, opening)


def _attach(tx: Session, campaign: int, opening: Opening) -> bool:
    if opening.reader == opening.sharer:
        return False
    reader, sharer = _both(tx, campaign, opening)
    if sharer is None:
        people.look_again(tx, opening.sharer, opening.at)
    if reader is None and (sharer is None or _stays(sharer, opening)):
        try:
            with _beside_others(tx, campaign):
                _add(tx, campaign, opening, sharer)
            return True
        except _OvertakenError:
            reader, sharer = _both(tx, campaign, opening)
    decides = not _told_before(opening, reader, sharer) and _replace(tx, campaign, opening)
    last = _last(campaign, opening.reader, opening.sharer, opening.at)
    update_many(tx, _set_last, _LAST, [last])
    return decides


def _both(tx: Session, campaign: int, opening: Opening) -> tuple[Node | None, Node | None]:
    """The reader and the sharer of an opening as they are known."""
    known = _nodes(tx, _FIND_NODES, campaign, opening.reader, opening.sharer)
    return known.get(opening.reader), known.get(opening.sharer)


def attach_all(tx: Session, campaign: int, openings: Sequence[Opening]) -> None:
    """The same of many openings in one campaign, in whatever order."""
    left = _attach_crowd(tx, campaign, openings)
    if left is None:
        hold_still(tx, campaign)  # nobody overtakes any more
        left = _attach_crowd(tx, campaign, openings)
    for opening in openings if left is None else left:
        _attach(tx, campaign, opening)


def _attach_crowd(
    tx: Session, campaign: int, openings: Sequence[Opening]
) -> Sequence[Opening] | None:
    """Attach at once what can be, and return the openings that are left; nothing is done, and None
    returned, where others have changed meanwhile what it goes by."""
    near, far = apart(openings)
    everybody = {number for each in openings for number in (each.reader, each.sharer)}
    rows = _rows(tx, _FIND_NODES, campaign, everybody)
    crowd = Crowd({visitor: _node(row) for visitor, row in rows.items()})
    left = [opening for opening in crowd.ordered(near) if not crowd.add(opening)] + far
    unknown = {each.sharer: each.at for each in left if each.sharer not in crowd.nodes}
    people.look_again_at(tx, crowd.beginners | unknown)
    if left or crowd.reached:
        hold_still(tx, campaign)
    try:
        with _beside_others(tx, campaign):
            _add_crowd(tx, campaign, crowd, rows)
    except _OvertakenError:
        return None
    return left


# Taking turns. Whoever moves somebody has a campaign's spread alone; those who put new readers
# below somebody who stays share it. Who shares it does not ask for it alone before he has let it
# go, and no rows of visitors are asked for meanwhile: nobody waits in a circle. Only a sharer who
# is known no more when a crowd is tried again is asked for then; a circle that this closes is
# broken by the database, and tried again.


def hold_still(tx: Session, campaign: int) -> None:
    """Let nobody else move, and nobody come in, until the end of this transaction."""
    lock(tx, f"spread|{campaign}")


@contextmanager
def _beside_others(tx: Session, campaign: int) -> Iterator[None]:
    """Let nobody move until the end of this transaction, but others come in beside it.

    After an `_OvertakenError` inside, what was done is undone and the campaign let go. SQLite has
    one writer at a time: nobody overtakes.
    """
    if is_sqlite(tx):
        yield
        return
    with as_a_whole(tx):
        lock(tx, f"spread|{campaign}", shared=True)
        yield


class _OvertakenError(Exception):
    """Another transaction has changed or added what this one goes by."""


def _add_crowd(tx: Session, campaign: int, crowd: Crowd, known: Mapping[int, _Row]) -> None:
    """Write what a crowd comes to, as long as nobody it relies on has moved from where they are
    known to be. Raises `_OvertakenError`."""
    if not is_sqlite(tx):
        changed = crowd.shared.keys() | crowd.reached
        held = _rows(tx, _LOCK_NODES, campaign, changed)
        held |= _rows(tx, _FIND_NODES, campaign, crowd.relied_on - changed)
        if any(held.get(number) != known[number] for number in crowd.relied_on):
            raise _OvertakenError
    rows = []
    for number in sorted(crowd.new):
        node = crowd.nodes[number]
        last_at, last_by = crowd.last.get(number, (None, None))
        row = {"campaign_id": campaign, "visitor_id": number, **_columns(node.place, node.hop)}
        rows.append({**row, "last_by": last_by, "last_at": last_at})
    if not _insert(tx, rows):
        raise _OvertakenError
    shared = [
        {"campaign": campaign, "visitor": number, "first_at": sharing.at, "said": sharing.hop}
        for number, sharing in sorted(crowd.shared.items())
        if number not in crowd.reached
    ]
    update_many(tx, _set_shared, _SHARED, shared)
    update_many(tx, _set_place, _PLACED, [_placed(campaign, *each) for each in crowd.placed()])
    returned = [
        _last(campaign, number, by, at)
        for number, (at, by) in sorted(crowd.last.items())
        if number not in crowd.new
    ]
    update_many(tx, _set_last, _LAST, returned)


def _insert(tx: Session, rows: Sequence[Mapping[str, Any]]) -> bool:
    """Whether none of them was there."""
    if is_sqlite(tx):
        return len(insert_many(tx, SpreadNode, rows, ("visitor_id",))) == len(rows)
    return copy_rows(tx, SpreadNode, rows)


def _its_node(given: Given) -> sa.Update:
    is_it = sa.and_(_NODE.campaign_id == given.campaign, _NODE.visitor_id == given.visitor)
    return sa.update(SpreadNode).where(is_it)


_KEY = {"campaign": _NODE.campaign_id, "visitor": _NODE.visitor_id}
_SHARED = {**_KEY, "first_at": _NODE.shared_at, "said": _NODE.shared_hop}
_PLACED = {**_KEY, **{f"new_{name}": _NODE[name] for name in _columns(NOWHERE, 0)}}
_LAST = {**_KEY, "opened_at": _NODE.last_at, "sharer": _NODE.last_by}


def _set_shared(given: Given) -> sa.Update:
    at = sa.case((_NODE.touched_by.is_(None), given.first_at), else_=_NODE.at)
    return _its_node(given).values(shared_at=given.first_at, shared_hop=given.said, at=at)


def _set_place(given: Given) -> sa.Update:
    values = {name: getattr(given, f"new_{name}") for name in _columns(NOWHERE, 0)}
    return _its_node(given).values(values)


def _set_last(given: Given) -> sa.Update:
    kept, new = (_NODE.last_at, _NODE.last_by), (given.opened_at, given.sharer)
    is_later = sa.or_(_NODE.last_at.is_(None), sa.tuple_(*kept) < sa.tuple_(*new))
    return _its_node(given).where(is_later).values(last_by=given.sharer, last_at=given.opened_at)


def _placed(campaign: int, visitor: int, node: Node) -> dict[str, Any]:
    place = {f"new_{name}": value for name, value in _columns(node.place, node.hop).items()}
    return {"campaign": campaign, "visitor": visitor, **place}


def _last(campaign: int, visitor: int, by: int, at: datetime) -> dict[str, Any]:
    return {"campaign": campaign, "visitor": visitor, "sharer": by, "opened_at": at}


def _told_before(opening: Opening, reader: Node | None, sharer: Node | None) -> bool:
    """Whether an opening says nothing new of anybody's place."""
    if reader is None or sharer is None:
        return False
    opening = in_sequence(opening, reader.place, sharer.place)
    is_known = sharer.place.shared(opening) == sharer.place
    return is_known and reader.place.reached(opening) == reader.place


def _stays(sharer: Node, opening: Opening) -> bool:
    """Whether a sharer is where he is also when a new reader has opened his link."""
    return sharer.stays(_shared(sharer, opening))


def _shared(sharer: Node, opening: Opening) -> Place:
    """What is known of a sharer when a new reader has opened his link."""
    return sharer.place.shared(in_sequence(opening, NOWHERE, sharer.place))


def _add(tx: Session, campaign: int, opening: Opening, sharer: Node | None) -> None:
    """Put a new reader below a sharer who stays: nearly every opening is that, and those of one
    link wait for each other only where they are the first. Raises `_OvertakenError` when it is not
    so any more."""
    if not is_sqlite(tx):
        found = _as_it_stands(tx, campaign, opening)
        if (found is None) != (sharer is None) or (found and not _stays(found, opening)):
            raise _OvertakenError
        sharer = found
    last = {"last_by": opening.sharer, "last_at": opening.at}
    if sharer is None:
        beginning = NOWHERE.shared(opening)
        hop = beginning.top_hop
        first = {"last_by": None, "last_at": None, **_columns(beginning, hop)}
        rows = {opening.sharer: first}
    else:
        opening = in_sequence(opening, NOWHERE, sharer.place)
        if sharer.place.shared(opening) != sharer.place:
            keys = {"campaign": campaign, "visitor": opening.sharer}
            sharing = {**keys, "first_at": opening.at, "said": opening.hop}
            update_many(tx, _set_shared, _SHARED, [sharing])
        hop, rows = sharer.hop, {}
    rows[opening.reader] = {**last, **_columns(NOWHERE.reached(opening), hop + 1)}
    keyed = [
        {"campaign_id": campaign, "visitor_id": visitor, **row}
        for visitor, row in sorted(rows.items())
    ]
    if insert_new(tx, SpreadNode, keyed) < len(keyed):
        raise _OvertakenError


def _as_it_stands(tx: Session, campaign: int, opening: Opening) -> Node | None:
    """The sharer of an opening; locked where it is the first of his link, as far as is known."""
    found = _nodes(tx, _FIND_NODES, campaign, opening.sharer).get(opening.sharer)
    if found is None or _shared(found, opening) == found.place:
        return found
    return _nodes(tx, _LOCK_NODES, campaign, opening.sharer).get(opening.sharer)


_UNPLACED = Node(None, 0, NOWHERE)


def _replace(tx: Session, campaign: int, opening: Opening) -> bool:
    """Let an opening change places that were known: it comes late, or out of order.

    One transaction a campaign does so at a time. Those who put readers below somebody are waited
    for, and wait: all hops come from here.
    """
    hold_still(tx, campaign)
    reader, sharer = _both(tx, campaign, opening)
    if sharer is None:
        people.look_again(tx, opening.sharer, opening.at)
    known = {opening.reader: reader, opening.sharer: sharer}
    empty = {"campaign_id": campaign, **_columns(NOWHERE, 0), "at": opening.at}
    new = [number for number, node in sorted(known.items()) if node is None]
    insert_new(tx, SpreadNode, [{**empty, "visitor_id": number} for number in new])
    reader, sharer = reader or _UNPLACED, sharer or _UNPLACED
    opening = in_sequence(opening, reader.place, sharer.place)
    above = sharer.place.shared(opening)
    above_hop = sharer.hop if above.parent is not None else above.top_hop
    if _move(tx, campaign, opening.sharer, sharer, above, above_hop):
        # The reader may be somewhere below.
        reader = _nodes(tx, _FIND_NODES, campaign, opening.reader)[opening.reader]
    below = reader.place.reached(opening)
    if below.parent is None:
        below_hop = below.top_hop
    else:
        below_hop = above_hop + 1 if below.parent == opening.sharer else reader.hop
    _move(tx, campaign, opening.reader, reader, below, below_hop)
    return below.parent == opening.sharer and reader.parent != opening.sharer


_SET_NODE = (
    sa.update(SpreadNode)
    .where(_IN_CAMPAIGN, _NODE.visitor_id == sa.bindparam("visitor"))
    .values({name: sa.bindparam(f"new_{name}") for name in _columns(NOWHERE, 0)})
)
_SHIFT = (
    sa.update(SpreadNode)
    .where(_IN_CAMPAIGN, _NODE.visitor_id.in_(sa.bindparam("visitors", expanding=True)))
    .values(hop=SpreadNode.hop + sa.bindparam("by"))
)
_CHILDREN = sa.select(_NODE.visitor_id).where(
    _IN_CAMPAIGN, _NODE.parent_id.in_(sa.bindparam("visitors", expanding=True))
)


def _move(tx: Session, campaign: int, visitor: int, node: Node, place: Place, hop: int) -> bool:
    """Put a visitor where he belongs, with everybody below him. Whether that changed any hops."""
    if place == node.place and hop == node.hop:
        return False
    values = {f"new_{name}": value for name, value in _columns(place, hop).items()}
    run(tx, _SET_NODE, campaign=campaign, visitor=visitor, **values)
    level = [visitor] if hop != node.hop else []
    while level:
        below: list[int] = []
        for start in range(0, len(level), NODES_AT_ONCE):
            part = level[start : start + NODES_AT_ONCE]
            below += run(tx, _CHILDREN, campaign=campaign, visitors=part).scalars()
        for start in range(0, len(below), NODES_AT_ONCE):
            part = below[start : start + NODES_AT_ONCE]
            run(tx, _SHIFT, campaign=campaign, visitors=part, by=hop - node.hop)
        level = below
    return hop != node.hop


# Leaving: somebody who opened links turns out to be nobody


_BELOW = sa.select(_NODE.parent_id, _NODE.visitor_id).where(
    _NODE.parent_id.in_(sa.bindparam("visitors", expanding=True))
)
_LEAVE = sa.delete(SpreadNode).where(
    _IN_CAMPAIGN, _NODE.visitor_id.in_(sa.bindparam("visitors", expanding=True))
)
_FIRST_BELOW = (
    sa.select(_NODE.link_hop, sa.func.min(_NODE.at).label("first_at"))
    .where(_IN_CAMPAIGN, _NODE.parent_id == sa.bindparam("sharer"))
    .group_by(_NODE.link_hop)
)


def children_of(tx: Session, visitors: Collection[int]) -> list[tuple[int, int]]:
    """Visitors among these, each with one right below, in whatever campaign."""
    found = run(tx, _BELOW, visitors=list(visitors))
    return [(row.parent_id, row.visitor_id) for row in found]


def leave(tx: Session, campaign: int, visitors: Collection[int]) -> None:
    """Take visitors out who have nobody below them; see `forget_opening` for those above."""
    run(tx, _LEAVE, campaign=campaign, visitors=list(visitors))


def forget_opening(
    tx: Session, campaign: int, gone: Sharing, sharer: int, left: Callable[[], Iterable[Sharing]]
) -> None:
    """Let an opening of a sharer's link, `gone`, not have been; `left` tells those that were.

    It matters if it was the first: then the sharer may belong elsewhere, or nowhere.
    """
    node = _nodes(tx, _FIND_NODES, campaign, sharer).get(sharer)
    if node is None or node.place.sharing is None or gone.order > node.place.sharing.order:
        return
    # Those below may have come with a claim, without any visit.
    below = run(tx, _FIRST_BELOW, campaign=campaign, sharer=sharer)
    others = [*left(), *(Sharing(row.first_at, row.link_hop) for row in below)]
    first = min(others, key=lambda sharing: sharing.order, default=None)
    place = node.place._replace(sharing=first)
    if place == NOWHERE:
        leave(tx, campaign, [sharer])
    else:
        _move(tx, campaign, sharer, node, place, _hop_at(tx, campaign, node, place))


def _hop_at(tx: Session, campaign: int, node: Node, place: Place) -> int:
    """The hop of a visitor who comes from `node` to a place."""
    if place.parent is None or place.touch is None:
        return place.top_hop
    if place.parent == node.parent:
        return node.hop
    above = _nodes(tx, _FIND_NODES, campaign, place.parent).get(place.parent)
    return (above.hop if above else place.touch.hop) + 1


_TOUCHES_OF = (
    sa.select(SpreadNode)
    .join(Visitor, Visitor.id == SpreadNode.visitor_id)
    .where(Visitor.customer_id == sa.bindparam("customer"), SpreadNode.touched_by.is_not(None))
    .order_by(SpreadNode.at, SpreadNode.campaign_id)
)


def touches_of(tx: Session, customer_id: int) -> list[SpreadNode]:
    """Where a customer's visitors opened somebody's link, first touch first."""
    return list(tx.scalars(_TOUCHES_OF, {"customer": customer_id}))


_HOP_OF = sa.select(SpreadNode.hop).where(
    SpreadNode.campaign_id == sa.bindparam("campaign"),
    SpreadNode.visitor_id == sa.bindparam("visitor"),
)


def _hop(tx: Session, campaign_id: int, visitor: int) -> int | None:
    hop: int | None = run(tx, _HOP_OF, campaign=campaign_id, visitor=visitor).scalar()
    return hop


def hop_of(tx: Session, campaign_id: int, visitor: int) -> int:
    """How many hops below a first sharer a visitor is; 0 for a first sharer."""
    return _hop(tx, campaign_id, visitor) or 0


@dataclass(frozen=True)
class Step:
    """One visitor on the way up, and the customer that visitor is, if any."""

    visitor: int
    customer: int | None


def _path_up() -> sa.Select[Any]:
    node = sa.orm.aliased(SpreadNode)
    campaign: sa.BindParameter[int] = sa.bindparam("campaign")
    base = (
        sa.select(SpreadNode.parent_id.label("visitor_id"), sa.literal(1).label("steps"))
        .where(SpreadNode.campaign_id == campaign)
        .where(SpreadNode.visitor_id == sa.bindparam("visitor"))
        .where(SpreadNode.parent_id.is_not(None))
        .cte("path", recursive=True)
    )
    path = base.union_all(
        sa.select(node.parent_id, base.c.steps + 1)
        .join(base, node.visitor_id == base.c.visitor_id)
        .where(node.campaign_id == campaign, node.parent_id.is_not(None))
    )
    return (
        sa.select(path.c.visitor_id, Visitor.customer_id)
        .outerjoin(Visitor, Visitor.id == path.c.visitor_id)
        .order_by(path.c.steps)
    )


_PATH_UP = _path_up()


def path_up(tx: Session, campaign_id: int, visitor: int) -> Iterator[Step]:
    """The visitors above one in a campaign's spread, nearest first."""
    for row in run(tx, _PATH_UP, campaign=campaign_id, visitor=visitor):
        yield Step(row.visitor_id, row.customer_id)


def step_of(tx: Session, visitor: int) -> Step:
    """A visitor by itself."""
    return Step(visitor, people.customer_of(tx, visitor))
