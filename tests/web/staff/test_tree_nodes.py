"""What the script of the pictures is given: short rows, each behind its parent."""

from typing import Any

import pytest
import sqlalchemy as sa

from referral import actions, people
from referral.db import Database
from referral.links import Channel, visitor_name
from tests.cast import Person
from tests.readers import Reader
from tests.statements import statements
from tests.web.conftest import Brand

STATEMENTS_MAX = 20


def got(reader: Reader, path: str) -> Any:
    answer = reader.get(path)
    assert answer.status_code == 200
    assert answer.content_type == "application/json"
    return answer.get_json()


def test_the_tree_is_given_from_anybody_down(spread_brand: Brand, analyst: Reader) -> None:
    found = got(analyst, "/staff/customers/1/tree/picture.json?nodes=50")
    assert found["unit"] == "CNY"
    assert found["root"] == 1
    assert found["path"] == [[1, "Alice"]]
    assert found["people"] == 2
    root, friend = found["nodes"]
    assert root[:3] == [1, None, "Alice"]
    assert root[4:] == [1, 1, 1, 1, 2_000]
    assert friend[:3] == [2, 1, "Customer 2"]
    assert isinstance(friend[3], int)
    assert friend[4:] == [0, 0, 0, 0, 0]
    below = got(analyst, "/staff/customers/2/tree/picture.json")
    assert below["path"] == [[1, "Alice"], [2, "Customer 2"]]
    assert [node[:2] for node in below["nodes"]] == [[2, None]]


def test_a_branch_comes_in_pages(brand: Brand, analyst: Reader) -> None:
    d = brand.deployment
    alice = Person(brand, people.phone("13800138000"))
    alice.sign_in()
    for number in range(5):
        friend = Person(brand, people.email(f"friend{number}@example.com"))
        friend.open(actions.make_link(d, "spring", alice.customer, Channel.copy))
        friend.claim(number)
    path, seen = "/staff/customers/1/tree/branch.json?limit=2", []
    found = got(analyst, path)
    while True:
        seen += [node[0] for node in found["nodes"]]
        assert all(node[1] == 1 for node in found["nodes"])
        if found["next"] is None:
            break
        found = got(analyst, f"{path}&offset_key={found['next']}")
    assert seen == [2, 3, 4, 5, 6]
    first = got(analyst, "/staff/customers/1/tree/picture.json?nodes=3")
    assert len(first["nodes"]) == 3
    assert first["nodes"][0][4] == 5, "it has more below than are shown"


def test_the_spread_is_given_with_its_anonymous_hops(spread_brand: Brand, analyst: Reader) -> None:
    found = got(analyst, "/staff/campaigns/spring/spread/picture.json")
    assert found["root"] is None
    assert found["people"] == 3
    alice, anonymous, charlie = found["nodes"]
    assert (alice[1], alice[2], alice[8]) == (None, "Alice", 0)
    assert (anonymous[1], anonymous[2], anonymous[8]) == (alice[0], None, 1)
    assert (charlie[1], charlie[2], charlie[8]) == (anonymous[0], "Customer 2", 2)
    assert alice[4:8] == [1, 2, 1, 1]
    part = got(analyst, f"/staff/campaigns/spring/spread/picture.json?root={anonymous[0]}")
    assert part["path"] == [[alice[0], "Alice"], [anonymous[0], None]]
    assert [node[0] for node in part["nodes"]] == [anonymous[0], charlie[0]]
    below = got(analyst, f"/staff/campaigns/spring/spread/branch.json?node={alice[0]}")
    assert [node[0] for node in below["nodes"]] == [anonymous[0]]
    assert below["next"] is None
    tops = got(analyst, "/staff/campaigns/spring/spread/branch.json")
    assert [node[0] for node in tops["nodes"]] == [alice[0]]


@pytest.mark.parametrize(
    "path",
    [
        "customers/999/tree/picture.json",
        "customers/999/tree/branch.json",
        "campaigns/nothing/spread/picture.json",
        "campaigns/spring/spread/picture.json?root=%00",
        "campaigns/spring/spread/branch.json?node=AAAAAAAAAAA",
    ],
)
def test_what_is_not_there_is_not_found(brand: Brand, analyst: Reader, path: str) -> None:
    assert analyst.get(f"/staff/{path}").status_code == 404


@pytest.mark.parametrize("odd", ["nodes=-1", "nodes=x", "nodes=0", "nodes=99999999999999999999"])
def test_odd_numbers_are_not_believed(spread_brand: Brand, analyst: Reader, odd: str) -> None:
    for path in ("customers/1/tree/picture.json", "campaigns/spring/spread/picture.json"):
        assert got(analyst, f"/staff/{path}?{odd}")["nodes"]
    assert got(analyst, "/staff/customers/1/tree/branch.json?limit=0&offset_key=²")["nodes"]


def test_whoever_was_merged_is_shown_as_the_kept_one(spread_brand: Brand, analyst: Reader) -> None:
    d = spread_brand.deployment
    kept, _ = actions.add_customer(d, [people.external("kept")], None)
    actions.merge_customers(d, 1, kept, keep=kept, by="tests", reason="one person")
    assert got(analyst, "/staff/customers/1/tree/picture.json")["root"] == kept


def test_a_picture_takes_as_many_statements_however_much_is_below(
    brand: Brand, analyst: Reader
) -> None:
    d = brand.deployment
    alice = Person(brand, people.phone("13800138000"))
    alice.sign_in()
    told = []
    for number in range(8):
        friend = Person(brand, people.email(f"friend{number}@example.com"))
        friend.open(actions.make_link(d, "spring", alice.customer, Channel.copy))
        friend.claim(number)
        if number in {1, 7}:
            told.append(cost(d.db, analyst, "/staff/customers/1/tree/picture.json"))
            told.append(cost(d.db, analyst, "/staff/tree/1?sort=value"))
    assert told[0] == told[2]
    assert told[1] == told[3]
    assert max(told) <= STATEMENTS_MAX


def cost(db: Database, reader: Reader, path: str) -> int:
    with statements(db) as sent:
        assert reader.get(path).status_code == 200
    return len(sent)


def test_a_visitor_is_told_as_text(spread_brand: Brand, analyst: Reader) -> None:
    found = got(analyst, "/staff/campaigns/spring/spread/picture.json")
    assert all(isinstance(node[0], str) for node in found["nodes"])
    with spread_brand.deployment.db.read() as tx:
        known = tx.scalars(sa.text("SELECT visitor_id FROM spread_nodes")).all()
    assert {node[0] for node in found["nodes"]} == {visitor_name(each) for each in known}
