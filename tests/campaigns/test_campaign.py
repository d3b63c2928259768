"""Campaigns: terms are checked before they are stored, and again before they bind the brand."""

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from pydantic import ValidationError

from referral import actions, campaigns, catalog
from referral.campaigns import (
    ID_MAX,
    AlreadyPublished,
    Campaign,
    CampaignExists,
    CampaignState,
    UnknownCampaign,
)
from referral.campaigns.content import Content
from referral.campaigns.publishing import (
    CampaignOver,
    MixedCurrencies,
    NoRules,
    NothingToSell,
    PayoutOverBound,
)
from referral.clock import HeldClock
from referral.deployment import Deployment
from referral.errors import Problem
from tests.cast import (
    BUDGET,
    GTIN,
    OTHER_GTIN,
    PRICE,
    RULES,
    add_product,
    draft,
    open_brand,
    publish,
)
from tests.races import overtaken

START = "2026-03-02T09:30:00+00:00"

# Drafts


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"slug": "Spring"}, "slug"),
        ({"slug": "-spring"}, "slug"),
        ({"slug": "spring\n"}, "slug"),
        ({"slug": "s" * 61}, "slug"),
        ({"slug": ""}, "slug"),
        ({"title": ""}, "title"),
        ({"title": "t" * 81}, "title"),
        ({"budget": -1}, "budget"),
        ({"budget": 10**13}, "budget"),
        ({"gtins": ["06901234567893"]}, "check digit"),
        ({"gtins": [GTIN] * 501}, "gtins"),
        ({"buy_url": "javascript:alert(1)"}, "buy_url"),
        ({"buy_url": "/shop"}, "buy_url"),
        ({"content": {"de": {"title": "Frühling"}}}, "content"),
        ({"content": {"en": {"title": ""}}}, "title"),
        ({"content": {"en": {"title": "x", "body": "b" * 4001}}}, "body"),
        ({"content": {"en": {"title": "x", "script": "x"}}}, "script"),
        ({"hold_days": -1}, "hold_days"),
        ({"hold_days": 91}, "hold_days"),
        ({"window_days": 0}, "window_days"),
        ({"window_days": 366}, "window_days"),
        ({"starts_at": "2026-03-02T09:30:00"}, "timezone"),
        ({"starts_at": START, "ends_at": START}, "after the start"),
        ({"starts_at": "9999-12-31T00:00:00+00:00"}, "year"),
        ({"ends_at": "1999-12-31T00:00:00+00:00"}, "year"),
        ({"rules": [*RULES, RULES[0]]}, "promise the same"),
        ({"rules": [{**RULES[0], "when": "birthday"}]}, "when"),
        ({"market": "XX"}, "markets are default, CN"),
        ({"permit": "x" * 81}, "permit"),
        ({"lasts_days": 0}, "lasts_days"),
        ({"budgets": {"coupon": 5}}, "budgets"),
        ({"rules": [{**RULES[0], "for": "grandreferrer"}]}, "for"),
        ({"rules": [{**RULES[0], "what": "money"}]}, "what"),
        ({"rules": [{**RULES[0], "amount": 0}]}, "amount"),
        ({"rules": [{**RULES[0], "amount": -5}]}, "amount"),
        ({"rules": [{**RULES[0], "amount": 1.5}]}, "amount"),
        ({"rules": [{**RULES[0], "amount": "20"}]}, "amount"),
        ({"rules": [{**RULES[0], "amount": True}]}, "amount"),
        ({"rules": [{**RULES[0], "amount": 1_000_001}]}, "amount"),
        ({"rules": [{**RULES[0], "depth": 2}]}, "depth"),
        ({"rules": [{"when": "claim", "amount": 1}]}, "for"),
        ({"surprise": 1}, "surprise"),
    ],
    ids=lambda value: repr(value)[:60] if isinstance(value, dict) else "",
)
def test_it_rejects_terms_that_make_no_sense(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        draft(**changes)


def test_gtins_are_kept_as_14_digits() -> None:
    assert draft(gtins=["6901234567892"]).gtins == [GTIN]


def test_a_draft_is_stored_as_it_was_written(deployment: Deployment) -> None:
    content = {"zh-Hans": {"title": "春茶🍵", "body": "喝一杯。", "share_text": "来"}}
    made = actions.add_campaign(
        deployment,
        draft(
            content=content,
            gtins=[GTIN],
            buy_url="https://shop.example/茶",
            organiser="某某茶业",
            starts_at="2026-03-01T08:00:00+08:00",
            ends_at="2026-04-01T08:00:00+08:00",
        ),
    )
    with deployment.db.read() as tx:
        stored = campaigns.campaign_by_slug(tx, "spring")
    assert stored.id == made.id
    assert stored.content == content
    assert stored.rules == [{**rule, "what": "points"} for rule in RULES]
    assert [rule.dump() for rule in stored.checked_rules] == stored.rules
    assert stored.buy_url == "https://shop.example/%E8%8C%B6"
    assert stored.starts_at.isoformat() == "2026-03-01T00:00:00+00:00"
    assert stored.state == CampaignState.draft
    assert not stored.runs_at(stored.starts_at)


def test_without_dates_it_runs_from_now_for_90_days(
    deployment: Deployment, clock: HeldClock
) -> None:
    made = actions.add_campaign(deployment, draft())
    assert (made.starts_at, made.ends_at) == (clock.now(), clock.now() + timedelta(days=90))


def test_it_rejects_a_short_name_that_is_taken(deployment: Deployment) -> None:
    actions.add_campaign(deployment, draft())
    with pytest.raises(CampaignExists) as refused:
        actions.add_campaign(deployment, draft(title="Another"))
    assert refused.value.details == {"campaign": "spring"}
    with deployment.db.read() as tx:
        assert campaigns.campaign_by_slug(tx, "spring").title == "Spring together"


def test_it_rejects_an_end_in_the_past(deployment: Deployment, clock: HeldClock) -> None:
    for ends_at in (clock.now(), clock.now() - timedelta(days=1)):
        with pytest.raises(Problem) as refused:
            actions.add_campaign(deployment, draft(ends_at=ends_at.isoformat()))
        assert refused.value.slug == "ends-too-early"


def test_it_rejects_campaigns_nobody_made(deployment: Deployment) -> None:
    actions.add_campaign(deployment, draft())
    with deployment.db.read() as tx:
        for slug in ("autumn", "", "Spring", "spring\0", "s" * 4000):
            with pytest.raises(UnknownCampaign):
                campaigns.campaign_by_slug(tx, slug)
        assert campaigns.campaign_by_id(tx, 999) is None


def test_there_are_no_more_campaigns_than_a_link_can_name(deployment: Deployment) -> None:
    made = actions.add_campaign(deployment, draft())
    beyond = sa.update(Campaign).where(Campaign.id == made.id).values(id=ID_MAX + 1)
    with pytest.raises(sa.exc.IntegrityError, match="id_fits_a_link"):
        deployment.db.transact(lambda tx: tx.execute(beyond))


# Publishing


def test_publishing_puts_up_the_budget(deployment: Deployment) -> None:
    brand = open_brand(deployment)
    assert brand.campaign.state == CampaignState.published
    assert brand.budget_left() == BUDGET


def stays_a_draft(deployment: Deployment) -> bool:
    with deployment.db.read() as tx:
        return campaigns.campaign_by_slug(tx, "spring").state == CampaignState.draft


def test_it_rejects_publishing_twice(deployment: Deployment) -> None:
    brand = open_brand(deployment)
    with pytest.raises(AlreadyPublished):
        actions.publish_campaign(deployment, "spring")
    assert brand.budget_left() == BUDGET


def test_it_is_published_once_also_at_the_same_moment(deployment: Deployment) -> None:
    add_product(deployment)
    actions.add_campaign(deployment, draft())
    first, second = overtaken(
        deployment.db,
        lambda tx: actions.publish_campaign(deployment, "spring"),
        lambda: actions.publish_campaign(deployment, "spring"),
    )
    assert isinstance(first, Campaign)
    assert isinstance(second, AlreadyPublished)


def test_it_rejects_publishing_what_is_over(deployment: Deployment, clock: HeldClock) -> None:
    add_product(deployment)
    actions.add_campaign(deployment, draft())
    clock.advance(days=90)
    with pytest.raises(CampaignOver):
        actions.publish_campaign(deployment, "spring")
    assert stays_a_draft(deployment)


def test_it_rejects_publishing_without_rules(deployment: Deployment) -> None:
    add_product(deployment)
    actions.add_campaign(deployment, draft(rules=[]))
    with pytest.raises(NoRules):
        actions.publish_campaign(deployment, "spring")
    assert stays_a_draft(deployment)


@pytest.mark.parametrize("gtins", [[], [OTHER_GTIN]])
def test_it_rejects_publishing_with_nothing_to_sell(
    deployment: Deployment, gtins: list[str]
) -> None:
    if gtins:
        add_product(deployment)
    actions.add_campaign(deployment, draft(gtins=gtins))
    with pytest.raises(NothingToSell):
        actions.publish_campaign(deployment, "spring")
    assert stays_a_draft(deployment)


def test_it_rejects_publishing_what_no_one_drafted(deployment: Deployment) -> None:
    with pytest.raises(UnknownCampaign):
        actions.publish_campaign(deployment, "spring")


BOUND = PRICE * 20 // 100


def paying(amount: int) -> list[dict[str, Any]]:
    """Rules under which one purchase pays this much at most."""
    each = (amount - 100) // 2
    return [
        {"when": "claim", "for": "person", "amount": 100 + amount % 2},
        {"when": "referred_first_claim", "for": "both", "amount": each},
    ]


def test_one_purchase_may_pay_out_the_bound(deployment: Deployment) -> None:
    add_product(deployment)
    assert publish(deployment, rules=paying(BOUND)).state == CampaignState.published


def test_it_rejects_paying_out_more_than_the_bound(deployment: Deployment) -> None:
    add_product(deployment)
    actions.add_campaign(deployment, draft(rules=paying(BOUND + 1)))
    with pytest.raises(PayoutOverBound) as refused:
        actions.publish_campaign(deployment, "spring")
    assert refused.value.details == {
        "rules": ["claim:person:points", "referred_first_claim:both:points"],
        "why": "One purchase would pay out too much.",
        "change": PayoutOverBound.advice,
        "payout": BOUND + 1,
        "bound": BOUND,
        "price": PRICE,
    }
    assert str(BOUND) in str(refused.value)
    assert stays_a_draft(deployment)


def test_the_cheapest_product_it_is_for_sets_the_bound(deployment: Deployment) -> None:
    add_product(deployment)
    add_product(deployment, OTHER_GTIN, price=100)
    actions.add_campaign(deployment, draft())
    with pytest.raises(PayoutOverBound):
        actions.publish_campaign(deployment, "spring")
    publish(deployment, slug="dear", gtins=[GTIN])


# Which ones run


def slugs(deployment: Deployment, gtin: str | None = None) -> list[str]:
    with deployment.db.read() as tx:
        item = catalog.product_by_gtin(tx, gtin) if gtin else None
        return [each.slug for each in campaigns.running(tx, deployment.clock.now(), item)]


def test_it_runs_from_its_start_up_to_its_end(deployment: Deployment, clock: HeldClock) -> None:
    add_product(deployment)
    start = clock.now() + timedelta(days=2)
    publish(
        deployment,
        starts_at=start.isoformat(),
        ends_at=(start + timedelta(days=1)).isoformat(),
    )
    running_at = []
    for moment in (
        timedelta(seconds=-1),
        timedelta(),
        timedelta(seconds=86_399),
        timedelta(days=1),
    ):
        clock.set(start + moment)
        running_at.append(slugs(deployment))
    assert running_at == [[], ["spring"], ["spring"], []]


def test_the_newest_comes_first_and_drafts_do_not_run(
    deployment: Deployment, clock: HeldClock
) -> None:
    add_product(deployment)
    publish(deployment, slug="older")
    clock.advance(days=1)
    publish(deployment, slug="newer")
    publish(deployment, slug="newer-still")
    actions.add_campaign(deployment, draft(slug="a-draft"))
    assert slugs(deployment) == ["newer-still", "newer", "older"]


def test_it_runs_for_its_products_only(deployment: Deployment) -> None:
    add_product(deployment)
    add_product(deployment, OTHER_GTIN)
    publish(deployment, slug="for-all")
    publish(deployment, slug="for-one", gtins=[GTIN])
    assert slugs(deployment, GTIN) == ["for-one", "for-all"]
    assert slugs(deployment, OTHER_GTIN) == ["for-all"]


def test_it_does_not_pay_for_a_later_product_that_is_too_cheap_for_it(
    deployment: Deployment,
) -> None:
    add_product(deployment)
    publish(deployment)
    actions.add_product(deployment, gtin=OTHER_GTIN, name="Sample", price=1, currency="CNY")
    assert slugs(deployment, GTIN) == ["spring"]
    assert slugs(deployment, OTHER_GTIN) == []


def test_it_refuses_a_product_that_does_not_exist_yet(deployment: Deployment) -> None:
    add_product(deployment)
    with pytest.raises(NothingToSell):
        publish(deployment, gtins=[GTIN, OTHER_GTIN])


def test_it_refuses_prices_in_different_currencies(deployment: Deployment) -> None:
    add_product(deployment)
    actions.add_product(deployment, gtin=OTHER_GTIN, name="Tea", price=500_000, currency="VND")
    with pytest.raises(MixedCurrencies):
        publish(deployment)


# Texts


@pytest.mark.parametrize(
    "there, wanted, found",
    [
        (["zh-Hans", "zh-Hant", "en"], "zh-Hant", "zh-Hant"),
        (["zh-Hans", "en"], "zh-Hant", "zh-Hans"),
        (["zh-Hant", "en"], "zh-Hans", "en"),
        (["zh-Hans", "zh-Hant"], "en", "zh-Hans"),
        (["zh-Hant"], "en", "zh-Hant"),
        ([], "en", "the campaign's own title"),
    ],
)
def test_texts_are_those_of_the_nearest_language(there: list[str], wanted: str, found: str) -> None:
    content = {lang: {"title": lang} for lang in there}
    campaign = Campaign(title="the campaign's own title", content=content)
    assert campaign.content_in(wanted) == Content(title=found)
