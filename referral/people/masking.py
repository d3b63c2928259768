"""Names that are numbers or addresses: people write their phone number where a nickname goes."""

import re
import unicodedata

DIGITS_LEAST = 7
"""No fewer digits are a phone number."""
_ADDRESS = re.compile(r"([^\s@])[^\s@]*@(?=[^\s@]+\.[^\s@]+)")
_NUMBER = re.compile(rf"\d(?:[ ().\-]?\d){{{DIGITS_LEAST - 1},}}")


def masked_name(name: str) -> str:
    """A name as anybody may see it, without whole numbers and addresses."""
    plain = unicodedata.normalize("NFKC", name)  # Chinese keyboards write １３８ and ＠
    if not (_ADDRESS.search(plain) or _NUMBER.search(plain)):
        return name
    return _NUMBER.sub(_masked_number, _ADDRESS.sub(r"\1***@", plain))


def _masked_number(found: re.Match[str]) -> str:
    digits = re.sub(r"\D", "", found[0])
    return f"{digits[:3]}****{digits[-4:] if len(digits) > 10 else digits[-2:]}"
