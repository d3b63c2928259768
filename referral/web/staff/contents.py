"""The part of the campaign forms that says what readers see, read and written back."""

from collections.abc import Mapping
from typing import Any

from flask_babel import gettext as _
from pydantic import HttpUrl, TypeAdapter, ValidationError

from referral.campaigns import Campaign
from referral.campaigns.content import (
    BODY_LENGTH_MAX,
    MORE_PICTURES_MAX,
    ORGANISER_LENGTH_MAX,
    SHARE_TEXT_LENGTH_MAX,
    TITLE_LENGTH_MAX,
    URL_LENGTH_MAX,
    CampaignContent,
    Content,
    Landing,
)
from referral.config import LANGUAGES
from referral.errors import N_
from referral.pictures import SHA256
from referral.web.staff.forms import Form

LANDINGS = (
    (Landing.page, N_("The landing page"), N_("Made of the texts and pictures below.")),
    (
        Landing.redirect,
        N_("Straight to the shop"),
        N_(
            "Openings count as before, but nobody gets a link of their own to pass on: forwards "
            "from the shop's pages are not traced. The shop gets the link's token as “via”."
        ),
    ),
)
"""Where links lead: value, label and what it means."""
_URL = TypeAdapter(HttpUrl)


def values_of(campaign: Campaign) -> dict[str, str]:
    """The fields as they would have been filled in for this campaign."""
    values = {
        "title": campaign.title,
        "organiser": campaign.organiser,
        "buy_url": campaign.buy_url or "",
        "video_url": campaign.video_url or "",
        "landing": campaign.landing,
        "picture": campaign.picture or "",
    }
    for lang, content in campaign.content.items():
        for part, text in content.items():
            values[f"{lang}-{part}"] = text
    return values


def form_of(campaign: Campaign) -> Form:
    form = Form()
    form.values = values_of(campaign)
    form.lists.setlist("more_pictures", campaign.more_pictures)
    return form


def read(form: Form) -> CampaignContent | None:
    """The content that was typed; None when something in it is not right."""
    typed = read_fields(form)
    if not form.ok:
        return None
    try:
        return CampaignContent.model_validate(typed)
    except ValidationError:
        # Every field was checked before; this is for what only all of them together can break.
        form.refuse("", _("Something in what you entered is not right."))
        return None


def read_fields(form: Form) -> dict[str, Any]:
    """The fields of `CampaignContent` as they were typed, each checked."""
    title = form.text("title", least=1, most=TITLE_LENGTH_MAX)
    buy_url = _address(form, "buy_url")
    landing = form.choice("landing", Landing, Landing.page)
    if landing is Landing.redirect and not buy_url:
        form.refuse("buy_url", _("Enter the shop's address that the links lead to."))
    return {
        "title": title,
        "content": _texts(form, title),
        "picture": picture_of(form),
        "more_pictures": more_pictures_of(form),
        "video_url": _video(form),
        "buy_url": buy_url,
        "landing": landing,
        "organiser": form.text("organiser", most=ORGANISER_LENGTH_MAX),
    }


def picture_of(form: Form) -> str | None:
    """The hash of the picture that was uploaded before, unless it is to be taken away."""
    kept = form.typed("picture")
    return kept if SHA256.fullmatch(kept) and not form.typed("without_picture") else None


def more_pictures_of(form: Form) -> list[str]:
    """The hashes of the further ones, but for those that are to be taken away."""
    dropped = set(form.lists.getlist("drop_picture"))
    kept = [
        sha256
        for sha256 in dict.fromkeys(form.lists.getlist("more_pictures"))
        if SHA256.fullmatch(sha256) and sha256 not in dropped
    ]
    if len(kept) > MORE_PICTURES_MAX:
        form.refuse(
            "more_uploads",
            _("A page shows %(most)s more pictures at most.", most=MORE_PICTURES_MAX),
        )
    return kept[:MORE_PICTURES_MAX]


def _texts(form: Form, title: str) -> dict[str, Content]:
    """The texts of the languages in which there are any."""
    content = {}
    for lang in LANGUAGES:
        texts: Mapping[str, str] = {
            "title": form.text(f"{lang}-title", most=TITLE_LENGTH_MAX),
            "body": form.paragraphs(f"{lang}-body", most=BODY_LENGTH_MAX),
            "share_text": form.text(f"{lang}-share_text", most=SHARE_TEXT_LENGTH_MAX),
        }
        if form.ok and any(texts.values()):
            content[lang] = Content(**{**texts, "title": texts["title"] or title})
    return content


def _address(form: Form, name: str) -> str | None:
    typed = form.text(name, most=URL_LENGTH_MAX)
    if not typed:
        return None
    try:
        url = _URL.validate_python(typed)
        # As it is stored: letters outside ASCII become longer.
        if len(str(url)) > URL_LENGTH_MAX or url.username or url.password:
            raise ValueError
    except ValueError:
        form.refuse(name, _("Please enter a web address such as https://shop.example/tea."))
        return None
    return typed


def _video(form: Form) -> str | None:
    url = _address(form, "video_url")
    if url and _URL.validate_python(url).scheme != "https":
        form.refuse("video_url", _("A video's address begins with https://."))
        return None
    return url
