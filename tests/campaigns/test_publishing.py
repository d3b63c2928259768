"""What the product refuses to publish: every refusal says which rules, why, and what to change."""

from datetime import timedelta
from typing import Any

import pytest

from referral import actions, audit, campaigns, catalog
from referral.campaigns import AlreadyPublished, Campaign, CampaignState, publishing, signoff
from referral.campaigns.content import CampaignContent
from referral.campaigns.publishing import DrawNeedsOrganiser, PayoutOverBound, Refused
from referral.campaigns.signoff import NothingToSignOff
from referral.deployment import Deployment
from referral.errors import Problem
from referral.rewards.paid_sharing import NO_PROOF, PaysForSharing
from tests.cast import GTIN, OTHER_GTIN, PRICE, add_product, draft, open_brand, publish

ODDS = {"odds": [{"per_million": 1000, "amount": 5000}]}
DRAW = {"when": "claim", "for": "person", "amount": ODDS}
DEEP = {"when": "referred_first_claim", "for": "referrer", "amount": 10, "depth": 2}
ORDER = {"when": "order", "for": "person", "amount": 10}
CREDIT = {"when": "claim", "for": "person", "what": "credit", "amount": 10}
MUG = {"when": "claim", "for": "person", "what": "item", "of": "mug", "amount": 1}
NAMED = {"organiser": "Tea Co"}


def refusal(deployment: Deployment, **terms: Any) -> Problem:
    """What publishing a draft with these terms is refused with; it stays a draft."""
    actions.add_campaign(deployment, draft(**terms))
    with pytest.raises(Problem) as refused:
        actions.publish_campaign(deployment, "spring")
    with deployment.db.read() as tx:
        assert campaigns.campaign_by_slug(tx, "spring").state == CampaignState.draft
    return refused.value


@pytest.mark.parametrize("when", sorted(NO_PROOF))
def test_nothing_but_a_purchase_is_paid_for(when: str) -> None:
    paid = {"when": "claim", "for": "person", "amount": 1}
    for word in (when, when.upper(), f" {when.replace('_', '-')} "):
        with pytest.raises(PaysForSharing) as refused:
            draft(rules=[paid, {**paid, "when": word}])
        told = refused.value.details
        assert (told["rule"], told["when"].strip().lower().replace("-", "_")) == (1, when)
        assert (told["why"], told["change"]) == (PaysForSharing.title, PaysForSharing.advice)


@pytest.mark.parametrize(
    "terms, slug, about",
    [
        ({"rules": []}, "no-rules", []),
        ({"rules": [{**DEEP, "depth": 3}]}, "depth-too-great", ["depth-3"]),
        ({"rules": [DEEP]}, "depth-not-signed-off", ["depth-2"]),
        ({"rules": [{"when": "claim", "for": "person", "amount": 401}]}, "payout-over-bound", [""]),
        ({"rules": [ORDER]}, "order-needs-least", ["order:"]),
        ({"rules": [{**ORDER, "when": "referred_first_purchase"}]}, "order-needs-least", [""]),
        ({"rules": [{**ORDER, "least": 49}]}, "payout-over-bound", ["least-49"]),
        (
            {"rules": [{**ORDER, "amount": {"basis_points": 2001, "cap": 1000}}]},
            "payout-over-bound",
            ["order:"],
        ),
        ({"rules": [DRAW]}, "draw-needs-organiser", ["draw"]),
        ({"rules": [DRAW], "organiser": " "}, "draw-needs-organiser", ["draw"]),
        ({"rules": [DRAW], "market": "ID", **NAMED}, "draw-needs-permit", ["draw"]),
        ({"rules": [DRAW], "market": "TH", **NAMED}, "draw-needs-permit", ["draw"]),
        ({"rules": [DRAW], "market": "VN", **NAMED}, "draw-needs-permit", ["draw"]),
        ({"lasts_days": None}, "points-never-expire", ["claim:", "referred_first_claim"]),
        ({"rules": [DRAW], "lasts_days": None, **NAMED}, "points-never-expire", ["draw"]),
        ({"budget": 0}, "budget-missing", ["claim:", "referred_first_claim"]),
        ({"rules": [CREDIT]}, "budget-missing", ["credit"]),
        ({"rules": [CREDIT], "budgets": {"USD": 500}}, "budget-missing", ["credit"]),
        ({"rules": [MUG], "budgets": {"item:mug": 5}}, "unknown-prize", ["item:mug"]),
    ],
)
def test_what_is_refused(
    deployment: Deployment, terms: dict[str, Any], slug: str, about: list[str]
) -> None:
    add_product(deployment)
    refused = refusal(deployment, **terms)
    assert (refused.slug, refused.status) == (slug, 422)
    rules = refused.details["rules"]
    assert len(rules) == len(about)
    assert all(part in rule for part, rule in zip(about, rules, strict=True))
    assert refused.details["why"] == refused.title
    assert refused.details["change"] == refused.advice


@pytest.mark.parametrize(
    "terms",
    [
        {"rules": [{**ORDER, "least": 50}]},
        {"rules": [{**ORDER, "amount": {"basis_points": 2000, "cap": 1000}}]},
        {"rules": [DRAW], **NAMED},
        {"rules": [DRAW], "market": "ID", "permit": "K/7", **NAMED},
        {"rules": [DRAW], "market": "CN", **NAMED},
        {"rules": [CREDIT], "budget": 0, "budgets": {"CNY": 500}},
        {"rules": [CREDIT], "budget": 0, "budgets": {"CNY": 500}, "lasts_days": None},
    ],
)
def test_what_is_put_right_is_published(deployment: Deployment, terms: dict[str, Any]) -> None:
    add_product(deployment)
    campaign = publish(deployment, **terms)
    assert (campaign.state, campaign.currency) == (CampaignState.published, "CNY")


def test_a_prize_in_china_stays_under_its_cap(deployment: Deployment) -> None:
    # Points go up to a million a prize; only a dear item is worth more than the cap.
    actions.add_product(deployment, gtin=OTHER_GTIN, name="Car", price=10**9, currency="CNY")
    campaign = Campaign(
        rules=[{**MUG, "amount": {"odds": [{"per_million": 1, "amount": 1}]}}],
        organiser="Tea Co", market="CN", permit="", lasts_days=1, gtins=[],
        budget=0, budgets={"item:mug": 1},
    )  # fmt: skip
    with deployment.db.read() as tx:
        products = catalog.products_in(tx, [])
    for worth, is_fine in ((5_000_000, True), (5_000_001, False)):
        arguments: dict[str, Any] = {"worth": {"item:mug": worth}, "is_signed_off": True}
        if is_fine:
            publishing.check(campaign, products, **arguments)
        else:
            with pytest.raises(publishing.PrizeOverCap) as refused:
                publishing.check(campaign, products, **arguments)
            told = refused.value.details
            assert (told["prize"], told["cap"], told["currency"]) == (worth, 5_000_000, "CNY")
            assert "50,000 RMB" in told["source"]


def test_a_prize_in_another_currency_is_not_held_against_the_cap(deployment: Deployment) -> None:
    actions.add_product(deployment, gtin=OTHER_GTIN, name="Tea", price=PRICE, currency="USD")
    refused = refusal(deployment, rules=[DRAW], market="CN", **NAMED)
    assert refused.slug == "prize-over-cap"


def test_every_refusal_is_a_kind_of_its_own() -> None:
    kinds = [each for each in Refused.every() if each is not Refused]
    assert len({kind.slug for kind in kinds}) == len(kinds) == 14


def test_what_it_pays_decides_which_later_product_it_covers(deployment: Deployment) -> None:
    brand = open_brand(deployment, rules=[{**ORDER, "least": 50}])
    cheap = actions.add_product(deployment, gtin=OTHER_GTIN, name="Sample", price=1, currency="CNY")
    assert brand.campaign.pays_for(cheap), "an order of 50 or more is paid for, whatever is in it"
    other = Campaign(gtins=[], rules=[{"when": "claim", "for": "person", "amount": 1}], worth={})
    assert not other.pays_for(cheap)


# The sign-off of the second level


def test_the_second_level_is_paid_once_it_is_signed_off(deployment: Deployment) -> None:
    add_product(deployment)
    assert refusal(deployment, rules=[DEEP]).slug == "depth-not-signed-off"
    actions.sign_off(deployment, "spring", by="olga@brand.example")
    campaign = actions.publish_campaign(deployment, "spring")
    with deployment.db.read() as tx:
        noted = {each.action: each for each in audit.of_subject(tx, f"campaign:{campaign.id}")}
        entry = noted[signoff.ACTION]
        assert (entry.by, entry.action) == ("olga@brand.example", signoff.ACTION)
        assert entry.details["rules"] == [rule.id for rule in campaign.checked_rules]
    with pytest.raises(AlreadyPublished):
        actions.sign_off(deployment, "spring", by="olga@brand.example")


def test_other_rules_void_the_sign_off(deployment: Deployment) -> None:
    add_product(deployment)
    actions.add_campaign(deployment, draft(rules=[DEEP]))
    actions.sign_off(deployment, "spring", by="olga@brand.example")
    actions.revise_campaign(deployment, "spring", draft(rules=[{**DEEP, "amount": 11}]))
    with pytest.raises(publishing.DepthNotSignedOff):
        actions.publish_campaign(deployment, "spring")
    actions.sign_off(deployment, "spring", by="otto@brand.example")
    actions.revise_campaign(deployment, "spring", draft(rules=[{**DEEP, "amount": 10}]))
    with pytest.raises(publishing.DepthNotSignedOff):
        actions.publish_campaign(deployment, "spring")  # only the last sign-off counts


def test_there_is_nothing_to_sign_off_where_one_level_is_paid(deployment: Deployment) -> None:
    actions.add_campaign(deployment, draft())
    with pytest.raises(NothingToSignOff):
        actions.sign_off(deployment, "spring", by="olga@brand.example")
    actions.add_campaign(deployment, draft(slug="deep", rules=[{**DEEP, "depth": 3}]))
    with pytest.raises(publishing.DepthTooGreat):
        actions.sign_off(deployment, "deep", by="olga@brand.example")


def test_the_payout_of_a_draft_is_known_as_far_as_its_prizes_are() -> None:
    mug = Campaign(rules=[MUG])
    assert publishing.worst_of(mug, [PRICE], {}) is None
    assert publishing.worst_of(mug, [], {"item:mug": 5}) is None
    worst = publishing.worst_of(mug, [PRICE, 10 * PRICE], {"item:mug": 500, "item:cup": 1})
    assert worst is not None
    assert (worst.amount, worst.is_over) == (500, True)
    assert issubclass(PayoutOverBound, Refused)


# Two campaigns at once


CLAIMS = {"when": "claim", "for": "person", "amount": 300}
ORDERS = {"when": "order", "for": "person", "amount": 300, "least": PRICE}


@pytest.mark.parametrize("first, second", [(CLAIMS, ORDERS), (ORDERS, CLAIMS)])
def test_a_purchase_that_two_campaigns_pay_for_keeps_within_the_bound(
    deployment: Deployment, first: dict[str, Any], second: dict[str, Any]
) -> None:
    open_brand(deployment, slug="running", rules=[first])
    refused = refusal(deployment, rules=[second])
    told = refused.details
    assert (refused.slug, told["campaign"]) == ("payout-over-bound", "running")
    assert (told["payout"], told["bound"], told["price"]) == (600, 400, PRICE)
    publish(deployment, slug="modest", rules=[{**second, "amount": 100}])


def test_campaigns_whose_purchases_are_not_the_same_do_not_count_together(
    deployment: Deployment,
) -> None:
    brand = open_brand(deployment, slug="running", rules=[CLAIMS], gtins=[GTIN])
    publish(deployment, slug="of-claims-too", rules=[CLAIMS], gtins=[GTIN])
    actions.add_product(deployment, gtin=OTHER_GTIN, name="Cup", price=PRICE, currency="CNY")
    publish(deployment, slug="of-another", rules=[ORDERS], gtins=[OTHER_GTIN])
    end = brand.campaign.ends_at
    after = {"starts_at": end, "ends_at": end + timedelta(days=1)}
    publish(deployment, slug="later", rules=[ORDERS], gtins=[GTIN], **after)


def test_a_published_draw_keeps_its_organiser(deployment: Deployment) -> None:
    add_product(deployment)
    publish(deployment, rules=[DRAW], **NAMED)
    nobody = CampaignContent(title="Spring")
    with pytest.raises(DrawNeedsOrganiser):
        actions.edit_content(deployment, "spring", lambda _: nobody)
    with deployment.db.read() as tx:
        assert campaigns.campaign_by_slug(tx, "spring").organiser == "Tea Co"
    publish(deployment, slug="no-draw", **NAMED)
    actions.edit_content(deployment, "no-draw", lambda _: nobody)
    actions.add_campaign(deployment, draft(slug="a-draft", rules=[DRAW], **NAMED))
    actions.edit_content(deployment, "a-draft", lambda _: nobody)
