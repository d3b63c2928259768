"""Ratings: what who claimed a package says of it, one to five, with a comment or without.

One rating a claim, which its owner may change. Nothing is ever paid for one. How many there are of
each is counted with them, by product and batch, so that no page reads them all.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from referral.crypto import KeyRing
from referral.db import Base, insert_new, is_sqlite
from referral.db.bulk import upsert_many
from referral.errors import N_, InvalidInput, NotFound
from referral.gathering import add_up
from referral.texts import paragraphs

SCORES = (1, 2, 3, 4, 5)
"""From not good at all to very good."""
COMMENT_LENGTH_MAX = 300
ALL = 0
"""Stands for all batches of a product."""


class Rating(Base):
    """What a customer said of the package of a claim. The primary key makes it one a claim; whose
    it is, the claim says."""

    __tablename__ = "ratings"

    claim_id: Mapped[int] = mapped_column(
        sa.ForeignKey("claims.id"), primary_key=True, autoincrement=False
    )
    product_id: Mapped[int] = mapped_column(sa.ForeignKey("products.id"))
    batch_id: Mapped[int] = mapped_column(sa.ForeignKey("batches.id"))
    score: Mapped[int] = mapped_column(sa.SmallInteger)
    comment_encrypted: Mapped[str | None] = mapped_column(sa.Text)
    commented_at: Mapped[datetime | None]
    """When the comment was written as it is; None without one."""
    at: Mapped[datetime]
    changed_at: Mapped[datetime]

    __table_args__ = (
        sa.CheckConstraint("score BETWEEN 1 AND 5", name="score_range"),
        sa.CheckConstraint(
            "(comment_encrypted IS NULL) = (commented_at IS NULL)", name="comment_has_a_time"
        ),
        *(
            sa.Index(
                f"ix_ratings_comments{name}",
                *columns,
                "commented_at",
                "claim_id",
                sqlite_where=sa.text("commented_at IS NOT NULL"),
                postgresql_where=sa.text("commented_at IS NOT NULL"),
            )
            for name, columns in (
                ("", ()),
                ("_of_product", ("product_id",)),
                ("_of_batch", ("batch_id",)),
            )
        ),
    )


class RatingCount(Base):
    """How many ratings of one score a batch has, or all batches of a product together."""

    __tablename__ = "rating_counts"

    product_id: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    batch_id: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    """The batch, or `ALL`."""
    score: Mapped[int] = mapped_column(sa.SmallInteger, primary_key=True, autoincrement=False)
    count: Mapped[int] = mapped_column(sa.BigInteger)

    __table_args__ = (sa.Index(None, "batch_id"),)


class BadRating(InvalidInput):
    slug = "bad-rating"
    title = N_("Please choose one of the five faces.")
    advice = N_("One tap is enough; a comment is not needed.")


class BadComment(InvalidInput):
    slug = "bad-comment"
    title = N_("This comment is too long.")
    advice = N_("Please say it in up to 300 characters.")


class UnknownPackage(NotFound):
    slug = "unknown-package"
    title = N_("This package is not among those you claimed.")
    advice = N_("Please sign in with the number or address you claimed it with.")


def clean_comment(text: str) -> str:
    """A comment as it is kept; empty for none. Raises `BadComment`."""
    comment = paragraphs(text)
    if len(comment) > COMMENT_LENGTH_MAX:
        raise BadComment()
    return comment


def rating_of(tx: Session, claim_id: int, *, for_update: bool = False) -> Rating | None:
    """The rating of a claim, if there is one."""
    of = sa.select(Rating).where(Rating.claim_id == claim_id)
    return tx.scalar(of.with_for_update() if for_update else of)


def score_of(tx: Session, claim_id: int) -> int | None:
    """The score alone."""
    return tx.scalar(sa.select(Rating.score).where(Rating.claim_id == claim_id))


def rate(
    tx: Session,
    keys: KeyRing,
    *,
    claim_id: int,
    product_id: int,
    batch_id: int,
    score: int | None,
    comment: str | None,
    now: datetime,
) -> Rating:
    """Keep what is said of a claim's package. None leaves the score or the comment as it was, and
    an empty comment takes it away. Raises `BadRating`, `BadComment`.
    """
    if score is not None and score not in SCORES:
        raise BadRating()
    text = None if comment is None else clean_comment(comment)
    known = rating_of(tx, claim_id, for_update=True)
    if known is None:
        if score is None:
            raise BadRating()
        row = {"claim_id": claim_id, "product_id": product_id, "batch_id": batch_id}
        times = {"at": now, "changed_at": now, "commented_at": None}
        if insert_new(tx, Rating, {**row, **times, "score": score, "comment_encrypted": None}):
            _count(tx, {(product_id, batch_id, score): 1})
        known = rating_of(tx, claim_id, for_update=True)
        assert known is not None  # inserted here, or by somebody else before
    _change(tx, keys, known, score, text, now)
    return known


def _change(
    tx: Session, keys: KeyRing, known: Rating, score: int | None, text: str | None, now: datetime
) -> None:
    if score is not None and score != known.score:
        of = (known.product_id, known.batch_id)
        _count(tx, {(*of, known.score): -1, (*of, score): 1})
        known.score, known.changed_at = score, now
    if text is not None and text != (comment_of(keys, known) or ""):
        known.comment_encrypted = keys.encrypt(text) if text else None
        known.commented_at = now if text else None
        known.changed_at = now
    tx.flush()


def comment_of(keys: KeyRing, rating: Rating) -> str | None:
    """What was said in words."""
    return keys.decrypt_if_any(rating.comment_encrypted)


# Counts


def counts(tx: Session, products: Sequence[int]) -> dict[int, Counter[int]]:
    """How many ratings of each score these products have, by product."""
    of = (RatingCount.product_id.in_(products), RatingCount.batch_id == ALL)
    return _by(tx, RatingCount.product_id, *of)


def counts_by_batch(tx: Session, batches: Sequence[int]) -> dict[int, Counter[int]]:
    """The same of batches."""
    return _by(tx, RatingCount.batch_id, RatingCount.batch_id.in_(batches))


def counts_of_all(tx: Session) -> Counter[int]:
    """How many ratings of each score there are."""
    statement = sa.select(RatingCount.score, sa.func.sum(RatingCount.count)).where(
        RatingCount.batch_id == ALL
    )
    rows = tx.execute(statement.group_by(RatingCount.score))
    return Counter({score: int(count) for score, count in rows if count})


def _by(tx: Session, owner: Any, *conditions: sa.ColumnElement[bool]) -> dict[int, Counter[int]]:
    found: dict[int, Counter[int]] = {}
    rows = tx.execute(sa.select(owner, RatingCount.score, RatingCount.count).where(*conditions))
    for of, score, count in rows:
        if count:
            found.setdefault(of, Counter())[score] = int(count)
    return found


_Key = tuple[int, int, int]
"""Product, batch and score."""


def _count(tx: Session, changes: Mapping[_Key, int]) -> None:
    both: Counter[_Key] = Counter()
    for (product, batch, score), times in changes.items():
        both[product, batch, score] += times
        both[product, ALL, score] += times
    _write(tx, both)


def _write(tx: Session, changes: Mapping[_Key, int]) -> None:
    # In one order everywhere, so that no two of them wait for each other in a circle.
    rows = [
        {"product_id": product, "batch_id": batch, "score": score, "count": times}
        for (product, batch, score), times in sorted(changes.items())
        if times
    ]
    upsert_many(tx, RatingCount, rows, add_up)


def recount(tx: Session) -> int:
    """Count all ratings anew. Returns how many counts were wrong."""
    if not is_sqlite(tx):
        # Nobody rates meanwhile: what was counted in between would be counted twice.
        tx.execute(sa.text("LOCK TABLE ratings IN SHARE ROW EXCLUSIVE MODE"))
    wrong = _wrong(tx)
    _write(tx, {key: found - kept for key, (kept, found) in wrong.items()})
    return len(wrong)


def differences(tx: Session) -> Iterator[str]:
    """Where the counts and the ratings differ, each in words; see `db.one_moment`."""
    for (product, batch, score), (kept, found) in sorted(_wrong(tx).items()):
        what = f"product {product}, batch {batch}, score {score}"
        yield f"rating_counts: {what}: {found} ratings, {kept} in the count"


def _wrong(tx: Session) -> dict[_Key, tuple[int, int]]:
    columns = (RatingCount.product_id, RatingCount.batch_id, RatingCount.score)
    kept = {
        (product, batch, score): int(count)
        for product, batch, score, count in tx.execute(sa.select(*columns, RatingCount.count))
    }
    found: Counter[_Key] = Counter()
    each = (Rating.product_id, Rating.batch_id, Rating.score)
    for product, batch, score, count in tx.execute(
        sa.select(*each, sa.func.count()).group_by(*each)
    ):
        found[product, batch, score] += count
        found[product, ALL, score] += count
    return {
        key: (kept.get(key, 0), found[key])
        for key in kept.keys() | found.keys()
        if kept.get(key, 0) != found[key]
    }
