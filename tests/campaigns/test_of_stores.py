"""Campaigns of one store, within what the brand lets it run."""

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from referral import actions, audit, campaigns
from referral.actions import Claimed
from referral.campaigns import Campaign, of_stores
from referral.campaigns.of_stores import NotATemplate, OverStoreLimit, TemplateNotOffered
from referral.stores import StoreKind
from tests.cast import Brand, cast_of, draft, open_brand

PAYS = [{"when": "claim", "for": "person", "amount": 5}]
LIMITS = {"budget_max": 1_000, "days_max": 10, "running_max": 2}
AT_STORE, ELSEWHERE = range(100), range(100, 200)


@pytest.fixture
def brand(deployment: Any) -> Brand:
    """A brand that pays 5 points a claim; a store with a hundred packages may run the same."""
    brand = open_brand(deployment, slug="tea", rules=PAYS)
    store = actions.add_store(deployment, slug="one", name="One", kind=StoreKind.store, region=None)
    ends = {"start": AT_STORE.start, "end": AT_STORE.stop}
    actions.assign_range(deployment, brand.batch.id, {"store_id": store.id}, **ends, by="olga")
    actions.set_store_limits(deployment, "one", templates=["tea"], **LIMITS, by="olga")
    return brand


def run(brand: Brand, template: str = "tea", **more: Any) -> Campaign:
    now = brand.deployment.clock.now()
    asked = {"title": "Tea at One", "budget": 100, "starts_at": now}
    asked = {**asked, "ends_at": now + timedelta(days=5), **more}
    return actions.run_store_campaign(brand.deployment, "one", template, **asked, by="mei")


def paid_by(claimed: Claimed) -> int | None:
    return claimed.claim.campaign_id


def test_it_pays_for_packages_of_the_store_alone(brand: Brand) -> None:
    own = run(brand)
    alice, bob, _ = cast_of(brand)
    alice.sign_in()
    bob.sign_in()
    assert paid_by(alice.claim(AT_STORE[0])) == own.id
    assert paid_by(bob.claim(ELSEWHERE[0])) == brand.campaign.id
    assert brand.budget_left(own) == 95
    assert own.store_id is not None
    assert own.slug == "one-tea"


def test_a_link_of_the_stores_campaign_pays_nothing_elsewhere(brand: Brand) -> None:
    own = run(brand)
    alice, bob, _ = cast_of(brand)
    alice.sign_in()
    bob.open(alice.link(campaign=own))
    bob.sign_in()
    assert paid_by(bob.claim(ELSEWHERE[0])) == brand.campaign.id


@pytest.mark.parametrize(
    "more",
    [
        {"budget": 1_001},
        {"budget": 0},
        {"days": 11},
        {"days": 0},
        {"days": -1},
    ],
    ids=["budget", "no budget", "days", "no day", "ends before"],
)
def test_it_is_within_the_limits(brand: Brand, more: dict[str, int]) -> None:
    now = brand.deployment.clock.now()
    if "days" in more:
        more = {"ends_at": now + timedelta(days=more["days"])}  # type: ignore[dict-item]
    with pytest.raises(OverStoreLimit):
        run(brand, **more)
    assert len(everything(brand)) == 1


def test_only_so_many_run_at_once(brand: Brand) -> None:
    first, second = run(brand), run(brand, title="Again")
    assert second.slug == f"{first.slug}-2"
    with pytest.raises(OverStoreLimit):
        run(brand)
    brand.deployment.clock.advance(days=6)  # type: ignore[attr-defined]
    run(brand)


def test_only_what_is_offered_can_be_copied(brand: Brand) -> None:
    actions.add_campaign(brand.deployment, draft(slug="other", rules=PAYS))
    for template in ("other", "no-such"):
        with pytest.raises(TemplateNotOffered):
            run(brand, template)
    actions.set_store_limits(brand.deployment, "one", templates=[], **LIMITS, by="olga")
    with pytest.raises(TemplateNotOffered):
        run(brand)


@pytest.mark.parametrize(
    "terms",
    [
        {"rules": [{"when": "order", "for": "person", "amount": 5}]},
        {"rules": [{"when": "referred_first_purchase", "for": "both", "amount": 5}]},
        {
            "rules": [{"when": "claim", "for": "person", "what": "credit", "amount": 5}],
            "budgets": {"CNY": 1_000},
        },
    ],
    ids=["orders", "either", "store credit"],
)
def test_what_pays_more_than_points_for_claims_is_no_template(
    brand: Brand, terms: dict[str, Any]
) -> None:
    actions.add_campaign(brand.deployment, draft(slug="other", **terms))
    with pytest.raises(NotATemplate):
        actions.set_store_limits(brand.deployment, "one", templates=["other"], **LIMITS, by="o")


def test_a_stores_campaign_is_no_template(brand: Brand) -> None:
    assert not of_stores.is_template(run(brand))


@pytest.mark.parametrize("name", LIMITS)
def test_limits_are_limited(brand: Brand, name: str) -> None:
    for value in (0, -1, 10**10):
        with pytest.raises(OverStoreLimit):
            actions.set_store_limits(
                brand.deployment, "one", templates=[], **{**LIMITS, name: value}, by="olga"
            )


def test_who_set_limits_and_who_published_is_kept(brand: Brand) -> None:
    own = run(brand)
    with brand.deployment.db.read() as tx:
        (limited,) = audit.of_subject(tx, f"store:{own.store_id}")
        published = audit.of_subject(tx, f"campaign:{own.id}")
    assert (limited.by, limited.action) == ("olga", "store limits set")
    assert [(each.by, each.action) for each in published] == [("mei", "campaign published")]


def test_rules_that_paid_before_pay_anew(brand: Brand) -> None:
    """What the template has paid to somebody is no reason not to pay her here."""
    alice, _, _ = cast_of(brand)
    alice.sign_in()
    alice.claim(ELSEWHERE[0])
    own = run(brand)
    assert [each.amount for each in alice.claim(AT_STORE[1]).rewards] == [5]
    assert brand.budget_left(own) == 95


def everything(brand: Brand) -> list[Campaign]:
    with brand.deployment.db.read() as tx:
        return list(tx.scalars(sa.select(Campaign)))


def test_the_brands_list_of_templates_has_no_stores_campaigns(brand: Brand) -> None:
    own = run(brand)
    with brand.deployment.db.read() as tx:
        assert own.id not in {each.id for each in campaigns.newest(tx, 10)}
        assert [each.id for each in of_stores.campaigns_of(tx, own.store_id or 0, 10)] == [own.id]
