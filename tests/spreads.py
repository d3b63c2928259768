"""Spreads without a database: what openings come to, by definition and one after the other."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from referral.links import VisitorCookie, arrive, own_link
from referral.spread.placing import Opening, Place, in_sequence

Forest = dict[int, int | None]
"""Whom each visitor came from."""


class Model:
    """What the database does with openings, without the database."""

    def __init__(self) -> None:
        self.places: dict[int, Place] = {}

    def attach(self, opening: Opening) -> None:
        if opening.reader == opening.sharer:
            return
        reader, sharer = (
            self.places.get(visitor, Place()) for visitor in (opening.reader, opening.sharer)
        )
        opening = in_sequence(opening, reader, sharer)
        self.places[opening.sharer] = sharer.shared(opening)
        self.places[opening.reader] = reader.reached(opening)

    @property
    def forest(self) -> Forest:
        return {visitor: place.parent for visitor, place in self.places.items()}


def attached(openings: Iterable[Opening]) -> Forest:
    model = Model()
    for opening in openings:
        model.attach(opening)
    return model.forest


def by_definition(openings: Sequence[Opening]) -> Forest:
    """The forest as the set of openings defines it."""
    others = [each for each in openings if each.reader != each.sharer]
    forest: Forest = {}
    for visitor in {v for each in others for v in (each.reader, each.sharer)}:
        touches = [each for each in others if each.reader == visitor]
        first = min(touches, key=lambda each: each.at, default=None)
        sharings = [each.order for each in others if each.sharer == visitor]
        is_below = first is not None and all(first.order < order for order in sharings)
        forest[visitor] = first.sharer if first and is_below else None
    return forest


class World:
    """What really happens: visitors with cookies, who open one another's links."""

    def __init__(self) -> None:
        self.cookies: dict[int, VisitorCookie] = {}
        self.openings: list[Opening] = []

    def open(self, reader: int, sharer: int, moment: datetime, stamp: datetime) -> None:
        """`stamp` is what the clock of the process that answers says at that moment."""
        shared = own_link(self.cookie(sharer), 1, None)
        arrival = arrive(self.cookie(reader), shared, None, moment)
        self.cookies[reader] = arrival.cookie
        if not arrival.is_own:
            self.openings.append(Opening(reader, sharer, shared.hop, stamp))

    def cookie(self, visitor: int) -> VisitorCookie:
        return self.cookies.setdefault(visitor, VisitorCookie(visitor))
