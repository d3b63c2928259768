"""What the service keeps of packages: once each, and no range for two suppliers unasked."""

from collections.abc import Callable
from typing import Any

import pytest

from referral import actions, packages, ranges
from referral.codes import Label, Labels
from referral.deployment import Deployment
from referral.packages import GivenToAnother, PrintPackage
from referral.packages.order import Manifest, Printing
from referral.ranges import RangeState
from tests.cast import GTIN, ON_SALE, SIZE, Brand, open_brand

Record = Callable[..., Manifest]


@pytest.fixture
def brand(deployment: Deployment) -> Brand:
    return open_brand(deployment, labels=Labels.pair)


@pytest.fixture
def record(brand: Brand) -> Record:
    def run(package_id: str, *, again: bool = False, printed: bool = False, **changes: Any) -> Any:
        terms = {
            "id": package_id,
            "batch": brand.batch.id,
            "name": brand.batch.name,
            "gtin": GTIN,
            "label": Label.inner,
            "start": 0,
            "end": SIZE,
            "count": SIZE,
            "supplier": "Ada",
            "address": "https://B.EXAMPLE/",
            "sha256": "0" * 64,
            "bytes": 1,
            "qr": Printing(
                level="M",
                version=3,
                modules=29,
                quiet_zone_modules=4,
                module_mm_min=0.4,
                side_mm_min=14,
            ),
            "encryption": None,
            "files": (),
            "samples": (),
            "written_at": "",
        }
        manifest = Manifest(**terms | changes)
        actions.record_package(
            brand.deployment, manifest, again=again, mark_printed=printed, by="tests"
        )
        return manifest

    return run


def kept(brand: Brand) -> list[PrintPackage]:
    with brand.deployment.db.read() as tx:
        return list(packages.packages_of(tx, [brand.batch.id]))


def test_a_package_is_kept_once(brand: Brand, record: Record) -> None:
    manifest = record("A", start=5, end=9, count=4)
    record("A", start=5, end=9, count=4)
    (found,) = kept(brand)
    for name in ("id", "label", "start", "end", "count", "supplier", "sha256"):
        assert getattr(found, name) == getattr(manifest, name)
    assert (found.batch_id, found.by) == (brand.batch.id, "tests")
    assert found.at == brand.deployment.clock.now()
    with brand.deployment.db.read() as tx:
        assert packages.packages_of(tx, [brand.batch.id + 1]) == []
        assert packages.package_by_id(tx, "A") is not None
        assert packages.package_by_id(tx, "B") is None


@pytest.mark.parametrize("start, end", [(0, 11), (19, 30), (12, 13), (0, 1000), (10, 20)])
def test_another_supplier_does_not_get_codes_of_the_range(
    brand: Brand, record: Record, start: int, end: int
) -> None:
    record("A", start=10, end=20)
    with pytest.raises(GivenToAnother, match="Package A with 10 to 19 went to Ada; --again"):
        record("B", start=start, end=end, supplier="Ben")
    assert [package.id for package in kept(brand)] == ["A"]
    record("B", start=start, end=end, supplier="Ben", again=True)
    assert len(kept(brand)) == 2


@pytest.mark.parametrize(
    "changes",
    [
        {"supplier": "Ada"},
        {"supplier": None},
        {"supplier": "Ben", "start": 20},
        {"supplier": "Ben", "end": 10},
        {"supplier": "Ben", "label": Label.outer},
    ],
)
def test_other_ranges_and_labels_and_the_same_supplier_may_have_them(
    brand: Brand, record: Record, changes: dict[str, Any]
) -> None:
    record("A", start=10, end=20)
    record("B", **changes)
    assert len(kept(brand)) == 2


def test_what_went_to_nobody_may_go_to_a_supplier(brand: Brand, record: Record) -> None:
    record("A", supplier=None)
    record("B", supplier="Ben")
    assert len(kept(brand)) == 2


def test_the_range_is_marked_printed_with_the_record_and_once(brand: Brand, record: Record) -> None:
    record("A", start=ON_SALE - 10, end=SIZE, printed=True)
    with brand.deployment.db.read() as tx:
        states = [(span.end, span.state) for span in ranges.ranges(tx, brand.batch.id)]
    assert states == [(ON_SALE, RangeState.activated), (SIZE, RangeState.printed)]
    actions.set_range(brand.deployment, brand.batch.id, RangeState.voided, start=ON_SALE, by="x")
    record("A", start=ON_SALE - 10, end=SIZE, printed=True)
    with brand.deployment.db.read() as tx:
        assert ranges.ranges(tx, brand.batch.id)[-1].state == RangeState.voided


def test_nothing_is_marked_when_it_is_refused(brand: Brand, record: Record) -> None:
    record("A")
    with pytest.raises(GivenToAnother):
        record("B", supplier="Ben", printed=True)
    record("C")
    with brand.deployment.db.read() as tx:
        assert ranges.ranges(tx, brand.batch.id)[-1].state == RangeState.issued


def test_ids_are_short_and_do_not_come_twice() -> None:
    found = {packages.new_id() for _ in range(10_000)}
    assert len(found) == 10_000
    assert {len(each) for each in found} == {packages.ID_LENGTH}
