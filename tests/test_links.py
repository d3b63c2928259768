"""Share links and visitor cookies: signed, short, and the whole memory of who brought whom."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from referral.crypto import KeyRing
from referral.links import (
    HOP_MAX,
    NEAR_KEYS_MAX,
    TOUCHES_MAX,
    VISITOR_END,
    Channel,
    Link,
    LinkCodec,
    LinkFault,
    Touch,
    VisitorCookie,
    arrive,
    own_link,
    visitor_id,
    visitor_name,
)

OLD, NEW, NEWER = (f"a-{age}-key-for-the-tests-only" for age in ("first", "second", "third"))
CODEC = LinkCodec(KeyRing([OLD, NEW]))
ROTATED = LinkCodec(KeyRing([OLD, NEW, NEWER]))
STRANGERS = LinkCodec(KeyRing(["somebody-else's-key-altogether"]))
NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)

LINKS = st.builds(
    Link,
    campaign=st.integers(0, 65_535),
    visitor=st.integers(0, VISITOR_END - 1),
    customer=st.none() | st.integers(1, (1 << 32) - 1),
    hop=st.integers(0, HOP_MAX),
    channel=st.sampled_from(Channel),
)
TIMES = st.datetimes(datetime(2020, 1, 1), datetime(2100, 1, 1)).map(  # noqa: DTZ001
    lambda moment: moment.replace(microsecond=0, tzinfo=UTC)
)
COOKIES = st.builds(
    VisitorCookie,
    visitor=st.integers(0, VISITOR_END - 1),
    touches=st.lists(st.builds(Touch, LINKS, TIMES), max_size=TOUCHES_MAX).map(tuple),
)
ALICE, BOB, CHARLIE = 101, 102, 103
"""Visitors; as customers they have the numbers 1, 2 and 3."""


# Tokens


@given(LINKS)
def test_a_link_comes_back_from_its_token(link: Link) -> None:
    token = CODEC.token(link)
    assert len(token) == 37
    assert CODEC.read(token) == link


@pytest.mark.parametrize(
    "link",
    [
        Link(0, 0),
        Link(65_535, VISITOR_END - 1, (1 << 32) - 1, HOP_MAX, Channel.staff),
        Link(1, 1, None, 0, Channel.unknown),
    ],
)
def test_every_field_holds_at_its_bounds(link: Link) -> None:
    assert CODEC.read(CODEC.token(link)) == link


def test_links_that_were_shared_stay_readable() -> None:
    """These are in chat histories, in browsers and on printed posters, for years."""
    link = Link(7, 2**62 + 5, 41, 3, Channel.poster)
    assert CODEC.token(link) == "e9N7Qqv256JGSD6MuCohCw.AiRyRkZATWwGwA"
    assert CODEC.cookie(VisitorCookie(9, (Touch(link, NOW),))) == (
        "AAAAAAAAAAl703tCq_bnokZIPoy4KiELaaVYmA.NfiB5oS8Kyl1YBnzCAWELEwymHPcG-zR98Nx0lmU0nM"
    )


def test_hops_beyond_the_last_are_counted_as_the_last() -> None:
    link = CODEC.read(CODEC.token(Link(1, ALICE, hop=HOP_MAX + 40)))
    assert link is not None
    assert link.hop == HOP_MAX


def test_it_reads_no_token_that_was_altered() -> None:
    token = CODEC.token(Link(7, ALICE, 1, 0, Channel.copy))
    for place, right in enumerate(token):
        for wrong in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=%é":
            if wrong != right:
                assert CODEC.read(token[:place] + wrong + token[place + 1 :]) is None


def test_it_reads_no_token_that_was_cut_or_lengthened() -> None:
    token = CODEC.token(Link(7, ALICE, 1, 0, Channel.copy))
    for cut in range(len(token)):
        assert CODEC.read(token[:cut]) is None
        assert CODEC.read(token[cut + 1 :]) is None
    for more in ("A", "=", ".", " ", "\n", "。", "?from=singlemessage", token):
        assert CODEC.read(token + more) is None


def test_it_reads_no_token_of_another_installation() -> None:
    assert CODEC.read(STRANGERS.token(Link(7, ALICE))) is None


def test_tokens_tell_nothing_about_who_shares() -> None:
    """Neighbours look unlike: nobody reads numbers or volumes out of an address."""
    tokens = [CODEC.token(Link(1, ALICE, customer)) for customer in range(1, 100)]
    assert len({token[:6] for token in tokens}) > 90


def test_rotation_loses_no_link_and_the_newest_key_signs() -> None:
    link = Link(7, ALICE, 1)
    assert ROTATED.read(CODEC.token(link)) == link
    assert CODEC.read(ROTATED.token(link)) is None
    assert LinkCodec(KeyRing([NEWER])).read(ROTATED.token(link)) == link


def test_a_channel_of_a_later_version_becomes_unknown() -> None:
    packed = Link(7, ALICE, 1, 2, Channel.copy).pack()
    assert Link.unpack(packed[:-1] + bytes([200])) == Link(7, ALICE, 1, 2, Channel.unknown)


@pytest.mark.parametrize(
    "name, channel",
    [("copy", Channel.copy), ("x", Channel.x), ("", Channel.unknown), (None, Channel.unknown)],
)
def test_channels_have_names(name: str | None, channel: Channel) -> None:
    assert Channel.named(name) is channel


@pytest.mark.parametrize("name", ["fax", "COPY", "__class__", "name", "3"])
def test_other_names_are_the_unknown_channel(name: str) -> None:
    assert Channel.named(name) is Channel.unknown


# Tokens that lead nowhere


def flipped(token: str, place: int, letter: str) -> str:
    return token[:place] + letter + token[place + 1 :]


def test_a_tokens_beginning_is_a_cut_one() -> None:
    token = CODEC.token(Link(7, ALICE, 1))
    assert {CODEC.fault(token[:length]) for length in range(1, len(token))} == {LinkFault.cut}
    assert CODEC.fault("") is LinkFault.missing


def test_another_letter_anywhere_is_an_altered_one() -> None:
    token = ROTATED.token(Link(7, ALICE, 1, 0, Channel.copy))
    for place, right in enumerate(token):
        for wrong in ("A" if right != "A" else "g", "-" if right != "-" else "z", ".", "é", " "):
            if wrong != right:
                assert ROTATED.fault(flipped(token, place, wrong)) is LinkFault.altered


def test_a_letter_changed_under_an_older_key_is_found_too() -> None:
    for place in (0, 21, 23, 36):
        token = CODEC.token(Link(7, ALICE, 1))
        wrong = "Q" if token[place] != "Q" else "w"
        assert ROTATED.fault(flipped(token, place, wrong)) is LinkFault.altered


def test_but_only_under_so_many_keys() -> None:
    oldest = LinkCodec(KeyRing([OLD])).token(Link(7, ALICE, 1))
    more = [f"{number} more keys for the tests" for number in range(NEAR_KEYS_MAX)]
    many = LinkCodec(KeyRing([OLD, *more]))
    assert many.read(oldest) is not None
    assert many.fault(flipped(oldest, 3, "A" if oldest[3] != "A" else "B")) is LinkFault.foreign


@pytest.mark.parametrize(
    "spoil",
    [
        str.lower,
        str.upper,
        lambda token: token + "A",
        lambda token: token + token,
        lambda token: token[:20] + "…",
        lambda token: token.replace(".", ""),
        lambda token: token[:9] + "\n" + token[9:],
        lambda token: token[:10] + ".",
    ],
)
def test_what_no_token_looks_like_is_an_altered_one(spoil: Callable[[str], str]) -> None:
    assert CODEC.fault(spoil(CODEC.token(Link(7, ALICE, 1)))) is LinkFault.altered


@given(LINKS)
def test_a_token_of_another_installation_is_a_foreign_one(link: Link) -> None:
    assert CODEC.fault(STRANGERS.token(link)) is LinkFault.foreign
    assert CODEC.fault(ROTATED.token(link)) is LinkFault.foreign, "of a key that is not listed"


def test_a_token_of_ours_that_leads_nowhere_has_expired() -> None:
    assert CODEC.fault(CODEC.token(Link(7, ALICE, 1))) is LinkFault.expired


# Cookies


@given(COOKIES)
def test_a_cookie_comes_back(cookie: VisitorCookie) -> None:
    assert CODEC.read_cookie(CODEC.cookie(cookie)) == cookie
    assert ROTATED.read_cookie(CODEC.cookie(cookie)) == cookie


def test_a_full_cookie_fits_into_a_browser() -> None:
    touch = Touch(Link(65_535, VISITOR_END - 1, 9, 9), NOW)
    assert len(CODEC.cookie(VisitorCookie(1, (touch,) * TOUCHES_MAX))) < 500


@pytest.mark.parametrize("text", [None, "", ".", "nonsense", "é", "A" * 5000])
def test_it_reads_no_cookie_that_is_none(text: str | None) -> None:
    assert CODEC.read_cookie(text) is None


def test_it_reads_no_cookie_of_another_installation_or_use() -> None:
    assert CODEC.read_cookie(STRANGERS.cookie(VisitorCookie(ALICE))) is None
    assert CODEC.read_cookie(CODEC.token(Link(1, ALICE))) is None
    assert CODEC.read(CODEC.cookie(VisitorCookie(ALICE))) is None


def test_it_reads_no_cookie_that_was_altered() -> None:
    text = CODEC.cookie(VisitorCookie(ALICE, (Touch(Link(1, BOB), NOW),)))
    for place, right in enumerate(text):
        wrong = "A" if right != "A" else "B"
        assert CODEC.read_cookie(text[:place] + wrong + text[place + 1 :]) is None
        assert CODEC.read_cookie(text[:place]) is None


# Visitors' names


@given(st.integers(0, VISITOR_END - 1))
def test_a_visitor_has_an_opaque_name(visitor: int) -> None:
    assert visitor_id(visitor_name(visitor)) == visitor
    assert len(visitor_name(visitor)) == 11


@pytest.mark.parametrize("name", ["", "A", "AAAAAAAAAAB", "AAAAAAAAAAA=", "é", "\ud800", "A" * 99])
def test_it_rejects_other_names(name: str) -> None:
    with pytest.raises(ValueError):
        visitor_id(name)


def test_it_rejects_the_name_of_a_visitor_no_column_could_hold() -> None:
    assert visitor_id(visitor_name(VISITOR_END - 1)) == VISITOR_END - 1
    with pytest.raises(ValueError):
        visitor_id("__________8")


# Arriving


def test_the_first_sharer_is_at_hop_none() -> None:
    assert own_link(VisitorCookie(ALICE), 7, 1) == Link(7, ALICE, 1, 0, Channel.address)


def test_a_reader_gets_a_link_of_his_own_one_hop_on() -> None:
    shared = Link(7, ALICE, 1, 0, Channel.copy)
    arrival = arrive(VisitorCookie(BOB), shared, None, NOW)
    assert not arrival.is_own
    assert arrival.own == Link(7, BOB, 1, 1, Channel.address)
    assert arrival.cookie == VisitorCookie(BOB, (Touch(shared, NOW),))


def test_credit_is_carried_through_people_who_never_sign_in() -> None:
    link = own_link(VisitorCookie(ALICE), 7, 1)
    for hop, visitor in enumerate(range(200, 210), start=1):
        link = arrive(VisitorCookie(visitor), link, None, NOW).own
        assert (link.visitor, link.customer, link.hop) == (visitor, 1, hop)


def test_a_reader_who_is_signed_in_shares_for_himself() -> None:
    arrival = arrive(VisitorCookie(BOB), Link(7, ALICE, 1), 2, NOW)
    assert arrival.own == Link(7, BOB, 2, 1, Channel.address)


def test_the_first_and_the_last_touch_of_a_campaign_are_kept() -> None:
    cookie, own = VisitorCookie(BOB), None
    links = [Link(7, ALICE, 1), Link(7, CHARLIE, 3, 4), Link(7, 400, 5, 2)]
    for day, link in enumerate(links):
        arrival = arrive(cookie, link, None, NOW + timedelta(days=day))
        assert not arrival.is_own
        cookie, own = arrival.cookie, arrival.own
    assert cookie.touches == (Touch(links[0], NOW), Touch(links[2], NOW + timedelta(days=2)))
    assert own == Link(7, BOB, 1, 1, Channel.address), "the place in the spread is the first's"


def test_a_last_touch_that_leads_to_nobody_does_not_hide_one_that_does() -> None:
    window, cookie = timedelta(days=30), VisitorCookie(BOB)
    for day, link in ((0, Link(7, ALICE, 1)), (1, Link(7, CHARLIE, 3)), (2, Link(7, 400))):
        cookie = arrive(cookie, link, None, NOW + timedelta(days=day), window).cookie
    assert [touch.link.visitor for touch in cookie.touches] == [ALICE, CHARLIE]
    later = arrive(cookie, Link(7, 400), None, NOW + timedelta(days=30), window).cookie
    assert [touch.link.visitor for touch in later.touches] == [ALICE, CHARLIE]
    later = arrive(cookie, Link(7, 400), None, NOW + timedelta(days=32), window).cookie
    assert [touch.link.visitor for touch in later.touches] == [400], "both were too old"


def test_a_first_touch_that_leads_to_nobody_gives_way_to_one_that_does() -> None:
    cookie = arrive(VisitorCookie(BOB), Link(7, CHARLIE), None, NOW).cookie
    link = Link(7, ALICE, 1)
    cookie = arrive(cookie, link, None, NOW + timedelta(days=1)).cookie
    assert cookie.touches == (Touch(link, NOW + timedelta(days=1)),)


def test_another_campaigns_link_does_not_bend_this_one() -> None:
    cookie = arrive(VisitorCookie(BOB), Link(7, ALICE, 1, 5), None, NOW).cookie
    arrival = arrive(cookie, Link(8, CHARLIE, 3, 2), None, NOW)
    assert arrival.own == Link(8, BOB, 3, 3, Channel.address)
    assert own_link(arrival.cookie, 7, None) == Link(7, BOB, 1, 6, Channel.address)
    assert own_link(arrival.cookie, 9, None) == Link(9, BOB, None, 0, Channel.address)


def test_opening_ones_own_link_teaches_nothing() -> None:
    cookie = VisitorCookie(BOB, (Touch(Link(7, ALICE, 1), NOW),))
    own = own_link(cookie, 7, None)
    arrival = arrive(cookie, own, None, NOW + timedelta(days=1))
    assert arrival.is_own
    assert arrival.cookie == cookie
    assert arrival.own == own


def test_a_customers_other_browser_is_the_customer_too() -> None:
    arrival = arrive(VisitorCookie(BOB), Link(7, ALICE, 1), 1, NOW)
    assert arrival.is_own
    assert arrival.cookie.touches == ()
    assert arrival.own.hop == 0


def test_two_strangers_links_without_credit_are_not_each_others_own() -> None:
    arrival = arrive(VisitorCookie(BOB), Link(7, ALICE, None), None, NOW)
    assert not arrival.is_own
    assert arrival.own == Link(7, BOB, None, 1, Channel.address)


def test_a_cookie_remembers_so_many_campaigns_and_the_oldest_go_first() -> None:
    cookie = VisitorCookie(BOB)
    for campaign in range(1, TOUCHES_MAX + 3):
        cookie = arrive(cookie, Link(campaign, ALICE, 1), None, NOW).cookie
    assert [touch.link.campaign for touch in cookie.touches] == list(range(3, TOUCHES_MAX + 3))
    assert CODEC.read_cookie(CODEC.cookie(cookie)) == cookie


def test_hops_stop_being_counted_but_not_the_credit() -> None:
    arrival = arrive(VisitorCookie(BOB), Link(7, ALICE, 1, HOP_MAX), None, NOW)
    assert arrival.own == Link(7, BOB, 1, HOP_MAX, Channel.address)
    assert CODEC.read(CODEC.token(arrival.own)) == arrival.own
