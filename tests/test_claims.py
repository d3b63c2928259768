"""Claims: the database takes a code once, whatever a check before it said."""

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from referral import claims
from referral.claims import Claim
from referral.deployment import Deployment
from tests.cast import Brand, cast_of, open_brand
from tests.races import overtaken


@pytest.fixture
def brand(deployment: Deployment) -> Brand:
    return open_brand(deployment)


def take(brand: Brand, index: int, customer: int) -> Claim | None:
    now = brand.deployment.clock.now()
    return brand.deployment.db.transact(
        lambda tx: claims.add_claim(tx, brand.code(index), customer, brand.campaign.id, now)
    )


def test_a_code_is_taken_once(brand: Brand) -> None:
    alice, _, charlie = (each.sign_in() for each in cast_of(brand))
    made = take(brand, 3, alice)
    assert made is not None
    assert made.event == f"claim:{made.id}"
    assert take(brand, 3, charlie) is None
    assert take(brand, 3, alice) is None
    with brand.deployment.db.read() as tx:
        found = claims.claim_of(tx, brand.code(3))
        assert found is not None
        assert (found.id, found.customer_id, found.index) == (made.id, alice, 3)
        assert claims.claim_of(tx, brand.code(4)) is None


def test_a_code_is_taken_once_also_at_the_same_moment(brand: Brand) -> None:
    alice, _, charlie = (each.sign_in() for each in cast_of(brand))
    now = brand.deployment.clock.now()
    first, second = overtaken(
        brand.deployment.db,
        lambda tx: claims.add_claim(tx, brand.code(3), alice, None, now),
        lambda: take(brand, 3, charlie),
    )
    assert isinstance(first, Claim)
    assert second is None


def test_the_database_itself_refuses_a_second_claim(brand: Brand) -> None:
    alice = cast_of(brand)[0].sign_in()
    take(brand, 3, alice)
    row = {
        "batch_id": brand.batch.id,
        "index": 3,
        "customer_id": alice,
        "campaign_id": None,
        "at": brand.deployment.clock.now(),
    }
    with pytest.raises(IntegrityError):
        brand.deployment.db.transact(lambda tx: tx.execute(sa.insert(Claim).values(**row)))
