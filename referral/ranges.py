"""Ranges: what state the codes of a batch are in, and where and when they may be sold.

Both are kept by half-open index range, so that a batch of ten million of which half is on sale in
one province has two rows. Every change is kept with who made it, when and why.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime
from enum import StrEnum
from itertools import pairwise
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from referral import batches, places
from referral.batches import BY_LENGTH_MAX, Batch
from referral.db import Base, RowId
from referral.db.round_trips import Answer, Ask, ask, in_one_trip
from referral.errors import N_, Conflict, InvalidInput
from referral.gs1.digital_link import is_value
from referral.places import BadRegion

REASON_LENGTH_MAX = 200
LOT_LENGTH_MAX = 20
"""What GS1's application identifier 10 holds."""
MARKET_REGIONS_MAX = 40
_MARKET_LENGTH_MAX = MARKET_REGIONS_MAX * (places.REGION_LENGTH_MAX + 1)


class RangeState(StrEnum):
    issued = "issued"
    printed = "printed"
    activated = "activated"
    voided = "voided"
    recalled = "recalled"


ASSIGNED = "assigned"
"""What a change of terms is called among the changes of states."""

_ENTERED_FROM = {
    RangeState.printed: {RangeState.issued},
    RangeState.activated: {RangeState.issued, RangeState.printed},
    RangeState.voided: {RangeState.issued, RangeState.printed, RangeState.activated},
    RangeState.recalled: set(RangeState),
}
"""From which states each is entered; codes in another one are left as they are."""
_WITHDRAWN = {RangeState.voided, RangeState.recalled}


class CodeRange(Base):
    """The codes from `start` up to, not including, `end`. The ranges of a batch cover it."""

    __tablename__ = "code_ranges"

    batch_id: Mapped[int] = mapped_column(sa.ForeignKey("batches.id"), primary_key=True)
    start: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True)
    end: Mapped[int] = mapped_column(sa.BigInteger)
    state: Mapped[str] = mapped_column(sa.String(12))
    lot: Mapped[str | None] = mapped_column(sa.String(LOT_LENGTH_MAX))
    made_on: Mapped[date | None]
    expires_on: Mapped[date | None]
    market: Mapped[str | None] = mapped_column(sa.String(_MARKET_LENGTH_MAX))
    """Regions, separated by commas; None for everywhere."""
    store_id: Mapped[int | None] = mapped_column(sa.ForeignKey("stores.id"))
    sale_from: Mapped[datetime | None]
    sale_until: Mapped[datetime | None]

    __table_args__ = (sa.CheckConstraint('"end" > start', name="not_empty"),)


class RangeChange(Base):
    """Who changed which range, when and why. Only ever added to."""

    __tablename__ = "range_changes"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    batch_id: Mapped[int] = mapped_column(sa.ForeignKey("batches.id"), index=True)
    start: Mapped[int] = mapped_column(sa.BigInteger)
    end: Mapped[int] = mapped_column(sa.BigInteger)
    state: Mapped[str] = mapped_column(sa.String(12))
    """The state that was entered, or `ASSIGNED`."""
    terms: Mapped[dict[str, Any] | None]
    """What was assigned, by the name of the term."""
    reason: Mapped[str] = mapped_column(sa.String(REASON_LENGTH_MAX))
    by: Mapped[str] = mapped_column(sa.String(BY_LENGTH_MAX))
    at: Mapped[datetime]


class BadRange(InvalidInput):
    slug = "bad-range"
    title = N_("This range is not inside the batch.")
    advice = N_("Give a start below the end, both between 0 and the batch's size.")


class BadTerms(InvalidInput):
    slug = "bad-terms"
    title = N_("These dates do not fit together.")
    advice = N_("The best-before date lies after production, the end of sale after its start.")


class BadLot(InvalidInput):
    slug = "bad-lot"
    title = N_("This lot cannot stand on a package.")
    advice = N_(
        "A lot has 1 to 20 letters, digits and signs of those GS1 allows: no spaces, no Chinese."
    )


class CodesWithdrawn(Conflict):
    slug = "codes-withdrawn"
    title = N_("These codes are withdrawn.")
    advice = N_("Voided and recalled codes stay so, unless you say that they are to be reinstated.")


@dataclass(frozen=True)
class Terms:
    """What holds for a range besides its state. None: nothing is said."""

    lot: str | None = None
    made_on: date | None = None
    expires_on: date | None = None
    """The last day it is good."""
    market: tuple[str, ...] = ()
    """The regions it is made for, ISO 3166; empty: everywhere."""
    store_id: int | None = None
    """The store or distributor it went to."""
    sale_from: datetime | None = None
    sale_until: datetime | None = None
    """The end of its sale window, not included."""

    def __post_init__(self) -> None:
        # One spelling of a market, so that ranges made for the same regions can become one.
        object.__setattr__(self, "market", tuple(sorted(set(self.market))))

    def check(self) -> None:
        """Raises `BadTerms`, `BadLot`, `BadRegion`."""
        if self.made_on and self.expires_on and self.expires_on < self.made_on:
            raise BadTerms()
        if self.sale_from and self.sale_until and self.sale_until <= self.sale_from:
            raise BadTerms()
        if self.lot is not None and not is_value(self.lot, LOT_LENGTH_MAX):
            raise BadLot()
        if len(self.market) > MARKET_REGIONS_MAX or not all(map(places.valid_region, self.market)):
            raise BadRegion()


@dataclass(frozen=True)
class Span:
    """A half-open range of indexes, its state and terms."""

    start: int
    end: int
    state: str
    terms: Terms = Terms()

    def availability(self, now: datetime) -> str:
        """One of recalled, voided, not_activated, expired, on_sale.

        `now` is in the zone whose calendar decides when the best-before day is over.
        """
        if self.state in _WITHDRAWN:
            return str(self.state)
        begun = self.terms.sale_from is None or self.terms.sale_from <= now
        if self.state != RangeState.activated or not begun:
            return "not_activated"
        until = self.terms.sale_until
        if (until and until <= now) or self.is_past_best_before(now):
            return "expired"
        return "on_sale"

    def is_past_best_before(self, now: datetime) -> bool:
        return self.terms.expires_on is not None and self.terms.expires_on < now.date()


def rewrite(
    spans: Sequence[Span], start: int, end: int, change: Callable[[Span], Span]
) -> list[Span]:
    """`spans` with `change` made to what lies in a range; neighbours that became alike merged."""
    pieces: list[Span] = []
    for span in spans:
        inside = replace(span, start=max(span.start, start), end=min(span.end, end))
        if inside.start >= inside.end:
            pieces.append(span)
            continue
        before = replace(span, end=inside.start)
        after = replace(span, start=inside.end)
        pieces += [piece for piece in (before, change(inside), after) if piece.start < piece.end]
    merged = pieces[:1]
    for piece in pieces[1:]:
        if replace(merged[-1], end=piece.end) == replace(piece, start=merged[-1].start):
            merged[-1] = replace(merged[-1], end=piece.end)
        else:
            merged.append(piece)
    return merged


def entering(state: RangeState, *, reinstate: bool = False) -> Callable[[Span], Span]:
    """The change that puts codes into a state, as far as they can enter it.

    Withdrawn codes are put on sale again, or marked as printed, only with `reinstate`.
    """
    entered_from = _ENTERED_FROM[state] | (_WITHDRAWN if reinstate else set())
    return lambda span: replace(span, state=state) if span.state in entered_from else span


def open_ranges(tx: Session, batch: Batch, terms: Terms, *, by: str, now: datetime) -> None:
    """The first range of a batch that was just issued. Raises as `Terms.check` does."""
    terms.check()
    whole = Span(0, batch.size, RangeState.issued, terms)
    tx.execute(sa.insert(CodeRange), [_row(batch.id, whole)])
    told = {name: value for name, value in _told(terms).items() if value}
    _note(tx, batch, whole, RangeState.issued, told or None, reason="", by=by, now=now)


def set_state(
    tx: Session,
    batch_id: int,
    state: RangeState,
    *,
    start: int | None,
    end: int | None,
    reinstate: bool = False,
    reason: str,
    by: str,
    now: datetime,
) -> Batch:
    """Put a range (all of the batch by default) into a state.

    Codes that cannot enter it stay as they are: printing takes nothing off sale, and withdrawn
    codes come back only with `reinstate`. Raises `UnknownBatch`, `BadRange`, and `CodesWithdrawn`
    when there is nothing in the range but withdrawn codes.
    """
    enter = entering(state, reinstate=reinstate)
    batch, asked, before, after = _change(tx, batch_id, start, end, enter)
    if before == after:
        inside = [
            span.state for span in before if span.start < asked.end and span.end > asked.start
        ]
        if state not in inside and set(inside) <= _WITHDRAWN:
            raise CodesWithdrawn()
        return batch
    terms = {"reinstate": True} if reinstate else None
    _note(tx, batch, asked, state, terms, reason=reason, by=by, now=now)
    return batch


def assign(
    tx: Session,
    batch_id: int,
    changes: Mapping[str, Any],
    *,
    start: int | None,
    end: int | None,
    reason: str,
    by: str,
    now: datetime,
) -> Batch:
    """Say of a range (all of the batch by default) what its terms are.

    `changes` holds fields of `Terms`; those left out stay as they are. Raises `UnknownBatch`,
    `BadRange`, `BadTerms`, `BadLot`, `BadRegion`.
    """

    def say(span: Span) -> Span:
        terms = replace(span.terms, **changes)
        terms.check()
        return replace(span, terms=terms)

    batch, asked, before, after = _change(tx, batch_id, start, end, say)
    if before != after:
        told = {name: _told(Terms(**{name: value}))[name] for name, value in changes.items()}
        _note(tx, batch, asked, ASSIGNED, told, reason=reason, by=by, now=now)
    return batch


def _change(
    tx: Session,
    batch_id: int,
    start: int | None,
    end: int | None,
    change: Callable[[Span], Span],
) -> tuple[Batch, Span, list[Span], list[Span]]:
    """The batch, the range that was meant, and the rows at and beside it before and after."""
    batch = batches.batch_by_id(tx, batch_id, for_update=True)
    asked = Span(0 if start is None else start, batch.size if end is None else end, "")
    if not 0 <= asked.start < asked.end <= batch.size:
        raise BadRange(size=batch.size)
    # The rows that only touch the range are looked at too: they may become one with what is in it.
    # Looking for `end >= asked.start` instead would read every row before them.
    starts_before = sa.select(sa.func.max(CodeRange.start)).where(
        CodeRange.batch_id == batch_id, CodeRange.start < asked.start
    )
    first = tx.scalar(starts_before) or 0
    touched = (CodeRange.batch_id == batch_id, CodeRange.start.between(first, asked.end))
    before = _spans(tx, *touched)
    after = rewrite(before, asked.start, asked.end, change)
    if before != after:
        tx.execute(sa.delete(CodeRange).where(*touched))
        tx.execute(sa.insert(CodeRange), [_row(batch_id, span) for span in after])
    return batch, asked, before, after


def ranges(tx: Session, batch_id: int) -> list[Span]:
    """The ranges of a batch, in order."""
    return _spans(tx, CodeRange.batch_id == batch_id)


def _spans(tx: Session, *conditions: sa.ColumnElement[bool]) -> list[Span]:
    rows = tx.execute(sa.select(*COLUMNS).where(*conditions).order_by(CodeRange.start))
    spans = [span_of(row) for row in rows]
    assert all(one.end == two.start for one, two in pairwise(spans)), "ranges cover their batch"
    return spans


COLUMNS = (
    CodeRange.start,
    CodeRange.end,
    CodeRange.state,
    CodeRange.lot,
    CodeRange.made_on,
    CodeRange.expires_on,
    CodeRange.market,
    CodeRange.store_id,
    CodeRange.sale_from,
    CodeRange.sale_until,
)
"""What makes a `Span`, see `span_of`."""


def span_of(row: Sequence[Any]) -> Span:
    """A span from a row of `COLUMNS`."""
    start, end, state, lot, made_on, expires_on, market, store_id, sale_from, sale_until = row[:10]
    regions = tuple(market.split(",")) if market else ()
    terms = Terms(lot, made_on, expires_on, regions, store_id, sale_from, sale_until)
    return Span(start, end, state, terms)


def _row(batch_id: int, span: Span) -> dict[str, Any]:
    terms = asdict(span.terms) | {"market": ",".join(span.terms.market) or None}
    return {
        "batch_id": batch_id,
        "start": span.start,
        "end": span.end,
        "state": span.state,
        **terms,
    }


_SPAN_AT = (
    sa.select(*COLUMNS)
    .where(CodeRange.batch_id == sa.bindparam("batch"), CodeRange.start <= sa.bindparam("place"))
    .order_by(CodeRange.start.desc())
    .limit(1)
)


def span_at(tx: Session, batch_id: int, index: int) -> Span:
    """The range one code is in, as this transaction sees it."""
    return found_span(in_one_trip(tx, asking_span(batch_id, index))[0], index)


def asking_span(batch_id: int, index: int) -> Ask:
    """What to ask for `found_span`."""
    return ask(_SPAN_AT, batch=batch_id, place=index)


def found_span(answer: Answer, index: int) -> Span:
    """The range of the code at this place, as it was found."""
    row = answer.first
    return span_of(row) if row else Span(index, index + 1, RangeState.issued)


def state_of(tx: Session, batch_id: int, index: int) -> RangeState:
    """The state of one code."""
    return RangeState(span_at(tx, batch_id, index).state)


def _told(terms: Terms) -> dict[str, Any]:
    """Terms as they are kept with a change: plain JSON, times in UTC."""
    return {name: _plain(value) for name, value in asdict(terms).items()}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return value.isoformat() if isinstance(value, date) else value


def _note(
    tx: Session,
    batch: Batch,
    asked: Span,
    state: str,
    terms: Mapping[str, Any] | None,
    *,
    reason: str,
    by: str,
    now: datetime,
) -> None:
    change = {"start": asked.start, "end": asked.end, "state": state, "terms": terms}
    tx.execute(
        sa.insert(RangeChange).values(
            batch_id=batch.id, reason=reason, by=by[:BY_LENGTH_MAX], at=now, **change
        )
    )
