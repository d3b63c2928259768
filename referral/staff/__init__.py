"""Staff: who may work with the console and the API, and what each role may do."""

from referral.staff.api_keys import (
    API_KEY_PREFIX,
    ApiKey,
    add_api_key,
    api_key_id,
    has_api_key_named,
    new_api_key,
)
from referral.staff.members import (
    PASSWORD_LENGTH_MAX,
    PASSWORD_LENGTH_MIN,
    NotAllowed,
    StaffExists,
    StaffMember,
    WeakPassword,
    WrongPassword,
    add_staff,
    check_password,
    staff_by_id,
)
from referral.staff.roles import RIGHTS, Right, Role

__all__ = [
    "API_KEY_PREFIX",
    "PASSWORD_LENGTH_MAX",
    "PASSWORD_LENGTH_MIN",
    "RIGHTS",
    "ApiKey",
    "NotAllowed",
    "Right",
    "Role",
    "StaffExists",
    "StaffMember",
    "WeakPassword",
    "WrongPassword",
    "add_api_key",
    "add_staff",
    "api_key_id",
    "check_password",
    "has_api_key_named",
    "new_api_key",
    "staff_by_id",
]
