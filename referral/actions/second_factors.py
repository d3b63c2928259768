"""Second factors of staff: adding and removing them, and proving oneself with one."""

from collections.abc import Callable
from datetime import datetime

from sqlalchemy.orm import Session

from referral import audit
from referral.db import transaction
from referral.deployment import Deployment
from referral.staff import (
    StaffMember,
    members,
    passkeys,
    recovery,
    second_factors,
    spent,
    subjects,
    totp,
)
from referral.staff.passkeys import NoPasskeysHere, Party, PasskeyRefused
from referral.staff.second_factors import SecondFactorNeeded, SecondFactors, SecondFactorThere
from referral.staff.subjects import Person

ADDED = "second factor added"
REMOVED = "second factor removed"


@transaction
def add_totp(
    tx: Session,
    deployment: Deployment,
    member: StaffMember,
    secret: str,
    code: str,
    *,
    only_first: bool = False,
) -> list[str]:
    """Ask a member for codes of his app from now on. Returns recovery codes if these are his first.

    `only_first`: he has proved to be himself with a password alone, so if there is a second factor
    he has to use that one. Raises `WrongCode`, `TotpExists`, `SecondFactorThere`.
    """
    now = deployment.clock.now()
    before = _held(tx, member)
    if only_first and before.are_any:
        raise SecondFactorThere()
    totp.add(tx, deployment.keys, member.id, secret, code, now)
    _note(tx, member, ADDED, {"what": "totp"}, now)
    return _first_codes(tx, deployment, member, before, now)


@transaction
def remove_totp(tx: Session, deployment: Deployment, member: StaffMember) -> bool:
    """Returns whether there was one. Raises `SecondFactorNeeded`."""
    _held(tx, member)
    if not totp.remove(tx, member.id):
        return False
    _note(tx, member, REMOVED, {"what": "totp"}, deployment.clock.now())
    _check_left(tx, deployment, member)
    return True


@transaction
def make_recovery_codes(tx: Session, deployment: Deployment, member: StaffMember) -> list[str]:
    """New codes in the place of the old ones; none for who has no second factor."""
    if not _held(tx, member).are_any:
        return []
    return _codes(tx, deployment, member, deployment.clock.now())


@transaction
def add_passkey(
    tx: Session,
    deployment: Deployment,
    member: StaffMember,
    *,
    challenge: str,
    handle: str,
    answer: str,
    name: str,
) -> list[str]:
    """Keep a passkey that a browser made for the challenge, which is good once.

    Returns recovery codes if this is the member's first second factor. Raises `PasskeyRefused`,
    `PasskeyExists`, `PasskeysFull`, `NoPasskeysHere`.
    """
    now = deployment.clock.now()
    before = _held(tx, member)
    _spend(tx, challenge, now)
    number = passkeys.add(
        tx,
        party(deployment),
        member.id,
        challenge=challenge,
        handle=handle,
        answer=answer,
        name=name,
        now=now,
    )
    _note(tx, member, ADDED, {"what": "passkey", "passkey": number}, now)
    return _first_codes(tx, deployment, member, before, now)


@transaction
def remove_passkey(
    tx: Session, deployment: Deployment, member: StaffMember, passkey_id: int
) -> str | None:
    """The name of the one that is gone; None where the member has none of this number.

    Raises `SecondFactorNeeded`.
    """
    _held(tx, member)
    name = passkeys.remove(tx, member.id, passkey_id)
    if name is not None:
        details = {"what": "passkey", "passkey": passkey_id}
        _note(tx, member, REMOVED, details, deployment.clock.now())
        _check_left(tx, deployment, member)
    return name


@transaction
def unlink_provider(tx: Session, deployment: Deployment, member: StaffMember) -> bool:
    """Forget the member's account at the provider; he is known by his e-mail address again."""
    if not subjects.unbind(tx, member.id):
        return False
    _note(tx, member, "single sign-on unlinked", {}, deployment.clock.now())
    return True


@transaction
def clear_second_factors(tx: Session, deployment: Deployment, staff_id: int, *, by: str) -> None:
    """Leave a member with a password alone, and unlinked: for who has lost everything.

    Raises `UnknownMember`.
    """
    member = members.hold_member(tx, staff_id)
    second_factors.remove_all(tx, staff_id)
    subjects.unbind(tx, staff_id)
    now = deployment.clock.now()
    audit.note(tx, by=by, action="second factors cleared", subject=member.subject, now=now)


# Proving oneself


def use_totp(deployment: Deployment, member: StaffMember, code: str) -> None:
    """Accept a code of the member's app, once. Raises `WrongCode`, `TooMany`."""
    _limited(
        deployment,
        member,
        "totp",
        lambda tx, now: totp.use(tx, deployment.keys, member.id, code, now),
    )


def use_recovery_code(deployment: Deployment, member: StaffMember, code: str) -> None:
    """Accept one of the member's recovery codes, once. Raises `WrongRecoveryCode`, `TooMany`."""

    def work(tx: Session, now: datetime) -> None:
        recovery.use(tx, deployment.keys, member.id, code, now)
        _note(tx, member, "recovery code used", {}, now)

    _limited(deployment, member, "recovery", work)


@transaction
def use_passkey(tx: Session, deployment: Deployment, *, challenge: str, answer: str) -> StaffMember:
    """The member whose passkey signed the challenge, which is good once.

    Raises `PasskeyRefused`, `NoPasskeysHere`.
    """
    now = deployment.clock.now()
    used = passkeys.use(tx, party(deployment), challenge=challenge, answer=answer, now=now)
    _spend(tx, challenge, now)
    member = members.member_by_id(tx, used.staff_id)
    if member.disabled_at is not None:
        raise PasskeyRefused("switched off")
    return member


@transaction
def recognise(
    tx: Session, deployment: Deployment, person: Person, state: str, expires_at: datetime
) -> StaffMember | None:
    """The member that a person is whom the provider has named; None where this sign-in was
    finished before.

    Raises `EmailNotVerified`, `NotStaff`, `BoundToAnother`.
    """
    now = deployment.clock.now()
    if not spent.spend(tx, state, expires_at):
        return None
    is_new = not subjects.is_bound(tx, person)
    member = subjects.member_of(tx, person, now)
    if is_new:
        _note(tx, member, "single sign-on linked", {"issuer": person.issuer}, now)
    return member


def party(deployment: Deployment) -> Party:
    """Whom passkeys are for. Raises `NoPasskeysHere`."""
    config = deployment.config
    found = passkeys.party_of(config.base_url, config.brand)
    if found is None:
        raise NoPasskeysHere()
    return found


def _limited(
    deployment: Deployment,
    member: StaffMember,
    kind: str,
    work: Callable[[Session, datetime], None],
) -> None:
    """Count a try that does not succeed; counted beforehand, so that many at once all are."""
    tried = deployment.limits.second_factor(member.id, kind)
    deployment.db.transact(lambda tx: work(tx, deployment.clock.now()))
    deployment.limits.give_back(tried)


def _held(tx: Session, member: StaffMember) -> SecondFactors:
    """What the member has, which no other transaction changes meanwhile."""
    members.hold_member(tx, member.id)
    return second_factors.of_member(tx, member.id)


def _check_left(tx: Session, deployment: Deployment, member: StaffMember) -> None:
    """After something was removed. Raises `SecondFactorNeeded`."""
    if second_factors.of_member(tx, member.id).are_any:
        return
    if member.role in deployment.config.second_factor_roles:
        raise SecondFactorNeeded()
    recovery.remove(tx, member.id)  # without a second factor they open nothing


def _first_codes(
    tx: Session,
    deployment: Deployment,
    member: StaffMember,
    before: SecondFactors,
    now: datetime,
) -> list[str]:
    return [] if before.are_any else _codes(tx, deployment, member, now)


def _codes(tx: Session, deployment: Deployment, member: StaffMember, now: datetime) -> list[str]:
    _note(tx, member, "recovery codes made", {}, now)
    return recovery.make(tx, deployment.keys, member.id, now)


def _spend(tx: Session, challenge: str, now: datetime) -> None:
    if not spent.spend(tx, challenge, now + passkeys.CHALLENGE_LIFETIME):
        raise PasskeyRefused("challenge used before")


def _note(
    tx: Session, member: StaffMember, action: str, details: dict[str, object], now: datetime
) -> None:
    audit.note(tx, by=member.email, action=action, subject=member.subject, details=details, now=now)
