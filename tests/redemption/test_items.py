"""Items: what they are called, and what the database refuses."""

import pytest
import sqlalchemy as sa
from pydantic import ValidationError
from sqlalchemy.exc import IntegrityError

from referral.deployment import Deployment
from referral.redemption import items
from referral.redemption.items import STOCK_MAX, Item, NotSoMuchStock
from tests.rewarded import add_item, item, stock

TITLES = {"zh-Hans": "保温杯", "en": "Cup"}


@pytest.mark.parametrize(
    ("titles", "language", "expected"),
    [
        (TITLES, "en", "Cup"),
        (TITLES, "zh-Hans", "保温杯"),
        (TITLES, "zh-Hant", "保温杯"),
        ({"en": "Cup"}, "zh-Hans", "Cup"),
        ({"zh-Hant": "保溫杯"}, "en", "保溫杯"),
    ],
)
def test_a_title_is_in_the_nearest_language(
    titles: dict[str, str], language: str, expected: str
) -> None:
    assert items.title_of(titles, language) == expected


def test_a_unit_names_its_item_and_others_name_none() -> None:
    assert items.slug_of(items.unit_of("cup")) == "cup"
    assert [items.slug_of(unit) for unit in ("points", "CNY", "coupon:spring")] == [None] * 3


@pytest.mark.parametrize(
    "changes",
    [
        {"price": 0},
        {"stock": STOCK_MAX + 1},
        {"titles": {}},
        {"slug": "Cup"},
        {"voucher_days": 0},
        {"per_person": 0},
        {"starts_at": "1999-01-01T00:00:00Z"},
    ],
)
def test_what_is_no_item_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        item(**changes)


def test_stock_goes_neither_below_nothing_nor_past_counting(deployment: Deployment) -> None:
    made = add_item(deployment, stock=2)

    def change(by: int) -> int:
        return deployment.db.transact(lambda tx: items.change_stock(tx, made.id, by))

    assert [change(by) for by in (-2, 5, -1)] == [0, 5, 4]
    for by in (-5, STOCK_MAX):
        with pytest.raises(NotSoMuchStock):
            change(by)
    assert stock(deployment) == 4
    for wrong in ({"stock": -1}, {"price": 0}, {"value": -1}):
        with pytest.raises(IntegrityError):
            deployment.db.transact(
                lambda tx, wrong=wrong: tx.execute(sa.update(Item).values(**wrong))
            )


def test_what_comes_back_fits_however_much_there_is(deployment: Deployment) -> None:
    made = add_item(deployment, stock=STOCK_MAX)
    deployment.db.transact(lambda tx: items.put_back(tx, made.id))
    assert stock(deployment) == STOCK_MAX + 1
    assert deployment.db.transact(lambda tx: items.change_stock(tx, made.id, -1)) == STOCK_MAX
    deployment.db.transact(lambda tx: items.put_back(tx, made.id))
    deployment.db.transact(lambda tx: items.put_back(tx, made.id))
    taken = deployment.db.transact(lambda tx: items.change_stock(tx, made.id, -1))
    assert taken == STOCK_MAX + 1, "one may be had, although there are more than can be put in"
