"""People: visitors (browsers, anonymous), customers, their identities, sign-in and consent."""

import hmac
import re
import secrets
import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

import phonenumbers
import sqlalchemy as sa
from email_validator import EmailNotValidError, validate_email
from sqlalchemy.orm import Mapped, Session, mapped_column

from referral.crypto import KeyRing, keyed_hash
from referral.db import Base, RowId, insert_new, insert_new_id, lock, run
from referral.errors import N_, Conflict, InvalidInput, NotFound, Problem

NAME_LENGTH_MAX = 40
EXTERNAL_ID_LENGTH_MAX = 120
WECHAT_ID_LENGTH_MAX = 64
CODE_DIGITS = 6
CODE_TRIES_MAX = 5
CODE_LIFETIME = timedelta(minutes=10)
PROOF_TIME = timedelta(hours=1)
"""How long a browser has to prove that it runs the pages it loads."""
DEFAULT_REGION = "CN"
"""The country of a phone number written without one."""
CONSENT_VERSION = "2026-11"


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


class Customer(Base):
    """A person the brand knows. Personal fields are encrypted."""

    __tablename__ = "customers"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    name_encrypted: Mapped[str | None] = mapped_column(sa.Text)
    created_at: Mapped[datetime] = mapped_column(index=True)


class Visitor(Base):
    """One browser. Its id is a random 63-bit number made before anything is stored."""

    __tablename__ = "visitors"

    id: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    customer_id: Mapped[int | None] = mapped_column(sa.ForeignKey("customers.id"), index=True)
    created_at: Mapped[datetime]
    ran_at: Mapped[datetime | None]
    """When it proved to be a person's browser: it ran a page, somebody signed in on it, or people
    opened its link."""
    sift_at: Mapped[datetime | None]
    """When it is to be looked at whether it did, see `actions.sift`; None when there is no need."""
    sifted_at: Mapped[datetime | None]
    """Since when its openings are not taken for a person's; None while they are."""

    __table_args__ = (
        sa.Index(
            None,
            "sift_at",
            sqlite_where=sa.text("sift_at IS NOT NULL"),
            postgresql_where=sa.text("sift_at IS NOT NULL"),
        ),
    )


class Identity(Base):
    """What a customer is known by. The blind index keeps it unique without showing it."""

    __tablename__ = "identities"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    customer_id: Mapped[int] = mapped_column(sa.ForeignKey("customers.id"), index=True)
    kind: Mapped[str] = mapped_column(sa.String(12))
    blind_index: Mapped[str] = mapped_column(sa.String(64))
    value_encrypted: Mapped[str] = mapped_column(sa.Text)
    created_at: Mapped[datetime]

    __table_args__ = (sa.UniqueConstraint("kind", "blind_index"),)


class SignInCode(Base):
    """A one-time code on its way to a phone or e-mail. Only its keyed hash is kept."""

    __tablename__ = "sign_in_codes"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    kind: Mapped[str] = mapped_column(sa.String(12))
    blind_index: Mapped[str] = mapped_column(sa.String(64), index=True)
    visitor_id: Mapped[int] = mapped_column(sa.BigInteger)
    """The browser that asked for it: a code is good there only, so nobody can spend another's."""
    code_hash: Mapped[str] = mapped_column(sa.String(64))
    tries: Mapped[int] = mapped_column(sa.Integer, default=0)
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class Consent(Base):
    """What a customer agreed to, in which version, and when."""

    __tablename__ = "consents"

    customer_id: Mapped[int] = mapped_column(sa.ForeignKey("customers.id"), primary_key=True)
    purpose: Mapped[str] = mapped_column(sa.String(20), primary_key=True)
    version: Mapped[str] = mapped_column(sa.String(20), primary_key=True)
    given_at: Mapped[datetime]


class BadContact(InvalidInput):
    slug = "bad-contact"
    title = N_("This is not a phone number or e-mail address we can use.")
    advice = N_("Write a phone number such as 138 0013 8000, or an e-mail address.")


class BadName(InvalidInput):
    slug = "bad-name"
    title = N_("Please enter a name of 1 to 40 characters.")
    advice = N_("A nickname is enough.")


class WrongSignInCode(Problem):
    slug = "wrong-sign-in-code"
    status = 403
    title = N_("This code is not right.")
    advice = N_("Please compare it with the message, or have a new one sent.")


class SignInCodeSpent(Problem):
    slug = "sign-in-code-spent"
    status = 403
    title = N_("This code can no longer be used.")
    advice = N_("Please have a new one sent.")


class UnknownCustomer(NotFound):
    slug = "unknown-customer"
    title = N_("We do not know this customer.")
    advice = N_("Please check the number.")


class CustomerExists(Conflict):
    slug = "customer-exists"
    title = N_("These details belong to different customers.")
    advice = N_("Send details of one person only.")


class ContactTaken(Conflict):
    slug = "contact-taken"
    title = N_("You have another page here under this number or address.")
    advice = N_("To use that one, sign out and sign in with it. Here, please add another one.")


class ContactKept(Conflict):
    slug = "contact-kept"
    title = N_("There is one of this kind on your page already.")
    advice = N_("You can add one phone number and one e-mail address.")


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


def clean_name(text: str) -> str:
    """A display name: printable, spaces collapsed, 1 to 40 characters. Raises `BadName`."""
    # The zero-width joiner holds emoji such as families together; other invisibles are dropped.
    kept = "".join(c if c.isprintable() or c == "\u200d" else " " for c in text)
    name = " ".join(kept.split())
    if not 0 < len(name) <= NAME_LENGTH_MAX or not name.strip("\u200d "):
        raise BadName()
    return name


def new_visitor_id() -> int:
    return secrets.randbits(63)


def new_sign_in_code() -> str:
    return f"{secrets.randbelow(10**CODE_DIGITS):0{CODE_DIGITS}}"


# Visitors


def remember_visitor(tx: Session, visitor_id: int, now: datetime) -> bool:
    """Whether it is a new one. It has `PROOF_TIME` to show that it runs pages."""
    row = {"id": visitor_id, "customer_id": None, "created_at": now, "sift_at": now + PROOF_TIME}
    return insert_new(tx, Visitor, row) == 1


# Through the table, like all statements of every visit. Who was taken out is to be put back.
_VISITOR = Visitor.__table__.c
_TIME = _VISITOR.ran_at.type
_PROVEN = {
    "ran_at": sa.func.coalesce(_VISITOR.ran_at, sa.bindparam("at", type_=_TIME)),
    "sift_at": sa.case((_VISITOR.sifted_at.is_not(None), sa.bindparam("at", type_=_TIME))),
}
_RAN = (
    sa.update(Visitor)
    .where(Visitor.id == sa.bindparam("visitor"), Visitor.ran_at.is_(None))
    .values(_PROVEN)
)
_LOOK_AGAIN = (
    sa.update(Visitor)
    .where(Visitor.id == sa.bindparam("visitor"), Visitor.ran_at.is_(None))
    .values(sift_at=sa.func.coalesce(_VISITOR.sift_at, sa.bindparam("due", type_=_TIME)))
)


def note_ran(tx: Session, visitor_id: int, at: datetime) -> bool:
    """Keep that this visitor's browser ran a page: a person's does. Whether that is news."""
    return run(tx, _RAN, visitor=visitor_id, at=at).rowcount == 1


def look_again(tx: Session, visitor_id: int, due: datetime) -> None:
    """Have a visitor that has proved nothing looked at once more.

    Until the end of this transaction nobody else does so.
    """
    run(tx, _LOOK_AGAIN, visitor=visitor_id, due=due)


_FOLD = (
    sa.update(Visitor)
    .where(Visitor.id == sa.bindparam("visitor"))
    .where(sa.or_(Visitor.customer_id.is_(None), Visitor.customer_id == sa.bindparam("customer")))
    # Through the table: a session may be older than a database that was set up anew.
    .values(
        customer_id=sa.select(Customer.id)
        .where(Customer.id == sa.bindparam("customer"))
        .scalar_subquery(),
        **_PROVEN,
    )
)


def fold_visitor(tx: Session, visitor_id: int, customer_id: int, now: datetime) -> bool:
    """Make a visitor this customer's. False when it is another customer's already."""
    remember_visitor(tx, visitor_id, now)
    return run(tx, _FOLD, visitor=visitor_id, customer=customer_id, at=now).rowcount == 1


_VISITORS_OF = (
    sa.select(Visitor.id)
    .where(Visitor.customer_id == sa.bindparam("customer"))
    .order_by(Visitor.created_at, Visitor.id)
)


def visitors_of(tx: Session, customer_id: int) -> list[int]:
    """The customer's visitors, oldest first."""
    return list(run(tx, _VISITORS_OF, customer=customer_id).scalars())


def own_visitor(tx: Session, customer_id: int, fresh_id: int, now: datetime) -> int:
    """The visitor a customer shares as where no browser is at hand, made if there is none yet."""
    visitors = visitors_of(tx, customer_id)
    if visitors:
        return visitors[0]
    fold_visitor(tx, fresh_id, customer_id, now)
    return fresh_id


def customer_of(tx: Session, visitor_id: int) -> int | None:
    """Which customer a visitor is, if any."""
    return tx.scalar(sa.select(Visitor.customer_id).where(Visitor.id == visitor_id))


@dataclass(frozen=True)
class Suspect:
    """A visitor to be looked at: whether its browser has proved to be a person's."""

    id: int
    has_run: bool


_DUE = (
    sa.select(Visitor.id, Visitor.ran_at)
    .where(Visitor.sift_at <= sa.bindparam("now", type_=_TIME))
    .order_by(Visitor.sift_at)
    .limit(sa.bindparam("most"))
    .with_for_update(skip_locked=True)
)
_IS_ONE = Visitor.id.in_(sa.bindparam("visitors", expanding=True))
_PROVEN_ONES = sa.select(Visitor.id).where(_IS_ONE, Visitor.ran_at.is_not(None))
_TAKE_FOR_PERSONS = (
    sa.update(Visitor)
    .where(_IS_ONE)
    .values(
        ran_at=sa.func.coalesce(_VISITOR.ran_at, sa.bindparam("now", type_=_TIME)),
        sift_at=None,
        sifted_at=None,
    )
)
_TAKE_FOR_MACHINES = (
    sa.update(Visitor).where(_IS_ONE).values(sift_at=None, sifted_at=sa.bindparam("now"))
)
_SUSPECT = (
    sa.update(Visitor).where(_IS_ONE, Visitor.ran_at.is_(None)).values(sift_at=sa.bindparam("due"))
)


def suspects(tx: Session, now: datetime, most: int) -> list[Suspect]:
    """Visitors that are due to be looked at, locked; those that others are at are left out."""
    return [Suspect(row.id, row.ran_at is not None) for row in run(tx, _DUE, now=now, most=most)]


def proven_among(tx: Session, visitors: Collection[int]) -> set[int]:
    """Those of these visitors whose browsers have proved to be people's."""
    return set(run(tx, _PROVEN_ONES, visitors=list(visitors)).scalars())


def take_for_persons(tx: Session, visitors: Collection[int], now: datetime) -> None:
    """Keep that these visitors are people, for good."""
    run(tx, _TAKE_FOR_PERSONS, visitors=list(visitors), now=now)


def take_for_machines(tx: Session, visitors: Collection[int], now: datetime) -> None:
    """Keep that these visitors have not proved anything so far."""
    run(tx, _TAKE_FOR_MACHINES, visitors=list(visitors), now=now)


def suspect(tx: Session, visitors: Collection[int], due: datetime) -> None:
    """Have those of these visitors looked at again who have not proved anything."""
    if visitors:
        run(tx, _SUSPECT, visitors=list(visitors), due=due)


# Customers


def is_customer(tx: Session, customer_id: int) -> bool:
    return tx.scalar(sa.select(sa.exists().where(Customer.id == customer_id))) or False


def customer_by_id(tx: Session, customer_id: int) -> Customer:
    """Raises `UnknownCustomer`."""
    customer = tx.get(Customer, customer_id)
    if customer is None:
        raise UnknownCustomer()
    return customer


# Without KEY: a reward for this customer, written beside us, only asks that the row stays.
_LOCK = (
    sa.select(Customer.id)
    .where(Customer.id == sa.bindparam("customer"))
    .with_for_update(key_share=True)
)


def lock_customer(tx: Session, customer_id: int) -> None:
    """Hold a customer's row until the end of the transaction. Raises `UnknownCustomer`."""
    if run(tx, _LOCK, customer=customer_id).scalar() is None:
        raise UnknownCustomer()


_FIND = sa.select(Identity.customer_id).where(
    Identity.kind == sa.bindparam("kind"),
    Identity.blind_index.in_(sa.bindparam("indexes", expanding=True)),
)


def find_customer(tx: Session, keys: KeyRing, contact: Contact) -> int | None:
    indexes = keys.blind_indexes(contact.kind, contact.value)
    found: int | None = run(tx, _FIND, kind=contact.kind, indexes=indexes).scalar()
    return found


def find_or_add_customer(
    tx: Session,
    keys: KeyRing,
    contacts: Sequence[Contact],
    *,
    name: str | None,
    now: datetime,
    owner: int | None = None,
) -> tuple[int, bool]:
    """The customer with any of these identities, or a new one; and whether it is new.

    Identities that are missing are added. `owner` is the customer they are to be of, where that
    is known already. Raises `CustomerExists` when they belong to several or to another one.
    """
    for each in sorted(contacts, key=lambda c: (c.kind, c.value)):
        # Two sign-ins of a new person at once would both find nobody. The oldest key names the
        # lock: while a new one is being rolled out, not every process has that.
        lock(tx, f"identity|{each.kind}|{keys.blind_indexes(each.kind, each.value)[-1]}")
    found = {c: find_customer(tx, keys, c) for c in contacts}
    known = {customer_id for customer_id in (owner, *found.values()) if customer_id is not None}
    is_new = not known
    if len(known) > 1:
        raise CustomerExists()
    if known:
        customer_id = known.pop()
    else:
        row = {"name_encrypted": keys.encrypt(name) if name else None, "created_at": now}
        made = insert_new_id(tx, Customer, row)
        assert made is not None  # the database numbers it, so it cannot be there already
        customer_id = made
    for identity, owner in found.items():
        if owner is None:
            add_identity(tx, keys, customer_id, identity, now)
    return customer_id, is_new


def kinds_of(tx: Session, customer_id: int) -> set[IdentityKind]:
    """The kinds of identity a customer has."""
    kinds = tx.scalars(sa.select(Identity.kind).where(Identity.customer_id == customer_id))
    return {IdentityKind(kind) for kind in kinds}


def identities_of(tx: Session, keys: KeyRing, customer_id: int) -> list[Contact]:
    """What a customer is known by, oldest first."""
    rows = tx.execute(
        sa.select(Identity.kind, Identity.value_encrypted)
        .where(Identity.customer_id == customer_id)
        .order_by(Identity.id)
    )
    return [Contact(IdentityKind(kind), keys.decrypt(value)) for kind, value in rows]


def add_identity(
    tx: Session, keys: KeyRing, customer_id: int, contact: Contact, now: datetime
) -> None:
    """Raises `CustomerExists` when somebody else got it in the meantime."""
    row = {
        "customer_id": customer_id,
        "kind": contact.kind,
        "blind_index": keys.blind_indexes(contact.kind, contact.value)[0],
        "value_encrypted": keys.encrypt(contact.value),
        "created_at": now,
    }
    if not insert_new(tx, Identity, row):
        raise CustomerExists()


_RENAME = (
    sa.update(Customer)
    .where(Customer.id == sa.bindparam("customer"))
    .values(name_encrypted=sa.bindparam("name"))
)


def rename(tx: Session, keys: KeyRing, customer_id: int, name: str | None) -> None:
    """Set the name, or take it away with None. Raises `BadName`, `UnknownCustomer`."""
    name_encrypted = None if name is None else keys.encrypt(clean_name(name))
    if run(tx, _RENAME, customer=customer_id, name=name_encrypted).rowcount == 0:
        raise UnknownCustomer()


def consent(tx: Session, customer_id: int, purpose: str, now: datetime) -> None:
    row = {"customer_id": customer_id, "purpose": purpose, "version": CONSENT_VERSION}
    insert_new(tx, Consent, {**row, "given_at": now})


# Sign-in


_DROP_CODES = (
    sa.delete(SignInCode)
    .where(SignInCode.kind == sa.bindparam("of_kind"))
    .where(SignInCode.blind_index.in_(sa.bindparam("indexes", expanding=True)))
    .where(
        sa.or_(
            SignInCode.visitor_id == sa.bindparam("visitor"),
            SignInCode.expires_at <= sa.bindparam("now"),
        )
    )
)
# One statement counts and reads, so two tries at once are two tries.
_TRY_CODE = (
    sa.update(SignInCode)
    .where(SignInCode.kind == sa.bindparam("of_kind"))
    .where(SignInCode.blind_index.in_(sa.bindparam("indexes", expanding=True)))
    .where(SignInCode.visitor_id == sa.bindparam("visitor"))
    .where(SignInCode.used_at.is_(None), SignInCode.expires_at > sa.bindparam("now"))
    .where(SignInCode.tries < CODE_TRIES_MAX)
    .values(tries=SignInCode.tries + 1)
    .returning(SignInCode.id, SignInCode.code_hash)
)
_USE_CODE = (
    sa.update(SignInCode)
    .where(SignInCode.id == sa.bindparam("code"))
    .values(used_at=sa.bindparam("now"))
)


def issue_sign_in_code(
    tx: Session,
    keys: KeyRing,
    contact: Contact,
    code: str,
    visitor_id: int,
    now: datetime,
    owner: int | None = None,
) -> None:
    """Store a one-time code; those this browser had sent to this contact before stop working.

    With `owner` it is good for adding the contact to this customer, and for nothing else.
    """
    indexes = keys.blind_indexes(contact.kind, contact.value)
    lock(tx, f"sign-in-code|{indexes[-1]}")  # two at once would leave two codes
    run(tx, _DROP_CODES, of_kind=contact.kind, indexes=indexes, visitor=visitor_id, now=now)
    row = {
        "kind": contact.kind,
        "blind_index": indexes[0],
        "visitor_id": visitor_id,
        "code_hash": _code_hash(keys.derive("sign-in-code"), contact, code, owner),
        "tries": 0,
        "expires_at": now + CODE_LIFETIME,
        "used_at": None,
    }
    insert_new(tx, SignInCode, row)


def sweep_sign_in_codes(tx: Session, now: datetime) -> int:
    """Drop one-time codes that are used or too old. Returns how many."""
    spent = sa.or_(SignInCode.used_at.is_not(None), SignInCode.expires_at <= now)
    return tx.connection().execute(sa.delete(SignInCode).where(spent)).rowcount


class CodeCheck(StrEnum):
    right = "right"
    wrong = "wrong"
    spent = "spent"


def check_sign_in_code(
    tx: Session,
    keys: KeyRing,
    contact: Contact,
    code: str,
    visitor_id: int,
    now: datetime,
    owner: int | None = None,
) -> CodeCheck:
    """Compare the one-time code this browser asked for, counting the try; a right one is used up.

    `owner` is the customer it was asked for to add the contact to, if it was.

    The answer is returned rather than raised, because a wrong try has to be committed to count.
    """
    indexes = keys.blind_indexes(contact.kind, contact.value)
    row = run(
        tx, _TRY_CODE, of_kind=contact.kind, indexes=indexes, visitor=visitor_id, now=now
    ).one_or_none()
    if row is None:
        return CodeCheck.spent
    hashes = [_code_hash(key, contact, code, owner) for key in keys.derive_all("sign-in-code")]
    if not any(hmac.compare_digest(row.code_hash, candidate) for candidate in hashes):
        return CodeCheck.wrong
    run(tx, _USE_CODE, code=row.id, now=now)
    return CodeCheck.right


def _code_hash(key: bytes, contact: Contact, code: str, owner: int | None) -> str:
    # A slow hash would not help six digits; the key, which is not in the database, does.
    digits = "".join(c for c in unicodedata.normalize("NFKC", code) if c.isdigit())
    purpose = "" if owner is None else f"|{owner}"
    return keyed_hash(key, f"{contact.kind}|{contact.value}|{digits}{purpose}")
