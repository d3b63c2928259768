"""Lists of coupon codes: read from what a shop hands over, or made up. Pure: no database."""

import csv
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from secrets import SystemRandom

from referral.errors import N_, InvalidInput

BYTES_MAX = 4 * 1024 * 1024
"""How large one list may be."""
CODES_MAX = 50_000
"""How many codes one list may have, and how many are made at once."""
CODE_LENGTH_MIN, CODE_LENGTH_MAX = 4, 60
FAULTS_MAX = 50
"""How many faults of a list are named."""
PREFIX = re.compile(r"[A-Z0-9]{0,12}")
LETTERS = "23456789ABCDEFGHJKMNPQRSTVWXYZ"
"""For codes that are made: none that is taken for another one when read out or typed off."""
RANDOM_LETTERS = 12
"""30 ** 12 codes: 2 ** 58. Looking one up is limited, so nobody finds another one by trying."""

_GROUP = 4
_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._/+#:-]*")
_HEADERS = frozenset({"code", "codes", "coupon", "coupons", "优惠码", "优惠券", "優惠碼", "優惠券"})
_FILLING = re.compile(r"[\s\-\u2010-\u2015\u2212]+")


@dataclass(frozen=True)
class Fault:
    """What is wrong with one line of a list; lines are counted from 1. The code is not named."""

    line: int
    message: str


class BadCouponList(InvalidInput):
    slug = "bad-coupon-list"
    title = N_("Some lines of this list cannot be used. Nothing was added.")
    advice = N_("Put one code on a line, each of them once, and send the list again.")

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = list(faults[:FAULTS_MAX])
        self.count = len(faults)
        super().__init__(
            "; ".join(f"line {each.line}: {each.message}" for each in self.faults[:5])
            + ("; ..." if self.count > 5 else ""),
            errors=[
                {"field": f"codes.{each.line - 1}", "message": each.message} for each in self.faults
            ],
            count=self.count,
        )


class NotACouponList(InvalidInput):
    slug = "not-a-coupon-list"
    title = N_("This is not a list of codes.")
    advice = N_("Send a text or CSV file with one code on a line.")


class CouponListTooLong(InvalidInput):
    slug = "coupon-list-too-long"
    title = N_("This list is too long.")
    advice = N_("Send at most 50,000 codes and 4 MB at once; further lists are added to the pool.")


class BadPrefix(InvalidInput):
    slug = "bad-prefix"
    title = N_("Codes cannot begin with this.")
    advice = N_("Give up to 12 capital letters and digits, or nothing.")


NOT_A_CODE = N_("A code has 4 to 60 letters, digits and dashes.")
SEVERAL_COLUMNS = N_("There are several columns. Name the one with the codes “code” on line 1.")
TWICE = N_("This code stands further up in the list, too.")
KNOWN = N_("This code is in a pool already.")


@dataclass(frozen=True)
class Listed:
    """A code as it stands on a line of a list."""

    line: int
    code: str


def normal(code: str) -> str:
    """A code as it is compared: without spaces and dashes, in capitals."""
    return _FILLING.sub("", unicodedata.normalize("NFKC", code)).upper()


def is_code(code: str) -> bool:
    """Whether a text can be a code at all."""
    is_short = len(normal(code)) < CODE_LENGTH_MIN
    return bool(_CODE.fullmatch(code)) and not is_short and len(code) <= CODE_LENGTH_MAX


def read(file: bytes) -> list[Listed]:
    """The codes in a file. Raises `BadCouponList`, `NotACouponList`, `CouponListTooLong`."""
    if len(file) > BYTES_MAX:
        raise CouponListTooLong()
    return checked(_lines(_text(file)))


def checked(lines: Iterator[Listed] | Sequence[Listed]) -> list[Listed]:
    """Codes that can be kept, each once. Raises what `read` does."""
    found: list[Listed] = []
    faults: list[Fault] = []
    seen: set[str] = set()
    for each in lines:
        if len(found) == CODES_MAX:
            raise CouponListTooLong()
        if each.code == "":
            faults.append(Fault(each.line, SEVERAL_COLUMNS))
        elif not is_code(each.code):
            faults.append(Fault(each.line, NOT_A_CODE))
        elif normal(each.code) in seen:
            faults.append(Fault(each.line, TWICE))
        else:
            seen.add(normal(each.code))
            found.append(each)
    if faults:
        raise BadCouponList(faults)
    if not found:
        raise NotACouponList()
    return found


def _text(file: bytes) -> str:
    """Spreadsheets write UTF-8 with a mark, UTF-16, or the old Chinese encoding."""
    is_utf16 = file.startswith((b"\xff\xfe", b"\xfe\xff"))
    for encoding in ("utf-16",) if is_utf16 else ("utf-8-sig", "gb18030"):
        try:
            text = file.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    raise NotACouponList()


def _lines(text: str) -> Iterator[Listed]:
    """Every line with something on it; an empty code stands for one with several columns."""
    column: int | None = None
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip(" \t,;"):
            continue
        cells = _cells(line)
        names = [cell.lower() for cell in cells]
        if column is None:
            column = next((i for i, name in enumerate(names) if name in _HEADERS), -1)
            if column >= 0:
                continue
        if column >= 0:
            yield Listed(number, cells[column] if column < len(cells) else "?")
            continue
        filled = [cell for cell in cells if cell]
        yield Listed(number, filled[0] if len(filled) == 1 else "")


def _cells(line: str) -> list[str]:
    separator = next((each for each in ("\t", ";", ",") if each in line), ",")
    try:
        (cells,) = csv.reader([line], delimiter=separator)
    except csv.Error:  # a field of more than 131,072 characters
        return [line]
    return [unicodedata.normalize("NFKC", cell).strip() for cell in cells]


def made_up(prefix: str, count: int) -> list[str]:
    """New random codes, all different. Raises `BadPrefix`, `CouponListTooLong`."""
    prefix = unicodedata.normalize("NFKC", prefix).strip().upper()
    if not PREFIX.fullmatch(prefix):
        raise BadPrefix()
    if count > CODES_MAX:
        raise CouponListTooLong()
    choose = SystemRandom().choices
    found: dict[str, None] = {}
    while len(found) < count:
        letters = "".join(choose(LETTERS, k=RANDOM_LETTERS))
        groups = [letters[at : at + _GROUP] for at in range(0, RANDOM_LETTERS, _GROUP)]
        found["-".join([prefix, *groups] if prefix else groups)] = None
    return list(found)
