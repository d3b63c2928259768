"""A customer's own page: what she has, whom she reached, and what is missing and why."""

import re

import pytest
from flask import Flask

from referral import actions
from referral.clock import HeldClock
from referral.deployment import Deployment
from referral.orders import OrderIn, RefundIn
from referral.web import me
from tests.cast import open_brand
from tests.readers import Reader
from tests.web.conftest import PER_FRIEND, Brand, make_brand
from tests.web.test_pages import WIRE_BYTES_MAX


def words(reader: Reader) -> str:
    """What is read on the page, without its marks."""
    body = reader.page.partition("<main")[2].partition("</main>")[0]
    return " ".join(re.sub(r"<[^>]+>", " ", body).split())


def test_an_emptied_name_is_taken_off(deployment: Deployment, alice: Reader) -> None:
    alice.sign_in("13800138000")
    alice.send("/me/name", name="Ming")
    alice.get("/me")
    assert alice.send("/me/name", name="").status_code == 303
    alice.get("/me")
    assert alice.heading == "Hello"


@pytest.mark.parametrize("name", ["   ", "x" * 4000, "\u200d"])
def test_it_refuses_a_name_that_is_none_and_keeps_the_old(
    deployment: Deployment, alice: Reader, name: str
) -> None:
    alice.sign_in("13800138000")
    alice.send("/me/name", name="Ming")
    alice.get("/me")
    assert alice.send("/me/name", name=name).status_code == 422
    alice.get("/me")
    assert "Ming" in alice.heading


@pytest.mark.parametrize("name", ["🍵", "小明 🎋", "Ming & <b>co</b>", "👨‍👩‍👧"])
def test_it_takes_any_real_name(deployment: Deployment, alice: Reader, name: str) -> None:
    alice.sign_in("13800138000")
    assert alice.send("/me/name", name=name).status_code == 303
    alice.get("/me")
    assert name in alice.heading
    assert "<b>co" not in alice.page


def test_my_page_shows_points_friends_and_reach(
    brand: Brand, alice: Reader, bob: Reader, charlie: Reader
) -> None:
    alice.sign_in("13800138000")
    alice.claim(brand.path(1))
    bob.get(alice.own_link)
    charlie.get(bob.own_link)
    charlie.sign_in("13800138002")
    charlie.send("/me/name", name="Charlie")
    charlie.claim(brand.path(2))
    alice.get("/me")
    assert f"{20 + PER_FRIEND}<small>points" in alice.page
    assert "Charlie" in alice.page
    assert "From your friends" in alice.page
    assert "Cold Brew Tea" in alice.page


def test_my_page_says_who_brought_me_here_and_why_not_another(
    brand: Brand, alice: Reader, bob: Reader, charlie: Reader
) -> None:
    for number, (reader, contact, name) in enumerate(
        ((alice, "13800138000", "Alice"), (bob, "13800138001", "Bob"))
    ):
        reader.sign_in(contact)
        reader.send("/me/name", name=name)
        reader.claim(brand.path(number))
        assert "Who brought you here" not in reader.page, "no link had been opened"
    charlie.get(alice.own_link)
    charlie.get(bob.own_link)
    charlie.sign_in("charlie@example.com")
    assert "Who brought you here" not in charlie.page, "not settled before the first claim"
    charlie.claim(brand.path(2))
    for page in (charlie.page, charlie.get("/me").text):
        assert "Alice brought you here." in page
        assert "It was the first one, and the first one counts." in page
        assert "leads back to Bob. That was later, and the first one counts." in page


def test_my_page_says_why_nobody_brought_me_here(
    brand: Brand, bob: Reader, charlie: Reader
) -> None:
    bob.get(brand.path(1))
    charlie.get(bob.own_link)
    charlie.sign_in("charlie@example.com")
    charlie.claim(brand.path(2))
    assert "Nobody: no link that you opened led to a customer" in charlie.page
    assert "you opened a link that leads back to no customer" in charlie.page


def test_a_new_customers_page_says_what_to_do(brand: Brand, alice: Reader) -> None:
    alice.sign_in("13800138000")
    said = words(alice)
    for advice in (
        "Claim a package, and what it brings shows up here.",
        "A friend counts once they have claimed a package of their own.",
        "Send your link to somebody who would like it.",
        "Nobody has opened your links yet.",
        "Scan the code on one with your phone's camera.",
    ):
        assert advice in said.replace("&#39;", "'")
    assert "On its way" not in said


def test_without_a_campaign_it_says_when_there_is_a_link(
    deployment: Deployment, alice: Reader
) -> None:
    alice.sign_in("13800138000")
    assert "While a campaign runs, your link is on this page." in words(alice)
    assert "Send your link" not in words(alice)


def test_it_says_what_is_pending_and_from_when(
    deployment: Deployment, alice: Reader, bob: Reader, clock: HeldClock
) -> None:
    brand = open_brand(deployment, hold_days=7)
    path = f"/01/{brand.product.gtin}/21/{brand.code(1).text}"
    other = f"/01/{brand.product.gtin}/21/{brand.code(2).text}"
    alice.sign_in("13800138000")
    alice.claim(path)
    bob.get(alice.own_link)
    bob.sign_in("13800138001")
    alice.get("/me")
    month = f"{clock.now():%B}"
    first = clock.now().day + 7
    assert f"They are yours to spend from {first} {month}" in words(alice)
    assert "in case a purchase is undone" in words(alice)
    clock.advance(days=1)
    bob.claim(other)
    alice.get("/me")
    assert f"The first are yours to spend from {first} {month}" in words(alice)
    assert f"all of them from {first + 1} {month}" in words(alice)
    clock.advance(days=6)
    alice.get("/me")
    assert "Some are yours to spend within a day" in words(alice)
    actions.release_rewards(deployment)
    clock.advance(days=1)
    alice.get("/me")
    assert "They are yours to spend within a day." in words(alice)
    actions.release_rewards(deployment)
    alice.get("/me")
    assert "to spend" not in words(alice)


def test_it_says_why_a_friend_or_a_claim_brought_nothing(
    deployment: Deployment, alice: Reader, bob: Reader
) -> None:
    brand = open_brand(deployment, hold_days=0, budget=20)
    paths = [f"/01/{brand.product.gtin}/21/{brand.code(n).text}" for n in range(3)]
    alice.sign_in("13800138000")
    alice.claim(paths[0])
    alice.claim(paths[1])
    bob.get(alice.own_link)
    bob.sign_in("13800138001")
    bob.claim(paths[2])
    alice.get("/me")
    assert "No points: those of the campaign were used up." in words(alice)
    assert "points were used up by then." in words(alice)


def test_friends_on_the_way_and_those_who_are_none_are_counted_without_names(
    brand: Brand, alice: Reader, bob: Reader, charlie: Reader, app: Flask, clock: HeldClock
) -> None:
    bob.sign_in("13800138001")
    bob.send("/me/name", name="Bob-who-was-here")
    bob.claim(brand.path(1))
    clock.advance(minutes=1)
    alice.sign_in("13800138000")
    alice.claim(brand.path(2))
    link = alice.own_link
    bob.get(link)
    charlie.get(link)
    dora = Reader(app)
    dora.get(link)
    dora.sign_in("13800138003")
    dora.send("/me/name", name="Dora")
    alice.get("/me")
    said = words(alice)
    assert "1 person has opened a link and not signed in." in said
    assert "1 person has signed in and not claimed a package yet." in said
    assert "1 person had claimed a package before your link came." in said
    assert "Bob-who" not in said
    assert "Dora" not in said


def test_nothing_personal_of_friends_is_on_it(brand: Brand, alice: Reader, bob: Reader) -> None:
    alice.sign_in("13800138000")
    alice.claim(brand.path(1))
    bob.get(alice.own_link)
    bob.sign_in("13900139001")
    bob.claim(brand.path(2))
    for path in ("/me", "/me/friends"):
        alice.get(path)
        assert "A friend without a name" in words(alice)
        for part in ("13900139001", "9001", "+86****9001"):
            assert part not in words(alice)


def test_longer_lists_have_pages_of_their_own(
    brand: Brand, alice: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice.sign_in("13800138000")
    for index in range(7):
        alice.claim(brand.path(index))
    alice.get("/me")
    assert alice.page.count("Cold Brew Tea") == 5
    assert 'href="/me/packages"' in alice.page
    assert 'href="/me/rewards"' in alice.page
    assert 'href="/me/friends"' not in alice.page
    monkeypatch.setattr(me, "SHOWN_ALONE", 4)
    alice.get("/me/packages")
    assert alice.page.count("Cold Brew Tea") == 4
    assert "/me/packages?offset=4" in alice.page
    alice.get("/me/packages?offset=4")
    assert alice.page.count("Cold Brew Tea") == 3
    assert "offset=" not in alice.page.partition("</main>")[0]
    for odd in ("x", "-1", "9" * 30, "²"):
        assert alice.get(f"/me/packages?offset={odd}").status_code == 200
    assert alice.get("/me/packages?offset=999999999").status_code == 200
    assert "There is nothing more." in words(alice)
    assert alice.get("/me/secrets").status_code == 404


def test_orders_say_what_they_brought_and_why_not_more(
    deployment: Deployment, alice: Reader
) -> None:
    percent = {"basis_points": 500, "cap": 3000}
    make_brand(deployment, rules=[{"when": "order", "for": "person", "amount": percent}])
    alice.sign_in("13800138000")
    alice.get("/me")
    assert "Ordered by you" not in words(alice)
    for number, currency in (("A-1", "CNY"), ("A-2", "SGD"), ("A-3", "CNY")):
        sent = {"external_id": number, "phone": "13800138000", "amount": 10_000}
        order = OrderIn.model_validate({**sent, "currency": currency})
        actions.place_order(deployment, order)
    refund = RefundIn(external_id="R", amount=2_500)
    actions.refund_order(deployment, "A-1", refund)
    alice.get("/me")
    said = words(alice)
    back = "It brought you 375 points. CN¥25.00 was refunded, and its share taken back."
    assert f"Order A-1 2 March 2026 {back}" in said
    assert "Order A-2 2 March 2026 It brought nothing: no campaign covered it. SGD100.00" in said
    assert "It brought you 500 points." in said
    alice.get("/me/orders")
    assert words(alice).count("Order A-") == 3


def test_lists_are_for_whoever_is_signed_in(brand: Brand, alice: Reader) -> None:
    answer = alice.get("/me/friends")
    assert (answer.status_code, answer.location) == (302, "/sign-in?next=/me")


def test_a_session_older_than_the_database_is_signed_out(
    deployment: Deployment, alice: Reader
) -> None:
    alice.sign_in("13800138000")
    with alice._client.session_transaction() as session:
        session["customer"] = 4711
    assert alice.get("/me").location == "/sign-in"


@pytest.mark.parametrize("lang", ["zh-Hans", "en"])
def test_a_full_page_is_small(brand: Brand, app: Flask, lang: str) -> None:
    alice = Reader(app, lang=lang)
    alice.sign_in("13800138000")
    for index in range(6):
        alice.claim(brand.path(index))
    link = alice.own_link
    for number in range(6):
        friend = Reader(app)
        friend.get(link)
        friend.sign_in(f"1390013900{number}")
        friend.send("/me/name", name=f"{number}" + "名" * 39)
        friend.claim(brand.path(10 + number))
    page = alice.get("/me")
    parts = re.findall(r'(?:src|href)="(/static/[^"]+)"', page.text)
    weight = len(page.data) + sum(len(alice.get(part).data) for part in parts)
    assert weight <= WIRE_BYTES_MAX, f"it weighs {weight} bytes"
