"""A map of regions on which each is a tile of one size, about where it lies.

What happens in a small province is seen as well as in a large one. It needs no borders, and says
nothing about any.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from referral.places import PROVINCES
from referral.reports.activity import RegionCounts

SHADES = 5
"""How many classes of scans are told apart; the numbers stand on the tiles."""
_ROWS = """
..  ..  ..  ..  ..  ..  HL
..  ..  ..  NM  BJ  ..  JL
XJ  GS  NX  SX  HE  TJ  LN
XZ  QH  SN  HA  SD  ..  ..
..  SC  CQ  HB  AH  JS  ..
..  YN  GZ  HN  JX  ZJ  SH
..  ..  GX  GD  FJ  tw  ..
..  ..  HI  mo  hk  ..  ..
..  ..  ..  ..  ..  ..  ..
mm  la  vn  ph  ..  kr  jp
..  th  kh  bn  ..  ..  ..
..  my  sg  id  tl  ..  ..
"""
"""Provinces in capitals, by the last part of their code; what ISO 3166 has as a country in small
letters."""


@dataclass(frozen=True)
class Tile:
    region: str
    row: int
    column: int
    scans: int
    claims: int
    shade: int
    """0 where nobody scanned, up to `SHADES` where most did."""

    @property
    def named(self) -> str:
        """The code by whose name it is called: a country's own may be too long for a tile, such as
        that of a special administrative region."""
        code = f"CN-{self.region}"
        return code if code in PROVINCES else self.region


@dataclass(frozen=True)
class RegionMap:
    tiles: tuple[Tile, ...]
    rows: int
    columns: int
    others: int
    """Scans in known regions that are not on the map."""


def of(counts: Sequence[RegionCounts]) -> RegionMap | None:
    """The map of these counts; None where none of them is on it."""
    scans, claims, others = Counter[str](), Counter[str](), 0
    for each in counts:
        place = _place_of(each.region)
        if place is None:
            others += each.scans if each.region else 0
            continue
        scans[place] += each.scans
        claims[place] += each.claims
    most = max(scans.values(), default=0)
    if not most:
        return None
    # China's provinces always; its neighbours when there is something to say of one of them.
    last = max(_HOME_ROWS - 1, *(_PLACES[place][0] for place in scans))
    shown = {place: at for place, at in _PLACES.items() if at[0] <= last}
    tiles = tuple(
        Tile(place, row, column, scans[place], claims[place], -(-scans[place] * SHADES // most))
        for place, (row, column) in shown.items()
    )
    return RegionMap(tiles, 1 + max(tile.row for tile in tiles), _COLUMNS, others)


def _place_of(region: str | None) -> str | None:
    """The tile a region is on: its own or its country's."""
    if region is None or region in _PLACES:
        return region
    country = region.partition("-")[0]
    return country if country in _PLACES else None


def _read(rows: str) -> dict[str, tuple[int, int]]:
    found = {}
    for row, line in enumerate(rows.strip().splitlines()):
        for column, word in enumerate(line.split()):
            if word != "..":
                found[f"CN-{word}" if word.isupper() else word.upper()] = (row, column)
    return found


_PLACES = _read(_ROWS)
_COLUMNS = 7
_HOME_ROWS = 8
"""Behind them are the neighbours."""
