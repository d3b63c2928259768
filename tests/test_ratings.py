"""Ratings are counted as they are, whoever changes what at the same moment."""

import random
from collections import Counter

import pytest
import sqlalchemy as sa

from referral import actions, people, ratings, rollups
from referral.batches import Batch
from referral.clock import HeldClock
from referral.deployment import Deployment
from referral.ratings import ALL, BadRating, Rating, RatingCount, UnknownPackage
from referral.reports import ratings as report
from referral.reports.ratings import Scores
from tests.cast import GTIN, Brand, Person, issue, open_brand
from tests.races import at_once


@pytest.fixture
def brand(deployment: Deployment) -> Brand:
    return open_brand(deployment)


def claims_of(brand: Brand, number: int, batch: Batch | None = None) -> list[tuple[int, int]]:
    """So many claims, by number and customer."""
    bob = Person(brand, people.email("bob@example.com"))
    made = [bob.claim(index, batch).claim for index in range(number)]
    return [(each.id, bob.customer) for each in made]


def by_hand(d: Deployment) -> dict[tuple[int, int, int], int]:
    found: Counter[tuple[int, int, int]] = Counter()
    with d.db.read() as tx:
        for each in tx.scalars(sa.select(Rating)):
            found[each.product_id, each.batch_id, each.score] += 1
            found[each.product_id, ALL, each.score] += 1
    return dict(found)


def kept(d: Deployment) -> dict[tuple[int, int, int], int]:
    with d.db.read() as tx:
        rows = tx.scalars(sa.select(RatingCount)).all()
    return {(row.product_id, row.batch_id, row.score): row.count for row in rows if row.count}


def test_counts_are_those_of_the_ratings_however_often_these_are_changed(brand: Brand) -> None:
    d, dice = brand.deployment, random.Random(1)
    other = issue(d, GTIN, name="another")
    claims = [*claims_of(brand, 6), *claims_of(brand, 6, other)]
    for _ in range(60):
        claim, customer = dice.choice(claims)
        comment = dice.choice([None, "", "nice"])
        actions.rate(d, claim, customer, score=dice.randint(1, 5), comment=comment)
    assert kept(d) == by_hand(d)
    with d.db.read() as tx:
        assert not [each for each in rollups.sum_differences(tx) if "rating" in str(each)]
        of_product = ratings.counts(tx, [brand.product.id])[brand.product.id]
        assert of_product == ratings.counts_of_all(tx)
        of_batches = ratings.counts_by_batch(tx, [brand.batch.id, other.id])
        assert of_batches[brand.batch.id] + of_batches[other.id] == of_product


def test_wrong_counts_are_told_and_put_right(brand: Brand) -> None:
    d = brand.deployment
    for claim, customer in claims_of(brand, 3):
        actions.rate(d, claim, customer, score=4)
    d.db.transact(lambda tx: tx.execute(sa.update(RatingCount).values(count=9)))
    with d.db.read() as tx:
        assert len(list(ratings.differences(tx))) == 2
    assert d.db.transact(ratings.recount) == 2
    assert kept(d) == by_hand(d)


@pytest.mark.race
def test_many_taps_at_once_are_one_rating(brand: Brand) -> None:
    d = brand.deployment
    [(claim, customer)] = claims_of(brand, 1)
    at_once([lambda n=n: actions.rate(d, claim, customer, score=1 + n % 5) for n in range(8)])
    assert sum(by_hand(d).values()) == 2, "of the batch, and of the product"
    assert kept(d) == by_hand(d)


def test_only_the_claims_own_customer_may(brand: Brand) -> None:
    d = brand.deployment
    [(claim, _bob)] = claims_of(brand, 1)
    alice = Person(brand, people.email("alice@example.com"))
    alice.sign_in()
    with pytest.raises(UnknownPackage):
        actions.rate(d, claim, alice.customer, score=1)
    with pytest.raises(UnknownPackage):
        actions.rate(d, claim + 1, alice.customer, score=1)


@pytest.mark.parametrize("score", [0, 6, None])
def test_the_database_and_we_know_five_scores(brand: Brand, score: int | None) -> None:
    [(claim, customer)] = claims_of(brand, 1)
    with pytest.raises(BadRating):
        actions.rate(brand.deployment, claim, customer, score=score)


def test_comments_come_latest_first_page_by_page(brand: Brand, clock: HeldClock) -> None:
    d = brand.deployment
    other = issue(d, GTIN, name="another")
    claims = [*claims_of(brand, 4), *claims_of(brand, 3, other)]
    for number, (claim, customer) in enumerate(claims):
        clock.advance(minutes=number % 2)  # some at one moment
        actions.rate(d, claim, customer, score=5, comment=f"comment {number}")
    actions.rate(d, claims[2][0], claims[2][1], comment="")

    def pages(**of: int) -> list[str]:
        found, after = [], ""
        with d.db.read() as tx:
            while True:
                page = report.comments(tx, d.keys, after=after, limit=2, **of)
                found += [each.text for each in page.rows]
                if page.next is None:
                    return found
                after = page.next

    latest = [f"comment {number}" for number in (6, 5, 4, 3, 1, 0)]
    assert pages() == latest
    assert pages(product_id=brand.product.id) == latest
    assert pages(batch_id=other.id) == latest[:3]
    with d.db.read() as tx:
        for strange in ("x", "1-", "9" * 18 + "-1", "-", "١-١"):
            assert len(report.comments(tx, d.keys, after=strange, limit=2).rows) <= 2


def test_a_mean_says_how_sure_it_is() -> None:
    assert Scores(Counter()).mean is None
    assert Scores(Counter()).interval is None
    few, many = Scores(Counter({5: 3})), Scores(Counter({5: 300}))
    assert few.mean == many.mean == 5
    assert few.interval is not None
    assert many.interval is not None
    assert few.interval[0] < many.interval[0] < 5 == few.interval[1]
    mixed = Scores(Counter({1: 10, 5: 10}))
    assert mixed.interval is not None
    assert mixed.mean == 3
    assert 1 < mixed.interval[0] < 3 < mixed.interval[1] < 5
