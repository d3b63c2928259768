"""What staff revise, and what is swept away when it is of no use any more."""

from dataclasses import asdict

import pytest
import sqlalchemy as sa

from referral import actions, campaigns, pictures
from referral.campaigns import AlreadyPublished, Campaign, CampaignState, UnknownCampaign
from referral.clock import HeldClock
from referral.dead_links import KEPT_DAYS
from referral.deployment import Deployment
from referral.limits import Limits
from referral.links import LinkFault
from referral.pictures import Picture, UnknownPicture, data_of, made_ready
from tests.cast import add_product, cast_of, draft, open_brand, publish
from tests.photos import photo_file
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
    assert set(asdict(actions.sweep(deployment)).values()) == {0, ()}


def test_sweeping_sifts_and_drops_old_counts(deployment: Deployment, clock: HeldClock) -> None:
    alice, bob, _ = cast_of(open_brand(deployment))
    bob.open(alice.link())
    deployment.dead_links.count(LinkFault.cut)
    deployment.dead_links.flush()
    clock.advance(days=KEPT_DAYS + 1)
    swept = actions.sweep(deployment)
    assert (swept.to_fetches, swept.to_opens, swept.dead_links) == (1, 0, 1)


def test_pictures_that_no_campaign_shows_go_after_a_day(
    deployment: Deployment, clock: HeldClock
) -> None:
    first, second, unused, again = (
        actions.add_picture(deployment, made_ready(photo_file(480, 480, seed=seed))).sha256
        for seed in range(4)
    )
    add_product(deployment)
    actions.add_campaign(deployment, draft(picture=first))
    publish(deployment, slug="over", more_pictures=[second, first])
    clock.advance(minutes=23 * 60)
    actions.add_picture(deployment, made_ready(photo_file(480, 480, seed=3)))
    assert actions.sweep(deployment).pictures == 0
    clock.advance(minutes=120)
    assert actions.sweep(deployment).pictures == 1
    clock.advance(days=200)
    with deployment.db.read() as tx:
        assert sorted(tx.scalars(sa.select(Picture.sha256))) == sorted([first, second, again])
    assert actions.sweep(deployment).pictures == 1
    with pytest.raises(UnknownPicture):
        actions.revise_campaign(deployment, "spring", draft(picture=unused))


def test_a_picture_named_at_the_same_moment_stays(deployment: Deployment, clock: HeldClock) -> None:
    kept = actions.add_picture(deployment, made_ready(photo_file(480, 480))).sha256
    clock.advance(days=2)
    named, swept = overtaken(
        deployment.db,
        lambda tx: actions.add_campaign(deployment, draft(more_pictures=[kept])),
        lambda: deployment.db.transact(
            lambda tx: pictures.sweep(tx, lambda: campaigns.pictures_in_use(tx), clock.now())
        ),
    )
    assert isinstance(named, Campaign)
    assert swept == 0
    with deployment.db.read() as tx:
        assert data_of(tx, kept)
