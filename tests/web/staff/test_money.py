"""Pages about money: what they say adds up, leads to what caused it, and costs few statements."""

import re

import pytest
from flask import Flask
from sqlalchemy.orm import Session

from referral import actions, ledger
from referral.clock import HeldClock
from referral.deployment import Deployment
from referral.staff import Role
from tests.readers import Reader
from tests.rewarded import give
from tests.statements import statements
from tests.web.conftest import PER_CLAIM, PER_FRIEND, Brand, make_brand
from tests.web.staff.conftest import add_member, sign_in, text

PAGES = (
    "/staff/money",
    "/staff/money/accounts/wallet",
    "/staff/money/accounts/budget",
    "/staff/money/accounts/issue",
    "/staff/money/accounts/wallet/1/points",
    "/staff/money/rewards",
    "/staff/money/rewards?month=2026-03",
    "/staff/money/budgets",
    "/staff/money/budgets/spring",
    "/staff/money/accounting",
    "/staff/money/accounting?month=2026-02",
)
MOST = 16
"""Statements of a page, with those that look who is there."""


def test_every_page_answers_with_few_statements_however_much_there_is(
    busy_brand: Brand, owner: Reader, clock: HeldClock
) -> None:
    d = busy_brand.deployment
    few: dict[str, int] = {}
    for path in PAGES:
        owner.get(path)
        few[path] = cost(d, owner, path)
    for n in range(4, 20):
        actions.claim(d, busy_brand.code(n), 1)
        clock.advance(minutes=15)
    for path in PAGES:
        assert cost(d, owner, path) <= few[path] <= MOST, path


def cost(deployment: Deployment, reader: Reader, path: str) -> int:
    with statements(deployment.db) as asked:
        assert reader.get(path).status_code == 200
    # When a session was used last is noted now and then.
    return sum("staff_sessions" not in statement for statement in asked)


def test_every_page_answers_before_anything_was_ever_posted(owner: Reader) -> None:
    for path in PAGES:
        if "/1/" not in path and "spring" not in path:
            assert owner.get(path).status_code == 200


def test_the_overview_says_what_is_where(busy_brand: Brand, owner: Reader) -> None:
    owner.get("/staff/money")
    said = text(owner)
    held = 100_000 - 3 * PER_CLAIM - 2 * PER_FRIEND
    assert f"Budget {held:,}" in said
    assert "Redeemed 100" in said
    assert "Rewards for a claim" in said
    assert "What came in and went out is of the last 30 days." in said
    assert "Brand −100,100 0 " in said, "a sign as wide as the digits, as everywhere"
    assert re.search(r"Sum 0", said), "all accounts together hold nothing"


def test_a_statement_leads_to_what_caused_each_line(busy_brand: Brand, owner: Reader) -> None:
    owner.get("/staff/money/accounts/wallet/1/points")
    said = text(owner)
    assert "Alice" in said
    assert 'href="/staff/vouchers/1"' in owner.page
    assert 'href="/staff/customers/2"' in owner.page, "the friend whose claim it was"
    assert "−100" in said
    owner.get("/staff/money/accounts/wallet")
    assert 'href="/staff/money/accounts/wallet/1/points"' in owner.page
    owner.get(f"/staff/money/accounts/budget/{busy_brand.campaign.id}/points")
    assert "Budget put up" in text(owner)
    assert 'href="/staff/campaigns/spring"' in owner.page


def test_a_statement_is_pages_whose_balances_nobody_can_invent(
    brand: Brand, owner: Reader, alice: Reader
) -> None:
    alice.sign_in("13800138000")
    for n in range(1, 61):
        give(brand, 1, n)
    address = "/staff/money/accounts/wallet/1/points"
    owner.get(address)
    found = re.search(rf'href="({address}\?before=[^"]+)"', owner.page)
    assert found
    owner.get(found[1])
    said = text(owner)
    assert "+10 55" in said, "ten more on 45: what the first ten came to"
    assert "+1 1" in said
    answer = owner.get(f"{address}?before=AAAAAAAAAAEAAAAAAAAAAQ.AAAA")
    assert answer.status_code == 302
    assert answer.location == address
    assert owner.get(f"/staff/money/accounts/wallet/2/points?before={found[1].split('=')[1]}")


def test_reasons_are_by_rule_and_month(busy_brand: Brand, owner: Reader) -> None:
    owner.get("/staff/money/rewards?month=2026-03")
    said = text(owner)
    assert re.search(r"For a claim claim:\S+ .* 4 160 Points 0 0", said), said
    both = r"For a referred friend's first claim, to both referred_first_claim:both\S* .* 2 100 "
    assert re.search(both, said), said
    owner.get("/staff/money/rewards?month=2026-02")
    assert "Nothing was granted in this time." in text(owner)
    owner.get("/staff/money/rewards?month=nonsense")
    assert "By campaign and rule" in text(owner)


def test_a_budget_burns_down_to_a_day(
    deployment: Deployment, owner: Reader, alice: Reader, clock: HeldClock
) -> None:
    brand = make_brand(deployment)
    alice.sign_in("13800138000")

    def drain(tx: Session) -> None:
        budget = ledger.budget(tx, brand.campaign.id, "points")
        away = ledger.Move(budget, ledger.account(tx, ledger.Kind.redeemed, 0, "points"), 97_000)
        ledger.post(tx, key="drain", what="redeemed", moves=[away], now=clock.now())

    deployment.db.transact(drain)
    owner.get("/staff/money/budgets")
    assert "not known" in text(owner)
    for n in range(40):
        if n % 4 == 0:
            clock.advance(days=1)
        actions.claim(deployment, brand.code(n), 1)
    sign_in(owner, "olga")
    owner.get("/staff/money/budgets/spring")
    said = text(owner)
    # 80 a day on nine whole days; 2,200 are left on 12 March.
    assert "Ends about 8 April 2026 80 a day lately" in said
    assert "between 8 April 2026 and 8 April 2026" in said
    assert "last 9 whole days" in said
    assert "data-graph" in owner.page
    owner.get("/staff/money/budgets")
    assert "8 April 2026" in text(owner)


def test_accounting_adds_up_and_its_files_are_asked_for(
    busy_brand: Brand, owner: Reader, clock: HeldClock
) -> None:
    owner.get("/staff/money/accounting")
    said = text(owner)
    assert "1 March 2026 to 31 March 2026" in said
    assert re.search(r"Sum 0 [\d,]+ [\d,]+ 0", said)
    form = {"kind": "totals", "form": "csv", "since": "2026-03-01", "until": "2026-03-31"}
    assert owner.send("/staff/exports", **form).status_code == 303
    actions.work_off_exports(busy_brand.deployment)
    owner.get("/staff/exports")
    link = re.search(r'href="(/staff/exports/file/[^"]+)"', owner.page)
    assert link
    lines = owner.get(link[1]).data.decode("utf-8-sig").splitlines()[1:]
    after = [line.rsplit(",", 1)[1] for line in lines if ",points," in line]
    assert sum(map(int, after)) == 0
    clock.advance(days=31)
    sign_in(owner, "olga")
    owner.get("/staff/money/accounting")
    assert re.search(r"Sum 0 0 0 0", text(owner)), "the balances of March are carried over"


@pytest.mark.parametrize(
    ("role", "status"),
    [(Role.marketer, 200), (Role.analyst, 200), (Role.support, 200)],
)
def test_who_may_read_them(busy_brand: Brand, app: Flask, role: Role, status: int) -> None:
    add_member(busy_brand.deployment, "ben", role)
    reader = sign_in(Reader(app), "ben")
    for path in PAGES:
        assert reader.get(path).status_code == status


@pytest.mark.parametrize(
    "path",
    [
        "/staff/money/accounts/nothing",
        "/staff/money/accounts/wallet/999/points",
        "/staff/money/accounts/wallet/1/gold",
        "/staff/money/budgets/nothing",
    ],
)
def test_what_is_not_there_is_said(busy_brand: Brand, owner: Reader, path: str) -> None:
    assert owner.get(path).status_code == 404
