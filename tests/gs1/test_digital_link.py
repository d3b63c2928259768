"""GS1 Digital Link's grammar, by vectors from GS1's rules and against another implementation."""

from datetime import date

import pytest
from biip import ParseError
from biip.gs1_digital_link_uris import GS1DigitalLinkURI
from biip.gs1_messages import GS1Message
from biip.gtin import Gtin
from hypothesis import example, given
from hypothesis import strategies as st

from referral.gs1.digital_link import BadDigitalLink, DigitalLink, parse, read_date
from referral.gs1.gtin import BadGTIN
from tests.cast import GTIN

SET_82 = "!\"%&'()*+,-./0123456789:;<=>?ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"
ROOT = f"/01/{GTIN}"

values = st.text(SET_82, min_size=1, max_size=20)
optional = st.none() | values
digits = st.text("0123456789", min_size=13, max_size=13)


def check_digit(thirteen: str) -> str:
    """As GS1 has it: weights 3 and 1 from the left, up to the next ten."""
    total = sum(int(digit) * (3, 1)[place % 2] for place, digit in enumerate(thirteen))
    return str(-total % 10)


gtins = digits.map(lambda thirteen: thirteen + check_digit(thirteen))
links = st.builds(DigitalLink, gtins, variant=optional, lot=optional, serial=optional)


@pytest.mark.parametrize(
    "path, query, named",
    [
        (ROOT, "", {}),
        (f"{ROOT}/", "", {}),
        (f"{ROOT}/21/0123456789ABCDEF", "", {"serial": "0123456789ABCDEF"}),
        (f"{ROOT}/10/ABC1/21/12345", "17=180426", {"lot": "ABC1", "serial": "12345"}),
        (f"{ROOT}/22/2A/10/ABC1/21/x", "", {"variant": "2A", "lot": "ABC1", "serial": "x"}),
        (f"{ROOT}/22/2A/21/x", "", {"variant": "2A", "serial": "x"}),
        (f"{ROOT}/10/L%2F1", "", {"lot": "L/1"}),
        (f"{ROOT}/10/%41+B", "", {"lot": "A+B"}),
        (f"{ROOT}/10/{'9' * 20}", "", {"lot": "9" * 20}),
        (f"{ROOT}/235/{'T' * 28}", "", {"third_party": "T" * 28}),
        (ROOT, "3103=000195&utm_source=x;17=261200", {}),
        ("/01/09506000134352", "linkType=gs1:pip&context=us", {}),
    ],
)
def test_it_reads_what_the_syntax_allows(path: str, query: str, named: dict[str, str]) -> None:
    link = parse(path, query)
    assert (link.gtin, link.variant, link.lot, link.serial, link.third_party) == (
        path.split("/")[2],
        named.get("variant"),
        named.get("lot"),
        named.get("serial"),
        named.get("third_party"),
    )


@pytest.mark.parametrize(
    "path, query",
    [
        ("", ""),
        ("/", ""),
        ("/01", ""),
        ("/01/", ""),
        (f"/gtin/{GTIN}", ""),
        (f"/02/{GTIN}", ""),
        (f"{ROOT}/foo", ""),
        (f"{ROOT}//", ""),
        (f"{ROOT}/21", ""),
        (f"{ROOT}/21/", ""),
        (f"{ROOT}/21//", ""),
        (f"{ROOT}/21/x/foo", ""),
        (f"{ROOT}/17/261231", ""),
        (f"{ROOT}/99/x", ""),
        (f"{ROOT}/ser/x", ""),
        (f"{ROOT}/21/x/10/y", ""),
        (f"{ROOT}/10/y/22/x", ""),
        (f"{ROOT}/10/y/10/y", ""),
        (f"{ROOT}/21/x/235/y", ""),
        (f"{ROOT}/235/y/21/x", ""),
        (f"{ROOT}/10/L/1", ""),
        (f"{ROOT}/10/{'9' * 21}", ""),
        (f"{ROOT}/235/{'T' * 29}", ""),
        (f"{ROOT}/10/%C3%A9", ""),
        (f"{ROOT}/10/%FF", ""),
        (f"{ROOT}/10/a%20b", ""),
        (f"{ROOT}/10/a%00b", ""),
        (f"{ROOT}/10/a%23b", ""),
        (f"{ROOT}/10/100%", ""),
        (f"{ROOT}/10/%zz", ""),
        (f"{ROOT}/10/茶", ""),
        (ROOT, "17=26123"),
        (ROOT, "17=261301"),
        (ROOT, "17=260001"),
        (ROOT, "17=260230"),
        (ROOT, "17=270229"),
        (ROOT, "17="),
        (ROOT, "17"),
        (ROOT, "17=%32"),
        (ROOT, "17=261200&17=261200"),
        (ROOT, "11=999999"),
        (ROOT, f"01={GTIN}"),
        (ROOT, "21=x"),
        (ROOT, "10=x"),
    ],
)
def test_it_refuses_what_the_syntax_does_not_allow(path: str, query: str) -> None:
    with pytest.raises(BadDigitalLink) as refused:
        parse(path, query)
    assert refused.value.status == 400
    assert refused.value.detail


@pytest.mark.parametrize(
    "gtin",
    [
        "6901234567892",
        "96385074",
        "036000291452",
        "0" + GTIN,
        "06901234567893",
        "x" * 14,
        "０" * 14,
    ],
)
def test_a_gtin_in_a_path_has_14_digits_that_check(gtin: str) -> None:
    with pytest.raises(BadGTIN) as refused:
        parse(f"/01/{gtin}")
    assert refused.value.status == 400


@given(links)
@example(DigitalLink(GTIN, serial=SET_82[:20]))
@example(DigitalLink(GTIN, variant="/" * 20, lot="..", serial="%2F"))
def test_what_is_written_is_read_as_it_was(link: DigitalLink) -> None:
    assert parse(link.path) == link
    assert parse(link.path + "/") == link
    assert set(link.path) <= set(SET_82) - set("\"&'()*+,:;<=>?!")


@given(st.builds(DigitalLink, gtins, third_party=st.text(SET_82, min_size=1, max_size=28)))
def test_a_third_partys_serial_stands_alone(link: DigitalLink) -> None:
    assert parse(link.path) == link
    assert list(link.levels()) == [link, DigitalLink(link.gtin)]
    with pytest.raises(BadDigitalLink):
        DigitalLink(link.gtin, lot="L", third_party=link.third_party)


def test_every_character_outside_the_82_is_refused() -> None:
    assert len(set(SET_82)) == 82
    for number in {*range(0x180), 0x2028, 0xFF10}:
        if chr(number) in SET_82:
            assert DigitalLink(GTIN, lot=chr(number)).lot == chr(number)
        else:
            with pytest.raises(BadDigitalLink):
                DigitalLink(GTIN, lot=chr(number))


def test_up_the_tree_every_qualifier_is_let_go_of_in_turn() -> None:
    link = DigitalLink(GTIN, variant="v", lot="l", serial="s", expiry="261231")
    assert [level.path for level in link.levels()] == [
        f"{ROOT}/22/v/10/l/21/s",
        f"{ROOT}/22/v/10/l",
        f"{ROOT}/22/v",
        ROOT,
    ]
    assert [level.path for level in DigitalLink(GTIN, serial="s").levels()] == [
        f"{ROOT}/21/s",
        ROOT,
    ]
    assert link.query == "17=261231"
    assert parse(link.path, link.query) == link


# Dates


@pytest.mark.parametrize(
    "written, today, meant",
    [
        ("261231", date(2026, 3, 2), date(2026, 12, 31)),
        ("261200", date(2026, 3, 2), date(2026, 12, 31)),
        ("280200", date(2026, 3, 2), date(2028, 2, 29)),
        ("270200", date(2026, 3, 2), date(2027, 2, 28)),
        ("760101", date(2026, 3, 2), date(2076, 1, 1)),
        ("770101", date(2026, 3, 2), date(1977, 1, 1)),
        ("990101", date(2026, 3, 2), date(1999, 1, 1)),
        ("000101", date(2051, 1, 1), date(2100, 1, 1)),
        ("010101", date(2051, 1, 1), date(2101, 1, 1)),
        ("020101", date(2051, 1, 1), date(2002, 1, 1)),
        ("000229", date(2026, 3, 2), date(2000, 2, 29)),
    ],
)
def test_six_digits_are_a_date_near_today(written: str, today: date, meant: date) -> None:
    assert read_date(written, today) == meant


def test_a_29_february_that_its_century_lacks_is_refused() -> None:
    with pytest.raises(BadDigitalLink):
        read_date("000229", date(2060, 1, 1))


@given(st.dates(date(1978, 1, 1), date(2075, 12, 31)))
def test_a_written_date_is_read_back(day: date) -> None:
    assert read_date(f"{day:%y%m%d}", date(2026, 3, 2)) == day


# Against another implementation


def other_takes(uri: str) -> bool:
    try:
        GS1DigitalLinkURI.parse(uri)
    except ParseError:
        return False
    return True


@given(digits, st.integers(0, 9))
def test_both_agree_on_gtins(thirteen: str, last: int) -> None:
    gtin = f"{thirteen}{last}"
    try:
        theirs = Gtin.parse(gtin).as_gtin_14() == gtin
    except ParseError:
        theirs = False
    try:
        ours = DigitalLink(gtin).gtin == gtin
    except BadGTIN:
        ours = False
    assert ours == theirs


@given(links)
def test_both_read_and_write_the_same_address(link: DigitalLink) -> None:
    theirs = GS1DigitalLinkURI.parse(f"https://tea.example{link.path}")
    found = {each.ai.ai: each.value for each in theirs.element_strings}
    ours = {"01": link.gtin, "22": link.variant, "10": link.lot, "21": link.serial}
    assert found == {key: value for key, value in ours.items() if value is not None}
    assert theirs.as_uri(domain="tea.example") == f"https://tea.example{link.path}"


pieces = st.one_of(
    st.sampled_from(["01", "22", "10", "21", "235", "17", "", "foo", GTIN, "06901234567893"]),
    st.text(SET_82 + "é #~", max_size=22),
)


@given(st.lists(pieces, max_size=7))
@example([GTIN, "10", "x", "21", "y"])
def test_we_take_nothing_that_the_other_refuses(segments: list[str]) -> None:
    path = "/".join(["/01", *segments])
    try:
        link = parse(path)
    except (BadDigitalLink, BadGTIN):
        return
    assert other_takes(f"https://tea.example{link.path}")
    assert other_takes(f"https://tea.example{path.removesuffix('/')}")


@given(st.integers(0, 99), st.integers(0, 14), st.integers(0, 33))
def test_both_agree_on_dates(year: int, month: int, day: int) -> None:
    written = f"{year:02}{month:02}{day:02}"
    today = date.today()  # noqa: DTZ011 - the other implementation takes this machine's, too
    try:
        theirs = GS1Message.parse(f"17{written}").element_strings[0].date
    except ParseError:
        theirs = None
    try:
        ours = read_date(written, today)
    except BadDigitalLink:
        ours = None
    assert ours == theirs
