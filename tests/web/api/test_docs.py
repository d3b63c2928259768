"""The OpenAPI document and the page made of it say what is true of the API."""

import re

import pytest
from flask import Flask

from referral import create_app
from referral.config import Config
from referral.errors import Problem
from tests.conftest import SECRET_KEYS

METHODS = {"get", "post", "patch"}


@pytest.fixture
def offline(tmp_path) -> Flask:
    """An app whose database was never made: documentation needs none."""
    url = f"sqlite:///{tmp_path}/none.db"
    return create_app(Config(url, tmp_path, SECRET_KEYS, base_url="https://tea.example"))


@pytest.fixture
def spec(offline):
    response = offline.test_client().get("/api/openapi.json")
    assert response.mimetype == "application/json"
    return response.json


@pytest.fixture
def page(offline):
    response = offline.test_client().get("/api/docs")
    assert response.status_code == 200
    return response.text


def operations(spec):
    return [
        (path, method, entry)
        for path, methods in spec["paths"].items()
        for method, entry in methods.items()
    ]


def test_every_call_is_in_the_document_and_nothing_else(offline, spec):
    rules = {
        (re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule), method)
        for rule in offline.url_map.iter_rules()
        if rule.endpoint.startswith("api.")
        for method in METHODS & {name.lower() for name in rule.methods}
    }
    assert rules == {(path, method) for path, method, _ in operations(spec)}


def test_the_document_hangs_together(spec):
    assert spec["openapi"].startswith("3.1")
    assert spec["servers"] == [{"url": "https://tea.example"}]
    names = set(spec["components"]["schemas"])
    references = re.findall(r"'\$ref': '([^']+)'", str(spec))
    assert {reference.removeprefix("#/components/schemas/") for reference in references} == names
    ids = [entry["operationId"] for _, _, entry in operations(spec)]
    assert len(set(ids)) == len(ids)
    tags = {tag["name"] for tag in spec["tags"]}
    assert {entry["tags"][0] for _, _, entry in operations(spec)} == tags
    for path, _, entry in operations(spec):
        in_path = {each["name"] for each in entry["parameters"] if each["in"] == "path"}
        assert in_path == set(re.findall(r"{(\w+)}", path))
        assert all(each["required"] for each in entry["parameters"] if each["in"] == "path")


def test_every_call_tells_of_its_key_and_its_problems(spec):
    scheme = spec["components"]["securitySchemes"]["bearer"]
    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")
    assert spec["security"] == [{"bearer": []}]
    slugs = {problem.slug for problem in Problem.every()}
    for path, method, entry in operations(spec):
        refusals = {s: r for s, r in entry["responses"].items() if s >= "400"}
        assert {"401", "500", "503"} <= set(refusals)
        if method != "get":
            assert {"400", "409", "413", "415", "422"} <= set(refusals)
            headers = [each for each in entry["parameters"] if each["in"] == "header"]
            assert [each["name"] for each in headers] == ["Idempotency-Key"]
            assert "requestBody" in entry
        if "{" in path:
            assert "404" in refusals
        for refusal in refusals.values():
            content = refusal["content"]["application/problem+json"]
            assert content["schema"] == {"$ref": "#/components/schemas/Problem"}
            assert set(refusal["x-problems"]) <= slugs


def test_every_problem_has_one_name_and_its_place_on_the_page(page):
    by_slug = {}
    for problem in Problem.every():
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", problem.slug)
        assert by_slug.setdefault(problem.slug, problem) is problem
        assert page.count(f'id="{problem.slug}"') == 1


def test_the_page_leads_nowhere_that_is_not_there(page, spec):
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(set(ids)) == len(ids)
    assert set(re.findall(r'href="#([^"]+)"', page)) <= set(ids)
    for path, _, entry in operations(spec):
        assert entry["operationId"] in ids
        assert f"<code>{path}</code>" in page


def test_the_page_needs_nothing_from_elsewhere_and_breaks_no_policy(offline, page):
    assert "<script" not in page
    assert "<style" not in page
    assert " style=" not in page
    sources = re.findall(r'<link[^>]+href="([^"]+)"', page)
    assert all(source.startswith("/static/") for source in sources)
    client = offline.test_client()
    for source in sources:
        with client.get(source) as response:
            assert response.status_code == 200


def test_the_page_knows_fields_within_fields(page):
    for name in ("rules[].amount", "content.*.body", "items[].ranges[].state", "children"):
        assert f"<code>{name}</code>" in page
    assert "children[].id" not in page
