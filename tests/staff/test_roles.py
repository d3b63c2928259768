"""What each role may do, cell by cell: whoever gives or takes a right does it here too."""

import pytest

from referral.staff import RIGHTS, Right, Role

ROLES = (Role.owner, Role.marketer, Role.analyst, Role.store_manager, Role.support)
TABLE = {
    Right.read: "yes yes yes no  yes",
    Right.change: "yes yes no  no  no",
    Right.sign_off: "yes no  no  no  no",
    Right.help: "yes no  no  no  yes",
    Right.see_people: "yes no  no  no  yes",
    Right.credit: "yes no  no  no  yes",
    Right.approve: "yes yes no  no  no",
    Right.export: "yes yes yes no  no",
    Right.run_store: "no  no  no  yes no",
    Right.manage_staff: "yes no  no  no  no",
    Right.audit: "yes no  no  no  no",
}


def test_the_table_has_every_right_and_every_role() -> None:
    assert set(TABLE) == set(Right)
    assert set(ROLES) == set(Role) == set(RIGHTS)


@pytest.mark.parametrize("right", Right)
def test_a_right_belongs_to_these_roles(right: Right) -> None:
    given = ["yes" if right in RIGHTS[role] else "no" for role in ROLES]
    assert given == TABLE[right].split()
