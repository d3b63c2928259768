"""Share links that lead nowhere, and how a page proves that a person's browser ran it."""

import re
from datetime import timedelta

import pytest
import sqlalchemy as sa
from flask import Flask

from referral import actions
from referral.actions import Sifted
from referral.clock import HeldClock
from referral.config import Config
from referral.crypto import KeyRing
from referral.dead_links import DeadLink
from referral.links import Channel, Link, LinkCodec, LinkFault
from referral.people import Visitor
from referral.reports import dead_links
from referral.visits import Kind, VisitRow
from tests.readers import Reader
from tests.web.conftest import Brand

STRANGERS = LinkCodec(KeyRing(["somebody-else's-key-altogether"]))
A_PICTURE = {"Sec-Fetch-Dest": "image", "Sec-Fetch-Mode": "no-cors"}


def token_of(brand: Brand, campaign: int | None = None) -> str:
    return brand.deployment.links.token(Link(campaign or brand.campaign.id, visitor=7))


def dead_ones(brand: Brand) -> dict[str, LinkFault]:
    """A link that leads nowhere for each reason."""
    token = token_of(brand)
    return {
        "/s": LinkFault.missing,
        "/s/": LinkFault.missing,
        f"/s/{token[:-1]}": LinkFault.cut,
        f"/s/{token[:3]}": LinkFault.cut,
        f"/s/{token.swapcase().lower()}": LinkFault.altered,
        f"/s/{'A' if token[0] != 'A' else 'B'}{token[1:]}": LinkFault.altered,
        f"/s/{token[:12]}…": LinkFault.altered,
        f"/s/{STRANGERS.token(Link(brand.campaign.id, 7))}": LinkFault.foreign,
        f"/s/{token_of(brand, brand.campaign.id + 1)}": LinkFault.expired,
    }


def without_nonces(page: str, policy: str) -> str:
    nonce = re.search(r"'nonce-([\w-]+)'", policy)
    assert nonce
    return page.replace(nonce[1], "")


def test_links_that_lead_nowhere_look_the_same_to_the_byte(
    brand: Brand, clock: HeldClock, bob: Reader
) -> None:
    bodies, headers = set(), set()

    def look(address: str) -> None:
        answer = bob.get(address)
        assert answer.status_code == 404, address
        bodies.add(without_nonces(answer.text, answer.headers["Content-Security-Policy"]))
        headers.add((*sorted(answer.headers.keys()), answer.headers["Content-Length"]))

    for address in dead_ones(brand):
        look(address)
    clock.advance(days=200)
    look(f"/s/{token_of(brand)}")  # over
    assert (len(bodies), len(headers)) == (1, 1)
    assert bob.heading == "This link leads nowhere."
    assert "send it again, whole" in bob.page
    assert bob.cookie("referral_visitor") is None


def test_inside_they_are_told_apart_and_counted(brand: Brand, bob: Reader, app: Flask) -> None:
    expected = dead_ones(brand)
    for address in expected:
        bob.get(address)
    bob.get("/s/?lang=en")  # the same page in another language
    Reader(app, agent="facebookexternalhit/1.1").get("/s/nonsense")
    brand.deployment.dead_links.flush()
    with brand.deployment.db.read() as tx:
        found = dead_links.counts(tx, since=brand.deployment.clock.now() - timedelta(hours=1))
        hours = set(tx.scalars(sa.select(DeadLink.hour)))
    wanted = list(expected.values())
    assert found == {fault: wanted.count(fault) for fault in LinkFault}
    assert hours == {brand.deployment.clock.now().replace(minute=0)}


def test_metrics_count_them_by_why(brand: Brand, bob: Reader) -> None:
    def counted() -> float:
        lines = bob.get("/metrics").text.splitlines()
        name = 'referral_dead_links_total{fault="cut"} '
        return sum(float(line.split()[-1]) for line in lines if line.startswith(name))

    before = counted()
    bob.get(f"/s/{token_of(brand)[:-1]}")
    assert counted() == before + 1


# Proof


def runs(brand: Brand) -> list[bool]:
    """Of every visitor, whether its browser has proved itself."""
    with brand.deployment.db.read() as tx:
        return [each is not None for each in tx.scalars(sa.select(Visitor.ran_at))]


def test_a_page_that_was_left_at_once_still_ran(
    brand: Brand, bob: Reader, clock: HeldClock
) -> None:
    bob.get(f"/s/{token_of(brand)}")
    assert runs(brand) == [False]
    assert bob.post(f"{bob.own_link}/ran").status_code == 204
    assert runs(brand) == [True]
    clock.advance(days=1)
    assert actions.sift(brand.deployment) == Sifted()
    metrics = brand.metrics()
    assert (metrics.opens, metrics.engagements) == (1, 0)


def test_without_scripts_a_picture_on_the_page_proves_it(brand: Brand, bob: Reader) -> None:
    bob.get(f"/s/{token_of(brand)}")
    found = re.search(r'<noscript><img src="([^"]+)"', bob.page)
    assert found
    assert found[1] == f"{bob.own_link}/ran.gif"
    bob.forget_cookie("referral_visitor")
    answer = bob.get(found[1], **A_PICTURE)
    assert (answer.status_code, answer.mimetype) == (200, "image/gif")
    assert answer.headers["Cache-Control"] == "no-store"
    assert len(answer.data) < 50
    assert "Set-Cookie" not in answer.headers
    assert runs(brand) == [True]


@pytest.mark.parametrize(
    "headers",
    [
        {"User-Agent": "facebookexternalhit/1.1"},
        {"Purpose": "prefetch"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Origin": "https://elsewhere.example"},
    ],
)
def test_a_machine_or_another_page_proves_nothing(
    brand: Brand, bob: Reader, headers: dict[str, str]
) -> None:
    bob.get(f"/s/{token_of(brand)}")
    own = bob.own_link
    assert bob.post(f"{own}/ran", None, **headers).status_code == 204
    assert bob.get(f"{own}/ran.gif", **A_PICTURE | headers).status_code == 200
    assert runs(brand) == [False]


def test_a_spoilt_link_proves_nothing(brand: Brand, bob: Reader) -> None:
    spoilt = token_of(brand)[:-1]
    assert bob.post(f"/s/{spoilt}/ran").status_code == 404
    assert bob.get(f"/s/{spoilt}/ran.gif").status_code == 404


def test_what_loads_pages_and_no_more_is_no_visitor_in_the_end(
    brand: Brand, alice: Reader, bob: Reader, clock: HeldClock
) -> None:
    alice.get(f"/s/{token_of(brand)}")
    alice.post(f"{alice.own_link}/seen")
    bob.get(f"/s/{token_of(brand)}")
    before = brand.metrics()
    assert (before.fetches, before.opens, before.visitors) == (0, 2, 2)
    clock.advance(minutes=60)
    actions.sweep(brand.deployment)
    after = brand.metrics()
    assert (after.fetches, after.opens, after.visitors) == (1, 1, 1)


def test_whoever_is_led_straight_on_to_a_shop_is_taken_at_his_word(
    config: Config, brand: Brand, bob: Reader, clock: HeldClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No page of ours runs there."""
    from flask import redirect

    from referral.web import landing

    monkeypatch.setattr(landing, "to_shop", lambda *_: redirect("https://shop.example/"))
    assert bob.get(f"/s/{token_of(brand)}").status_code == 302
    assert runs(brand) == [True]


# Fetched ahead


def test_a_page_that_is_fetched_ahead_is_nobodys_and_says_so(brand: Brand, bob: Reader) -> None:
    for path in (f"/s/{token_of(brand)}", brand.path(1)):
        bob.get(path, **{"Sec-Purpose": "prefetch;prerender"})
        assert " data-fetched-ahead" in bob.page
        assert "share.js" in bob.page
        assert bob.cookie("referral_visitor") is None
        bob.get(path)
        assert "data-fetched-ahead" not in bob.page
        bob.forget_cookie("referral_visitor")
    metrics = brand.metrics()
    assert (metrics.fetches, metrics.opens, metrics.scans) == (2, 1, 1)


def test_a_reading_counts_for_the_channel_by_which_the_reader_came(
    brand: Brand, bob: Reader
) -> None:
    shared = Link(brand.campaign.id, 7).through(Channel.poster)
    bob.get(f"/s/{brand.deployment.links.token(shared)}")
    assert bob.post(f"{bob.own_link}/seen").status_code == 204
    with brand.deployment.db.read() as tx:
        kinds = dict(tx.execute(sa.select(VisitRow.kind, VisitRow.channel)).all())
    assert kinds[Kind.open] == kinds[Kind.engagement] == "poster"


def test_a_scan_page_reports_that_it_was_seen(brand: Brand, bob: Reader) -> None:
    bob.get(brand.path(1))
    own = bob.own_link
    assert f' data-seen-url="{own}/seen" data-ran-url="{own}/ran"' in bob.page
    assert "data-landing" not in bob.page, "its address is the package's"
    assert bob.post(f"{own}/seen").status_code == 204
    assert brand.metrics().engagements == 1
    assert runs(brand) == [True]
