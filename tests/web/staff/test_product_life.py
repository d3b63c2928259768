"""What happened to a product's codes: all its batches together, and each."""

from tests.readers import Reader
from tests.web.conftest import Brand
from tests.web.staff.test_batch import scan, text

# The rest is asserted of a batch's page, which is made of the same parts.


def page_of(brand: Brand) -> str:
    return f"/staff/products/{brand.product.gtin}/life"


def test_it_adds_up_the_batches_and_maps_the_regions(brand: Brand, owner: Reader) -> None:
    for index in (1, 1, 2):
        scan(brand, index, "CN-GD")
    scan(brand, 3, "MY-14")
    scan(brand, 4, "FR")
    assert owner.get(page_of(brand)).status_code == 200
    page = text(owner)
    assert "The figures are of its 1 batch." in page
    assert "Guangdong 3 2 1" in page
    assert "1 scan elsewhere is not on the map." in page
    body = owner.page
    assert "Guangdong · Scans 3" in body
    assert "Malaysia · Scans 1" in body
    assert brand.batch.name in page


def test_a_product_without_a_batch_says_so(brand: Brand, owner: Reader) -> None:
    from referral import actions

    actions.add_product(
        brand.deployment, gtin="09506000134352", name="New tea", price=500, currency="CNY"
    )
    assert owner.get("/staff/products/09506000134352/life").status_code == 200
    assert "No batch yet." in text(owner)
