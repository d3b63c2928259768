"""Passkeys (WebAuthn): a key in a phone, a computer or a token signs what only this service asks.

They are bound to the host of `REFERRAL_BASE_URL`, so a page elsewhere that looks alike gets none.
The device asks its owner for a finger, a face or a PIN each time, so a passkey is enough by itself.
"""

import json
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from referral.crypto import decode_base64, encode_base64
from referral.db import Base, RowId, insert_new_id
from referral.errors import N_, Conflict, Problem

NAME_LENGTH_MAX = 60
PASSKEYS_MAX = 20
"""How many one member can have."""
CREDENTIAL_LENGTH_MAX = 1400
"""An id has at most 1023 bytes; this is in base64."""
ANSWER_LENGTH_MAX = 20_000
"""Of what a browser sends back: without an attestation it is some hundred letters."""
CHALLENGE_BYTES = 32
CHALLENGE_LIFETIME = timedelta(minutes=5)
_DEFAULT_PORTS = {"http": 80, "https": 443}
_CREDENTIAL_ID = re.compile(rf"[A-Za-z0-9_-]{{1,{CREDENTIAL_LENGTH_MAX}}}")


class Passkey(Base):
    __tablename__ = "staff_passkeys"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    staff_id: Mapped[int] = mapped_column(sa.ForeignKey("staff.id"), index=True)
    name: Mapped[str] = mapped_column(sa.String(NAME_LENGTH_MAX))
    credential_id: Mapped[str] = mapped_column(sa.String(CREDENTIAL_LENGTH_MAX), unique=True)
    user_handle: Mapped[str] = mapped_column(sa.String(64))
    """What devices know the member by: random, and the same for all of his passkeys."""
    public_key: Mapped[bytes] = mapped_column(sa.LargeBinary)
    sign_count: Mapped[int] = mapped_column(sa.BigInteger)
    """How often the device says that it has signed; 0 where it does not count."""
    transports: Mapped[list[Any]]
    added_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class PasskeyRefused(Problem):
    slug = "passkey-refused"
    status = 403
    title = N_("This passkey could not be checked.")
    advice = N_("Please press the button again, or sign in another way.")


class PasskeyExists(Conflict):
    slug = "passkey-exists"
    title = N_("This passkey is there already.")
    advice = N_("Please use another device, or go on with the one that is listed.")


class PasskeysFull(Conflict):
    slug = "passkeys-full"
    title = N_("There are 20 passkeys already.")
    advice = N_("Please remove one that you do not use any more.")


class NoPasskeysHere(Conflict):
    slug = "no-passkeys-here"
    title = N_("Passkeys do not work at this address.")
    advice = N_("They need a host name, and https unless it is localhost.")


@dataclass(frozen=True)
class Party:
    """Whom passkeys are for."""

    id: str
    """The host."""
    origin: str
    name: str


def party_of(base_url: str, brand: str) -> Party | None:
    """Who we are to browsers; None at an address at which they have no passkeys."""
    parts = urlsplit(base_url)
    host = (parts.hostname or "").lower()
    is_local = host == "localhost" or host.endswith(".localhost")
    if (parts.scheme != "https" and not is_local) or _is_number(host):
        return None
    is_default = parts.port in (None, _DEFAULT_PORTS[parts.scheme])
    return Party(host, f"{parts.scheme}://{host}{'' if is_default else f':{parts.port}'}", brand)


def new_challenge() -> str:
    return secrets.token_urlsafe(CHALLENGE_BYTES)


def handle_of(existing: Sequence[Passkey]) -> str:
    """The user handle of a member who has these."""
    return existing[0].user_handle if existing else new_challenge()


def asking_to_add(
    party: Party, *, email: str, handle: str, challenge: str, existing: Sequence[Passkey]
) -> dict[str, Any]:
    """What a browser is asked so that it makes a passkey, as `navigator.credentials.create` has
    it in JSON."""
    from webauthn import generate_registration_options, options_to_json
    from webauthn.helpers.structs import (
        AuthenticatorSelectionCriteria,
        ResidentKeyRequirement,
        UserVerificationRequirement,
    )

    options = generate_registration_options(
        rp_id=party.id,
        rp_name=party.name,
        user_id=decode_base64(handle.encode()),
        user_name=email,
        challenge=decode_base64(challenge.encode()),
        exclude_credentials=_described(existing),
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED,
            user_verification=UserVerificationRequirement.REQUIRED,
        ),
    )
    asked: dict[str, Any] = json.loads(options_to_json(options))
    return asked


def add(
    tx: Session,
    party: Party,
    staff_id: int,
    *,
    challenge: str,
    handle: str,
    answer: str,
    name: str,
    now: datetime,
) -> int:
    """Keep what a browser made. Raises `PasskeyRefused`, `PasskeyExists`, `PasskeysFull`."""
    from webauthn import verify_registration_response
    from webauthn.helpers.exceptions import WebAuthnException

    sent = _read(answer)
    try:
        made = verify_registration_response(
            credential=sent,
            expected_challenge=decode_base64(challenge.encode()),
            expected_rp_id=party.id,
            expected_origin=party.origin,
            require_user_verification=True,
        )
    except (WebAuthnException, ValueError, LookupError, TypeError) as wrong:
        raise PasskeyRefused(str(wrong)) from None
    if len(of_member(tx, staff_id)) >= PASSKEYS_MAX:
        raise PasskeysFull()
    row = {
        "staff_id": staff_id,
        "name": name,
        "credential_id": encode_base64(made.credential_id).decode(),
        "user_handle": handle,
        "public_key": made.credential_public_key,
        "sign_count": made.sign_count,
        "transports": _transports(sent),
        "added_at": now,
    }
    number = insert_new_id(tx, Passkey, row)
    if number is None:
        raise PasskeyExists()
    return number


def asking(party: Party, challenge: str, allowed: Sequence[Passkey] = ()) -> dict[str, Any]:
    """What a browser is asked so that it signs in with a passkey: with any that it has here, or
    one of the `allowed`."""
    from webauthn import generate_authentication_options, options_to_json
    from webauthn.helpers.structs import UserVerificationRequirement

    options = generate_authentication_options(
        rp_id=party.id,
        challenge=decode_base64(challenge.encode()),
        allow_credentials=_described(allowed),
        user_verification=UserVerificationRequirement.REQUIRED,
    )
    asked: dict[str, Any] = json.loads(options_to_json(options))
    return asked


def use(tx: Session, party: Party, *, challenge: str, answer: str, now: datetime) -> Passkey:
    """The passkey that signed the challenge. Raises `PasskeyRefused`.

    A count that did not rise is refused: the key may have been copied.
    """
    from webauthn import verify_authentication_response
    from webauthn.helpers.exceptions import WebAuthnException

    sent = _read(answer)
    credential_id, said = sent.get("id"), sent.get("response")
    if not isinstance(credential_id, str) or not isinstance(said, dict):
        raise PasskeyRefused("no credential")
    if not _CREDENTIAL_ID.fullmatch(credential_id):  # the database refuses some texts
        raise PasskeyRefused("no credential")
    # Locked, so that of two signatures at one moment the second one sees the count of the first.
    found = tx.scalar(
        sa.select(Passkey).where(Passkey.credential_id == credential_id).with_for_update()
    )
    if found is None:
        raise PasskeyRefused("unknown credential")
    if said.get("userHandle") not in (None, "", found.user_handle):
        raise PasskeyRefused("another user")
    try:
        used = verify_authentication_response(
            credential=sent,
            expected_challenge=decode_base64(challenge.encode()),
            expected_rp_id=party.id,
            expected_origin=party.origin,
            credential_public_key=found.public_key,
            credential_current_sign_count=found.sign_count,
            require_user_verification=True,
        )
    except (WebAuthnException, ValueError, LookupError, TypeError) as wrong:
        raise PasskeyRefused(str(wrong)) from None
    found.sign_count, found.used_at = used.new_sign_count, now
    tx.flush()
    return found


def of_member(tx: Session, staff_id: int) -> Sequence[Passkey]:
    """A member's passkeys, oldest first."""
    of = sa.select(Passkey).where(Passkey.staff_id == staff_id).order_by(Passkey.id)
    return tx.scalars(of).all()


def remove(tx: Session, staff_id: int, passkey_id: int) -> str | None:
    """Returns the name of the one that is gone; None where the member has none of this number."""
    gone = sa.delete(Passkey).where(Passkey.id == passkey_id, Passkey.staff_id == staff_id)
    name: str | None = tx.connection().execute(gone.returning(Passkey.name)).scalar_one_or_none()
    return name


def remove_all(tx: Session, staff_id: int) -> None:
    tx.connection().execute(sa.delete(Passkey).where(Passkey.staff_id == staff_id))


def _described(known: Sequence[Passkey]) -> list[Any]:
    from webauthn.helpers.structs import AuthenticatorTransport, PublicKeyCredentialDescriptor

    return [
        PublicKeyCredentialDescriptor(
            id=decode_base64(each.credential_id.encode()),
            transports=[AuthenticatorTransport(name) for name in each.transports],
        )
        for each in known
    ]


def _transports(sent: dict[str, Any]) -> list[str]:
    """How the device is reached, in the browser's word: a hint for it the next time."""
    from webauthn.helpers.structs import AuthenticatorTransport

    said = sent.get("response", {}).get("transports")
    known = {each.value for each in AuthenticatorTransport}
    return [name for name in said if name in known] if isinstance(said, list) else []


def _read(answer: str) -> dict[str, Any]:
    try:
        sent = json.loads(answer) if len(answer) <= ANSWER_LENGTH_MAX else None
    except (ValueError, RecursionError):
        sent = None
    if not isinstance(sent, dict):
        raise PasskeyRefused("unreadable")
    return sent


def _is_number(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
