"""Who gets into the console: sessions begun and ended, members added, changed and switched off."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from referral import audit, people, staff, stores
from referral.db import transaction
from referral.deployment import Deployment
from referral.people import Contact
from referral.places import address_block
from referral.staff import (
    NotAllowed,
    Role,
    StaffMember,
    WrongPassword,
    invitations,
    members,
    sessions,
)
from referral.staff.sessions import End, How, StaffSession


@transaction
def begin_staff_session(
    tx: Session,
    deployment: Deployment,
    proved: StaffMember,
    *,
    how: How,
    browser: str,
    address: str,
) -> str:
    """Let a member in, whom the caller has made sure of. Returns the secret for the cookie.

    Raises `WrongPassword` if the password was changed, or the member switched off, since.
    """
    now, block = deployment.clock.now(), address_block(address)
    member = members.hold_member(tx, proved.id)
    if member.disabled_at is not None or member.password_hash != proved.password_hash:
        raise WrongPassword()
    secret = sessions.begin(tx, member.id, how=how, browser=browser, block=block, now=now)
    details = {"how": how, "browser": browser, "block": block}
    audit.note(
        tx, by=member.email, action="signed in", subject=member.subject, details=details, now=now
    )
    return secret


@transaction
def note_failed_sign_in(
    tx: Session, deployment: Deployment, email: str, *, how: How, address: str
) -> None:
    """Keep that somebody did not get in. What was typed is kept only if it is a member's address:
    people type their passwords into the wrong field."""
    member = staff.staff_by_email(tx, email)
    details = {"how": how, "block": address_block(address)}
    audit.note(
        tx,
        by=audit.STRANGER,
        action="sign-in failed",
        subject=member.subject if member else "staff:unknown",
        details=details,
        now=deployment.clock.now(),
    )


@transaction
def note_staff_use(tx: Session, deployment: Deployment, session_id: int) -> None:
    sessions.note_use(tx, session_id, deployment.clock.now())


@transaction
def sign_staff_out(tx: Session, deployment: Deployment, session_id: int, *, by: str) -> None:
    """End the session somebody sits in."""
    now = deployment.clock.now()
    if sessions.end(tx, session_id, End.signed_out, now):
        audit.note(tx, by=by, action="signed out", subject=f"session:{session_id}", now=now)


@transaction
def end_staff_session(
    tx: Session, deployment: Deployment, staff_id: int, session_id: int, *, by: str
) -> bool:
    """End one of a member's sessions by hand. Returns whether it was one that was running."""
    now = deployment.clock.now()
    found = tx.get(StaffSession, session_id)
    if found is None or found.staff_id != staff_id:
        return False
    if not sessions.end(tx, session_id, End.by_hand, now):
        return False
    details = {"session": session_id}
    subject = members.subject_of(staff_id)
    audit.note(tx, by=by, action="session ended", subject=subject, details=details, now=now)
    return True


@transaction
def end_staff_sessions(
    tx: Session, deployment: Deployment, staff_id: int, *, but: int | None = None, by: str
) -> int:
    """End all of a member's sessions by hand, `but` one. Returns how many were running."""
    now = deployment.clock.now()
    ended = sessions.end_all(tx, staff_id, End.by_hand, now, but=but)
    if ended:
        subject, details = members.subject_of(staff_id), {"sessions": ended}
        audit.note(tx, by=by, action="sessions ended", subject=subject, details=details, now=now)
    return ended


# Members


@transaction
def add_staff(
    tx: Session,
    deployment: Deployment,
    *,
    email: str,
    password: str,
    role: Role,
    store: str | None = None,
    name: str = "",
    by: str = audit.COMMAND,
) -> int:
    """A member with a first password; `store` is the short name of a store manager's store.

    Returns his number. Raises `BadContact`, `WeakPassword`, `StaffExists`, `StoreOfManager`,
    `UnknownStore`.
    """
    return _add(tx, deployment, email, password, role, store, name, by)


@transaction
def invite_staff(
    tx: Session,
    deployment: Deployment,
    *,
    email: str,
    role: Role,
    store: str | None = None,
    name: str = "",
    by: str,
) -> tuple[int, str]:
    """A member who sets a password with a link. Returns his number and the link's secret.

    Raises `BadContact`, `StaffExists`, `StoreOfManager`, `UnknownStore`.
    """
    staff_id = _add(tx, deployment, email, None, role, store, name, by)
    return staff_id, _invite(tx, deployment, staff_id, by)


@transaction
def invite_again(tx: Session, deployment: Deployment, staff_id: int, *, by: str) -> str:
    """A new link for a member, with which a new password can be set. Returns its secret.

    Raises `UnknownMember`, `NotAllowed` for somebody who is switched off.
    """
    member = members.hold_member(tx, staff_id)
    if member.disabled_at is not None:
        raise NotAllowed()
    return _invite(tx, deployment, staff_id, by)


@transaction
def accept_invitation(
    tx: Session, deployment: Deployment, secret: str, password: str
) -> StaffMember:
    """Set the password of who was invited; what he was signed in with before ends.

    He may have a second factor, which is asked for as ever. Raises `InvitationOver`,
    `WeakPassword`.
    """
    now = deployment.clock.now()
    member = invitations.use(tx, secret, now)
    members.set_password(member, password)
    sessions.end_all(tx, member.id, End.password, now)
    details = {"with": "invitation"}
    audit.note(
        tx,
        by=member.email,
        action="password set",
        subject=member.subject,
        details=details,
        now=now,
    )
    return member


@transaction
def change_password(
    tx: Session, deployment: Deployment, staff_id: int, password: str, *, kept: int | None, by: str
) -> None:
    """Set a new password, after the old one was compared; all sessions end but `kept`.

    Raises `UnknownMember`, `WeakPassword`.
    """
    now = deployment.clock.now()
    member = members.hold_member(tx, staff_id)
    members.set_password(member, password)
    invitations.withdraw(tx, staff_id, now)
    sessions.end_all(tx, staff_id, End.password, now, but=kept)
    audit.note(tx, by=by, action="password set", subject=member.subject, now=now)


@transaction
def change_member(
    tx: Session,
    deployment: Deployment,
    staff_id: int,
    *,
    role: Role,
    store: str | None,
    name: str,
    by: str,
) -> StaffMember:
    """Another role, store or name. With another role or store all of his sessions end.

    Raises `UnknownMember`, `LastOwner`, `StoreOfManager`, `UnknownStore`.
    """
    now = deployment.clock.now()
    member = members.hold_member(tx, staff_id)
    store_id = stores.store_by_slug(tx, store).id if store else None
    if (member.role, member.store_id) != (role, store_id):
        details = {"was": member.role, "role": role, "store": store}
        members.change_role(tx, member, role, store_id)
        sessions.end_all(tx, staff_id, End.role, now)
        audit.note(
            tx, by=by, action="role changed", subject=member.subject, details=details, now=now
        )
    if member.name != name:
        member.name = name
        audit.note(tx, by=by, action="member renamed", subject=member.subject, now=now)
    return member


@transaction
def switch_staff_off(tx: Session, deployment: Deployment, staff_id: int, *, by: str) -> StaffMember:
    """Let a member in no more, from this moment on. Raises `UnknownMember`, `LastOwner`."""
    now = deployment.clock.now()
    member = members.hold_member(tx, staff_id)
    if member.disabled_at is None:
        members.switch_off(tx, member, now)
        sessions.end_all(tx, staff_id, End.off, now)
        invitations.withdraw(tx, staff_id, now)
        audit.note(tx, by=by, action="member switched off", subject=member.subject, now=now)
    return member


@transaction
def switch_staff_on(tx: Session, deployment: Deployment, staff_id: int, *, by: str) -> StaffMember:
    """Let a member in again, with the password he had. Raises `UnknownMember`."""
    member = members.hold_member(tx, staff_id)
    if member.disabled_at is not None:
        member.disabled_at = None
        now = deployment.clock.now()
        audit.note(tx, by=by, action="member switched on", subject=member.subject, now=now)
    return member


def _add(
    tx: Session,
    deployment: Deployment,
    email: str,
    password: str | None,
    role: Role,
    store: str | None,
    name: str,
    by: str,
) -> int:
    now = deployment.clock.now()
    staff_id = staff.add_staff(
        tx,
        email=email,
        password=password,
        role=role,
        store_id=stores.store_by_slug(tx, store).id if store else None,
        name=name,
        now=now,
    )
    details = {"role": role, "store": store}
    subject = members.subject_of(staff_id)
    audit.note(tx, by=by, action="member added", subject=subject, details=details, now=now)
    return staff_id


def _invite(tx: Session, deployment: Deployment, staff_id: int, by: str) -> str:
    now = deployment.clock.now()
    secret = invitations.invite(tx, staff_id, by=by, now=now)
    audit.note(tx, by=by, action="member invited", subject=members.subject_of(staff_id), now=now)
    return secret


# What of people is seen


@transaction
def see_contacts(
    tx: Session, deployment: Deployment, customer_id: int, *, why: str, reason: str, by: str
) -> list[Contact]:
    """A customer's whole numbers and addresses, and that somebody saw them, and why.

    Raises `UnknownCustomer`.
    """
    customer = people.customer_by_id(tx, customer_id)
    found = people.identities_of(tx, deployment.keys, customer.id)
    audit.note(
        tx,
        by=by,
        action="contacts seen",
        subject=f"customer:{customer.id}",
        details={"why": why, "reason": reason, "kinds": [each.kind for each in found]},
        now=deployment.clock.now(),
    )
    return found


@transaction
def note_export(
    tx: Session, deployment: Deployment, what: str, wanted: Mapping[str, Any], *, by: str
) -> None:
    """Keep that somebody took a list out of the console, and which part of it."""
    audit.note(
        tx,
        by=by,
        action="list taken out",
        subject=f"list:{what}",
        details=dict(wanted),
        now=deployment.clock.now(),
    )
