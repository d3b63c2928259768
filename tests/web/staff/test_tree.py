"""What staff look at: the tree, the spread, the ledger, a customer, and the search."""

import html
import re
from urllib.parse import urlencode

import pytest
import sqlalchemy as sa
from flask import Flask
from sqlalchemy.orm import Session

from referral import actions, people
from referral.graph import Referral
from referral.links import Channel, Link, visitor_name
from referral.stores import StoreKind
from referral.web.staff import spread
from tests.cast import Person
from tests.readers import Reader
from tests.web.conftest import PER_CLAIM, PER_FRIEND, Brand
from tests.web.staff.conftest import text


def test_the_spread_shows_the_anonymous_hop(spread_brand: Brand, analyst: Reader) -> None:
    analyst.get("/staff/campaigns/spring")
    assert re.search(r"Fetches 0 .*Opens 2 .*Engagements 0 ", text(analyst))
    branch = re.findall(r'href="([^"]+)" data-branches="([^"]+)"', analyst.page)[0]
    analyst.get(html.unescape(branch[1]))
    assert "<html" not in analyst.page
    assert "dot hollow" in analyst.page
    assert "Anonymous hop 1" in text(analyst)

    # Without scripts the same branch is a page, and so is the one below it.
    analyst.get(html.unescape(branch[0]))
    below = re.findall(r'href="([^"]+)" data-branches', analyst.page)[0]
    analyst.get(html.unescape(below))
    assert "Customer 2 hop 2" in text(analyst)
    assert re.search(r"How it came here Alice Anonymous", text(analyst))


def test_the_tree_opens_branch_by_branch(spread_brand: Brand, analyst: Reader) -> None:
    analyst.get("/staff/tree")
    assert "Alice first claim" in text(analyst)
    assert "1 friend" in text(analyst)
    assert "Customer 2" not in text(analyst)
    analyst.get("/staff/tree/1/branches")
    assert "Customer 2 first claim" in text(analyst)
    analyst.get("/staff/tree/2")
    assert "Who brings in whom / Alice" in text(analyst)


def test_the_branches_of_one_who_was_merged_are_the_kept_ones(
    spread_brand: Brand, analyst: Reader
) -> None:
    d = spread_brand.deployment
    kept, _ = actions.add_customer(d, [people.external("kept")], None)
    actions.merge_customers(d, 1, kept, keep=kept, by="tests", reason="one person")
    for asked in (1, kept):
        analyst.get(f"/staff/tree/{asked}/branches")
        assert "Customer 2 first claim" in text(analyst)


def test_a_long_branch_comes_in_pages(brand: Brand, analyst: Reader) -> None:
    d = brand.deployment
    alice = Person(brand, people.phone("13800138000"))
    alice.sign_in()
    for number in range(23):
        friend = Person(brand, people.email(f"friend{number}@example.com"))
        friend.open(actions.make_link(d, "spring", alice.customer, Channel.copy))
        friend.claim(number)
    analyst.get("/staff/tree/1")
    assert len(re.findall("<li>", analyst.page.partition("data-tree")[2])) == 20
    following = re.findall(r'data-more="([^"]+)"', analyst.page)[0]
    analyst.get(html.unescape(following))
    assert len(re.findall("<li>", analyst.page)) == 3


def test_a_customer_page_says_why_and_shows_the_entry_behind_each_reward(
    spread_brand: Brand, analyst: Reader
) -> None:
    analyst.get("/staff/customers/2")
    said = text(analyst)
    assert re.search(r"Brought in by Alice Anonymous Customer 2", said)
    assert "Through 1 person who never signed in." in said
    assert "First link opened, nearest customer above it" in said
    assert "c***@example.com" in said
    assert "charlie@example.com" not in analyst.page
    entry = (
        f"Budget · Spring together −{PER_CLAIM + 2 * PER_FRIEND} points "
        f"Wallet · Alice +{PER_FRIEND} points "
        f"Wallet · Customer 2 +{PER_CLAIM + PER_FRIEND} points Sum 0 points"
    )
    assert said.count(entry) == 2, "behind the reward for the claim, and the one for the friend"
    assert "For a claim" in said
    assert "For a referred friend's first claim, to the friend" in said
    analyst.get("/staff/customers/1")
    assert "For a referred friend's first claim, to the referrer" in text(analyst)
    assert "Nobody." in text(analyst)


def test_a_customer_page_says_what_became_of_each_link_opened_before(
    brand: Brand, analyst: Reader, alice: Reader, bob: Reader, charlie: Reader
) -> None:
    for number, (reader, contact) in enumerate(((alice, "13800138000"), (bob, "13800138001"))):
        reader.sign_in(contact)
        reader.claim(brand.path(number))
    charlie.get(alice.own_link)
    charlie.get(bob.own_link)
    charlie.sign_in("charlie@example.com")
    charlie.claim(brand.path(2))
    analyst.get("/staff/customers/3")
    said = text(analyst)
    assert re.search(r"Customer 1 · Spring together [^·]+ · counts", said)
    assert re.search(r"Customer 2 · Spring together [^·]+ · later, and the first one counts", said)


def test_a_referral_settled_before_reasons_were_kept_is_shown_all_the_same(
    spread_brand: Brand, analyst: Reader
) -> None:
    why = {
        "rule": "first touch, nearest customer",
        "path": [{"visitor": "x", "customer": None}, {"visitor": "y", "customer": 1}],
        "touches": [{"campaign": 1, "at": "2026-03-01T09:30:00+00:00", "in_window": True}],
    }

    def keep(tx: Session) -> None:
        tx.execute(sa.update(Referral).where(Referral.customer_id == 2).values(why=why))

    spread_brand.deployment.db.transact(keep)
    analyst.get("/staff/customers/2")
    said = text(analyst)
    assert re.search(r"Brought in by Alice Anonymous Customer 2", said)
    assert "First link opened, nearest customer above it" in said
    assert re.search(r"Spring together [^·]+ · in time", said)


def test_the_ledger_behind_a_budget_sums_to_zero_line_by_line(
    spread_brand: Brand, analyst: Reader
) -> None:
    analyst.get("/staff/campaigns/spring/ledger")
    said = text(analyst)
    assert said.count("Sum 0 points") == 3, "the budget, and an entry for each claim"
    assert "Budget put up" in said
    assert "Brand −100,000 points" in said


def test_a_customer_is_found_by_number_phone_and_email(
    spread_brand: Brand, analyst: Reader
) -> None:
    for query, customer in {
        "1": 1,
        "#2": 2,
        "138 0013 8000": 1,
        "１３８００１３８０００": 1,
        "Charlie@Example.com": 2,
    }.items():
        analyst.get("/staff/search")
        answer = analyst.send("/staff/search", q=query)
        assert answer.location == f"/staff/customers/{customer}"


def test_a_link_and_a_code_are_found(spread_brand: Brand, analyst: Reader) -> None:
    d = spread_brand.deployment
    token = d.links.token(actions.make_link(d, "spring", 2, Channel.poster))
    code = d.codes.encode(spread_brand.batch, 2)
    for query in (token, f"http://localhost/s/{token}?from=groupmessage", f"/s/{token}"):
        analyst.get("/staff/search")
        assert analyst.send("/staff/search", q=query).status_code == 200
        assert re.search(r"Credits Customer 2 Hop 2 Channel Poster", text(analyst))
    for query in (code.text, code.grouped.lower(), f"https://x.example{spread_brand.path(2)}"):
        analyst.get("/staff/search")
        assert analyst.send("/staff/search", q=query).status_code == 200
        assert re.search(r"State Activated .*Claimed by Customer 2", text(analyst))
    analyst.get("/staff/search")
    assert analyst.send("/staff/search", q="nobody@example.com").status_code == 404
    assert "Nothing is found for that" in text(analyst)


def test_what_is_not_there_is_a_friendly_page(brand: Brand, analyst: Reader) -> None:
    for path in (
        "campaigns/%00",
        "campaigns/nothing",
        "campaigns/spring/spread/%00",
        "campaigns/spring/spread/AAAAAAAAAAA",
        "campaigns/spring/spread/__________8",
        "batches/99999999999999999999",
        "batches/77",
        "customers/9223372036854775807",
        "tree/9223372036854775807/branches",
    ):
        assert analyst.get(f"/staff/{path}").status_code == 404, path
        assert analyst.heading


def test_a_strange_offset_is_the_beginning_or_an_empty_end(
    spread_brand: Brand, analyst: Reader
) -> None:
    for offset in ("-1", "x", "9" * 30, "", "²", "999999999"):
        for path in ("products", "batches", "campaigns", "tree", "campaigns/spring/ledger"):
            answer = analyst.get(f"/staff/{path}?{urlencode({'offset': offset})}")
            assert answer.status_code == 200


def test_a_strange_name_to_go_on_behind_is_the_beginning_or_an_empty_end(
    spread_brand: Brand, analyst: Reader
) -> None:
    for after in ("-1", "x", "9" * 30, "", "²", "AAAAAAAAAAA", "__________8"):
        for path in ("spread", "spread/branches"):
            told = urlencode({"after": after})
            assert analyst.get(f"/staff/campaigns/spring/{path}?{told}").status_code == 200


def test_first_sharers_come_page_by_page(
    app: Flask, spread_brand: Brand, analyst: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    d = spread_brand.deployment
    monkeypatch.setattr(spread, "PAGE", 1)
    stores = [("east", "East Street"), ("west", "West <b>Gate</b>")]
    for slug, name in stores:
        actions.add_store(d, slug=slug, name=name, kind=StoreKind.store, region=None)
        visitor = actions.open_store_links(d, slug, by="olga")
        link = Link(spread_brand.campaign.id, visitor, channel=Channel.poster)
        Reader(app).get(f"/s/{d.links.token(link)}")
    seen: list[str] = []
    page = "/staff/campaigns/spring/spread"
    while True:
        analyst.get(page)
        said = text(analyst)
        seen += [each for each in ("Alice", "East Street", "West <b>Gate</b>") if each in said]
        more = re.search(r'<li class="more"><a href="([^"]+)"', analyst.page)
        if not more:
            break
        page = more[1].replace("&amp;", "&")
    assert sorted(seen) == ["Alice", "East Street", "West <b>Gate</b>"]


def test_a_store_is_named_where_its_poster_led_people_in(
    app: Flask, spread_brand: Brand, analyst: Reader
) -> None:
    d = spread_brand.deployment
    actions.add_store(d, slug="east", name="East Street", kind=StoreKind.store, region=None)
    visitor = actions.open_store_links(d, "east", by="olga")
    link = Link(spread_brand.campaign.id, visitor, channel=Channel.poster)
    Reader(app).get(f"/s/{d.links.token(link)}")
    name = visitor_name(visitor)
    spring = "/staff/campaigns/spring"
    analyst.get(f"{spring}/spread")
    assert '<a href="/staff/stores/east">East Street</a>' in analyst.page
    assert "East Street poster of a store" in text(analyst)
    for path in (f"{spring}/spread/{name}", f"{spring}/spread/picture?root={name}"):
        analyst.get(path)
        assert analyst.heading == "East Street"
    rows = analyst.get(f"{spring}/spread/picture.json").get_json()["nodes"]
    told = {row[0]: (row[2], row[9]) for row in rows}
    assert told[name] == ("East Street", True)
    assert [each for each in told.values() if each[1]] == [("East Street", True)]
    below = analyst.get(f"{spring}/spread/branch.json?node={name}").get_json()["nodes"]
    assert [(row[1], row[2], row[9]) for row in below] == [(name, None, False)]


def test_a_customer_is_found_by_a_part_of_the_name(spread_brand: Brand, analyst: Reader) -> None:
    d = spread_brand.deployment
    for number, name in enumerate(("王小明", "王大明")):
        actions.add_customer(
            d, [people.external(f"M-{number}"), people.phone(f"1390013900{number}")], name
        )
    analyst.get("/staff/search")
    answer = analyst.send("/staff/search", q="lic")
    assert answer.location == "/staff/customers/1"
    analyst.get("/staff/search")
    assert analyst.send("/staff/search", q="王").status_code == 200
    said = text(analyst)
    assert re.search(r"王小明 Customer 3 .*王大明 Customer 4", said)
    assert "+86****9001" in said
    assert "13900139001" not in analyst.page
    analyst.get("/staff/search")
    assert analyst.send("/staff/search", q="M-1").location == "/staff/customers/4"


def test_branches_are_sorted_as_asked(spread_brand: Brand, analyst: Reader) -> None:
    for sort in ("value", "active", "paying", "direct", "total", "name", "newest", "oldest", "x"):
        for path in ("tree", "tree/1", "tree/1/branches", "tree/branches"):
            assert analyst.get(f"/staff/{path}?sort={sort}&after=999").status_code == 200
    analyst.get("/staff/tree?sort=value")
    assert "1 friend 1 in all 1 active 1 paying CN¥20.00" in text(analyst)
    assert re.search(r'href="/staff/tree\?sort=value" aria-current="true"', analyst.page)
