"""The picture in a campaign's form."""

import io
import re

import pytest
from werkzeug.datastructures import FileStorage

from referral import pictures
from referral.campaigns import campaign_by_slug
from referral.deployment import Deployment
from tests.photos import photo_file
from tests.readers import Reader
from tests.web.conftest import Brand
from tests.web.staff.conftest import CAMPAIGN, text

FORM = "/staff/new-campaign"


def upload(reader: Reader, path: str, file: bytes, **fields: str) -> int:
    """Send the form with a file, as a browser does."""
    reader.get(path)
    sent = {**CAMPAIGN, **fields, "csrf_token": reader.form_token()}
    return reader.post_file(path, sent, upload=FileStorage(io.BytesIO(file), "tea.jpg")).status_code


def picture_of(deployment: Deployment) -> str | None:
    with deployment.db.read() as tx:
        return campaign_by_slug(tx, "autumn").picture


def test_a_picture_is_uploaded_kept_and_taken_away(
    brand: Brand, owner: Reader, deployment: Deployment
) -> None:
    assert upload(owner, FORM, photo_file(3000, 2000)) == 303
    kept = picture_of(deployment)
    assert kept == pictures.made_ready(photo_file(3000, 2000)).sha256

    edit = "/staff/campaigns/autumn/edit"
    owner.get(edit)
    assert owner.send(edit, **CAMPAIGN).status_code == 303, "a form without a file"
    assert picture_of(deployment) is None, "... and without the field that keeps the picture"
    assert upload(owner, edit, photo_file(600, 600)) == 303
    second = picture_of(deployment)
    owner.get(edit)
    assert f'src="/pictures/{second}.jpg"' in owner.page
    assert owner.send(edit, **CAMPAIGN, picture=second or "").status_code == 303
    assert picture_of(deployment) == second
    owner.get(edit)
    owner.send(edit, **CAMPAIGN, picture=second or "", without_picture="1")
    assert picture_of(deployment) is None


def test_a_picture_is_not_lost_when_something_else_is_wrong(brand: Brand, owner: Reader) -> None:
    assert upload(owner, FORM, photo_file(600, 600), budget="") == 422
    found = re.search(r'name="picture" value="(\w{64})"', owner.page)
    assert found
    assert owner.get(f"/pictures/{found[1]}.jpg").status_code == 200


@pytest.mark.parametrize(
    "file, says",
    [
        (b"hello", "This is no picture that can be read."),
        (photo_file(400, 400), "This picture is too small."),
        (photo_file(600, 600) + b"\0" * 8_000_000, "This picture is too large."),
    ],
    ids=["a text", "small", "large"],
)
def test_what_is_no_picture_is_said_at_its_field(
    brand: Brand, owner: Reader, file: bytes, says: str
) -> None:
    assert upload(owner, FORM, file) == 422
    assert says in text(owner)
    assert 'id="upload-error"' in owner.page
    assert f'value="{CAMPAIGN["title"]}"' in owner.page


def test_far_too_large_a_request_is_not_read(brand: Brand, owner: Reader) -> None:
    assert upload(owner, FORM, b"\0" * 13_000_000) == 422
    assert "At most 8 MB" in text(owner)


def test_a_picture_that_was_never_uploaded_is_refused(brand: Brand, owner: Reader) -> None:
    owner.get(FORM)
    assert owner.send(FORM, **CAMPAIGN, picture="0" * 64).status_code == 422
    assert "There is no such picture." in text(owner)


def test_staff_see_a_drafts_card_and_nobody_else_does(
    brand: Brand, owner: Reader, bob: Reader
) -> None:
    assert upload(owner, FORM, photo_file(600, 600), **{"en-title": "Harvest"}) == 303
    owner.get("/staff/campaigns/autumn")
    found = re.search(r'src="(/staff/campaigns/autumn/card/en\.jpg)"', owner.page)
    assert found
    assert owner.get(found[1]).mimetype == "image/jpeg"
    assert bob.get(found[1]).status_code in {302, 303}
    assert bob.get("/cards/autumn/en.0.jpg").status_code == 404
    assert owner.get("/staff/campaigns/autumn/card/fr.jpg").status_code == 404


def test_an_analyst_uploads_nothing(brand: Brand, analyst: Reader) -> None:
    analyst.get("/staff/")
    sent = {**CAMPAIGN, "csrf_token": analyst.form_token()}
    file = FileStorage(io.BytesIO(photo_file(600, 600)), "tea.jpg")
    assert analyst.post_file(FORM, sent, upload=file).status_code == 403
    with brand.deployment.db.read() as tx:
        assert tx.query(pictures.Picture).count() == 0
