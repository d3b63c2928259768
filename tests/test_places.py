"""Places: regions out of an mmdb file, markets, names in three languages, blocks of addresses."""

import re
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from hypothesis import given
from hypothesis import strategies as st
from mmdb_writer import MMDBWriter
from netaddr import IPSet

from referral import places
from referral.config import LANGUAGES, ConfigError
from referral.places import (
    NO_BLOCK,
    PROVINCES,
    REGION_LENGTH_MAX,
    Places,
    address_block,
    in_market,
    place_name,
    valid_region,
)
from tests.races import at_once

CITIES: Mapping[str, Any] = {
    "203.0.113.0/24": {"country": {"iso_code": "CN"}, "subdivisions": [{"iso_code": "GD"}]},
    "198.51.100.0/24": {"country": {"iso_code": "CN"}},
    "192.0.2.0/25": {"country": {"iso_code": "DE"}, "subdivisions": [{"names": {"en": "Berlin"}}]},
    "192.0.2.128/25": {"registered_country": {"iso_code": "US"}},
    "2001:db8::/32": {"country": {"iso_code": "GB"}, "subdivisions": [{"iso_code": "ENG"}]},
}


def mmdb(path: Path, networks: Mapping[str, Any], *, version: int = 6, kind: str = "City") -> Path:
    """A small file of networks and what it says of them."""
    writer = MMDBWriter(version, kind, languages=["en"], ipv4_compatible=version == 6)
    for network, record in networks.items():
        writer.insert_network(IPSet([network]), record)
    writer.to_db_file(str(path))
    return path


@pytest.fixture
def cities(tmp_path: Path) -> Places:
    return Places(mmdb(tmp_path / "cities.mmdb", CITIES))


@pytest.mark.parametrize(
    ("address", "region"),
    [
        ("203.0.113.7", "CN-GD"),
        ("::ffff:203.0.113.7", "CN-GD"),
        ("203.0.113.7:51234", "CN-GD"),
        ("198.51.100.1", "CN"),
        ("192.0.2.1", "DE"),
        ("2001:db8::1", "GB-ENG"),
        ("[2001:db8::1]:443", "GB-ENG"),
        ("192.0.2.129", None),  # where it is registered is not where it is
        ("10.0.0.1", None),
        ("fe80::1%eth0", None),
        ("unknown", None),
        ("", None),
        ("203.0.113.700", None),
    ],
)
def test_an_address_is_in_a_region(cities: Places, address: str, region: str | None) -> None:
    assert cities.region(address) == region


@pytest.mark.parametrize(
    ("record", "region"),
    [
        ({"country": "CN"}, "CN"),
        ({"country_code": "CN"}, "CN"),
        ({"country": "China", "country_code": "CN"}, None),
        ({"country": {"iso_code": "cn"}}, None),
        ({"country": {"iso_code": "CN"}, "subdivisions": []}, "CN"),
        ({"country": {"iso_code": "CN"}, "subdivisions": "GD"}, "CN"),
        ({"country": {"iso_code": "CN"}, "subdivisions": [{"iso_code": "GD<b>"}]}, "CN"),
        ({"country": {"iso_code": 86}}, None),
        ("CN", None),
    ],
)
def test_other_makers_have_other_records(tmp_path: Path, record: Any, region: str | None) -> None:
    networks = {"203.0.113.0/24": record, "198.51.100.0/24": {"country": {"iso_code": "CN"}}}
    assert Places(mmdb(tmp_path / "x.mmdb", networks)).region("203.0.113.7") == region


def test_a_file_of_ipv4_addresses_knows_no_others(tmp_path: Path) -> None:
    networks = {"203.0.113.0/24": {"country": {"iso_code": "CN"}}}
    found = Places(mmdb(tmp_path / "x.mmdb", networks, version=4))
    assert found.region("203.0.113.7") == "CN"
    assert found.region("2001:db8::1") is None


def test_without_a_file_every_region_is_unknown() -> None:
    assert Places(None).region("203.0.113.7") is None
    assert Places(None).source is None


def test_it_says_which_file_it_is(cities: Places) -> None:
    assert re.fullmatch(r"City of \d{4}-\d\d-\d\d", cities.source or "")


def test_many_threads_may_ask_at_once(cities: Places) -> None:
    def ask() -> list[str | None]:
        return [cities.region(f"203.0.113.{last}") for last in range(256)]

    assert at_once([ask] * 8) == [["CN-GD"] * 256] * 8


def test_a_file_that_does_not_do_stops_the_start(tmp_path: Path) -> None:
    whole = mmdb(tmp_path / "whole.mmdb", CITIES)
    empty, garbage, folder = (tmp_path / name for name in ("empty", "garbage", "folder"))
    empty.touch()
    garbage.write_bytes(whole.read_bytes()[:-100])
    folder.mkdir()
    carriers = {"203.0.113.0/24": {"autonomous_system_number": 4134}}
    asn = mmdb(tmp_path / "asn.mmdb", carriers, kind="ASN")
    for path, why in (
        (tmp_path / "gone", "No such file"),
        (empty, "broken"),
        (garbage, "broken"),
        (folder, "REFERRAL_GEOIP"),
        (asn, "(ASN) names no countries"),
    ):
        with pytest.raises(ConfigError, match="REFERRAL_GEOIP") as refused:
            Places(path)
        assert why in str(refused.value)
        assert str(path) in str(refused.value)


def test_a_record_that_is_broken_is_an_unknown_region(tmp_path: Path) -> None:
    """A file may be damaged in the middle, where nobody looks when it is opened."""
    path = mmdb(tmp_path / "x.mmdb", {"203.0.113.0/24": {"country": {"iso_code": "CN"}}})
    found = Places(path)
    whole = path.read_bytes()
    path.with_suffix(".new").write_bytes(whole.replace(b"\x48iso_code", b"\xe8iso_code"))
    damaged = places.Places.__new__(Places)
    damaged._reader = places.maxminddb.open_database(path.with_suffix(".new"))
    assert found.region("203.0.113.7") == "CN"
    assert damaged.region("203.0.113.7") is None


@pytest.mark.parametrize(
    ("market", "region", "inside"),
    [
        (["CN"], "CN", True),
        (["CN"], "CN-GD", True),
        (["CN-GD", "CN-FJ"], "CN-FJ", True),
        (["CN-GD"], "CN-FJ", False),
        (["CN"], "DE", False),
        (["C"], "CN", False),
        (["CN-G"], "CN-GD", False),
        (["CN"], None, True),
        ([], "CN", True),
        (["CN-GD"], "CN", True),  # somewhere in China: it may be there
        (["CN-HK"], "HK", True),
        (["HK"], "CN-HK", True),
        (["CN"], "HK", False),
        (["HK"], "CN", False),
    ],
)
def test_a_region_is_inside_a_market(market: list[str], region: str | None, inside: bool) -> None:
    assert in_market(market, region) is inside


def test_what_staff_may_enter_as_a_region() -> None:
    for text in ("CN", "CN-GD", "DE", "DE-BE", "GB-ENG", "FR-75", "HK", "CN-HK", "TW", "US-CA"):
        assert valid_region(text), text
    for text in (
        "",
        "C",
        "CN-",
        "CN-G",
        "CN-XX",
        "cn",
        "CN-gd",
        "XX",
        "EU",
        "ZZ",
        "UN",
        "001",
        "CHN",
    ):
        assert not valid_region(text), text
    for text in ("DE-BERL", "DE-B E", "DE_BE", " DE", "DE\n", "DE-BE\n", "DE-B-E", "DE-Ä"):
        assert not valid_region(text), text


@given(st.text(max_size=8))
def test_a_region_that_is_valid_fits_its_column(text: str) -> None:
    assert not valid_region(text) or len(text) <= REGION_LENGTH_MAX


def test_china_has_34_provinces_that_can_be_entered() -> None:
    assert len(PROVINCES) == len(set(PROVINCES.values())) == 34
    assert all(map(valid_region, PROVINCES))


def test_a_country_has_a_name_in_every_language() -> None:
    assert [place_name("DE", tag) for tag in LANGUAGES] == ["德国", "德國", "Germany"]
    assert [place_name("US-CA", tag) for tag in LANGUAGES] == ["美国", "美國", "United States"]
    assert place_name("CN", "zh-Hans") == "中国"
    assert place_name("QQ", "en") == "QQ"


def test_a_province_has_a_name_out_of_the_catalogues(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog, written = Catalog(locale="zh_Hans"), BytesIO()
    catalog.add("Guangdong", "广东")
    write_mo(written, catalog)
    folder = tmp_path / "zh_Hans" / "LC_MESSAGES"
    folder.mkdir(parents=True)
    (folder / "messages.mo").write_bytes(written.getvalue())
    monkeypatch.setattr(places, "TRANSLATIONS", tmp_path)
    places._catalogue.cache_clear()
    assert place_name("CN-GD", "zh-Hans") == "广东"
    assert place_name("CN-GD", "en") == "Guangdong"
    places._catalogue.cache_clear()


@pytest.mark.parametrize(
    ("address", "block"),
    [
        ("203.0.113.7", "203.0.113.0/24"),
        ("203.0.113.255:80", "203.0.113.0/24"),
        ("::ffff:203.0.113.7", "203.0.113.0/24"),
        ("2001:db8:1:2::3", "2001:db8:1::/48"),
        ("[2001:db8:1:ffff::3]:80", "2001:db8:1::/48"),
        ("fe80::1%eth0", "fe80::/48"),
        ("unknown", NO_BLOCK),
        ("", NO_BLOCK),
        ("203.0.113", NO_BLOCK),
    ],
)
def test_an_address_is_in_a_block(address: str, block: str) -> None:
    assert address_block(address) == block


@given(st.text())
def test_no_text_at_all_is_too_much(text: str) -> None:
    assert address_block(text)
    assert Places(None).region(text) is None
