"""Pictures that staff upload: what is taken, and what of it is kept."""

import io
import struct
import zlib

import pytest
from PIL import Image, ImageCms

from referral import actions, pictures
from referral.deployment import Deployment
from referral.errors import InvalidInput, NotFound
from referral.pictures import (
    NotAPicture,
    PhotoTooSmall,
    PictureTooLarge,
    PictureTooLong,
    PictureTooSmall,
    UnknownPicture,
    made_ready,
)
from tests.cast import draft
from tests.photos import file_of, photo, photo_file

ORIENTATION, GPS = 0x0112, 0x8825


def opened(ready: pictures.Ready) -> Image.Image:
    picture = Image.open(io.BytesIO(ready.data))
    picture.load()
    assert picture.format == "JPEG"
    assert picture.size == (ready.width, ready.height)
    return picture


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_three_kinds_of_files_are_taken(kind: str) -> None:
    picture = opened(made_ready(photo_file(960, 720, kind)))
    assert picture.size == (960, 720)
    assert picture.mode == "RGB"


def test_a_large_picture_is_made_smaller() -> None:
    ready = made_ready(photo_file(3000, 2000))
    assert (ready.width, ready.height) == (1440, 960)
    assert len(ready.data) <= pictures.STORED_BYTES_MAX


def test_nothing_that_was_written_into_a_file_is_kept() -> None:
    exif = Image.Exif()
    exif[0x010E] = "A SECRET DESCRIPTION"
    exif.get_ifd(GPS)[2] = (31.0, 12.0, 3.0)
    plain = photo(960, 720)
    files = [
        file_of(plain, "JPEG", exif=exif, comment=b"A SECRET COMMENT"),
        file_of(plain, "WEBP", exif=exif, xmp=b"<x>A SECRET PACKET</x>"),
        file_of(plain, "PNG", exif=exif),
    ]
    for file in files:
        assert b"A SECRET" in file
        data = made_ready(file).data
        assert b"A SECRET" not in data
        assert not Image.open(io.BytesIO(data)).getexif()
        assert set(Image.open(io.BytesIO(data)).info) <= {
            "jfif",
            "jfif_version",
            "jfif_unit",
            "jfif_density",
            "progressive",
            "progression",
        }


def test_a_photograph_taken_upright_is_upright() -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6  # the camera was turned to the right
    lying = Image.new("RGB", (960, 720), "white")
    lying.paste("red", (0, 0, 480, 720))
    ready = made_ready(file_of(lying, exif=exif))
    picture = opened(ready)
    assert picture.size == (720, 960)
    red, white = picture.getpixel((360, 100)), picture.getpixel((360, 900))
    assert isinstance(red, tuple)
    assert isinstance(white, tuple)
    assert red[1] < 60 < 200 < white[1]


def test_what_lets_through_becomes_white() -> None:
    glass = Image.new("RGBA", (600, 600), (200, 0, 0, 0))
    assert opened(made_ready(file_of(glass, "PNG"))).getpixel((300, 300)) == (255, 255, 255)
    few = glass.convert("RGB").quantize(4)
    kept = opened(made_ready(file_of(few, "PNG", transparency=0)))
    assert kept.getpixel((300, 300)) == (255, 255, 255)


def test_colours_of_another_space_are_brought_to_srgb() -> None:
    """A profile that has red and blue for one another, as a print or a phone has other colours."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = _with_tags_swapped(profile, b"rXYZ", b"bXYZ")
    file = file_of(Image.new("RGB", (600, 600), (220, 30, 30)), "PNG", icc_profile=swapped)
    red, _green, blue = opened(made_ready(file)).getpixel((300, 300))  # type: ignore[misc]
    assert blue > 150 > red
    for broken in (b"nonsense", profile[:200]):
        file = file_of(Image.new("RGB", (600, 600), (220, 30, 30)), "PNG", icc_profile=broken)
        assert opened(made_ready(file))


def _with_tags_swapped(profile: bytes, one: bytes, other: bytes) -> bytes:
    swap = {one: other, other: one}
    parts = bytearray(profile)
    (count,) = struct.unpack(">I", profile[128:132])
    for number in range(count):
        at = 132 + 12 * number
        parts[at : at + 4] = swap.get(profile[at : at + 4], profile[at : at + 4])
    return bytes(parts)


def test_colours_for_print_are_taken() -> None:
    picture = opened(made_ready(file_of(photo(960, 720).convert("CMYK"))))
    assert picture.mode == "RGB"
    assert opened(made_ready(file_of(photo(960, 720).convert("L")))).mode == "RGB"


@pytest.mark.parametrize(
    "size, problem",
    [
        ((479, 900), PictureTooSmall),
        ((900, 479), PictureTooSmall),
        ((480, 1441), PictureTooLong),
        ((480, 1440), None),
        ((5001, 5000), PictureTooLarge),
    ],
)
def test_there_are_bounds(size: tuple[int, int], problem: type[InvalidInput] | None) -> None:
    file = file_of(Image.new("L", size), "PNG")
    if problem is None:
        opened(made_ready(file))
        return
    with pytest.raises(problem):
        made_ready(file)


@pytest.mark.parametrize("size", [(99, 200), (200, 99)])
def test_evidence_has_a_bound_of_its_own(size: tuple[int, int]) -> None:
    with pytest.raises(PhotoTooSmall):
        made_ready(file_of(Image.new("L", size), "PNG"), is_evidence=True)
    least = file_of(Image.new("L", (100, 200)), "PNG")
    assert opened(made_ready(least, is_evidence=True)).size == (100, 200)


def test_a_file_may_have_8_mb() -> None:
    filled = photo_file(960, 720) + b"\0" * pictures.UPLOAD_BYTES_MAX
    with pytest.raises(PictureTooLarge):
        made_ready(filled)
    assert made_ready(filled[: pictures.UPLOAD_BYTES_MAX])


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_of(width: int, height: int, data: bytes) -> bytes:
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head)
    return start + chunk(b"IDAT", data) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [30_000, 2**31 - 1])
def test_a_few_bytes_that_hold_gigabytes_are_never_unpacked(side: int) -> None:
    bomb = png_of(side, side, zlib.compress(b"\0" * 1_000_000))
    with pytest.raises((PictureTooLarge, NotAPicture)):
        made_ready(bomb)


def test_a_jpeg_of_endless_layers_is_refused() -> None:
    file = file_of(Image.new("L", (960, 720)), progressive=True)
    last = file.rindex(b"\xff\xda")
    made_ready(file)
    with pytest.raises(NotAPicture):
        made_ready(file[:-2] + file[last:-2] * 200 + file[-2:])


def test_what_is_no_picture_is_refused_whatever_it_is() -> None:
    good = photo_file(600, 600)
    svg = b'<svg xmlns="http://www.w3.org/2000/svg" width="600" height="600"><script/></svg>'
    gif = file_of(photo(600, 600).quantize(64), "GIF")
    for file in (b"", b"hello", svg, gif, good[:-2000], good[:40], png_of(600, 600, b"no")):
        with pytest.raises(NotAPicture):
            made_ready(file)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_broken_files_are_refused_or_taken_but_never_break_anything(kind: str) -> None:
    good = photo_file(480, 480, kind)
    for place in range(0, len(good), max(1, len(good) // 150)):
        spoilt = good[:place] + bytes([good[place] ^ 0xFF]) + good[place + 1 :]
        try:
            opened(made_ready(spoilt))
        except InvalidInput:
            continue


def test_a_picture_is_kept_once_under_the_hash_of_what_is_kept(deployment: Deployment) -> None:
    ready = made_ready(photo_file(600, 600))
    first = actions.add_picture(deployment, ready)
    again = actions.add_picture(deployment, made_ready(photo_file(600, 600)))
    assert first.sha256 == again.sha256 == ready.sha256
    assert first.created_at == again.created_at
    with deployment.db.read() as tx:
        assert pictures.data_of(tx, first.sha256) == ready.data
        for unknown in ("0" * 64, "", "../" * 10, "\0" * 64, first.sha256.upper()):
            with pytest.raises(NotFound):
                pictures.data_of(tx, unknown)


def test_a_campaign_shows_a_picture_that_there_is(deployment: Deployment) -> None:
    with pytest.raises(UnknownPicture):
        actions.add_campaign(deployment, draft(picture="0" * 64))
    kept = actions.add_picture(deployment, made_ready(photo_file(600, 600)))
    assert actions.add_campaign(deployment, draft(picture=kept.sha256)).picture == kept.sha256
    with pytest.raises(UnknownPicture):
        actions.revise_campaign(deployment, "spring", draft(picture="0" * 64))
    assert actions.revise_campaign(deployment, "spring", draft()).picture is None


@pytest.mark.parametrize("wrong", ["", "x", "A" * 64, "0" * 63, "0" * 65])
def test_a_campaign_names_a_picture_by_its_whole_hash(wrong: str) -> None:
    with pytest.raises(ValueError):
        draft(picture=wrong)
