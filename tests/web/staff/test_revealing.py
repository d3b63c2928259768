"""Numbers and addresses: masked everywhere, whole for a reason, once, and noted."""

import pytest
import sqlalchemy as sa
from flask import Flask

from referral import actions, audit
from referral.people import Customer
from referral.staff import Role
from tests.readers import Reader
from tests.web.conftest import Brand
from tests.web.staff.conftest import add_member, sign_in, text

PHONE, EMAIL = "+8613800138000", "charlie@example.com"
SHOW = "/staff/customers/1/contacts"
WHY = {"why": "delivery", "reason": "sends the cup of voucher 1"}


@pytest.fixture
def support(app: Flask, spread_brand: Brand) -> Reader:
    add_member(spread_brand.deployment, "sue", Role.support)
    return sign_in(Reader(app), "sue")


def test_for_a_reason_they_are_shown_once_and_it_is_noted(
    support: Reader, spread_brand: Brand
) -> None:
    support.get("/staff/customers/1")
    assert PHONE not in support.page
    assert SHOW in support.page
    support.get(SHOW)
    assert PHONE not in support.page
    assert "+86****8000" in text(support)
    answer = support.send(SHOW, **WHY)
    assert PHONE in support.page
    assert answer.headers["Cache-Control"] == "no-store"
    support.get(SHOW)
    assert PHONE not in support.page, "the next answer has it masked again"
    with spread_brand.deployment.db.read() as tx:
        (entry,) = audit.of_subject(tx, "customer:1")
    assert (entry.by, entry.action) == ("sue@brand.example", "contacts seen")
    assert entry.details == {**WHY, "kinds": ["phone"]}


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"why": ""}, "Please choose one of these."),
        ({"why": "curious"}, "Please choose one of these."),
        ({"reason": ""}, "Please fill this in."),
        ({"reason": "x"}, "Please fill this in."),
        ({"reason": "x" * 201}, "at most 200 fit"),
    ],
)
def test_without_a_reason_nothing_is_shown(
    support: Reader, spread_brand: Brand, fields: dict[str, str], says: str
) -> None:
    support.get(SHOW)
    assert support.send(SHOW, **{**WHY, **fields}).status_code == 422
    assert says in text(support)
    assert PHONE not in support.page
    with spread_brand.deployment.db.read() as tx:
        assert audit.of_subject(tx, "customer:1") == []


def test_how_often_is_limited(support: Reader, spread_brand: Brand) -> None:
    support.get(SHOW)
    token = support.form_token()
    answers = [support.post(SHOW, {"csrf_token": token, **WHY}).status_code for _ in range(31)]
    assert answers == [200] * 30 + [429]
    assert PHONE not in support.page
    with spread_brand.deployment.db.read() as tx:
        assert len(audit.of_subject(tx, "customer:1")) == 30


def test_of_a_merged_customer_the_kept_ones_are_shown(support: Reader, spread_brand: Brand) -> None:
    actions.merge_customers(spread_brand.deployment, 1, 2, reason="same", by="tests", keep=1)
    assert support.get("/staff/customers/2/contacts").location == SHOW
    support.get(SHOW)
    support.send("/staff/customers/2/contacts", **WHY)
    assert PHONE in support.page
    assert EMAIL in support.page


def test_nobody_else_may_and_no_page_says_them(
    app: Flask, spread_brand: Brand, owner: Reader, analyst: Reader
) -> None:
    assert analyst.get(SHOW).status_code == 403
    analyst.get("/staff/search")
    assert analyst.send(SHOW, **WHY).status_code == 403
    pages = ("customers/1", "customers/2", "tree", "tree/1", "orders", "", "cases", "vouchers")
    for path in pages:
        assert owner.get(f"/staff/{path}").status_code == 200
        assert PHONE[3:] not in owner.page, path
        assert EMAIL not in owner.page, path
    owner.get("/staff/search")
    owner.send("/staff/search", q=EMAIL)
    assert EMAIL not in owner.page


def test_a_name_that_is_a_number_or_an_address_is_masked_too(
    spread_brand: Brand, owner: Reader
) -> None:
    """Nobody names herself so; the API may, and names from before may be so."""
    d = spread_brand.deployment
    for name, shown in (("138 0013 8000", "138****8000"), ("al@ice.example", "a***@ice.example")):
        kept = sa.update(Customer).where(Customer.id == 1)
        named = kept.values(name_encrypted=d.keys.encrypt(name))
        d.db.transact(lambda tx, named=named: tx.execute(named))
        owner.get("/staff/customers/1")
        assert shown in text(owner)
        assert name not in owner.page
