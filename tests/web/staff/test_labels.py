"""Labels from the console: for those who may issue codes, and never more than a few."""

import re

import pytest
from flask import Flask, render_template

from referral import audit
from referral.codes import Labels
from referral.printing.qr import printed_address
from referral.web.staff import labels
from tests.cast import issue
from tests.readers import Reader
from tests.scanners import scan
from tests.sheets import pages
from tests.web.conftest import Brand
from tests.web.staff.conftest import text


def path(brand: Brand, query: str = "") -> str:
    return f"/staff/batches/{brand.batch.id}/labels.pdf{query}"


def test_labels_are_downloaded_by_those_who_may_issue_codes(owner: Reader, brand: Brand) -> None:
    query = "?start=20&end=23&layout=single&level=Q&module=0.5&bleed=2&label=inner"
    answer = owner.get(path(brand, query))
    assert answer.status_code == 200
    assert answer.mimetype == "application/pdf"
    assert answer.headers["Cache-Control"] == "no-store"
    name = f"labels-{brand.batch.id}-inner-20-23.pdf"
    assert answer.headers["Content-Disposition"] == f"attachment; filename={name}"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    with pages(answer.data) as found:
        for index, page in enumerate(found, start=20):
            code = brand.path(index)[-16:]
            address = printed_address("http://localhost", "https", brand.product.gtin, code)
            assert scan(page.picture) == {address}
    assert len(found) == 3
    with brand.deployment.db.read() as tx:
        [taken] = audit.of_subject(tx, "list:labels")
    assert taken.by == "olga@brand.example"
    assert taken.details == {"batch": brand.batch.id, "start": 20, "end": 23}


def test_nobody_else_gets_codes(analyst: Reader, charlie: Reader, brand: Brand) -> None:
    refused = analyst.get(path(brand, "?end=1"))
    assert refused.status_code == 403
    stranger = charlie.get(path(brand, "?end=1"))
    assert stranger.status_code in {302, 303}
    assert "/staff/sign-in" in stranger.location
    for answer in (refused, stranger):
        assert not answer.data.startswith(b"%PDF")


@pytest.mark.parametrize(
    "query, words",
    [
        ("?start=5&end=5", "not inside the batch"),
        ("?end=201", "too many labels"),
        ("?start=1000", "not inside the batch"),
        ("?start=999999999999&end=999999999999", "not inside the batch"),
        ("?end=1&module=0.3", "modules this small"),
        ("?end=1&module=nan", "modules this small"),
        ("?end=1&module=9", "does not fit"),
        ("?end=1&bleed=11", "does not fit"),
        ("?end=1&label=outer", "one label only"),
        ("?end=-1", "not right"),
        ("?end=²", "not right"),
        ("?end=1e3", "not right"),
        ("?end=1&module=x", "not right"),
        ("?end=1&level=H", "not right"),
        ("?end=1&layout=a3", "not right"),
        ("?end=1&label=both", "not right"),
    ],
)
def test_what_cannot_be_printed_is_said(
    owner: Reader, brand: Brand, query: str, words: str
) -> None:
    answer = owner.get(path(brand, query))
    assert answer.status_code == 422
    assert words in text(owner).lower()


def test_a_batch_that_is_not_there_is_not_found(owner: Reader, brand: Brand) -> None:
    for number in (0, 99, 2**63 - 1, 2**63):
        assert owner.get(f"/staff/batches/{number}/labels.pdf").status_code == 404


def test_a_large_batch_is_printed_in_parts(
    owner: Reader, brand: Brand, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert labels.DOWNLOAD_MAX == 200
    monkeypatch.setattr(labels, "DOWNLOAD_MAX", 10)
    assert owner.get(path(brand)).headers["Content-Disposition"].endswith("-inner-0-10.pdf")
    answer = owner.get(path(brand, "?start=90"))
    assert answer.headers["Content-Disposition"].endswith("-inner-90-100.pdf")
    assert owner.get(path(brand, "?start=90&end=101")).status_code == 422


def test_labels_are_made_for_one_at_a_time(owner: Reader, brand: Brand) -> None:
    with labels._printing:
        answer = owner.get(path(brand, "?end=1"))
    assert answer.status_code == 429
    assert answer.headers["Retry-After"] == "3"
    assert "try again in a few seconds" in text(owner)
    assert owner.get(path(brand, "?end=1&layout=single&module=5&bleed=10")).status_code == 200
    assert owner.get(path(brand, "?end=1")).status_code == 200


@pytest.mark.parametrize("carried", Labels)
def test_the_form_offers_what_can_be_printed(
    owner: Reader, app: Flask, brand: Brand, carried: Labels, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(labels, "DOWNLOAD_MAX", 20)
    brand.deployment.db.transact(lambda tx: setattr(tx.merge(brand.product), "labels", carried))
    batch = issue(brand.deployment, brand.product.gtin)
    with app.test_request_context("/staff/", headers={"Accept-Language": "en"}):
        page = render_template("staff/_labels_form.html", batch=batch)
    assert 'name="module" type="number" min="0.396" max="5.0"' in page
    assert 'max="1000" value="20"' in page
    assert f'action="/staff/batches/{batch.id}/labels.pdf"' in page
    assert ('name="label"' in page) is (carried is Labels.pair)
    fields = re.findall(r'<(?:input|select)[^>]* name="(\w+)"', page)
    values = dict(re.findall(r'name="(\w+)"[^>]* value="([^"]*)"', page))
    query = "&".join(f"{name}={values.get(name, '')}" for name in fields)
    answer = owner.get(f"/staff/batches/{batch.id}/labels.pdf?{query}")
    assert answer.status_code == 200, "what it offers as it stands is printed"
