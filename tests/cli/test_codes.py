"""`referral codes issue` and `codes check`: a batch, and what is known of one of its codes."""

from datetime import UTC, datetime, timedelta

from referral import actions, intake
from referral.codes import Label, Labels
from referral.deployment import Deployment
from referral.flags import Flag
from referral.people import new_visitor_id
from referral.ranges import RangeState
from referral.visits import Kind, Visit, new_event_id
from tests.cast import GTIN, OTHER_GTIN, Brand, add_product
from tests.cli.conftest import Referral, check_failed, told

NOTHING_SAID = {
    "lot": None,
    "made_on": None,
    "expires_on": None,
    "market": [],
    "store": None,
    "sale_from": None,
    "sale_until": None,
}


def test_a_batch_is_issued(referral: Referral, brand: Brand) -> None:
    issue = ("codes", "issue", "--gtin", GTIN, "--count", 50, "--name", "Autumn")
    made = told(referral(*issue, "--json"))
    assert made == {
        "id": made["id"],
        "gtin": GTIN,
        "count": 50,
        "name": "Autumn",
        "labels": "single",
        "scheme": "https",
    }
    said = referral(*issue, "--scheme", "HTTPS").stdout
    assert said == f"Batch {made['id'] + 1}: 50 codes of {GTIN}.\n"
    brand.deployment.directory.forget()
    assert brand.deployment.directory.batch(made["id"] + 1).scheme == "HTTPS"


def test_a_batch_is_issued_with_what_holds_for_it(referral: Referral, brand: Brand) -> None:
    told(referral("stores", "add", "east", "--name", "East", "--json"))
    made = told(
        referral(
            *("codes", "issue", "--gtin", GTIN, "--count", 50, "--name", "Autumn", "--json"),
            *("--lot", "L1", "--made-on", "2026-03-01", "--expires-on", "2027-03-01"),
            *("--market", "CN-GX", "--market", "CN-GD", "--store", "east"),
            *("--sale-from", "2026-05-01", "--sale-until", "2026-06-01T00:00+00:00"),
        )
    )
    brand.deployment.directory.forget()
    code = brand.deployment.codes.encode(brand.deployment.directory.batch(made["id"]), 0).text
    assert told(referral("codes", "check", code, "--json"))["terms"] == {
        "lot": "L1",
        "made_on": "2026-03-01",
        "expires_on": "2027-03-01",
        "market": ["CN-GD", "CN-GX"],
        "store": "east",
        "sale_from": "2026-04-30T16:00:00Z",
        "sale_until": "2026-06-01T00:00:00Z",
    }
    assert (
        "lot L1; made on 2026-03-01; best before 2027-03-01; market CN-GD, CN-GX; store east; "
        "on sale from 2026-04-30 16:00 UTC; on sale until 2026-06-01 00:00 UTC."
    ) in referral("codes", "check", code).stdout


def test_what_is_not_there_is_refused(referral: Referral, brand: Brand) -> None:
    issue = ("issue", "--gtin", GTIN, "--count", "5", "--name", "x")
    for arguments, words in {
        ("issue", "--gtin", OTHER_GTIN, "--count", "5", "--name", "x"): "product",
        ("issue", "--gtin", "06901234567893", "--count", "5", "--name", "x"): "digit",
        (*issue, "--store", "nowhere"): "no such store",
        (*issue, "--lot", "L 1"): "lot",
        (*issue, "--market", "XX"): "not a region",
        (*issue, "--made-on", "2026-03-02", "--expires-on", "2026-03-01"): "dates",
        ("check", "ABCD"): "does not look like",
        ("check", "0000-0000-0000-0000"): "do not know",
        ("check", brand.code(1).text, "0000-0000-0000-0000"): "do not know",
        ("check", brand.code(1).text, brand.code(2).text): "same place",
    }.items():
        check_failed(referral("codes", *arguments), words)


def test_terms_that_cannot_be_read_are_wrong_usage(referral: Referral, brand: Brand) -> None:
    issue = ("codes", "issue", "--gtin", GTIN, "--count", "5", "--name", "x")
    for wrong in (
        ("--made-on", "2026-02-30"),
        ("--made-on", "1999-12-31"),
        ("--sale-from", "tomorrow"),
        ("--sale-from", "0001-01-01"),
        ("--scheme", "http"),
        sum((("--market", "CN") for _ in range(41)), ()),
        ("--lot", "L\0"),
        ("--market", "CN", "--market", "C\0"),
        ("--store", "ea\0st"),
        ("--store", "ea\udcffst"),
        ("--name", "a\0b"),
    ):
        result = referral(*issue, *wrong)
        assert result.exit_code == 2, (wrong, result.output)
        assert result.stdout == ""


def test_a_code_is_checked_as_typed_or_as_printed(referral: Referral, brand: Brand) -> None:
    code = brand.code(7)
    url = f"http://localhost/01/{GTIN}/21/{code.text}"
    expected = {
        "code": code.text,
        "label": "inner",
        "product": brand.product.name,
        "gtin": GTIN,
        "batch": brand.batch.id,
        "index": 7,
        "state": "activated",
        "availability": "on_sale",
        "terms": NOTHING_SAID,
        "first_seen_at": None,
        "first_seen_in": None,
        "devices": 0,
        "claimed": False,
        "claimed_at": None,
        "flags": [],
        "labels_match": None,
    }
    for spelled in (code.grouped.lower(), url, f"{url}?x=1", f"https://b.example/c/{code.text}"):
        assert told(referral("codes", "check", spelled, "--json")) == expected
    other = f"http://localhost/01/{OTHER_GTIN}/21/{code.text}"
    check_failed(referral("codes", "check", other), "another product")
    wrong = f"http://localhost/01/06901234567893/21/{code.text}"
    check_failed(referral("codes", "check", wrong), "digit")


def test_a_text_that_is_too_long_for_a_path_is_a_code(referral: Referral, brand: Brand) -> None:
    address = f"http://localhost/{'a' * 300}/01/{GTIN}/21/{brand.code(7).text}"
    assert told(referral("codes", "check", address, "--json"))["index"] == 7
    check_failed(referral("codes", "check", "A" * 5_000), "does not look like")
    check_failed(referral("codes", "check", "A\0"), "does not look like")


def test_a_claim_shows(referral: Referral, brand: Brand) -> None:
    customer, _ = actions.add_customer(brand.deployment, [], "Dora")
    actions.claim(brand.deployment, brand.code(3), customer)
    found = told(referral("codes", "check", brand.code(3).text, "--json"))
    assert found["claimed"] is True
    assert found["claimed_at"] == "2026-03-02T09:30:00Z"
    assert "claimed 2026-03-02 09:30 UTC" in referral("codes", "check", brand.code(3).text).stdout


def test_voided_codes_say_so(referral: Referral, brand: Brand) -> None:
    actions.set_range(
        brand.deployment, brand.batch.id, RangeState.voided, start=0, end=1, by="test"
    )
    assert "voided, not claimed" in referral("codes", "check", brand.code(0).text).stdout


def test_what_was_scanned_and_flagged_shows(referral: Referral, brand: Brand) -> None:
    def scan(**more: object) -> None:
        visit = Visit(
            Kind.scan,
            brand.deployment.clock.now(),
            new_event_id(),
            visitor=new_visitor_id(),
            batch=brand.batch.id,
            code_index=3,
            label=Label.inner,
            **more,  # type: ignore[arg-type]
        )
        intake.hand_in(brand.deployment, visit)

    code = brand.code(3).text
    assert "Not scanned yet." in referral("codes", "check", code).stdout
    scan()
    seen = referral("codes", "check", code).stdout
    assert "First scanned 2026-03-02 09:30 UTC; seen by 1 device.\n" in seen
    brand.deployment.clock.advance(minutes=1)  # type: ignore[attr-defined]
    scan(region="CN-SH", flags=(Flag.other_market,))
    assert referral("codes", "check", code).stdout == (
        f"{brand.code(3).grouped}: {brand.product.name} ({GTIN}), batch {brand.batch.id}, index 3, "
        "activated, not claimed.\n"
        "Inner label; on sale.\n"
        "First scanned 2026-03-02 09:30 UTC; seen by 2 devices.\n"
        "Flagged other_market once, last 2026-03-02 09:31 UTC in CN-SH.\n"
    )
    assert told(referral("codes", "check", code, "--json"))["flags"][0]["region"] == "CN-SH"


def test_a_sale_window_counts_by_the_clock(referral: Referral, brand: Brand) -> None:
    now = datetime.now(UTC)
    for shift, word in ((timedelta(days=1), "not_activated"), (-timedelta(days=2), "expired")):
        window = {"sale_from": now + shift, "sale_until": now + shift + timedelta(days=1)}
        actions.assign_range(brand.deployment, brand.batch.id, window, by="tests")
        found = told(referral("codes", "check", brand.code(3).text, "--json"))
        assert (found["state"], found["availability"]) == ("activated", word)


def test_the_labels_of_a_package_are_compared(referral: Referral, deployment: Deployment) -> None:
    add_product(deployment, labels=Labels.pair)
    batch = actions.issue_batch(deployment, gtin=GTIN, count=5, name="pairs", by="tests")
    inner = deployment.codes.encode(batch, 1)
    outer, strange = (deployment.codes.encode(batch, index, Label.outer) for index in (1, 2))
    for pair in ((inner.text, outer.grouped), (outer.text, inner.text)):
        assert told(referral("codes", "check", *pair, "--json"))["labels_match"] is True
        assert "The labels match" in referral("codes", "check", *pair).stdout
    found = told(referral("codes", "check", strange.text, inner.text, "--json"))
    assert (found["label"], found["labels_match"]) == ("outer", False)
    assert [flag["kind"] for flag in found["flags"]] == ["labels_differ"]
    said = referral("codes", "check", strange.text, inner.text).stdout
    assert "do not match" in said
    assert "Outer label; not on sale yet." in said
