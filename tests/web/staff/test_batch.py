"""A batch's page: its figures, and its forms with every refusal beside its field."""

from datetime import date, datetime

import pytest

from referral import actions, intake, people, ranges
from referral.clock import HeldClock
from referral.codes import Label, Labels
from referral.flags import Flag
from referral.packages import PrintPackage, add_package
from referral.ranges import RangeState, Terms
from referral.stores import StoreKind
from referral.visits import Kind, Visit, new_event_id
from tests.cast import OTHER_GTIN
from tests.readers import Reader
from tests.web.conftest import Brand
from tests.web.staff.conftest import sign_in, text

PAGE = "/staff/batches/1"
RANGE = {"start": "0", "end": "1000"}


def scan(brand: Brand, index: int, region: str | None, *flags: Flag) -> None:
    visit = Visit(
        Kind.scan,
        brand.deployment.clock.now(),
        new_event_id(),
        visitor=people.new_visitor_id(),
        batch=brand.batch.id,
        code_index=index,
        label=Label.inner,
        region=region,
        flags=flags,
    )
    intake.hand_in(brand.deployment, visit)


def spans(brand: Brand) -> list[tuple[int, int, str]]:
    with brand.deployment.db.read() as tx:
        return [(s.start, s.end, str(s.state)) for s in ranges.ranges(tx, brand.batch.id)]


def terms_at(brand: Brand, index: int) -> Terms:
    with brand.deployment.db.read() as tx:
        return ranges.span_at(tx, brand.batch.id, index).terms


def send(reader: Reader, form: str, **fields: str) -> int:
    reader.get(PAGE)
    return reader.send(PAGE, form=form, **fields).status_code


# Figures


def test_it_shows_what_happened_over_time_and_by_region(
    brand: Brand, owner: Reader, clock: HeldClock
) -> None:
    for region in ("CN-HN", "CN-HN", None):
        scan(brand, 1, region)
    brand.deployment.misses.count(brand.product.gtin, brand.batch.id)
    brand.deployment.misses.flush()
    clock.advance(days=40)
    scan(brand, 2, "JP")
    sign_in(owner, "olga")
    assert owner.get(PAGE).status_code == 200
    page = text(owner)
    assert "Scans 4 2 of them repeated" in page
    assert "First-scan rate 0.4% 2 of the codes on sale" in page
    assert "Wrong codes 1 tried near this batch" in page
    # The last 30 days: only the scan in Japan.
    assert "Japan 1 1 0 0" in page
    assert "Hunan" not in page
    assert owner.page.count('class="hit"') == 3 * 30
    owner.get(f"{PAGE}?period=all")
    page = text(owner)
    assert "Hunan 2 1 1 0" in page
    assert "Unknown 1 0 1 0" in page
    assert "Scans from 2 March 2026 to 11 April 2026: 4, at most 3 in one bar." in page


def test_long_periods_have_weeks(brand: Brand, owner: Reader, clock: HeldClock) -> None:
    clock.advance(days=200)
    sign_in(owner, "olga")
    owner.get(f"{PAGE}?period=all")
    assert "2 Mar – 8 Mar" in text(owner)
    owner.get(f"{PAGE}?period=nonsense")
    assert "2 Mar – 8 Mar" in text(owner)


def test_outer_labels_stand_apart_where_there_are_any(brand: Brand, owner: Reader) -> None:
    owner.get(PAGE)
    assert "Outer labels" not in text(owner)
    actions.set_labels(brand.deployment, brand.product.gtin, Labels.pair)
    actions.issue_batch(brand.deployment, gtin=brand.product.gtin, count=9, name="two", by="t")
    owner.get("/staff/batches/2")
    page = text(owner)
    assert "Two codes, outside and inside" in page
    assert "Outer labels 0 scans of 0 packages" in page
    assert page.count("Outer label ") >= 3, "the first codes are told apart"


def test_it_shows_flags_and_packages(brand: Brand, owner: Reader) -> None:
    owner.get(PAGE)
    assert "No scan of this batch was odd in any way." in text(owner)
    assert "Handed to printers" not in text(owner)
    scan(brand, 7, "US", Flag.other_market)
    package = PrintPackage(
        id="AAAABBBBCC",
        batch_id=brand.batch.id,
        label="inner",
        start=0,
        end=1000,
        count=998,
        supplier="Printers <Ltd>",
        sha256="0" * 64,
        by="someone",
        at=brand.deployment.clock.now(),
    )
    brand.deployment.db.transact(lambda tx: add_package(tx, package))
    owner.get(PAGE)
    assert "Scanned outside its market 1" in text(owner)
    assert f'href="{PAGE}/codes/7"' in owner.page
    assert "Printers <Ltd> AAAABBBBCC 998 0–1000" in text(owner)


def test_ranges_and_changes_have_pages_of_their_own(brand: Brand, owner: Reader) -> None:
    for index in range(1, 61, 2):
        actions.set_range(
            brand.deployment,
            brand.batch.id,
            RangeState.voided,
            start=index,
            end=index + 1,
            reason=f"reason {index}.",
            by="tests",
        )
    owner.get(f"{PAGE}?period=90")
    assert "reason 59." in text(owner)
    assert "reason 19." not in text(owner)
    assert f'href="{PAGE}?period=90&amp;changes=20#changes-title"' in owner.page
    assert f'href="{PAGE}?period=90&amp;offset=20#ranges-title"' in owner.page
    owner.get(f"{PAGE}?changes=20&offset=60")
    assert "reason 19." in text(owner)
    assert "reason 59." not in text(owner)
    assert "Back to the beginning" in text(owner)


# States


def test_a_range_goes_through_its_life(brand: Brand, owner: Reader) -> None:
    for state, start, end, said in [
        ("printed", 500, 900, "400 codes have a new state: Printed."),
        ("activated", 500, 700, "200 codes have a new state: Activated."),
        ("recalled", 0, 600, "600 codes have a new state: Recalled."),
        ("voided", 800, 801, "1 code has a new state: Voided."),
    ]:
        fields = {"state": state, "start": str(start), "end": str(end), "reason": "why"}
        assert send(owner, "state", **fields) == 303
        owner.get(PAGE)
        assert said in text(owner)
    assert spans(brand) == [
        (0, 600, "recalled"),
        (600, 700, "activated"),
        (700, 800, "printed"),
        (800, 801, "voided"),
        (801, 900, "printed"),
        (900, 1000, "issued"),
    ]
    owner.get(PAGE)
    assert "199 printed" in text(owner)
    assert "601 withdrawn" in text(owner)


def test_nothing_to_change_is_said(brand: Brand, owner: Reader) -> None:
    assert send(owner, "state", state="printed", start="0", end="500") == 303
    owner.get(PAGE)
    assert "Nothing had to be changed" in text(owner)


def test_withdrawn_codes_come_back_only_on_purpose_and_with_a_reason(
    brand: Brand, owner: Reader
) -> None:
    actions.set_range(brand.deployment, 1, RangeState.voided, start=0, end=9, by="tests")
    back = {"state": "activated", "start": "0", "end": "9", "reason": "found again"}
    assert send(owner, "state", **back) == 422
    assert "These codes are withdrawn." in text(owner)
    assert 'value="found again"' in owner.page
    assert send(owner, "state", **{**back, "reinstate": "1", "reason": ""}) == 422
    assert "Please fill this in." in text(owner)
    assert send(owner, "state", **{**back, "reinstate": "1", "state": "printed"}) == 422
    assert "Codes are brought back by activating them." in text(owner)
    assert spans(brand)[0] == (0, 9, "voided")
    assert send(owner, "state", **back, reinstate="1") == 303
    assert spans(brand)[0] == (0, 500, "activated")
    owner.get(PAGE)
    assert "Withdrawn codes brought back" in text(owner)


@pytest.mark.parametrize("state", ["voided", "recalled"])
def test_taking_codes_out_of_use_needs_a_reason(brand: Brand, owner: Reader, state: str) -> None:
    assert send(owner, "state", state=state, start="0", end="9") == 422
    assert "Please fill this in." in text(owner)
    assert spans(brand)[0] == (0, 500, "activated")


def test_a_state_has_to_be_chosen(brand: Brand, owner: Reader) -> None:
    for state in ("", "issued", "assigned", "burnt"):
        assert send(owner, "state", state=state, **RANGE) == 422
        assert "Please choose one of these." in text(owner)


def test_the_range_that_is_next_or_asked_for_stands_in_the_form(
    brand: Brand, owner: Reader
) -> None:
    owner.get(PAGE)
    assert 'id="state-start" name="start" type="text" value="500"' in owner.page
    assert 'id="state-end" name="end" type="text" value="1000"' in owner.page
    owner.get(f"{PAGE}?start=7&end=8")
    assert 'id="state-start" name="start" type="text" value="7"' in owner.page
    assert 'id="terms-start" name="start" type="text" value="0"' in owner.page


# Terms


def test_only_what_is_filled_in_changes(brand: Brand, owner: Reader) -> None:
    store = actions.add_store(
        brand.deployment, slug="gz", name="Guangzhou East", kind=StoreKind.store, region=None
    )
    fields = {
        "lot": "L7",
        "made_on": "2026-03-01",
        "expires_on": "2027-03-01",
        "market": "Guangdong, cn-gx; Japan",
        "store": "gz",
        "sale_from": "2026-03-10T00:00",
        "sale_until": "2026-12-31T00:00",
        "reason": "spring",
    }
    assert send(owner, "terms", start="0", end="200", **fields) == 303
    held = terms_at(brand, 0)
    assert held == Terms(
        lot="L7",
        made_on=date(2026, 3, 1),
        expires_on=date(2027, 3, 1),
        market=("CN-GD", "CN-GX", "JP"),
        store_id=store.id,
        # Typed in the deployment's time zone, eight hours ahead of UTC.
        sale_from=datetime.fromisoformat("2026-03-09T16:00:00+00:00"),
        sale_until=datetime.fromisoformat("2026-12-30T16:00:00+00:00"),
    )
    assert terms_at(brand, 200) == Terms()
    owner.get(PAGE)
    assert (
        "Lot L7 Made on 1 March 2026 Best before 1 March 2027 "
        "Market Guangdong, Guangxi and Japan Store or distributor Guangzhou East"
    ) in text(owner)
    assert "The terms are kept: Lot, Made on" in text(owner)

    assert send(owner, "terms", start="0", end="100", lot="L8") == 303
    assert terms_at(brand, 0).lot == "L8"
    assert terms_at(brand, 0).market == held.market
    assert terms_at(brand, 100) == held


def test_ticked_terms_are_cleared(brand: Brand, owner: Reader) -> None:
    terms = {"lot": "L7", "market": ("CN",)}
    actions.assign_range(brand.deployment, 1, terms, by="tests")
    assert send(owner, "terms", **RANGE, clear="market") == 303
    assert terms_at(brand, 0) == Terms(lot="L7")
    owner.get(PAGE)
    assert "Market cleared" in text(owner)
    assert send(owner, "terms", **RANGE, clear="lot", lot="L9") == 422
    assert "This is filled in and ticked to be cleared." in text(owner)
    assert terms_at(brand, 0) == Terms(lot="L7")


def test_terms_that_cannot_be_are_refused_beside_their_field(brand: Brand, owner: Reader) -> None:
    for field, value, says in [
        ("lot", "批次", "This lot cannot stand on a package."),
        ("lot", "x" * 21, "at most 20 fit"),
        ("made_on", "yesterday", "Please enter a date such as"),
        ("expires_on", "2026-02-30", "Please enter a date such as"),
        ("expires_on", "0001-01-01", "Please enter a date such as"),
        ("market", "Guangdong, Atlantis", "“Atlantis” is not a region we know."),
        ("market", "CN-XX", "“CN-XX” is not a region we know."),
        ("store", "nowhere", "Please choose one of these."),
        ("sale_from", "2026-13-01T00:00", "Please enter a date and time such as"),
        ("end", "1001", "Please enter a whole number from 1 to 1,000."),
        ("end", "0", "Please enter a whole number from 1 to 1,000."),
    ]:
        assert send(owner, "terms", **{"start": "0", "end": "9", field: value}) == 422, field
        assert says in text(owner)
        assert 'aria-invalid="true"' in owner.page
        assert terms_at(brand, 0) == Terms()
    for fields, says in [
        ({"made_on": "2026-03-02", "expires_on": "2026-03-01"}, "lies after the production"),
        (
            {"sale_from": "2026-03-02T00:00", "sale_until": "2026-03-02T00:00"},
            "The end must lie after the start.",
        ),
        ({}, "Please fill in what is to change"),
    ]:
        assert send(owner, "terms", **RANGE, **fields) == 422
        assert says in text(owner)
    assert send(owner, "terms", start="9", end="9", lot="L1") == 422
    assert "The end must lie after the start." in text(owner)


def test_dates_have_to_fit_those_a_range_has_already(brand: Brand, owner: Reader) -> None:
    actions.assign_range(
        brand.deployment, 1, {"made_on": date(2026, 5, 1)}, start=5, end=6, by="tests"
    )
    assert send(owner, "terms", **RANGE, expires_on="2026-04-01") == 422
    assert "These dates do not fit together." in text(owner)
    assert terms_at(brand, 0) == Terms()


# One code


def test_one_code_is_voided_by_its_text(brand: Brand, owner: Reader) -> None:
    code = brand.deployment.codes.encode(brand.batch, 7)
    ninth = brand.deployment.codes.encode(brand.batch, 9).text
    for typed in (
        code.grouped.lower(),
        f"http://localhost{brand.path(8)}?x=1",
        f"http://localhost/c/{ninth}?from=wechat",
    ):
        assert send(owner, "code", code=typed, reason="cap torn") == 303
    assert spans(brand)[:3] == [(0, 7, "activated"), (7, 10, "voided"), (10, 500, "activated")]
    owner.get(PAGE)
    assert "cap torn" in text(owner)


def test_a_code_that_cannot_be_voided_here_is_refused(brand: Brand, owner: Reader) -> None:
    d = brand.deployment
    other = actions.issue_batch(d, gtin=brand.product.gtin, count=9, name="two", by="tests")
    actions.set_range(d, 1, RangeState.recalled, start=3, end=4, by="tests")
    own = d.codes.encode(brand.batch, 7).text
    for typed, reason, says in [
        ("", "r", "Please fill this in."),
        (own, "", "Please fill this in."),
        ("ABCD", "r", "This does not look like one of our codes."),
        ("0" * 16, "r", "We do not know this code."),
        ("http://[", "r", "This does not look like one of our codes."),
        (d.codes.encode(other, 1).text, "r", "This is a code of batch 2."),
        (d.codes.encode(brand.batch, 3).text, "r", "This code is withdrawn already."),
        (f"/01/{OTHER_GTIN}/21/{own}", "r", "This code belongs to another product."),
        (f"/01/06901234567893/21/{own}", "r", "The product number in this address is not right."),
    ]:
        before = spans(brand)
        assert send(owner, "code", code=typed, reason=reason) == 422, typed
        assert says in text(owner)
        assert spans(brand) == before


def test_a_batch_that_is_not_there_is_said_so(brand: Brand, owner: Reader) -> None:
    assert owner.get("/staff/batches/99").status_code == 404
    assert "There is no such batch." in text(owner)
    owner.get(PAGE)
    assert owner.send("/staff/batches/99", form="state", state="voided").status_code == 404


# Issuing


def test_a_batch_is_issued_with_its_scheme_and_terms(brand: Brand, owner: Reader) -> None:
    fields = {
        "gtin": brand.product.gtin,
        "count": "50",
        "name": "Autumn",
        "scheme": "HTTPS",
        "lot": "A-1",
        "market": "Hong Kong",
    }
    owner.get("/staff/batches")
    assert "Cold Brew Tea · One code" in text(owner)
    assert owner.send("/staff/batches", **{**fields, "scheme": "ftp"}).status_code == 422
    assert owner.send("/staff/batches", **{**fields, "market": "Mars"}).status_code == 422
    assert "“Mars” is not a region we know." in text(owner)
    assert 'value="Autumn"' in owner.page
    answer = owner.send("/staff/batches", **fields)
    owner.get(answer.location)
    assert "HTTPS://" in owner.page
    assert "Lot A-1" in text(owner)
    assert "Market Hong Kong" in text(owner)


def test_alarms_stand_on_the_page_of_their_batch(
    brand: Brand, owner: Reader, clock: HeldClock
) -> None:
    clock.advance(days=1)
    sign_in(owner, "olga")
    for _ in range(200):
        brand.deployment.misses.count(brand.product.gtin, brand.batch.id)
    brand.deployment.misses.flush()
    actions.issue_batch(brand.deployment, gtin=brand.product.gtin, count=9, name="two", by="t")
    said = "200 codes that do not exist were tried near batch first batch"
    owner.get(PAGE)
    assert said in text(owner)
    owner.get("/staff/batches/2")
    assert said not in text(owner)
    owner.get("/staff/")
    assert said in text(owner)
