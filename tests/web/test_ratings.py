"""Rating a package: one tap, by who claimed it, changed at will, without a reward."""

import re

import pytest
from flask import Flask
from sqlalchemy import select

from referral import actions, ratings
from referral.ratings import COMMENT_LENGTH_MAX, Rating
from referral.reports import customers
from referral.web import complaints
from tests.readers import Reader
from tests.web.conftest import Brand
from tests.web.staff.conftest import text
from tests.web.test_pages import WIRE_BYTES_MAX


def stored(brand: Brand) -> list[tuple[int, str | None]]:
    """Scores and comments that are kept."""
    d = brand.deployment
    with d.db.read() as tx:
        found = tx.scalars(select(Rating).order_by(Rating.claim_id)).all()
        return [(each.score, ratings.comment_of(d.keys, each)) for each in found]


def action_on(reader: Reader) -> str:
    found = re.search(r'action="(/me/claims/\d+/rating)"', reader.page)
    assert found, reader.page
    return found[1]


@pytest.fixture
def claimed(brand: Brand, alice: Reader) -> str:
    """Alice has claimed a package; where it is rated."""
    alice.sign_in("13800138000")
    alice.claim(brand.path(1))
    return action_on(alice)


def test_one_tap_on_the_claimed_page_rates_and_another_changes_it(
    brand: Brand, alice: Reader, claimed: str
) -> None:
    before = _points(brand)
    answer = alice.send(claimed, score="4")
    assert answer.status_code == 303
    alice.get(answer.location)
    assert alice.heading == "Thank you"
    assert "You said: Good" in text(alice)
    alice.send(claimed, score="2")
    assert stored(brand) == [(2, None)]
    assert _points(brand) == before, "a rating brings nothing"
    alice.get("/me")
    assert "2 of 5" in text(alice)
    assert claimed in alice.page


def _points(brand: Brand) -> int:
    with brand.deployment.db.read() as tx:
        return customers.balances(tx, 1)[0].available


def test_a_comment_is_kept_changed_and_taken_back(
    brand: Brand, alice: Reader, claimed: str
) -> None:
    alice.send(claimed, score="5")
    alice.get(claimed)
    assert alice.send(claimed, comment=" Fresh,\r\n\r\n\r\nand <b>cold</b> ").status_code == 303
    assert stored(brand) == [(5, "Fresh,\n\nand <b>cold</b>")]
    alice.get(claimed)
    assert "and &lt;b&gt;cold" in alice.page
    alice.send(claimed, score="3")
    assert stored(brand) == [(3, "Fresh,\n\nand <b>cold</b>")], "a tap leaves the words"
    alice.get(claimed)
    alice.send(claimed, comment="")
    assert stored(brand) == [(3, None)]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"score": "6"}, "five faces"),
        ({"score": "0"}, "five faces"),
        ({"score": "４"}, "five faces"),
        ({"comment": "before any tap"}, "five faces"),
        ({}, "five faces"),
        ({"score": "4", "comment": "x" * (COMMENT_LENGTH_MAX + 1)}, "too long"),
    ],
)
def test_what_is_no_rating_is_refused(
    brand: Brand, alice: Reader, claimed: str, fields: dict[str, str], words: str
) -> None:
    assert alice.send(claimed, **fields).status_code == 422
    assert words in text(alice)
    assert stored(brand) == []


def test_a_comment_that_is_too_long_is_not_lost(alice: Reader, claimed: str) -> None:
    alice.send(claimed, score="4")
    alice.get(claimed)
    typed = "y" * (COMMENT_LENGTH_MAX + 1)
    assert alice.send(claimed, comment=typed).status_code == 422
    assert typed in alice.page


def test_only_who_claimed_it_rates_it(
    brand: Brand, alice: Reader, bob: Reader, claimed: str
) -> None:
    bob.get("/sign-in")
    assert bob.send(claimed, score="1").status_code == 303, "sent to sign in"
    bob.sign_in("bob@example.com")
    bob.get("/me")
    assert bob.send(claimed, score="1").status_code == 404
    assert bob.get(claimed).status_code == 404
    assert bob.get("/me/claims/9223372036854775807/rating").status_code == 404
    assert stored(brand) == []


def test_a_forged_rating_is_refused(brand: Brand, alice: Reader, claimed: str) -> None:
    assert alice.post(claimed, {"score": "1"}).status_code == 400
    assert stored(brand) == []


def test_so_many_changes_an_hour_and_no_more(alice: Reader, claimed: str) -> None:
    token = alice.form_token()
    answers = [
        alice.post(claimed, {"csrf_token": token, "score": str(1 + n % 5)}).status_code
        for n in range(61)
    ]
    assert answers == [303] * 60 + [429]


def test_a_low_rating_offers_to_report_the_problem(alice: Reader, claimed: str) -> None:
    alice.send(claimed, score="1")
    alice.get(claimed)
    assert "Report a problem with this package" in text(alice)
    assert "/me/complaints/new?code=" in alice.page


def test_a_rating_follows_its_claim_into_a_merged_page(
    brand: Brand, alice: Reader, bob: Reader, claimed: str
) -> None:
    alice.send(claimed, score="4")
    bob.sign_in("bob@example.com")
    actions.merge_customers(brand.deployment, 1, 2, keep=2, by="olga", reason="one person")
    bob.get(claimed)
    assert "You said: Good" in text(bob)
    bob.send(claimed, score="5")
    assert stored(brand) == [(5, None)]


def test_the_pages_stay_light(alice: Reader, claimed: str) -> None:
    for page in (claimed, "/me", "/me/complaints/new", "/me/complaints"):
        answer = alice.get(page)
        assert answer.status_code == 200
        assert len(answer.data) < WIRE_BYTES_MAX, page


def test_every_kind_of_complaint_has_words(app: Flask) -> None:
    with app.test_request_context("/"):
        assert set(complaints.kinds()) == set(complaints.Kind)
