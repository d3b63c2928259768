"""Campaigns kept in memory for a moment: as they were read, and never older than promised."""

from typing import NoReturn

import pytest
import sqlalchemy as sa

from referral import actions, showcase
from referral.campaigns import Campaign, Draft
from referral.deployment import Deployment
from referral.errors import Unavailable
from referral.showcase import Showcase
from tests.cast import add_product, publish


@pytest.fixture
def campaign(deployment: Deployment) -> Campaign:
    add_product(deployment)
    return publish(deployment)


def retitle(deployment: Deployment, title: str) -> None:
    """As another process does."""
    deployment.db.transact(lambda tx: tx.execute(sa.update(Campaign).values(title=title)))


def test_it_reads_a_campaign_once_in_a_while(
    deployment: Deployment, campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = deployment.showcase.find(campaign.id)
    assert shown is not None
    assert (shown.campaign.id, len(shown.products)) == (campaign.id, 1)
    monkeypatch.setattr(showcase, "KEEP_SECONDS", 1e9)
    retitle(deployment, "Another title")
    assert deployment.showcase.find(campaign.id) is shown
    monkeypatch.setattr(showcase, "KEEP_SECONDS", 0.0)
    again = deployment.showcase.find(campaign.id)
    assert again is not None
    assert again.campaign.title == "Another title"


def test_what_this_process_changes_shows_at_once(
    deployment: Deployment, campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(showcase, "KEEP_SECONDS", 1e9)
    shown = deployment.showcase.find(campaign.id)
    deployment.showcase.forget()
    assert deployment.showcase.find(campaign.id) is not shown


def test_what_was_read_last_is_shown_while_the_database_is_away(
    deployment: Deployment, campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(showcase, "KEEP_SECONDS", 0.0)
    shown = deployment.showcase.find(campaign.id)
    asked = []

    def away() -> NoReturn:
        asked.append(1)
        raise Unavailable()

    with monkeypatch.context() as patched:
        patched.setattr(deployment.db, "read", away)
        assert deployment.showcase.find(campaign.id) is shown
        patched.setattr(showcase, "KEEP_SECONDS", 1e9)
        assert deployment.showcase.find(campaign.id) is shown
        assert len(asked) == 1, "it is not asked again at every look"
        with pytest.raises(Unavailable):
            Showcase(deployment.db).find(campaign.id)
    retitle(deployment, "Another title")
    again = deployment.showcase.find(campaign.id)
    assert again is not None
    assert again.campaign.title == "Another title"


def test_a_draft_and_nothing_at_all_are_not_kept(
    deployment: Deployment, campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(showcase, "KEEP_SECONDS", 1e9)
    assert deployment.showcase.find(campaign.id + 1) is None
    terms = {"slug": "next", "title": "Next", "budget": 10, "rules": campaign.rules}
    draft = actions.add_campaign(deployment, Draft.model_validate(terms))
    asking_elsewhere = Showcase(deployment.db)
    found = asking_elsewhere.find(draft.id)
    assert found is not None
    assert found.campaign.state == "draft"
    actions.publish_campaign(deployment, "next")
    found = asking_elsewhere.find(draft.id)
    assert found is not None
    assert found.campaign.state == "published"


def test_what_was_read_before_a_change_is_not_kept_after_it(
    deployment: Deployment, campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change while it is being read must not be missed until the next look."""
    monkeypatch.setattr(showcase, "KEEP_SECONDS", 1e9)
    read = showcase.catalog.products_in

    def change_meanwhile(*arguments: object) -> object:
        deployment.showcase.forget()
        return read(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(showcase.catalog, "products_in", change_meanwhile)
    stale = deployment.showcase.find(campaign.id)
    monkeypatch.undo()
    assert deployment.showcase.find(campaign.id) is not stale
