"""The whole spread as a download."""

from xml.etree import ElementTree

from flask import Flask

from tests.readers import Reader
from tests.web.conftest import Brand


def test_the_spread_can_be_downloaded(spread_brand: Brand, analyst: Reader) -> None:
    analyst.get("/staff/campaigns/spring/spread")
    assert 'href="/staff/campaigns/spring/spread.csv" download>CSV<' in analyst.page
    answer = analyst.get("/staff/campaigns/spring/spread.csv")
    assert answer.mimetype == "text/csv"
    assert answer.headers["Content-Disposition"] == "attachment; filename=spread-spring.csv"
    assert answer.headers["Cache-Control"] == "no-store"
    header, *rows = answer.get_data(as_text=True).splitlines()
    assert header.startswith("visitor,parent,hop,channel")
    assert len(rows) == 3
    answer = analyst.get("/staff/campaigns/spring/spread.graphml")
    assert answer.mimetype == "application/graphml+xml"
    assert len(list(ElementTree.fromstring(answer.get_data(as_text=True)).iter())) > 3


def test_what_is_no_file_or_no_campaign_is_not_found(spread_brand: Brand, analyst: Reader) -> None:
    assert analyst.get("/staff/campaigns/spring/spread.xlsx").status_code == 404
    assert analyst.get("/staff/campaigns/winter/spread.csv").status_code == 404


def test_it_is_for_staff(spread_brand: Brand, app: Flask) -> None:
    assert Reader(app).get("/staff/campaigns/spring/spread.csv").status_code == 303
