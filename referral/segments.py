"""Segments: customers who have something in common, by what they are worth and have done.

A segment is its conditions; who meets them is read from the rows of `rollups.values`, as they
stood when those were last worked out.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Protocol, Self, TypeVar

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, Field, model_validator
from sqlalchemy.orm import Mapped, Session, mapped_column

from referral.audit import BY_LENGTH_MAX
from referral.batches import Batch
from referral.claims import Claim
from referral.db import Base, JSONDocument, RowId, insert_new_id
from referral.errors import N_, Conflict, InvalidInput, NotFound
from referral.ranges import CodeRange
from referral.rollups.customer_values import CustomerValue
from referral.rollups.life import Quadrant, Stage

NAME_LENGTH_MAX = 80
AMOUNT_MAX = 10**15
"""Of a value, in minor units."""
TIMES_MAX = 10**9
DAYS_MAX = 3_650
COUNTED_MAX = 100_000
"""Up to how many people are counted; beyond, it is said that there are more."""
SEGMENTS_MAX = 500

E = TypeVar("E", bound=StrEnum)
_Named = Annotated[E, Field(strict=False)]
"""By its name, as it is stored and sent."""
_amount: Any = Field(default=None, ge=-AMOUNT_MAX, le=AMOUNT_MAX)
_times: Any = Field(default=None, ge=0, le=TIMES_MAX)
_days: Any = Field(default=None, ge=0, le=DAYS_MAX)


class Conditions(BaseModel):
    """What all customers of a segment have in common. What is left out says nothing; what is said
    has to be so all together."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    stages: tuple[_Named[Stage], ...] = Field(default=(), strict=False)
    """One of these."""
    quadrants: tuple[_Named[Quadrant], ...] = Field(default=(), strict=False)
    """One of these."""
    own_least: int | None = _amount
    """Own value, in minor units of the currency that values are in; both ends included."""
    own_most: int | None = _amount
    referral_least: int | None = _amount
    """The value of those brought in."""
    referral_most: int | None = _amount
    purchases_least: int | None = _times
    purchases_most: int | None = _times
    brought_least: int | None = _times
    """How many customers somebody brought in."""
    brought_most: int | None = _times
    bought_within: int | None = _days
    """The last purchase was in the last so many days."""
    not_bought_for: int | None = _days
    """The last purchase was so many days ago or longer."""
    product: int | None = Field(default=None, ge=1)
    """Has claimed a package of this product: its number."""
    store: int | None = Field(default=None, ge=1)
    """Has claimed a package that went to this store: its number."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        for name in ("own", "referral", "purchases", "brought"):
            least, most = getattr(self, f"{name}_least"), getattr(self, f"{name}_most")
            if least is not None and most is not None and least > most:
                raise ValueError(f"{name}: nobody has more than the most")
        since, until = self.not_bought_for, self.bought_within
        if since is not None and until is not None and since > until:
            raise ValueError("last purchase: nobody bought later than that and earlier")
        return self

    @property
    def is_for_all(self) -> bool:
        return not self.dump()

    def dump(self) -> dict[str, Any]:
        """Only what is said."""
        said = self.model_dump(mode="json", exclude_defaults=True)
        return {name: value for name, value in said.items() if value not in (None, [])}

    @classmethod
    def load(cls, kept: Mapping[str, Any]) -> Self:
        return cls.model_validate(kept)


class Segment(Base):
    """Conditions under a name."""

    __tablename__ = "segments"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(NAME_LENGTH_MAX), unique=True)
    conditions: Mapped[dict[str, Any]] = mapped_column(JSONDocument)
    count: Mapped[int | None] = mapped_column(sa.BigInteger)
    """How many customers met them when they were last counted; above `COUNTED_MAX`: more than
    that. None before the first time."""
    counted_at: Mapped[datetime | None]
    by: Mapped[str] = mapped_column(sa.String(BY_LENGTH_MAX))
    """Who saved it last."""
    created_at: Mapped[datetime]

    @property
    def checked(self) -> Conditions:
        return Conditions.load(self.conditions)


class UnknownSegment(NotFound):
    slug = "unknown-segment"
    title = N_("There is no such segment.")
    advice = N_("Choose one from the list of segments.")


class SegmentExists(Conflict):
    slug = "segment-exists"
    title = N_("There is a segment with this name already.")


class NobodyMeant(InvalidInput):
    slug = "segment-of-all"
    title = N_("These conditions hold for everybody.")
    advice = N_("Say at least one condition.")


class TooManySegments(Conflict):
    slug = "too-many-segments"
    title = N_("There are as many segments as there can be.")
    advice = N_("Remove one that is not used any more.")


@dataclass(frozen=True)
class Audience:
    """Whom a campaign is for, as it was when the campaign was published."""

    segment: int
    name: str
    conditions: Conditions

    def dump(self) -> dict[str, Any]:
        return {
            "segment": self.segment,
            "name": self.name,
            "conditions": self.conditions.dump(),
        }

    @classmethod
    def load(cls, kept: Mapping[str, Any]) -> Self | None:
        """None for everybody, and for a draft, of which only the segment is known."""
        if "conditions" not in kept:
            return None
        return cls(kept["segment"], kept["name"], Conditions.load(kept["conditions"]))


def segment_by_id(tx: Session, segment_id: int) -> Segment:
    """Raises `UnknownSegment`."""
    found = tx.get(Segment, segment_id)
    if found is None:
        raise UnknownSegment()
    return found


def all_segments(tx: Session) -> list[Segment]:
    """By name; there are at most `SEGMENTS_MAX`."""
    return list(tx.scalars(sa.select(Segment).order_by(Segment.name)))


def add_segment(tx: Session, name: str, conditions: Conditions, *, by: str, now: datetime) -> int:
    """Raises `SegmentExists`, `NobodyMeant`, `TooManySegments`."""
    if conditions.is_for_all:
        raise NobodyMeant()
    if (tx.scalar(sa.select(sa.func.count()).select_from(Segment)) or 0) >= SEGMENTS_MAX:
        raise TooManySegments()
    row = {"name": name, "conditions": conditions.dump(), "by": by, "created_at": now}
    added = insert_new_id(tx, Segment, row)
    if added is None:
        raise SegmentExists()
    return added


def change_segment(
    tx: Session, segment_id: int, name: str, conditions: Conditions, by: str
) -> None:
    """Raises `UnknownSegment`, `SegmentExists`, `NobodyMeant`."""
    segment = segment_by_id(tx, segment_id)
    if conditions.is_for_all:
        raise NobodyMeant()
    taken = sa.exists().where(Segment.name == name, Segment.id != segment_id)
    if tx.scalar(sa.select(taken)):
        raise SegmentExists()
    segment.name, segment.conditions, segment.by = name, conditions.dump(), by
    segment.count = segment.counted_at = None


def remove_segment(tx: Session, segment_id: int) -> None:
    """Campaigns that were published for it keep whom they are for. Raises `UnknownSegment`."""
    tx.delete(segment_by_id(tx, segment_id))


# Who is in one


def meets(conditions: Conditions, now: datetime) -> list[sa.ColumnElement[bool]]:
    """What has to be so of a row of `CustomerValue` at a moment."""
    value = CustomerValue
    said: list[sa.ColumnElement[bool]] = []
    if conditions.stages:
        said.append(value.stage.in_([each.value for each in conditions.stages]))
    if conditions.quadrants:
        said.append(value.quadrant.in_([each.value for each in conditions.quadrants]))
    for name in ("own", "referral", "purchases", "brought"):
        least, most = getattr(conditions, f"{name}_least"), getattr(conditions, f"{name}_most")
        if least is not None:
            said.append(getattr(value, name) >= least)
        if most is not None:
            said.append(getattr(value, name) <= most)
    if conditions.bought_within is not None:
        said.append(value.last_at >= now - timedelta(days=conditions.bought_within))
    if conditions.not_bought_for is not None:
        said.append(value.last_at <= now - timedelta(days=conditions.not_bought_for))
    if conditions.product is not None or conditions.store is not None:
        said.append(_claimed(conditions))
    return said


def _claimed(conditions: Conditions) -> sa.ColumnElement[bool]:
    """Whether one package was claimed that is of the product, and went to the store."""
    # As of the row, like all the rest.
    theirs = [Claim.customer_id == CustomerValue.customer_id, Claim.at <= CustomerValue.at]
    found = sa.select(sa.literal(1)).select_from(Claim)
    if conditions.product is not None:
        found = found.join(Batch, Batch.id == Claim.batch_id)
        theirs.append(Batch.product_id == conditions.product)
    if conditions.store is not None:
        within = sa.and_(
            CodeRange.batch_id == Claim.batch_id,
            CodeRange.start <= Claim.index,
            CodeRange.end > Claim.index,
        )
        found = found.join(CodeRange, within)
        theirs.append(CodeRange.store_id == conditions.store)
    return found.where(*theirs).correlate(CustomerValue).exists()


def is_member(tx: Session, conditions: Conditions, customer_id: int, now: datetime) -> bool:
    """Whether a customer is in a segment, by what was worked out of her last. Who is so new that
    nothing was is in none."""
    found = sa.exists().where(CustomerValue.customer_id == customer_id, *meets(conditions, now))
    return tx.scalar(sa.select(found)) or False


class _ForSomebody(Protocol):
    """A campaign, as far as it is asked whom it is for."""

    @property
    def audience(self) -> dict[str, Any]: ...


C = TypeVar("C", bound=_ForSomebody)


def is_open_to(tx: Session, campaign: _ForSomebody, customer_id: int | None, now: datetime) -> bool:
    """Whether a campaign is for a customer; None for somebody who is not known. Asks the database
    only where it is not for everybody."""
    if not campaign.audience:
        return True
    audience = Audience.load(campaign.audience)
    if audience is None or customer_id is None:
        return False
    return is_member(tx, audience.conditions, customer_id, now)


def open_to(tx: Session, campaigns: Iterable[C], customer_id: int | None, now: datetime) -> list[C]:
    """Those of some campaigns that are for a customer, in their order."""
    return [each for each in campaigns if is_open_to(tx, each, customer_id, now)]


def count(tx: Session, conditions: Conditions, now: datetime) -> int:
    """How many customers are in a segment; `COUNTED_MAX` + 1 for more than that."""
    some = sa.select(sa.literal(1)).select_from(CustomerValue).where(*meets(conditions, now))
    counted = sa.select(sa.func.count()).select_from(some.limit(COUNTED_MAX + 1).subquery())
    return tx.scalar(counted) or 0


def among_these(
    tx: Session, conditions: Conditions, customers: Sequence[int], now: datetime
) -> set[int]:
    """Those of some customers who are in a segment."""
    number = CustomerValue.customer_id
    return set(tx.scalars(sa.select(number).where(number.in_(customers), *meets(conditions, now))))


def recount(tx: Session, now: datetime) -> int:
    """Count who is in each segment. Returns how many segments there are."""
    found = all_segments(tx)
    for segment in found:
        segment.count, segment.counted_at = count(tx, segment.checked, now), now
    return len(found)
