"""What the pages of the console cost: few statements, and no more of them for a larger brand."""

from itertools import chain

import pytest

from referral import actions, people
from referral.campaigns import Draft
from referral.complaints import Kind
from referral.links import Channel, visitor_name
from referral.orders import OrderIn
from referral.stores import StoreKind
from tests.cast import Person
from tests.readers import Reader
from tests.statements import statements
from tests.web.conftest import Brand
from tests.web.staff.pages import PAGES

MORE = 12
"""Of everything that is listed."""
MOST = 30
"""Statements of a page, with those that look who is there; of some pages more, see `RICH`."""
RICH = {
    "campaigns/spring": 58,
    "customers/1": 52,
    "customers/2": 52,
    "compare-campaigns?a=spring&b=coupons": 41,
    "batches/1": 39,
    "batches/1?period=all": 39,
}


def cost(reader: Reader, brand: Brand, path: str) -> int:
    reader.get(f"/staff/{path}")
    with statements(brand.deployment.db) as sent:
        reader.get(f"/staff/{path}")
    # When a session was used last is noted now and then.
    return sum("staff_sessions" not in statement for statement in sent)


def grow(brand: Brand) -> None:
    d = brand.deployment
    for n in range(MORE):
        friend = Person(brand, people.email(f"friend.{n}@example.com"))
        friend.open(actions.make_link(d, "spring", 1, Channel.copy))
        friend.claim(20 + n)
        said = actions.Said(Kind.taste, "Odd.", (brand.batch.id, 20 + n))
        actions.complain(d, friend.customer, said, key=f"{n}")
        order = {"external_id": f"more-{n}", "customer_id": friend.customer, "amount": 900}
        actions.place_order(d, OrderIn.model_validate({**order, "currency": "CNY"}))
        name = f"more-{n}"
        actions.add_store(d, slug=name, name=name, kind=StoreKind.store, region=None)
        actions.add_campaign(d, Draft.model_validate({"slug": name, "title": name, "budget": 10}))
    actions.refresh_values(d)
    actions.follow_tree(d)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_no_page_asks_more_often_for_a_larger_brand(full_brand: Brand, owner: Reader) -> None:
    alice = actions.make_link(full_brand.deployment, "spring", 1, Channel.copy).visitor
    paths = [path.format(alice=visitor_name(alice)) for path in chain(*PAGES.values())]
    before = {path: cost(owner, full_brand, path) for path in paths}
    grow(full_brand)
    after = {path: cost(owner, full_brand, path) for path in paths}
    assert {path: n for path, n in after.items() if n > before[path]} == {}
    assert {path: n for path, n in after.items() if n > RICH.get(path, MOST)} == {}
