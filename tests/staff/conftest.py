"""Olga, who owns the account."""

import pytest

from referral import actions
from referral.deployment import Deployment
from referral.staff import Role, StaffMember, members

PASSWORD = "four ordinary words here"


@pytest.fixture
def olga(deployment: Deployment) -> StaffMember:
    return add_member(deployment, "olga")


def add_member(deployment: Deployment, name: str, role: Role = Role.owner) -> StaffMember:
    email = f"{name}@brand.example"
    actions.add_staff(deployment, email=email, password=PASSWORD, role=role)
    with deployment.db.read() as tx:
        found = members.staff_by_email(tx, email)
    assert found
    return found
