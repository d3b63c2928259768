"""People of a segment, paged by worth."""

import pytest

from referral.reports import segments as report
from referral.reports.segments import People, Place
from referral.segments import Conditions
from tests.cast import Brand, Person
from tests.reports.conftest import read

ALL = Conditions.model_validate({"purchases_least": 1})


def page(brand: Brand, after: Place | None = None, limit: int = 25) -> People:
    d = brand.deployment
    return read(
        brand,
        lambda tx: report.people(tx, d.keys, ALL, d.clock.now(), after=after, limit=limit),
    )


def test_those_worth_most_come_first_and_all_of_them_once(
    brand: Brand, crowd: list[Person]
) -> None:
    numbers: list[int] = []
    after: Place | None = None
    while True:
        found = page(brand, after, limit=2)
        numbers += [each.value.customer_id for each in found.rows]
        if found.next is None:
            break
        after = Place.read(str(found.next))
        assert after == found.next
    others = [crowd[n].customer for n in (6, 5, 4, 3, 1, 0)]
    assert numbers == [crowd[2].customer, *sorted(others, reverse=True)]


@pytest.mark.parametrize("text", ["", "1", "1.x", "-1.2", f"{10**19}.1"])
def test_what_is_no_place_is_the_beginning(text: str) -> None:
    assert Place.read(text) is None
