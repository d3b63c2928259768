"""The customers of a segment as a file: all of them once, and no formula."""

import csv
import io
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from referral import actions, segments
from referral.clock import HeldClock
from referral.exports import Asked, Form, jobs, kinds, writing
from referral.reports.exports import segments as report
from referral.segments import Conditions
from referral.staff import Role, StaffMember
from tests.cast import PRICE, Brand, Person
from tests.reports.conftest import read

SHANGHAI = ZoneInfo("Asia/Shanghai")
BUYERS = {"purchases_least": 1}
OWN = PRICE * 4 // 10


def ask(brand: Brand, form: Form = Form.csv, **said: int) -> jobs.Export:
    d = brand.deployment
    kind = kinds.kind_named("segment")
    assert kind is not None
    told = {"email": "olga@brand.example", "password": "four words are fine"}
    staff_id = actions.add_staff(d, **told, role=Role.owner)
    member = read(brand, lambda tx: tx.get_one(StaffMember, staff_id))
    params = {"segment": 1, "name": "Some", "conditions": said}
    headings = [column.title for column in kind.columns]
    return actions.ask_export(d, Asked("segment", form, params, headings), member=member)


def rows(brand: Brand, job: jobs.Export) -> list[list[str]]:
    """Of the file, which has to be there."""
    done = read(brand, lambda tx: jobs.offered(tx, job.id, brand.deployment.clock.now()))
    text = b"".join(jobs.pieces(brand.deployment.db, done)).decode()
    assert text.startswith("\ufeff")
    found = list(csv.reader(io.StringIO(text.removeprefix("\ufeff"))))
    assert done.rows == done.rows_of == len(found) - 1
    return found


def test_a_file_has_everybody_and_no_formula(
    brand: Brand, crowd: list[Person], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "AT_ONCE", 3)
    monkeypatch.setattr(writing, "PIECE_BYTES", 1)
    d = brand.deployment
    actions.rename(d, crowd[0].customer, "=HYPERLINK(1)")
    actions.rename(d, crowd[1].customer, '+86, "quoted"')
    job = ask(brand, **BUYERS)
    actions.work_off_exports(d)
    found = rows(brand, job)
    assert found[0][:4] == ["Customer", "Name", "Life stage", "Quadrant"]
    assert len(found) == 8
    by_number = {int(row[0]): row for row in found[1:]}
    assert by_number.keys() == {person.customer for person in crowd[:7]}
    assert by_number[crowd[0].customer][1] == "'=HYPERLINK(1)"
    assert by_number[crowd[1].customer][1] == '\'+86, "quoted"'
    assert by_number[crowd[2].customer][2:5] == ["bought", "affluents", "2"]
    assert by_number[crowd[2].customer][8] == f"{2 * OWN / 100:.2f}"
    assert {row[12] for row in found[1:]} == {"CNY"}
    assert {len(row) for row in found} == {13}
    assert "somebody" not in str(found), "no contacts"


def test_a_file_is_of_the_moment_and_the_conditions_it_was_asked_for(
    brand: Brand, crowd: list[Person], clock: HeldClock
) -> None:
    d = brand.deployment
    number = actions.add_segment(d, "Lately", Conditions.model_validate(BUYERS), by="olga")
    job = ask(brand, bought_within=5)
    clock.advance(days=30)
    actions.remove_segment(d, number, by="olga")
    actions.work_off_exports(d)
    assert len(rows(brand, job)) == 8


@pytest.mark.parametrize("most", [6, 7])
def test_how_many_there_will_be_is_told_up_to_what_is_counted(
    brand: Brand, crowd: list[Person], monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    for each in (segments, report):
        monkeypatch.setattr(each, "COUNTED_MAX", most)
    d = brand.deployment
    job = ask(brand, **BUYERS)
    kind = kinds.kind_named("segment")
    assert kind is not None
    wanted = kinds.Wanted(job.params, d.keys, SHANGHAI, job.asked_at)
    assert read(brand, lambda tx: kind.count(tx, wanted)) == (7 if most == 7 else None)
    actions.work_off_exports(d)
    assert len(rows(brand, job)) == 8


def test_asking_twice_makes_one_file(brand: Brand, crowd: list[Person]) -> None:
    first = ask(brand, **BUYERS)
    d = brand.deployment
    member = read(brand, lambda tx: tx.scalars(sa.select(StaffMember)).one())
    again = actions.ask_export(
        d, Asked("segment", Form.csv, first.params, first.headings), member=member
    )
    assert again.id == first.id
