"""Sessions: begun, used, ended, and whose they are."""

import pytest
import sqlalchemy as sa

from referral import actions
from referral.clock import HeldClock
from referral.deployment import Deployment
from referral.staff import (
    End,
    How,
    Role,
    StaffMember,
    StaffSession,
    WrongPassword,
    members,
    sessions,
    staff_by_email,
)

PASSWORD = "four ordinary words here"


def add(deployment: Deployment, name: str, role: Role = Role.owner) -> int:
    return actions.add_staff(
        deployment, email=f"{name}@brand.example", password=PASSWORD, role=role
    )


def begin(deployment: Deployment, staff_id: int, address: str = "203.0.113.77") -> str:
    return let_in(deployment, member_of(deployment, staff_id), address)


def let_in(deployment: Deployment, member: StaffMember, address: str = "203.0.113.77") -> str:
    return actions.begin_staff_session(
        deployment, member, how=How.password, browser="Chrome, Linux", address=address
    )


def member_of(deployment: Deployment, staff_id: int) -> StaffMember:
    with deployment.db.read() as tx:
        return members.member_by_id(tx, staff_id)


def whose(deployment: Deployment, secret: str) -> StaffMember | None:
    with deployment.db.read() as tx:
        found = sessions.current(tx, secret, deployment.clock.now())
    return found[0] if found else None


def row_of(deployment: Deployment, staff_id: int) -> StaffSession:
    with deployment.db.read() as tx:
        of = sa.select(StaffSession).where(StaffSession.staff_id == staff_id)
        return tx.scalars(of.order_by(StaffSession.id.desc()).limit(1)).one()


@pytest.fixture
def olga(deployment: Deployment) -> int:
    return add(deployment, "olga")


def test_a_secret_opens_its_own_session_and_is_not_stored(
    deployment: Deployment, olga: int
) -> None:
    secret = begin(deployment, olga)
    member = whose(deployment, secret)
    assert member is not None
    assert member.id == olga
    assert whose(deployment, secret[:-1]) is None
    assert whose(deployment, begin(deployment, add(deployment, "ann"))).email[:3] == "ann"
    row = row_of(deployment, olga)
    assert secret not in str(vars(row))
    assert row.block == "203.0.113.0/24", "the network, not the address"


def test_who_proved_an_old_password_is_not_let_in_with_it(
    deployment: Deployment, olga: int
) -> None:
    proved = member_of(deployment, olga)
    actions.change_password(deployment, olga, "another four new words", kept=None, by="olga")
    with pytest.raises(WrongPassword):
        let_in(deployment, proved)
    assert begin(deployment, olga)


def test_it_ends_after_twelve_hours_however_busy(
    deployment: Deployment, clock: HeldClock, olga: int
) -> None:
    secret = begin(deployment, olga)
    clock.advance(minutes=12 * 60 - 1)
    actions.note_staff_use(deployment, row_of(deployment, olga).id)
    assert whose(deployment, secret)
    clock.advance(minutes=1)
    assert whose(deployment, secret) is None


def test_its_last_use_is_written_every_few_minutes_only(
    deployment: Deployment, clock: HeldClock, olga: int
) -> None:
    begin(deployment, olga)
    clock.advance(minutes=4, seconds=59)
    assert not sessions.is_use_due(row_of(deployment, olga), clock.now())
    clock.advance(seconds=1)
    assert sessions.is_use_due(row_of(deployment, olga), clock.now())
    actions.note_staff_use(deployment, row_of(deployment, olga).id)
    assert row_of(deployment, olga).used_at == clock.now()


def test_it_ends_by_hand_and_once(deployment: Deployment, olga: int) -> None:
    secret, other = begin(deployment, olga), begin(deployment, olga)
    first = row_of(deployment, olga).id
    assert actions.end_staff_session(deployment, olga, first, by="tests")
    assert not actions.end_staff_session(deployment, olga, first, by="tests")
    assert whose(deployment, other) is None
    assert whose(deployment, secret)


def test_nobody_ends_somebody_elses_through_the_wrong_member(
    deployment: Deployment, olga: int
) -> None:
    secret = begin(deployment, olga)
    ann = add(deployment, "ann", Role.analyst)
    session = row_of(deployment, olga).id
    assert not actions.end_staff_session(deployment, ann, session, by="tests")
    assert whose(deployment, secret)


@pytest.mark.parametrize("why", [End.password, End.role, End.off])
def test_what_changes_a_member_ends_all_of_his(deployment: Deployment, olga: int, why: End) -> None:
    ann = add(deployment, "ann", Role.analyst)
    kept, secrets = begin(deployment, olga), [begin(deployment, ann) for _ in range(2)]
    if why == End.password:
        actions.change_password(deployment, ann, "five other ordinary words", kept=None, by="t")
    elif why == End.role:
        role = Role.support
        actions.change_member(deployment, ann, role=role, store=None, name="", by="tests")
    else:
        actions.switch_staff_off(deployment, ann, by="tests")
    assert [whose(deployment, secret) for secret in secrets] == [None, None]
    assert row_of(deployment, ann).why == why
    assert whose(deployment, kept), "others stay"


def test_another_name_alone_ends_nothing(deployment: Deployment, olga: int) -> None:
    secret = begin(deployment, olga)
    actions.change_member(deployment, olga, role=Role.owner, store=None, name="Olga", by="tests")
    assert whose(deployment, secret)


def test_switching_off_keeps_a_member_out_whatever_he_holds(
    deployment: Deployment, olga: int
) -> None:
    """Also who proved to be a member right before."""
    add(deployment, "otto")
    proved, secret = member_of(deployment, olga), begin(deployment, olga)
    actions.switch_staff_off(deployment, olga, by="tests")
    assert whose(deployment, secret) is None
    with pytest.raises(WrongPassword):
        let_in(deployment, proved)


def test_what_is_over_for_long_is_swept(
    deployment: Deployment, clock: HeldClock, olga: int
) -> None:
    begin(deployment, olga)
    clock.advance(days=90, minutes=11 * 60)
    assert actions.sweep(deployment).staff_sessions == 0
    clock.advance(minutes=120)
    assert actions.sweep(deployment).staff_sessions == 1


def test_a_member_is_found_whatever_the_case_of_the_address(
    deployment: Deployment, olga: int
) -> None:
    with deployment.db.read() as tx:
        found = staff_by_email(tx, " Olga@Brand.example ")
    assert found is not None
    assert found.id == olga
