"""The operator's list of shops: nothing that could be read in two ways is on it."""

from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import HttpUrl, TypeAdapter, ValidationError

from referral.shops import BadShop, is_listed, listed, with_token

SHOPS = tuple(
    listed(entry)
    for entry in ("shop.example", "*.Brand.example", "tea.example:8443", "xn--fiqs8s.example")
)
STORED = TypeAdapter(HttpUrl)


@pytest.mark.parametrize(
    "url",
    [
        "https://shop.example",
        "https://shop.example/",
        "https://shop.example:443/tea",
        "https://shop.example?x=1",
        "https://shop.example#a",
        "https://shop.example/a@b?c=https://evil.example#//evil.example",
        "https://a.brand.example/",
        "https://a.b.brand.example/%E8%8C%B6",
        "https://tea.example:8443/",
        "https://xn--fiqs8s.example/",
    ],
)
def test_an_address_of_a_listed_host_is_on_the_list(url: str) -> None:
    assert is_listed(url, SHOPS)


@pytest.mark.parametrize(
    "url",
    [
        None,
        "",
        "https://",
        "/tea",
        "//shop.example/",
        "https:/shop.example/",
        "https:shop.example",
        "javascript:alert(1)//shop.example",
        "data:text/html,shop.example",
        "ftp://shop.example/",
        # Somewhere else that looks alike.
        "https://evil.example/",
        "https://shop.example.evil.example/",
        "https://evil-shop.example/",
        "https://notshop.example/",
        "https://shop.example.",
        "https://shop.example./",
        "https://www.shop.example/",
        "https://brand.example/",
        "https://evilbrand.example/",
        "https://.brand.example/",
        "https://a..brand.example/",
        "https://-.brand.example/",
        "https://中国.example/",
        "https://ѕhop.example/",
        "https://shop。example/",
        "https://shop%2eexample/",
        # Who is before the @ is a user.
        "https://shop.example@evil.example/",
        "https://shop.example:443@evil.example/",
        "https://user@shop.example/",
        "https://user:secret@shop.example/",
        "https://shop.example%40evil.example/",
        # What a browser takes for a slash, or leaves out.
        "https://evil.example\\@shop.example/",
        "https://shop.example\\.evil.example/",
        "https://shop.example\\/evil.example",
        "https:\\\\shop.example/",
        "https://evil.example\t@shop.example/",
        "https://shop.example\n.evil.example/",
        "https://shop.exa\tmple/",
        " https://shop.example/",
        "https://shop.example/\r\nLocation: https://evil.example",
        "https://shop.example/ x",
        "https://shop.example/\0",
        "https://shop.example/茶",
        # Another port, another case, another scheme.
        "https://shop.example:8443/",
        "https://tea.example/",
        "https://tea.example:18443/",
        "https://shop.example:/",
        "https://shop.example:0443/",
        "https://shop.example:443:443/",
        "HTTPS://SHOP.EXAMPLE/",
        "http://shop.example/",
        "http://shop.example:443/",
        "https://[::1]/",
    ],
)
def test_whatever_may_lead_elsewhere_is_not(url: str | None) -> None:
    assert not is_listed(url, SHOPS)


def test_an_address_is_looked_at_as_it_is_stored() -> None:
    """Staff may type capitals, a usual port and Chinese letters: a stored address has none."""
    for typed in (
        "HTTPS://Shop.Example:443/茶",
        "https://中国.example",
        "https://A.BRAND.example/",
    ):
        assert is_listed(str(STORED.validate_python(typed)), SHOPS), typed


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_only_this_machine_may_do_without_https(host: str) -> None:
    assert is_listed(f"http://{host}:9000/", [listed(f"{host}:9000")])
    assert not is_listed(f"http://{host}:9000/", [listed(host)])
    assert not is_listed("http://192.0.2.1/", [listed("192.0.2.1")])


@pytest.mark.parametrize(
    "entry",
    [
        "",
        "*",
        "*.",
        "*.example",
        "*.localhost:80",
        "*shop.example",
        "a.*.example",
        "*.*.example",
        "https://shop.example",
        "shop.example/",
        "shop.example/tea",
        "shop.example.",
        ".shop.example",
        "user@shop.example",
        "shop example",
        "shop.example:0",
        "shop.example:65536",
        "shop.example:port",
        "中国.example",
        "shop_one.example",
        "a" * 64 + ".example",
        ".".join(["a" * 60] * 5),
        "[::1]",
    ],
)
def test_an_entry_has_to_be_a_host(entry: str) -> None:
    with pytest.raises(BadShop):
        listed(entry)


@given(st.text(min_size=1, max_size=40))
def test_no_address_gets_past_the_list_that_a_browser_would_take_elsewhere(text: str) -> None:
    """Against a second reader of addresses, which is strict about what browsers are lax about."""
    for url in (
        f"https://{text}shop.example/",
        f"https://shop.example{text}",
        f"https://{text}@shop.example/",
        f"https://shop.example{text}@evil.example/",
        text,
    ):
        if not is_listed(url, SHOPS):
            continue
        try:
            read = STORED.validate_python(url)
        except ValidationError:
            pytest.fail(f"listed, and no address at all: {url!r}")
        host = read.host or ""
        assert host == "shop.example" or host.endswith(".brand.example"), url
        assert not read.username


@pytest.mark.parametrize(
    "url, with_it",
    [
        ("https://shop.example/", "https://shop.example/?via=T"),
        ("https://shop.example/?a=1&b=%20x", "https://shop.example/?a=1&b=%20x&via=T"),
        ("https://shop.example/tea#top", "https://shop.example/tea?via=T#top"),
        ("https://shop.example/?#", "https://shop.example/?via=T#"),
        ("https://shop.example/?via=old&a=1&via", "https://shop.example/?a=1&via=T"),
        ("https://shop.example/?viable=1", "https://shop.example/?viable=1&via=T"),
        ("https://shop.example/#?via=x", "https://shop.example/?via=T#?via=x"),
    ],
)
def test_the_token_is_passed_on_and_the_rest_stays(url: str, with_it: str) -> None:
    assert with_token(url, "T") == with_it
    assert parse_qs(urlsplit(with_it).query)["via"] == ["T"]
