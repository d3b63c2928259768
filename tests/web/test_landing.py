"""What the reader of a share link is shown, and which shop he is led to."""

import dataclasses
import re

import pytest
from flask import Flask

from referral import actions, create_app
from referral.campaigns import Campaign, ShopNotListed
from referral.campaigns.content import CampaignContent
from referral.config import Config
from referral.deployment import Deployment, open_deployment
from referral.links import Link
from referral.pictures import made_ready
from tests.cast import draft
from tests.photos import photo_file
from tests.readers import Reader
from tests.web.conftest import Brand

WIRE_BYTES_MAX = 30 * 1024
SHOP = "https://shop.example/tea?size=500ml#reviews"


@pytest.fixture
def config(config: Config) -> Config:
    return dataclasses.replace(config, shops=("shop.example",))


def edit(brand: Brand, **changes: object) -> Campaign:
    """The brand's campaign with changes to what readers see."""
    content = draft(**changes).model_dump(include=set(CampaignContent.model_fields))
    wanted = CampaignContent.model_validate(content)
    return actions.edit_content(brand.deployment, "spring", lambda _campaign: wanted)


def link_of(brand: Brand, visitor: int = 7) -> str:
    return f"/s/{brand.deployment.links.token(Link(brand.campaign.id, visitor))}"


def picture(deployment: Deployment, seed: int) -> str:
    ready = made_ready(photo_file(600, 500, seed=seed))
    return actions.add_picture(deployment, ready).sha256


# The page


def test_the_page_is_made_of_the_campaign_s_content(brand: Brand, bob: Reader) -> None:
    first, second, third = (picture(brand.deployment, seed) for seed in (1, 2, 3))
    edit(
        brand,
        content={
            "en": {"title": "Cold & clear", "body": "Twelve hours.\nNo sugar.\n\n<b>Really</b>"}
        },
        picture=first,
        more_pictures=[second, third],
        video_url="https://video.example/watch?v=1&t=2",
        buy_url="https://elsewhere.example/tea",
    )
    bob.get(link_of(brand))
    assert bob.heading == "Cold & clear"
    assert "Twelve hours.<br>No sugar." in bob.page
    assert "&lt;b&gt;Really&lt;/b&gt;" in bob.page
    shown = re.findall(r'<img class="picture" src="/pictures/(\w{64})\.jpg"', bob.page)
    assert shown == [first, second, third]
    assert 'href="https://video.example/watch?v=1&amp;t=2" rel="noopener"' in bob.page
    assert "<iframe" not in bob.page
    assert "<small>video.example</small>" in bob.page
    assert '<a class="row" href="/01/06901234567892">Cold Brew Tea</a>' in bob.page
    assert 'href="https://elsewhere.example/tea">To the shop' in bob.page, "no token for strangers"
    assert "Scan the code on your package" in bob.page


def test_of_many_products_the_page_names_a_few(brand: Brand, bob: Reader) -> None:
    for number in range(8):
        gtin = f"069012345{number:04}"
        check = -sum(int(d) * (3 if i % 2 == 0 else 1) for i, d in enumerate(gtin)) % 10
        actions.add_product(
            brand.deployment,
            gtin=f"{gtin}{check}",
            name=f"Tea {number}",
            price=2000,
            currency="CNY",
        )
    edit(brand)
    bob.get(link_of(brand))
    assert bob.page.count('<a class="row" href="/01/') == 6
    assert "and 3 more products" in bob.page


def test_a_bare_campaign_has_a_page_too(brand: Brand, bob: Reader) -> None:
    bob.get(link_of(brand))
    assert bob.heading == "Spring together"
    for absent in ('class="picture"', "gallery", "Watch the video", "To the shop"):
        assert absent not in bob.page


@pytest.mark.parametrize("agent", ["Mozilla/5.0 (iPhone) MicroMessenger/8.0.53", None])
def test_the_shop_gets_the_opened_token_from_the_button(
    brand: Brand, app: Flask, agent: str | None
) -> None:
    edit(brand, buy_url=SHOP)
    for visitor in (7, 8):  # the second reader's page is made from the first one's
        reader = Reader(app, agent=agent) if agent else Reader(app)
        opened = link_of(brand, visitor)
        reader.get(opened)
        token = opened.removeprefix("/s/")
        wanted = f"https://shop.example/tea?size=500ml&amp;via={token}#reviews"
        assert f'href="{wanted}">To the shop' in reader.page
        assert reader.own_link != opened


# The redirect


def test_people_are_led_to_the_shop_counted_and_known(brand: Brand, bob: Reader) -> None:
    edit(brand, buy_url=SHOP, landing="redirect")
    opened = link_of(brand)
    answer = bob.get(opened)
    assert answer.status_code == 302
    token = opened.removeprefix("/s/")
    assert answer.location == f"https://shop.example/tea?size=500ml&via={token}#reviews"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Referrer-Policy"] == "same-origin"
    assert bob.cookie("referral_visitor")
    assert (brand.metrics().opens, brand.metrics().visitors) == (1, 1)


def test_machines_get_the_page_to_make_a_card_of(brand: Brand, app: Flask) -> None:
    edit(brand, buy_url=SHOP, landing="redirect")
    preview = Reader(app, agent="facebookexternalhit/1.1")
    answer = preview.get(link_of(brand))
    assert answer.status_code == 200
    assert 'property="og:title" content="Spring together"' in preview.page
    assert (brand.metrics().fetches, brand.metrics().opens) == (1, 0)


def test_a_shop_that_was_taken_off_the_list_gets_nobody(
    brand: Brand, config: Config, bob: Reader
) -> None:
    edit(brand, buy_url=SHOP, landing="redirect")
    later = open_deployment(
        dataclasses.replace(config, shops=("other.example",)), clock=brand.deployment.clock
    )
    reader = Reader(create_app(deployment=later))
    opened = link_of(brand)
    assert reader.get(opened).status_code == 200
    assert f'href="{SHOP}">To the shop' in reader.page, "a link a reader follows, without a token"
    later.db.close()


@pytest.mark.parametrize(
    "address",
    [
        "https://evil.example/",
        "https://www.shop.example/",
        "http://shop.example/",
        "https://shop.example:8443/",
        "https://shop.example./",
    ],
)
def test_no_campaign_leads_to_a_shop_that_is_not_listed(
    brand: Brand, bob: Reader, address: str
) -> None:
    for attempt in (
        lambda: edit(brand, buy_url=address, landing="redirect"),
        lambda: actions.add_campaign(
            brand.deployment, draft(slug="new", buy_url=address, landing="redirect")
        ),
    ):
        with pytest.raises(ShopNotListed):
            attempt()
    assert bob.get(link_of(brand)).status_code == 200


def test_nothing_in_the_address_of_a_link_aims_the_redirect(brand: Brand, bob: Reader) -> None:
    edit(brand, buy_url=SHOP, landing="redirect")
    for query in ("?next=https://evil.example", "?buy_url=//evil.example", "?via=x&url=/"):
        answer = bob.get(link_of(brand) + query)
        assert answer.location.startswith("https://shop.example/tea?size=500ml&via=")
        assert "evil" not in answer.location


def test_a_dead_link_leads_to_no_shop(brand: Brand, bob: Reader) -> None:
    edit(brand, buy_url=SHOP, landing="redirect")
    for dead in ("/s/x", link_of(brand)[:-4] + "AAAA"):
        assert bob.get(dead).status_code == 404


def test_a_full_page_is_small_enough_for_a_bad_network(
    brand: Brand, app: Flask, bob: Reader
) -> None:
    """All that a page can have, and three paragraphs."""
    edit(
        brand,
        content={
            "zh-Hans": {"title": "请朋友喝一瓶", "body": "\n\n".join(["低温慢泡十二小时" * 8] * 3)}
        },
        picture=picture(brand.deployment, 1),
        more_pictures=[picture(brand.deployment, seed) for seed in range(2, 7)],
        video_url="https://video.example/watch?v=1",
        buy_url=SHOP,
    )
    reader = Reader(app, lang="zh-CN")
    page = reader.get(link_of(brand))
    assert page.text.count('class="picture"') == 6
    parts = re.findall(r'(?:src|href)="(/static/[^"]+)"', page.text)
    weight = len(page.data) + sum(len(reader.get(part).data) for part in parts)
    print(f"a full landing page weighs {weight} bytes")
    assert weight <= WIRE_BYTES_MAX
