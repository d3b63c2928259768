"""The coupons' pages: pools, lists that come in, codes that are made up and taken out."""

import io

import pytest
import sqlalchemy as sa
from werkzeug.datastructures import FileStorage

from referral import coupons
from referral.audit import AuditEntry
from referral.deployment import Deployment
from tests.pools import add_pool, open_with
from tests.readers import Reader
from tests.web.staff.conftest import text

GOOD = {
    "slug": "tea-10",
    "title-zh-Hans": "满减十元",
    "how_to-zh-Hans": "结账时出示。",
    "title-en": "10 yuan off",
    "value": "10.00",
    "currency": "CNY",
    "shop_url": "https://shop.example/tea",
    "lasts_days": "30",
}


def upload(reader: Reader, slug: str, data: bytes, name: str = "codes.csv") -> int:
    reader.get(f"/staff/coupons/{slug}")
    fields = {"csrf_token": reader.form_token()}
    file = FileStorage(io.BytesIO(data), name, "list")
    return reader.post_file(f"/staff/coupons/{slug}/codes", fields, list=file).status_code


def test_a_pool_is_added_and_filled(owner: Reader, deployment: Deployment) -> None:
    owner.get("/staff/coupons")
    assert "No coupons yet." in text(owner)
    assert owner.send("/staff/coupons", **GOOD).status_code == 303
    owner.get("/staff/coupons/tea-10")
    assert "“tea-10” is added. Now put codes into it." in text(owner)
    assert "10 yuan off" in owner.heading
    assert upload(owner, "tea-10", b"TEA-0001\nTEA-0002\n") == 303
    owner.get("/staff/coupons/tea-10")
    assert "2 codes are added." in text(owner)
    answer = owner.send("/staff/coupons/tea-10/generate", count="1,000", prefix="tea")
    assert answer.status_code == 303
    owner.get("/staff/coupons")
    assert "10 yuan off tea-10 · CN¥10.00 1,002 0 0 0" in text(owner)
    assert "TEA-0001" not in owner.page, "codes are money: they are not on a page"
    with deployment.db.read() as tx:
        pool = coupons.pool_by_slug(tx, "tea-10")
        assert (pool.value, pool.lasts_days, pool.expires_at) == (1000, 30, None)
        assert pool.shop_url == "https://shop.example/tea"
        assert set(pool.content) == {"zh-Hans", "en"}


@pytest.mark.parametrize(
    "field, value, says",
    [
        ("slug", "", "Please fill this in."),
        ("slug", "Tea 10", "Use small letters and digits"),
        ("title-zh-Hans", "", "Please fill this in."),
        ("title-en", "x" * 81, "at most 80 fit"),
        ("value", "0", "This price is not possible"),
        ("value", "ten", "as a number with a point"),
        ("currency", "yuan", "a currency's three letters"),
        ("lasts_days", "", "Give either a date or a number of days."),
        ("lasts_days", "0", "a whole number from 1"),
        ("expires_at", "2030-01-01T00:00", "Give either a date or a number of days."),
        ("shop_url", "http://shop.example", "begins with https://"),
    ],
)
def test_a_refused_pool_keeps_what_was_typed(
    owner: Reader, field: str, value: str, says: str
) -> None:
    owner.get("/staff/coupons")
    assert owner.send("/staff/coupons", **{**GOOD, field: value}).status_code == 422
    assert says in text(owner)
    assert 'value="tea-10"' in owner.page or field == "slug"


def test_a_pool_s_name_is_taken_once_and_its_end_lies_ahead(owner: Reader) -> None:
    owner.get("/staff/coupons")
    owner.send("/staff/coupons", **GOOD)
    owner.get("/staff/coupons")
    assert owner.send("/staff/coupons", **GOOD).status_code == 422
    assert "There is a pool of coupons with this short name already." in text(owner)
    past = {**GOOD, "slug": "old", "lasts_days": "", "expires_at": "2020-01-01T00:00"}
    assert owner.send("/staff/coupons", **past).status_code == 422
    assert "have expired" in text(owner)


def test_what_is_wrong_with_a_list_is_said_by_line(owner: Reader, deployment: Deployment) -> None:
    add_pool(deployment, "TEA-0001")
    assert upload(owner, "tea", b"NEW-0001\ntea 0001\n") == 422
    assert "Line 2: This code is in a pool already." in text(owner)
    lines = b"NEW-0001\nx\nNEW-0001\n" + b"y\n" * 60
    assert upload(owner, "tea", lines) == 422
    assert "Line 2: A code has 4 to 60 letters, digits and dashes." in text(owner)
    assert "Line 3: This code stands further up in the list, too." in text(owner)
    assert "and 42 more lines" in text(owner)
    assert upload(owner, "tea", b"") == 422
    assert "Please choose a file." in text(owner)
    assert upload(owner, "tea", b"\x89PNG\0\0") == 422
    assert "This is not a list of codes." in text(owner)
    assert upload(owner, "tea", b"TEA-0001\n" * 600_000) == 422
    assert "This list is too long." in text(owner)
    assert upload(owner, "tea", b"x" * 13_000_000) == 422
    assert "This list is too long." in text(owner)


@pytest.mark.parametrize("sent", [{"count": "0"}, {"count": ""}, {"count": "5", "prefix": "A-B"}])
def test_it_makes_no_codes_it_cannot(
    owner: Reader, deployment: Deployment, sent: dict[str, str]
) -> None:
    add_pool(deployment)
    owner.get("/staff/coupons/tea")
    assert owner.send("/staff/coupons/tea/generate", **sent).status_code == 422


def test_a_pool_that_is_too_small_for_its_campaign_is_pointed_out(
    owner: Reader, deployment: Deployment
) -> None:
    open_with(deployment, "TEA-0001", "TEA-0002", budget=5)
    owner.get("/staff/coupons/tea")
    assert "Campaigns may still give 5 of these, and the pool is 3 codes short." in text(owner)
    assert "Spring together Published 5" in text(owner)
    owner.get("/staff/coupons")
    assert "3 codes too few for its campaigns" in text(owner)


def test_who_takes_the_codes_out_is_kept(owner: Reader, deployment: Deployment) -> None:
    add_pool(deployment, "TEA-0001", "TEA-0002")
    owner.get("/staff/coupons/tea")
    answer = owner.send("/staff/coupons/tea/codes.csv")
    assert answer.text == "code\r\nTEA-0001\r\nTEA-0002\r\n"
    assert answer.headers["Cache-Control"] == "no-store"
    with deployment.db.read() as tx:
        noted = tx.scalars(sa.select(AuditEntry).where(AuditEntry.action == "coupons exported"))
        assert [(each.by, each.details) for each in noted] == [("olga@brand.example", {"count": 2})]


def test_an_analyst_looks_and_takes_nothing(analyst: Reader, deployment: Deployment) -> None:
    add_pool(deployment, "TEA-0001")
    analyst.get("/staff/coupons/tea")
    assert "10 yuan off" in analyst.heading
    assert "Download" not in analyst.page
    for path in ("", "/tea/codes", "/tea/generate", "/tea/codes.csv"):
        assert analyst.send(f"/staff/coupons{path}").status_code == 403
    assert analyst.get("/staff/coupons/coffee").status_code == 404
