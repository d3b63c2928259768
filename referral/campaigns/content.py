"""What readers see of a campaign: texts, pictures, a video, where to buy, and who answers for it.

Unlike its terms it may be changed while the campaign runs.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, HttpUrl, field_validator, model_validator

from referral.pictures import PictureHash
from referral.texts import Language, Line, Paragraphs

URL_LENGTH_MAX = 500
TITLE_LENGTH_MAX = 80
BODY_LENGTH_MAX = 4000
SHARE_TEXT_LENGTH_MAX = 200
ORGANISER_LENGTH_MAX = 120
MORE_PICTURES_MAX = 5
"""Beside the first one."""


class Landing(StrEnum):
    """Where a share link leads."""

    page = "page"
    """To a page that is made of the campaign's content."""
    redirect = "redirect"
    """Straight on to the shop, with the link's token."""


class Content(BaseModel):
    """What a campaign says in one language."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    title: Line = Field(min_length=1, max_length=TITLE_LENGTH_MAX)
    body: Paragraphs = Field(default="", max_length=BODY_LENGTH_MAX)
    """Paragraphs are parted by an empty line."""
    share_text: Line = Field(default="", max_length=SHARE_TEXT_LENGTH_MAX)
    """What the share sheet suggests to write."""


class CampaignContent(BaseModel):
    """What readers see of a campaign."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    title: Line = Field(min_length=1, max_length=TITLE_LENGTH_MAX)
    content: dict[Language, Content] = Field(default_factory=dict)
    """The texts by language; the title alone where there is none."""
    picture: PictureHash | None = None
    """The hash of an uploaded picture: on the page, the posters and the card beside a link."""
    more_pictures: list[PictureHash] = Field(default_factory=list, max_length=MORE_PICTURES_MAX)
    """The hashes of further pictures on the page, in their order."""
    video_url: HttpUrl | None = None
    """The page of a video, `https`; the landing page links to it."""
    buy_url: HttpUrl | None = None
    """Where the landing page sends people to buy."""
    landing: Landing = Landing.page
    """Whether a share link shows the landing page or leads straight on to `buy_url`, which then has
    to be on the operator's list of shops; it gets the link's token as the parameter `via`."""
    organiser: Line = Field(default="", max_length=ORGANISER_LENGTH_MAX)
    """Who answers for it, on the page with the rules."""

    @field_validator("buy_url", "video_url")
    @classmethod
    def _plain(cls, url: HttpUrl | None) -> HttpUrl | None:
        # Counted as it is stored: letters outside ASCII become longer.
        if url is not None and len(str(url)) > URL_LENGTH_MAX:
            raise ValueError(f"an address may have {URL_LENGTH_MAX} characters")
        if url is not None and (url.username or url.password):
            raise ValueError("an address may have no user or password before the host")
        return url

    @field_validator("video_url")
    @classmethod
    def _secure(cls, url: HttpUrl | None) -> HttpUrl | None:
        if url is not None and url.scheme != "https":
            raise ValueError("a video's address begins with https://")
        return url

    @field_validator("more_pictures")
    @classmethod
    def _each_once(cls, hashes: list[str]) -> list[str]:
        return list(dict.fromkeys(hashes))

    @model_validator(mode="after")
    def _leads_somewhere(self) -> Self:
        if self.landing is Landing.redirect and self.buy_url is None:
            raise ValueError("a link that leads straight to the shop needs a buy_url")
        return self

    def columns(self) -> dict[str, Any]:
        """As it is stored."""
        return {
            "title": self.title,
            "content": {lang: texts.model_dump() for lang, texts in self.content.items()},
            "picture": self.picture,
            "more_pictures": self.more_pictures,
            "video_url": str(self.video_url) if self.video_url else None,
            "buy_url": str(self.buy_url) if self.buy_url else None,
            "landing": self.landing,
            "organiser": self.organiser,
        }

    def pictures(self) -> list[str]:
        """The hashes of all its pictures."""
        return [*([self.picture] if self.picture else []), *self.more_pictures]


def texts_of(
    title: str, organiser: str, content: Mapping[str, Mapping[str, str]]
) -> dict[str, str]:
    """Every text of a campaign under its field's name, such as `content.en.body`."""
    fields = {"title": title, "organiser": organiser}
    for lang, texts in content.items():
        fields |= {f"content.{lang}.{part}": text for part, text in texts.items()}
    return fields
