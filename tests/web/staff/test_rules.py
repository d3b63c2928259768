"""The rules in the campaign form: added, taken away, refused in words; and better terms later."""

import re

import pytest
from playwright.sync_api import expect

from referral import actions, catalog
from referral.campaigns import Campaign, Draft, campaign_by_slug
from referral.deployment import Deployment
from tests.conftest import Contexts
from tests.readers import Reader
from tests.web.conftest import Brand
from tests.web.staff.conftest import CAMPAIGN, PASSWORD, rule, text

NEW = "/staff/new-campaign"
TERMS = "/staff/campaigns/spring/terms"
FORM = {key: value for key, value in CAMPAIGN.items() if not key.startswith("rule-")}


def stored(deployment: Deployment, slug: str = "autumn") -> Campaign:
    with deployment.db.read() as tx:
        return campaign_by_slug(tx, slug)


def test_every_kind_of_rule_can_be_typed(brand: Brand, owner: Reader) -> None:
    typed = {
        **rule(0, "claim", "person", "20", **{"limit-per_person_per_day": "3"}),
        **rule(1, "order", "both", "", how="percent", percent="2.5", cap="300", least="10.00"),
        **rule(2, "referred_first_claim", "referrer", "", how="tiers")
        | {"rule-2-tier-0-from": "1", "rule-2-tier-0-amount": "10"}
        | {"rule-2-tier-1-from": "5", "rule-2-tier-1-amount": "50"},
        **rule(3, "first_claim", "person", "", how="draw")
        | {"rule-3-odds-0-chance": "1,000", "rule-3-odds-0-amount": "500"}
        | {"rule-3-odds-2-chance": "50000", "rule-3-odds-2-amount": "1.50"}
        | {"rule-3-odds-2-what": "credit"},
        **rule(4, "nth_claim", "person", "5.50", what="credit", nth="10", every="1")
        | {"rule-4-within_days": "90"},
        **rule(5, "nth_referral", "referrer", "70", nth="3", depth="2"),
        **rule(6, "first_order", "person", ""),  # without an amount: left out
    }
    owner.get(NEW)
    sent = {**FORM, **typed, "budget-CNY": "1,000.00", "market": "VN", "permit": "K / 7"}
    answer = owner.send(NEW, **sent)
    assert answer.status_code == 303, text(owner)
    campaign = stored(brand.deployment)
    assert (campaign.market, campaign.permit) == ("VN", "K / 7")
    assert campaign.budgets == {"CNY": 100_000}
    assert [rule.dump() for rule in campaign.checked_rules] == [
        {
            "when": "claim",
            "for": "person",
            "what": "points",
            "amount": 20,
            "limits": {"per_person_per_day": 3},
        },
        {
            "when": "order",
            "for": "both",
            "what": "points",
            "amount": {"basis_points": 250, "cap": 300},
            "least": 1000,
        },
        {
            "when": "referred_first_claim",
            "for": "referrer",
            "what": "points",
            "amount": {"tiers": [{"from": 1, "amount": 10}, {"from": 5, "amount": 50}]},
        },
        {
            "when": "first_claim",
            "for": "person",
            "what": "points",
            "amount": {
                "odds": [
                    {"per_million": 1000, "amount": 500},
                    {"per_million": 50_000, "amount": 150, "what": "credit"},
                ]
            },
        },
        {
            "when": "nth_claim",
            "for": "person",
            "what": "credit",
            "amount": 550,
            "nth": 10,
            "every": True,
            "within_days": 90,
        },
        {
            "when": "nth_referral",
            "for": "referrer",
            "what": "points",
            "amount": 70,
            "nth": 3,
            "depth": 2,
        },
    ]
    owner.get("/staff/campaigns/autumn/edit")
    assert "CN¥5.50 of store credit for every 10 packages you claim (within 90 days)" in text(owner)
    for kept in ("2.5", "5.50", "10.00", "1000.00", "K / 7"):
        assert f'value="{kept}"' in owner.page


@pytest.mark.parametrize(
    "fields, name, says",
    [
        (rule(0, "claim", "person", "x"), "amount", "whole number"),
        (rule(0, "claim", "person", "", how="percent", percent="5", cap="9"), "how", "of orders"),
        (
            rule(0, "order", "person", "", how="percent", percent="101", cap="9"),
            "percent",
            "such as 5 or 2.5",
        ),
        (rule(0, "order", "person", "", how="percent", percent="5"), "cap", "whole number"),
        (rule(0, "claim", "person", "", how="tiers"), "how", "friends brought in"),
        (
            rule(0, "referred_first_claim", "referrer", "", how="tiers")
            | {"rule-0-tier-0-from": "5", "rule-0-tier-0-amount": "1"}
            | {"rule-0-tier-1-from": "5", "rule-0-tier-1-amount": "2"},
            "tier-1-from",
            "above the one before",
        ),
        (rule(0, "claim", "person", "", how="draw"), "odds-0-chance", "fill this in"),
        (
            rule(0, "claim", "person", "", how="draw")
            | {"rule-0-odds-0-chance": "600000", "rule-0-odds-0-amount": "1"}
            | {"rule-0-odds-1-chance": "400001", "rule-0-odds-1-amount": "1"},
            "odds-1-chance",
            "more than a million",
        ),
        (rule(0, "nth_claim", "person", "5"), "nth", "whole number"),
        (rule(0, "nth_claim", "both", "5", nth="3"), "for", "stamp card"),
        (rule(0, "claim", "person", "5", what="coupon:x"), "amount", "one at a time"),
        (rule(0, "claim", "person", "5", what="coupon"), "what", "choose one of these"),
        (rule(0, "claim", "person", "5", what="money"), "what", "choose one of these"),
        (rule(0, "share", "person", "5"), "when", "choose one of these"),
        (rule(0, "claim", "everybody", "5"), "for", "choose one of these"),
        (rule(0, "referred_first_claim", "referrer", "5", depth="3"), "depth", "from 1 to 2"),
        (
            {**rule(0, "claim", "person", "5"), **rule(1, "claim", "person", "6")},
            "when",
            "a rule for this already",
        ),
        (rule(0, "claim", "person", "1.005", what="credit"), "amount", "after the point"),
        (rule(0, "claim", "person", "99999.00", what="credit"), "amount", "10000.00 is the most"),
    ],
)
def test_what_is_wrong_is_said_beside_the_field(
    brand: Brand, owner: Reader, fields: dict[str, str], name: str, says: str
) -> None:
    owner.get(NEW)
    assert owner.send(NEW, **{**FORM, **fields}).status_code == 422
    number = "1" if "rule-1-when" in fields and name == "when" else "0"
    beside = re.search(rf'id="rule-{number}-{name}-error">([^<]+)<', owner.page)
    assert beside, owner.page
    assert says in beside[1]


def test_what_is_paid_needs_a_budget(brand: Brand, owner: Reader) -> None:
    owner.get(NEW)
    paid = rule(0, "claim", "person", "1.00", what="credit")
    answer = owner.send(NEW, **{**FORM, **paid, "budget": ""})
    assert answer.status_code == 422
    assert 'id="budget-CNY-error"' in owner.page
    answer = owner.send(NEW, **{**FORM, **paid, "budget": "", "budget-CNY": "50"})
    assert answer.status_code == 303
    assert stored(brand.deployment).all_budgets == {"CNY": 5000}


def test_a_rule_is_added_and_taken_away_without_scripts(brand: Brand, owner: Reader) -> None:
    owner.get(NEW)
    assert owner.page.count('class="rule"') == 2
    answer = owner.send(NEW, **CAMPAIGN, add_rule="1")
    assert answer.status_code == 200
    assert owner.page.count('class="rule"') == 4
    answer = owner.send(NEW, **CAMPAIGN, drop_rule="1")
    assert owner.page.count('class="rule"') == 2
    for kept in ("Autumn harvest", "20", "50"):
        assert f'value="{kept}"' in owner.page
    assert 'referred_first_claim" selected' in owner.page
    assert 'name="rule-1-amount" type="text" value="50"' in owner.page
    with brand.deployment.db.read() as tx, pytest.raises(Exception, match="no such campaign"):
        campaign_by_slug(tx, "autumn")
    many = {}
    for number in range(20):
        many |= rule(number, "claim", "person", "1")
    owner.send(NEW, **{**FORM, **many}, add_rule="1")
    assert owner.page.count('class="rule"') == 20
    assert "Add a rule" not in text(owner)
    for nonsense in ("", "99", "x", "-1"):
        assert owner.send(NEW, **CAMPAIGN, drop_rule=nonsense).status_code == 200


def test_the_second_level_is_signed_off_by_an_owner(
    brand: Brand, owner: Reader, analyst: Reader
) -> None:
    owner.get(NEW)
    deep = rule(0, "referred_first_claim", "referrer", "5", depth="2")
    owner.send(NEW, **{**FORM, **deep})
    page = "/staff/campaigns/autumn"
    owner.get(page)
    assert owner.send(page).status_code == 422
    assert "Paying the second level needs a sign-off." in text(owner)
    analyst.get(page)
    assert analyst.post(f"{page}/sign-off", {"csrf_token": analyst.form_token()}).status_code == 403
    assert owner.send(f"{page}/sign-off").status_code == 303
    owner.get(page)
    assert "signed off by olga@brand.example" in text(owner)
    assert owner.send(page).status_code == 303


def test_better_terms_are_typed_and_worse_ones_named(brand: Brand, owner: Reader) -> None:
    owner.get(TERMS)
    form = dict(re.findall(r'name="([^"]+)" type="[a-z-]+" value="([^"]*)"', owner.page))
    form = {name: value for name, value in form.items() if name != "csrf_token"}
    before = stored(brand.deployment, "spring")
    rules = {
        **rule(0, "claim", "person", str(before.checked_rules[0].amount)),
        **rule(1, "referred_first_claim", "both", str(before.checked_rules[1].amount)),
    }
    assert owner.send(TERMS, **{**form, **rules}).status_code == 303, text(owner)
    assert stored(brand.deployment, "spring").rules == before.rules

    owner.get(TERMS)
    less = {**form, **rules, "budget": "1", "rule-0-amount": "1", "ends_at": "2026-03-05T09:00"}
    assert owner.send(TERMS, **less).status_code == 409
    for says in (
        "Terms do not get worse once a campaign is published.",
        "End: It would end sooner.",
        "Budget: Less would be put up for it.",
        "points for every package you claim”: It could pay less.",
    ):
        assert says in text(owner)
    assert 'value="2026-03-05T09:00"' in owner.page, "what was typed is kept"

    more = {**form, **rules, "budget": "200000", "window_days": "90"}
    assert owner.send(TERMS, **more, add_rule="1").status_code == 200
    assert owner.send(TERMS, **more).status_code == 303
    after = stored(brand.deployment, "spring")
    assert (after.budget, after.window_days) == (200_000, 90)
    assert after.ends_at == before.ends_at
    owner.get("/staff/campaigns/spring")
    assert "The better terms hold from now on." in text(owner)


def test_who_may_only_look_changes_no_terms(brand: Brand, analyst: Reader) -> None:
    assert analyst.get(TERMS).status_code == 403


def test_a_draft_has_no_better_terms(brand: Brand, owner: Reader) -> None:
    actions.add_campaign(
        brand.deployment, Draft.model_validate({"slug": "autumn", "title": "A", "budget": 1})
    )
    assert owner.get("/staff/campaigns/autumn/terms").status_code == 409


# What a page looks like does not depend on the database.
@pytest.mark.browser
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_with_scripts_rules_come_and_go_on_the_page(
    brand: Brand, olga: None, site: str, desktop: Contexts
) -> None:
    page = desktop("en-GB").new_page()
    page.goto(f"{site}/staff/sign-in")
    page.locator("#email").fill("olga@brand.example")
    page.locator("#password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.goto(f"{site}{NEW}")
    page.evaluate("window.stays = true")
    page.locator("#title").fill("Harvest")
    rules = page.locator("fieldset.rule")
    page.locator("#rule-0-amount").fill("20")
    page.get_by_role("button", name="Add a rule").click()
    expect(rules).to_have_count(3)
    expect(page.locator("#rule-2-when")).to_be_focused()
    expect(rules.first).to_contain_text("20 points for every package you claim")
    expect(page.locator("#rule-2-percent")).to_be_hidden()
    page.locator("#rule-2-when").select_option("order")
    page.locator("#rule-2-how").select_option("percent")
    expect(page.locator("#rule-2-percent")).to_be_visible()
    expect(page.locator("#rule-2-amount")).to_be_hidden()
    page.get_by_role("button", name="Take rule 2 away").click()
    expect(rules).to_have_count(2)
    expect(page.locator("#rule-1-how")).to_have_value("percent")
    expect(page.locator("#title")).to_have_value("Harvest")
    assert page.evaluate("window.stays"), "the page was not loaded again"
    page.locator("#slug").fill("harvest")
    page.locator("#budget").fill("500")
    page.locator("#rule-1-percent").fill("5")
    page.locator("#rule-1-cap").fill("100")
    page.locator("#budget").press("Enter")
    expect(page.locator("h1")).to_have_text("Harvest")
    with brand.deployment.db.read() as tx:
        assert len(campaign_by_slug(tx, "harvest").rules) == 2
        assert catalog.products_in(tx, [])
