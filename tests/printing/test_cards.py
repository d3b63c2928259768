"""Cards: what chat apps show beside a link."""

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from referral.printing import cards
from referral.printing.canvas import BRAND, Motif, Style, set_text
from referral.printing.cards import Card
from tests.photos import photo_file
from tests.printing.test_posters import TEXTS


def _noise() -> bytes:
    """What compresses worst."""
    dice = np.random.default_rng(1)
    buffer = io.BytesIO()
    pixels = dice.integers(0, 256, (1080, 1440, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


PHOTO = Motif("a photograph", photo_file)
NOISE = Motif("noise", _noise)
CARD = Card("Mistbridge", "Spring together", "en", "Cold Brew Tea", None)


def opened(jpeg: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(jpeg))
    picture.load()
    assert picture.format == "JPEG"
    return picture


@pytest.mark.parametrize("motif", [None, PHOTO, NOISE], ids=["plain", "photograph", "noise"])
def test_a_card_has_the_size_that_chat_apps_show(motif: Motif | None) -> None:
    for jpeg, size in (
        (cards.wide(replace(CARD, motif=motif)), cards.WIDE),
        (cards.square("Mistbridge", motif), cards.SQUARE),
    ):
        assert opened(jpeg).size == size
        assert len(jpeg) <= 300_000


@pytest.mark.parametrize("lang", ["zh-Hans", "zh-Hant", "en"])
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_card_takes_any_text(text: str, lang: str) -> None:
    card = Card(text, text, lang, text, None)
    shown = np.asarray(opened(cards.wide(card)).convert("RGB")).astype(int)
    ground = np.abs(shown - BRAND).max(axis=2)
    assert (ground[:, :60] < 24).all(), "texts keep their margin"
    assert (ground[:48] < 60).all()
    assert (ground[-48:] < 60).all()
    opened(cards.square(text, None))


def test_the_picture_stands_beside_the_words() -> None:
    plain, shown = (
        np.asarray(opened(cards.wide(replace(CARD, motif=motif)))).astype(int)
        for motif in (None, PHOTO)
    )
    assert np.abs(plain[:, :560] - shown[:, :560]).mean() < 6
    assert shown[:, 720:].std() > 30


def test_a_cards_version_changes_with_everything_that_is_drawn() -> None:
    others = [
        replace(CARD, **change)
        for change in (
            {"brand": "Other"},
            {"title": "Other"},
            {"lang": "zh-Hant"},
            {"product": "Other"},
            {"motif": PHOTO},
            {"motif": NOISE},
        )
    ]
    assert len({card.version for card in (CARD, *others)}) == 7
    assert len({card.square_version for card in (CARD, *others)}) == 4
    assert replace(CARD).version == CARD.version


def test_the_same_card_is_made_once() -> None:
    assert cards.wide(replace(CARD, motif=PHOTO)) is cards.wide(
        replace(CARD, motif=Motif(PHOTO.sha256, lambda: b""))
    )


def test_a_long_text_is_set_smaller_and_then_cut_with_dots() -> None:
    style = Style(80, 40, height=220)
    short, longer, longest = (set_text("茶" * n, style, 400, "zh-Hans") for n in (8, 20, 200))
    assert (short.size, len(short.lines)) == (80, 2)
    assert 40 <= longer.size < 80
    assert "".join(longer.lines) == "茶" * 20
    assert longest.size == 40
    assert longest.lines[-1].endswith("茶…")
    assert all(block.height <= 220 for block in (short, longer, longest))
