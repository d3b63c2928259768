"""An analyst's main paths in a real browser, in Chinese and in English: all to read, nothing to
change."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import pytest
import sqlalchemy as sa
from playwright.sync_api import expect

from referral import actions
from referral.audit import AuditEntry
from referral.campaigns import Campaign, campaign_by_slug
from referral.deployment import Deployment
from referral.hand_credits import HandCredit
from referral.staff import Role
from referral.web.staff import exports
from tests.web.staff.desk import Desk
from tests.web.staff.paths.conftest import NAMES

pytestmark = [
    pytest.mark.browser,
    pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),
]
FORBIDDEN = (
    "/staff/new-campaign",
    "/staff/campaigns/spring/terms",
    "/staff/campaigns/spring/content",
    "/staff/campaigns/summer/edit",
    "/staff/credits",
    "/staff/members",
    "/staff/audit",
)


@pytest.fixture
def analyst(desk: Callable[[Role], Desk]) -> Desk:
    return desk(Role.analyst)


def test_a_campaign_the_quadrants_and_the_moments_are_read(analyst: Desk) -> None:
    page, says = analyst.page, analyst.says
    analyst.open("/staff/campaigns/spring?days=7")
    when = says.of({"zh-CN": "这 7 天", "en-GB": "In these 7 days"})
    expect(page.locator("p.answer")).to_contain_text(when)
    expect(page.locator("#sharers tbody tr")).to_have_count(2)
    analyst.follow("/staff/segments")
    analyst.follow("/staff/quadrants")
    analyst.is_headed(says("Four quadrants"))
    expect(page.locator("figure.graph canvas").first).to_be_visible()
    card = page.locator('a.quad[href="/staff/segment?quadrants=advocates"]')
    expect(card).to_contain_text(says("Advocates"))
    expect(card.locator(".big")).to_have_text("2")
    card.click()
    page.wait_for_url("**/staff/segment?quadrants=advocates")
    expect(page.locator("table.peopled tbody tr")).to_have_count(2)
    analyst.link("/staff/customers/1").click()
    analyst.is_headed(says.of(NAMES))
    analyst.follow("/staff/moments")
    analyst.is_headed(says("Moments"))
    claimed = page.locator("section[aria-labelledby=passages-title] tbody tr").first
    expect(claimed.locator("td").nth(1)).to_have_text("1")
    expect(page.locator("main")).to_contain_text("Fresh")


def test_money_and_its_budgets_add_up(analyst: Desk) -> None:
    page, says = analyst.page, analyst.says
    analyst.follow("/staff/money")
    analyst.is_headed(says("Money"))
    expect(page.locator("tr.total td").nth(1)).to_have_text("0")
    analyst.follow("/staff/money/budgets")
    analyst.is_headed(says("Budgets"))
    spring = page.locator("tbody tr").filter(has_text="Spring together")
    # Five claims of 20, and 50 to each of both sides for two friends.
    expect(spring.locator("td").nth(2)).to_contain_text("99,700")
    expect(spring.locator("td").nth(3)).to_have_text("300")
    analyst.follow("/staff/money/budgets/spring?unit=points")
    analyst.is_headed(says("Budget of %(title)s", title="Spring together"))


@pytest.mark.parametrize("form", ["csv", "xlsx"])
def test_a_list_is_asked_for_and_taken_once_it_is_made(
    analyst: Desk,
    deployment: Deployment,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    form: str,
) -> None:
    monkeypatch.setattr(exports, "_see_to_it", lambda opened: None)
    page, says = analyst.page, analyst.says
    analyst.follow("/staff/exports")
    analyst.choose(kind="customers", form=form)
    analyst.send("/staff/exports")
    expect(page.locator("#exports progress")).to_be_visible()
    expect(page.locator("#exports")).to_contain_text(says("Waiting to be made"))
    assert actions.work_off_exports(deployment)
    download = page.get_by_role("link", name=says("Download"))
    expect(download).to_be_visible()  # the list looks again by itself
    with page.expect_download() as taken:
        download.click()
    path = tmp_path / taken.value.suggested_filename
    taken.value.save_as(path)
    assert path.suffix == f".{form}"
    data = path.read_bytes()
    if form == "xlsx":
        with ZipFile(BytesIO(data)) as sheet:
            assert sheet.testzip() is None
            said = "".join(sheet.read(n).decode() for n in sheet.namelist() if n.endswith(".xml"))
    else:
        said = data.decode("utf-8-sig")
        assert len(said.splitlines()) == 6
    for words in (says.of(NAMES), says("Customer")):
        assert words in said
    assert "13800138000" not in said
    with deployment.db.read() as tx:
        noted = tx.scalars(sa.select(AuditEntry.action).order_by(AuditEntry.id)).all()
    assert noted[-2:] == ["export asked for", "export taken"]


def test_nothing_that_changes_anything_is_offered(analyst: Desk) -> None:
    page = analyst.page
    looked_at = ("campaigns", "campaigns/spring", "customers/1", "stores/east", "items", "products")
    for path in looked_at:
        analyst.open(f"/staff/{path}")
        expect(page.locator("main form[method=post]")).to_have_count(0)
        for refused in FORBIDDEN:
            assert page.locator(f'a[href^="{refused}"]').count() == 0, (path, refused)
    analyst.open("/staff/campaigns/summer/edit", status=403)
    analyst.is_refused()


def test_what_is_sent_all_the_same_is_refused_kindly(analyst: Desk, deployment: Deployment) -> None:
    sent = (
        ("/staff/new-campaign", {"title": "Mine", "slug": "mine", "budget": "1"}),
        ("/staff/campaigns/spring/advertising", {"advertising_cost": "500"}),
        ("/staff/credits", {"customer": "1", "amount": "5", "way": "give", "campaign": "1"}),
    )
    for path, fields in sent:
        analyst.open("/staff/")
        analyst.forge(path, **fields)
        analyst.is_refused()
    with deployment.db.read() as tx:
        assert tx.scalar(sa.select(sa.func.count()).select_from(Campaign)) == 2
        assert campaign_by_slug(tx, "spring").advertising_cost is None
        assert tx.scalar(sa.select(sa.func.count()).select_from(HandCredit)) == 0
    analyst.page.locator('main a[href="/staff/"]').click()
    analyst.is_headed(analyst.says("Overview"))
