"""Pictures: uploaded once, then named by their hash."""

from typing import Annotated

from pydantic import Base64Bytes, Field

from referral import actions, pictures
from referral.pictures import (
    UPLOAD_BYTES_MAX,
    NotAPicture,
    PictureTooLarge,
    PictureTooLong,
    PictureTooSmall,
)
from referral.web.api.endpoint import Output, post
from referral.web.api.reading import Input
from referral.web.context import deployment
from referral.web.pictures import picture_url


class PictureIn(Input):
    """A picture to upload."""

    data: Annotated[Base64Bytes, Field(max_length=UPLOAD_BYTES_MAX * 4 // 3 + 4)]
    """A JPEG, PNG or WebP file in base64: at most 8 MB and 25 megapixels, at least 480 pixels on
    its shorter side."""


class PictureOut(Output):
    """A picture as it is kept: made anew as a JPEG, without metadata."""

    sha256: str
    """What a campaign names it by."""
    url: str
    width: int
    height: int


@post(
    "/pictures",
    body=PictureIn,
    answer=PictureOut,
    statuses={201: "Kept"},
    problems=[NotAPicture, PictureTooLarge, PictureTooSmall, PictureTooLong],
)
def add_picture(body: PictureIn) -> PictureOut:
    """Upload a picture.

    The same one twice is kept once.
    """
    kept = actions.add_picture(deployment(), pictures.made_ready(body.data))
    return PictureOut(
        sha256=kept.sha256,
        url=deployment().address(picture_url(kept.sha256) or ""),
        width=kept.width,
        height=kept.height,
    )
