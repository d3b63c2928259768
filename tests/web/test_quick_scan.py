"""The quick answers to scans of fresh codes are what Flask would have answered."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest
import sqlalchemy as sa
from flask import Flask
from werkzeug.test import TestResponse

from referral import actions, visits
from referral.db.shortcut import Shortcut
from referral.errors import Unavailable
from referral.fresh_codes import FreshCodes
from referral.ranges import RangeState
from referral.visits import Visit, VisitRow
from referral.web import kept_scans, quick_scan
from tests.readers import Reader
from tests.waits import wait_until
from tests.web.conftest import Brand
from tests.web.test_quick import HEADERS, as_it_is, get, handing_in, path_of, told_of

PHONE = HEADERS["a phone"]


@pytest.fixture
def answered(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each of the scans was answered ahead of Flask."""
    return told_of(monkeypatch, quick_scan)


def but_for_the_code(brand: Brand, number: int, answer: TestResponse) -> tuple[Any, ...]:
    code = brand.path(number).rpartition("/")[2]
    status, text, rest, cookie, vary = as_it_is(answer)
    groups = "</span><i>-</i><span>".join(re.findall("....", code))
    assert text.count(groups) == 1
    assert code in text
    return status, text.replace(groups, "").replace(code, ""), rest.replace(code, ""), cookie, vary


@pytest.mark.parametrize("headers", HEADERS.values(), ids=HEADERS)
def test_a_quick_answer_is_the_same_answer(
    app: Flask, brand: Brand, headers: dict[str, str], answered: list[bool]
) -> None:
    made = get(app, brand.path(1), headers)
    filled = get(app, brand.path(2), headers)
    assert answered == [False, True]
    assert but_for_the_code(brand, 1, made) == but_for_the_code(brand, 2, filled)


def test_a_brand_without_a_campaign_has_them_as_well(
    app: Flask, brand: Brand, answered: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    brand.deployment.clock.advance(days=4_000)  # type: ignore[attr-defined]
    made, filled = get(app, brand.path(1), PHONE), get(app, brand.path(2), PHONE)
    assert answered == [False, True]
    assert "/s/" not in filled.text
    assert but_for_the_code(brand, 1, made) == but_for_the_code(brand, 2, filled)


def test_every_scan_is_a_visit_of_a_new_reader_with_links_of_his_own(
    app: Flask, brand: Brand, answered: list[bool]
) -> None:
    owners = set()
    for number in range(1, 5):
        page = get(app, brand.path(number), PHONE).text
        on_it = {
            brand.deployment.links.read(token).visitor  # type: ignore[union-attr]
            for token in re.findall(r"/s/([\w-]{22}\.[\w-]{14})", page)
        }
        assert len(on_it) == 1
        owners |= on_it
    assert answered == [False, True, True, True]
    with brand.deployment.db.read() as tx:
        rows = tx.execute(
            sa.select(VisitRow.visitor_id, VisitRow.campaign_id, VisitRow.code_index)
            .where(VisitRow.kind == "scan")
            .order_by(VisitRow.code_index)
        ).all()
    assert {row.visitor_id for row in rows} == owners
    assert [row.code_index for row in rows] == [1, 2, 3, 4]
    assert {row.campaign_id for row in rows} == {brand.campaign.id}


def test_what_becomes_of_a_code_is_told_at_once(
    app: Flask, brand: Brand, answered: list[bool]
) -> None:
    get(app, brand.path(1), PHONE)
    alice = Reader(app)
    alice.sign_in("13800138000")
    alice.claim(brand.path(2))
    states = {3: RangeState.voided, 4: RangeState.recalled}
    for number, state in states.items():
        actions.set_range(
            brand.deployment, brand.batch.id, state, start=number, end=number + 1, by="olga"
        )
    get(app, brand.path(5), PHONE)
    answered.clear()
    said = {
        1: "First verified",
        2: "Claimed by someone",
        3: "This code has been withdrawn.",
        4: "Please do not use this product.",
        5: "First verified",
    }
    for number, words in said.items():
        assert words in get(app, brand.path(number), HEADERS["a phone in English"]).text
    assert not any(answered)


def test_who_was_brought_by_a_link_is_shown_its_campaign_and_keeps_his_cookie(
    app: Flask, brand: Brand, answered: list[bool]
) -> None:
    get(app, brand.path(1), PHONE)
    client = app.test_client()
    client.get(path_of(brand), headers=PHONE)
    answer = client.get(brand.path(2), headers=PHONE)
    assert answered[-1]
    assert "Set-Cookie" not in answer.headers


NOT_QUICK = {
    "a query": ("?lang=en", {}),
    "a crawler": ("", {"User-Agent": "Googlebot/2.1"}),
    "a prefetch": ("", {"Sec-Purpose": "prefetch"}),
    "a picture": ("", {"Sec-Fetch-Dest": "image"}),
    "a session": ("", {"Cookie": "referral_session=x"}),
    "a machine that wants links": ("", {"Accept": "application/linkset+json"}),
    "a very long Accept": ("", {"Accept": "text/html," + "a/b," * 200}),
}


@pytest.mark.parametrize(("query", "headers"), NOT_QUICK.values(), ids=NOT_QUICK)
def test_what_is_not_plain_is_left_to_flask(
    app: Flask, brand: Brand, query: str, headers: dict[str, str], answered: list[bool]
) -> None:
    get(app, brand.path(1), PHONE)
    answered.clear()
    assert get(app, brand.path(2) + query, {**PHONE, **headers}).status_code == 200
    assert not any(answered)


def test_wrong_codes_are_left_to_flask_and_counted_once(
    app: Flask, brand: Brand, answered: list[bool]
) -> None:
    missed: list[int] = []
    brand.deployment.misses.on_miss = lambda: missed.append(1)
    get(app, brand.path(1), PHONE)
    code = brand.path(2)
    wrong = code[:-1] + ("A" if code[-1] != "A" else "B")
    other = code.replace(brand.product.gtin, "09506000134352")
    assert get(app, wrong, PHONE).status_code == 404
    assert get(app, other, PHONE).status_code == 404
    assert answered == [False] * 3
    assert len(missed) == 1


def test_a_crowd_at_one_code_is_told_apart(
    app: Flask, brand: Brand, answered: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    get(app, brand.path(1), PHONE)
    monkeypatch.setattr(brand.deployment.guessing, "is_crowd", lambda *_a, **_k: True)
    get(app, brand.path(2), PHONE)
    assert answered == [False, True]
    with brand.deployment.db.read() as tx:
        machines = tx.scalars(sa.select(VisitRow.machine).order_by(VisitRow.code_index)).all()
    assert machines == [None, "crowd"]


def test_a_scan_that_could_not_be_handed_in_is_not_handed_in_by_flask_once_more(
    app: Flask, brand: Brand, answered: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    get(app, brand.path(1), PHONE)
    asked = []

    def away(*_arguments: Any) -> NoReturn:
        asked.append(1)
        raise Unavailable()

    with monkeypatch.context() as patched:
        handing_in(patched, away)
        answer = get(app, brand.path(2), PHONE)
    assert (answer.status_code, len(asked)) == (503, 1)


def test_a_page_of_another_code_has_nothing_of_the_one_it_was_made_for(
    app: Flask, brand: Brand, answered: list[bool]
) -> None:
    get(app, brand.path(1), PHONE)
    filled = get(app, brand.path(2), PHONE)
    code = brand.path(1).rpartition("/")[2]
    assert code not in filled.text
    assert not [each for each in filled.headers if code in each[1]]
    assert kept_scans.texts_of(brand.code(1), {}, "n")["spelled"] not in filled.text  # type: ignore[attr-defined]


@pytest.mark.parametrize("is_quick", [True, False], ids=["quick", "by Flask"])
def test_who_comes_second_is_told_so_before_the_first_scan_is_stored(
    app: Flask, brand: Brand, answered: list[bool], is_quick: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting: list[Visit] = []
    handing_in(monkeypatch, lambda _d, visit, *_who: waiting.append(visit))
    english = HEADERS["a phone in English"]
    if is_quick:
        get(app, brand.path(1), english)
    answered.clear()
    first, second = app.test_client(), app.test_client()
    assert "First verified just now" in first.get(brand.path(2), headers=english).text
    assert answered == [is_quick]
    assert "seen by 1 other device" in second.get(brand.path(2), headers=english).text
    assert "on this device only" in first.get(brand.path(2), headers=english).text

    scans = [visit for visit in waiting if visit.code_index == 2]
    brand.deployment.db.transact(lambda tx: visits.remember_scans(tx, scans))
    with brand.deployment.db.read() as tx:
        assert visits.seen(tx, brand.code(2), None).others == 2


def test_first_scans_of_one_moment_are_noted_together(
    app: Flask, brand: Brand, answered: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = brand.deployment.fresh_codes
    noted: list[int] = []
    real = fresh._first_scans._note
    get(app, brand.path(1), PHONE)
    fresh.close()
    wait_until(lambda: fresh._first_scans._soon._process is None, seconds=30)
    with monkeypatch.context() as patched:
        patched.setattr(
            fresh._first_scans, "_note", lambda rows: (noted.append(len(rows)), real(rows))
        )
        patched.setattr(fresh._first_scans, "_soon", SimpleNamespace(ask=int))  # no thread begins
        for number in range(2, 6):
            get(app, brand.path(number), PHONE)
        assert noted == []
        assert all(fresh.span(brand.code(number)) is None for number in range(2, 6))
        fresh.settle()
        fresh.settle()
    assert noted == [4]
    assert answered == [False, *[True] * 4]
    assert all(fresh.span(brand.code(number)) is None for number in range(2, 6))


def test_other_processes_know_of_a_first_scan_a_moment_later(
    app: Flask, brand: Brand, answered: list[bool]
) -> None:
    elsewhere = FreshCodes(brand.deployment.db)
    get(app, brand.path(1), PHONE)
    get(app, brand.path(2), PHONE)
    wait_until(lambda: elsewhere.span(brand.code(2)) is None, seconds=30)
    assert elsewhere.span(brand.code(3)) is not None
    elsewhere.close()


def test_what_could_not_be_noted_is_known_when_it_is_stored(
    app: Flask, brand: Brand, answered: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_given: Any) -> NoReturn:
        raise Unavailable()

    waiting: list[Visit] = []
    handing_in(monkeypatch, lambda _d, visit, *_who: waiting.append(visit))
    fresh = brand.deployment.fresh_codes
    monkeypatch.setattr(fresh._first_scans, "_note", away)
    get(app, brand.path(1), PHONE)
    assert get(app, brand.path(2), PHONE).status_code == 200
    fresh.settle()
    assert fresh.span(brand.code(2)) is not None
    brand.deployment.db.transact(lambda tx: visits.remember_scans(tx, waiting))
    assert fresh.span(brand.code(2)) is None


# What they ask the database


@contextmanager
def listening(line: Shortcut, seen: list[str]) -> Iterator[None]:
    real = line._asked
    line._asked = lambda *given: (seen.append(given[0]), real(*given))[1]  # type: ignore[func-returns-value, method-assign]
    yield
    line._asked = real  # type: ignore[method-assign]


@contextmanager
def statements(brand: Brand) -> Iterator[list[str]]:
    """What is asked meanwhile, by whichever way."""
    seen: list[str] = []
    note = lambda _c, _k, statement, *_rest: seen.append(statement)  # noqa: E731
    engine = brand.deployment.db.engine
    sa.event.listen(engine, "before_cursor_execute", note)
    fresh = brand.deployment.fresh_codes
    try:
        with listening(fresh._lines.line, seen), listening(fresh._first_scans._line, seen):
            yield seen
    finally:
        sa.event.remove(engine, "before_cursor_execute", note)


def test_an_opening_asks_the_database_nothing_and_a_scan_for_the_code_which_it_notes(
    app: Flask, brand: Brand, answered: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = path_of(brand)
    get(app, path, PHONE)
    get(app, brand.path(1), PHONE)
    handing_in(monkeypatch, lambda *_given: True)
    monkeypatch.setattr("referral.batches.DIRECTORY_SECONDS_MAX", 1e9)
    with statements(brand) as seen:
        get(app, path, PHONE)
        assert seen == []
        get(app, brand.path(2), PHONE)
        brand.deployment.fresh_codes.settle()
    asked, noted = seen
    assert "FROM code_ranges" in asked
    assert noted.startswith("INSERT INTO seen_codes")
    assert answered[-1]
