"""A system of the brand's own, with a key of the API."""

import json
from dataclasses import dataclass
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from referral import actions
from referral.deployment import Deployment

PRODUCT = {"gtin": "06901234567892", "name": "Cold Brew Tea", "price": 2000, "currency": "CNY"}


@dataclass
class Api:
    app: Flask
    key: str

    def get(self, path: str, **headers: str) -> TestResponse:
        return self.app.test_client().get(f"/api/v1{path}", headers=self._headers(headers))

    def post(
        self, path: str, body: Any = None, *, once: str | None = None, **headers: str
    ) -> TestResponse:
        """POST a JSON value, raw text or bytes, or nothing; `once` is the idempotency key."""
        data = body if isinstance(body, bytes | str | None) else json.dumps(body)
        if data is not None:
            headers.setdefault("Content-Type", "application/json")
        if once is not None:
            headers["Idempotency-Key"] = once
        client = self.app.test_client()
        return client.post(f"/api/v1{path}", data=data, headers=self._headers(headers))

    def patch(self, path: str, body: Any) -> TestResponse:
        """PATCH with a JSON value."""
        return self.app.test_client().patch(f"/api/v1{path}", json=body, headers=self._headers({}))

    def _headers(self, headers: dict[str, str]) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}", **headers}

    def made(self, path: str, body: Any = None, **options: Any) -> Any:
        """What a POST that has to succeed answers."""
        response = self.post(path, body, **options)
        assert response.status_code in {200, 201}, response.text
        return response.json

    def customer(self, external_id: str) -> int:
        return int(self.made("/customers", {"external_id": external_id})["id"])

    def token(self, customer_id: int, channel: str = "copy") -> str:
        link = {"campaign": "spring", "customer_id": customer_id, "channel": channel}
        return str(self.made("/links", link)["token"])


@pytest.fixture
def api(app: Flask, deployment: Deployment) -> Api:
    return Api(app, actions.add_api_key(deployment, "tests"))


def problem(response: TestResponse) -> tuple[int, str]:
    """Status and slug of a refusal, after a look at its form."""
    assert response.mimetype == "application/problem+json", response.text
    said = response.json
    assert said["status"] == response.status_code
    assert said["title"]
    assert said["detail"]
    address, _, slug = said["type"].partition("#")
    assert address == "http://localhost/api/docs"
    return response.status_code, slug
