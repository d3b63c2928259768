"""The audit log's page: found by who, what, about whom and when; taken out as a file."""

import csv
import io
import re
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlencode

import pytest
from flask import Flask

import referral
from referral import actions, audit
from referral.deployment import Deployment
from referral.reports import audit_log
from referral.web.staff import audit_words
from tests.readers import Reader
from tests.statements import statements
from tests.web.staff.conftest import PASSWORD, sign_in, text


def note(deployment: Deployment, subject: str, *, by: str = "ann", **more: object) -> None:
    said = {"action": "item changed", "details": {}, "now": deployment.clock.now(), **more}
    deployment.db.transact(lambda tx: audit.note(tx, by=by, subject=subject, **said))


def rows(reader: Reader, **query: str) -> list[str]:
    """What the entries that are found are about."""
    answer = reader.get(f"/staff/audit?{urlencode(query)}")
    assert answer.status_code == 200, text(reader)
    body = reader.page.partition("<tbody>")[2].partition("</tbody>")[0]
    return re.findall(r'class="mono"[^>]*>([a-z-]+:[^<]+)<', body)


def test_who_came_in_and_who_did_not_is_in_it(
    app: Flask, owner: Reader, deployment: Deployment
) -> None:
    stranger = Reader(app)
    stranger.get("/staff/sign-in")
    stranger.send("/staff/sign-in", email="olga@brand.example", password="a secret of mine")
    stranger.send("/staff/sign-in", email="my whole secret", password="x")
    owner.get("/staff/audit")
    said = text(owner)
    assert "Somebody who did not get in Sign-in failed block: 127.0.0.0/24 · how: password" in said
    assert "olga@brand.example Signed in" in said
    assert "secret" not in said, "what was typed is not kept"
    assert rows(owner, action="sign-in failed") == ["staff:unknown", "staff:1"]


def test_it_is_searched_by_who_what_about_whom_and_when(
    owner: Reader, deployment: Deployment
) -> None:
    now = deployment.clock.now()  # 17:30 in the brand's time zone
    note(deployment, "item:1", now=now - timedelta(days=2))
    note(deployment, "item:2", now=now - timedelta(hours=17, minutes=30, microseconds=1))
    note(deployment, "item:3", now=now - timedelta(hours=17, minutes=30))
    note(deployment, "item:4", by="bo", action="till added", now=now + timedelta(hours=6))
    note(deployment, "item:5", by="bo", now=now + timedelta(hours=6, minutes=30))
    assert rows(owner, by="bo") == ["item:5", "item:4"]
    assert rows(owner, by=" bo ", action="till added") == ["item:4"]
    assert rows(owner, subject="item:2") == ["item:2"]
    day = "2026-03-02"
    assert rows(owner, since=day, until=day, by="ann") == ["item:3"]
    assert rows(owner, since=day, by="bo") == ["item:5", "item:4"]
    assert rows(owner, until=day, by="bo") == ["item:4"]
    assert rows(owner, until="2026-03-01") == ["item:2", "item:1"]
    assert rows(owner, by="b") == []
    assert "Nothing is found." in text(owner)


def test_a_search_that_makes_no_sense_is_refused_and_never_breaks(owner: Reader) -> None:
    assert owner.get("/staff/audit?since=yesterday").status_code == 422
    assert "Please enter a date such as 2026-11-30." in text(owner)
    assert owner.get("/staff/audit.csv?until=x").status_code == 422
    for query in ("before=x", "before=9" * 9, "by=%00", f"subject={'x' * 300}", "action=%ff"):
        assert owner.get(f"/staff/audit?{query}").status_code in {200, 422}, query


def test_it_is_paged_by_entries_and_keeps_the_search(owner: Reader, deployment: Deployment) -> None:
    for number in range(120):
        note(deployment, f"item:{number}", by="bo" if number % 2 else "ann")
    assert rows(owner, by="bo") == [f"item:{n}" for n in range(119, 19, -2)]
    (following,) = re.findall(r'href="(/staff/audit\?[^"]*before=[^"]*)"', owner.page)
    note(deployment, "item:999", by="bo")
    owner.get(following.replace("&amp;", "&"))
    assert "item:19<" in owner.page
    assert "item:21<" not in owner.page, "what is new does not move the pages"
    assert "Next page" not in text(owner)


def test_a_page_takes_few_queries_however_much_there_is(
    owner: Reader, deployment: Deployment
) -> None:
    for number in range(60):
        note(deployment, f"item:{number}", by="bo")
    with statements(deployment.db) as asked:
        owner.get("/staff/audit?by=bo")
    assert len([each for each in asked if each.startswith("SELECT")]) == 3


def test_entries_lead_to_what_they_are_about_and_say_if_they_are_sealed(
    owner: Reader, deployment: Deployment
) -> None:
    actions.seal_audit_log(deployment)
    for subject in ("customer:7", "staff:1", "customer:x", "javascript:1", "customer:"):
        note(deployment, subject, details={"reason": "<b>=1+1</b>"})
    owner.get("/staff/audit")
    assert 'href="/staff/customers/7"' in owner.page
    assert 'href="/staff/members/1"' in owner.page
    assert 'href="javascript' not in owner.page
    assert "<b>=1+1" not in owner.page
    assert text(owner).count("not sealed yet") == 5


def test_customers_complaints_and_answers_of_yes_and_no_are_in_words(
    owner: Reader, deployment: Deployment
) -> None:
    note(deployment, "complaint:12", by="customer 2295", details={"picture": False, "kept": True})
    owner.get("/staff/audit")
    said = text(owner)
    assert "Customer 2295" in said
    assert "kept: yes · picture: no" in said
    assert 'href="/staff/complaints/12"' in owner.page


def test_the_file_is_safe_to_open_and_itself_noted(owner: Reader, deployment: Deployment) -> None:
    note(deployment, "=cmd|' /C calc'!A0", by="+bo", details={"reason": "二"})
    answer = owner.get("/staff/audit.csv?by=%2Bbo")
    assert answer.headers["Content-Disposition"] == "attachment; filename=audit-log.csv"
    assert answer.headers["Cache-Control"] == "no-store"
    head, row = csv.reader(io.StringIO(answer.get_data(as_text=True)))
    assert head == ["entry", "at", "by", "action", "subject", "details", "sealed"]
    assert row[2:] == ["'+bo", "item changed", "'=cmd|' /C calc'!A0", '{"reason": "二"}', "0"]
    assert row[1] == "2026-03-02 17:30:00+08:00"
    assert rows(owner, action="list taken out") == ["list:audit log"]
    assert "by: +bo" in text(owner)


def test_a_long_file_has_every_entry_once(
    owner: Reader, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_log, "AT_ONCE", 7)
    for number in range(30):
        note(deployment, f"item:{number}", by="bo")
    answer = owner.get("/staff/audit.csv?by=bo")
    _head, *found = csv.reader(io.StringIO(answer.get_data(as_text=True)))
    assert [row[4] for row in found] == [f"item:{n}" for n in range(29, -1, -1)]


def test_only_an_owner_reads_it(app: Flask, analyst: Reader) -> None:
    for path in ("/staff/audit", "/staff/audit.csv"):
        assert analyst.get(path).status_code == 403


def test_every_action_has_its_words() -> None:
    source = Path(referral.__file__).parent
    said = {
        name
        for path in source.rglob("*.py")
        if "audit" in path.read_text()
        for name in re.findall(r'\baction="([^"]+)"', path.read_text())
    }
    assert said
    assert said - set(audit_words.ACTIONS) == set()


def test_signing_in_elsewhere_is_noted_with_the_browser(app: Flask, olga: None) -> None:
    reader = sign_in(Reader(app), "olga")
    reader.get("/staff/audit")
    assert "block: 127.0.0.0/24 · browser: WeChat, iPhone · how: password" in text(reader)
    assert PASSWORD not in reader.page
