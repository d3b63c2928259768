"""Second factors as a whole: recovery codes, what is left after one is removed, who clears them."""

from dataclasses import replace

import pytest
import sqlalchemy as sa

from referral import actions, audit
from referral.clock import HeldClock
from referral.deployment import Deployment
from referral.errors import TooMany
from referral.staff import StaffMember, recovery, second_factors, totp
from referral.staff.recovery import RecoveryCode, WrongRecoveryCode
from referral.staff.second_factors import SecondFactorNeeded, SecondFactors, SecondFactorThere
from tests.races import at_once
from tests.staff.conftest import add_member
from tests.staff.test_totp import code_of


@pytest.fixture
def codes(deployment: Deployment, olga: StaffMember) -> list[str]:
    """Olga's recovery codes, shown when she set up her app."""
    secret = totp.offer(deployment.keys, olga.id, deployment.clock.now()).secret
    return actions.add_totp(deployment, olga, secret, code_of(secret, deployment))


def held(deployment: Deployment, member: StaffMember) -> SecondFactors:
    with deployment.db.read() as tx:
        return second_factors.of_member(tx, member.id)


def test_ten_recovery_codes_are_each_good_once_however_they_are_typed(
    deployment: Deployment, olga: StaffMember, codes: list[str]
) -> None:
    assert len(set(codes)) == 10
    ways = (str, str.upper, lambda code: code.replace("-", " "))
    for code, way in zip(codes[:3], ways, strict=True):
        actions.use_recovery_code(deployment, olga, way(code))
        with pytest.raises(WrongRecoveryCode):
            actions.use_recovery_code(deployment, olga, code)
    assert held(deployment, olga) == SecondFactors(True, 0, 7)


def test_of_many_who_use_one_at_the_same_moment_one_is_let_in(
    deployment: Deployment, olga: StaffMember, codes: list[str]
) -> None:
    outcomes = at_once([lambda: actions.use_recovery_code(deployment, olga, codes[0])] * 6)
    assert [type(each) for each in outcomes].count(WrongRecoveryCode) == 5
    assert outcomes.count(None) == 1


def test_they_are_kept_as_hashes_that_only_the_keys_can_make(
    deployment: Deployment, olga: StaffMember, codes: list[str]
) -> None:
    with deployment.db.read() as tx:
        stored = set(tx.scalars(sa.select(RecoveryCode.code_hash)))
    assert len(stored) == 10
    plain = codes[0].replace("-", "")
    index = deployment.keys.blind_indexes("staff-recovery", f"{olga.id}|{plain}")
    assert index[0] in stored
    assert not stored & {plain, codes[0]}


def test_guessing_recovery_codes_ends_after_ten_and_leaves_the_app_alone(
    deployment: Deployment, olga: StaffMember, codes: list[str], clock: HeldClock
) -> None:
    for _ in range(10):
        with pytest.raises(WrongRecoveryCode):
            actions.use_recovery_code(deployment, olga, "2222-2222-2222")
    with pytest.raises(TooMany):
        actions.use_recovery_code(deployment, olga, codes[0])
    with pytest.raises(totp.WrongCode):  # and not too many
        actions.use_totp(deployment, olga, "000000x")
    clock.advance(minutes=60)
    actions.use_recovery_code(deployment, olga, codes[0])


def test_another_members_code_opens_nothing(
    deployment: Deployment, olga: StaffMember, codes: list[str]
) -> None:
    ann = add_member(deployment, "ann")
    with pytest.raises(WrongRecoveryCode):
        actions.use_recovery_code(deployment, ann, codes[0])
    actions.use_recovery_code(deployment, olga, codes[0])


def test_new_codes_take_the_place_of_the_old_ones(
    deployment: Deployment, olga: StaffMember, codes: list[str]
) -> None:
    newer = actions.make_recovery_codes(deployment, olga)
    with pytest.raises(WrongRecoveryCode):
        actions.use_recovery_code(deployment, olga, codes[0])
    actions.use_recovery_code(deployment, olga, newer[0])
    assert len(newer) == recovery.CODES
    assert held(deployment, olga).recovery_codes == 9


def test_who_has_no_second_factor_gets_no_recovery_codes(
    deployment: Deployment, olga: StaffMember
) -> None:
    assert actions.make_recovery_codes(deployment, olga) == []
    assert held(deployment, olga) == SecondFactors(False, 0, 0)


def test_with_the_last_factor_the_recovery_codes_go_too(
    deployment: Deployment, olga: StaffMember, codes: list[str]
) -> None:
    assert actions.remove_totp(deployment, olga)
    assert held(deployment, olga) == SecondFactors(False, 0, 0)
    assert not actions.remove_totp(deployment, olga)


def test_a_role_that_needs_a_second_factor_keeps_its_last_one(
    deployment: Deployment, olga: StaffMember, codes: list[str]
) -> None:
    config = replace(deployment.config, second_factor_roles=frozenset({"owner"}))
    strict = replace(deployment, config=config)
    with pytest.raises(SecondFactorNeeded):
        actions.remove_totp(strict, olga)
    assert held(deployment, olga) == SecondFactors(True, 0, 10)


def test_a_first_factor_is_not_set_up_beside_another_with_a_password_alone(
    deployment: Deployment, olga: StaffMember, codes: list[str]
) -> None:
    secret = totp.offer(deployment.keys, olga.id, deployment.clock.now()).secret
    code = code_of(secret, deployment)
    with pytest.raises(SecondFactorThere):
        actions.add_totp(deployment, olga, secret, code, only_first=True)


def test_somebody_who_lost_everything_is_left_with_the_password(
    deployment: Deployment, olga: StaffMember, codes: list[str]
) -> None:
    actions.clear_second_factors(deployment, olga.id, by="command")
    assert held(deployment, olga) == SecondFactors(False, 0, 0)


def test_everything_about_them_is_in_the_audit_log_without_a_secret(
    deployment: Deployment, olga: StaffMember, codes: list[str]
) -> None:
    actions.use_recovery_code(deployment, olga, codes[0])
    actions.remove_totp(deployment, olga)
    actions.clear_second_factors(deployment, olga.id, by="command")
    with deployment.db.read() as tx:
        noted = audit.of_subject(tx, olga.subject)
    assert [(each.by, each.action) for each in noted][1:] == [
        ("olga@brand.example", "second factor added"),
        ("olga@brand.example", "recovery codes made"),
        ("olga@brand.example", "recovery code used"),
        ("olga@brand.example", "second factor removed"),
        ("command", "second factors cleared"),
    ]
    assert not any(code in str(each.details) for each in noted for code in codes)
