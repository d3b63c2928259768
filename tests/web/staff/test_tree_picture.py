"""The pages of the pictures, as they are without scripts: the list, and what a script is told."""

import json
import re
from typing import Any

from referral import actions, people
from tests.readers import Reader
from tests.web.conftest import Brand
from tests.web.staff.conftest import text


def given(reader: Reader) -> dict[str, Any]:
    """What the page hands to its script."""
    block = re.findall(r"<script[^>]+data-given[^>]*>(.*?)</script>", reader.page, re.DOTALL)[0]
    return dict(json.loads(block))


def test_the_page_of_a_tree_has_the_list_and_says_where_the_picture_is(
    spread_brand: Brand, analyst: Reader
) -> None:
    analyst.get("/staff/tree/1")
    assert "/staff/customers/1/tree/picture" in analyst.page
    analyst.get("/staff/customers/1/tree/picture")
    assert "As a list" in text(analyst)
    assert "Customer 2" in text(analyst)
    assert re.search(r"<section[^>]+data-tree-picture[^>]+ hidden>", analyst.page)
    told = given(analyst)
    assert told["addresses"]["picture"] == "/staff/customers/1/tree/picture.json?nodes=2000"
    assert told["zone"] == "Asia/Shanghai"
    for name in ("branch", "person", "from"):
        assert told["mark"] in told["addresses"][name], name


def test_the_page_of_a_spread_has_the_list_and_may_begin_anywhere(
    spread_brand: Brand, analyst: Reader
) -> None:
    analyst.get("/staff/campaigns/spring/spread")
    assert "/staff/campaigns/spring/spread/picture" in analyst.page
    analyst.get("/staff/campaigns/spring/spread/picture")
    assert "Alice first sharer" in text(analyst)
    told = given(analyst)
    assert told["mark"] in told["addresses"]["branch"]
    rows = analyst.get(told["addresses"]["picture"]).get_json()["nodes"]
    alice, anonymous = rows[0][0], rows[1][0]

    analyst.get(f"/staff/campaigns/spring/spread/picture?root={anonymous}")
    assert "Campaigns / Spring together / Spread / Alice" in text(analyst)
    assert "Customer 2" in text(analyst)
    assert "Alice first sharer" not in text(analyst)
    below = analyst.get(given(analyst)["addresses"]["picture"]).get_json()
    assert below["nodes"][0][0] == anonymous
    assert alice not in [row[0] for row in below["nodes"]]


def test_a_name_or_title_cannot_leave_what_the_script_is_told(
    spread_brand: Brand, analyst: Reader
) -> None:
    name = '</script><img src=x "{{ 7*7 }} %(x)s'
    actions.rename(spread_brand.deployment, 1, name)
    analyst.get("/staff/customers/1/tree/picture")
    assert "<img" not in analyst.page
    assert given(analyst)["title"] == name


def test_who_brought_in_nobody_has_no_picture(spread_brand: Brand, analyst: Reader) -> None:
    analyst.get("/staff/customers/2/tree/picture")
    assert "data-tree-picture" not in analyst.page
    assert "Nobody yet." in text(analyst)
    analyst.get("/staff/tree/2")
    assert "tree/picture" not in analyst.page


def test_who_was_merged_has_the_picture_of_the_kept_one(
    spread_brand: Brand, analyst: Reader
) -> None:
    d = spread_brand.deployment
    kept, _ = actions.add_customer(d, [people.external("kept")], None)
    actions.merge_customers(d, 1, kept, keep=kept, by="tests", reason="one person")
    answer = analyst.get("/staff/customers/1/tree/picture")
    assert answer.location == f"/staff/customers/{kept}/tree/picture"


def test_a_picture_of_nobody_is_not_there(brand: Brand, analyst: Reader) -> None:
    for path in (
        "customers/77/tree/picture",
        "customers/99999999999999999999/tree/picture",
        "campaigns/nothing/spread/picture",
        "campaigns/%00/spread/picture",
        "campaigns/spring/spread/picture?root=%00",
        "campaigns/spring/spread/picture?root=AAAAAAAAAAA",
    ):
        assert analyst.get(f"/staff/{path}").status_code == 404, path
    assert analyst.get("/staff/campaigns/spring/spread/picture").status_code == 200
    assert "data-tree-picture" not in analyst.page
