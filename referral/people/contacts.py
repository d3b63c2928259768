"""What a person is known by: phone numbers, e-mail addresses, member ids, WeChat's numbers."""

import re
import unicodedata
from dataclasses import dataclass
from enum import StrEnum

import phonenumbers
from email_validator import EmailNotValidError, validate_email

from referral.errors import N_, InvalidInput

EXTERNAL_ID_LENGTH_MAX = 120
WECHAT_ID_LENGTH_MAX = 64
DEFAULT_REGION = "CN"
"""The country of a phone number written without one."""


class IdentityKind(StrEnum):
    phone = "phone"
    email = "email"
    external = "external"
    """The brand's own member id."""
    wechat = "wechat"
    """The openid: a person at the brand's official account."""
    wechat_union = "wechat_union"
    """The unionid: a person at all of the brand's accounts and mini programs."""


CONTACTS = frozenset({IdentityKind.phone, IdentityKind.email})
"""The kinds that a one-time code can be sent to."""


class BadContact(InvalidInput):
    slug = "bad-contact"
    title = N_("This is not a phone number or e-mail address we can use.")
    advice = N_("Write a phone number such as 138 0013 8000, or an e-mail address.")


@dataclass(frozen=True)
class Contact:
    """A normalised identity: phones in E.164, e-mail addresses in lower case."""

    kind: IdentityKind
    value: str

    @property
    def masked(self) -> str:
        """Enough for its owner to recognise, too little for anybody else."""
        if self.kind is IdentityKind.email:
            name, _, domain = self.value.partition("@")
            return f"{name[:1]}***@{domain}"
        return f"{self.value[:3]}****{self.value[-4:]}"


def contact(text: str) -> Contact:
    """A phone number or e-mail address as typed. Raises `BadContact`."""
    text = unicodedata.normalize("NFKC", text).strip()  # Chinese keyboards write １３８ and ＠
    return email(text) if "@" in text else phone(text)


def phone(text: str) -> Contact:
    """Raises `BadContact`. Numbers without a country are taken as `DEFAULT_REGION`'s."""
    try:
        number = phonenumbers.parse(text.strip()[:40], DEFAULT_REGION)
    except phonenumbers.NumberParseException:
        raise BadContact() from None
    if not phonenumbers.is_valid_number(number):
        raise BadContact()
    e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return Contact(IdentityKind.phone, e164)


def email(text: str) -> Contact:
    """Raises `BadContact`."""
    try:
        checked = validate_email(text.strip(), check_deliverability=False)
    except EmailNotValidError:
        raise BadContact() from None
    return Contact(IdentityKind.email, checked.normalized.lower())


def external(text: str) -> Contact:
    """The brand's own member id. Raises `BadContact`."""
    text = text.strip()
    if not 0 < len(text) <= EXTERNAL_ID_LENGTH_MAX or not text.isprintable():
        raise BadContact()
    return Contact(IdentityKind.external, text)


def wechat(openid: str, unionid: str | None = None) -> list[Contact]:
    """The identities of somebody who signed in with WeChat. Raises `BadContact`."""
    found = [Contact(IdentityKind.wechat, openid)]
    if unionid:
        found.append(Contact(IdentityKind.wechat_union, unionid))
    for each in found:
        if not _WECHAT_ID.fullmatch(each.value):
            raise BadContact()
    return found


_WECHAT_ID = re.compile(rf"[\w-]{{1,{WECHAT_ID_LENGTH_MAX}}}", re.ASCII)
