"""Complaints in the console: who may do what with them, and what the lists say."""

import pytest
from flask import Flask

from referral import actions, complaints
from referral.actions import Said
from referral.clock import HeldClock
from referral.complaints import Kind, State
from referral.deployment import Deployment
from referral.staff import Role
from tests.cast import OTHER_GTIN, Brand, add_product, cast_of, issue, open_brand
from tests.readers import Reader
from tests.statements import statements
from tests.web.staff.conftest import add_member, sign_in, text

PAGE = "/staff/complaints"
STATEMENTS_MAX = 22


@pytest.fixture
def shop(deployment: Deployment) -> Brand:
    return open_brand(deployment)


@pytest.fixture
def support(app: Flask, deployment: Deployment) -> Reader:
    add_member(deployment, "sam", Role.support)
    return sign_in(Reader(app), "sam")


def complain(
    shop: Brand, customer: int, index: int | None = None, kind: Kind = Kind.damaged, words: str = ""
) -> int:
    package = None if index is None else (shop.batch.id, index)
    said = Said(kind, words or "The cap was open.", package)
    key = f"{customer}-{index}-{kind}-{words}"[:32]
    return actions.complain(shop.deployment, customer, said, key=key)


@pytest.fixture
def told(shop: Brand) -> str:
    """Alice's complaint about a package; where it is."""
    alice, *_ = cast_of(shop)
    alice.claim(1)
    return f"{PAGE}/{complain(shop, alice.customer, 1)}"


def state_of(shop: Brand, number: int = 1) -> str:
    with shop.deployment.db.read() as tx:
        return complaints.complaint_by_id(tx, number).state


def act(reader: Reader, path: str, **fields: str) -> int:
    reader.get(path)
    seen = reader.page.partition('name="seen" value="')[2].partition('"')[0]
    return reader.send(path, **{"seen": seen, **fields}).status_code


def test_support_takes_over_answers_closes_and_opens_again(
    shop: Brand, support: Reader, told: str
) -> None:
    support.get(PAGE)
    assert "Complaint 1" in text(support)
    assert act(support, told, what="take") == 303
    support.get(told)
    assert "It is yours now." in text(support)
    assert "Take it over" not in text(support)
    assert act(support, told, what="ask", text="Which shop?") == 303
    assert state_of(shop) == State.waiting
    assert act(support, told, what="answer", text="We send a new one.") == 303
    assert state_of(shop) == State.answered
    assert act(support, told, what="close") == 303
    assert state_of(shop) == State.closed
    assert act(support, told, what="reopen") == 303
    assert state_of(shop) == State.open
    assert act(support, told, what="settle", text="Done.") == 303
    assert state_of(shop) == State.closed
    support.get(told)
    said = text(support)
    for step in ("Opened", "Taken over", "Answered", "Closed", "Opened again"):
        assert step in said.partition("Steps")[2], step
    for words in ("Which shop?", "We send a new one.", "Done.", "The cap was open."):
        assert words in said


def test_who_answers_first_looks_after_it(shop: Brand, support: Reader, told: str) -> None:
    act(support, told, what="answer", text="Sorry!")
    support.get(told)
    assert "Handled by sam@brand.example" in text(support)


@pytest.mark.parametrize("words", ["", "  ", "x" * 1001])
def test_an_answer_needs_words(shop: Brand, support: Reader, told: str, words: str) -> None:
    assert act(support, told, what="answer", text=words) == 422
    assert "Please write something" in text(support)
    assert state_of(shop) == State.open


def test_two_who_act_at_once_are_told(
    shop: Brand, support: Reader, owner: Reader, told: str
) -> None:
    support.get(told)
    owner.get(told)
    assert act(owner, told, what="answer", text="First") == 303
    answer = support.send(told, seen="0", what="answer", text="Second")
    assert answer.status_code == 422
    assert "in the meantime" in text(support)
    assert "Second" in support.page, "what was typed is not lost"
    assert state_of(shop) == State.answered


@pytest.mark.parametrize("role", [Role.analyst, Role.marketer])
def test_others_read_and_do_nothing(app: Flask, shop: Brand, told: str, role: Role) -> None:
    add_member(shop.deployment, "rita", role)
    reader = sign_in(Reader(app), "rita")
    assert reader.get(told).status_code == 200
    assert "The cap was open." in text(reader)
    assert "Take it over" not in text(reader)
    assert act(reader, told, what="close", seen="0") == 403
    assert state_of(shop) == State.open


def test_a_forged_form_and_an_unknown_number_are_refused(support: Reader, told: str) -> None:
    assert support.post(told, {"what": "close", "seen": "0"}).status_code == 400
    assert support.get(f"{PAGE}/999").status_code == 404
    assert support.get(f"{PAGE}/9223372036854775808").status_code == 404
    assert act(support, told, what="dance") == 422


def test_the_list_is_sifted_by_state_owner_age_product_batch_and_kind(
    shop: Brand, support: Reader, told: str, clock: HeldClock
) -> None:
    clock.advance(days=4)
    sign_in(support, "sam")
    second = complain(shop, 1, 2, Kind.taste)
    third = complain(shop, 1, None, Kind.delivery)
    act(support, told, what="take")

    def shown(query: str) -> list[int]:
        assert support.get(f"{PAGE}?{query}").status_code == 200
        said = text(support)
        return [n for n in (1, second, third) if f"Complaint {n} " in said]

    assert shown("") == [1, second, third]
    assert shown("owner=me") == [1]
    assert shown("owner=none") == [second, third]
    assert shown("days=3") == [1]
    assert shown("kind=taste") == [second]
    assert shown(f"product={shop.product.gtin}") == [1, second]
    assert shown(f"batch={shop.batch.id}") == [1, second]
    assert shown("batch=999") == []
    assert shown("state=closed") == []
    assert shown("product=nonsense&days=x&kind=x&owner=x&after=x&state=x") == [1, second, third]
    assert "We do not know this product." in text(support)


def test_pages_follow_one_another_by_the_last_number(
    shop: Brand, support: Reader, told: str
) -> None:
    numbers = [1, *(complain(shop, 1, None, words=f"No. {n}") for n in range(60))]
    support.get(PAGE)
    first = [n for n in numbers if f"Complaint {n} " in text(support)]
    assert first == numbers[:50]
    support.get(f"{PAGE}?after={first[-1]}")
    assert [n for n in numbers if f"Complaint {n} " in text(support)] == numbers[50:]
    assert "Back to the beginning" in text(support)


def test_a_batch_with_more_complaints_than_others_stands_out(
    shop: Brand, support: Reader, told: str
) -> None:
    d = shop.deployment
    add_product(d, gtin=OTHER_GTIN)
    quiet = issue(d, shop.product.gtin, name="the quiet one")
    alice, bob, _charlie = cast_of(shop)
    for index in range(40):
        bob.claim(index, quiet)
    complain(shop, bob.customer, None)
    said = Said(Kind.taste, "Sour", (quiet.id, 1))
    actions.complain(d, bob.customer, said, key="sour")
    alice.sign_in()
    for index in range(2, 8):
        alice.claim(index)
    for index in range(2, 6):
        complain(shop, alice.customer, index)
    support.get(PAGE)
    table = text(support).partition("Batches with the most complaints")[2]
    assert table.count("More than other batches") == 1
    assert table.index("a batch") < table.index("More than other batches") < table.index("quiet")
    assert "Damaged 5" in table
    support.get(told)
    assert "5 complaints · 7 claims More than other batches" in text(support)


def test_the_list_takes_the_same_few_statements_however_many_there_are(
    shop: Brand, support: Reader, told: str
) -> None:
    def cost() -> int:
        with statements(shop.deployment.db) as sent:
            assert support.get(PAGE).status_code == 200
        return len(sent)

    few = cost()
    for index in range(2, 30):
        complain(shop, 1, index)
    assert cost() <= few <= STATEMENTS_MAX


def test_what_is_written_is_shown_as_it_is_and_as_nothing_else(
    shop: Brand, support: Reader, told: str
) -> None:
    complain(shop, 1, None, words="<script>alert(1)</script> & more")
    support.get(f"{PAGE}/2")
    assert "&lt;script&gt;" in support.page
    assert "<script>alert" not in support.page
