"""The catalogue: products, by GTINs whose check digit is right."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from referral import actions, catalog
from referral.catalog import ProductExists, UnknownProduct
from referral.deployment import Deployment
from referral.gs1.gtin import BadGTIN, gtin14
from tests.cast import GTIN, OTHER_GTIN, add_product


@pytest.mark.parametrize(
    "written, kept",
    [
        ("06901234567892", "06901234567892"),
        ("6901234567892", "06901234567892"),
        ("036000291452", "00036000291452"),
        ("96385074", "00000096385074"),
        ("10614141000415", "10614141000415"),
    ],
)
def test_every_length_of_gtin_is_kept_as_14_digits(written: str, kept: str) -> None:
    assert gtin14(written) == kept


@pytest.mark.parametrize(
    "written",
    [
        "",
        "0",
        "6901234567893",
        "690123456789",
        "069012345678920",
        "６９０１２３４５６７８９２",
        "690123456789X",
        "6901234567892\n",
        " 6901234567892",
        "69012345-67892",
        "\0" * 13,
        "9" * 4000,
    ],
    ids=lambda written: ascii(written[:16]),
)
def test_it_rejects_what_is_no_gtin(written: str) -> None:
    with pytest.raises(BadGTIN):
        gtin14(written)


@given(st.integers(0, 13), st.integers(1, 9))
def test_it_rejects_any_wrong_digit(place: int, shift: int) -> None:
    digit = str((int(GTIN[place]) + shift) % 10)
    with pytest.raises(BadGTIN):
        gtin14(GTIN[:place] + digit + GTIN[place + 1 :])


def test_a_product_is_found_by_every_way_of_writing_its_gtin(deployment: Deployment) -> None:
    made = add_product(deployment, "6901234567892")
    assert made.gtin == GTIN
    with deployment.db.read() as tx:
        assert catalog.product_by_gtin(tx, "6901234567892").id == made.id
        assert catalog.product_by_gtin(tx, GTIN).id == made.id


def test_it_rejects_a_product_that_is_there(deployment: Deployment) -> None:
    add_product(deployment)
    with pytest.raises(ProductExists) as refused:
        actions.add_product(deployment, gtin="6901234567892", name="Other", price=1, currency="CNY")
    assert refused.value.details == {"gtin": GTIN}
    with deployment.db.read() as tx:
        assert catalog.product_by_gtin(tx, GTIN).name == "Cold Brew Tea"


def test_it_rejects_products_nobody_made(deployment: Deployment) -> None:
    with deployment.db.read() as tx:
        with pytest.raises(UnknownProduct):
            catalog.product_by_gtin(tx, GTIN)
        with pytest.raises(BadGTIN):
            catalog.product_by_gtin(tx, "06901234567893")


def test_prices_are_those_of_the_products_named_or_of_all(deployment: Deployment) -> None:
    add_product(deployment, price=2000)
    add_product(deployment, OTHER_GTIN, price=900)
    with deployment.db.read() as tx:
        assert sorted(catalog.prices(tx, [])) == [900, 2000]
        assert catalog.prices(tx, [GTIN]) == [2000]
        assert catalog.prices(tx, ["00000096385074"]) == []
        assert [p.gtin for p in catalog.products_in(tx, [OTHER_GTIN])] == [OTHER_GTIN]
        assert {p.gtin for p in catalog.products_in(tx, [])} == {GTIN, OTHER_GTIN}
