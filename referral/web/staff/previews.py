"""A campaign's landing page as it would be, out of a form that is not sent yet."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from referral import catalog
from referral.campaigns import Campaign, CampaignState
from referral.campaigns.content import (
    BODY_LENGTH_MAX,
    SHARE_TEXT_LENGTH_MAX,
    TITLE_LENGTH_MAX,
    Landing,
)
from referral.config import LANGUAGES
from referral.web import landing, pictures
from referral.web.context import deployment, now
from referral.web.language import speaking
from referral.web.pictures import ShownPicture
from referral.web.staff import contents, findings, rule_rows, uploads
from referral.web.staff.forms import Form

NO_TITLE = "…"
PLACEHOLDER = "data:,"
"""Stands for a picture that was chosen and not sent: the script puts it there itself."""
_LENGTHS = {
    "title": TITLE_LENGTH_MAX,
    "body": BODY_LENGTH_MAX,
    "share_text": SHARE_TEXT_LENGTH_MAX,
}


def page(form: Form, lang: str, stored: Campaign | None) -> str:
    """The page in a language. What is not right in the form is left out or cut.

    `stored` is the campaign that is edited; where the form has no terms its own are taken.
    """
    campaign = _campaign(form, stored)
    with deployment().db.read() as tx:
        products = catalog.products_in(tx, campaign.gtins)
    found = findings.shown(campaign.findings)  # in the language of whoever edits
    shown = _pictures(form, campaign)
    with speaking(lang):
        return landing.staff_preview(campaign, products, shown, found)


def _campaign(form: Form, stored: Campaign | None) -> Campaign:
    """A campaign that nobody stores."""
    fields = contents.read_fields(form)
    title = fields["title"][:TITLE_LENGTH_MAX] or NO_TITLE
    content = {lang: _cut(form, lang, title) for lang in LANGUAGES}
    terms = _terms_of(stored) if stored and "budget" not in form.values else _terms(form)
    return Campaign(
        id=0,
        slug=form.typed("slug") or NO_TITLE,
        title=title,
        organiser=fields["organiser"],
        content={lang: texts for lang, texts in content.items() if texts},
        picture=fields["picture"],
        more_pictures=fields["more_pictures"],
        video_url=fields["video_url"],
        buy_url=fields["buy_url"],
        landing=fields["landing"] if fields["buy_url"] else Landing.page,
        state=CampaignState.draft,
        **terms,
    )


def _cut(form: Form, lang: str, title: str) -> Mapping[str, str] | None:
    reading = Form(form.values)
    texts = {
        "title": reading.text(f"{lang}-title", most=TITLE_LENGTH_MAX),
        "body": reading.paragraphs(f"{lang}-body", most=BODY_LENGTH_MAX),
        "share_text": reading.text(f"{lang}-share_text", most=SHARE_TEXT_LENGTH_MAX),
    }
    if not any(texts.values()):
        return None
    cut = {part: text[: _LENGTHS[part]] for part, text in texts.items()}
    return {**cut, "title": cut["title"] or title}


def _terms(form: Form) -> dict[str, Any]:
    with deployment().db.read() as tx:
        products = catalog.products_in(tx, [])
    currencies = {product.currency for product in products}
    currency = currencies.pop() if len(currencies) == 1 else None
    gtins = [product.gtin for product in products]
    return {
        "rules": [rule.dump() for rule in rule_rows.read(form, currency)],
        "currency": currency,
        "budget": 1,
        "gtins": form.chosen("gtins", gtins),
        "starts_at": now(),
        "ends_at": now() + timedelta(days=1),
        "hold_days": 0,
        "window_days": 1,
        "touch": "first",
    }


def _terms_of(stored: Campaign) -> dict[str, Any]:
    names = (
        "rules",
        "currency",
        "budget",
        "gtins",
        "starts_at",
        "ends_at",
        "hold_days",
        "window_days",
        "touch",
    )
    return {name: getattr(stored, name) for name in names}


def _pictures(form: Form, campaign: Campaign) -> list[ShownPicture]:
    """Those that are kept already and those that were chosen, sent along or held by the script."""
    kept = pictures.shown_pictures(campaign)
    first = uploads.show_pictures(form, uploads.FIRST) + _held(form, uploads.FIRST)
    more = uploads.show_pictures(form, uploads.MORE) + _held(form, uploads.MORE)
    if first and campaign.picture:
        kept = kept[1:]
    return [*first[:1], *kept, *more]


def _held(form: Form, field: str) -> list[ShownPicture]:
    """Places for the pictures the script holds back, so that no file is sent at every letter."""
    typed = form.typed(f"{field}_held")
    count = int(typed) if typed.isascii() and typed.isdigit() and len(typed) == 1 else 0
    return [ShownPicture(f"{PLACEHOLDER}{field}-{number}", 0, 0) for number in range(count)]
