"""Pictures over the API: uploaded, then named by their hash."""

import base64
from urllib.parse import urlsplit

import pytest
from flask import Flask

from tests.photos import photo_file
from tests.web.api.conftest import Api, problem


def test_a_system_uploads_a_picture_and_names_it_in_a_campaign(api: Api, app: Flask) -> None:
    data = base64.b64encode(photo_file(1600, 1200, "PNG")).decode()
    assert len(data) > 1024 * 1024, "more than other requests may have"
    kept = api.made("/pictures", {"data": data}, once="one")
    assert (kept["width"], kept["height"]) == (1440, 1080)
    assert api.made("/pictures", {"data": data}, once="one") == kept
    assert app.test_client().get(urlsplit(kept["url"]).path).status_code == 200
    told = {"slug": "tea", "title": "Tea", "budget": 1, "picture": kept["sha256"]}
    assert api.made("/campaigns", told)["picture"] == kept["sha256"]
    unknown = api.post("/campaigns", {**told, "slug": "other", "picture": "0" * 64})
    assert problem(unknown) == (422, "unknown-picture")


@pytest.mark.parametrize(
    "data, says",
    [
        (base64.b64encode(b"hello").decode(), "not-a-picture"),
        (base64.b64encode(photo_file(400, 400)).decode(), "picture-too-small"),
        ("*", "not-a-picture"),
        (7, "invalid-input"),
        ("A" * 12_000_000, "picture-too-large"),
    ],
    ids=["a text", "small", "not base64", "a number", "large"],
)
def test_what_is_no_picture_is_refused_with_its_reason(api: Api, data: object, says: str) -> None:
    assert problem(api.post("/pictures", {"data": data}))[1] == says


def test_other_requests_stay_small(api: Api) -> None:
    assert problem(api.post("/campaigns", {"slug": "x" * 2_000_000}))[0] == 413
