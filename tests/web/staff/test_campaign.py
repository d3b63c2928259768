"""A campaign's page for marketers: an answer on top, the figures behind it, what one can ask."""

import re

import pytest
from flask import Flask

from referral import actions
from referral.audit import of_subject
from referral.clock import HeldClock
from referral.deployment import Deployment
from referral.reports import forecasts
from referral.rollups import rates as kept_rates
from tests.cast import publish
from tests.readers import Reader
from tests.statements import statements
from tests.web.conftest import Brand
from tests.web.staff.conftest import sign_in, text

PAGE = "/staff/campaigns/spring"
ADVERTISING = f"{PAGE}/advertising"
COMPARE = "/staff/compare-campaigns"
STATEMENTS_MAX = 70


def test_the_answer_comes_first_and_the_figures_behind_it(
    spread_brand: Brand, analyst: Reader
) -> None:
    assert analyst.get(PAGE).status_code == 200
    said = text(analyst)
    assert "In these 14 days 2 people bought for the first time, 1 of them brought in by" in said
    assert re.search(r"at CN¥0\.\d\d each\.", said), said[:900]
    assert re.search(r"Opened a link 2 .*Scanned a code 2 Signed in 1 Claimed 2 Ordered 0", said)
    assert "50.0%" in said
    assert said.index("In these 14 days") < said.index("Funnel") < said.index("New customers")


def test_the_funnel_is_parted_as_asked(spread_brand: Brand, analyst: Reader) -> None:
    for part, heading in (("channel", "Channel"), ("store", "Store"), ("region", "Region")):
        analyst.get(f"{PAGE}?by={part}")
        table = analyst.page[analyst.page.index('id="parts"') :]
        assert f'<th scope="col">{heading}</th>' in table
    analyst.get(f"{PAGE}?by=nonsense")
    assert 'aria-current="true">By channel<' in analyst.page
    # A claim is of the channel by which its buyer came; Alice came by none.
    rows = re.findall(
        r'<td class="whole">([^<]+)</td>((?:<td class="num">\d+</td>)+)', table_of(analyst)
    )
    claims = {label: re.findall(r"\d+", cells)[4] for label, cells in rows}
    assert sum(map(int, claims.values())) == 2
    assert claims["Not known"] == "1"


def table_of(reader: Reader) -> str:
    return reader.page[reader.page.index('id="parts"') :].partition("</table>")[0]


def test_days_are_those_one_chooses(spread_brand: Brand, analyst: Reader, clock: HeldClock) -> None:
    clock.advance(days=20)
    sign_in(analyst, "ann")
    analyst.get(PAGE)
    assert "In these 14 days nobody bought for the first time here." in text(analyst)
    assert "Nothing happened in these days." in text(analyst)
    analyst.get(f"{PAGE}?days=30")
    assert "In these 30 days 2 people bought" in text(analyst)
    analyst.get(f"{PAGE}?days=all")
    assert re.search(r"In these 2\d days 2 people bought", text(analyst))
    assert re.search(r'name="from" type="date"', analyst.page)
    began = spread_brand.campaign.starts_at.date()
    analyst.get(f"{PAGE}?from={began}&to={began}")
    assert re.search(r"On \d+ \w+ 2 people bought for the first time", text(analyst))


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("from=yesterday", "Please enter a date such as 2026-11-30."),
        ("from=2026-02-10&to=2026-02-01", "The last day comes before the first one."),
        ("from=2001-01-01&to=2026-01-01", "These are more days than one page takes"),
    ],
)
def test_days_that_cannot_be_are_said_beside_their_field(
    spread_brand: Brand, analyst: Reader, asked: str, said: str
) -> None:
    assert analyst.get(f"{PAGE}?{asked}").status_code == 422
    assert said in text(analyst)
    assert "In these 14 days" in text(analyst)


def test_who_brings_people_in_is_told_by_purchases(spread_brand: Brand, analyst: Reader) -> None:
    analyst.get(PAGE)
    table = analyst.page[analyst.page.index('id="sharers"') :].partition("</table>")[0]
    assert re.findall(r'<td class="num"[^>]*>(\d+)</td>', table) == ["1", "0", "1"]
    assert ">Alice</a>" in table


def test_another_amount_is_tried_on_the_purchases_of_these_days(
    spread_brand: Brand, analyst: Reader
) -> None:
    analyst.get(PAGE)
    names = re.findall(r'<option value="([^"]+)"', analyst.page[analyst.page.index('id="rule"') :])
    assert analyst.get(f"{PAGE}?rule={names[0]}&amount=40").status_code == 200
    found = re.search(
        r"For the 2 purchases of these days, ([\d,]+) points would have been granted, where "
        r"([\d,]+) were\.",
        text(analyst),
    )
    assert found is not None
    would, was = (int(each.replace(",", "")) for each in found.groups())
    assert would - was == 2 * (40 - 20)
    for wrong in (f"rule={names[0]}&amount=0", f"rule={names[0]}&amount=x", "rule=no&amount=4"):
        assert analyst.get(f"{PAGE}?{wrong}").status_code == 422
        assert 'class="wrong"' in analyst.page


# What advertising costs


def test_what_advertising_costs_is_held_beside(
    spread_brand: Brand, owner: Reader, deployment: Deployment
) -> None:
    owner.get(PAGE)
    answer = owner.send(ADVERTISING, advertising_cost="500")
    assert (answer.status_code, answer.location) == (303, f"{PAGE}#cost")
    owner.get(PAGE)
    assert "CN¥500" in text(owner)
    assert "There are too few new customers to hold it against advertising: 30 at least." in text(
        owner
    )
    assert 'value="500.00"' in owner.page
    with deployment.db.read() as tx:
        entry = of_subject(tx, "campaign:1")[-1]
    assert (entry.by, entry.action) == ("olga@brand.example", "set-advertising-cost")
    assert entry.details == {"was": None, "now": 50_000}
    owner.send(ADVERTISING, advertising_cost="")
    owner.get(PAGE)
    assert "too few new customers to hold" not in text(owner)


def test_what_is_no_price_is_said_beside_the_field(spread_brand: Brand, owner: Reader) -> None:
    owner.get(PAGE)
    for wrong in ("-1", "many", "0", "1.234"):
        assert owner.send(ADVERTISING, advertising_cost=wrong).status_code == 422
        assert 'id="advertising_cost-error"' in owner.page
        assert f'value="{wrong}"' in owner.page


def test_who_may_only_look_has_no_form(spread_brand: Brand, analyst: Reader) -> None:
    analyst.get(PAGE)
    assert ADVERTISING not in analyst.page
    assert analyst.send(ADVERTISING, advertising_cost="500").status_code == 403


# Comparing


def test_without_a_second_campaign_it_is_held_against_the_days_before(
    spread_brand: Brand, analyst: Reader
) -> None:
    assert analyst.get(f"{COMPARE}?a=spring&a_days=7").status_code == 200
    said = text(analyst)
    assert "New customers 2 0" in said
    assert "Not enough to compare." in said
    assert "of 2 people: too few" in said
    assert "0.5" not in re.sub(r"CN¥[\d.]+", "", said), "a share of two people is not told"


def test_two_campaigns_stand_side_by_side(
    spread_brand: Brand, analyst: Reader, deployment: Deployment
) -> None:
    publish(deployment, slug="second", title="Second try")
    analyst.get(f"{COMPARE}?a=spring&b=second&a_days=30&b_days=30")
    said = text(analyst)
    assert "Spring" in said
    assert "Second try" in said
    assert "Claimed 2 0" in said
    assert "Openers who bought" in said
    assert analyst.get(f"{COMPARE}?a=spring&a_from=x").status_code == 422
    assert analyst.get(f"{COMPARE}?a=winter").status_code == 404


def test_with_nothing_published_it_says_so(app: Flask, deployment: Deployment, ann: None) -> None:
    reader = sign_in(Reader(app), "ann")
    assert reader.get(COMPARE).status_code == 200
    assert "No campaign has been published yet." in text(reader)


# What a page costs


def test_pages_take_as_many_queries_for_little_as_for_much(
    spread_brand: Brand, analyst: Reader, app: Flask, clock: HeldClock
) -> None:
    d = spread_brand.deployment
    addresses = (PAGE, f"{PAGE}?by=region&days=all", f"{COMPARE}?a=spring")

    def asked() -> list[int]:
        counts = []
        for address in addresses:
            analyst.get(address)
            with statements(d.db) as found:
                analyst.get(address)
            counts.append(len(found))
        return counts

    before = asked()
    for number in range(8):
        reader = Reader(app)
        reader.get(spread_brand.path(20 + number))
        reader.sign_in(f"reader.{number}@example.com")
        reader.claim(spread_brand.path(20 + number))
        clock.advance(minutes=1)
    actions.tally(d)
    after = asked()
    assert max(before) <= STATEMENTS_MAX
    assert all(b <= a for a, b in zip(before, after, strict=True)), (before, after)


def test_a_large_spread_is_measured_by_the_hour_and_not_for_the_page(
    spread_brand: Brand, analyst: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    d = spread_brand.deployment
    monkeypatch.setattr(forecasts, "LARGE", 1)
    analyst.get(PAGE)
    assert "these figures are measured by the hour, and will be here then" in text(analyst)
    assert actions.measure_rates(d) >= 1
    with statements(d.db) as asked:
        analyst.get(PAGE)
    assert ">Alice</a>" in analyst.page
    assert not [each for each in asked if "verdicts" in each], "sharers were counted for the page"
    with d.db.read() as tx:
        kept = kept_rates.kept(tx, 1)
    assert kept is not None
    assert {"people", "shape", "sharers"} <= kept.rates.keys()
