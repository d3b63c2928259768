"""Photographs for the tests: colours that run into each other, with the grain a camera leaves."""

import io
from functools import cache
from typing import Any

import numpy as np
from PIL import Image


@cache
def photo(width: int = 1440, height: int = 1080, seed: int = 1) -> Image.Image:
    dice = np.random.default_rng(seed)
    coarse = Image.fromarray(dice.integers(0, 256, (6, 8, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), dtype=np.float32)
    grain = dice.normal(0, 5, (height, width, 1))
    return Image.fromarray(np.clip(smooth + grain, 0, 255).astype(np.uint8))


def file_of(picture: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


@cache
def photo_file(width: int = 1440, height: int = 1080, kind: str = "JPEG", seed: int = 1) -> bytes:
    return file_of(photo(width, height, seed), kind)
