"""Exports in the console: asking, the progress, the link that ends, and who may."""

import re
from datetime import timedelta
from xml.etree import ElementTree

import pytest
import sqlalchemy as sa
from flask import Flask

from referral import actions
from referral.clock import HeldClock
from referral.deployment import Deployment
from referral.exports import Export, jobs, kinds
from referral.segments import Conditions
from referral.staff import Role
from referral.web.staff import exports as page
from tests.readers import Reader
from tests.web.conftest import Brand
from tests.web.staff.conftest import add_member, sign_in, text


@pytest.fixture(autouse=True)
def _no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are made by the tests themselves."""
    monkeypatch.setattr(page, "_see_to_it", lambda opened: None)


def ask(reader: Reader, **fields: str) -> int:
    reader.get("/staff/exports")
    answer = reader.send("/staff/exports", **{"kind": "claims", "form": "csv", **fields})
    return answer.status_code


def link(reader: Reader) -> str:
    reader.get("/staff/exports")
    found = re.search(r'href="(/staff/exports/file/[^"]+)"', reader.page)
    assert found, reader.page
    return found[1]


def made(deployment: Deployment, reader: Reader, **fields: str) -> str:
    """A file that is done; where it is to be had."""
    assert ask(reader, **fields) == 303
    actions.work_off_exports(deployment)
    return link(reader)


def test_a_spread_is_asked_for_on_its_page(spread_brand: Brand, analyst: Reader) -> None:
    d = spread_brand.deployment
    analyst.get("/staff/campaigns/spring/spread")
    told = dict(re.findall(r'name="(kind|campaign)" value="(\w+)"', analyst.page))
    assert told == {"kind": "spread", "campaign": str(spread_brand.campaign.id)}
    assert re.findall(r'name="form" value="(\w+)"', analyst.page) == ["csv", "xlsx", "graphml"]
    assert analyst.send("/staff/exports", **told, form="graphml").status_code == 303
    actions.work_off_exports(d)
    answer = analyst.get(link(analyst))
    assert answer.mimetype == "application/graphml+xml"
    assert len(list(ElementTree.fromstring(answer.get_data()).iter())) > 3


def test_a_list_is_asked_for_made_and_taken(busy_brand: Brand, owner: Reader) -> None:
    d = busy_brand.deployment
    assert ask(owner) == 303
    owner.get("/staff/exports")
    assert "<progress" in owner.page
    assert "Waiting to be made" in text(owner)
    assert 'hx-get="/staff/exports/list"' in owner.page
    assert '<noscript><meta http-equiv="refresh"' in owner.page
    actions.work_off_exports(d)
    address = link(owner)
    assert "hx-get" not in owner.page
    answer = owner.get(address)
    assert answer.content_type == "text/csv; charset=utf-8"
    assert answer.headers["Content-Disposition"] == "attachment; filename=claims-2026-03-02-1.csv"
    assert answer.headers["Cache-Control"] == "no-store"
    assert int(answer.headers["Content-Length"]) == len(answer.data)
    lines = answer.data.decode("utf-8-sig").splitlines()
    assert lines[0] == "Claim,Time,Customer,Product,Batch,Code number,Campaign"
    assert len(lines) == 4
    assert "2026-03-02 17:30:00+08:00" in lines[1]


@pytest.mark.parametrize("form", ["csv", "xlsx"])
@pytest.mark.parametrize(
    "kind", [kind.name for kind in kinds.every() if not kind.of_campaign and not kind.of_segment]
)
def test_every_list_can_be_had(busy_brand: Brand, owner: Reader, kind: str, form: str) -> None:
    address = made(busy_brand.deployment, owner, kind=kind, form=form)
    file = owner.get(address).data
    assert file.startswith(b"PK" if form == "xlsx" else b"\xef\xbb\xbf")
    assert len(file) > 100


def test_a_spread_is_had_as_a_graph(busy_brand: Brand, owner: Reader) -> None:
    campaign = str(busy_brand.campaign.id)
    address = made(busy_brand.deployment, owner, kind="spread", form="graphml", campaign=campaign)
    file = owner.get(address).text
    assert file.count("<node ") == 3
    assert file.count("<edge ") == 2
    owner.get("/staff/exports")
    assert busy_brand.campaign.title in text(owner)


@pytest.mark.parametrize("form", ["csv", "xlsx"])
def test_the_customers_of_a_segment_are_had(busy_brand: Brand, owner: Reader, form: str) -> None:
    d = busy_brand.deployment
    actions.refresh_values(d)
    said = Conditions.model_validate({"purchases_least": 1})
    number = actions.add_segment(d, "Buyers", said, by="olga")
    owner.get("/staff/exports")
    assert f'<option value="{number}">Buyers</option>' in owner.page
    file = owner.get(made(d, owner, kind="segment", segment=str(number), form=form)).data
    assert file.startswith(b"PK" if form == "xlsx" else b"\xef\xbb\xbf")
    assert b"138" not in file or form == "xlsx", "no contacts"
    owner.get("/staff/exports")
    assert "Buyers" in text(owner)


def test_contacts_are_masked_in_the_list_of_customers(busy_brand: Brand, owner: Reader) -> None:
    file = owner.get(made(busy_brand.deployment, owner, kind="customers")).text
    assert "Alice" in file
    assert "138****8000" in file or "+86****8000" in file
    assert "13800138000" not in file


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"kind": "nothing"}, "Please choose one of these."),
        ({"form": "exe"}, "Please choose one of these."),
        ({"form": "graphml"}, "This list cannot be had as a graph."),
        ({"since": "tomorrow"}, "Please enter a date such as"),
        ({"since": "2026-03-02", "until": "2026-03-01"}, "The last day is before the first."),
        ({"kind": "spread"}, "Please enter a whole number"),
        ({"kind": "segment"}, "Please enter a whole number"),
        ({"kind": "segment", "segment": "99"}, "There is no such segment."),
        ({"kind": "segment", "segment": str(2**63)}, "Please enter a whole number"),
    ],
)
def test_what_cannot_be_made_is_refused_with_words(
    brand: Brand, owner: Reader, fields: dict[str, str], said: str
) -> None:
    assert ask(owner, **fields) == 422
    assert said in text(owner)
    with brand.deployment.db.read() as tx:
        assert tx.scalar(sa.select(sa.func.count()).select_from(Export)) == 0


def test_days_are_those_of_the_brand_and_both_are_included(
    busy_brand: Brand, owner: Reader
) -> None:
    d = busy_brand.deployment
    # Everything was at 17:30 in Shanghai on 2 March.
    inside = owner.get(made(d, owner, since="2026-03-02", until="2026-03-02")).text
    assert len(inside.splitlines()) == 4
    for days in ({"until": "2026-03-01"}, {"since": "2026-03-03"}):
        assert ask(owner, **days) == 303
        actions.work_off_exports(d)
        owner.get("/staff/exports")
        outside = owner.get(link(owner)).text
        assert len(outside.splitlines()) == 1


def test_a_link_ends_before_the_file_does(
    busy_brand: Brand, owner: Reader, clock: HeldClock
) -> None:
    address = made(busy_brand.deployment, owner)
    clock.advance(seconds=page.LINK_LASTS.total_seconds() - 1)
    assert owner.get(address).status_code == 200
    clock.advance(seconds=1)
    assert owner.get(address).status_code == 404
    assert "This file is not there any more." in text(owner)
    assert owner.get(link(owner)).status_code == 200, "the page has a new one"
    clock.advance(seconds=(jobs.LASTS - timedelta(hours=5)).total_seconds())
    sign_in(owner, "olga")
    actions.sweep_exports(busy_brand.deployment)
    owner.get("/staff/exports")
    assert "/staff/exports/file/" in owner.page
    clock.advance(seconds=timedelta(hours=5).total_seconds())
    actions.sweep_exports(busy_brand.deployment)
    owner.get("/staff/exports")
    assert "Deleted" in text(owner)


@pytest.mark.parametrize("token", ["x", "x.y", "é.é", "AAAAAAAAAAAAAAAAAAAAAA.AAAA"])
def test_an_invented_link_leads_nowhere(brand: Brand, owner: Reader, token: str) -> None:
    assert owner.get(f"/staff/exports/file/{token}").status_code == 404


def test_a_link_is_good_for_nobody_else(busy_brand: Brand, app: Flask, owner: Reader) -> None:
    d = busy_brand.deployment
    address = made(d, owner)
    for name, role in (("ann", Role.analyst), ("sam", Role.support)):
        add_member(d, name, role)
        assert sign_in(Reader(app), name).get(address).status_code == 403
    assert Reader(app).get(address).status_code == 303, "to sign in"


def test_the_audit_log_is_for_those_who_may_read_it(
    busy_brand: Brand, app: Flask, owner: Reader
) -> None:
    d = busy_brand.deployment
    add_member(d, "ann", Role.analyst)
    ann = sign_in(Reader(app), "ann")
    ann.get("/staff/exports")
    assert "Audit log" not in text(ann)
    assert ask(ann, kind="audit") == 422
    assert owner.get(made(d, owner, kind="audit")).status_code == 200


def test_an_owner_sees_everybodys_files_and_others_their_own(
    busy_brand: Brand, app: Flask, owner: Reader
) -> None:
    d = busy_brand.deployment
    for name in ("ann", "ben"):
        add_member(d, name, Role.analyst)
    ann, ben = (sign_in(Reader(app), name) for name in ("ann", "ben"))
    made(d, ann)
    ben.get("/staff/exports")
    assert "No file yet" in text(ben)
    owner.get("/staff/exports")
    assert "ann@brand.example" in text(owner)
    assert owner.get(link(owner)).status_code == 200
    assert ben.send("/staff/exports/1/delete").status_code == 403
    assert ann.send("/staff/exports/1/delete").status_code == 303
    ann.get("/staff/exports")
    assert "The file is deleted." in text(ann)


def test_too_many_at_a_time_are_refused_with_words(brand: Brand, owner: Reader) -> None:
    for day in range(1, jobs.OPEN_MAX + 1):
        assert ask(owner, since=f"2026-01-{day:02}") == 303
    assert ask(owner, since="2026-02-01") == 429
    assert "You have several files in the making." in text(owner)


def test_the_list_is_pages(brand: Brand, owner: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "PAGE", 2)
    for day in range(1, 4):
        ask(owner, since=f"2026-01-{day:02}")
        actions.work_off_exports(brand.deployment)
    owner.get("/staff/exports")
    assert "1 Jan 2026" not in text(owner)
    found = re.search(r'href="(/staff/exports\?before=\d+)"', owner.page)
    assert found
    owner.get(found[1])
    assert "1 Jan 2026" in text(owner)
    assert "3 Jan 2026" not in text(owner)


def test_a_page_sees_to_what_nobody_works_on(
    brand: Brand, owner: Reader, clock: HeldClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Deployment] = []
    monkeypatch.setattr(page, "_see_to_it", seen.append)
    ask(owner)
    owner.get("/staff/exports/list")
    assert not seen, "a worker may be about to"
    clock.advance(seconds=5)
    owner.get("/staff/exports/list")
    assert len(seen) == 1
    page._one.acquire()
    page._work(brand.deployment)
    owner.get("/staff/exports/list")
    assert "Download" in text(owner)
    assert not page._one.locked()
