"""Wrong codes on the pages: one answer whatever is wrong with them, and an end to guessing."""

import re
from dataclasses import replace

import pytest
import sqlalchemy as sa
from flask import Flask

from referral import guessing as guessing_module
from referral.codes import ALPHABET, CodeCodec, Label, Labels
from referral.crypto import KeyRing
from referral.misses import NONE, CodeMisses
from tests.readers import Reader
from tests.statements import statements
from tests.web.conftest import Brand

UNKNOWN_GTIN = "06901234567908"


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, times in (("BY_CUSTOMER", 3), ("BY_BLOCK", 8), ("BY_BATCH", 20)):
        pace = getattr(guessing_module, name)
        monkeypatch.setattr(guessing_module, name, replace(pace, times=times))


def other_letter(text: str, at: int) -> str:
    """`text` with another letter in one place."""
    letter = ALPHABET[(ALPHABET.index(text[at]) + 1) % len(ALPHABET)]
    return text[:at] + letter + text[at + 1 :]


def wrong_code(brand: Brand) -> str:
    return other_letter(brand.path(1), len(brand.path(1)) - 1)


def near_code(brand: Brand) -> str:
    """One whose index is in the batch: the mask comes from the tag, which is not touched."""
    return other_letter(brand.path(1), len(brand.path(1)) - 10)


def wrong_paths(brand: Brand) -> dict[str, str]:
    """Codes that are wrong for every reason there is."""
    gtin, codes = brand.product.gtin, brand.deployment.codes
    strange = CodeCodec(KeyRing(["quite-another-key-than-ours"]))
    entry = brand.deployment.directory.batch(brand.batch.id)
    theirs = replace(entry, key_id=KeyRing(["quite-another-key-than-ours"]).newest)
    outer = codes.encode(replace(entry, labels=Labels.pair), 1, Label.outer).text
    return {
        "no batch's": f"/01/{gtin}/21/0000000000000000",
        "altered tag": wrong_code(brand),
        "altered index": near_code(brand),
        "another brand's": f"/01/{gtin}/21/{strange.encode(theirs, 1).text}",
        "a label it does not have": f"/01/{gtin}/21/{outer}",
        "a product we do not have": f"/01/{UNKNOWN_GTIN}/21/0000000000000000",
    }


def plain(page: str) -> str:
    """A page without what is made anew for every answer, and without its own address."""
    page = re.sub(r'(nonce|name="csrf_token" value)="[^"]*"', "", page)
    return re.sub(r"/01/\d{14}/21/\w+", "", page)


def test_a_wrong_code_gets_one_answer_whatever_is_wrong(brand: Brand, app: Flask) -> None:
    told = {}
    for reason, path in wrong_paths(brand).items():
        answer = Reader(app).get(path)
        headers = {
            name: value
            for name, value in answer.headers.items()
            if name
            not in {"X-Request-ID", "Set-Cookie", "Content-Length", "Content-Security-Policy"}
        }
        told[reason] = (answer.status_code, plain(answer.text), headers)
    first = told["no batch's"]
    assert first[0] == 404
    assert [reason for reason, answer in told.items() if answer != first] == []


def test_a_wrong_code_costs_no_query(brand: Brand, alice: Reader) -> None:
    alice.get(brand.path(1))
    with statements(brand.deployment.db) as said:
        for path in wrong_paths(brand).values():
            assert alice.get(path).status_code == 404
        assert alice.get("/c?code=0000000000000000").status_code == 404
    assert said == []


def test_who_guesses_sees_no_hits_any_more_until_signed_in(brand: Brand, app: Flask) -> None:
    guesser, neighbour, alice = Reader(app), Reader(app), Reader(app)
    alice.sign_in("13800138000")
    for _ in range(8):
        assert guesser.get(near_code(brand)).status_code == 404
    for path in (brand.path(1), near_code(brand), "/c?code=0000000000000000", "/c?code=short"):
        answer = neighbour.get(path)
        assert answer.status_code == 429, path
        assert int(answer.headers["Retry-After"]) > 0
        assert "sign in" in neighbour.page
    assert alice.get(brand.path(1)).status_code == 200
    assert "genuine" in alice.page.lower()


def test_a_customer_who_guesses_waits(brand: Brand, alice: Reader, bob: Reader) -> None:
    for reader, phone in ((alice, "13800138000"), (bob, "13900139000")):
        reader.sign_in(phone)
    for _ in range(3):
        assert alice.get(near_code(brand)).status_code == 404
    assert alice.get(brand.path(1)).status_code == 429
    assert alice.post(f"{brand.path(1)}/claim").status_code != 303
    assert bob.get(brand.path(1)).status_code == 200


def test_a_batch_that_is_guessed_at_is_shown_to_the_signed_in(
    brand: Brand, alice: Reader, bob: Reader
) -> None:
    alice.sign_in("13800138000")
    for customer in range(100, 120):
        brand.deployment.guessing.wrong_code(customer, None, brand.batch.id)
    for path in (brand.path(1), near_code(brand), f"/01/{UNKNOWN_GTIN}/21/0000000000000000"):
        assert bob.get(path).status_code == 429, path
    assert alice.get(brand.path(1)).status_code == 200
    assert alice.get(near_code(brand)).status_code == 404


def test_mistyping_is_not_guessing(brand: Brand, alice: Reader) -> None:
    for _ in range(12):
        assert alice.get("/c?code=ABCD-1234").status_code == 400
    assert alice.get(brand.path(1)).status_code == 200
    assert brand.deployment.misses.flush() == 0


def test_misses_are_kept_by_product_and_batch(brand: Brand, app: Flask) -> None:
    reader = Reader(app)
    reader.get(near_code(brand))
    reader.get(f"/01/{brand.product.gtin}/21/0000000000000000")
    reader.get("/c?code=0000000000000000")
    assert brand.deployment.misses.flush() == 3
    columns = (CodeMisses.product_id, CodeMisses.batch_id, CodeMisses.count)
    with brand.deployment.db.read() as tx:
        kept = {tuple(row) for row in tx.execute(sa.select(*columns))}
    assert kept == {
        (brand.product.id, brand.batch.id, 1),
        (brand.product.id, NONE, 1),
        (NONE, NONE, 1),
    }


def test_a_refused_guess_is_counted_as_well(brand: Brand, app: Flask) -> None:
    """Another process may have let it come as far as that."""
    guesser = Reader(app)
    for _ in range(8):
        guesser.get(near_code(brand))
    brand.deployment.guessing._askers.ends = {}  # as if this process had not heard of it
    assert guesser.get(near_code(brand)).status_code == 429
    assert brand.deployment.misses.flush() == 9
