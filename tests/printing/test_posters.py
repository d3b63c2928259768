"""Posters: two independent readers get the exact address back out of each."""

from typing import Any

import numpy as np
import pytest
from PIL import Image

from referral.printing import posters
from referral.printing.canvas import PAPER, Motif
from referral.printing.posters import POSTER_MARGIN, POSTER_SIZE, Poster
from tests.photos import file_of, photo_file
from tests.printing.test_qr import ADDRESSES
from tests.scanners import picture, read_back

FAMILY = "👨‍👩‍👧"
PHOTO = Motif("a photograph", photo_file)
WIDTH, HEIGHT = POSTER_SIZE


def poster(url: str = ADDRESSES[1], invitation: str = "Alice invites you", **changes: Any) -> bytes:
    words = {
        "brand": "Mistbridge",
        "title": "Spring together",
        "lang": "en",
        "lead": "Cold tea from the hills.",
        "hint": "Press and hold, or scan",
        "note": "If you buy and claim one, we both get points.",
    }
    return posters.poster(Poster(**{**words, **changes}), invitation=invitation, url=url)


def pixels(png: bytes) -> Any:
    return np.asarray(picture(png).convert("RGB")).astype(int)


@pytest.mark.parametrize("motif", [None, PHOTO], ids=["plain", "with a photograph"])
@pytest.mark.parametrize("address", ADDRESSES)
def test_a_posters_code_is_read_back_to_the_address(address: str, motif: Motif | None) -> None:
    png = poster(url=address, motif=motif)
    assert picture(png).size == POSTER_SIZE
    assert read_back(png) == {address}


def test_all_modules_of_a_posters_code_are_of_one_size() -> None:
    """In the first row: it begins with the seven dark modules of a finder pattern."""
    for address in ADDRESSES:
        dark = pixels(poster(url=address))[1080:, 540:].sum(axis=2) < 384
        first_row = dark[dark.any(axis=1).argmax()]
        stretches = np.diff(np.flatnonzero(np.diff(first_row.astype(int))))
        module, rest = divmod(int(stretches[0]), 7)
        assert rest == 0
        assert (stretches % module == 0).all()


TEXTS = {
    "empty": "",
    "spaces": "   ",
    "Chinese": "小明邀请你一起来喝一杯冷萃茶，买一瓶，扫一扫，一起得积分",
    "traditional": "龍井茶與鐵觀音　歡迎品嚐",
    "a very long Chinese name": "名" * 500,
    "a very long word": "x" * 500,
    "many words": "tea and cake " * 50,
    "nothing but marks": "，。！？" * 40,
    "emoji": f"🍵{FAMILY}🇨🇳👍🏽 tea",
    "only emoji": f"🍵{FAMILY}",
    "other scripts": "Ελληνικά кириллица हिन्दी ไทย عربى עברית",
    "controls": "a\0b\nc\td\u202ee\u200df",
    "half a character": "\ud800x",
    "rare": "𠮷野家 𪚥",
    "combining": "e\u0301" * 50,
    "markup": "<b>&amp;</b>",
}


@pytest.mark.parametrize("lang", ["zh-Hans", "zh-Hant", "en"])
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_poster_takes_any_text(text: str, lang: str) -> None:
    png = poster(
        brand=text, title=text, invitation=text, lead=text, hint=text, note=text, lang=lang
    )
    assert picture(png).size == POSTER_SIZE
    assert read_back(png) == {ADDRESSES[1]}


LONG = ["名" * 500, "word " * 80, "，。" * 60]


@pytest.mark.parametrize("text", ["Tea", "茶", *LONG])
def test_texts_stay_inside_their_margins(text: str) -> None:
    shown = pixels(poster(brand=text, title=text, lead=text, invitation=text, note=text, hint=text))
    below = shown[posters._HEAD :]
    assert (below[:, :POSTER_MARGIN] == PAPER).all()
    assert (below[:, WIDTH - POSTER_MARGIN :] == PAPER).all()
    assert (below[-POSTER_MARGIN + 8 :] == PAPER).all()
    title = below[:360, POSTER_MARGIN : WIDTH - POSTER_MARGIN]
    assert (title != PAPER).any(), "the title is there"


@pytest.mark.parametrize("text", LONG)
def test_texts_do_not_run_into_one_another(text: str) -> None:
    """Line by line what is beside the code begins and ends: with gaps of paper, and before it."""
    shown = pixels(poster(invitation=text, note=text, hint=text, title=text, lead=text))
    side = shown[posters._HEAD :, POSTER_MARGIN : posters._QR_LEFT - posters._QR_FRAME]
    inked = (side != PAPER).any(axis=(1, 2))
    longest = max(len(run) for run in "".join("x" if row else " " for row in inked).split())
    assert longest < 84, "a line is no higher than its letters"
    gutter = shown[posters._QR_TOP :, posters._QR_LEFT - 40 : posters._QR_LEFT - 8]
    assert (gutter == PAPER).all()


def test_characters_without_a_picture_are_left_out_not_boxed() -> None:
    assert poster(title=f"Tea{FAMILY}🍵") == poster(title="Tea")


def test_the_picture_is_shown_down_to_the_edge_of_a_cap() -> None:
    plain, shown = pixels(poster()), pixels(poster(motif=PHOTO))
    head = posters._HEAD
    assert (plain[head:] == shown[head:]).all(), "nothing else changes"
    assert len(np.unique(shown[100 : head - 60].reshape(-1, 3), axis=0)) > 150
    for each in (plain, shown):
        teeth = (each[head - 8] == PAPER).all(axis=1)
        assert 20 < np.count_nonzero(np.diff(teeth.astype(int)) == 1) < 40


def test_the_picture_is_true_to_its_colours() -> None:
    """With the colours a palette has: close on average, and nowhere a patch of another colour."""
    wanted = np.asarray(PHOTO.cover((WIDTH, posters._HEAD))).astype(int)
    shown = pixels(poster(motif=PHOTO, brand=""))
    below_the_shade = slice(260, posters._HEAD - 60)
    off = wanted[below_the_shade] - shown[: posters._HEAD][below_the_shade]
    patches = off[: off.shape[0] // 12 * 12].reshape(-1, 12, WIDTH // 12, 12, 3)
    seen = np.abs(patches.mean(axis=(1, 3)))
    assert seen.mean() < 2
    assert seen.max() < 24


def test_a_brands_name_can_be_read_on_any_picture() -> None:
    white = Motif("nothing but white", lambda: file_of(Image.new("RGB", (1440, 1080), "white")))
    shown = pixels(poster(motif=white, brand="Mistbridge"))
    band = shown[56:112, POSTER_MARGIN:400]
    assert band.min() < 150, "darkness is laid below the name"


def test_a_poster_is_small_enough_for_a_bad_network() -> None:
    assert len(poster(motif=PHOTO)) < 700_000
    assert len(poster()) < 200_000


def test_the_same_poster_is_made_once() -> None:
    first = poster(invitation="made once")
    assert poster(invitation="made once") is first


def test_a_picture_is_read_once_for_all_posters_of_a_campaign() -> None:
    reads = []

    def read() -> bytes:
        reads.append(1)
        return photo_file()

    for name in ("Ann", "Bob", "Cy"):
        poster(motif=Motif("read once", read), invitation=name)
    assert len(reads) == 1


def test_a_picture_that_is_gone_is_looked_for_again() -> None:
    def gone() -> bytes:
        raise FileNotFoundError

    with pytest.raises(FileNotFoundError):
        poster(motif=Motif("comes later", gone))
    assert read_back(poster(motif=Motif("comes later", photo_file))) == {ADDRESSES[1]}
