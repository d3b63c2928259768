"""GTINs: the numbers of trade items, 14 digits of which the last checks the others."""

from stdnum import ean
from stdnum.exceptions import ValidationError

from referral.errors import N_, InvalidInput

GTIN_LENGTH = 14


class BadGTIN(InvalidInput):
    slug = "bad-gtin"
    status = 400
    title = N_("The product number in this address is not right.")
    advice = N_("A digit seems to be wrong. Please scan the code on the package again.")


def gtin14(text: str) -> str:
    """A GTIN of 8, 12, 13 or 14 digits as GTIN-14. Raises `BadGTIN` when its check digit is off."""
    try:
        if not (text.isascii() and text.isdigit()):
            raise BadGTIN()
        return str(ean.validate(text)).zfill(GTIN_LENGTH)
    except ValidationError:
        raise BadGTIN() from None
