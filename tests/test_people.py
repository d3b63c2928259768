"""People: how they are known, what is kept of it, and how they prove who they are."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from referral import people
from referral.clock import HeldClock
from referral.crypto import KeyRing
from referral.deployment import Deployment
from referral.people import (
    CODE_LIFETIME,
    BadContact,
    BadName,
    CodeCheck,
    Contact,
    Customer,
    CustomerExists,
    Identity,
    IdentityKind,
    SignInCode,
    UnknownCustomer,
    Visitor,
    clean_name,
    contact,
    external,
)

ALICE = people.phone("13800138000")
BOB = people.email("bob@example.com")
BROWSER, OTHER_BROWSER = 2001, 2002

# Contacts


@pytest.mark.parametrize(
    "typed, e164",
    [
        ("13800138000", "+8613800138000"),
        ("138 0013 8000", "+8613800138000"),
        ("138-0013-8000", "+8613800138000"),
        ("+86 138 0013 8000", "+8613800138000"),
        ("0086 13800138000", "+8613800138000"),
        ("１３８００１３８０００", "+8613800138000"),
        ("＋８６　１３８００１３８０００", "+8613800138000"),
        ("  13800138000\n", "+8613800138000"),
        ("+852 9123 4567", "+85291234567"),
        ("+886 912 345 678", "+886912345678"),
        ("+1 (202) 555-0143", "+12025550143"),
    ],
)
def test_phone_numbers_are_kept_in_one_form(typed: str, e164: str) -> None:
    assert contact(typed) == Contact(IdentityKind.phone, e164)


@pytest.mark.parametrize(
    "typed, address",
    [
        ("Bob@Example.COM", "bob@example.com"),
        ("  bob@example.com ", "bob@example.com"),
        ("ｂｏｂ＠ｅｘａｍｐｌｅ．ｃｏｍ", "bob@example.com"),
        ("bob+tea@example.com", "bob+tea@example.com"),
        ("bob@bücher.example.com", "bob@bücher.example.com"),
    ],
)
def test_addresses_are_kept_in_one_form(typed: str, address: str) -> None:
    assert contact(typed) == Contact(IdentityKind.email, address)


@pytest.mark.parametrize(
    "typed",
    [
        "",
        " ",
        "12345",
        "138001380001",
        "+86 1",
        "alice",
        "@",
        "bob@",
        "@example.com",
        "bob@localhost",
        "bob@example..com",
        "a b@example.com",
        "bob@example.com\0",
        "bob@example.com\r\nBcc: charlie@example.com",
        "👍",
        "\0",
        "\ud800",
        "\ud800@example.com",
        "9" * 4000,
        "b" * 4000 + "@example.com",
    ],
    ids=lambda typed: ascii(typed[:30]),
)
def test_it_rejects_what_nothing_can_be_sent_to(typed: str) -> None:
    with pytest.raises(BadContact):
        contact(typed)


@given(st.text(max_size=60))
def test_any_text_is_a_contact_or_a_named_error(typed: str) -> None:
    try:
        contact(typed)
    except BadContact:
        return


@pytest.mark.parametrize(
    "typed, masked",
    [
        ("13800138000", "+86****8000"),
        ("+85291234567", "+85****4567"),
        ("bob@example.com", "b***@example.com"),
        ("x@example.com", "x***@example.com"),
    ],
)
def test_a_masked_contact_says_enough_for_its_owner_only(typed: str, masked: str) -> None:
    assert contact(typed).masked == masked


def test_a_brands_own_member_id_is_kept_as_it_is() -> None:
    assert external("  Member-00042 ") == Contact(IdentityKind.external, "Member-00042")
    assert external("会员４２").value == "会员４２"


@pytest.mark.parametrize("typed", ["", "  ", "9" * 121, "a\0b", "a\nb", "\ud800"], ids=ascii)
def test_it_rejects_member_ids_it_cannot_keep(typed: str) -> None:
    with pytest.raises(BadContact):
        external(typed)


# Names


@pytest.mark.parametrize(
    "typed, name",
    [
        ("Alice", "Alice"),
        ("  小  明 ", "小 明"),
        ("李\u3000雷", "李 雷"),
        ("🍵 Tea 👨‍👩‍👧", "🍵 Tea 👨‍👩‍👧"),
        ("Zoë", "Zoë"),
        ("a\0b", "a b"),
        ("a\nb\tc", "a b c"),
        ("\ud800x", "x"),
        ("\u202eevil", "evil"),
        ("x" * 40, "x" * 40),
        ("😀" * 40, "😀" * 40),
        ("<script>alert(1)</script>", "<script>alert(1)</script>"),
    ],
    ids=ascii,
)
def test_names_are_kept_as_people_write_them(typed: str, name: str) -> None:
    assert clean_name(typed) == name


@pytest.mark.parametrize(
    "typed",
    ["", " ", "\0", "\n\t", "\u200b", "\u200d", "\u200d \u200d", "x" * 41, "名" * 4000, "😀" * 41],
    ids=lambda typed: ascii(typed[:12]),
)
def test_it_rejects_names_that_are_empty_or_too_long(typed: str) -> None:
    with pytest.raises(BadName):
        clean_name(typed)


@given(st.text(max_size=60))
def test_any_text_is_a_printable_name_or_a_named_error(typed: str) -> None:
    try:
        name = clean_name(typed)
    except BadName:
        return
    assert clean_name(name) == name
    assert all(letter.isprintable() or letter == "\u200d" for letter in name)
    name.encode()


# Customers and their identities


@pytest.fixture
def tx(deployment: Deployment) -> Iterator[Session]:
    """One transaction for the whole test."""
    with Session(deployment.db.engine, expire_on_commit=False) as session:
        yield session
        session.commit()


def add(tx: Session, deployment: Deployment, *contacts: Contact) -> tuple[int, bool]:
    return people.find_or_add_customer(
        tx, deployment.keys, contacts, name=None, now=deployment.clock.now()
    )


def test_a_new_person_becomes_a_customer_and_a_known_one_is_found(
    tx: Session, deployment: Deployment
) -> None:
    alice, is_new = add(tx, deployment, ALICE)
    assert is_new
    assert add(tx, deployment, ALICE) == (alice, False)
    bob, is_new = add(tx, deployment, BOB)
    assert is_new
    assert bob != alice


def test_a_second_identity_leads_to_the_same_customer(tx: Session, deployment: Deployment) -> None:
    alice, _ = add(tx, deployment, ALICE)
    assert add(tx, deployment, external("A-1"), ALICE) == (alice, False)
    assert add(tx, deployment, external("A-1")) == (alice, False)
    assert tx.scalar(sa.select(sa.func.count()).select_from(Customer)) == 1


def test_identities_given_twice_count_once(tx: Session, deployment: Deployment) -> None:
    add(tx, deployment, ALICE, ALICE)
    assert tx.scalar(sa.select(sa.func.count()).select_from(Identity)) == 1


def test_it_rejects_identities_of_two_customers_in_one(tx: Session, deployment: Deployment) -> None:
    add(tx, deployment, ALICE)
    add(tx, deployment, BOB)
    with pytest.raises(CustomerExists):
        add(tx, deployment, ALICE, BOB)


def test_the_same_text_of_another_kind_is_another_identity(
    tx: Session, deployment: Deployment
) -> None:
    alice, _ = add(tx, deployment, ALICE)
    other, is_new = add(tx, deployment, external(ALICE.value))
    assert is_new
    assert other != alice


def test_nothing_personal_is_stored_in_the_clear(tx: Session, deployment: Deployment) -> None:
    people.find_or_add_customer(
        tx, deployment.keys, [ALICE, BOB], name="Alice Li", now=deployment.clock.now()
    )
    now = deployment.clock.now()
    people.issue_sign_in_code(tx, deployment.keys, ALICE, "271828", BROWSER, now)
    tx.flush()
    tables = (Customer, Identity, SignInCode)
    stored = " ".join(
        str(row) for table in tables for row in tx.execute(sa.select(*table.__table__.c))
    )
    for secret in ("Alice", "13800138000", "bob@", "example.com", "271828"):
        assert secret not in stored


def test_customers_are_found_after_the_keys_were_rotated(
    tx: Session, deployment: Deployment
) -> None:
    alice, _ = people.find_or_add_customer(
        tx, deployment.keys, [ALICE], name="Alice", now=deployment.clock.now()
    )
    rotated = KeyRing([*deployment.config.secret_keys, "a-key-that-is-newer-still-than-these"])
    assert people.find_customer(tx, rotated, ALICE) == alice
    found, is_new = people.find_or_add_customer(
        tx, rotated, [ALICE], name=None, now=deployment.clock.now()
    )
    assert (found, is_new) == (alice, False)
    assert tx.scalar(sa.select(sa.func.count()).select_from(Identity)) == 1
    assert rotated.decrypt(people.customer_by_id(tx, alice).name_encrypted or "") == "Alice"


def test_a_rename_is_cleaned_and_encrypted(tx: Session, deployment: Deployment) -> None:
    alice, _ = add(tx, deployment, ALICE)
    people.rename(tx, deployment.keys, alice, " 小\n红 🍵 ")
    stored = people.customer_by_id(tx, alice).name_encrypted or ""
    assert deployment.keys.decrypt(stored) == "小 红 🍵"
    with pytest.raises(BadName):
        people.rename(tx, deployment.keys, alice, "")
    with pytest.raises(UnknownCustomer):
        people.rename(tx, deployment.keys, 999, "Nobody")


def test_nobody_can_be_locked_who_is_not_there(tx: Session) -> None:
    with pytest.raises(UnknownCustomer):
        people.lock_customer(tx, 999)


def test_consent_is_kept_once_for_a_purpose_and_version(
    tx: Session, deployment: Deployment
) -> None:
    alice, _ = add(tx, deployment, ALICE)
    given_at = deployment.clock.now()
    people.consent(tx, alice, "service", given_at)
    people.consent(tx, alice, "service", given_at + timedelta(days=1))
    rows = tx.scalars(sa.select(people.Consent)).all()
    assert [(row.customer_id, row.purpose, row.given_at) for row in rows] == [
        (alice, "service", given_at)
    ]


# Visitors


def test_several_browsers_fold_into_one_customer(
    tx: Session, deployment: Deployment, clock: HeldClock
) -> None:
    alice, _ = add(tx, deployment, ALICE)
    assert people.fold_visitor(tx, 11, alice, clock.now())
    clock.advance(minutes=1)
    people.remember_visitor(tx, 10, clock.now())
    assert people.fold_visitor(tx, 10, alice, clock.now())
    assert people.fold_visitor(tx, 10, alice, clock.now()), "again is no harm"
    assert people.visitors_of(tx, alice) == [11, 10]


def test_it_refuses_a_browser_that_is_another_customers(
    tx: Session, deployment: Deployment
) -> None:
    alice, _ = add(tx, deployment, ALICE)
    charlie, _ = add(tx, deployment, people.phone("13900139000"))
    now = deployment.clock.now()
    assert people.fold_visitor(tx, 11, alice, now)
    assert not people.fold_visitor(tx, 11, charlie, now)
    assert people.visitors_of(tx, charlie) == []


def test_a_customer_without_a_browser_shares_as_a_visitor_made_for_it(
    tx: Session, deployment: Deployment
) -> None:
    alice, _ = add(tx, deployment, ALICE)
    now = deployment.clock.now()
    assert people.own_visitor(tx, alice, 77, now) == 77
    assert people.own_visitor(tx, alice, 78, now) == 77
    assert tx.scalar(sa.select(sa.func.count()).select_from(Visitor)) == 1


def test_visitor_ids_fit_a_signed_column() -> None:
    ids = {people.new_visitor_id() for _ in range(200)}
    assert len(ids) == 200
    assert all(0 <= each < 1 << 63 for each in ids)


# One-time codes


def issue(
    tx: Session, deployment: Deployment, code: str = "123456", browser: int = BROWSER
) -> None:
    now = deployment.clock.now()
    people.issue_sign_in_code(tx, deployment.keys, ALICE, code, browser, now)
    tx.flush()


def check(
    tx: Session,
    deployment: Deployment,
    code: str,
    who: Contact = ALICE,
    browser: int = BROWSER,
) -> CodeCheck:
    now = deployment.clock.now()
    return people.check_sign_in_code(tx, deployment.keys, who, code, browser, now)


def test_codes_have_six_digits() -> None:
    codes = {people.new_sign_in_code() for _ in range(300)}
    assert all(len(code) == 6 and code.isdigit() for code in codes)
    assert len(codes) > 290


def test_the_right_code_is_right_however_it_is_typed(tx: Session, deployment: Deployment) -> None:
    for typed in ("123456", " 123 456 ", "１２３４５６", "123-456"):
        issue(tx, deployment)
        assert check(tx, deployment, typed) is CodeCheck.right


def test_it_rejects_a_wrong_code(tx: Session, deployment: Deployment) -> None:
    for typed in ("123457", "", "12345", "1234567", "👍", "\0", "\ud800", "9" * 4000):
        issue(tx, deployment)
        assert check(tx, deployment, typed) is CodeCheck.wrong
        assert check(tx, deployment, "123456") is CodeCheck.right


def test_it_rejects_a_code_that_was_used(tx: Session, deployment: Deployment) -> None:
    issue(tx, deployment)
    assert check(tx, deployment, "123456") is CodeCheck.right
    assert check(tx, deployment, "123456") is CodeCheck.spent


def test_it_rejects_an_expired_code(tx: Session, deployment: Deployment, clock: HeldClock) -> None:
    issue(tx, deployment)
    clock.advance(seconds=CODE_LIFETIME.total_seconds())
    assert check(tx, deployment, "123456") is CodeCheck.spent


def test_a_code_holds_until_it_expires(
    tx: Session, deployment: Deployment, clock: HeldClock
) -> None:
    issue(tx, deployment)
    clock.advance(seconds=CODE_LIFETIME.total_seconds() - 1)
    assert check(tx, deployment, "123456") is CodeCheck.right


def test_the_right_code_does_not_help_after_five_wrong_ones(
    tx: Session, deployment: Deployment
) -> None:
    issue(tx, deployment)
    tries = [check(tx, deployment, f"00000{n}") for n in range(5)]
    assert tries == [CodeCheck.wrong] * 5
    assert check(tx, deployment, "123456") is CodeCheck.spent
    issue(tx, deployment, "654321")
    assert check(tx, deployment, "654321") is CodeCheck.right


def test_the_fifth_try_may_be_the_right_one(tx: Session, deployment: Deployment) -> None:
    issue(tx, deployment)
    for n in range(4):
        check(tx, deployment, f"00000{n}")
    assert check(tx, deployment, "123456") is CodeCheck.right


def test_a_new_code_ends_the_one_before(tx: Session, deployment: Deployment) -> None:
    issue(tx, deployment, "111111")
    issue(tx, deployment, "222222")
    assert check(tx, deployment, "111111") is CodeCheck.wrong
    assert check(tx, deployment, "222222") is CodeCheck.right


def test_it_rejects_a_code_sent_to_somebody_else(tx: Session, deployment: Deployment) -> None:
    issue(tx, deployment)
    assert check(tx, deployment, "123456", BOB) is CodeCheck.spent


def test_it_rejects_a_code_another_browser_asked_for(tx: Session, deployment: Deployment) -> None:
    issue(tx, deployment)
    assert check(tx, deployment, "123456", browser=OTHER_BROWSER) is CodeCheck.spent
    issue(tx, deployment, "222222", OTHER_BROWSER)
    assert check(tx, deployment, "123456", browser=OTHER_BROWSER) is CodeCheck.wrong
    assert check(tx, deployment, "222222", browser=OTHER_BROWSER) is CodeCheck.right


def test_another_browser_can_neither_end_a_code_nor_use_up_its_tries(
    tx: Session, deployment: Deployment
) -> None:
    issue(tx, deployment)
    issue(tx, deployment, "222222", OTHER_BROWSER)
    for _ in range(6):
        check(tx, deployment, "000000", browser=OTHER_BROWSER)
    assert check(tx, deployment, "123456") is CodeCheck.right


def test_a_new_code_takes_away_those_of_other_browsers_that_expired(
    tx: Session, deployment: Deployment, clock: HeldClock
) -> None:
    issue(tx, deployment)
    issue(tx, deployment, browser=OTHER_BROWSER)
    clock.advance(seconds=CODE_LIFETIME.total_seconds())
    issue(tx, deployment, browser=BROWSER + 2)
    kept = tx.scalars(sa.select(SignInCode.visitor_id)).all()
    assert kept == [BROWSER + 2]


def test_a_code_outlives_a_rotation_of_the_keys(tx: Session, deployment: Deployment) -> None:
    issue(tx, deployment)
    rotated = KeyRing([*deployment.config.secret_keys, "a-key-that-is-newer-still-than-these"])
    now = deployment.clock.now()
    assert people.check_sign_in_code(tx, rotated, ALICE, "123456", BROWSER, now) is CodeCheck.right
    people.issue_sign_in_code(tx, rotated, ALICE, "222222", BROWSER, now)
    check_again = people.check_sign_in_code(tx, rotated, ALICE, "123456", BROWSER, now)
    assert check_again is CodeCheck.wrong
