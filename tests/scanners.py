"""Two independent readers of QR codes, zxing and OpenCV, each on its own."""

import io

import cv2
import numpy as np
import zxingcpp
from PIL import Image


def picture(png: bytes) -> Image.Image:
    opened = Image.open(io.BytesIO(png))
    opened.load()
    assert opened.format == "PNG"
    return opened


def read_back(png: bytes) -> set[str]:
    """What both read in a picture with one code: one text where they agree."""
    return scan(picture(png))


def scan(opened: Image.Image) -> set[str]:
    """What both read in a picture with one code."""
    rgb = opened.convert("RGB")
    zxing = [found.text for found in zxingcpp.read_barcodes(rgb)]
    assert len(zxing) == 1
    return {*zxing, _opencv(rgb)}


def _opencv(picture: Image.Image) -> str:
    """Of OpenCV's two detectors the one by markers: the other misses more good codes.

    It finds nothing in one good code of a hundred and finds it a little nearer, as a phone would.
    """
    for nearer in (1, 1.5):
        size = (round(picture.width * nearer), round(picture.height * nearer))
        pixels = np.asarray(picture.resize(size, Image.Resampling.BICUBIC))
        text, *_ = cv2.QRCodeDetectorAruco().detectAndDecode(pixels[:, :, ::-1])
        if text:
            break
    return text
