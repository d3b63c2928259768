"""`referral codes printed|activate|void|recall|assign`: what happens to codes, by index range."""

from tests.cast import GTIN, SIZE, Brand, issue
from tests.cli.conftest import Referral, check_failed, told


def state_of(referral: Referral, brand: Brand, index: int) -> str:
    return str(told(referral("codes", "check", brand.code(index).text, "--json"))["state"])


def test_codes_are_put_on_sale(referral: Referral, brand: Brand) -> None:
    activate = ("codes", "activate", "--batch", brand.batch.id, "--start", 490, "--end", 540)
    assert told(referral(*activate, "--json")) == {
        "batch": brand.batch.id,
        "state": "activated",
        "start": 490,
        "end": 540,
        "count": 50,
        "left_alone": 0,
    }
    said = referral(*activate).stdout
    assert said == f"Codes 490 to 539 of batch {brand.batch.id} are activated.\n"
    assert [state_of(referral, brand, index) for index in (539, 540)] == ["activated", "issued"]


def test_printing_takes_nothing_off_sale(referral: Referral, brand: Brand) -> None:
    printed = ("codes", "printed", "--batch", brand.batch.id)
    assert referral(*printed).stdout == (
        f"Codes 0 to {SIZE - 1} of batch {brand.batch.id} are printed, "
        "but for 500 that stay as they were.\n"
    )
    found = told(referral(*printed, "--json"))
    assert (found["count"], found["left_alone"]) == (500, 500)
    assert [state_of(referral, brand, index) for index in (3, 501)] == ["activated", "printed"]


def test_withdrawn_codes_come_back_only_when_that_is_said(referral: Referral, brand: Brand) -> None:
    batch = ("--batch", brand.batch.id)
    void = ("codes", "void", *batch, "--start", 10, "--end", 12, "--reason", "lost")
    assert referral(*void).stdout == f"Codes 10 to 11 of batch {brand.batch.id} are voided.\n"
    told(referral("codes", "recall", *batch, "--start", 12, "--end", 13, "--json"))
    only = ("codes", "activate", *batch, "--start", 10, "--end", 13)
    check_failed(referral(*only), "withdrawn")
    found = told(referral("codes", "activate", *batch, "--end", 20, "--json"))
    assert (found["count"], found["left_alone"]) == (17, 3)
    found = told(referral(*only, "--reinstate", "--json"))
    assert (found["count"], found["left_alone"]) == (3, 0)
    assert state_of(referral, brand, 12) == "activated"


def test_numbers_that_no_column_holds_are_wrong_usage(referral: Referral, brand: Brand) -> None:
    batch, huge = ("--batch", brand.batch.id), "99999999999999999999"
    for command in ("printed", "activate", "void", "recall"):
        for wrong in (("--batch", huge), (*batch, "--start", huge), (*batch, "--end", huge)):
            assert referral("codes", command, *wrong).exit_code == 2, (command, wrong)
        assert referral("codes", command, *batch, "--reason", "a\0b").exit_code == 2
    largest = ("--batch", 2**63 - 1, "--start", 2**63 - 2, "--end", 2**63 - 1)
    check_failed(referral("codes", "activate", *largest), "batch")


def test_one_code_is_voided_by_itself(referral: Referral, brand: Brand) -> None:
    address = f"https://brand.example/01/{GTIN}/21/{brand.code(7).text}"
    found = told(referral("codes", "void", "--code", address, "--reason", "stolen", "--json"))
    assert (found["batch"], found["start"], found["end"]) == (brand.batch.id, 7, 8)
    assert [state_of(referral, brand, index) for index in (6, 7, 8)] == [
        "activated",
        "voided",
        "activated",
    ]
    code = brand.code(8).grouped
    named = told(referral("codes", "void", "--code", code, "--batch", brand.batch.id, "--json"))
    assert named["start"] == 8
    other = issue(brand.deployment)
    check_failed(referral("codes", "void", "--code", code, "--batch", other.id), "another batch")
    check_failed(referral("codes", "void", "--code", "0" * 16), "do not know")
    for wrong in (("--code", code, "--start", 3), ()):
        assert referral("codes", "void", *wrong).exit_code == 2


def test_what_is_not_there_is_refused(referral: Referral, brand: Brand) -> None:
    batch = ("--batch", brand.batch.id)
    for command in ("printed", "activate", "void", "recall"):
        check_failed(referral("codes", command, "--batch", 99), "no such batch")
        check_failed(referral("codes", command, *batch, "--end", SIZE + 1), "range")
        check_failed(referral("codes", command, *batch, "--start", 5, "--end", 5), "range")
        assert referral("codes", command, *batch, "--end", 0).exit_code == 2
    assert state_of(referral, brand, 5) == "activated"


def test_terms_are_said_and_taken_back(referral: Referral, brand: Brand) -> None:
    referral("stores", "add", "east", "--name", "East", "--kind", "distributor")
    assign = ("codes", "assign", "--batch", brand.batch.id)
    said = referral(*assign, "--end", 100, "--lot", "L1", "--store", "east", "--market", "CN-GD")
    assert said.stdout == (
        f"Codes 0 to 99 of batch {brand.batch.id}: lot L1; market CN-GD; store east.\n"
    )
    taken = referral(*assign, "--end", 50, "--clear", "market", "--sale-from", "2026-05-01T08:00")
    assert taken.stdout == (
        f"Codes 0 to 49 of batch {brand.batch.id}: no market; on sale from 2026-05-01 00:00 UTC.\n"
    )
    first, second, rest = (
        told(referral("codes", "check", brand.code(index).text, "--json"))["terms"]
        for index in (49, 50, 100)
    )
    assert (first["lot"], first["market"], first["store"]) == ("L1", [], "east")
    assert first["sale_from"] == "2026-05-01T00:00:00Z"
    assert (second["lot"], second["market"], second["store"]) == ("L1", ["CN-GD"], "east")
    assert not any(rest.values())
    assert told(referral(*assign, "--clear", "store", "--json")) == {
        "batch": brand.batch.id,
        "start": 0,
        "end": SIZE,
        "count": SIZE,
        "terms": {"store": None},
    }


def test_times_are_in_the_brands_own_zone(referral: Referral, brand: Brand) -> None:
    assign = ("codes", "assign", "--batch", brand.batch.id, "--json", "--sale-from")
    for zone, expected in (
        ("Europe/Berlin", "2026-07-01T06:00:00Z"),
        ("Asia/Shanghai", "2026-07-01T00:00:00Z"),
    ):
        told(referral(*assign, "2026-07-01T08:00", REFERRAL_TIMEZONE=zone))
        found = told(referral("codes", "check", brand.code(1).text, "--json"))
        assert found["terms"]["sale_from"] == expected


def test_terms_that_cannot_be_are_refused(referral: Referral, brand: Brand) -> None:
    assign = ("codes", "assign", "--batch", brand.batch.id)
    for wrong in (
        (),
        ("--clear", "colour"),
        ("--lot", "L1", "--clear", "lot"),
        ("--expires-on", "soon"),
        ("--sale-from", "2026-13-01"),
    ):
        assert referral(*assign, *wrong).exit_code == 2, wrong
    check_failed(referral(*assign, "--lot", "批次"), "lot")
    check_failed(referral(*assign, "--store", "nowhere"), "no such store")
    check_failed(referral("codes", "assign", "--batch", 99, "--lot", "L1"), "no such batch")
