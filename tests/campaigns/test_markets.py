"""Markets are data: whole, named, and with a source for what they say."""

import pytest

from referral.campaigns import markets
from referral.campaigns.markets import DEFAULT, NAMES, NOTICES


def test_there_is_a_name_and_data_for_each() -> None:
    assert set(markets.markets()) == set(NAMES) == {DEFAULT, "CN", "SG", "MY", "VN", "ID", "TH"}


@pytest.mark.parametrize("code", NAMES)
def test_a_figure_has_a_source_and_a_currency(code: str) -> None:
    market = markets.market(code)
    assert market.source
    assert (market.prize_max is None) == (market.currency is None)
    assert set(market.notices) <= set(NOTICES)


def test_a_prize_in_china_is_worth_50_000_at_most() -> None:
    china = markets.market("CN")
    assert (china.prize_max, china.currency) == (5_000_000, "CNY")


def test_where_nothing_is_known_nothing_is_made_up() -> None:
    assert markets.market("MY").model_dump(exclude={"source"}) == markets.market(
        DEFAULT
    ).model_dump(exclude={"source"})
    assert markets.market("a market that was taken away") == markets.market(DEFAULT)
