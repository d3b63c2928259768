"""Exporting: a file is whole or not there, goes on where its worker died, and ends."""

import csv
import io
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral import actions, audit
from referral.actions import exporting
from referral.clock import HeldClock
from referral.deployment import Deployment
from referral.exports import jobs, kinds, writing
from referral.exports.jobs import (
    Asked,
    Export,
    ExportPiece,
    Form,
    State,
    TooManyExports,
    UnknownExport,
    Why,
)
from referral.exports.kinds import Column, Gone, Key, Kind, Page, Wanted
from referral.staff import Role, StaffMember
from tests.races import at_once

ROWS = 1_000
AT_ONCE = 50


def numbers(tx: Session, wanted: Wanted, after: Key | None) -> Page:
    """As many numbers as are asked for, some at a time."""
    if wanted.params.get("broken"):
        raise RuntimeError("broken")
    if wanted.params.get("gone"):
        raise Gone()
    first = after[0] if after else 0
    last = min(first + AT_ONCE, wanted.params.get("rows", ROWS))
    rows = [(n, f"row {n} " + "x" * 100) for n in range(first, last)]
    return Page(rows, [last] if last < wanted.params.get("rows", ROWS) else None)


@pytest.fixture(autouse=True)
def _kind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kinds, "_kinds", {})
    kinds.register(
        Kind(
            name="numbers",
            title="Numbers",
            columns=(Column("n", "N"), Column("text", "Text")),
            page=numbers,
            count=lambda tx, wanted: wanted.params.get("rows", ROWS),
        )
    )
    monkeypatch.setattr(writing, "PIECE_BYTES", 10_000)


@pytest.fixture
def olga(deployment: Deployment) -> StaffMember:
    return member(deployment, "olga")


def member(deployment: Deployment, name: str) -> StaffMember:
    email = f"{name}@brand.example"
    actions.add_staff(deployment, email=email, password="four words are fine", role=Role.owner)
    with deployment.db.read() as tx:
        return tx.scalars(sa.select(StaffMember).where(StaffMember.email == email)).one()


def ask(deployment: Deployment, who: StaffMember, form: Form = Form.csv, **params: Any) -> Export:
    asked = Asked("numbers", form, params, ["N", "Text"])
    return actions.ask_export(deployment, asked, member=who)


def job_of(deployment: Deployment, job: Export) -> Export:
    with deployment.db.read() as tx:
        return tx.get_one(Export, job.id)


def file_of(deployment: Deployment, job: Export) -> bytes:
    return b"".join(jobs.pieces(deployment.db, job_of(deployment, job)))


def rows_of(file: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(file.decode("utf-8-sig"), newline="")))


def pieces_of(deployment: Deployment) -> int:
    with deployment.db.read() as tx:
        return tx.scalar(sa.select(sa.func.count()).select_from(ExportPiece)) or 0


def test_a_file_is_made_in_pieces_and_offered_when_it_is_whole(
    deployment: Deployment, olga: StaffMember
) -> None:
    job = ask(deployment, olga)
    assert job.state == State.waiting
    assert exporting.work_off_exports(deployment) == 1
    done = job_of(deployment, job)
    assert (done.state, done.rows, done.rows_of, done.share) == (State.done, ROWS, ROWS, 1.0)
    assert done.pieces > 5
    file = file_of(deployment, job)
    assert len(file) == done.bytes
    rows = rows_of(file)
    assert rows[0] == ["N", "Text"]
    assert [row[0] for row in rows[1:]] == [str(n) for n in range(ROWS)]


def test_an_empty_list_is_a_file_with_its_headings(
    deployment: Deployment, olga: StaffMember
) -> None:
    for form in (Form.csv, Form.xlsx):
        job = ask(deployment, olga, form, rows=0)
        exporting.work_off_exports(deployment)
        assert job_of(deployment, job).state == State.done
        assert file_of(deployment, job)


class Killed(BaseException):
    """The process is killed: nothing of its own is run any more."""


def killed_after(pages: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the next worker die after so many pages."""
    real, done = numbers, []

    def page(tx: Session, wanted: Wanted, after: Key | None) -> Page:
        if len(done) == pages:
            monkeypatch.setitem(kinds._kinds, "numbers", with_page(real))
            raise Killed()
        done.append(after)
        return real(tx, wanted, after)

    monkeypatch.setitem(kinds._kinds, "numbers", with_page(page))


def with_page(page: kinds.ReadPage) -> Kind:
    old = kinds._kinds["numbers"]
    return Kind(old.name, old.title, old.columns, page, old.count)


@pytest.mark.parametrize("form", [Form.csv, Form.xlsx])
@pytest.mark.parametrize("pages", [0, 7, 19])
def test_a_file_whose_worker_died_is_finished_by_another_and_is_the_same(
    deployment: Deployment,
    olga: StaffMember,
    clock: HeldClock,
    monkeypatch: pytest.MonkeyPatch,
    form: Form,
    pages: int,
) -> None:
    killed_after(pages, monkeypatch)
    job = ask(deployment, olga, form)
    with pytest.raises(Killed):
        exporting.work_off_exports(deployment)
    half = job_of(deployment, job)
    assert half.state == State.running
    with deployment.db.read() as tx, pytest.raises(UnknownExport):
        jobs.offered(tx, job.id, clock.now())
    assert exporting.work_off_exports(deployment) == 0, "it is still held"
    clock.advance(seconds=jobs.LEASE.total_seconds())
    assert exporting.work_off_exports(deployment) == 1
    done = job_of(deployment, job)
    assert (done.state, done.rows) == (State.done, ROWS)
    if form is Form.csv:
        assert [row[0] for row in rows_of(file_of(deployment, job))[1:]] == [
            str(n) for n in range(ROWS)
        ]
        if pages == 19:
            assert half.pieces > 5, "there was something to go on with"
            assert half.rows > 0
    else:
        assert half.pieces == 0
        assert file_of(deployment, job)[:2] == b"PK"


def test_a_worker_that_was_only_slow_writes_nothing_into_what_is_another_ones(
    deployment: Deployment, olga: StaffMember, clock: HeldClock
) -> None:
    job = ask(deployment, olga)
    now = clock.now()
    slow = deployment.db.transact(lambda tx: jobs.take(tx, "slow", now))
    assert slow is not None
    clock.advance(seconds=jobs.LEASE.total_seconds())
    exporting.work_off_exports(deployment)
    before = file_of(deployment, job)
    exporting._Making(deployment, slow, "slow", lambda: False).run()
    assert file_of(deployment, job) == before
    assert job_of(deployment, job).state == State.done


def test_one_that_is_told_to_stop_lets_go_and_another_goes_on_at_once(
    deployment: Deployment, olga: StaffMember
) -> None:
    job = ask(deployment, olga)
    asked: list[bool] = []

    def is_stopped() -> bool:
        asked.append(True)
        return len(asked) > 8

    exporting.work_off_exports(deployment, is_stopped)
    half = job_of(deployment, job)
    assert half.state == State.running
    assert 0 < half.rows < ROWS
    assert exporting.work_off_exports(deployment) == 1
    assert job_of(deployment, job).state == State.done


def test_several_workers_make_each_file_once(deployment: Deployment, olga: StaffMember) -> None:
    made = [ask(deployment, olga, rows=rows) for rows in (1, 2, 300)]
    over = at_once([lambda: exporting.work_off_exports(deployment)] * 3)
    assert sum(each for each in over if isinstance(each, int)) == 3
    for job in made:
        done = job_of(deployment, job)
        assert (done.state, done.rows) == (State.done, job.params["rows"])


def test_what_cannot_be_made_fails_after_some_tries(
    deployment: Deployment, olga: StaffMember
) -> None:
    job = ask(deployment, olga, broken=True)
    exporting.work_off_exports(deployment)
    failed = job_of(deployment, job)
    assert (failed.state, failed.why) == (State.failed, Why.fault)
    assert failed.tries == jobs.TRIES_MAX + 1
    assert pieces_of(deployment) == 0


def test_what_is_not_there_any_more_says_so(deployment: Deployment, olga: StaffMember) -> None:
    job = ask(deployment, olga, gone=True)
    exporting.work_off_exports(deployment)
    assert (job_of(deployment, job).state, job_of(deployment, job).why) == ("failed", Why.gone)


@pytest.mark.parametrize("form", [Form.csv, Form.xlsx])
def test_a_file_that_is_too_large_is_not_made_and_leaves_nothing(
    deployment: Deployment, olga: StaffMember, monkeypatch: pytest.MonkeyPatch, form: Form
) -> None:
    for module in (jobs, writing):
        monkeypatch.setattr(module, "BYTES_MAX", 15_000)
    job = ask(deployment, olga, form)
    exporting.work_off_exports(deployment)
    assert (job_of(deployment, job).state, job_of(deployment, job).why) == ("failed", "too-large")
    assert pieces_of(deployment) == 0


def test_there_is_only_so_much_room(
    deployment: Deployment, olga: StaffMember, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "BYTES_KEPT_MAX", 1_000)
    one = ask(deployment, olga, rows=500)
    exporting.work_off_exports(deployment)
    other = ask(deployment, olga, rows=1)
    exporting.work_off_exports(deployment)
    assert job_of(deployment, one).state == State.done
    assert job_of(deployment, other).why == Why.no_room


def test_asked_for_twice_it_is_one_job_and_there_are_only_so_many(
    deployment: Deployment, olga: StaffMember
) -> None:
    one = ask(deployment, olga)
    assert ask(deployment, olga).id == one.id
    for rows in range(1, jobs.OPEN_MAX):
        ask(deployment, olga, rows=rows)
    with pytest.raises(TooManyExports):
        ask(deployment, olga, rows=99)
    ask(deployment, member(deployment, "ann"), rows=99)


def test_asked_for_at_the_same_moment_it_is_one_job(
    deployment: Deployment, olga: StaffMember
) -> None:
    made = at_once([lambda: ask(deployment, olga).id] * 6)
    assert len(set(made)) == 1


def test_a_file_ends_and_in_the_end_it_is_forgotten(
    deployment: Deployment, olga: StaffMember, clock: HeldClock
) -> None:
    job = ask(deployment, olga)
    exporting.work_off_exports(deployment)
    clock.advance(seconds=jobs.LASTS.total_seconds() - 1)
    assert exporting.sweep_exports(deployment) == 0
    assert actions.fetch_export(deployment, job.id, member=olga).id == job.id
    clock.advance(seconds=1)
    with pytest.raises(UnknownExport):
        actions.fetch_export(deployment, job.id, member=olga)
    assert exporting.sweep_exports(deployment) == 1
    assert job_of(deployment, job).state == State.deleted
    assert pieces_of(deployment) == 0
    clock.advance(days=jobs.FORGOTTEN_AFTER / timedelta(days=1))
    exporting.sweep_exports(deployment)
    with deployment.db.read() as tx:
        assert tx.get(Export, job.id) is None


def test_a_file_can_be_deleted_before_its_time(deployment: Deployment, olga: StaffMember) -> None:
    job = ask(deployment, olga)
    with pytest.raises(UnknownExport):
        actions.delete_export(deployment, job.id, member=olga)
    exporting.work_off_exports(deployment)
    actions.delete_export(deployment, job.id, member=olga)
    assert (job_of(deployment, job).state, pieces_of(deployment)) == (State.deleted, 0)


def test_who_wanted_what_and_who_took_it_is_in_the_audit_log(
    deployment: Deployment, olga: StaffMember
) -> None:
    job = ask(deployment, olga, rows=3)
    exporting.work_off_exports(deployment)
    actions.fetch_export(deployment, job.id, member=member(deployment, "ann"))
    with deployment.db.read() as tx:
        noted = audit.of_subject(tx, f"export:{job.id}")
    assert [(each.action, each.by) for each in noted] == [
        ("export asked for", "olga@brand.example"),
        ("export taken", "ann@brand.example"),
    ]
    assert noted[0].details == {"kind": "numbers", "form": "csv", "rows": 3}


def test_a_job_is_left_to_the_workers_for_a_moment(
    deployment: Deployment, olga: StaffMember, clock: HeldClock
) -> None:
    def is_left() -> bool:
        with deployment.db.read() as tx:
            return jobs.any_left(tx, clock.now() - exporting.GRACE)

    assert not is_left()
    ask(deployment, olga)
    assert not is_left()
    clock.advance(seconds=exporting.GRACE.total_seconds())
    assert is_left()
    exporting.work_off_exports(deployment)
    assert not is_left()
