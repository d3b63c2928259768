"""Lucky draws written a second time, from docs/draws.md alone; nothing of the service is used."""

import hashlib
import hmac
from collections.abc import Iterable, Mapping, Sequence

Row = tuple[int, str, int]
"""Of the odds: how many of a million, and the unit and amount that are won."""


def commitment(seed_hex: str) -> str:
    return hashlib.sha256(bytes.fromhex(seed_hex)).hexdigest()


def number(seed_hex: str, ticket: str) -> int:
    limit = 18_446_744_073_709_000_000
    digest = hmac.new(bytes.fromhex(seed_hex), ticket.encode("ascii"), hashlib.sha256).digest()
    while True:
        for position in (0, 8, 16, 24):
            word = 0
            for byte in digest[position : position + 8]:
                word = word * 256 + byte
            if word < limit:
                return word % 1_000_000
        digest = hashlib.sha256(digest).digest()


def prize(odds: Sequence[Row], drawn: int) -> tuple[str, int] | None:
    start = 0
    for per_million, unit, amount in odds:
        if start <= drawn < start + per_million:
            return unit, amount
        start += per_million
    return None


def faults(
    seed_hex: str, odds: Mapping[str, Sequence[Row]], table: Iterable[Mapping[str, str]]
) -> list[str]:
    """The tickets of a published list whose outcome is not what the seed gives.

    `odds` are those of each rule by its name, which stands in the ticket between the bars.
    """
    wrong = []
    for line in table:
        drawn = number(seed_hex, line["ticket"])
        won = prize(odds[line["ticket"].split("|")[1]], drawn)
        told = (line["unit"], int(line["amount"])) if line["outcome"] == "won" else None
        is_right = {
            "won": won == told,
            "lost": won is None,
            "won_unpaid": won is not None,
            "refused": won is not None,
        }[line["outcome"]]
        if not is_right or drawn != int(line["number"]):
            wrong.append(line["ticket"])
    return wrong
