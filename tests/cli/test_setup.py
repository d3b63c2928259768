from datetime import UTC, datetime

import pyotp
import pytest

from referral import actions, staff
from referral.campaigns import Draft
from referral.deployment import Deployment
from referral.staff import second_factors
from tests.cast import GTIN, OTHER_GTIN, PRICE, RULES
from tests.cli.conftest import Referral, check_failed, told

PASSWORD = "correct horse battery"


def test_help_lists_every_command(referral: Referral) -> None:
    shown = referral("--help").stdout
    for name in (
        *("serve", "run", "demo", "db", "staff", "api-key", "product", "stores", "campaign"),
        *("codes", "ledger", "rewards", "doctor", "sweep"),
    ):
        assert f"\n  {name} " in shown
    groups = ("db", "staff", "api-key", "product", "stores", "campaign", "codes", "ledger")
    for group in (*groups, "rewards"):
        assert referral(group, "--help").exit_code == 0


def test_wrong_usage_is_2(referral: Referral) -> None:
    for arguments in (
        ["nonsense"],
        ["codes", "issue", "--gtin", GTIN],
        ["codes", "issue", "--gtin", GTIN, "--count", "0", "--name", "x"],
        ["staff", "add", "a@example.com", "--role", "king"],
        ["product", "add", "--gtin", GTIN, "--name", " ", "--price", "100"],
        ["product", "add", "--gtin", GTIN, "--name", "x" * 121, "--price", "100"],
        ["product", "add", "--gtin", GTIN, "--name", "Tea", "--price", "100", "--currency", "¥"],
        ["serve", "--port", "0"],
    ):
        result = referral(*arguments)
        assert result.exit_code == 2, arguments
        assert result.stdout == ""


@pytest.mark.parametrize(
    "name, value", [("DATABASE_URL", "mysql://x/y"), ("SECRET_KEYS", "short"), ("LANG", "tlh")]
)
def test_a_wrong_setting_is_one_sentence(referral: Referral, name: str, value: str) -> None:
    result = referral("ledger", "verify", **{f"REFERRAL_{name}": value})
    check_failed(result, f"REFERRAL_{name}")


def test_a_database_that_is_away_is_one_sentence(referral: Referral) -> None:
    settings = {"REFERRAL_DATABASE_URL": "postgresql://nobody@127.0.0.1:9/nothing"}
    check_failed(referral("ledger", "verify", **settings), "cannot be reached")


def test_upgrade_makes_the_tables_and_others_ask_for_it(
    referral: Referral, bare_database_url: str
) -> None:
    settings = {"REFERRAL_DATABASE_URL": bare_database_url}
    check_failed(referral("ledger", "verify", **settings), "referral db upgrade")
    first = told(referral("db", "upgrade", "--json", **settings))
    assert told(referral("db", "upgrade", "--json", **settings)) == first
    assert referral("ledger", "verify", **settings).exit_code == 0


def test_staff_are_added_with_a_password_from_standard_input(
    referral: Referral, deployment: Deployment
) -> None:
    result = referral(
        "staff", "add", "Owner@Brand.example", "--role", "owner", "--password-stdin",
        text=f"{PASSWORD}\n",
    )  # fmt: skip
    assert result.exit_code == 0
    assert PASSWORD not in result.output
    member = staff.check_password(deployment.db, "owner@brand.example", PASSWORD)
    assert member.role == staff.Role.owner
    again = referral("staff", "add", "owner@brand.example", "--role", "analyst", "--generate")
    check_failed(again, "account with this e-mail address already")


def test_staff_can_be_asked_for_the_password_or_given_one(
    referral: Referral, deployment: Deployment
) -> None:
    asked = referral(
        "staff", "add", "a@example.com", "--role", "owner", text=f"{PASSWORD}\n{PASSWORD}\n"
    )
    assert asked.exit_code == 0
    given = told(
        referral("staff", "add", "b@example.com", "--role", "analyst", "--generate", "--json")
    )
    assert staff.check_password(deployment.db, "a@example.com", PASSWORD)
    assert staff.check_password(deployment.db, "b@example.com", given["password"])


def test_somebody_who_lost_the_phone_is_left_with_the_password(
    referral: Referral, deployment: Deployment
) -> None:
    referral("staff", "add", "a@example.com", "--role", "owner", "--generate")
    with deployment.db.read() as tx:
        member = staff.staff_by_email(tx, "a@example.com")
    assert member
    secret = pyotp.random_base32()
    now_code = pyotp.TOTP(secret).at(deployment.clock.now())
    actions.add_totp(deployment, member, secret, now_code)
    assert referral("staff", "clear-second-factors", "A@example.com").exit_code == 0
    with deployment.db.read() as tx:
        assert not second_factors.of_member(tx, member.id).are_any
    check_failed(referral("staff", "clear-second-factors", "b@example.com"), "no such member")


def test_staff_with_a_weak_password_or_no_address_are_refused(referral: Referral) -> None:
    add = ("staff", "add", "a@example.com", "--role", "owner")
    check_failed(referral(*add, "--password-stdin", text="short"), "too short")
    nobody = referral("staff", "add", "nobody", "--role", "owner", "--generate")
    check_failed(nobody, "e-mail")
    assert referral(*add, "--password-stdin", "--generate").exit_code == 2


def test_an_api_key_is_printed_and_works(referral: Referral, deployment: Deployment) -> None:
    key = referral("api-key", "add", "shop").stdout.strip()
    other = told(referral("api-key", "add", "till", "--json"))["key"]
    with deployment.db.read() as tx:
        assert staff.api_key_id(tx, key)
        assert staff.api_key_id(tx, other) != staff.api_key_id(tx, key)


def test_products_are_added_once(referral: Referral) -> None:
    add = ("product", "add", "--gtin", GTIN.removeprefix("0"), "--name", "冷泡茶", "--price", 600)
    assert told(referral(*add, "--json")) == {
        "gtin": GTIN,
        "name": "冷泡茶",
        "price": 600,
        "currency": "CNY",
        "labels": "single",
    }
    check_failed(referral(*add), "already")
    other = ("product", "add", "--gtin", OTHER_GTIN, "--name", "x", "--price", 600)
    assert told(referral(*other, "--labels", "pair", "--json"))["labels"] == "pair"
    assert referral(*other, "--labels", "three").exit_code == 2
    wrong = referral("product", "add", "--gtin", "06901234567893", "--name", "x", "--price", 600)
    check_failed(wrong, "digit")


def test_a_draft_is_published_once(referral: Referral, deployment: Deployment) -> None:
    check_failed(referral("campaign", "publish", "spring"), "no such campaign")
    draft = {"slug": "spring", "title": "Spring", "rules": RULES, "budget": 1000}
    later = datetime(2099, 1, 1, tzinfo=UTC)
    actions.add_campaign(deployment, Draft.model_validate({**draft, "ends_at": later}))
    check_failed(referral("campaign", "publish", "spring"), "no product")
    referral("product", "add", "--gtin", GTIN, "--name", "Tea", "--price", 300)
    check_failed(referral("campaign", "publish", "spring"), "pay out")
    draft |= {"slug": "autumn", "gtins": [OTHER_GTIN], "ends_at": later}
    actions.add_campaign(deployment, Draft.model_validate(draft))
    referral("product", "add", "--gtin", OTHER_GTIN, "--name", "Box", "--price", PRICE)
    made = told(referral("campaign", "publish", "autumn", "--json"))
    assert made["state"] == "published"
    assert made["ends_at"] == "2099-01-01T00:00:00Z"
    check_failed(referral("campaign", "publish", "autumn"), "published already")


def test_a_store_manager_is_added_with_the_store(
    referral: Referral, deployment: Deployment
) -> None:
    add = ("staff", "add", "mo@example.com", "--role", "store_manager", "--generate")
    assert referral(*add).exit_code == 2
    owner = ("staff", "add", "a@b.example", "--role", "owner", "--generate")
    assert referral(*owner, "--store", "east").exit_code == 2
    assert referral(*add, "--store", "east").exit_code == 1, "there is no such store"
    assert referral("stores", "add", "east", "--name", "East").exit_code == 0
    made = told(referral(*add, "--store", "east", "--name", "Mo", "--json"))
    assert (made["role"], made["store"]) == ("store_manager", "east")
    member = staff.check_password(deployment.db, "mo@example.com", made["password"])
    assert member.name == "Mo"
    assert member.store_id is not None
