"""What a customer gets for her points: the catalogue, the button, and the voucher."""

import re
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from flask import Flask
from PIL import Image

from referral import actions
from referral.clock import HeldClock
from referral.deployment import Deployment
from referral.pictures import made_ready
from tests.cast import Brand, open_brand
from tests.photos import photo_file
from tests.readers import Reader
from tests.rewarded import add_item, add_store, give, held, owe, promised, stock
from tests.scanners import scan
from tests.web.test_pages import WIRE_BYTES_MAX

STATIC = Path(__file__).parents[2] / "static"
ALICE = 1


@pytest.fixture
def brand(deployment: Deployment) -> Brand:
    return open_brand(deployment)


@pytest.fixture
def alice(app: Flask, brand: Brand) -> Reader:
    """A customer with 250 points."""
    reader = Reader(app)
    reader.sign_in("13800138000")
    give(brand, ALICE, 250)
    return reader


def words(reader: Reader) -> str:
    body = reader.page.partition("<main")[2].partition("</main>")[0]
    return " ".join(re.sub(r"<[^>]+>", " ", body).split())


def fields(reader: Reader) -> dict[str, str]:
    """The hidden fields of the page's form."""
    return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]+)">', reader.page))


def drawn(page: str) -> Image.Image:
    """The page's QR code as a picture, as its path is drawn."""
    box = re.search(r'viewBox="-4 -4 (\d+) \1"', page)
    assert box
    side = int(box[1])
    picture = Image.new("1", (side, side), 1)
    for found in re.findall(r"M(\d+) (\d+)h(\d+)v(\d+)h-\d+z", page):
        x, y, wide, high = map(int, found)
        picture.paste(0, (x + 4, y + 4, x + 4 + wide, y + 4 + high))
    return picture.resize((side * 8, side * 8))


def redeem(reader: Reader, slug: str = "cup") -> str:
    """Press the button of an item; the path of what follows."""
    reader.get(f"/me/items/{slug}")
    answer = reader.post(f"/me/items/{slug}", fields(reader))
    assert answer.status_code == 303, words(reader)
    return urlsplit(answer.location).path


def test_the_catalogue_says_what_there_is_and_what_is_missing(
    deployment: Deployment, brand: Brand, alice: Reader, clock: HeldClock
) -> None:
    add_item(deployment, stock=3)
    add_item(deployment, slug="dear", titles={"en": "Tea table"}, price=1000)
    add_item(deployment, slug="gone", titles={"en": "Fan"}, stock=0)
    add_item(deployment, slug="prize", titles={"en": "Secret prize"}, price=None)
    add_item(deployment, slug="mug", titles={"en": "Mug"}, price=None)
    give(brand, ALICE, 1, won="mug")
    alice.get("/me/items")
    said = words(alice)
    for expected in (
        "250 points",
        "Thermos cup 3 left 100 points",
        "Tea table 750 more points needed 10 left 1,000 points",
        "Fan None left",
        "Mug 10 left Won",
    ):
        assert expected in said
    assert "Secret prize" not in said
    assert alice.get("/me/items/prize").status_code == 404
    alice.get("/me/items/dear")
    assert "<form" not in alice.page.partition("<main")[2]


def test_what_is_owed_is_said_and_is_missing_too(
    deployment: Deployment, brand: Brand, alice: Reader
) -> None:
    add_item(deployment, price=60)
    alice.get("/me")
    assert "You owe" not in words(alice)
    owe(brand, ALICE, 20)
    for path in ("/me", "/me/items"):
        alice.get(path)
        assert "You owe 20 points, taken back after you had spent it." in words(alice)
    assert "80 more points needed" in words(alice)
    alice.get("/me/items/cup")
    assert "You have 0 points Owed 20 points" in words(alice)
    assert "80 more points needed" in words(alice)


def test_who_owes_points_can_have_what_was_won(
    deployment: Deployment, brand: Brand, alice: Reader
) -> None:
    add_item(deployment, price=None)
    give(brand, ALICE, 1, won="cup")
    owe(brand, ALICE, 20)
    assert redeem(alice).startswith("/me/vouchers/")


def test_the_button_makes_a_voucher_once(deployment: Deployment, alice: Reader) -> None:
    add_item(deployment)
    alice.get("/me/items/cup")
    sent = fields(alice)
    first, again = (alice.post("/me/items/cup", sent).location for _ in range(2))
    assert first == again, "a double tap"
    assert (held(deployment, ALICE), promised(deployment)) == (150, 1)
    assert redeem(alice) != first, "the page opened anew is another request"
    assert held(deployment, ALICE) == 50


def test_a_press_without_the_pages_token_does_nothing(
    deployment: Deployment, alice: Reader
) -> None:
    add_item(deployment)
    assert alice.post("/me/items/cup", {"key": "k" * 20}).status_code == 400
    assert promised(deployment) == 0


def test_looking_changes_nothing(deployment: Deployment, alice: Reader) -> None:
    add_item(deployment)
    for path in ("/me/items", "/me/items/cup", "/me/vouchers"):
        assert alice.get(path).status_code == 200
    assert (held(deployment, ALICE), stock(deployment)) == (250, 10)


def test_what_is_refused_is_said_kindly(deployment: Deployment, alice: Reader) -> None:
    add_item(deployment, price=200, per_person=1)
    redeem(alice)
    alice.get("/me/items/cup")
    token = re.search(r'name="csrf_token" value="([^"]+)"', alice.get("/me").text)
    assert token
    answer = alice.post("/me/items/cup", {"csrf_token": token[1], "key": "another"})
    assert answer.status_code == 409
    assert "Nothing was taken from you." in words(alice)
    answer = alice.post("/me/items/cup", {"csrf_token": token[1], "price": "199"})
    assert (answer.status_code, "The price has changed." in words(alice)) == (409, True)
    assert alice.post("/me/items/none", {"csrf_token": token[1]}).status_code == 404
    assert held(deployment, ALICE) == 50


def test_the_voucher_shows_its_code_until_when_and_where(
    deployment: Deployment, alice: Reader
) -> None:
    add_store(deployment, "east")
    add_item(deployment, stores=["east"], voucher_days=10)
    alice.get(redeem(alice))
    assert alice.heading == "Thermos cup"
    assert re.search(r">[0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]{4}<", alice.page)
    assert "East Store" in words(alice)
    assert "12 Mar 2026" in words(alice)
    alice.get("/me/vouchers")
    assert "Thermos cup Good until 12 March 2026 Show it at the store" in words(alice)


def test_the_qr_code_leads_to_the_voucher(deployment: Deployment, alice: Reader) -> None:
    add_item(deployment)
    alice.get(redeem(alice))
    code = re.search(r"([0-9A-Z]{4})-([0-9A-Z]{4})-([0-9A-Z]{4})", alice.page)
    assert code
    assert scan(drawn(alice.page)) == {f"http://localhost/v/{''.join(code.groups())}"}


def test_a_voucher_that_is_over_shows_no_code(
    deployment: Deployment, alice: Reader, clock: HeldClock
) -> None:
    add_item(deployment, voucher_days=1)
    path = redeem(alice)
    clock.advance(days=1)
    alice.get(path)
    assert "comes back within a day" in words(alice)
    assert "<svg" not in alice.page.partition("<main")[2]
    actions.expire_vouchers(deployment)
    alice.get(path)
    assert "what you paid for it went back to you" in words(alice)
    assert held(deployment, ALICE) == 250


def test_nobody_sees_anothers_voucher(deployment: Deployment, alice: Reader, bob: Reader) -> None:
    add_item(deployment)
    path = redeem(alice)
    assert bob.get(path).status_code == 303
    bob.sign_in("bob@example.com")
    assert bob.get(path).status_code == 404
    assert bob.get("/me/vouchers/4711").status_code == 404


def test_my_page_leads_there_and_strangers_to_sign_in(
    deployment: Deployment, alice: Reader, bob: Reader
) -> None:
    alice.get("/me")
    assert "/me/items" in alice.page
    for path in ("/me/items", "/me/items/cup", "/me/vouchers"):
        assert "/sign-in?next=" in bob.get(path).location


@pytest.mark.parametrize("lang", ["en", "zh-CN"])
def test_the_pages_are_light(deployment: Deployment, app: Flask, brand: Brand, lang: str) -> None:
    reader = Reader(app, lang=lang)
    reader.sign_in("13800138000")
    give(brand, ALICE, 250)
    picture = actions.add_picture(deployment, made_ready(photo_file(480, 480))).sha256
    for number in range(10):
        add_item(deployment, slug=f"item-{number}", picture=picture)
    shell = sum((STATIC / name).stat().st_size for name in ("site.css", "icon.svg"))
    for path in ("/me/items", "/me/items/item-1", redeem(reader, "item-1"), "/me/vouchers"):
        page = reader.get(path).get_data()
        assert len(page) + shell <= WIRE_BYTES_MAX, path


def test_what_was_won_is_there_until_the_right_to_it_expires(
    deployment: Deployment, brand: Brand, alice: Reader, clock: HeldClock
) -> None:
    add_item(deployment, price=None, ends_at=clock.now() + timedelta(days=3))
    give(brand, ALICE, 1, won="cup", lasts=timedelta(days=40))
    until = (clock.now() + timedelta(days=40)).strftime("%b")
    clock.advance(days=4)
    alice.get("/me/items/cup")
    assert "Over since" not in words(alice)
    assert until in words(alice).partition("Until")[2][:40]
    assert redeem(alice).startswith("/me/vouchers/")
