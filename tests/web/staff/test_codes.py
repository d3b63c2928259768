"""A code's page, the search that leads to it, and the list of flags."""

from referral import actions, intake, people
from referral.clock import HeldClock
from referral.codes import Label, Labels
from referral.flags import Flag
from referral.ranges import RangeState
from referral.visits import Kind, Visit, new_event_id
from tests.readers import Reader
from tests.web.conftest import Brand
from tests.web.staff.conftest import sign_in, text


def flag(brand: Brand, index: int, kind: Flag, region: str | None = None, batch: int = 1) -> None:
    visit = Visit(
        Kind.scan,
        brand.deployment.clock.now(),
        new_event_id(),
        visitor=people.new_visitor_id(),
        batch=batch,
        code_index=index,
        label=Label.inner,
        region=region,
        flags=(kind,),
    )
    intake.hand_in(brand.deployment, visit)


def test_a_codes_page_says_what_is_known_of_it(
    brand: Brand, owner: Reader, alice: Reader, clock: HeldClock
) -> None:
    d = brand.deployment
    alice.sign_in("13800138000")
    alice.claim(brand.path(7))
    clock.advance(days=1)
    sign_in(owner, "olga")
    flag(brand, 7, Flag.other_market, "JP")
    actions.assign_range(d, 1, {"lot": "L7", "market": ("CN",)}, start=7, end=8, by="tests")
    owner.get("/staff/batches/1/codes/7")
    page = text(owner)
    for said in (
        "Code 7 of first batch",
        d.codes.encode(brand.batch, 7).grouped,
        "State Activated On sale",
        "Lot L7 Market China",
        "Scans 2 devices first 2 Mar 2026",
        "Claimed by Customer 1",
        "Scanned outside its market",
        "Japan · 1 time",
        "in no package that is known",
    ):
        assert said in page
    assert 'href="/staff/batches/1?start=7&amp;end=8#state-title"' in owner.page
    owner.get("/staff/batches/1/codes/8")
    assert "Claimed by nobody" in text(owner)


def test_a_codes_page_is_there_for_every_index_and_no_other(brand: Brand, owner: Reader) -> None:
    assert owner.get("/staff/batches/1/codes/999").status_code == 200
    assert owner.get("/staff/batches/1/codes/1000").status_code == 404
    assert owner.get("/staff/batches/9/codes/0").status_code == 404


def test_a_date_that_is_over_tells_by_the_brands_own_clock(
    brand: Brand, owner: Reader, clock: HeldClock
) -> None:
    """The best-before day ends at midnight in Shanghai, which is 16:00 UTC."""
    last = clock.now().date()
    actions.assign_range(brand.deployment, 1, {"expires_on": last}, by="tests")
    clock.advance(minutes=6 * 60 + 29)
    owner.get("/staff/batches/1/codes/1")
    assert "State Activated On sale" in text(owner)
    clock.advance(minutes=1)
    owner.get("/staff/batches/1/codes/1")
    assert "State Activated Past its date or sale window" in text(owner)


def test_the_search_tells_the_labels_of_a_package_apart(brand: Brand, owner: Reader) -> None:
    d = brand.deployment
    actions.set_labels(d, brand.product.gtin, Labels.pair)
    batch = actions.issue_batch(d, gtin=brand.product.gtin, count=9, name="two", by="tests")
    actions.set_range(d, batch.id, RangeState.recalled, start=3, end=4, by="tests")
    for label, said in ((Label.outer, "Outer label"), (Label.inner, "Inner label")):
        code = d.codes.encode(batch, 3, label)
        owner.get("/staff/search")
        assert owner.send("/staff/search", q=code.grouped.lower()).status_code == 200
        page = text(owner)
        assert f"{code.grouped} · {said}" in page
        assert "State Recalled Recalled" in page
        assert "Scans of the inner label none Scans of the outer label none" in page
        assert 'href="/staff/batches/2/codes/3"' in owner.page


def test_a_whole_address_is_searched_for_its_code(brand: Brand, owner: Reader) -> None:
    owner.get("/staff/search")
    assert owner.send("/staff/search", q=f"https://x.example{brand.path(5)}").status_code == 200
    assert "index 5" in text(owner)
    assert owner.send("/staff/search", q="/01/06901234567892/21/AAAA").status_code == 404


def test_flags_are_listed_by_kind_and_batch(brand: Brand, owner: Reader, clock: HeldClock) -> None:
    d = brand.deployment
    owner.get("/staff/flags")
    assert "Nothing is flagged." in text(owner)
    owner.get("/staff/")
    assert "in the last 7 days" not in text(owner)

    other = actions.issue_batch(d, gtin=brand.product.gtin, count=9, name="two", by="tests")
    flag(brand, 1, Flag.withdrawn)
    clock.advance(days=8)
    sign_in(owner, "olga")
    flag(brand, 2, Flag.other_market, "CN-HN")
    flag(brand, 3, Flag.other_market, batch=other.id)
    owner.get("/staff/flags")
    assert "Scanned outside its market 2 Scanned though withdrawn 1" in text(owner)
    assert "Scanned outside its market index 3 · two" in text(owner)
    owner.get(f"/staff/flags?batch={other.id}&kind=other_market")
    assert 'codes/3"' in owner.page
    assert 'codes/2"' not in owner.page
    owner.get("/staff/flags?kind=withdrawn")
    assert 'codes/1"' in owner.page
    assert 'codes/2"' not in owner.page
    for odd in ("batch=x", "batch=²", "kind=x", "offset=-1"):
        owner.get(f"/staff/flags?{odd}")
        assert 'codes/1"' in owner.page
    assert owner.get("/staff/flags?batch=99").status_code == 404

    owner.get("/staff/")
    assert "2 flags in the last 7 days: Scanned outside its market 2" in text(owner)
