"""The page of moments: rates, times, ratings and comments, of all, of a product, of a batch."""

import json
import re

import pytest
from flask import Flask

from referral import actions, people
from referral.clock import HeldClock
from referral.deployment import Deployment
from referral.staff import Role
from referral.web.staff import moments as page
from tests.cast import OTHER_GTIN, Brand, Person, add_product, issue, open_brand
from tests.readers import Reader
from tests.rollups.test_moments import scan, share
from tests.statements import statements
from tests.web.staff.conftest import add_member, sign_in, text

PAGE = "/staff/moments"
STATEMENTS_MAX = 16


@pytest.fixture
def shop(deployment: Deployment, clock: HeldClock) -> Brand:
    """Alice scans, claims an hour later, shares a day later; Bob comes by that and claims. Five
    days later she buys again. A second product is there with one package that was scanned."""
    brand = open_brand(deployment)
    alice, bob = (Person(brand, people.email(f"{name}@example.com")) for name in ("alice", "bob"))
    scan(brand, alice, brand.batch, 1)
    clock.advance(minutes=60)
    claim = alice.claim(1).claim
    actions.rate(deployment, claim.id, alice.customer, score=5, comment="Fresh & <b>cold</b>")
    clock.advance(days=1)
    share(brand, alice)
    clock.advance(days=2)
    bob.open(alice.link())
    other = bob.claim(2).claim
    actions.rate(deployment, other.id, bob.customer, score=2)
    clock.advance(days=2)
    alice.claim(3)
    add_product(deployment, gtin=OTHER_GTIN)
    scan(brand, alice, issue(deployment, OTHER_GTIN, name="green"), 1)
    clock.advance(days=4)
    actions.tally(deployment)
    return brand


@pytest.fixture
def reader(app: Flask, shop: Brand) -> Reader:
    add_member(shop.deployment, "ann", Role.analyst)
    return sign_in(Reader(app), "ann")


def rows(reader: Reader) -> dict[str, str]:
    """The lines of the first table, by their moment."""
    table = reader.page.partition("<tbody>")[2].partition("</tbody>")[0]
    said = [" ".join(re.sub(r"<[^>]+>", " ", row).split()) for row in table.split("</tr>")]
    names = {moment.name: title for moment, title in page.TITLES.items()}
    return {name: next(row for row in said if row.startswith(names[name])) for name in names}


def test_it_says_how_many_went_on_and_how_soon(reader: Reader) -> None:
    assert reader.get(PAGE).status_code == 200
    found = rows(reader)
    assert "2 1 50.0%" in found["claim"]
    assert "1 hour" in found["claim"] or "1.0 hour" in found["claim"] or "hours" in found["claim"]
    assert "2 1 50.0%" in found["again"]
    assert "days" in found["again"]
    assert "2 1 50.0%" in found["share"]
    assert "1 1 100.0%" in found["friend"]


def test_it_says_the_same_of_a_product_and_of_a_batch(reader: Reader, shop: Brand) -> None:
    reader.get(f"{PAGE}?product={OTHER_GTIN}")
    assert "1 0 0.0%" in rows(reader)["claim"]
    assert "green" in text(reader)
    assert "No rating yet." in text(reader)
    reader.get(f"{PAGE}?batch={shop.batch.id}")
    assert "1 1 100.0%" in rows(reader)["claim"]
    assert f"{PAGE}?product={shop.product.gtin}" in reader.page, "the way up"


def test_ratings_and_comments_are_shown_as_they_are(reader: Reader) -> None:
    reader.get(PAGE)
    said = text(reader)
    assert "Mean 3.5 of 5" in said
    assert "Fresh & <b>cold</b>" in said
    assert "<b>cold" not in reader.page


def test_pictures_have_the_numbers_of_the_tables(reader: Reader) -> None:
    reader.get(PAGE)
    specs = re.findall(r'<script type="application/json">(.*?)</script>', reader.page, re.DOTALL)
    spread, months = map(json.loads, specs)
    assert {each["name"] for each in spread["series"]} == set(page.TITLES.values())
    for each in spread["series"]:
        assert len(each["values"]) == len(spread["x"])
        assert sum(each["values"]) == pytest.approx(1)
    assert [each["values"] for each in months["series"]] == [[0.5], [0.5], [0.5], [1.0]]


@pytest.mark.parametrize(
    "query",
    ["batch=999", "batch=x", "product=nonsense", "product=06901234567999", "batch=" + "9" * 40],
)
def test_what_there_is_not_leads_back_to_all(reader: Reader, query: str) -> None:
    answer = reader.get(f"{PAGE}?{query}")
    assert answer.status_code == 302
    assert answer.location == PAGE


def test_strange_places_in_lists_are_the_beginning(reader: Reader) -> None:
    for query in ("after=x&comments=x", "after=-1&comments=1-", "comments=" + "9" * 40):
        assert reader.get(f"{PAGE}?{query}").status_code == 200


def test_before_anything_is_counted_it_says_when(app: Flask, deployment: Deployment) -> None:
    add_member(deployment, "ann", Role.analyst)
    reader = sign_in(Reader(app), "ann")
    assert reader.get(PAGE).status_code == 200
    assert "Nothing is counted yet." in text(reader)
    assert "No comment yet." in text(reader)


def test_many_products_are_pages_and_take_the_same_statements(reader: Reader, shop: Brand) -> None:
    few = cost(reader, shop)
    for number in range(30):
        body = f"0690123457{number:03d}"
        check = -sum(int(d) * (3, 1)[n % 2] for n, d in enumerate(reversed(body))) % 10
        add_product(shop.deployment, gtin=f"{body}{check}")
    assert cost(reader, shop) <= few <= STATEMENTS_MAX
    assert reader.page.count(f'<td><a href="{PAGE}?product=') == page.LISTED
    following = re.search(r'href="(/staff/moments\?after=\d+)"', reader.page)
    assert following
    reader.get(following[1])
    assert reader.page.count(f'<td><a href="{PAGE}?product=') == 32 - page.LISTED


def cost(reader: Reader, shop: Brand) -> int:
    with statements(shop.deployment.db) as sent:
        assert reader.get(PAGE).status_code == 200
    return len(sent)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "—"),
        (30, "under a minute"),
        (90, "2 minutes"),
        (3600, "1 hour"),
        (5400, "1.5 hours"),
        (47 * 3600, "47 hours"),
        (2.5 * 86_400, "2.5 days"),
        (400 * 86_400, "400 days"),
    ],
)
def test_times_between_are_said_in_one_unit(app: Flask, seconds: float, words: str) -> None:
    with app.test_request_context("/", headers={"Accept-Language": "en"}):
        assert page.duration(seconds) == words
