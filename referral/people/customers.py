"""Customers: people the brand knows, their identities, names and consent."""

import re
from collections.abc import Collection, Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from referral.crypto import KeyRing
from referral.db import Base, RowId, insert_new, insert_new_id, lock, run
from referral.db.bulk import among, numbers
from referral.db.round_trips import Ask, ask
from referral.errors import N_, Conflict, InvalidInput, NotFound
from referral.people.contacts import Contact, IdentityKind
from referral.people.names import index_names, index_new

NAME_LENGTH_MAX = 40
CONSENT_VERSION = "2026-11"


class Customer(Base):
    """A person the brand knows. Personal fields are encrypted."""

    __tablename__ = "customers"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    name_encrypted: Mapped[str | None] = mapped_column(sa.Text)
    created_at: Mapped[datetime] = mapped_column(index=True)
    merged_into: Mapped[int | None] = mapped_column(sa.ForeignKey("customers.id"), index=True)
    """The customer who is the same person and was kept; never one who is gone as well."""

    __table_args__ = (sa.CheckConstraint("merged_into <> id", name="not_into_oneself"),)


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


class Consent(Base):
    """What a customer agreed to, in which version, and when."""

    __tablename__ = "consents"

    customer_id: Mapped[int] = mapped_column(sa.ForeignKey("customers.id"), primary_key=True)
    purpose: Mapped[str] = mapped_column(sa.String(20), primary_key=True)
    version: Mapped[str] = mapped_column(sa.String(20), primary_key=True)
    given_at: Mapped[datetime]


class BadName(InvalidInput):
    slug = "bad-name"
    title = N_("Please enter a name of 1 to 40 characters.")
    advice = N_("A nickname is enough.")


class NameIsContact(InvalidInput):
    slug = "name-is-contact"
    title = N_("A name cannot say where somebody is reached.")
    advice = N_("A nickname is enough: it is shown to people who open your link.")


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


_REACHED_AT = re.compile(
    r"\d(\W*\d){6}|@|www\.|://|(微信|wechat|weixin|vx|qq|whatsapp|telegram)\W*[a-z0-9]\w{3}",
    re.IGNORECASE,
)
"""A number, an address, or an account elsewhere: names are shown to strangers."""


def clean_name(text: str) -> str:
    """A display name: printable, spaces collapsed, 1 to 40 characters. Raises `BadName`."""
    # The zero-width joiner holds emoji such as families together; other invisibles are dropped.
    kept = "".join(c if c.isprintable() or c == "\u200d" else " " for c in text)
    name = " ".join(kept.split())
    if not 0 < len(name) <= NAME_LENGTH_MAX or not name.strip("\u200d "):
        raise BadName()
    return name


def is_customer(tx: Session, customer_id: int) -> bool:
    return tx.scalar(sa.select(sa.exists().where(Customer.id == customer_id))) or False


def customer_by_id(tx: Session, customer_id: int) -> Customer:
    """The customer whom a number stands for: her own, or one who has gone into her.

    Raises `UnknownCustomer`.
    """
    customer = tx.get(Customer, customer_id)
    if customer is None:
        raise UnknownCustomer()
    return customer if customer.merged_into is None else tx.get_one(Customer, customer.merged_into)


_ROW = sa.select(Customer.id, Customer.merged_into).where(Customer.id == sa.bindparam("customer"))
# Without KEY: a reward for this customer, written beside us, only asks that the row stays.
_LOCK = _ROW.with_for_update(key_share=True)
_HOLD = _ROW.with_for_update(key_share=True, read=True)


def lock_customer(tx: Session, customer_id: int) -> int:
    """Hold a customer's row until the end of the transaction, alone but for `hold`.

    Returns the customer whom the number stands for, who is locked. Raises `UnknownCustomer`.
    """
    return _follow(tx, _LOCK, customer_id)


_LOCK_ALL = (
    sa.select(Customer.id)
    .where(among(Customer.id, "customers"))
    .order_by(Customer.id)
    .with_for_update(key_share=True)
)
_KNOWN = sa.select(
    Customer.id, sa.func.coalesce(Customer.merged_into, Customer.id).label("now")
).where(among(Customer.id, "customers"))


def lock_customers(tx: Session, customers: Collection[int]) -> None:
    """Hold the rows of several customers who were not merged a moment ago, in a fixed order."""
    run(tx, _LOCK_ALL, customers=numbers(tx, customers)).all()


# The same as something to ask together with other statements. The rows have `id` and `merged_into`:
# whoever has gone into another customer is followed by `lock_customer` or `hold`.


def asking_lock(customer_id: int) -> Ask:
    return ask(_LOCK, customer=customer_id)


def asking_locks(tx: Session, customers: Collection[int]) -> Ask:
    return ask(_LOCK_ALL, customers=numbers(tx, customers))


def asking_hold(customer_id: int) -> Ask:
    return ask(_HOLD, customer=customer_id)


def asking_known(tx: Session, customers: Collection[int]) -> Ask:
    """Which of these numbers there are: rows of `id` and whom it stands for `now`."""
    return ask(_KNOWN, customers=numbers(tx, customers))


def hold(tx: Session, customer_id: int) -> int:
    """Keep a customer from being merged until the end of the transaction; many may at once.

    For whoever writes something about a customer without locking her. Returns the customer whom
    the number stands for. Raises `UnknownCustomer`.
    """
    return _follow(tx, _HOLD, customer_id)


def stands_for(tx: Session, customer_id: int) -> int:
    """The customer whom a number stands for at this moment. Raises `UnknownCustomer`."""
    return _follow(tx, _ROW, customer_id)


def _follow(tx: Session, statement: sa.Executable, customer_id: int) -> int:
    while True:  # there are no chains; but who is kept may go into somebody else meanwhile
        row = run(tx, statement, customer=customer_id).one_or_none()
        if row is None:
            raise UnknownCustomer()
        if row.merged_into is None:
            return customer_id
        customer_id = row.merged_into


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
    may_add: bool = True,
) -> tuple[int, bool]:
    """The customer with any of these identities, or a new one; and whether it is new.

    Identities that are missing are added; to a customer who is known only if one `may_add` to
    what that one signs in with. `owner` is the customer they are to be of, where that is known
    already. Raises `CustomerExists` when they belong to several or to another one.
    """
    for each in sorted(contacts, key=lambda c: (c.kind, c.value)):
        # Two sign-ins of a new person at once would both find nobody. The oldest key names the
        # lock: while a new one is being rolled out, not every process has that.
        lock(tx, f"identity|{each.kind}|{keys.blind_indexes(each.kind, each.value)[-1]}")
    if owner is not None:
        owner = hold(tx, owner)
    found = {c: find_customer(tx, keys, c) for c in contacts}
    known = {customer_id for customer_id in (owner, *found.values()) if customer_id is not None}
    is_new = not known
    if len(known) > 1:
        raise CustomerExists()
    if known:
        customer_id = hold(tx, known.pop())
    else:
        row = {"name_encrypted": keys.encrypt(name) if name else None, "created_at": now}
        made = insert_new_id(tx, Customer, row)
        assert made is not None  # the database numbers it, so it cannot be there already
        customer_id = made
        if name:
            index_new(tx, keys, {customer_id: name})
    for identity, owner in found.items():
        if owner is None and (is_new or may_add):
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
    """Set the name that somebody gives herself, or take it away with None.

    Raises `BadName`, `NameIsContact`, `UnknownCustomer`.
    """
    name = None if name is None else clean_name(name)
    if name is not None and _REACHED_AT.search(name):
        raise NameIsContact()
    customer_id = hold(tx, customer_id)
    run(tx, _RENAME, customer=customer_id, name=None if name is None else keys.encrypt(name))
    index_names(tx, keys, {customer_id: name})


def consent(tx: Session, customer_id: int, purpose: str, now: datetime) -> None:
    row = {"customer_id": customer_id, "purpose": purpose, "version": CONSENT_VERSION}
    insert_new(tx, Consent, {**row, "given_at": now})
