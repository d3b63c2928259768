"""How a customer was reached: where her visitors opened somebody's link, and who is above these."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral.db.round_trips import Answer, Ask, ask, in_one_trip
from referral.people import Visitor
from referral.spread.nodes import SpreadNode, Step, path_up, step_of

_NODE = SpreadNode.__table__.c
_VISITOR = Visitor.__table__.c
_HERS = _VISITOR.customer_id == sa.bindparam("customer")
_TOUCHES = (
    sa.select(
        _NODE.campaign_id,
        _NODE.visitor_id,
        _NODE.parent_id,
        _NODE.at,
        _NODE.touched_by,
        _NODE.last_by,
        _NODE.last_at,
        sa.and_(
            _VISITOR.ran_at.is_not(None), _VISITOR.sift_at.is_(None), _VISITOR.sifted_at.is_(None)
        ).label("is_proven"),
    )
    .join(Visitor, _VISITOR.id == _NODE.visitor_id)
    .where(_HERS, _NODE.touched_by.is_not(None))
    .order_by(_NODE.at, _NODE.campaign_id)
)


def _paths() -> sa.Select[Any]:
    node = SpreadNode.__table__.alias("above").c
    base = (
        sa.select(
            _NODE.campaign_id,
            _NODE.visitor_id.label("start"),
            _NODE.parent_id.label("visitor_id"),
            sa.literal_column("1", sa.Integer).label("steps"),
        )
        .join(Visitor, _VISITOR.id == _NODE.visitor_id)
        .where(_HERS, _NODE.touched_by.is_not(None), _NODE.parent_id.is_not(None))
        .cte("path", recursive=True)
    )
    path = base.union_all(
        sa.select(base.c.campaign_id, base.c.start, node.parent_id, base.c.steps + 1)
        .where(node.campaign_id == base.c.campaign_id, node.visitor_id == base.c.visitor_id)
        .where(node.parent_id.is_not(None))
    )
    return (
        sa.select(path.c.campaign_id, path.c.start, path.c.visitor_id, _VISITOR.customer_id)
        .outerjoin(Visitor, _VISITOR.id == path.c.visitor_id)
        .order_by(path.c.steps)
    )


_PATHS = _paths()


@dataclass(frozen=True)
class Reached:
    touches: Sequence[Any]
    """The nodes of her visitors, first touch first: some columns of `SpreadNode`, and `is_proven`
    where nothing is left to be noted of the visitor."""
    paths: Mapping[tuple[int, int], Sequence[Step]]
    """By campaign and visitor of hers: the visitors above, nearest first."""

    def above(self, tx: Session, campaign_id: int, visitor: int) -> list[Step]:
        """The visitors above one of hers."""
        known = self.paths.get((campaign_id, visitor))
        return list(path_up(tx, campaign_id, visitor) if known is None else known)

    def from_(self, tx: Session, campaign_id: int, sharer: int) -> list[Step]:
        """A sharer whose link she opened, and the visitors above."""
        for node in self.touches:
            if (node.campaign_id, node.parent_id) == (campaign_id, sharer):
                return self.above(tx, campaign_id, node.visitor_id)
        return [step_of(tx, sharer), *path_up(tx, campaign_id, sharer)]


def asking_reached(customer_id: int) -> tuple[Ask, Ask]:
    """What to ask for `reached_of`."""
    return ask(_TOUCHES, customer=customer_id), ask(_PATHS, customer=customer_id)


def reached_of(touches: Answer, paths: Answer) -> Reached:
    above: dict[tuple[int, int], list[Step]] = defaultdict(list)
    for row in paths.rows:
        above[row.campaign_id, row.start].append(Step(row.visitor_id, row.customer_id))
    return Reached(touches.rows, dict(above))


def reached(tx: Session, customer_id: int) -> Reached:
    """How a customer was reached, as far as the spread knows."""
    return reached_of(*in_one_trip(tx, *asking_reached(customer_id)))
