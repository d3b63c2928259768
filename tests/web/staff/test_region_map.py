"""The map of regions."""

from referral.reports.activity import RegionCounts
from referral.web.staff import region_map
from referral.web.staff.region_map import SHADES


def counts(region: str | None, scans: int, claims: int = 0) -> RegionCounts:
    return RegionCounts(
        scans=scans, first_scans=scans, outer_scans=0, claims=claims, misses=0, region=region
    )


def shades(*given: RegionCounts) -> dict[str, int]:
    drawn = region_map.of(given)
    assert drawn is not None
    return {tile.region: tile.shade for tile in drawn.tiles}


def test_every_province_has_a_place_of_its_own() -> None:
    drawn = region_map.of([counts("CN-GD", 1)])
    assert drawn is not None
    assert len({(tile.row, tile.column) for tile in drawn.tiles}) == len(drawn.tiles) == 34


def test_each_is_called_by_a_name_that_fits_a_tile() -> None:
    drawn = region_map.of([counts("CN-GD", 1), counts("MY-14", 1)])
    assert drawn is not None
    named = {tile.region: tile.named for tile in drawn.tiles}
    assert (named["HK"], named["MO"], named["TW"]) == ("CN-HK", "CN-MO", "CN-TW")
    assert (named["CN-GD"], named["MY"]) == ("CN-GD", "MY")


def test_neighbours_are_drawn_when_there_is_something_to_say_of_one() -> None:
    assert "MY" not in shades(counts("CN-GD", 1))
    assert {"MY", "TH"} <= shades(counts("CN-GD", 1), counts("MY-14", 1)).keys()


def test_the_most_is_darkest_and_anything_is_seen() -> None:
    found = shades(counts("CN-GD", 1_000), counts("CN-FJ", 1), counts("CN-ZJ", 500))
    assert (found["CN-GD"], found["CN-FJ"], found["CN-ZJ"], found["CN-XJ"]) == (SHADES, 1, 3, 0)


def test_parts_of_a_country_are_counted_together_and_others_are_told() -> None:
    drawn = region_map.of([counts("MY-14", 2), counts("MY", 3), counts("FR", 4), counts(None, 5)])
    assert drawn is not None
    assert {tile.region: tile.scans for tile in drawn.tiles if tile.scans} == {"MY": 5}
    assert drawn.others == 4


def test_without_a_scan_on_it_there_is_no_map() -> None:
    assert region_map.of([]) is None
    assert region_map.of([counts("FR", 4), counts(None, 5)]) is None
