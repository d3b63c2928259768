"""The pages anybody can open: scanning, claiming, sharing; and everything that can be wrong."""

import re

import pytest
from flask import Flask

from referral import actions
from referral.campaigns import Draft
from referral.clock import HeldClock
from referral.config import Config
from referral.deployment import Deployment, open_deployment
from referral.links import Link, VisitorCookie
from referral.reports import customers
from tests.readers import Reader
from tests.web.conftest import PER_CLAIM, PER_FRIEND, Brand

WIRE_BYTES_MAX = 30 * 1024


def points(brand: Brand, customer_id: int) -> int:
    with brand.deployment.db.read() as tx:
        return customers.balances(tx, customer_id)[0].available


def nothing_happened(brand: Brand) -> bool:
    metrics = brand.metrics()
    return (metrics.claims, metrics.cost, metrics.new_customers) == (0, 0, 0)


# The story


def test_it_credits_the_first_sharer_through_an_anonymous_hop(
    brand: Brand, alice: Reader, bob: Reader, charlie: Reader
) -> None:
    alice.sign_in("13800138000")
    alice.claim(brand.path(1))
    assert alice.heading == "It is yours"

    bob.get(alice.own_link)
    assert bob.heading == "Spring together"
    charlie.get(bob.own_link)
    charlie.sign_in("charlie@example.com")
    charlie.claim(brand.path(2))

    assert f"+{PER_CLAIM + PER_FRIEND}" in charlie.page
    assert (points(brand, 1), points(brand, 2)) == (PER_CLAIM + PER_FRIEND, PER_CLAIM + PER_FRIEND)
    metrics = brand.metrics()
    assert (metrics.opens, metrics.visitors, metrics.claims) == (2, 2, 2)
    assert (metrics.new_customers, metrics.referred_customers) == (2, 1)


def test_it_gives_every_opener_a_link_of_his_own(brand: Brand, alice: Reader, bob: Reader) -> None:
    alice.sign_in("13800138000")
    alice.claim(brand.path(1))
    bob.get(alice.own_link)
    first = bob.own_link
    assert first != alice.own_link
    bob.get(first)
    assert bob.own_link == first, "opening one's own link changes nothing"
    assert "your own link" in bob.page


def test_it_counts_machines_people_and_readers_apart(brand: Brand, bob: Reader, app: Flask) -> None:
    link = brand.deployment.links.token(Link(brand.campaign.id, 7))
    crawler = Reader(app, agent="WhatsApp/2.24.10 A")
    crawler.get(f"/s/{link}")
    assert crawler.cookie("referral_visitor") is None
    bob.get(f"/s/{link}")
    for _ in range(2):
        assert bob.post(f"/s/{link}/seen").status_code == 204
    shared = bob.post(f"/s/{link}/share", {"channel": "copy"})
    assert shared.status_code == 200
    assert bob.post(f"/s/{link}/share", {"channel": "carrier pigeon"}).status_code == 200
    metrics = brand.metrics()
    assert (metrics.fetches, metrics.opens, metrics.engagements, metrics.shares) == (1, 1, 1, 2)


def test_the_card_a_chat_app_makes_leads_to_the_link_that_was_shared(
    brand: Brand, app: Flask
) -> None:
    link = f"/s/{brand.deployment.links.token(Link(brand.campaign.id, 7))}"
    preview = Reader(app, agent="facebookexternalhit/1.1")
    preview.get(link)
    assert f'<link rel="canonical" href="http://localhost{link}">' in preview.page
    assert preview.own_link == link


def test_a_stranger_s_page_cannot_report_engagement(brand: Brand, bob: Reader) -> None:
    link = brand.deployment.links.token(Link(brand.campaign.id, 7))
    bob.get(f"/s/{link}")
    bob.post(f"/s/{link}/seen", **{"Sec-Fetch-Site": "cross-site"})
    bob.post(f"/s/{link}/seen", Origin="https://elsewhere.example")
    assert brand.metrics().engagements == 0


# What a scan says


def test_a_scan_says_whether_the_code_was_seen_before(
    brand: Brand, alice: Reader, bob: Reader
) -> None:
    alice.get(brand.path(1))
    assert "First verified just now" in alice.heading
    alice.get(brand.path(1))
    assert alice.heading == "Genuine."
    assert "on this device only" in alice.page
    bob.get(brand.path(1))
    assert "seen by 1 other device" in bob.page


def test_a_preview_fetch_is_no_scan(brand: Brand, app: Flask, alice: Reader) -> None:
    Reader(app, agent="facebookexternalhit/1.1").get(brand.path(1))
    alice.get(brand.path(1))
    assert "First verified just now" in alice.heading
    assert brand.metrics().scans == 1


def test_it_takes_a_code_typed_by_hand(brand: Brand, alice: Reader) -> None:
    code = brand.deployment.codes.encode(brand.batch, 3)
    answer = alice.get(f"/c?code={code.grouped.lower().replace('0', 'o').replace('-', '+')}")
    assert answer.location == brand.path(3)
    assert alice.get(f"/c/{code.text}").status_code == 302


# Bad input


def test_it_does_not_know_a_code_that_never_existed(brand: Brand, alice: Reader) -> None:
    answer = alice.get(f"/01/{brand.product.gtin}/21/0123456789ABCDEF")
    assert answer.status_code == 404
    assert alice.heading == "We do not know this code."


def test_it_sees_a_wrong_digit_in_the_gtin(brand: Brand, alice: Reader) -> None:
    answer = alice.get(brand.path(1).replace("06901234567892", "06901234567893"))
    assert answer.status_code == 400
    assert "product number" in alice.heading


def test_it_sees_a_code_of_another_product(brand: Brand, alice: Reader) -> None:
    actions.add_product(
        brand.deployment, gtin="06901234567885", name="Other Tea", price=2000, currency="CNY"
    )
    alice.sign_in("13800138000")
    path = brand.path(1).replace("06901234567892", "06901234567885")
    assert alice.get(path).status_code == 404
    assert alice.heading == "This code belongs to another product."
    alice.get("/me")
    assert alice.send(f"{path}/claim").status_code == 404
    assert nothing_happened(brand)


def test_it_does_not_let_an_unactivated_code_be_claimed(brand: Brand, alice: Reader) -> None:
    alice.sign_in("13800138000")
    alice.get(brand.path(900))
    assert alice.heading == "Not on sale yet."
    alice.get("/me")
    assert alice.send(f"{brand.path(900)}/claim").status_code == 409
    assert alice.heading == "This product is not on sale yet."
    assert nothing_happened(brand)


def test_somebody_else_s_claim_is_told_kindly(brand: Brand, alice: Reader, bob: Reader) -> None:
    alice.sign_in("13800138000")
    alice.claim(brand.path(1))
    bob.sign_in("13800138001")
    bob.get(brand.path(1))
    assert bob.heading.startswith("Claimed by someone on")
    bob.get("/me")
    assert bob.send(f"{brand.path(1)}/claim").status_code == 409
    assert brand.metrics().claims == 1
    assert points(brand, 2) == 0


def test_claiming_one_s_own_again_is_a_success_page(brand: Brand, alice: Reader) -> None:
    alice.sign_in("13800138000")
    alice.claim(brand.path(1))
    alice.get("/me")
    answer = alice.send(f"{brand.path(1)}/claim")
    assert answer.status_code == 303
    alice.get(answer.location)
    assert alice.heading == "You already have this."
    assert points(brand, 1) == PER_CLAIM


@pytest.mark.parametrize(
    "spoil", [lambda t: t[:-6], lambda t: "A" + t[1:], lambda t: "x", str.lower]
)
def test_a_spoilt_link_gives_a_friendly_page_and_no_credit(
    brand: Brand, bob: Reader, spoil: object
) -> None:
    token = brand.deployment.links.token(Link(brand.campaign.id, 7, 1))
    spoilt = spoil(token)  # type: ignore[operator]
    assert spoilt != token
    assert bob.get(f"/s/{spoilt}").status_code == 404
    assert bob.heading == "This link leads nowhere."
    for picture in ("poster.png", "qr.png", "qr.svg"):
        assert bob.get(f"/s/{spoilt}/{picture}").status_code == 404
    assert bob.post(f"/s/{spoilt}/seen").status_code == 404
    assert brand.metrics().opens == 0


def test_a_link_of_an_ended_campaign_gives_no_credit(
    brand: Brand, clock: HeldClock, alice: Reader, bob: Reader
) -> None:
    alice.sign_in("13800138000")
    alice.claim(brand.path(1))
    clock.advance(days=200)
    assert bob.get(alice.own_link).status_code == 404
    bob.sign_in("13800138001")
    bob.claim(brand.path(2))
    assert bob.heading == "It is yours", "the bottle is hers all the same"
    assert points(brand, 2) == 0
    assert brand.metrics().referred_customers == 0


def test_one_s_own_link_brings_nothing(brand: Brand, alice: Reader, app: Flask) -> None:
    alice.sign_in("13800138000")
    alice.get("/me")
    link = alice.own_link if "data-own-link" in alice.page else None
    alice.get(brand.path(1))
    link = link or alice.own_link
    second = Reader(app)
    second.get(link)
    second.sign_in("13800138000")
    second.claim(brand.path(1))
    assert points(brand, 1) == PER_CLAIM
    assert brand.metrics().referred_customers == 0


def test_a_cookie_of_another_installation_is_ignored(
    brand: Brand, alice: Reader, config: Config
) -> None:
    foreign = open_deployment(Config(**{**config.__dict__, "secret_keys": ("another " * 4,)}))
    alice.set_cookie("referral_visitor", foreign.links.cookie(VisitorCookie(5)))
    alice.set_cookie("referral_session", "eyJjdXN0b21lciI6MX0.Zz.forged")
    assert alice.get(brand.path(1)).status_code == 200
    assert alice.get("/me").status_code == 302, "not signed in"
    kept = brand.deployment.links.read_cookie(alice.cookie("referral_visitor"))
    assert kept is not None
    assert kept.visitor != 5
    foreign.db.close()


def test_a_claim_without_a_form_token_is_refused(brand: Brand, alice: Reader) -> None:
    alice.sign_in("13800138000")
    assert alice.post(f"{brand.path(1)}/claim").status_code == 400
    assert "open for too long" in alice.heading
    again = re.search(r'href="([^"]+)">Open the page again<', alice.page)
    assert again is not None
    assert alice.get(again[1]).location == brand.path(1), "and not to a dead end"
    assert nothing_happened(brand)


def test_a_claim_asks_to_sign_in_first(brand: Brand, alice: Reader) -> None:
    alice.get("/sign-in")
    answer = alice.send(f"{brand.path(1)}/claim")
    assert answer.status_code == 303
    assert answer.location.startswith("/sign-in?next=")


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/01/abc/21/def",
        "/01/06901234567892/21/%00",
        "/01/06901234567892/21/" + "A" * 4000,
        "/c?code=" + "%F0%9F%8D%B5" * 16,
        "/s/" + "%00" * 37,
        "/s/..%2f..%2fetc",
        "/rules/none",
        "/s/é.ü",
    ],
)
def test_nonsense_gets_a_page_that_helps(brand: Brand, alice: Reader, path: str) -> None:
    answer = alice.get(path)
    assert answer.status_code in {400, 404}
    assert alice.heading
    assert "Traceback" not in alice.page


def test_a_claim_opened_anew_leads_to_the_package(brand: Brand, alice: Reader) -> None:
    answer = alice.get(f"{brand.path(1)}/claim")
    assert (answer.status_code, answer.location) == (303, brand.path(1))
    assert alice.get("/01/1/21/x%2F..%2F%3Fy/claim").status_code in {303, 400, 404}


def test_post_on_a_page_is_refused_kindly(brand: Brand, alice: Reader) -> None:
    alice.get("/sign-in")
    assert alice.send(brand.path(1)).status_code == 405


# Pages as a whole


def test_a_consumer_s_page_is_small(brand: Brand, alice: Reader) -> None:
    alice.sign_in("13800138000")
    alice.claim(brand.path(1))
    for path in (alice.own_link, brand.path(1), "/me", "/sign-in", "/privacy", "/rules/spring"):
        page = alice.get(path)
        parts = re.findall(r'(?:src|href)="(/static/[^"]+)"', page.text)
        weight = len(page.data) + sum(
            len(alice.get(part.replace("&amp;", "&")).data) for part in parts
        )
        assert weight <= WIRE_BYTES_MAX, f"{path} weighs {weight} bytes"


def test_only_what_changes_a_session_sets_its_cookie(brand: Brand, alice: Reader) -> None:
    alice.sign_in("13800138000")
    alice.claim(brand.path(1))
    poster = alice.own_link + "/poster.png"
    for path in ("/static/site.css", poster, "/healthz", "/me", alice.own_link):
        assert "referral_session" not in str(alice.get(path).headers.getlist("Set-Cookie")), path
    assert "Vary" not in alice.get("/static/site.css").headers


def test_text_that_a_chat_app_glued_to_a_link_is_cut_off(brand: Brand, bob: Reader) -> None:
    link = f"/s/{brand.deployment.links.token(Link(brand.campaign.id, 7))}"
    for glued in ("，快来看", "。", ".", "%20", ")"):
        answer = bob.get(link + glued)
        assert (answer.status_code, answer.location) == (302, link)


def test_a_draft_s_link_shows_nothing_of_it(brand: Brand, bob: Reader) -> None:
    draft = Draft.model_validate({"slug": "secret", "title": "Not yet", "budget": 1, "rules": []})
    campaign = actions.add_campaign(brand.deployment, draft)
    link = f"/s/{brand.deployment.links.token(Link(campaign.id, 7))}"
    assert bob.get(link).status_code == 404
    assert bob.heading == "This link leads nowhere."
    assert bob.get(f"{link}/poster.png").status_code == 404


def test_a_link_shown_as_a_picture_of_another_page_is_no_opening(brand: Brand, bob: Reader) -> None:
    link = f"/s/{brand.deployment.links.token(Link(brand.campaign.id, 7))}"
    for embedded in ("image", "iframe", "script"):
        bob.get(link, **{"Sec-Fetch-Dest": embedded})
    assert bob.cookie("referral_visitor") is None
    assert brand.metrics().opens == 0


def test_who_has_not_opened_the_page_cannot_say_it_was_seen(brand: Brand, bob: Reader) -> None:
    link = f"/s/{brand.deployment.links.token(Link(brand.campaign.id, 7))}"
    assert bob.post(f"{link}/seen").status_code == 204
    assert brand.metrics().engagements == 0


def test_a_new_touch_counts_when_the_first_is_too_old(
    brand: Brand, clock: HeldClock, alice: Reader, bob: Reader, charlie: Reader
) -> None:
    for sharer, number, index in ((alice, "13800138000", 1), (bob, "13800138001", 2)):
        sharer.sign_in(number)
        sharer.claim(brand.path(index))
    charlie.get(alice.own_link)
    clock.advance(days=31)
    charlie.get(bob.own_link)
    charlie.sign_in("13800138002")
    charlie.claim(brand.path(3))
    assert points(brand, 1) == PER_CLAIM
    assert points(brand, 2) == PER_CLAIM + PER_FRIEND


def test_a_share_report_of_endless_brackets_is_no_error(brand: Brand, bob: Reader) -> None:
    link = f"/s/{brand.deployment.links.token(Link(brand.campaign.id, 7))}"
    bob.get(link)
    answer = bob.post_json(f"{link}/share", "[" * 100_000)
    assert answer.status_code == 200


def test_a_browser_that_lost_its_cookie_still_shares_as_its_customer(
    brand: Brand, alice: Reader, bob: Reader, app: Flask
) -> None:
    alice.sign_in("13800138000")
    alice.forget_cookie("referral_visitor")
    alice.claim(brand.path(1))
    bob.get(alice.own_link)
    bob.sign_in("13800138001")
    elsewhere = Reader(app)
    elsewhere.sign_in("13800138001")
    elsewhere.claim(brand.path(2))
    assert points(brand, 1) == PER_CLAIM + PER_FRIEND


def test_a_link_that_leads_to_nobody_does_not_use_up_the_first_touch(
    brand: Brand, alice: Reader, bob: Reader, charlie: Reader
) -> None:
    bob.get(brand.path(5))
    nobody = bob.own_link
    alice.sign_in("13800138000")
    alice.claim(brand.path(1))
    charlie.get(nobody)
    charlie.get(alice.own_link)
    charlie.sign_in("13800138002")
    charlie.claim(brand.path(2))
    assert points(brand, 1) == PER_CLAIM + PER_FRIEND


def test_nobody_is_thanked_when_nobody_was_paid(
    brand: Brand, alice: Reader, bob: Reader, deployment: Deployment
) -> None:
    draft = {"slug": "tiny", "title": "Tiny", "budget": 1, "hold_days": 0}
    rules = [{"when": "referred_first_claim", "for": "both", "amount": 50}]
    actions.add_campaign(deployment, Draft.model_validate({**draft, "rules": rules}))
    tiny = actions.publish_campaign(deployment, "tiny")
    alice.sign_in("13800138000")
    bob.get(f"/s/{deployment.links.token(Link(tiny.id, 7, 1))}")
    bob.sign_in("13800138001")
    bob.claim(brand.path(2))
    assert bob.heading == "It is yours"
    assert "thank-you" not in bob.page
    assert "points are used up" in bob.page


def test_every_answer_carries_its_protection(brand: Brand, alice: Reader) -> None:
    answer = alice.get(brand.path(1))
    policy = answer.headers["Content-Security-Policy"]
    nonce = re.search(r"script-src 'nonce-([\w-]+)'", policy)
    assert nonce
    assert "unsafe" not in policy
    assert all(f'nonce="{nonce[1]}"' in tag for tag in re.findall(r"<script[^>]*>", alice.page))
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["X-Request-ID"]
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "Secure" not in cookie, "the tests' address is http"


def test_cookies_are_secure_behind_https(config: Config, clock: HeldClock) -> None:
    from referral import create_app

    settings = {**config.__dict__, "base_url": "https://brand.example"}
    served: Deployment = open_deployment(Config(**settings), clock=clock)
    answer = (
        create_app(deployment=served)
        .test_client()
        .get("/sign-in", headers={"User-Agent": "Mozilla/5.0 (iPhone)"})
    )
    assert all("Secure" in each for each in answer.headers.getlist("Set-Cookie"))
    assert "Strict-Transport-Security" in answer.headers
    served.db.close()


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        ("zh-CN,zh;q=0.9", "zh-Hans"),
        ("zh-TW", "zh-Hant"),
        ("zh-HK", "zh-Hant"),
        ("en-SG", "en"),
        ("fr-FR", "zh-Hans"),
        ("", "zh-Hans"),
    ],
)
def test_the_page_speaks_the_browser_s_language(
    brand: Brand, app: Flask, asked: str, shown: str
) -> None:
    reader = Reader(app, lang=asked)
    reader.get("/")
    assert f'<html lang="{shown}"' in reader.page


def test_the_chosen_language_stays(brand: Brand, alice: Reader) -> None:
    alice.get("/?lang=zh-Hant")
    alice.get(brand.path(1))
    assert '<html lang="zh-Hant"' in alice.page
    alice.get("/?lang=klingon")
    assert '<html lang="zh-Hant"' in alice.page


def test_the_language_of_a_picture_is_nobodys_choice(brand: Brand, alice: Reader) -> None:
    alice.get(brand.path(1))
    poster = f"{alice.own_link}/poster.png?lang=zh-Hant"
    assert alice.get(poster).mimetype == "image/png"
    assert alice.cookie("referral_lang") is None
