"""Batches as lists and pages show them: facts, states of their codes, ranges, what was done."""

from datetime import date
from typing import Any

import pytest
import sqlalchemy as sa

from referral import actions
from referral.batches import Scheme, UnknownBatch
from referral.codes import Labels
from referral.ranges import RangeState, Terms
from referral.reports import batches
from referral.reports.batches import BatchLine
from tests.cast import GTIN, ON_SALE, SIZE, Brand, add_product, cast_of, issue
from tests.reports.conftest import read


def test_batches_come_with_the_states_of_their_codes(brand: Brand) -> None:
    alice, _, _ = cast_of(brand)
    d = brand.deployment
    alice.claim(0)
    actions.set_range(d, brand.batch.id, RangeState.voided, start=400, end=600, by="tests")
    actions.set_range(d, brand.batch.id, RangeState.recalled, start=590, end=600, by="tests")
    dark = issue(d, on_sale=0)
    newest, oldest = read(brand, batches.lines).rows
    assert (newest.id, dict(newest.codes), newest.claims) == (dark.id, {"issued": SIZE}, 0)
    assert (newest.activated, newest.withdrawn) == (0, 0)
    assert oldest == BatchLine(
        id=brand.batch.id,
        gtin=GTIN,
        product_name="Cold Brew Tea",
        name="a batch",
        size=SIZE,
        labels="single",
        scheme="https",
        created_by="tests",
        created_at=brand.batch.created_at,
        codes={"activated": 400, "voided": 190, "recalled": 10, "issued": 400},
        claims=1,
    )
    assert (oldest.activated, oldest.withdrawn, oldest.in_state("printed")) == (400, 200, 0)
    assert read(brand, lambda tx: batches.line(tx, brand.batch.id)) == oldest
    with pytest.raises(UnknownBatch):
        read(brand, lambda tx: batches.line(tx, 999))


def test_reports_come_with_their_ranges_in_order_and_the_terms_of_each(brand: Brand) -> None:
    d = brand.deployment
    add_product(d, "06901234567908", labels=Labels.pair)
    terms = Terms(lot="L7", expires_on=date(2027, 1, 1), market=("CN-GD", "HK"))
    second = actions.issue_batch(
        d,
        gtin="06901234567908",
        count=9,
        name="two",
        scheme=Scheme.capitals,
        terms=terms,
        by="tests",
    )
    one, two = read(brand, lambda tx: batches.listed(tx, after=0, limit=5))
    assert [(s.start, s.end, s.state) for s in one.ranges] == [
        (0, ON_SALE, "activated"),
        (ON_SALE, SIZE, "issued"),
    ]
    assert (two.id, two.labels, two.scheme) == (second.id, "pair", "HTTPS")
    assert [span.terms for span in two.ranges] == [terms]
    after = read(brand, lambda tx: batches.listed(tx, after=brand.batch.id, limit=1))
    assert after == [two]
    assert read(brand, lambda tx: batches.one(tx, second.id)) == two
    with pytest.raises(UnknownBatch):
        read(brand, lambda tx: batches.one(tx, second.id + 1))


def test_a_list_reads_no_more_ranges_than_it_tells(brand: Brand) -> None:
    """A batch whose codes were voided one by one has hundreds of thousands."""
    d = brand.deployment
    second = issue(d)
    for index in (3, 5):
        actions.set_range(
            d, brand.batch.id, RangeState.voided, start=index, end=index + 1, by="tests"
        )
    said: list[str] = []

    def listen(*statement: Any) -> None:
        said.append(statement[2])

    sa.event.listen(d.db.engine, "before_cursor_execute", listen)
    one, two = read(brand, lambda tx: batches.listed(tx, after=0, limit=5, ranges_max=3))
    sa.event.remove(d.db.engine, "before_cursor_execute", listen)
    of_ranges = [statement for statement in said if "FROM code_ranges" in statement]
    assert len(of_ranges) == 2
    assert all("LIMIT" in statement and "OVER" not in statement for statement in of_ranges)
    assert [span.start for span in one.ranges] == [0, 3, 4]
    assert (two.id, [span.start for span in two.ranges]) == (second.id, [0, ON_SALE])


def test_ranges_and_changes_come_page_by_page(brand: Brand) -> None:
    d, batch_id = brand.deployment, brand.batch.id
    for index in (3, 5):
        actions.set_range(
            d, batch_id, RangeState.voided, start=index, end=index + 1, reason=f"{index}", by="me"
        )
    pages = [
        read(brand, lambda tx, o=offset: batches.spans(tx, batch_id, offset=o, limit=4))
        for offset in (0, 4)
    ]
    assert [[span.start for span in page.rows] for page in pages] == [[0, 3, 4, 5], [6, ON_SALE]]
    assert [page.next for page in pages] == [4, None]

    newest = read(brand, lambda tx: batches.changes(tx, batch_id, limit=2))
    assert [(c.state, c.start, c.end, c.reason, c.by) for c in newest.rows] == [
        ("voided", 5, 6, "5", "me"),
        ("voided", 3, 4, "3", "me"),
    ]
    rest = read(brand, lambda tx: batches.changes(tx, batch_id, offset=newest.next or 0))
    assert [(c.state, c.start, c.end) for c in rest.rows] == [
        ("activated", 0, ON_SALE),
        ("issued", 0, SIZE),
    ]
    assert read(brand, lambda tx: batches.changes(tx, 999)).rows == []


def test_what_is_activated_next_is_the_first_range_that_is_not(brand: Brand) -> None:
    d, batch_id = brand.deployment, brand.batch.id
    assert read(brand, lambda tx: batches.waiting(tx, batch_id)) == (ON_SALE, SIZE)
    actions.set_range(d, batch_id, RangeState.printed, start=ON_SALE, end=600, by="tests")
    assert read(brand, lambda tx: batches.waiting(tx, batch_id)) == (ON_SALE, 600)
    actions.set_range(d, batch_id, RangeState.activated, by="tests")
    assert read(brand, lambda tx: batches.waiting(tx, batch_id)) is None


def test_codes_in_a_state_are_counted_within_a_range(brand: Brand) -> None:
    actions.set_range(
        brand.deployment, brand.batch.id, RangeState.voided, start=10, end=20, by="tests"
    )

    def count(state: str, start: int, end: int) -> int:
        return read(brand, lambda tx: batches.in_state(tx, brand.batch.id, state, start, end))

    assert count("activated", 0, SIZE) == ON_SALE - 10
    assert count("activated", 5, 25) == 10
    assert count("voided", 15, 16) == 1
    assert count("voided", 20, SIZE) == 0


def test_the_lots_of_a_batch_are_named_once(brand: Brand) -> None:
    d, batch_id = brand.deployment, brand.batch.id
    assert read(brand, lambda tx: batches.lots(tx, batch_id)) == []
    for start, lot in ((0, "B"), (100, "A"), (900, "B")):
        actions.assign_range(d, batch_id, {"lot": lot}, start=start, end=start + 50, by="tests")
    assert read(brand, lambda tx: batches.lots(tx, batch_id)) == ["A", "B"]


def test_batches_whose_key_is_gone_are_named(brand: Brand) -> None:
    keys = brand.deployment.keys
    assert read(brand, lambda tx: batches.made_without(tx, keys.key_ids)) == []
    rotated_away = read(brand, lambda tx: batches.made_without(tx, keys.key_ids[1:]))
    assert rotated_away == [brand.batch.id]
