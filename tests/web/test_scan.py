"""The pages of a code: what they say to whom, the two labels of a package, and wrong codes."""

from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
import sqlalchemy as sa
from flask import Flask

from referral import actions, batches
from referral.catalog import Product
from referral.clock import HeldClock
from referral.codes import ALPHABET, Label, Labels
from referral.deployment import Deployment
from referral.flags import CodeFlag
from referral.gs1.target import Target
from referral.guessing import NEW_DEVICES
from referral.ranges import RangeState
from tests.cast import ON_SALE, Brand, open_brand
from tests.readers import Reader
from tests.statements import statements


@pytest.fixture
def brand(deployment: Deployment) -> Brand:
    return open_brand(deployment)


@pytest.fixture
def pair(deployment: Deployment) -> Brand:
    """A brand whose packages have a code outside and one under the cap."""
    return open_brand(deployment, labels=Labels.pair)


def text_of(brand: Brand, index: int, label: Label = Label.inner) -> str:
    return brand.deployment.codes.encode(brand.batch, index, label).text


def path_of(brand: Brand, index: int, label: Label = Label.inner) -> str:
    return f"/01/{brand.product.gtin}/21/{text_of(brand, index, label)}"


def assign(brand: Brand, **terms: Any) -> None:
    actions.assign_range(brand.deployment, brand.batch.id, terms, by="tests")


def set_state(brand: Brand, state: RangeState) -> None:
    actions.set_range(brand.deployment, brand.batch.id, state, start=0, end=10, by="tests")


def flagged(brand: Brand) -> set[tuple[int, str]]:
    with brand.deployment.db.read() as tx:
        return {(flag.index, flag.kind) for flag in tx.scalars(sa.select(CodeFlag))}


def test_a_product_on_sale_from_a_day_says_which(
    brand: Brand, alice: Reader, clock: HeldClock
) -> None:
    assign(brand, sale_from=clock.now() + timedelta(days=2))
    alice.get(path_of(brand, 1))
    assert alice.heading == "Not on sale yet."
    assert "It goes on sale on 4 March 2026" in alice.page
    assert "/claim" not in alice.page
    assert flagged(brand) == {(1, "not_on_sale")}


def test_a_product_past_its_date_says_so_and_cannot_be_claimed(
    brand: Brand, alice: Reader, clock: HeldClock
) -> None:
    alice.sign_in("13800138000")
    alice.get(path_of(brand, 1))
    assign(brand, lot="L7", expires_on=clock.now().date() - timedelta(days=1))
    answer = alice.send(f"{path_of(brand, 1)}/claim")
    assert answer.status_code == 409
    assert "time to claim this product is over" in alice.page
    alice.get(path_of(brand, 1))
    assert alice.heading == "Genuine, but past its date."
    assert "Best before 1 March 2026" in alice.page
    assert "Lot L7" in alice.page


def test_a_recall_says_what_to_do_and_where_to_read_on(brand: Brand, alice: Reader) -> None:
    set_state(brand, RangeState.recalled)
    actions.set_product_links(
        brand.deployment,
        brand.product.gtin,
        [
            Target("gs1:pip", "https://brand.example/tea", "Tea", is_default=True),
            Target("gs1:recallStatus", "https://brand.example/recall", "Recall"),
        ],
    )
    alice.get(path_of(brand, 1))
    assert alice.heading == "Please do not use this product."
    assert 'href="https://brand.example/recall"' in alice.page
    assert "/claim" not in alice.page


def test_the_code_outside_is_for_looking_and_cannot_be_claimed(pair: Brand, alice: Reader) -> None:
    alice.sign_in("13800138000")
    alice.get(path_of(pair, 1, Label.outer))
    assert "First verified just now" in alice.heading
    assert "The code to claim is inside the package" in alice.page
    assert "/claim" not in alice.page
    alice.get(path_of(pair, 1))
    assert "First verified just now" in alice.heading, "the label under the cap is another one"
    answer = alice.send(f"{path_of(pair, 1, Label.outer)}/claim")
    assert answer.status_code == 409
    assert "scan the code under the cap" in alice.page
    alice.claim(path_of(pair, 1))
    assert alice.heading == "It is yours"


def test_the_code_outside_says_that_the_package_was_claimed(
    pair: Brand, alice: Reader, bob: Reader
) -> None:
    alice.sign_in("13800138000")
    alice.claim(path_of(pair, 1))
    bob.get(path_of(pair, 1, Label.outer))
    assert "Claimed by someone" in bob.heading
    assert "Take another package" in bob.page


def compare(reader: Reader, outer: str, inner: str) -> int:
    reader.get("/c/compare")
    return reader.send("/c/compare", outer=outer, inner=inner).status_code


def test_labels_of_one_package_belong_together(pair: Brand, alice: Reader) -> None:
    alice.get(path_of(pair, 1))
    assert f"/c/compare?inner={text_of(pair, 1)}" in alice.page
    assert compare(alice, text_of(pair, 1, Label.outer).lower(), text_of(pair, 1)) == 200
    assert alice.heading == "They belong together."
    assert path_of(pair, 1) in alice.page
    assert flagged(pair) == set()


def test_labels_of_two_packages_do_not_match_and_are_flagged(pair: Brand, alice: Reader) -> None:
    assert compare(alice, text_of(pair, 1, Label.outer), text_of(pair, 2)) == 200
    assert alice.heading == "The labels do not match."
    assert flagged(pair) == {(1, "labels_differ"), (2, "labels_differ")}


def test_what_cannot_be_compared_is_said_beside_its_field(pair: Brand, alice: Reader) -> None:
    for outer, inner, said in [
        ("ABC", text_of(pair, 1), "does not look like one of our codes"),
        (text_of(pair, 1, Label.outer), "0" * 16, "do not know this code"),
        (text_of(pair, 1), text_of(pair, 1), "belongs in the other field"),
        ("", "", "does not look like one of our codes"),
    ]:
        assert compare(alice, outer, inner) == 422
        assert said in alice.page
    assert flagged(pair) == set()


def test_a_package_with_one_label_offers_no_comparison(brand: Brand, alice: Reader) -> None:
    alice.get(path_of(brand, 1))
    assert "/c/compare" not in alice.page


def test_a_script_that_keeps_no_cookie_is_no_crowd_of_devices(brand: Brand, app: Flask) -> None:
    for _ in range(NEW_DEVICES.times + 5):
        Reader(app).get(path_of(brand, 1))
    after = Reader(app)
    after.get(path_of(brand, 1))
    assert f"seen by {NEW_DEVICES.times} other devices" in after.page
    other = Reader(app)
    other.get(path_of(brand, 2))
    assert "First verified just now" in other.heading
    other.get(path_of(brand, 2))
    assert "on this device only" in other.page


@pytest.mark.parametrize("around", ["{}", "{}。", "这是真的吗？{} 看看", "{}?lang=en#top", "{}."])
def test_a_whole_address_may_be_pasted(brand: Brand, alice: Reader, around: str) -> None:
    pasted = around.format(f"https://a-rather-long-name.brand.example{path_of(brand, 1)}")
    answer = alice.get(f"/c?{urlencode({'code': pasted})}")
    assert (answer.status_code, answer.location) == (302, path_of(brand, 1))


def test_a_pasted_address_of_no_code_of_ours_is_shown_again(brand: Brand, alice: Reader) -> None:
    pasted = f"https://a-rather-long-name.brand.example/01/{brand.product.gtin}/21/{'7' * 16}"
    assert alice.get(f"/c?{urlencode({'code': pasted})}").status_code == 404
    assert f'value="{pasted}"' in alice.page


def test_pasted_addresses_can_be_compared(pair: Brand, alice: Reader) -> None:
    labels = (Label.outer, Label.inner)
    outer, inner = (f"https://brand.example{path_of(pair, 1, label)}。" for label in labels)
    assert compare(alice, outer, inner) == 200
    assert alice.heading == "They belong together."


# Wrong codes


def test_an_unknown_code_costs_no_query(
    brand: Brand, app: Flask, alice: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "DIRECTORY_SECONDS_MAX", 1e9)
    alice.get(path_of(brand, 1))
    genuine = text_of(brand, 1)
    # Near misses keep the tag, which leads them into the batch; a few others lead anywhere.
    near = [genuine[:7] + letter + genuine[8:] for letter in ALPHABET if letter != genuine[7]]
    with statements(brand.deployment.db) as asked:
        for text in [*near[:5], "7" * 16, "ZZZZZZZZZZZZZZZ0"]:
            assert alice.get(f"/01/{brand.product.gtin}/21/{text}").status_code == 404
            assert alice.get(f"/c?code={text}").status_code == 404
    assert asked == []


def test_every_wrong_code_gets_the_same_answer(brand: Brand, app: Flask) -> None:
    other = open_other_product(brand)
    genuine = text_of(brand, 1)
    pages = set()
    for gtin, text in [
        (brand.product.gtin, "7" * 16),
        (brand.product.gtin, genuine[:15] + ("0" if genuine[15] != "0" else "1")),
        (other.gtin, "7" * 16),
    ]:
        reader = Reader(app)
        answer = reader.get(f"/01/{gtin}/21/{text}")
        assert answer.status_code == 404
        pages.add(reader.page.replace(text, "").replace(gtin, ""))
    assert len({without_tokens(page) for page in pages}) == 1


def open_other_product(brand: Brand) -> Product:
    return actions.add_product(
        brand.deployment, gtin="06901234567908", name="Other", price=2000, currency="CNY"
    )


def without_tokens(page: str) -> str:
    """A page without what differs from request to request."""
    lines = [line for line in page.splitlines() if "nonce" not in line and "csrf" not in line]
    return "\n".join(line for line in lines if "request" not in line.lower())


def test_a_code_of_a_batch_that_is_not_on_sale_is_told_from_an_unknown_one(
    brand: Brand, alice: Reader
) -> None:
    alice.get(path_of(brand, ON_SALE))
    assert alice.heading == "Not on sale yet."
