"""A product's links over the API: set as a whole, and every wrong field named."""

from tests.web.api.conftest import PRODUCT, Api, problem

PATH = f"/products/{PRODUCT['gtin']}/links"
LINK = {"link_type": "gs1:pip", "href": "https://tea.example", "title": "The tea"}


def test_links_are_set_as_a_whole_and_read_back(api: Api) -> None:
    api.made("/products", PRODUCT)
    assert api.get(PATH).json == {
        "gtin": PRODUCT["gtin"],
        "url": f"http://localhost/01/{PRODUCT['gtin']}",
        "links": [],
    }
    more = {
        "link_type": "https://gs1.org/voc/instructions",
        "href": "https://tea.example/steep",
        "title": " How to\nsteep it ",
        "language": "zh-Hans",
        "media_type": "text/html",
        "default": True,
    }
    said = api.made(PATH, {"links": [LINK, more]})
    assert said["links"] == [
        {
            **LINK,
            "href": "https://tea.example/",
            "language": "",
            "media_type": "",
            "default": False,
        },
        {**more, "link_type": "gs1:instructions", "title": "How to steep it"},
    ]
    assert api.get(f"/products/{PRODUCT['gtin'][1:]}/links").json == said
    assert api.made(PATH, {"links": []})["links"] == []


def test_what_cannot_be_kept_is_named_and_changes_nothing(api: Api) -> None:
    api.made("/products", PRODUCT)
    before = api.made(PATH, {"links": [LINK]})
    refused = api.post(PATH, {"links": [LINK, {**LINK, "href": "javascript:x", "default": True}]})
    assert problem(refused) == (422, "bad-links")
    assert [error["field"] for error in refused.json["errors"]] == ["links.1.href"]
    for links in (
        [LINK, LINK],
        [
            {**LINK, "default": True},
            {**LINK, "title": "b", "href": "https://b.example", "default": True},
        ],
        [{**LINK, "link_type": "gs1:defaultLink"}],
    ):
        assert problem(api.post(PATH, {"links": links})) == (422, "bad-links")
    for body in ({}, {"links": [{}]}, {"links": [LINK] * 61}, {"links": [{**LINK, "x": 1}]}):
        assert problem(api.post(PATH, body)) == (422, "invalid-input")
    assert api.get(PATH).json == before


def test_a_product_nobody_made_has_no_links(api: Api) -> None:
    assert problem(api.get(PATH)) == (404, "unknown-product")
    assert problem(api.post(PATH, {"links": []})) == (404, "unknown-product")
    assert problem(api.get("/products/06901234567893/links")) == (400, "bad-gtin")


def test_a_product_says_what_its_packages_carry(api: Api) -> None:
    assert api.made("/products", PRODUCT)["labels"] == "single"
    other = {**PRODUCT, "gtin": "06901234567908", "labels": "pair"}
    assert api.made("/products", other)["labels"] == "pair"
    refused = api.post("/products", {**PRODUCT, "gtin": "96385074", "labels": "three"})
    assert problem(refused) == (422, "invalid-input")
