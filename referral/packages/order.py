"""What a package is to hold, and its manifest, which says what it does hold."""

from typing import Annotated, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field

from referral.batches import LostBatchKey, NoSuchLabel
from referral.codes import Label, Numbered, carries
from referral.crypto import KeyRing
from referral.packages.fingerprint import Fingerprint
from referral.printing.labels import MODULE_MIN
from referral.printing.qr import QR_BORDER, Level, printed_address, version_of
from referral.ranges import BadRange

BATCH_ID_MAX = 2**63 - 1
"""What a column holds: a database is not asked for more."""

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
# Names from a folder that came back are opened: none leads out of it.
FileName = Annotated[
    str,
    Field(pattern=r"^(codes\.csv|codes-[0-9]{4,}\.csv\.age|identity\.age|samples/[0-9]+\.svg)$"),
]


class _Kept(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Order(_Kept):
    """What is asked for. Two orders that are equal make packages that differ in their id only."""

    batch: int
    name: str
    gtin: str
    label: Label
    start: int
    end: int
    address: str
    """What every printed address begins with; the code follows."""
    level: Level
    supplier: str | None
    recipients: tuple[str, ...] = ()
    """The public keys it is encrypted to."""
    with_passphrase: bool = False
    """Whether it is encrypted to a key of its own, which a passphrase opens."""

    def fingerprint(self, keys: KeyRing, key_id: str, package_id: str) -> Fingerprint | None:
        """What a package of this order leaves out. Raises `LostBatchKey`."""
        if self.supplier is None:
            return None
        try:
            return Fingerprint(keys, key_id, package_id)
        except KeyError:
            raise LostBatchKey() from None


class Issued(Numbered, Protocol):
    """What an order needs to know of a batch."""

    @property
    def name(self) -> str: ...
    @property
    def scheme(self) -> str: ...


def order_for(
    batch: Issued,
    gtin: str,
    keys: KeyRing,
    base_url: str,
    *,
    start: int | None = None,
    end: int | None = None,
    label: Label = Label.inner,
    level: Level = "M",
    supplier: str | None = None,
    recipients: tuple[str, ...] = (),
    with_passphrase: bool = False,
) -> Order:
    """An order for a range of a batch, all of it by default.

    Raises `BadRange`, `NoSuchLabel`, `LostBatchKey`.
    """
    first, last = start or 0, batch.size if end is None else end
    if not 0 <= first < last <= batch.size:
        raise BadRange(size=batch.size)
    if not carries(batch.labels, label):
        raise NoSuchLabel()
    if batch.key_id not in keys.key_ids:
        raise LostBatchKey()
    return Order(
        batch=batch.id,
        name=batch.name,
        gtin=gtin,
        label=label,
        start=first,
        end=last,
        address=printed_address(base_url, batch.scheme, gtin, ""),
        level=level,
        supplier=supplier,
        recipients=recipients,
        with_passphrase=with_passphrase,
    )


class Piece(_Kept):
    """What is in a file of an encrypted list, once it is opened."""

    start: int
    end: int
    count: int
    bytes: int
    sha256: Digest


class PackageFile(_Kept):
    name: FileName
    bytes: int
    sha256: Digest
    holds: Piece | None = None


class Sample(_Kept):
    file: FileName
    index: int


class Printing(_Kept):
    """How large the QR codes are: in modules, and at least in millimetres."""

    level: Level
    version: int
    modules: int
    quiet_zone_modules: int
    module_mm_min: float
    side_mm_min: float
    """With the quiet zone."""


class Encryption(_Kept):
    format: Literal["age"] = "age"
    recipients: tuple[str, ...]
    identity: Literal["identity.age"] | None


class Manifest(_Kept):
    """What is in a package; the file that makes it whole."""

    format: Literal[1] = 1
    id: Annotated[str, Field(pattern=r"^[0-9A-Z]{1,20}$")]
    batch: Annotated[int, Field(ge=1, le=BATCH_ID_MAX)]
    name: str
    gtin: str
    label: Label
    start: int
    end: int
    count: int
    supplier: str | None
    address: str
    sha256: Digest
    """Of all codes, unencrypted, as one file."""
    bytes: int
    qr: Printing
    encryption: Encryption | None
    files: tuple[PackageFile, ...]
    samples: tuple[Sample, ...]
    written_at: str


def printing_of(address: str, level: Level) -> Printing:
    """`address` with a code."""
    version = version_of(address, level)
    modules = 17 + 4 * version
    return Printing(
        level=level,
        version=version,
        modules=modules,
        quiet_zone_modules=QR_BORDER,
        module_mm_min=MODULE_MIN,
        side_mm_min=round((modules + 2 * QR_BORDER) * MODULE_MIN, 2),
    )
