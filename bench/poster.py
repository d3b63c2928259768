"""Posters and cards, made anew each time, against Pillow writing a PNG of a poster's size.

A campaign's first poster in a language is drawn whole; each that follows differs in who invites and
in its code. Both are what a reader waits for; kept posters are not measured.
"""

import io
from collections.abc import Iterator
from itertools import count
from statistics import median

import numpy as np
from PIL import Image

from bench.measure import Row, Work, in_turn, on_one_core, print_table, ratio
from referral.printing import cards, posters
from referral.printing.canvas import Motif
from referral.printing.cards import Card
from referral.printing.posters import Poster

MILLISECONDS_ASKED = 150
PER_ROUND = 3
QUICK = {"PER_ROUND": 1}
ENCODING = "a PNG of that size, written by Pillow"
TITLES = {
    "zh-Hans": "秋天的第一瓶冷泡乌龙，慢泡十二小时，不加糖：请朋友一起喝，你们两个人都会得到积分！",
    "zh-Hant": "請朋友喝一瓶",
    "en": "A bottle for a friend",
}
_numbers = count()


def photo() -> bytes:
    """Colours that run into each other, with a camera's grain."""
    dice = np.random.default_rng(1)
    coarse = Image.fromarray(dice.integers(0, 256, (6, 8, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize((1440, 1080), Image.Resampling.BICUBIC), dtype=np.float32)
    grain = dice.normal(0, 5, (1080, 1440, 1))
    buffer = io.BytesIO()
    Image.fromarray(np.clip(smooth + grain, 0, 255).astype(np.uint8)).save(buffer, "JPEG")
    return buffer.getvalue()


PHOTO = photo()


def motif(name: str) -> Motif:
    return Motif(name, lambda: PHOTO)


def shown(lang: str, *, has_photo: bool, name: str = "") -> Poster:
    return Poster(
        brand="雾桥 Mistbridge",
        title=TITLES[lang],
        lang=lang,
        lead="雾桥冷泡茶用山间的乌龙、茉莉绿茶和陈皮白茶，低温慢泡十二小时，不加糖。",
        hint="长按图片识别，或用相机扫一扫打开",
        note="你买一瓶并扫码领取，我和你都会得到积分。",
        motif=motif(name) if has_photo else None,
    )


def one(poster: Poster) -> bytes:
    number = next(_numbers)
    url = f"https://brand.example/s/3yJq0Xo1Jc5m7UoUnvUgJw.8kqpVJ{number:08}"
    return posters.poster(poster, invitation=f"Vivian {number} invites you", url=url)


def following(lang: str, *, has_photo: bool) -> Work:
    poster = shown(lang, has_photo=has_photo)
    one(poster)

    def work() -> int:
        for _ in range(PER_ROUND):
            one(poster)
        return PER_ROUND

    return work


def first() -> int:
    for _ in range(PER_ROUND):
        one(shown("zh-Hans", has_photo=True, name=str(next(_numbers))))
    return PER_ROUND


def card() -> int:
    for _ in range(PER_ROUND):
        name = str(next(_numbers))
        cards.wide(Card("雾桥 Mistbridge", TITLES["zh-Hans"], "zh-Hans", "乌龙茶", motif(name)))
    return PER_ROUND


def encoding() -> Work:
    made = Image.open(io.BytesIO(one(shown("zh-Hans", has_photo=True)))).convert("RGB")

    def work() -> int:
        made.save(io.BytesIO(), "PNG")
        return 1

    return work


def rows() -> Iterator[Row]:
    works = {
        ENCODING: encoding(),
        **{
            f"a poster, {lang}, {'with a photograph' if has_photo else 'plain'}": following(
                lang, has_photo=has_photo
            )
            for lang in TITLES
            for has_photo in (True, False)
        },
        "a campaign's first poster, with a photograph": first,
        "a card, with a photograph": card,
    }
    seconds = in_turn(works)
    for name, took in seconds.items():
        measured = f"{median(took) * 1e3:.0f} ms"
        if name == ENCODING:
            yield Row(f"poster: {name}", measured)
            continue
        asked = f"{MILLISECONDS_ASKED} ms" if name.startswith("a poster") else ""
        yield Row(
            f"poster: {name}", measured, f"{ratio(took, seconds[ENCODING]):.2f} encodings", asked
        )
    sizes = (len(one(shown("zh-Hans", has_photo=has))) for has in (True, False))
    yield Row("poster: file, with a photograph and plain", " and ".join(f"{n:,} B" for n in sizes))


if __name__ == "__main__":
    on_one_core()
    print_table(rows())
