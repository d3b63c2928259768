"""A batch's figures, alarms and print packages, as other systems read them."""

from datetime import timedelta

import pytest

from referral.codes import Label
from referral.flags import Flag
from referral.gathering import hour_of
from referral.misses import NONE, CodeMisses
from referral.packages import PrintPackage
from referral.reports.alarms import MISSES_LEAST
from tests.web.api.conftest import PRODUCT, problem
from tests.web.api.test_codes import scan

COUNTS = dict.fromkeys(("scans", "first_scans", "repeats", "outer_scans", "claims", "misses"), 0)


def missed(deployment, count, *, product=NONE, batch=NONE):
    hour = hour_of(deployment.clock.now())
    row = CodeMisses(hour=hour, product_id=product, batch_id=batch, region="CN-SH", count=count)
    deployment.db.transact(lambda tx: tx.add(row))


# Activity


@pytest.fixture
def busy(api, brand, deployment, clock):
    """A batch with scans on two days and in two regions, a claim and wrong codes."""
    scan(deployment, brand.batch, 3, region="CN-GD")
    scan(deployment, brand.batch, 3, region="CN-GD")
    scan(deployment, brand.batch, 4, Label.outer, region="CN-GD")
    code = deployment.codes.encode(brand.batch, 3).text
    api.made("/claims", {"code": code, "customer_id": api.customer("ann")})
    clock.advance(days=1)
    scan(deployment, brand.batch, 5)
    missed(deployment, 7, batch=brand.batch.id)
    return f"/batches/{brand.batch.id}/activity"


def test_activity_is_told_in_all_by_day_and_by_region(api, brand, busy):
    found = api.get(f"{busy}?first=2026-03-01&last=2026-03-03").json
    activated = found["totals"]["activated"]
    assert found["totals"] == {
        "scans": 3,
        "first_scans": 2,
        "repeats": 1,
        "outer_scans": 1,
        "outer_seen": 1,
        "claims": 1,
        "misses": 7,
        "activated": activated,
        "seen_of_activated": 2,
        "first_scan_rate": 2 / activated,
    }
    busiest = {"scans": 2, "first_scans": 1, "repeats": 1, "outer_scans": 1, "claims": 1}
    assert (found["step"], found["slots"]) == (
        "day",
        [
            {**COUNTS, "first": "2026-03-01", "last": "2026-03-01"},
            {**COUNTS, **busiest, "first": "2026-03-02", "last": "2026-03-02"},
            {
                **COUNTS,
                "scans": 1,
                "first_scans": 1,
                "misses": 7,
                "first": "2026-03-03",
                "last": "2026-03-03",
            },
        ],
    )
    assert found["regions"] == [
        {**COUNTS, **busiest, "region": "CN-GD"},
        {**COUNTS, "misses": 7, "region": "CN-SH"},
        {**COUNTS, "scans": 1, "first_scans": 1, "region": None},
    ]


def test_activity_is_of_the_last_thirty_days_unless_said(api, busy):
    slots = api.get(busy).json["slots"]
    assert (len(slots), slots[0]["first"], slots[-1]["last"]) == (30, "2026-02-02", "2026-03-03")
    assert sum(slot["scans"] for slot in slots) == 3
    before = api.get(f"{busy}?last=2026-03-01").json
    assert (before["slots"][0]["first"], before["regions"]) == ("2026-01-31", [])
    assert before["totals"]["scans"] == 3
    assert api.get(f"{busy}?first=2026-03-03").json["slots"][0]["scans"] == 1
    for period, step in (("2025-12-31", "week"), ("2024-01-01", "month")):
        assert api.get(f"{busy}?first={period}").json["step"] == step


def test_the_day_is_the_brands(api, brand, deployment, clock):
    clock.advance(minutes=420)  # 00:30 in Shanghai
    scan(deployment, brand.batch, 3)
    (today,) = api.get(f"/batches/{brand.batch.id}/activity?first=2026-03-03").json["slots"]
    assert (today["first"], today["scans"]) == ("2026-03-03", 1)


def test_periods_that_are_none_are_refused(api, brand):
    path = f"/batches/{brand.batch.id}/activity"
    for asked in (
        "first=2026-03-03&last=2026-03-02",
        "first=2000-01-01",
        "first=0001-01-01",
        "last=9999-12-31",
        "first=yesterday",
        "last=2026-02-30",
    ):
        assert problem(api.get(f"{path}?{asked}")) == (422, "invalid-input"), asked
    assert problem(api.get("/batches/999/activity")) == (404, "unknown-batch")


# Alarms


def test_alarms_are_listed_with_what_they_are_about(api, brand, deployment, clock):
    assert api.get("/alarms").json == {"items": [], "next": None}
    # Only the week before says what is usual; a brand that opens today has none.
    clock.advance(days=14)
    missed(deployment, 3 * MISSES_LEAST, batch=brand.batch.id)
    missed(deployment, 2 * MISSES_LEAST, product=brand.product.id)
    missed(deployment, MISSES_LEAST)
    since = hour_of(clock.now()) - timedelta(hours=1)
    items = api.get("/alarms").json["items"]
    assert all(item.pop("advice").endswith(".") for item in items)
    common = {"since": since.isoformat().replace("+00:00", "Z"), "usual": 0.0, "scans": 0}
    nothing = {"batch": None, "gtin": None, "name": None}
    assert items == [
        {
            **common,
            **nothing,
            "about": "batch",
            "batch": brand.batch.id,
            "name": brand.batch.name,
            "misses": 3 * MISSES_LEAST,
        },
        {
            **common,
            **nothing,
            "about": "product",
            "gtin": PRODUCT["gtin"],
            "name": PRODUCT["name"],
            "misses": 2 * MISSES_LEAST,
        },
        {**common, **nothing, "about": "typed", "misses": MISSES_LEAST},
    ]


# Print packages


def test_print_packages_are_listed_oldest_first(api, brand, deployment, clock):
    path = f"/batches/{brand.batch.id}/packages"
    assert api.get(path).json == {"items": [], "next": None}
    for number, supplier in enumerate(("Ada", None, "Ben")):
        row = PrintPackage(
            id=f"PACKAGE{number}",
            batch_id=brand.batch.id,
            label=Label.inner,
            start=number * 10,
            end=number * 10 + 10,
            count=9,
            supplier=supplier,
            sha256=str(number) * 64,
            by="command line",
            at=clock.now() - timedelta(minutes=number),
        )
        deployment.db.transact(lambda tx, row=row: tx.add(row))
    first = api.get(f"{path}?limit=2").json
    assert [item["id"] for item in first["items"]] == ["PACKAGE2", "PACKAGE1"]
    rest = api.get(f"{path}?limit=2&after={first['next']}").json
    assert rest == {
        "items": [
            {
                "id": "PACKAGE0",
                "label": "inner",
                "start": 0,
                "end": 10,
                "count": 9,
                "supplier": "Ada",
                "sha256": "0" * 64,
                "by": "command line",
                "at": "2026-03-02T09:30:00Z",
            }
        ],
        "next": None,
    }
    assert problem(api.get("/batches/999/packages")) == (404, "unknown-batch")


# What else a product and its codes say


def test_the_labels_of_a_product_hold_from_the_next_batch_on(api, brand, deployment):
    gtin = PRODUCT["gtin"]
    for written, labels in ((gtin, "pair"), (gtin[1:], "single"), (gtin, "pair")):
        response = api.post(f"/products/{written}/labels", {"labels": labels})
        assert response.status_code == 200
        assert {**PRODUCT, "labels": labels}.items() <= response.json.items()
    made = api.made("/batches", {"gtin": gtin, "count": 1, "name": "pairs"})
    assert made["labels"] == "pair"
    assert api.get(f"/batches/{brand.batch.id}").json["labels"] == "single"
    for refused, expected in (
        (api.post(f"/products/{gtin}/labels", {"labels": "three"}), (422, "invalid-input")),
        (api.post(f"/products/{gtin}/labels"), (422, "invalid-input")),
        (api.post("/products/06901234567893/labels", {"labels": "pair"}), (400, "bad-gtin")),
        (api.post("/products/06900000000007/labels", {"labels": "pair"}), (404, "unknown-product")),
    ):
        assert problem(refused) == expected


def test_flags_are_listed_by_kind(api, brand, deployment):
    scan(deployment, brand.batch, 3, flags=(Flag.withdrawn, Flag.other_market))
    for kind in ("withdrawn", "other_market"):
        (flag,) = api.get(f"/flags?kind={kind}").json["items"]
        assert flag["kind"] == kind
    assert api.get("/flags?kind=expired").json["items"] == []
    assert len(api.get(f"/flags?batch={brand.batch.id}").json["items"]) == 2
    assert problem(api.get("/flags?kind=odd")) == (422, "invalid-input")
