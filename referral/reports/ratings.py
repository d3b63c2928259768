"""What customers said of packages: how many of each score, their mean, and comments."""

import math
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral import ratings
from referral.batches import Batch
from referral.catalog import Product
from referral.claims import Claim
from referral.crypto import KeyRing
from referral.ratings import SCORES, Rating

COMMENTS = 20
"""How many comments a page shows."""
Z = 1.96
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CURSOR_DIGITS_MAX = 19


@dataclass(frozen=True)
class Scores:
    """How many ratings of each score there are."""

    counts: Counter[int]

    @property
    def count(self) -> int:
        return sum(self.counts.values())

    @property
    def mean(self) -> float | None:
        """None without any."""
        if not self.count:
            return None
        return sum(score * times for score, times in self.counts.items()) / self.count

    @property
    def interval(self) -> tuple[float, float] | None:
        """Where the mean of all who could have rated lies, 19 times of 20, if those who did are
        like the others. By Wilson's interval, which also holds for few and is rather too wide."""
        mean, n = self.mean, self.count
        if mean is None:
            return None
        low, high = SCORES[0], SCORES[-1]
        p = (mean - low) / (high - low)
        scale = 1 + Z * Z / n
        middle = (p + Z * Z / (2 * n)) / scale
        half = Z / scale * math.sqrt(p * (1 - p) / n + Z * Z / (4 * n * n))
        return (
            low + (high - low) * max(middle - half, 0.0),
            low + (high - low) * min(middle + half, 1.0),
        )

    def share(self, score: int) -> float | None:
        """Which part of all ratings has a score; None without any."""
        return self.counts[score] / self.count if self.count else None


def of_product(tx: Session, product_id: int) -> Scores:
    return Scores(ratings.counts(tx, [product_id]).get(product_id, Counter()))


def of_batch(tx: Session, batch_id: int) -> Scores:
    return Scores(ratings.counts_by_batch(tx, [batch_id]).get(batch_id, Counter()))


def of_all(tx: Session) -> Scores:
    return Scores(ratings.counts_of_all(tx))


@dataclass(frozen=True)
class Comment:
    """What somebody said in words."""

    claim_id: int
    score: int
    text: str
    at: datetime
    customer_id: int
    product_name: str
    batch_id: int
    batch_name: str


@dataclass(frozen=True)
class Comments:
    """Some of them, latest first. `next` is the place of the following ones; None on the last."""

    rows: list[Comment]
    next: str | None


def comments(
    tx: Session,
    keys: KeyRing,
    *,
    product_id: int | None = None,
    batch_id: int | None = None,
    after: str = "",
    limit: int = COMMENTS,
) -> Comments:
    """What was said in words of a product or batch, or of all; latest first.

    `after` is the place that the page before has named; what is none is the beginning.
    """
    statement = (
        sa.select(Rating, Claim.customer_id, Product.name, Batch.name)
        .join(Claim, Claim.id == Rating.claim_id)
        .join(Batch, Batch.id == Rating.batch_id)
        .join(Product, Product.id == Rating.product_id)
        .where(Rating.commented_at.is_not(None))
    )
    if batch_id is not None:
        statement = statement.where(Rating.batch_id == batch_id)
    elif product_id is not None:
        statement = statement.where(Rating.product_id == product_id)
    place = _place(after)
    if place is not None:
        at, claim_id = place
        is_same_time = sa.and_(Rating.commented_at == at, Rating.claim_id < claim_id)
        statement = statement.where(sa.or_(Rating.commented_at < at, is_same_time))
    newest = (Rating.commented_at.desc(), Rating.claim_id.desc())
    rows = tx.execute(statement.order_by(*newest).limit(limit + 1)).all()
    found = [
        Comment(
            claim_id=rating.claim_id,
            score=rating.score,
            text=ratings.comment_of(keys, rating) or "",
            at=rating.commented_at or rating.changed_at,
            customer_id=customer,
            product_name=product,
            batch_id=rating.batch_id,
            batch_name=batch,
        )
        for rating, customer, product, batch in rows[:limit]
    ]
    return Comments(found, _named(found[-1]) if len(rows) > limit else None)


def _named(last: Comment) -> str:
    return f"{(last.at - _EPOCH) // timedelta(microseconds=1)}-{last.claim_id}"


def _place(named: str) -> tuple[datetime, int] | None:
    time, _dash, claim = named.partition("-")
    if not all(
        each.isascii() and each.isdigit() and len(each) <= _CURSOR_DIGITS_MAX - 1
        for each in (time, claim)
    ):
        return None
    try:
        return _EPOCH + timedelta(microseconds=int(time)), int(claim)
    except OverflowError:
        return None
