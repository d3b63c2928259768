"""A marketer's main paths in a real browser, in Chinese and in English."""

from collections.abc import Callable

import pytest
import sqlalchemy as sa
from playwright.sync_api import Page, expect

from referral.campaigns import Campaign, CampaignState, campaign_by_slug
from referral.deployment import Deployment
from referral.segments import all_segments
from referral.staff import Role
from tests.web.staff.desk import Desk
from tests.web.staff.paths.conftest import ALICE, NAMES

pytestmark = [
    pytest.mark.browser,
    pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),
]


@pytest.fixture
def marketer(desk: Callable[[Role], Desk]) -> Desk:
    return desk(Role.marketer)


def test_a_customer_is_found_by_name_and_her_tree_is_opened(marketer: Desk) -> None:
    page, says = marketer.page, marketer.says
    name = says.of(NAMES)
    page.locator("#find").fill(says.of({"zh-CN": "小梅", "en-GB": "lice"}))
    page.locator("#find").press("Enter")
    page.wait_for_url("**/staff/customers/1")
    marketer.is_headed(name)
    assert marketer.link("/staff/customers/1/contacts").count() == 0, "whole numbers are not hers"
    marketer.follow("/staff/tree/1")
    marketer.is_headed(says("Friends of %(name)s", name=name))
    second = says("Customer %(number)s", number=2)
    expect(page.locator(".tree").get_by_role("link", name=second)).to_be_visible()
    expect(page.locator('.tree a[href="/staff/customers/3"]')).to_have_count(0)
    page.get_by_role("button", name=says("Open the branch of %(name)s", name=second)).click()
    expect(page.locator('.tree a[href="/staff/customers/3"]')).to_be_visible()
    assert page.url.endswith("/staff/tree/1"), "the branch is opened in place"


def test_a_campaign_is_read_and_held_against_another(marketer: Desk) -> None:
    page, says = marketer.page, marketer.says
    marketer.follow("/staff/campaigns")
    marketer.is_headed(says("Campaigns"))
    marketer.follow("/staff/campaigns/spring")
    answer = page.locator("p.answer")
    when = says.of({"zh-CN": "这 14 天", "en-GB": "In these 14 days"})
    expect(answer).to_contain_text(when)
    for number in (5, 2):
        expect(answer).to_contain_text(str(number))
    for step, times in (("Opened a link", "2"), ("Claimed", "5")):
        said = page.locator("#funnel .funnel > div").filter(has_text=says(step))
        expect(said.locator("dd")).to_have_text(times)
    page.locator('.days-asked a[href^="/staff/compare-campaigns"]').click()
    marketer.is_headed(says("Compare campaigns"))
    marketer.choose(b="summer")
    page.locator("form.sides button").click()
    page.wait_for_url("**/staff/compare-campaigns?**b=summer**")
    heads = page.locator("section[aria-labelledby=counts-title] thead th")
    expect(heads.nth(1)).to_contain_text("Spring together")
    expect(heads.nth(2)).to_contain_text("Summer")
    claims = page.locator("tr", has=page.get_by_role("cell", name=says("Claimed"), exact=True))
    expect(claims.first.locator("td")).to_have_text([says("Claimed"), "5", "0"])
    expect(page.get_by_text(says("Not enough to compare.")).first).to_be_visible()


def test_a_segment_becomes_the_audience_of_a_campaign_that_is_published(
    marketer: Desk, deployment: Deployment, customer: Callable[[str], Page]
) -> None:
    page, says = marketer.page, marketer.says
    marketer.follow("/staff/segments")
    marketer.follow("/staff/segment")
    page.locator("[name=quadrants][value=advocates]").check()
    page.locator("main form.wide button[type=submit]").click()
    people = page.locator("table.peopled tbody tr")
    expect(people).to_have_count(2)
    expect(people.filter(has_text=says.of(NAMES))).to_have_count(1)
    title = says.of({"zh-CN": "老朋友", "en-GB": "Old friends"})
    marketer.fill(name=title)
    marketer.send("/staff/segments")
    marketer.is_told("The segment is kept.")
    marketer.is_headed(title)
    with deployment.db.read() as tx:
        (segment,) = all_segments(tx)
    assert (segment.name, segment.count) == (title, 2)
    marketer.follow(f"/staff/new-campaign?audience={segment.id}")
    marketer.is_headed(says("New campaign"))
    expect(page.locator("[name=audience]")).to_have_value(str(segment.id))
    evening = says.of({"zh-CN": "会员之夜", "en-GB": "An evening for members"})
    marketer.fill(title=evening, slug="evening", budget="1000", **{"rule-0-amount": "30"})
    page.get_by_role("button", name=says("Keep the draft")).click()
    marketer.is_told("The draft is kept. Nobody sees it until you publish it.")
    marketer.is_headed(evening)
    marketer.send("/staff/campaigns/evening")
    expect(page.locator(".head .pill")).to_have_text(says("Running"))
    with deployment.db.read() as tx:
        campaign = campaign_by_slug(tx, "evening")
        assert campaign.state == CampaignState.published
        assert campaign.audience["segment"] == segment.id
        assert tx.scalar(sa.select(sa.func.count()).select_from(Campaign)) == 3
    hers = customer(ALICE)
    hers.goto(f"{marketer.site}/rules/evening")
    expect(hers.locator("h1")).to_contain_text(evening)
    expect(hers.locator("main")).to_contain_text(says.of({"zh-CN": "受邀", "en-GB": "invited"}))


def test_a_second_level_is_published_once_an_owner_has_signed_it_off(
    marketer: Desk, desk: Callable[[Role], Desk], deployment: Deployment
) -> None:
    page, says, address = marketer.page, marketer.says, "/staff/campaigns/deep"
    marketer.open("/staff/new-campaign")
    marketer.fill(title="Deep", slug="deep", budget="1000", **{"rule-1-amount": "10"})
    marketer.choose(**{"rule-1-for": "referrer"})
    page.locator("fieldset.rule").nth(1).locator("summary").click()
    marketer.fill(**{"rule-1-depth": "2"})
    page.get_by_role("button", name=says("Keep the draft")).click()
    marketer.is_headed("Deep")
    expect(marketer.form(f"{address}/sign-off")).to_have_count(0)
    marketer.send(address)
    expect(page.locator(".notice.bad")).to_be_visible()
    owner = desk(Role.owner)
    owner.open(address)
    owner.send(f"{address}/sign-off")
    expect(owner.page.locator(".publish")).to_contain_text("owner@brand.example")
    marketer.send(address)
    expect(page.locator(".head .pill")).to_have_text(says("Running"))
    with deployment.db.read() as tx:
        assert campaign_by_slug(tx, "deep").state == CampaignState.published
