"""A small brand for the tests of the pages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pytest
from flask import Flask

from referral import actions
from referral.batches import Batch
from referral.campaigns import Campaign, Draft
from referral.catalog import Product
from referral.deployment import Deployment
from referral.ranges import RangeState
from referral.reports import campaigns as figures
from tests.readers import Reader

PER_CLAIM, PER_FRIEND = 20, 50


@dataclass
class Brand:
    """A product with a batch of 1,000 codes, of which 0-499 are on sale, and a campaign."""

    deployment: Deployment
    product: Product
    batch: Batch
    campaign: Campaign

    def path(self, index: int) -> str:
        code = self.deployment.codes.encode(self.batch, index)
        return f"/01/{self.product.gtin}/21/{code.text}"

    def metrics(self) -> figures.Metrics:
        with self.deployment.db.read() as tx:
            return figures.metrics(tx, self.campaign)


@pytest.fixture
def brand(deployment: Deployment) -> Brand:
    return make_brand(deployment)


RULES = [
    {"when": "claim", "for": "person", "amount": PER_CLAIM},
    {"when": "referred_first_claim", "for": "both", "amount": PER_FRIEND},
]


def make_brand(
    deployment: Deployment, rules: Sequence[Mapping[str, object]] = tuple(RULES)
) -> Brand:
    product = actions.add_product(
        deployment, gtin="06901234567892", name="Cold Brew Tea", price=2000, currency="CNY"
    )
    batch = actions.issue_batch(
        deployment, gtin=product.gtin, count=1000, name="first batch", by="tests"
    )
    actions.set_range(deployment, batch.id, RangeState.activated, start=0, end=500, by="tests")
    draft = Draft.model_validate(
        {
            "slug": "spring",
            "title": "Spring together",
            "budget": 100_000,
            "hold_days": 0,
            "rules": rules,
        }
    )
    actions.add_campaign(deployment, draft)
    campaign = actions.publish_campaign(deployment, "spring")
    return Brand(deployment, product, batch, campaign)


@pytest.fixture
def alice(app: Flask) -> Reader:
    """A customer in the making, with her own phone."""
    return Reader(app)


@pytest.fixture
def bob(app: Flask) -> Reader:
    return Reader(app)


@pytest.fixture
def charlie(app: Flask) -> Reader:
    return Reader(app)
