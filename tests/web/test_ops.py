"""Operations: health, readiness, metrics, and what the log says and does not say."""

import json
from pathlib import Path

import pytest

from referral import create_app
from referral.config import Config
from referral.db import upgrade
from referral.deployment import open_deployment
from tests.conftest import SECRET_KEYS
from tests.readers import Reader
from tests.web.conftest import Brand


def test_the_log_names_the_request_and_nobody(
    capsys: pytest.CaptureFixture[str], brand: Brand
) -> None:
    alice = Reader(create_app(deployment=brand.deployment))  # logs to what is captured now
    alice.sign_in("13800138000")
    alice.claim(brand.path(1))
    answer = alice.get(alice.own_link)
    lines = capsys.readouterr().err.splitlines()
    logged = [json.loads(line) for line in lines if line.startswith("{")]
    assert logged[-1]["endpoint"] == "pages.landing"
    assert logged[-1]["request_id"] == answer.headers["X-Request-ID"]
    assert len({line["request_id"] for line in logged}) == len(logged)
    secrets = ("13800138000", brand.path(1).rpartition("/")[2], alice.own_link.rpartition("/")[2])
    assert not [secret for secret in secrets if secret in json.dumps(logged)]


def test_metrics_count_requests_by_known_methods_only(brand: Brand, alice: Reader) -> None:
    alice.get(brand.path(1))
    assert alice.get("/metrics").status_code == 200
    said = alice.get("/metrics").text
    assert 'endpoint="pages.scan",method="GET",status="200"' in said
    assert brand.path(1).rpartition("/")[2] not in said


def test_it_is_ready_once_the_database_is_migrated(bare_database_url: str, tmp_path: Path) -> None:
    opened = open_deployment(Config(bare_database_url, tmp_path, SECRET_KEYS))
    reader = Reader(create_app(deployment=opened))
    assert reader.get("/healthz").status_code == 200
    answer = reader.get("/readyz")
    assert (answer.status_code, answer.json["database"]) == (503, "not migrated")
    upgrade(bare_database_url)
    answer = reader.get("/readyz")
    assert (answer.status_code, answer.json["database"]) == (200, "ok")
    opened.db.close()
