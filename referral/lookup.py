"""Finding a code in what staff or a system of the brand's hand in: an address, or a code alone.

Whoever asks here could list every code there is, so nothing is limited; consumers go through
referral/checking.py.
"""

import re
from urllib.parse import parse_qs, unquote, urlsplit

from referral.batches import Entry
from referral.claims import WrongProduct
from referral.codes import Code, Label
from referral.deployment import Deployment
from referral.errors import N_, InvalidInput
from referral.gs1.gtin import gtin14

TEXT_LENGTH_MAX = 2000

# Between the product and the package may stand its variant and its lot.
_IN_PATH = re.compile(r"/01/(?P<gtin>[^/]+)(?:/(?:22|10)/[^/]+)*/21/(?P<code>[^/]+)/?")
_TYPED_PAGE = re.compile(r"/c(?:/[^/]|/?\?)")
_WORD = re.compile("[!-~]+")
"""Chinese is written around an address without a space."""
_AFTER_ADDRESS = ".,;:!?'\")]}>"


class OtherBatch(InvalidInput):
    slug = "other-batch"
    title = N_("This code belongs to another batch.")
    advice = N_("Check the code, or name the batch it belongs to.")


class SameLabel(InvalidInput):
    slug = "same-label"
    title = N_("These two codes are from the same place on the package.")
    advice = N_("Compare the code on the outside with the one under the cap.")


def in_address(url: str) -> tuple[str, str] | None:
    """The code and the GTIN in a GS1 Digital Link; whose address it is does not matter."""
    try:
        found = _IN_PATH.search(urlsplit(url).path)
    except ValueError:
        return None
    return (unquote(found["code"]), unquote(found["gtin"])) if found else None


def in_text(text: str) -> tuple[str, str | None]:
    """The code in an address and the GTIN, if it has one; or a code as it was typed.

    Besides a package's address those of the page for typed codes are read: /c/CODE, /c?code=CODE.
    """
    if found := in_address(text):
        return found
    if "/" not in text:
        return text, None
    try:
        parts = urlsplit(text)
        typed = parse_qs(parts.query).get("code", [""])[0]
    except ValueError:
        return text, None
    last = parts.path.rstrip("/").rpartition("/")[2]
    return (typed if last == "c" else unquote(last)), None


def in_pasted(text: str) -> tuple[str, str | None]:
    """As `in_text`, of an address of ours with words or a full stop around it; else all of the
    text, as what was typed instead of a code is to be told as it stands."""
    for word in _WORD.findall(text[:TEXT_LENGTH_MAX]):
        address = word.rstrip(_AFTER_ADDRESS)
        if in_address(address) or _TYPED_PAGE.search(address):
            return in_text(address)
    return text, None


def find(deployment: Deployment, text: str, gtin: str | None = None) -> tuple[Code, Entry]:
    """The genuine code that is spelled so, and its batch; `gtin` is the product's in its address.

    Raises `MistypedCode`, `UnknownCode`, `WrongProduct`, `BadGTIN`.
    """
    product_gtin = gtin14(gtin) if gtin is not None else None
    code = deployment.read_code(text)
    batch = deployment.directory.batch(code.batch_id)
    if product_gtin not in (None, batch.gtin):
        raise WrongProduct(f"It belongs to {batch.product_name}, {batch.gtin}.")
    return code, batch


def index_in(deployment: Deployment, batch_id: int, text: str) -> int:
    """The index in a batch of the code in a text. Raises as `find` does, and `OtherBatch`."""
    code, _ = find(deployment, *in_text(text))
    if code.batch_id != batch_id:
        raise OtherBatch()
    return code.index


def pair(one: Code, other: Code) -> tuple[Code, Code]:
    """The outer and the inner one of two codes to be compared. Raises `SameLabel`."""
    if one.label is other.label:
        raise SameLabel()
    return (one, other) if one.label is Label.outer else (other, one)
