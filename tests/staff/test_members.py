"""Members: roles with and without a store, the last owner, and passwords."""

from collections.abc import Callable

import pytest

from referral import actions
from referral.deployment import Deployment
from referral.staff import (
    InvitationOver,
    LastOwner,
    NotAllowed,
    Role,
    StaffMember,
    StoreOfManager,
    UnknownMember,
    WeakPassword,
    WrongPassword,
    check_password,
    invitations,
    member_by_id,
)
from referral.stores import StoreKind, UnknownStore
from tests.races import at_once
from tests.staff.test_sessions import PASSWORD, add

OTHER = "five other ordinary words"


@pytest.fixture
def olga(deployment: Deployment) -> int:
    return add(deployment, "olga")


@pytest.fixture
def east(deployment: Deployment) -> str:
    store = actions.add_store(
        deployment, slug="east", name="East", kind=StoreKind.store, region=None
    )
    return store.slug


def member(deployment: Deployment, staff_id: int) -> StaffMember:
    with deployment.db.read() as tx:
        return member_by_id(tx, staff_id)


def change(deployment: Deployment, staff_id: int, role: Role, store: str | None = None) -> None:
    actions.change_member(deployment, staff_id, role=role, store=store, name="", by="tests")


def test_a_store_manager_has_a_store_and_nobody_else(
    deployment: Deployment, olga: int, east: str
) -> None:
    told = {"email": "mo@brand.example", "password": PASSWORD}
    with pytest.raises(StoreOfManager):
        actions.add_staff(deployment, **told, role=Role.store_manager)
    with pytest.raises(StoreOfManager):
        actions.add_staff(deployment, **told, role=Role.analyst, store=east)
    with pytest.raises(UnknownStore):
        actions.add_staff(deployment, **told, role=Role.store_manager, store="west")
    mo = actions.add_staff(deployment, **told, role=Role.store_manager, store=east)
    assert member(deployment, mo).store_id is not None
    with pytest.raises(StoreOfManager):
        change(deployment, mo, Role.store_manager)
    change(deployment, mo, Role.support)
    assert member(deployment, mo).store_id is None


def test_the_last_owner_stays(deployment: Deployment, olga: int) -> None:
    with pytest.raises(LastOwner):
        change(deployment, olga, Role.analyst)
    with pytest.raises(LastOwner):
        actions.switch_staff_off(deployment, olga, by="tests")
    invited, _ = actions.invite_staff(
        deployment, email="otto@brand.example", role=Role.owner, by="tests"
    )
    with pytest.raises(LastOwner):
        change(deployment, olga, Role.analyst)  # nobody knows whether Otto ever comes
    assert invited != olga
    add(deployment, "oda")
    change(deployment, olga, Role.analyst)
    assert member(deployment, olga).role == Role.analyst


@pytest.mark.parametrize("both", [True, False])
def test_of_two_owners_who_remove_each_other_one_stays(
    deployment: Deployment, olga: int, both: bool
) -> None:
    otto = add(deployment, "otto")
    works: list[Callable[[], object]] = [
        lambda: actions.switch_staff_off(deployment, olga, by="otto"),
        lambda: (
            change(deployment, otto, Role.analyst)
            if both
            else actions.switch_staff_off(deployment, otto, by="olga")
        ),
    ]
    outcomes = at_once(works)
    assert sum(isinstance(each, LastOwner) for each in outcomes) == 1


def test_an_invitation_is_good_once(deployment: Deployment, olga: int) -> None:
    ann, secret = actions.invite_staff(
        deployment, email="ann@brand.example", role=Role.analyst, by="tests"
    )
    with pytest.raises(WrongPassword):
        check_password(deployment.db, "ann@brand.example", "")
    with pytest.raises(WeakPassword):
        actions.accept_invitation(deployment, secret, "short")
    assert actions.accept_invitation(deployment, secret, OTHER).id == ann
    assert check_password(deployment.db, "ann@brand.example", OTHER).id == ann
    with pytest.raises(InvitationOver):
        actions.accept_invitation(deployment, secret, PASSWORD)


def test_of_many_who_take_one_invitation_one_does(deployment: Deployment, olga: int) -> None:
    _, secret = actions.invite_staff(
        deployment, email="ann@brand.example", role=Role.analyst, by="tests"
    )
    outcomes = at_once([lambda: actions.accept_invitation(deployment, secret, OTHER)] * 4)
    assert sum(isinstance(each, StaffMember) for each in outcomes) == 1
    assert sum(isinstance(each, InvitationOver) for each in outcomes) == 3


def test_an_invitation_ends_with_time_another_one_and_the_member(
    deployment: Deployment, olga: int
) -> None:
    ann, first = actions.invite_staff(
        deployment, email="ann@brand.example", role=Role.analyst, by="tests"
    )
    second = actions.invite_again(deployment, ann, by="tests")
    now = deployment.clock.now()
    with deployment.db.read() as tx:
        assert invitations.invited(tx, second, now).id == ann
        with pytest.raises(InvitationOver):
            invitations.invited(tx, first, now)
        with pytest.raises(InvitationOver):
            invitations.invited(tx, second, now + invitations.LIFETIME)
    actions.switch_staff_off(deployment, ann, by="tests")
    with pytest.raises(InvitationOver):
        actions.accept_invitation(deployment, second, OTHER)
    with pytest.raises(NotAllowed):
        actions.invite_again(deployment, ann, by="tests")


def test_whoever_is_switched_off_has_no_password_that_works_until_switched_on(
    deployment: Deployment, olga: int
) -> None:
    ann = add(deployment, "ann", Role.analyst)
    actions.switch_staff_off(deployment, ann, by="tests")
    with pytest.raises(WrongPassword):
        check_password(deployment.db, "ann@brand.example", PASSWORD)
    actions.switch_staff_on(deployment, ann, by="tests")
    assert check_password(deployment.db, "ann@brand.example", PASSWORD).id == ann


def test_nobody_of_that_number_is_said(deployment: Deployment) -> None:
    with pytest.raises(UnknownMember):
        actions.switch_staff_off(deployment, 99, by="tests")
