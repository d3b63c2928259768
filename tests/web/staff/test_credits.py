"""Credits by hand in the console: the form, the second member, and what the customer reads."""

import re
from dataclasses import replace

import pytest
from flask import Flask

from referral.config import Config
from referral.staff import Role
from tests.readers import Reader
from tests.rewarded import give, held
from tests.web.conftest import Brand
from tests.web.staff.conftest import add_member, sign_in, text


@pytest.fixture
def config(config: Config) -> Config:
    return replace(config, credit_limit=100, credit_limit_day=250)


@pytest.fixture
def sam(app: Flask, brand: Brand, alice: Reader) -> Reader:
    """He may credit; Alice is customer 1."""
    alice.sign_in("13800138000")
    add_member(brand.deployment, "sam", Role.support)
    return sign_in(Reader(app), "sam")


@pytest.fixture
def mia(app: Flask, brand: Brand) -> Reader:
    """She may approve, and not credit."""
    add_member(brand.deployment, "mia", Role.marketer)
    return sign_in(Reader(app), "mia")


def credit(reader: Reader, amount: str, **fields: str) -> int:
    reader.get("/staff/credits?customer=1")
    key = re.search(r'name="key" value="([^"]+)"', reader.page)
    assert key
    sent = {
        "key": key[1],
        "way": "give",
        "customer": "1",
        "amount": amount,
        "campaign": "1",
        "reason": "late parcel",
        "told": "Sorry for the wait",
    }
    return reader.send("/staff/credits", **{**sent, **fields}).status_code


def test_a_small_credit_is_done_and_the_customer_reads_it(
    brand: Brand, sam: Reader, alice: Reader
) -> None:
    assert credit(sam, "100") == 303
    sam.get("/staff/credits")
    said = text(sam)
    assert "Done." in said
    assert "late parcel" in said
    assert held(brand.deployment, 1) == 100
    alice.get("/me")
    assert "From our team, with thanks" in text(alice)
    assert "Sorry for the wait" in text(alice)
    assert "late parcel" not in alice.page


def test_over_the_limit_another_member_approves(brand: Brand, sam: Reader, mia: Reader) -> None:
    assert credit(sam, "101") == 303
    sam.get("/staff/credits")
    assert "This is over your limit: it waits for a colleague." in text(sam)
    assert "/approve" not in sam.page
    assert sam.send("/staff/credits/1/approve").status_code == 403
    mia.get("/staff/credits")
    assert "/approve" in mia.page
    assert 'name="amount"' not in mia.page, "she does not credit"
    assert held(brand.deployment, 1) == 0
    assert mia.send("/staff/credits/1/approve").status_code == 303
    assert held(brand.deployment, 1) == 101
    mia.get("/staff/credits")
    assert "Approved and credited." in text(mia)
    assert "mia@brand.example" in text(mia)
    assert mia.send("/staff/credits/1/approve").status_code == 409


def test_it_is_refused_with_a_word_or_withdrawn(brand: Brand, sam: Reader, mia: Reader) -> None:
    for amount in ("101", "102"):
        credit(sam, amount)
    mia.get("/staff/credits")
    assert mia.send("/staff/credits/1/refuse", word="").status_code == 422
    assert "Please say why you refuse it." in text(mia)
    assert mia.send("/staff/credits/1/refuse", word="ask the carrier").status_code == 303
    sam.get("/staff/credits")
    assert "ask the carrier" in text(sam)
    assert sam.send("/staff/credits/2/withdraw").status_code == 303
    sam.get("/staff/credits")
    assert "Withdrawn" in text(sam)
    assert held(brand.deployment, 1) == 0


def test_points_taken_back_are_shown_with_kind_words(
    brand: Brand, sam: Reader, alice: Reader
) -> None:
    give(brand, 1, 50)
    assert credit(sam, "51", way="take") == 422
    assert "The customer does not have so many points." in text(sam)
    assert 'value="51"' in sam.page, "what was typed is kept"
    assert credit(sam, "20", way="take", told="") == 303
    alice.get("/me")
    assert "Points put right" in text(alice)
    assert "Put right by our team." in text(alice)
    assert "-20" in text(alice) or "−20" in text(alice)
    assert alice.get("/me/corrections").status_code == 200


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"amount": "0"}, "Please enter a whole number from 1"),
        ({"amount": "many"}, "Please enter a whole number from 1"),
        ({"reason": " "}, "Please fill this in."),
        ({"customer": "999"}, "We do not know this customer."),
        ({"campaign": "999"}, "Nothing was saved yet."),
        ({"way": "steal"}, "Please choose one of these."),
        ({"told": "x" * 121}, "at most 120 fit"),
        ({"amount": "1000000"}, "The budget does not have so many points left."),
    ],
)
def test_what_is_wrong_is_said_beside_its_field(
    brand: Brand, sam: Reader, fields: dict[str, str], said: str
) -> None:
    assert credit(sam, fields.pop("amount", "1"), **fields) == 422
    assert said in text(sam)
    assert held(brand.deployment, 1) == 0


def test_the_same_form_twice_is_one_credit(brand: Brand, sam: Reader) -> None:
    for _ in range(2):
        assert credit(sam, "10", key="a-key-that-is-the-same") == 303
    assert held(brand.deployment, 1) == 10


def test_a_budget_that_ran_out_meanwhile_is_said_and_it_waits_on(
    brand: Brand, sam: Reader, mia: Reader
) -> None:
    credit(sam, "100000")
    credit(sam, "1")
    mia.get("/staff/credits")
    assert mia.send("/staff/credits/1/approve").status_code == 409
    assert "The budget does not have so many points left." in text(mia)
    assert "/staff/credits/1/approve" in mia.page


def test_it_is_for_those_who_may(brand: Brand, app: Flask, analyst: Reader) -> None:
    assert analyst.get("/staff/credits").status_code == 403
    analyst.get("/staff/money")
    assert "Credits by hand" not in text(analyst)
    assert Reader(app).get("/staff/credits").status_code == 303


def test_a_customers_page_leads_to_the_form(brand: Brand, sam: Reader, mia: Reader) -> None:
    sam.get("/staff/customers/1")
    assert 'href="/staff/credits?customer=1#new"' in sam.page
    sam.get("/staff/credits?customer=1")
    assert 'value="1"' in sam.page
    mia.get("/staff/customers/1")
    assert "/staff/credits" not in mia.page
