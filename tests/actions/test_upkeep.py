"""What staff revise, and what is swept away when it is of no use any more."""

import pytest

from referral import actions, campaigns
from referral.actions import Swept
from referral.campaigns import AlreadyPublished, CampaignState, UnknownCampaign
from referral.clock import HeldClock
from referral.deployment import Deployment
from referral.limits import Limits
from tests.cast import add_product, cast_of, draft, open_brand
from tests.races import overtaken


def title(deployment: Deployment) -> str:
    with deployment.db.read() as tx:
        return campaigns.campaign_by_slug(tx, "spring").title


def test_a_draft_can_be_revised_and_keeps_its_short_name(deployment: Deployment) -> None:
    actions.add_campaign(deployment, draft())
    revised = actions.revise_campaign(deployment, "spring", draft(slug="other", title="Better"))
    assert (revised.slug, revised.title, revised.state) == ("spring", "Better", "draft")
    assert title(deployment) == "Better"


def test_it_rejects_changing_what_is_published_or_not_there(deployment: Deployment) -> None:
    """A campaign's terms do not get worse after it started: they do not change at all."""
    open_brand(deployment)
    with pytest.raises(AlreadyPublished):
        actions.revise_campaign(deployment, "spring", draft(title="Worse"))
    assert title(deployment) == "Spring together"
    with pytest.raises(UnknownCampaign):
        actions.revise_campaign(deployment, "autumn", draft())


def test_a_revision_overtaken_by_publishing_is_refused(deployment: Deployment) -> None:
    add_product(deployment)
    actions.add_campaign(deployment, draft())
    published, revised = overtaken(
        deployment.db,
        lambda tx: actions.publish_campaign(deployment, "spring"),
        lambda: actions.revise_campaign(deployment, "spring", draft(title="Worse")),
    )
    assert not isinstance(published, Exception)
    assert published.state == CampaignState.published
    assert isinstance(revised, AlreadyPublished)
    assert title(deployment) == "Spring together"


def test_sweeping_drops_what_is_over_and_nothing_else(
    deployment: Deployment, clock: HeldClock
) -> None:
    alice, bob, charlie = cast_of(open_brand(deployment))
    alice.sign_in()
    actions.request_sign_in_code(deployment, bob.contact, "192.0.2.1", bob.visitor, str)
    limits = Limits(deployment.db, deployment.keys, clock, None)
    limits.sign_in("somebody", 1)
    first = actions.sweep(deployment)
    assert (first.sign_in_codes, first.answers) == (1, 0), "the one that was used"
    clock.advance(minutes=10)
    actions.request_sign_in_code(deployment, charlie.contact, "192.0.2.1", charlie.visitor, str)
    assert actions.sweep(deployment).sign_in_codes == 1
    clock.advance(days=2)
    last = actions.sweep(deployment)
    assert last.sign_in_codes == 1
    assert last.limits >= 1
    assert actions.sweep(deployment) == Swept(limits=0, answers=0, sign_in_codes=0, misses=0)
