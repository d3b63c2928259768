"""Pictures that staff upload: checked, made anew, and kept under the hash of what is kept.

Nothing of an uploaded file is kept as it was: it is decoded, turned upright, brought to sRGB and to
a size for phones, and written anew. So no metadata, such as where a photograph was taken, gets
out. They are kept in the database, where every process and machine of a deployment finds them.
"""

import hashlib
import io
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any

import sqlalchemy as sa
from PIL import Image, ImageCms, ImageOps
from pydantic import Field
from sqlalchemy.orm import Mapped, Session, mapped_column

from referral.db import Base, run, upsert
from referral.errors import N_, InvalidInput, NotFound

SHA256_LENGTH = 64
SHA256 = re.compile(r"[0-9a-f]{64}")
PictureHash = Annotated[str, Field(pattern=f"^{SHA256.pattern}$")]
FORMATS = ("JPEG", "PNG", "WEBP")
UPLOAD_BYTES_MAX = 8_000_000
PIXELS_MAX = 25_000_000
"""What a phone's camera makes; decoded it takes 75 MB for a moment."""
SIDE_MIN = 480
"""Smaller ones look coarse on posters."""
EVIDENCE_SIDE_MIN = 100
"""Of a photo that shows staff what is wrong and is never printed."""
STRETCH_MAX = 3
"""How many times as wide as high a picture may be, or the other way round."""
SIDE_MAX = 1440
"""What a phone shows over its whole width."""
STORED_BYTES_MAX = 400_000
SCANS_MAX = 100
"""A progressive JPEG has about ten; one made to keep a processor busy has thousands."""
MEDIA_TYPE = "image/jpeg"
UNUSED_KEPT = timedelta(days=1)
"""How long an uploaded picture waits for a campaign."""
_QUALITIES = (84, 74, 62, 48, 34)


class Picture(Base):
    __tablename__ = "pictures"

    sha256: Mapped[str] = mapped_column(sa.String(SHA256_LENGTH), primary_key=True)
    """Of `data`, in small hexadecimal digits."""
    data: Mapped[bytes] = mapped_column(sa.LargeBinary, deferred=True)
    media_type: Mapped[str] = mapped_column(sa.String(20))
    width: Mapped[int] = mapped_column(sa.Integer)
    height: Mapped[int] = mapped_column(sa.Integer)
    created_at: Mapped[datetime]
    """When it was uploaded last."""


class NotAPicture(InvalidInput):
    slug = "not-a-picture"
    title = N_("This is no picture that can be read.")
    advice = N_("Use a JPEG, PNG or WebP file that is whole.")


class PictureTooLarge(InvalidInput):
    slug = "picture-too-large"
    title = N_("This picture is too large.")
    advice = N_("At most 8 MB and 25 megapixels are taken. Make it smaller and send it again.")


class PictureTooSmall(InvalidInput):
    slug = "picture-too-small"
    title = N_("This picture is too small.")
    advice = N_("It needs 480 pixels on its shorter side, or it would look coarse on posters.")


class PhotoTooSmall(InvalidInput):
    slug = "photo-too-small"
    title = PictureTooSmall.title
    advice = N_("It needs 100 pixels on its shorter side, or nobody can see what it shows.")


class PictureTooLong(InvalidInput):
    slug = "picture-too-long"
    title = N_("This picture is too long and narrow.")
    advice = N_("Cut it so that its longer side is at most three times the shorter one.")


class UnknownPicture(InvalidInput):
    slug = "unknown-picture"
    title = N_("There is no such picture.")
    advice = N_("Upload the picture first, then name it by its hash.")


@dataclass(frozen=True)
class Ready:
    """A picture made anew, as it will be kept."""

    data: bytes
    width: int
    height: int

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()


def made_ready(upload: bytes, *, is_evidence: bool = False) -> Ready:
    """An uploaded file as it will be kept: a JPEG without metadata; white where it lets through.

    Evidence may be smaller than what is shown to readers. Raises `NotAPicture`, `PictureTooLarge`,
    `PictureTooLong`, and `PictureTooSmall` or, of evidence, `PhotoTooSmall`.
    """
    if len(upload) > UPLOAD_BYTES_MAX:
        raise PictureTooLarge()
    picture = _decoded(upload, is_evidence)
    buffer = io.BytesIO()
    for quality in _QUALITIES:
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=quality, progressive=True, optimize=True)
        if buffer.tell() <= STORED_BYTES_MAX:
            break
    return Ready(buffer.getvalue(), picture.width, picture.height)


def _decoded(upload: bytes, is_evidence: bool) -> Image.Image:
    try:
        with Image.open(io.BytesIO(upload), formats=FORMATS) as opened:
            # Before anything is decoded: a few bytes can say that they hold gigabytes.
            _check_size(*opened.size, is_evidence)
            if opened.format == "JPEG" and upload.count(b"\xff\xda") > SCANS_MAX:
                raise NotAPicture()
            opened.draft(None, (SIDE_MAX, SIDE_MAX))
            opened.load()
            return _upright_in_srgb(opened)
    except InvalidInput:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise PictureTooLarge() from None
    except Exception as error:
        # Over bytes that mean ill the decoders raise nearly everything there is.
        raise NotAPicture() from error


def _check_size(width: int, height: int, is_evidence: bool) -> None:
    shorter, longer = sorted((width, height))
    if width * height > PIXELS_MAX:
        raise PictureTooLarge()
    if is_evidence and shorter < EVIDENCE_SIDE_MIN:
        raise PhotoTooSmall()
    if not is_evidence and shorter < SIDE_MIN:
        raise PictureTooSmall()
    if longer > STRETCH_MAX * shorter:
        raise PictureTooLong()


def _upright_in_srgb(opened: Image.Image) -> Image.Image:
    profile = opened.info.get("icc_profile")
    picture = ImageOps.exif_transpose(opened)
    if picture.mode not in {"RGB", "CMYK", "L"}:
        picture = picture.convert("RGBA")
    picture.thumbnail((SIDE_MAX, SIDE_MAX), Image.Resampling.LANCZOS)
    if picture.mode == "RGBA":
        ground = Image.new("RGB", picture.size, "white")
        ground.paste(picture, mask=picture.getchannel("A"))
        picture = ground
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            converted = ImageCms.profileToProfile(
                picture, source, ImageCms.createProfile("sRGB"), outputMode="RGB"
            )
            picture = converted or picture
        except (ImageCms.PyCMSError, OSError):
            pass  # a broken profile, or one for other colours than these
    picture = picture.convert("RGB")
    picture.info.clear()  # what is left in it would be written
    return picture


def add_picture(tx: Session, ready: Ready, now: datetime) -> Picture:
    """Keep a picture, once."""
    row = {
        "sha256": ready.sha256,
        "data": ready.data,
        "media_type": MEDIA_TYPE,
        "width": ready.width,
        "height": ready.height,
        "created_at": now,
    }
    run(tx, upsert(tx, Picture, _uploaded_again), **row)
    return tx.get_one(Picture, row["sha256"])


def _uploaded_again(there: Any, uploaded: Any) -> dict[str, Any]:
    # The time it may wait for a campaign begins anew.
    return {"created_at": uploaded.created_at}


def check_known(tx: Session, hashes: Collection[str]) -> None:
    """Raises `UnknownPicture` if one of the hashes names none.

    Those that there are stay until this transaction ends: see `sweep`.
    """
    known = sa.select(Picture.sha256).where(Picture.sha256.in_(hashes)).order_by(Picture.sha256)
    locked = known.with_for_update(read=True, key_share=True)
    if hashes and len(tx.scalars(locked).all()) < len(set(hashes)):
        raise UnknownPicture()


def sweep(tx: Session, in_use: Callable[[], Collection[str]], now: datetime) -> int:
    """Drop the pictures that were uploaded a day ago and that nobody uses. Returns how many.

    `in_use` is asked after they are locked: whoever has just named one has locked it before, and
    whoever is about to will find that it is gone.
    """
    old = sa.select(Picture.sha256).where(Picture.created_at < now - UNUSED_KEPT)
    found = set(tx.scalars(old.order_by(Picture.sha256).with_for_update()))
    unused = found - set(in_use()) if found else set()
    for sha256 in sorted(unused):
        tx.execute(sa.delete(Picture).where(Picture.sha256 == sha256))
    return len(unused)


def size_of(tx: Session, sha256: str) -> tuple[int, int]:
    """Width and height of a picture. Raises `NotFound`."""
    row = tx.execute(
        sa.select(Picture.width, Picture.height).where(Picture.sha256 == sha256)
    ).one_or_none()
    if row is None:
        raise NotFound()
    return row.width, row.height


def data_of(tx: Session, sha256: str) -> bytes:
    """Raises `NotFound`."""
    data = None
    if SHA256.fullmatch(sha256):
        data = tx.scalar(sa.select(Picture.data).where(Picture.sha256 == sha256))
    if data is None:
        raise NotFound()
    return data
