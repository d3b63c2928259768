"""The main paths of support in a real browser, in Chinese and in English."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from referral import actions, audit, complaints, hand_credits
from referral.actions import Said
from referral.complaints import Kind
from referral.config import Config
from referral.deployment import Deployment
from referral.staff import Role
from tests.rewarded import held
from tests.web.conftest import Brand
from tests.web.staff.desk import Desk
from tests.web.staff.paths.conftest import ALICE, NAMES

pytestmark = [
    pytest.mark.browser,
    pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),
]
WHOLE, MASKED = f"+86{ALICE}", "+86****8000"
CONTACTS = "/staff/customers/1/contacts"


@pytest.fixture
def support(desk: Callable[[Role], Desk]) -> Desk:
    return desk(Role.support)


def test_a_customer_is_found_by_phone_and_shown_whole_for_a_reason(
    support: Desk, desk: Callable[[Role], Desk], deployment: Deployment
) -> None:
    page, says = support.page, support.says
    page.locator("#find").fill(ALICE)
    page.locator("#find").press("Enter")
    page.wait_for_url("**/staff/customers/1")
    support.is_headed(says.of(NAMES))
    expect(page.locator("main")).to_contain_text(MASKED)
    expect(page.locator("main")).not_to_contain_text(WHOLE)
    support.follow(CONTACTS)
    support.is_headed(says("Show contacts"))
    support.fill(reason="no")
    support.send(CONTACTS)
    expect(page.locator("#why-error")).to_have_text(says("Please choose one of these."))
    reason = says.of({"zh-CN": "投诉 1 的补发", "en-GB": "a new one for complaint 1"})
    support.choose(why="delivery")
    support.fill(reason=reason)
    support.send(CONTACTS)
    support.is_headed(says("Contacts"))
    expect(page.locator("main")).to_contain_text(WHOLE)
    page.reload()
    support.open(CONTACTS)
    expect(page.locator("main")).not_to_contain_text(WHOLE)
    with deployment.db.read() as tx:
        seen = [each for each in audit.of_subject(tx, "customer:1") if "contacts" in each.action]
    assert seen[0].by == "support@brand.example"
    assert seen[0].details == {"why": "delivery", "reason": reason, "kinds": ["phone"]}
    owner = desk(Role.owner)
    owner.open("/staff/audit?subject=customer:1")
    entry = owner.page.locator("table.log tbody tr").filter(has_text=reason)
    expect(entry.first).to_contain_text("support@brand.example")
    expect(entry.first).to_contain_text(says("Contacts seen"))


def test_an_answer_to_a_complaint_is_read_by_who_complained(
    first_week: Brand, support: Desk, customer: Callable[[str], Page], deployment: Deployment
) -> None:
    page, says = support.page, support.says
    said = Said(Kind.damaged, "瓶盖是开的。 The cap was open.", (first_week.batch.id, 0))
    number = actions.complain(deployment, 1, said, key="open-cap")
    complaint = f"/staff/complaints/{number}"
    support.follow("/staff/complaints")
    support.is_headed(says("Complaints"))
    support.follow(complaint)
    support.is_headed(says("Complaint %(number)s", number=number))
    expect(page.locator(".letters")).to_contain_text("The cap was open.")
    page.locator("button[value=take]").click()
    support.is_told("It is yours now.")
    answer = says.of({"zh-CN": "很抱歉，明天给你寄新的。", "en-GB": "Sorry, we send a new one."})
    support.fill(text=answer)
    page.locator("button[value=answer]").click()
    support.is_told("The customer sees the answer.")
    expect(page.locator(".letters .ours")).to_contain_text(answer)
    with deployment.db.read() as tx:
        assert complaints.complaint_by_id(tx, number).state == complaints.State.answered
    hers = customer(ALICE)
    hers.locator(f'a[href="/me/complaints/{number}"]').click()
    expect(hers.locator(".talk .theirs")).to_contain_text(answer)
    expect(hers.locator(".talk")).not_to_contain_text("support@brand.example")
    hers.locator("[name=text]").fill("谢谢 Thanks")
    hers.locator('form[action$="/reply"] button, main form button[type=submit]').first.click()
    expect(hers.locator(".talk")).to_contain_text("Thanks")
    support.open(complaint)
    expect(page.locator(".letters li").last).to_contain_text("Thanks")


def test_a_credit_over_the_limit_waits_until_the_owner_approves_it(
    first_week: Brand,
    support: Desk,
    desk: Callable[[Role], Desk],
    customer: Callable[[str], Page],
    deployment: Deployment,
    config: Config,
) -> None:
    page, says = support.page, support.says
    before, amount = held(deployment, 1), config.credit_limit + 1
    told = says.of({"zh-CN": "让你久等了", "en-GB": "Sorry for the wait"})
    support.open("/staff/customers/1")
    page.locator('.acts a[href^="/staff/credits"]').click()
    support.is_headed(says("Credits by hand"))
    expect(page.locator("[name=customer]")).to_have_value("1")
    support.choose(campaign=str(first_week.campaign.id))
    support.fill(amount=str(amount), reason="late parcel", told=told)
    support.send("/staff/credits")
    support.is_told("This is over your limit: it waits for a colleague.")
    waiting = page.locator("#credit-1")
    expect(waiting).to_contain_text(f"+{amount:,}")
    expect(waiting).to_contain_text(says("Somebody else decides."))
    expect(support.form("/staff/credits/1/approve")).to_have_count(0)
    with deployment.db.read() as tx:
        found = tx.get(hand_credits.HandCredit, 1)
        assert found is not None
        assert found.state == hand_credits.State.waiting
    assert held(deployment, 1) == before
    owner = desk(Role.owner)
    owner.follow("/staff/money")
    owner.follow("/staff/credits")
    expect(owner.page.locator("#credit-1")).to_contain_text("late parcel")
    owner.send("/staff/credits/1/approve")
    owner.is_told("Approved and credited.")
    assert held(deployment, 1) == before + amount
    page.reload()
    expect(page.locator("#credit-1 .pill")).to_have_text(says("Done"))
    expect(page.locator("#credit-1")).to_contain_text("owner@brand.example")
    hers = customer(ALICE)
    expect(hers.locator(".figure")).to_contain_text(f"{before + amount:,}")
    expect(hers.locator("main")).to_contain_text(told)
    expect(hers.locator("main")).not_to_contain_text("late parcel")
