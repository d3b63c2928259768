"""The resolver: a person gets a page, a machine what it asked for, and neither a false answer."""

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from referral import actions
from referral.gs1.target import Target
from tests.web.conftest import Brand

GTIN = "06901234567892"
ROOT = f"/01/{GTIN}"
VOC = "https://ref.gs1.org/voc/"
BROWSER = {
    "User-Agent": "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) Safari/605.1.15",
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Accept-Language": "en",
}
LINKS = [
    Target("gs1:pip", "https://tea.example/zh", "茶", "zh-Hans", "text/html", is_default=True),
    Target("gs1:pip", "https://tea.example/en?from=label#top", "The tea", "en", "text/html"),
    Target("gs1:instructions", "https://tea.example/steep", "How to steep it"),
    Target("gs1:instructions", "https://tea.example/steep.pdf", "As PDF", "", "application/pdf"),
    Target("gs1:certificationInfo", "https://tea.example/c1", "Organic", "en"),
    Target("gs1:certificationInfo", "https://tea.example/c2", "Fair", "en"),
]
LINKSET = "application/linkset+json"


class Asker:
    """Somebody who asks for addresses."""

    def __init__(self, app: Flask, headers: Mapping[str, str]) -> None:
        self._app = app
        self._headers = headers

    def __call__(self, path: str, method: str = "GET", **headers: str) -> TestResponse:
        sent = {**self._headers, **{name.replace("_", "-"): of for name, of in headers.items()}}
        return self._app.test_client().open(path, method=method, headers=sent)


@pytest.fixture
def browser(app: Flask) -> Asker:
    return Asker(app, BROWSER)


@pytest.fixture
def machine(app: Flask) -> Asker:
    return Asker(app, {"User-Agent": "till/1.0", "Accept": LINKSET})


@pytest.fixture
def bare(brand: Brand) -> Brand:
    """A product for which nobody has set a link."""
    return brand


@pytest.fixture
def linked(brand: Brand) -> Brand:
    actions.set_product_links(brand.deployment, GTIN, LINKS)
    return brand


def is_shared(answer: TestResponse) -> bool:
    """Whether pages of other sites may read an answer."""
    return answer.headers.get("Access-Control-Allow-Origin") == "*"


# The product


def test_without_links_a_product_has_a_page_of_its_own(bare: Brand, browser: Asker) -> None:
    for path in (ROOT, f"{ROOT}/", f"{ROOT}/10/L1", f"{ROOT}/22/A/10/L1", f"{ROOT}/235/T1"):
        answer = browser(path)
        assert answer.status_code == 200
        assert "Cold Brew Tea" in answer.text
        assert GTIN in answer.text
        assert "Scan the code on your package" in answer.text
        # The tick says of a package that it was checked.
        assert "M15.5 24.5l6 6L33 18.5" not in answer.text
    for path in (ROOT, f"{ROOT}/10/L1"):
        for name in ("pip", "defaultLink"):
            assert browser(f"{path}?linkType=gs1:{name}").status_code == 200


def test_the_page_lists_the_links_in_the_readers_language(bare: Brand, browser: Asker) -> None:
    links = [
        Target(each.link_type, each.href, each.title, each.language, each.media_type)
        for each in LINKS
    ]
    actions.set_product_links(bare.deployment, GTIN, links)
    answer = browser(ROOT)
    shown = re.findall(r'<a class="row" href="([^"]+)">([^<]+)</a>', answer.text)
    assert [title for _, title in shown] == [
        "The tea",
        "How to steep it",
        "As PDF",
        "Organic",
        "Fair",
    ]
    assert "茶" in browser(ROOT, Accept_Language="zh-CN").text
    assert browser(f"{ROOT}?linkType=gs1:defaultLink").status_code == 200
    assert browser(f"{ROOT}?linkType=gs1:pip", Accept_Language="fr").status_code == 307


def test_a_title_is_not_markup(bare: Brand, browser: Asker) -> None:
    link = Target("gs1:pip", "https://tea.example/?a=%22%3E", "<script>alert(1)</script>")
    actions.set_product_links(bare.deployment, GTIN, [link])
    assert "<script>alert" not in browser(ROOT).text


def test_the_default_link_is_followed_in_the_readers_language(
    linked: Brand, browser: Asker
) -> None:
    for language, href in [
        ("en-SG,en;q=0.9", "https://tea.example/en?from=label#top"),
        ("zh-CN", "https://tea.example/zh"),
        ("fr", "https://tea.example/zh"),
        ("fr, *;q=0.1", "https://tea.example/zh"),
        ("en;q=0, fr", "https://tea.example/zh"),
        ("fr, en;q=0.2, zh;q=0.1", "https://tea.example/en?from=label#top"),
        ("", "https://tea.example/zh"),
    ]:
        answer = browser(ROOT, Accept_Language=language)
        assert (answer.status_code, answer.location) == (307, href)
        assert {"Accept", "Accept-Language"} <= set(answer.vary)
        assert answer.text == ""
    assert browser(f"{ROOT}/10/L1").location == "https://tea.example/en?from=label#top"


def test_an_unknown_product_is_404_and_a_broken_address_400(
    linked: Brand, browser: Asker, machine: Asker
) -> None:
    for path, status in {
        "/01/06901234567908": 404,
        "/01/06901234567908?linkType=linkset": 404,
        "/01/06901234567893": 400,
        "/01/6901234567892": 400,
        f"{ROOT}/foo": 400,
        f"{ROOT}/21/": 400,
        f"{ROOT}/21/x/foo": 400,
        f"{ROOT}/21/x/10/y": 400,
        f"{ROOT}/17/261231": 400,
        f"{ROOT}/10/{'9' * 21}": 400,
        f"{ROOT}?17=261301": 400,
        f"{ROOT}?10=x": 400,
        f"{ROOT}/10/%FF": 400,
        f"{ROOT}/10/a%00b": 400,
    }.items():
        page = browser(path)
        assert page.status_code == status, path
        assert page.mimetype == "text/html"
        assert "Traceback" not in page.text
        said = machine(path)
        assert said.status_code == status, path
        assert said.mimetype == "application/problem+json"
        assert said.json["status"] == status
        assert is_shared(said)
        assert is_shared(page)


# A named link


def test_the_default_link_can_be_named(linked: Brand, browser: Asker) -> None:
    """Then it is the one that has no language, whoever asks."""
    answer = browser(f"{ROOT}/10/L?linkType=gs1:defaultLink")
    assert answer.location == "https://tea.example/zh?linkType=gs1:defaultLink"


@pytest.mark.parametrize(
    "asked, accept, href",
    [
        ("gs1:pip", "*/*", "https://tea.example/en?from=label&{query}#top"),
        (f"{VOC}pip", "*/*", "https://tea.example/en?from=label&{query}#top"),
        ("https://gs1.org/voc/pip", "*/*", "https://tea.example/en?from=label&{query}#top"),
        ("gs1:defaultLinkMulti", "*/*", "https://tea.example/en?from=label&{query}#top"),
        ("gs1:instructions", "text/html", "https://tea.example/steep?{query}"),
        ("gs1:instructions", "application/pdf", "https://tea.example/steep.pdf?{query}"),
        ("gs1:instructions", "application/json", "https://tea.example/steep?{query}"),
    ],
)
def test_a_named_link_is_followed(
    linked: Brand, browser: Asker, asked: str, accept: str, href: str
) -> None:
    query = f"linkType={asked}&utm=a%20b;x"
    for path in (ROOT, f"{ROOT}/10/L", f"{ROOT}/21/0123456789ABCDEF", linked.path(1)):
        answer = browser(f"{path}?{query}", Accept=accept)
        assert answer.status_code == 307
        assert answer.location == href.format(query=query)
        assert is_shared(answer)


def test_a_kind_of_link_there_is_not_is_404(linked: Brand, browser: Asker, machine: Asker) -> None:
    for kind in ("gs1:loyaltyProgram", "gs1:nothing", "nothing", "", "gs1:PIP", "\0"):
        for path in (ROOT, linked.path(1)):
            for accept in ("text/html", "application/json", "*/*"):
                answer = browser(f"{path}?linkType={quote(kind)}", Accept=accept)
                assert answer.status_code == 404, kind
                assert is_shared(answer)
    said = browser(f"{ROOT}?linkType=gs1:nothing", Accept="application/json")
    assert said.json["type"].endswith("#unknown-link-type")


def test_what_fits_equally_well_is_left_to_the_reader(linked: Brand, browser: Asker) -> None:
    asked = f"{ROOT}?linkType=gs1:certificationInfo"
    page = browser(asked)
    assert page.status_code == 300
    assert "https://tea.example/c1" in page.text
    assert "https://tea.example/c2" in page.text
    listed = browser(asked, Accept="application/json")
    assert (listed.status_code, listed.mimetype) == (300, LINKSET)
    [entry] = json.loads(listed.text)["linkset"]
    assert [link["title"] for link in entry[f"{VOC}certificationInfo"]] == ["Organic", "Fair"]


def test_a_redirect_leads_to_stored_addresses_only(linked: Brand, browser: Asker) -> None:
    for query in (
        "href=https://evil.example",
        "url=//evil.example&linkType=gs1:pip",
        "%0d%0aSet-Cookie:x",
        "@evil.example/",
        "é",
        '"><script>',
    ):
        answer = browser(f"{ROOT}?{query}", Accept_Language="zh")
        assert answer.location.startswith("https://tea.example/zh?")
        assert not re.search(r'[\r\n"<>é]', answer.location)
        assert "Set-Cookie" not in answer.headers


# The list of links


def linkset_of(answer: TestResponse) -> list[dict[str, Any]]:
    assert answer.status_code == 200
    assert is_shared(answer)
    check_linkset(answer.json if answer.is_json else json.loads(answer.text))
    levels: list[dict[str, Any]] = json.loads(answer.text)["linkset"]
    return levels


def check_linkset(document: Mapping[str, Any]) -> None:
    """What GS1's schema for linksets and its rules for default links ask for."""
    for level in document["linkset"]:
        assert re.match(r"^https?://[a-zA-z0-9./]+", level["anchor"])
        links = {key: of for key, of in level.items() if key.startswith(VOC)}
        assert set(level) == {"anchor", "itemDescription", "description", *links}
        for link in (link for each in links.values() for link in each):
            assert set(link) <= {"href", "title", "type", "hreflang"}
            assert re.match(r"^https?://", link["href"])
            assert link["title"]
            for tag in link.get("hreflang", []):
                assert re.fullmatch(r"\w{2}|\w{2}-\w{2}", tag)
        [default] = links.pop(f"{VOC}defaultLink")
        assert set(default) == {"href", "title"}
        links.pop(f"{VOC}defaultLinkMulti", None)
        assert default["href"] in {link["href"] for each in links.values() for link in each}


@pytest.mark.parametrize(
    "query, accept, mimetype",
    [
        ("?linkType=linkset", "text/html,*/*;q=0.8", LINKSET),
        ("?linkType=linkset", "*/*", LINKSET),
        ("?linkType=linkset", "application/json", "application/json"),
        ("?linkType=all", "application/ld+json", "application/ld+json"),
        ("", LINKSET, LINKSET),
        ("", f"{LINKSET}, text/html;q=0.5", LINKSET),
        ("", "application/json, text/plain, */*", "application/json"),
        ("?linkType=gs1:pip", LINKSET, LINKSET),
        ("?17=261231&utm_source=x", "application/ld+json", "application/ld+json"),
    ],
)
def test_the_list_of_links_is_answered_without_a_redirect(
    linked: Brand, browser: Asker, query: str, accept: str, mimetype: str
) -> None:
    for path in (ROOT, f"{ROOT}/10/L%2F1", linked.path(1)):
        answer = browser(f"{path}{query}", Accept=accept)
        assert answer.mimetype == mimetype
        linkset_of(answer)
        assert ("@context" in json.loads(answer.text)) == (mimetype == "application/ld+json")
        links = ", ".join(answer.headers.getlist("Link"))
        assert 'rel="http://www.w3.org/ns/json-ld#context"' in links
        assert f'<http://localhost{path}?linkType=linkset>; rel="linkset"' in links


def test_the_linkset_says_everything_of_every_link(linked: Brand, machine: Asker) -> None:
    [product] = linkset_of(machine(f"{ROOT}/10/L1"))
    assert product["anchor"] == f"http://localhost{ROOT}"
    assert product["description"] == product["itemDescription"] == "Cold Brew Tea"
    english = {
        "href": "https://tea.example/en?from=label#top",
        "title": "The tea",
        "type": "text/html",
        "hreflang": ["en"],
    }
    chinese = {**english, "href": "https://tea.example/zh", "title": "茶", "hreflang": ["zh-CN"]}
    assert product[f"{VOC}pip"] == [chinese, english]
    assert product[f"{VOC}defaultLink"] == [{"href": "https://tea.example/zh", "title": "茶"}]
    assert product[f"{VOC}defaultLinkMulti"] == [chinese, english]
    assert product[f"{VOC}instructions"][0] == {
        "href": "https://tea.example/steep",
        "title": "How to steep it",
    }


def test_without_links_the_default_is_the_products_page(bare: Brand, machine: Asker) -> None:
    [product] = linkset_of(machine(ROOT))
    assert product[f"{VOC}defaultLink"][0]["href"] == f"http://localhost{ROOT}"
    assert product[f"{VOC}pip"][0]["title"] == "Cold Brew Tea"


def test_a_package_has_the_products_links_and_its_own_page(linked: Brand, machine: Asker) -> None:
    product, package = linkset_of(machine(linked.path(1)))
    assert [product] == linkset_of(machine(ROOT))
    address = f"http://localhost{linked.path(1)}"
    assert package["anchor"] == address
    assert package[f"{VOC}defaultLink"][0]["href"] == address
    assert package[f"{VOC}verificationService"][0]["type"] == "text/html"


def test_the_linkset_tells_nothing_about_a_code(linked: Brand, machine: Asker) -> None:
    """Else a machine could guess here, where no misses are counted."""
    genuine = linked.path(1)
    wrong = genuine[:-1] + ("0" if genuine[-1] != "0" else "1")
    for query, accept in [
        ("", LINKSET),
        ("?linkType=linkset", "*/*"),
        ("?linkType=gs1:pip", "*/*"),
        ("?linkType=gs1:nothing", "*/*"),
    ]:
        answers = [machine(f"{path}{query}", Accept=accept) for path in (genuine, wrong)]
        assert len({answer.status_code for answer in answers}) == 1
        codes = re.compile(f"{genuine[-16:]}|{wrong[-16:]}")
        assert len({codes.sub("CODE", answer.text) for answer in answers}) == 1


# The package


def test_a_browser_gets_the_scan_page(linked: Brand, browser: Asker) -> None:
    for query in (
        "",
        "?17=261231",
        "?linkType=gs1:defaultLink",
        "?linkType=gs1:verificationService",
    ):
        answer = browser(linked.path(1) + query)
        assert answer.status_code == 200
        assert "Genuine" in answer.text
        assert not is_shared(answer)
        assert f"<http://localhost{linked.path(1)}?linkType=linkset>" in answer.headers["Link"]
        assert {"Accept", "Accept-Language"} <= set(answer.vary)


def test_every_other_address_of_a_package_leads_to_its_scan_page(
    linked: Brand, browser: Asker
) -> None:
    code = linked.path(1).rpartition("/")[2]
    for path in (
        f"/10/L1/21/{code}",
        f"/22/A/21/{code}",
        f"/22/A/10/L%2F1/21/{code}",
        f"/21/{code}/",
    ):
        answer = browser(f"{ROOT}{path}?17=261231&utm=x")
        assert answer.status_code == 307
        assert answer.location == f"http://localhost{linked.path(1)}?17=261231&utm=x"
        named = browser(f"{ROOT}{path}?linkType=gs1:verificationService")
        assert named.location.startswith(f"http://localhost{linked.path(1)}?")
    assert browser(f"{ROOT}/10/L1/21/{code}?17=269999").status_code == 400
    # What cannot be the address of a scan page must not lead in a circle.
    assert browser(f"{ROOT}/21/A%2FB").status_code in {400, 404}


def test_a_broken_scan_address_is_400(linked: Brand, browser: Asker, machine: Asker) -> None:
    for path in (
        "/01/6901234567892/21/0123456789ABCDEF",
        f"{ROOT}/21/{'A' * 21}",
        f"{ROOT}/21/%C3%A9",
        f"{linked.path(1)}?17=261301",
    ):
        assert browser(path).status_code == 400
        assert machine(path).mimetype == "application/problem+json"
        assert machine(path).status_code == 400


def test_a_claims_address_is_no_address_of_a_product(linked: Brand, browser: Asker) -> None:
    answer = browser(f"{linked.path(1)}/claim")
    assert (answer.status_code, answer.location) == (303, linked.path(1))


def test_nobody_is_counted_who_asked_for_a_list(linked: Brand, machine: Asker) -> None:
    machine(linked.path(1))
    machine(f"{linked.path(1)}?linkType=gs1:pip")
    assert linked.metrics().fetches == 0


# What every resolver has


def test_the_description_says_what_is_resolved(bare: Brand, browser: Asker) -> None:
    answer = browser("/.well-known/gs1resolver")
    assert (answer.status_code, answer.mimetype) == (200, "application/json")
    assert is_shared(answer)
    assert answer.json == {
        "name": "Referral",
        "resolverRoot": "http://localhost",
        "supportedPrimaryKeys": ["01"],
        "supportedLinkType": [{"namespace": VOC, "prefix": "gs1:"}],
        "linkTypeDefaultCanBeLinkset": False,
        "jsonLdContextLocation": "https://ref.gs1.org/standards/resolver/linkset-context",
    }


def test_nothing_that_was_sent_ends_the_address_in_the_link_header(
    linked: Brand, app: Flask
) -> None:
    query = {"linkType": "linkset"}
    sent = f'{ROOT}/10/A>;"B'
    answer = app.test_client().get(sent, query_string=query, environ_overrides={"RAW_URI": sent})
    assert answer.status_code == 200
    assert f"<http://localhost{ROOT}/10/A%3E%3B%22B?linkType=linkset>;" in "".join(
        answer.headers.getlist("Link")
    )


def test_an_address_that_names_nothing_has_options_and_no_linkset(app: Flask) -> None:
    answer = app.test_client().options("/01/5/x")
    assert answer.status_code == 200
    assert "Link" not in answer.headers


def test_head_and_options_are_answered(linked: Brand, browser: Asker) -> None:
    for path in (ROOT, f"{ROOT}/10/L1", linked.path(1), f"{linked.path(1)}?linkType=linkset"):
        got, headed = browser(path), browser(path, "HEAD")
        assert headed.status_code == got.status_code
        assert headed.location == got.location
        assert headed.headers["Link"] == got.headers["Link"]
        assert headed.text == ""
        asked = browser(path, "OPTIONS", Origin="https://till.example")
        assert asked.status_code == 200
        assert set(asked.allow) == {"GET", "HEAD", "OPTIONS"}
        assert is_shared(asked)
        assert asked.headers["Access-Control-Allow-Methods"] == "GET, HEAD, OPTIONS"
    assert browser(ROOT, "POST").status_code == 405
