"""Who gets into the console, for how long, and what each role may do there."""

import re
import threading
import time
from types import SimpleNamespace
from urllib.parse import urlencode

import pytest
import sqlalchemy as sa
from flask import Flask, url_for

from referral import actions
from referral import staff as accounts
from referral.clock import HeldClock
from referral.deployment import Deployment
from referral.intake import parked
from referral.orders import OrderIn
from referral.redemption.items import ItemDraft
from referral.risk import VerdictRow
from referral.staff import members
from referral.stores import StoreKind
from tests.pools import add_pool
from tests.races import at_once
from tests.readers import Reader
from tests.web.conftest import Brand
from tests.web.staff.conftest import PASSWORD, sign_in, text

# Which route is for which role is asserted of all of them in test_roles; these are asked with real
# things behind them.
CHANGES = {
    "staff.add_product",
    "staff.issue_batch",
    "staff.change_batch",
    "staff.add_store",
    "staff.label_sheet",
    "staff.set_links",
    "staff.set_labels",
    "staff.new_campaign",
    "staff.add_campaign",
    "staff.edit_campaign",
    "staff.revise_campaign",
    "staff.publish_campaign",
    "staff.edit_content_of",
    "staff.edit_content",
    "staff.preview_campaign",
    "staff.add_item",
    "staff.add_orders",
    "staff.add_pool",
    "staff.add_till",
    "staff.amend_terms",
    "staff.better_terms",
    "staff.block_in_case",
    "staff.close_till",
    "staff.decide_case",
    "staff.download_coupons",
    "staff.find_same",
    "staff.generate_coupons",
    "staff.keep_visits",
    "staff.make_coupon_good",
    "staff.merge_customers",
    "staff.new_item",
    "staff.discard_parked",
    "staff.replay_parked",
    "staff.revise_item",
    "staff.same",
    "staff.sign_off_campaign",
    "staff.undo_voucher",
    "staff.upload_coupons",
}
READS = {
    "staff.home",
    "staff.products",
    "staff.batch_list",
    "staff.batch",
    "staff.code",
    "staff.flags",
    "staff.campaign_card",
    "staff.stores",
    "staff.product",
    "staff.campaign_list",
    "staff.campaign",
    "staff.campaign_ledger",
    "staff.spread",
    "staff.first_sharers",
    "staff.spread_of",
    "staff.spread_branches",
    "staff.tree",
    "staff.root_branches",
    "staff.tree_of",
    "staff.branches",
    "staff.customer",
    "staff.search",
    "staff.find",
    "staff.campaign_dry_run",
    "staff.campaign_forecast",
    "staff.case",
    "staff.case_list",
    "staff.coupon",
    "staff.coupon_pool",
    "staff.coupon_pools",
    "staff.coupon_search",
    "staff.find_coupon",
    "staff.find_voucher",
    "staff.intake",
    "staff.item",
    "staff.items_list",
    "staff.order",
    "staff.order_list",
    "staff.store_tills",
    "staff.voucher",
    "staff.vouchers_list",
}


def test_it_refuses_a_wrong_password_and_an_unknown_address(app: Flask, olga: None) -> None:
    reader = Reader(app)
    reader.get("/staff/sign-in")
    wrong = [("olga@brand.example", "wrong"), ("nobody@brand.example", PASSWORD), ("a\0b", "x")]
    for email, password in [*wrong, ("", "")]:
        answer = reader.send("/staff/sign-in", email=email, password=password)
        assert answer.status_code == 403
        assert "E-mail address or password is not right" in text(reader)
        assert password not in re.findall(r'value="([^"]+)"', reader.page)
    assert reader.get("/staff/").status_code == 303


def test_it_refuses_an_eleventh_try_even_with_the_right_password(app: Flask, olga: None) -> None:
    reader = Reader(app)
    reader.get("/staff/sign-in")
    for _ in range(10):
        assert reader.send("/staff/sign-in", email="olga@brand.example", password="no").status_code
    answer = reader.send("/staff/sign-in", email="Olga@brand.example ", password=PASSWORD)
    assert answer.status_code == 429
    assert int(answer.headers["Retry-After"]) > 0


def test_a_stranger_elsewhere_does_not_lock_the_owner_out(
    app: Flask, deployment: Deployment, olga: None
) -> None:
    for _ in range(10):
        deployment.limits.staff_sign_in("olga@brand.example", "192.0.2.9")
    sign_in(Reader(app), "olga")


def test_sign_ins_that_succeed_are_not_counted_as_failed(app: Flask, olga: None) -> None:
    for _ in range(12):
        sign_in(Reader(app), "olga")


def test_one_address_gets_sixty_tries_whatever_the_names(app: Flask, olga: None) -> None:
    reader = Reader(app)
    reader.get("/staff/sign-in")
    for n in range(60):
        answer = reader.send("/staff/sign-in", email=f"{n}@brand.example", password="no")
        assert answer.status_code == 403
    answer = reader.send("/staff/sign-in", email="olga@brand.example", password=PASSWORD)
    assert answer.status_code == 429
    assert int(answer.headers["Retry-After"]) > 0


def test_passwords_are_compared_one_at_a_time_and_outside_transactions(
    deployment: Deployment, olga: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns, seen = threading.Lock(), []

    def verify(password_hash: str, password: str) -> bool:
        alone = turns.acquire(blocking=False)
        seen.append((alone, deployment.db.engine.pool.checkedout()))
        time.sleep(0.02)
        if alone:
            turns.release()
        return True

    monkeypatch.setattr(members, "TURN_SECONDS", 30.0)
    monkeypatch.setattr(members, "_hasher", SimpleNamespace(verify=verify))
    check = lambda: accounts.check_password(deployment.db, "olga@brand.example", PASSWORD)  # noqa: E731
    outcomes = at_once([check] * 6)
    assert all(isinstance(each, accounts.StaffMember) for each in outcomes)
    assert [alone for alone, _ in seen] == [True] * 6
    assert seen[-1][1] == 0, "the last one holds no connection"


def test_a_sign_in_that_gets_no_turn_is_told_to_wait_and_is_not_counted(
    app: Flask, olga: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(members, "TURN_SECONDS", 0.01)
    reader = Reader(app)
    reader.get("/staff/sign-in")
    with members._turn:
        for _ in range(11):
            answer = reader.send("/staff/sign-in", email="olga@brand.example", password=PASSWORD)
            assert answer.status_code == 429
            assert int(answer.headers["Retry-After"]) > 0
    monkeypatch.setattr(members, "TURN_SECONDS", 30.0)
    sign_in(reader, "olga")


def test_a_session_ends_after_twelve_hours(app: Flask, owner: Reader, clock: HeldClock) -> None:
    clock.advance(minutes=12 * 60 - 1)
    assert owner.get("/staff/").status_code == 200
    clock.advance(minutes=1)
    assert owner.get("/staff/").status_code == 303


def test_signing_out_ends_the_session_and_leaves_a_customer_signed_in(
    brand: Brand, app: Flask, olga: None
) -> None:
    reader = Reader(app)
    reader.sign_in("13800138000")
    sign_in(reader, "olga")
    assert reader.get("/me").status_code == 200
    reader.get("/staff/")
    assert reader.send("/staff/sign-out").status_code == 303
    assert reader.get("/staff/").status_code == 303
    assert reader.get("/me").status_code == 200


def test_a_forged_or_altered_session_is_nobody(app: Flask) -> None:
    for value in ("", "x", "AAAA.BBBB", "é", "A" * 3000):
        reader = Reader(app)
        reader.set_cookie("referral_staff", value)
        assert reader.get("/staff/").status_code == 303


def test_a_form_without_a_token_against_forgery_changes_nothing(owner: Reader) -> None:
    fields = {"gtin": "6901234567892", "name": "Tea", "price": "20", "currency": "CNY"}
    assert owner.post("/staff/products", fields).status_code == 400
    assert owner.post("/staff/sign-out").status_code == 400
    owner.get("/staff/products")
    assert "No product yet" in text(owner)


def test_signing_in_leads_back_into_the_console_and_nowhere_else(owner: Reader) -> None:
    for target, leads_to in {
        "/staff/tree?offset=20": "/staff/tree?offset=20",
        "https://evil.example/": "/staff/",
        "//evil.example/staff/": "/staff/",
        "/staff/\\evil.example": "/staff/",
        "/staff/\r\nX: 1": "/staff/",
        "/me": "/staff/",
        "": "/staff/",
    }.items():
        answer = owner.get(f"/staff/sign-in?{urlencode({'next': target})}")
        assert answer.location == leads_to
        owner.get("/staff/search")
        answer = owner.send(
            "/staff/sign-in", email="olga@brand.example", password=PASSWORD, next=target
        )
        assert answer.location == leads_to


def test_a_signed_out_reader_is_sent_to_sign_in_and_back(brand: Brand, app: Flask) -> None:
    answer = Reader(app).get("/staff/campaigns/spring?lang=en")
    assert answer.location.startswith("/staff/sign-in?next=/staff/campaigns/spring?lang%3Den")


# Roles


def furnish(d: Deployment) -> int:
    """A store with a till, an item, a pool, an order and a voucher, a case to decide and a parked
    event; named "tea" or with the number 1. Returns the voucher's number."""
    actions.add_store(d, slug="tea", name="Tea shop", kind=StoreKind.store, region=None)
    actions.add_till(d, "tea", "counter", by="tests")
    add_pool(d, "TEA-0001")
    item = {"slug": "tea", "titles": {"en": "Tea"}, "price": 1, "stock": 9, "value": 1}
    actions.add_item(d, ItemDraft.model_validate({**item, "currency": "CNY"}), by="tests")
    sent = OrderIn(external_id="order-1", customer_id=1, amount=5000, currency="CNY")
    actions.place_order(d, sent)
    review = sa.update(VerdictRow).values(decision="review", case_state="open")
    d.db.transact(lambda tx: tx.execute(review))
    d.db.transact(lambda tx: parked.park_body(tx, b"nonsense", "unreadable", d.clock.now()))
    return actions.redeem(d, 1, "tea", key="press").voucher.id


def test_every_route_keeps_to_the_roles(
    app: Flask, spread_brand: Brand, owner: Reader, analyst: Reader
) -> None:
    owner.get("/staff/campaigns/spring/spread")
    visitor = re.findall(r'/spread/([^/"]+)/branches', owner.page)[0]
    values = {
        "batch_id": 1,
        "index": 1,
        "gtin": "06901234567892",
        "customer_id": 1,
        "slug": "spring",
        "visitor": visitor,
        "lang": "en",
        "form": "csv",
        "other_id": 2,
        "case_id": 1,
        "order_id": 1,
        "coupon_id": 1,
        "parked_id": 1,
        "till_id": 1,
        "voucher_id": furnish(spread_brand.deployment),
    }
    for rule in app.url_map.iter_rules():
        if rule.endpoint not in READS | CHANGES:
            continue
        with app.test_request_context():
            named = {k: values[k] for k in rule.arguments}
            if "/campaigns/" not in rule.rule and "slug" in named:
                named["slug"] = "tea"
            path = url_for(rule.endpoint, **named)
        method = "POST" if "POST" in (rule.methods or ()) else "GET"

        def ask(reader: Reader, path: str = path, method: str = method) -> int:
            if method == "GET":
                answer = reader.get(path)
            else:
                reader.get("/staff/search")
                if "csrf_token" not in reader.page:
                    reader.get("/staff/sign-in")
                answer = reader.send(path)
            is_sent_away = "/staff/sign-in" in (answer.location or "")
            return 401 if is_sent_away else answer.status_code

        assert ask(Reader(app)) == 401, f"{method} {path} lets a stranger in"
        assert ask(owner) in {200, 303, 409, 422}, f"{method} {path} refuses an owner"
        if rule.endpoint in CHANGES:
            assert ask(analyst) == 403, f"{method} {path} lets an analyst change things"
            assert "Your role does not allow this" in text(analyst)
        else:
            assert ask(analyst) in {200, 422}, f"{method} {path} refuses an analyst"


def test_an_analyst_sees_figures_but_neither_forms_nor_unclaimed_codes(
    spread_brand: Brand, analyst: Reader, owner: Reader
) -> None:
    code = spread_brand.deployment.codes.encode(spread_brand.batch, 0)
    codes = ("/batches", "/batches/1", "/batches/1/codes/0", "/flags", "/stores", "/products")
    for path in (*codes, "/campaigns", "/campaigns/spring", "/"):
        assert analyst.get(f"/staff{path}").status_code == 200
        posted = re.findall(r'method="post" action="([^"]+)"', analyst.page)
        assert set(posted) == {"/staff/search", "/staff/sign-out"}
        assert code.text not in analyst.page
        assert code.grouped not in analyst.page
    owner.get("/staff/batches/1")
    assert code.grouped in owner.page
