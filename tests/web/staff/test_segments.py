"""Segments and quadrants in the console: conditions by a form, kept, looked at, taken out."""

import csv
import io
import re

import pytest
import sqlalchemy as sa
from flask import Flask

from referral import actions, complaints, segments
from referral.audit import AuditEntry
from referral.campaigns import Draft
from referral.claims import Claim
from referral.deployment import Deployment
from referral.segments import Conditions
from referral.staff import Role, StaffMember
from referral.web.staff import exports
from tests.readers import Reader
from tests.rewarded import add_item, give
from tests.statements import statements
from tests.web.conftest import Brand
from tests.web.staff.conftest import CAMPAIGN, add_member, rule, sign_in, text

STATEMENTS_MAX = 54
"""Of a customer's page, whatever there is of her."""


@pytest.fixture
def valued(spread_brand: Brand) -> Brand:
    """Alice brought Charlie in; each has claimed once."""
    actions.refresh_values(spread_brand.deployment)
    return spread_brand


def kept(deployment: Deployment) -> list[segments.Segment]:
    with deployment.db.read() as tx:
        return segments.all_segments(tx)


def test_conditions_show_their_people_and_are_kept(valued: Brand, owner: Reader) -> None:
    owner.get("/staff/segment?quadrants=advocates&purchases_least=1&own_least=1.50")
    said = text(owner)
    assert "Customers: 1" in said
    assert "Alice" in said
    assert "Quadrant: Advocates" in said
    answer = owner.send(
        "/staff/segments",
        name="Friends of the house",
        quadrants="advocates",
        purchases_least="1",
        own_least="1.50",
    )
    assert answer.status_code == 303, owner.page
    (segment,) = kept(valued.deployment)
    told = {"quadrants": ["advocates"], "purchases_least": 1, "own_least": 150}
    assert (segment.conditions, segment.count) == (told, 1)
    owner.get(answer.location)
    assert "Friends of the house" in text(owner)
    owner.get("/staff/segments")
    assert "Own value: CN¥1.50 or more" in text(owner) or "¥1.50 or more" in text(owner)


def test_a_kept_segment_is_changed_in_place(valued: Brand, owner: Reader) -> None:
    conditions = Conditions.model_validate({"purchases_least": 9})
    number = actions.add_segment(valued.deployment, "Many", conditions, by="olga")
    owner.get(f"/staff/segment?segment={number}")
    assert 'name="purchases_least" type="text" value="9"' in owner.page
    assert "Nobody is in it." in owner.page
    owner.get(f"/staff/segment?segment={number}&purchases_least=1")
    assert 'value="Many"' in owner.page
    owner.send("/staff/segments", segment=str(number), name="Some", purchases_least="1")
    (segment,) = kept(valued.deployment)
    assert (segment.id, segment.name, segment.count) == (number, "Some", 2)


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("purchases_least=x", "Please enter a whole number"),
        ("own_least=1e9", "Please write the price as a number"),
        ("own_least=2&own_most=1", "This has to be as much or more."),
        ("bought_within=1&not_bought_for=2", "Nobody has bought later than that and earlier."),
        ("product=none", "Please choose one of these."),
        ("purchases_least=99999999999999999999999", "Please enter a whole number"),
    ],
)
def test_what_cannot_be_is_said_beside_its_field(
    valued: Brand, owner: Reader, query: str, sentence: str
) -> None:
    owner.get(f"/staff/segment?{query}")
    assert sentence in text(owner)
    assert 'id="people-title"' not in owner.page


@pytest.mark.parametrize(
    "query", ["stages=rich", "after=x&stages=bought", "segment=", "own_least=0", "after=9.9"]
)
def test_what_is_odd_does_no_harm(valued: Brand, owner: Reader, query: str) -> None:
    assert owner.get(f"/staff/segment?{query}").status_code == 200


def test_names_are_needed_and_taken_once(valued: Brand, owner: Reader) -> None:
    owner.get("/staff/segment?purchases_least=1")
    assert owner.send("/staff/segments", name="", purchases_least="1").status_code == 422
    assert owner.send("/staff/segments", name="One", purchases_least="1").status_code == 303
    owner.get("/staff/segment?purchases_least=2")
    assert owner.send("/staff/segments", name="One", purchases_least="2").status_code == 422
    assert "There is a segment with this name already." in text(owner)
    assert owner.send("/staff/segments", name="All").status_code == 422
    assert "These conditions hold for everybody." in text(owner)
    assert owner.get("/staff/segment?segment=99").status_code == 404
    assert owner.get("/staff/segments/99").status_code == 404


@pytest.fixture
def _no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are made by the tests themselves."""
    monkeypatch.setattr(exports, "_see_to_it", lambda opened: None)


@pytest.mark.usefixtures("_no_threads")
def test_a_list_is_taken_out_by_those_who_may_and_that_is_kept(
    app: Flask, valued: Brand, owner: Reader
) -> None:
    d = valued.deployment
    actions.rename(d, 1, "=1+1")
    said = Conditions.model_validate({"purchases_least": 1})
    number = actions.add_segment(d, "Buyers", said, by="olga")
    owner.get(f"/staff/segments/{number}")
    assert 'name="kind" value="segment"' in owner.page
    assert re.findall(r'name="form" value="(\w+)"', owner.page) == ["csv", "xlsx"]
    asked = {"kind": "segment", "segment": str(number), "form": "csv"}
    answer = owner.send("/staff/exports", **asked)
    assert (answer.status_code, answer.location) == (303, "/staff/exports")
    owner.get("/staff/exports")
    assert "Customers of a segment Buyers" in text(owner)
    assert "<progress" in owner.page
    actions.work_off_exports(d)
    owner.get("/staff/exports")
    (address,) = re.findall(r'href="(/staff/exports/file/[^"]+)"', owner.page)
    answer = owner.get(address)
    assert (answer.status_code, answer.mimetype) == (200, "text/csv")
    rows = list(csv.reader(io.StringIO(answer.get_data(as_text=True).removeprefix("\ufeff"))))
    assert [row[1] for row in rows if row[0] == "1"] == ["'=1+1"]
    assert len(rows) == 3
    with d.db.read() as tx:
        notes = sa.select(AuditEntry).where(AuditEntry.action.like("export %"))
        asking, taking = tx.scalars(notes.order_by(AuditEntry.id))
        assert {asking.by, taking.by} == {"olga@brand.example"}
        assert (asking.action, taking.action) == ("export asked for", "export taken")
        conditions = {"purchases_least": 1}
        of = {"segment": number, "name": "Buyers", "conditions": conditions}
        assert asking.details == {"kind": "segment", "form": "csv", **of}
        assert taking.details == {"kind": "segment", "rows": 2}
    add_member(d, "sue", Role.support)
    sue = sign_in(Reader(app), "sue")
    sue.get(f"/staff/segments/{number}")
    assert "/staff/exports" not in sue.page
    assert sue.send("/staff/exports", **asked).status_code == 403
    assert sue.get(address).status_code == 403


def test_who_may_only_look_keeps_nothing(valued: Brand, analyst: Reader) -> None:
    analyst.get("/staff/segment?purchases_least=1")
    assert "Keep the segment" not in analyst.page
    assert analyst.send("/staff/segments", name="Mine", purchases_least="1").status_code == 403
    assert kept(valued.deployment) == []


def test_a_segment_is_removed(valued: Brand, owner: Reader) -> None:
    said = Conditions.model_validate({"purchases_least": 1})
    number = actions.add_segment(valued.deployment, "Buyers", said, by="olga")
    owner.get(f"/staff/segments/{number}")
    assert owner.send(f"/staff/segments/{number}/count").status_code == 303
    owner.get(f"/staff/segments/{number}")
    assert owner.send(f"/staff/segments/{number}/remove").status_code == 303
    assert kept(valued.deployment) == []


def test_quadrants_lead_to_their_people(valued: Brand, owner: Reader) -> None:
    owner.get("/staff/quadrants")
    assert "Four quadrants" in text(owner)
    links = re.findall(r'href="(/staff/segment\?quadrants=advocates)"', owner.page)
    assert len(links) == 2
    owner.get(links[0])
    assert "Alice" in text(owner)
    owner.get("/staff/segment?stages=bought")
    assert "/staff/customers/2" in owner.page


def test_pages_say_so_while_nothing_is_worked_out(spread_brand: Brand, owner: Reader) -> None:
    for page in ("quadrants", "segments", "segment?purchases_least=1"):
        assert owner.get(f"/staff/{page}").status_code == 200
        assert "Nothing has been worked out yet." in text(owner)
    owner.get("/staff/customers/1")
    assert "Not worked out yet" in text(owner)


def test_a_campaign_is_made_for_a_segment(valued: Brand, owner: Reader) -> None:
    d = valued.deployment
    said = Conditions.model_validate({"brought_least": 1, "not_bought_for": 30})
    number = actions.add_segment(d, "Friends", said, by="olga")
    owner.get(f"/staff/new-campaign?audience={number}")
    assert re.search(rf'<option value="{number}" selected>Friends</option>', owner.page)
    only = {name: value for name, value in CAMPAIGN.items() if not name.startswith("rule-")}
    sent = {**only, **rule(0, "claim", "person", "20"), "audience": str(number)}
    assert owner.send("/staff/new-campaign", **sent).status_code == 303, text(owner)
    owner.get("/staff/campaigns/autumn/edit")
    assert re.search(rf'<option value="{number}" selected>Friends</option>', owner.page)
    owner.get("/staff/campaigns/autumn")
    assert owner.send("/staff/campaigns/autumn").status_code == 303, text(owner)
    owner.get("/rules/autumn")
    told = text(owner)
    assert "This campaign is an invitation to some of our customers." in told
    assert "who have brought in at least 1 friend" in told
    assert "nothing is lost" in told


def test_a_campaign_for_a_segment_that_is_gone_is_refused(valued: Brand, owner: Reader) -> None:
    owner.get("/staff/new-campaign")
    assert owner.send("/staff/new-campaign", **{**CAMPAIGN, "audience": "99"}).status_code == 422


def test_only_who_is_invited_is_promised_anything(
    valued: Brand, alice: Reader, charlie: Reader, bob: Reader
) -> None:
    d = valued.deployment
    said = Conditions.model_validate({"brought_least": 1})
    number = actions.add_segment(d, "Friends", said, by="olga")
    rules = [{"when": "claim", "for": "person", "amount": 77}]
    terms = {"slug": "evening", "title": "Evening", "budget": 1000, "rules": rules}
    actions.add_campaign(d, Draft.model_validate({**terms, "audience": number}))
    actions.publish_campaign(d, "evening")
    alice.get(valued.path(7))
    assert "77 points" in text(alice)
    for reader in (charlie, bob):
        reader.get(valued.path(8))
        assert "77 points" not in text(reader)
    alice.get("/me")
    assert "Evening" in text(alice)
    charlie.get("/me")
    assert "Evening" not in text(charlie)


def test_a_customers_page_tells_her_life_and_takes_a_bounded_number_of_statements(
    app: Flask, valued: Brand, owner: Reader
) -> None:
    d = valued.deployment
    with d.db.read() as tx:
        claim = tx.scalars(sa.select(Claim.id).where(Claim.customer_id == 1)).first()
        member = tx.scalars(sa.select(StaffMember)).one()
    actions.rate(d, claim or 0, 1, score=4, comment="<b>Nice</b>\n\nand cold")
    told = actions.Said(kind=complaints.Kind.taste, text="Sour.")
    number = actions.complain(d, 1, told, key="k")
    actions.close_complaint(d, number, member, seen=0)
    actions.write_back(d, number, 1, "Still sour.")
    add_item(d)
    give(valued, 1, 100)
    actions.redeem(d, 1, "cup", key="press")
    owner.get("/staff/customers/1")
    said = text(owner)
    assert "Redeemed Thermos cup" in said
    for line in ("Advocates", "Advertising saved", "Claimed a package", "Became a customer"):
        assert line in said
    for line in ("Rated a package 4 of 5", "Complained", f"Wrote back about a complaint #{number}"):
        assert line in said
    assert "<q>&lt;b&gt;Nice&lt;/b&gt;\n\nand cold</q>" in owner.page
    with statements(d.db) as first:
        owner.get("/staff/customers/1")
    for index in range(20, 60):
        actions.claim(d, valued.code(index), 1)
    with statements(d.db) as many:
        owner.get("/staff/customers/1")
    assert len(first) <= len(many) <= STATEMENTS_MAX
    later = re.search(r'href="([^"]*after=[^"]*)#timeline"', owner.page)
    assert later
    owner.get(later.group(1).replace("&amp;", "&"))
    assert "Back to the newest" in text(owner)
    assert owner.get("/staff/customers/1?after=nonsense").status_code == 200
