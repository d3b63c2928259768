"""Codes of an app: when they are good, and that each is good once."""

import pyotp
import pytest
import sqlalchemy as sa

from referral import actions
from referral.clock import HeldClock
from referral.deployment import Deployment
from referral.errors import TooMany
from referral.staff import StaffMember, totp
from referral.staff.totp import OfferOver, Totp, TotpExists, WrongCode
from tests.races import at_once
from tests.staff.conftest import add_member


def code_of(secret: str, deployment: Deployment, steps: int = 0) -> str:
    return pyotp.TOTP(secret).at(deployment.clock.now(), counter_offset=steps)


@pytest.fixture
def secret(deployment: Deployment, olga: StaffMember, clock: HeldClock) -> str:
    """Olga's, a minute after she has set it up."""
    offer = totp.offer(deployment.keys, olga.id, clock.now())
    code = code_of(offer.secret, deployment)
    assert len(actions.add_totp(deployment, olga, offer.secret, code)) == 10
    clock.advance(minutes=1)
    return offer.secret


def test_a_code_is_good_for_a_step_before_and_after_its_own(
    deployment: Deployment, olga: StaffMember, secret: str, clock: HeldClock
) -> None:
    for steps in (-1, 0, 1):  # later and later: each is good once
        actions.use_totp(deployment, olga, code_of(secret, deployment, steps))
    clock.advance(minutes=5)
    for steps in (-2, 2):
        with pytest.raises(WrongCode):
            actions.use_totp(deployment, olga, code_of(secret, deployment, steps))
    spaced = code_of(secret, deployment)
    actions.use_totp(deployment, olga, f"{spaced[:3]} {spaced[3:]}")


@pytest.mark.parametrize("typed", ["", "12345", "1234567", "abcdef", "１２３４５６", "-12345", " "])
def test_what_is_no_code_is_refused(
    deployment: Deployment, olga: StaffMember, secret: str, typed: str
) -> None:
    with pytest.raises(WrongCode):
        actions.use_totp(deployment, olga, typed)


def test_a_code_and_those_before_it_are_good_once(
    deployment: Deployment, olga: StaffMember, secret: str
) -> None:
    actions.use_totp(deployment, olga, code_of(secret, deployment))
    for steps in (0, -1):
        with pytest.raises(WrongCode):
            actions.use_totp(deployment, olga, code_of(secret, deployment, steps))


def test_of_many_at_the_same_moment_one_is_let_in(
    deployment: Deployment, olga: StaffMember, secret: str
) -> None:
    code = code_of(secret, deployment)
    outcomes = at_once([lambda: actions.use_totp(deployment, olga, code)] * 6)
    assert sorted(map(repr, map(type, outcomes))) == sorted(
        [repr(type(None)), *[repr(WrongCode)] * 5]
    )


def test_the_first_code_does_not_sign_in_as_well(deployment: Deployment, olga: StaffMember) -> None:
    offer = totp.offer(deployment.keys, olga.id, deployment.clock.now())
    code = code_of(offer.secret, deployment)
    actions.add_totp(deployment, olga, offer.secret, code)
    with pytest.raises(WrongCode):
        actions.use_totp(deployment, olga, code)


def test_a_code_of_one_member_is_not_anothers(
    deployment: Deployment, olga: StaffMember, secret: str
) -> None:
    ann = add_member(deployment, "ann")
    with pytest.raises(WrongCode):
        actions.use_totp(deployment, ann, code_of(secret, deployment))


def test_after_ten_wrong_codes_the_right_one_has_to_wait(
    deployment: Deployment, olga: StaffMember, secret: str, clock: HeldClock
) -> None:
    for _ in range(10):
        with pytest.raises(WrongCode):
            actions.use_totp(deployment, olga, "abcdef")
    with pytest.raises(TooMany):
        actions.use_totp(deployment, olga, code_of(secret, deployment))
    clock.advance(minutes=60)
    actions.use_totp(deployment, olga, code_of(secret, deployment))


def test_codes_that_were_right_are_not_counted(
    deployment: Deployment, olga: StaffMember, secret: str, clock: HeldClock
) -> None:
    for _ in range(12):
        actions.use_totp(deployment, olga, code_of(secret, deployment))
        clock.advance(seconds=30)


def test_the_secret_is_encrypted_and_set_up_once(
    deployment: Deployment, olga: StaffMember, secret: str
) -> None:
    with deployment.db.read() as tx:
        stored = tx.scalars(sa.select(Totp.secret_encrypted)).one()
    assert secret not in stored
    assert deployment.keys.decrypt(stored) == secret
    other = totp.offer(deployment.keys, olga.id, deployment.clock.now()).secret
    with pytest.raises(TotpExists):
        actions.add_totp(deployment, olga, other, code_of(other, deployment))
    actions.use_totp(deployment, olga, code_of(secret, deployment))


def test_it_is_not_kept_without_its_first_code(deployment: Deployment, olga: StaffMember) -> None:
    offer = totp.offer(deployment.keys, olga.id, deployment.clock.now())
    with pytest.raises(WrongCode):
        actions.add_totp(deployment, olga, offer.secret, "000000x")
    with deployment.db.read() as tx:
        assert tx.scalar(sa.select(sa.func.count()).select_from(Totp)) == 0


def test_an_offer_is_one_members_and_ends(
    deployment: Deployment, olga: StaffMember, clock: HeldClock
) -> None:
    offer = totp.offer(deployment.keys, olga.id, clock.now())
    assert totp.offered(deployment.keys, olga.id, offer.sealed, clock.now()) == offer
    forged = deployment.keys.encrypt("Olga's phone number")
    for staff_id, sealed in ((olga.id + 1, offer.sealed), (olga.id, forged), (olga.id, "x")):
        with pytest.raises(OfferOver):
            totp.offered(deployment.keys, staff_id, sealed, clock.now())
    clock.advance(minutes=61)
    with pytest.raises(OfferOver):
        totp.offered(deployment.keys, olga.id, offer.sealed, clock.now())


def test_what_an_app_scans_names_the_brand_and_the_member() -> None:
    key = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
    told = totp.address(key, member="olga@brand.example", issuer="Tea & Co")
    parsed = pyotp.parse_uri(told)
    assert (parsed.secret, parsed.issuer) == (key, "Tea & Co")
    assert parsed.name == "olga@brand.example"
