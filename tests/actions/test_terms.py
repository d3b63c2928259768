"""What binds the brand, at the same moment: nobody looks past what another one is about to bind."""

from dataclasses import replace

from sqlalchemy.orm import Session

from referral import actions, campaigns
from referral.campaigns import Campaign, CampaignState
from referral.campaigns.publishing import PayoutOverBound
from referral.deployment import Deployment
from referral.rewards import Rule
from tests.cast import PRICE, add_product, draft, publish
from tests.races import overtaken

CLAIMS = {"when": "claim", "for": "person", "amount": 300}
ORDERS = {"when": "order", "for": "person", "what": "credit", "amount": 300, "least": PRICE}
"""Each alone keeps within the bound of 400; both together do not. Of two units, so that neither
waits for the other one's budget."""
IN_MONEY = {"budget": 0, "budgets": {"CNY": 10_000}}


def add_two_drafts(d: Deployment) -> None:
    add_product(d)
    actions.add_campaign(d, draft(slug="of-claims", rules=[CLAIMS]))
    actions.add_campaign(d, draft(slug="of-orders", rules=[ORDERS], **IN_MONEY))


def published(d: Deployment) -> list[str]:
    slugs = ("of-claims", "of-orders")
    with d.db.read() as tx:
        found = [campaigns.campaign_by_slug(tx, slug) for slug in slugs]
    return [each.slug for each in found if each.state == CampaignState.published]


def test_a_campaign_published_meanwhile_counts(deployment: Deployment) -> None:
    add_two_drafts(deployment)

    def first(tx: Session) -> Campaign:
        return actions.publish_campaign(deployment, "of-claims")

    done, refused = overtaken(
        deployment.db, first, lambda: actions.publish_campaign(deployment, "of-orders")
    )
    assert isinstance(done, Campaign)
    assert isinstance(refused, PayoutOverBound)
    assert refused.details["campaign"] == "of-claims"
    assert published(deployment) == ["of-claims"]


def test_better_terms_given_meanwhile_count(deployment: Deployment) -> None:
    add_product(deployment)
    publish(deployment, slug="of-claims", rules=[{**CLAIMS, "amount": 100}])
    actions.add_campaign(deployment, draft(slug="of-orders", rules=[ORDERS], **IN_MONEY))
    better = Rule.model_validate(CLAIMS)

    def first(tx: Session) -> Campaign:
        return actions.amend(
            deployment, "of-claims", lambda was: replace(was, rules=[better]), by="tests"
        )

    done, refused = overtaken(
        deployment.db, first, lambda: actions.publish_campaign(deployment, "of-orders")
    )
    assert isinstance(done, Campaign)
    assert isinstance(refused, PayoutOverBound)
    assert published(deployment) == ["of-claims"]


def test_campaigns_that_get_on_are_published_side_by_side(deployment: Deployment) -> None:
    add_product(deployment)
    for slug in ("of-claims", "of-orders"):
        actions.add_campaign(deployment, draft(slug=slug, rules=[CLAIMS]))

    def first(tx: Session) -> Campaign:
        return actions.publish_campaign(deployment, "of-claims")

    done = overtaken(
        deployment.db, first, lambda: actions.publish_campaign(deployment, "of-orders")
    )
    assert [type(each) for each in done] == [Campaign, Campaign]
