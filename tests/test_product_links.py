"""A product's links: kept as a whole, and only such as can be followed safely."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from referral import actions, catalog, product_links
from referral.catalog import UnknownProduct
from referral.deployment import Deployment
from referral.gs1.gtin import BadGTIN
from referral.gs1.target import Target
from referral.product_links import LINKS_MAX, BadLinks, ProductLink, clean_href
from tests.cast import GTIN, OTHER_GTIN, add_product

PAGE = Target("gs1:pip", "https://tea.example/", "The tea", "en", "text/html", is_default=True)
SHOPS = Target("https://ref.gs1.org/voc/hasRetailers", "https://tea.example/shops", "Shops")


def kept(deployment: Deployment, gtin: str = GTIN) -> list[Target]:
    with deployment.db.read() as tx:
        return product_links.links_of(tx, catalog.product_by_gtin(tx, gtin).id)


def test_links_are_kept_in_their_order_and_replaced_as_a_whole(deployment: Deployment) -> None:
    add_product(deployment)
    add_product(deployment, OTHER_GTIN)
    actions.set_product_links(deployment, OTHER_GTIN, [PAGE])
    actions.set_product_links(deployment, GTIN, [SHOPS, PAGE])
    assert kept(deployment) == [
        replace(SHOPS, link_type="hasRetailers"),
        replace(PAGE, link_type="pip"),
    ]
    actions.set_product_links(deployment, GTIN, [replace(PAGE, title="Tea")])
    assert [target.title for target in kept(deployment)] == ["Tea"]
    actions.set_product_links(deployment, GTIN, [])
    assert kept(deployment) == []
    assert len(kept(deployment, OTHER_GTIN)) == 1


@pytest.mark.parametrize(
    "change, field",
    [
        ({"link_type": "pip"}, "link_type"),
        ({"link_type": "gs1:nothing"}, "link_type"),
        ({"link_type": "gs1:defaultLink"}, "link_type"),
        ({"link_type": "gs1:defaultLinkMulti"}, "link_type"),
        ({"href": ""}, "href"),
        ({"href": "javascript:alert(1)"}, "href"),
        ({"href": "data:text/html,x"}, "href"),
        ({"href": "//tea.example/"}, "href"),
        ({"href": "/me"}, "href"),
        ({"href": "https://"}, "href"),
        ({"href": "https://tea.example@evil.example/"}, "href"),
        ({"href": "https://tea.example:x/"}, "href"),
        ({"href": "https://tea.example/a\r\nSet-Cookie: x"}, "href"),
        ({"href": "https://tea.example/" + "x" * 1000}, "href"),
        ({"href": "https://tea.example/" + "茶" * 200}, "href"),
        ({"href": f"http://localhost/01/{OTHER_GTIN}"}, "href"),
        ({"href": f"https://LOCALHOST/01/{GTIN}?x"}, "href"),
        ({"title": ""}, "title"),
        ({"title": "x" * 121}, "title"),
        ({"language": "english"}, "language"),
        ({"language": "EN"}, "language"),
        ({"language": "fil"}, "language"),
        ({"media_type": "html"}, "media_type"),
        ({"media_type": "text/html; charset=utf-8"}, "media_type"),
        ({"media_type": "text/" + "x" * 100}, "media_type"),
    ],
)
def test_a_link_that_cannot_be_followed_is_refused(
    deployment: Deployment, change: dict[str, str], field: str
) -> None:
    add_product(deployment)
    actions.set_product_links(deployment, GTIN, [PAGE])
    with pytest.raises(BadLinks) as refused:
        actions.set_product_links(deployment, GTIN, [SHOPS, replace(PAGE, **change)])
    assert [(fault.position, fault.field) for fault in refused.value.faults] == [(1, field)]
    [error] = refused.value.details["errors"]
    assert error["field"] == f"links.1.{field}"
    assert error["message"]
    assert kept(deployment) == [replace(PAGE, link_type="pip")]


def test_everything_that_is_wrong_is_said_at_once(deployment: Deployment) -> None:
    add_product(deployment)
    with pytest.raises(BadLinks) as refused:
        actions.set_product_links(
            deployment, GTIN, [PAGE, replace(PAGE, title=""), Target("", "", "", "?", "?")]
        )
    assert [(fault.position, fault.field) for fault in refused.value.faults] == [
        (1, "title"),
        (1, "href"),
        (1, "is_default"),
        (2, "link_type"),
        (2, "href"),
        (2, "title"),
        (2, "language"),
        (2, "media_type"),
    ]


def test_a_product_has_a_limited_number_of_links(deployment: Deployment) -> None:
    add_product(deployment)
    many = [replace(SHOPS, href=f"https://tea.example/{n}") for n in range(LINKS_MAX + 1)]
    with pytest.raises(BadLinks):
        actions.set_product_links(deployment, GTIN, many)
    actions.set_product_links(deployment, GTIN, many[:-1])
    assert len(kept(deployment)) == LINKS_MAX


def test_a_product_nobody_made_has_no_links(deployment: Deployment) -> None:
    with pytest.raises(UnknownProduct):
        actions.set_product_links(deployment, GTIN, [])
    with pytest.raises(BadGTIN):
        actions.set_product_links(deployment, "1", [])


@pytest.mark.parametrize(
    "typed, stored",
    [
        ("https://tea.example", "https://tea.example/"),
        ("HTTPS://Tea.Example/A?b=1#c", "https://tea.example/A?b=1#c"),
        ("https://tea.example/茶", "https://tea.example/%E8%8C%B6"),
        ("https://茶.example/", "https://xn--cl1a.example/"),
        ("http://192.0.2.1:8080/x", "http://192.0.2.1:8080/x"),
    ],
)
def test_an_address_is_stored_as_it_is_sent(typed: str, stored: str) -> None:
    assert clean_href(typed) == stored
    assert stored.isascii()


def test_the_database_allows_one_default_and_one_link_a_place(deployment: Deployment) -> None:
    add_product(deployment)
    actions.set_product_links(deployment, GTIN, [PAGE, SHOPS])
    for change in ({"is_default": True}, {"position": 0}):
        with pytest.raises(IntegrityError):
            deployment.db.transact(
                lambda tx, change=change: tx.execute(sa.update(ProductLink).values(**change))
            )


def test_two_who_set_links_at_once_do_not_mix_them(deployment: Deployment) -> None:
    add_product(deployment)
    sets = [
        [
            replace(PAGE, title=f"{n} {i}", href=f"https://tea.example/{i}", is_default=i == 0)
            for i in range(5)
        ]
        for n in range(6)
    ]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda links: actions.set_product_links(deployment, GTIN, links), sets))
    authors = {target.title.split()[0] for target in kept(deployment)}
    assert len(authors) == 1
    assert len(kept(deployment)) == 5
