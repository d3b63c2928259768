"""`referral draws`: computed again, and told to everybody."""

import csv
import io

import pytest
import sqlalchemy as sa

from referral.deployment import Deployment
from tests import reference_draws
from tests.cast import Brand, add_product, cast_of, issue, publish
from tests.cli.conftest import Referral, check_failed, told

ODDS = [{"per_million": 400_000, "amount": 50}]
RULE = {"when": "claim", "for": "person", "amount": {"odds": ODDS}}


@pytest.fixture
def brand(deployment: Deployment) -> Brand:
    product = add_product(deployment)
    campaign = publish(deployment, rules=[RULE], organiser="Tea Brand Ltd")
    brand = Brand(deployment, product, issue(deployment), campaign)
    alice = cast_of(brand)[0]
    for index in range(12):
        alice.claim(index)
    return brand


def test_the_list_is_there_for_everybody_to_check(referral: Referral, brand: Brand) -> None:
    found = told(referral("draws", "verify", "spring", "--json"))
    assert found["ok"] is True
    assert found["tickets"] == 12
    table = list(csv.DictReader(io.StringIO(referral("draws", "table", "spring").stdout)))
    kept = brand.campaign.draw_seed_encrypted or ""
    seed = brand.deployment.keys.decrypt(kept)
    odds = {"claim:person:points:draw": [(400_000, "points", 50)]}
    assert len(table) == 12
    assert reference_draws.faults(seed, odds, table) == []
    assert "8000" not in str(table), "no part of a phone number"


def test_what_differs_ends_with_exit_code_1(referral: Referral, brand: Brand) -> None:
    brand.deployment.db.transact(
        lambda tx: tx.execute(sa.text("UPDATE campaigns SET draw_commitment = 'another'"))
    )
    failed = referral("draws", "verify", "spring", "--json")
    assert failed.exit_code == 1
    assert "not the one that was promised" in failed.stdout
    assert "not what the seed gives" in failed.stderr


def test_a_campaign_without_a_draw_is_said_to_have_none(
    referral: Referral, deployment: Deployment
) -> None:
    add_product(deployment)
    publish(deployment)
    for command in ("verify", "table"):
        check_failed(referral("draws", command, "spring"), "no lucky draw")
        check_failed(referral("draws", command, "autumn"), "no such campaign")
