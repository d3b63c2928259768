"""Print packages: which codes were handed over for printing, when and to whom.

A package is a folder of files for one printer order; here is what the service keeps of it. How its
files are written is in `writer`, how they are checked in `check`, and how a leaked list is traced
back to a package in `trace`.
"""

import secrets
from collections.abc import Iterable, Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from referral.codes import ALPHABET, Label
from referral.db import Base, insert_new, lock
from referral.errors import N_, Conflict

ID_LENGTH = 10
SUPPLIER_LENGTH_MAX = 80


class PrintPackage(Base):
    """A package that was written: the codes of one label from `start` up to, not including, `end`.

    `count` is smaller than that range when the package carries a fingerprint, see `fingerprint`.
    """

    __tablename__ = "print_packages"

    id: Mapped[str] = mapped_column(sa.String(ID_LENGTH), primary_key=True)
    batch_id: Mapped[int] = mapped_column(sa.ForeignKey("batches.id"), index=True)
    label: Mapped[str] = mapped_column(sa.String(5))
    start: Mapped[int] = mapped_column(sa.BigInteger)
    end: Mapped[int] = mapped_column(sa.BigInteger)
    count: Mapped[int] = mapped_column(sa.BigInteger)
    supplier: Mapped[str | None] = mapped_column(sa.String(SUPPLIER_LENGTH_MAX))
    """Whom it is for; None for a package without a fingerprint."""
    sha256: Mapped[str] = mapped_column(sa.String(64))
    """Of the list of codes, unencrypted, as one file."""
    by: Mapped[str] = mapped_column(sa.String(80))
    at: Mapped[datetime]

    __table_args__ = (sa.CheckConstraint('"end" > start', name="not_empty"),)


class GivenToAnother(Conflict):
    slug = "given-to-another-supplier"
    title = N_("Codes of this range were given to another supplier before.")
    advice = N_("Two printers must not print the same codes. If that is meant, ask for it again.")


def new_id() -> str:
    """A short name for a package: 50 random bits, in the letters that codes are made of."""
    return "".join(secrets.choice(ALPHABET) for _ in range(ID_LENGTH))


def check_not_given(
    tx: Session,
    *,
    package_id: str | None = None,
    batch_id: int,
    label: Label,
    start: int,
    end: int,
    supplier: str | None,
) -> None:
    """Raises `GivenToAnother` when another supplier has codes of this range.

    The package `package_id` itself does not count, nor do packages without a supplier: those are
    the brand's own.
    """
    if supplier is None:
        return
    taken = tx.scalar(
        sa.select(PrintPackage)
        .where(
            PrintPackage.batch_id == batch_id,
            PrintPackage.label == label,
            PrintPackage.start < end,
            PrintPackage.end > start,
            PrintPackage.supplier != supplier,
            PrintPackage.id != (package_id or ""),
        )
        .order_by(PrintPackage.at)
        .limit(1)
    )
    if taken is not None:
        raise GivenToAnother(
            f"Package {taken.id} with {taken.start} to {taken.end - 1} went to {taken.supplier}; "
            "--again hands the codes out once more."
        )


def add_package(tx: Session, package: PrintPackage, *, again: bool = False) -> bool:
    """Keep a package; False when it is kept already. Raises `GivenToAnother` unless `again`."""
    lock(tx, "print_packages")  # two suppliers at once would not see each other
    if not again:
        check_not_given(
            tx,
            package_id=package.id,
            batch_id=package.batch_id,
            label=Label(package.label),
            start=package.start,
            end=package.end,
            supplier=package.supplier,
        )
    columns = PrintPackage.__table__.columns.keys()
    return insert_new(tx, PrintPackage, {name: getattr(package, name) for name in columns}) == 1


def package_by_id(tx: Session, package_id: str) -> PrintPackage | None:
    return tx.get(PrintPackage, package_id)


def packages_of(tx: Session, batch_ids: Iterable[int]) -> Sequence[PrintPackage]:
    """The packages of these batches, oldest first."""
    return tx.scalars(
        sa.select(PrintPackage)
        .where(PrintPackage.batch_id.in_(list(batch_ids)))
        .order_by(PrintPackage.at, PrintPackage.id)
    ).all()
