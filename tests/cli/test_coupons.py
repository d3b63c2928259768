"""`referral coupons`: pools, lists that come in, codes that are made up and taken out."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from referral.audit import AuditEntry
from referral.coupons import Coupon
from referral.deployment import Deployment
from tests.cli.conftest import Referral, check_failed, told
from tests.pools import open_with

POOL = ("coupons", "pool", "tea-10", "--title", "满减十元", "--value", 1000)


@pytest.fixture
def pool(referral: Referral, deployment: Deployment) -> str:
    assert told(referral(*POOL, "--lasts-days", 30, "--json")) == {
        "slug": "tea-10",
        "unit": "coupon:tea-10",
    }
    return "tea-10"


def test_a_list_goes_into_a_pool_and_out_again(
    referral: Referral, pool: str, tmp_path: Path, deployment: Deployment
) -> None:
    file = tmp_path / "codes.csv"
    file.write_bytes("\ufeffcode,note\r\nTEA-0001,x\r\nTEA-0002,y\r\n".encode())
    assert told(referral("coupons", "add", pool, file, "--json")) == {"pool": pool, "added": 2}
    assert referral("coupons", "export", pool).stdout == "TEA-0001\nTEA-0002\n"
    line = referral("coupons", "list").stdout
    assert line.split()[:5] == ["tea-10", "2", "left", "0", "given"]
    check_failed(referral("coupons", "add", pool, file), "line 2: This code is in a pool already.")
    with deployment.db.read() as tx:
        noted = tx.scalars(sa.select(AuditEntry).order_by(AuditEntry.id)).all()
    assert [(each.action, each.by, each.subject) for each in noted] == [
        ("pool added", "command line", "coupon:tea-10"),
        ("coupons added", "command line", "coupon:tea-10"),
        ("coupons exported", "command line", "coupon:tea-10"),
    ]


def test_codes_are_made_up(referral: Referral, pool: str) -> None:
    said = referral("coupons", "generate", pool, "--count", 3, "--prefix", "tea").stdout
    assert said == "Made 3 codes for tea-10.\n"
    made = referral("coupons", "export", pool).stdout.split()
    assert len(made) == 3
    assert all(code.startswith("TEA-") for code in made)
    assert "TEA-" not in said


def test_what_cannot_be_done_is_said(referral: Referral, pool: str, tmp_path: Path) -> None:
    check_failed(referral(*POOL, "--lasts-days", 30), "short name already")
    check_failed(
        referral("coupons", "pool", "old", *POOL[3:], "--expires", "2020-01-01"), "have expired"
    )
    check_failed(referral("coupons", "generate", "coffee", "--count", 1), "no such pool")
    check_failed(referral("coupons", "generate", pool, "--count", 1, "--prefix", "a-b"), "begin")
    check_failed(referral("coupons", "export", "coffee"), "no such pool")
    empty = tmp_path / "empty.txt"
    empty.write_bytes(b"\x00\x01")
    check_failed(referral("coupons", "add", pool, empty), "not a list of codes")
    for wrong in (
        POOL,  # neither a date nor days
        (*POOL, "--lasts-days", 30, "--expires", "2030-01-01"),
        (*POOL, "--lasts-days", 30, "--currency", "yuan"),
        (*POOL, "--lasts-days", 30, "--language", "fr"),
        (*POOL, "--lasts-days", 30, "--shop-url", "http://shop.example"),
        ("coupons", "pool", "Tea", *POOL[3:], "--lasts-days", 30),
        ("coupons", "add", pool, tmp_path / "none.csv"),
        ("coupons", "generate", pool, "--count", 0),
    ):
        assert referral(*wrong).exit_code == 2, wrong


def test_a_pool_that_is_too_small_shows(referral: Referral, deployment: Deployment) -> None:
    assert referral("coupons", "list").stdout.startswith("There are no coupons")
    open_with(deployment, "TEA-0001", budget=5)
    (line,) = told(referral("coupons", "list", "--json"))["items"]
    # The command's clock is the real one, and the campaign's is not: it may be over for it.
    assert (line["slug"], line["left"], line["given"]) == ("tea", 1, 0)
    with deployment.db.read() as tx:
        assert tx.scalar(sa.select(sa.func.count()).select_from(Coupon)) == 1
