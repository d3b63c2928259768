"""A product's page in the console: its links in one form, what its packages carry, its batches."""

import html
import re

import pytest

from referral import actions, product_links
from referral.catalog import product_by_gtin
from referral.deployment import Deployment
from referral.gs1.target import Target
from tests.readers import Reader
from tests.web.conftest import Brand
from tests.web.staff.conftest import sign_in, text

PATH = "/staff/products/06901234567892"
PAGE = {
    "type-0": "pip",
    "title-0": " The  tea ",
    "href-0": "https://tea.example/茶",
    "language-0": "en",
    "media-0": "text/html",
}
EMPTY = {f"{field}-1": "" for field in ("title", "href", "language", "media")}


def links(deployment: Deployment) -> list[Target]:
    with deployment.db.read() as tx:
        return product_links.links_of(tx, product_by_gtin(tx, "06901234567892").id)


def test_the_page_is_reached_from_the_list_and_shows_the_product(
    brand: Brand, owner: Reader
) -> None:
    owner.get("/staff/products")
    assert f'href="{PATH}"' in owner.page
    assert owner.get(PATH).status_code == 200
    said = text(owner)
    for shown in ("Cold Brew Tea", "06901234567892", "first batch", "1,000 codes", "One code"):
        assert shown in said
    assert 'href="/staff/batches/1"' in owner.page
    assert 'href="http://localhost/01/06901234567892"' in owner.page


def test_links_are_added_changed_and_taken_away(brand: Brand, owner: Reader) -> None:
    owner.get(PATH)
    answer = owner.send(PATH, **PAGE, **EMPTY, **{"type-1": "pip", "default": "0"})
    assert (answer.status_code, answer.location) == (303, PATH)
    page = Target("pip", "https://tea.example/%E8%8C%B6", "The tea", "en", "text/html", True)
    assert links(brand.deployment) == [page]

    owner.get(PATH)
    assert "The links are kept." in text(owner)
    assert 'value="The tea"' in owner.page
    assert re.search(r'value="0" checked', owner.page)
    changed = {**PAGE, "title-0": "", "href-0": "", "default": "own"}
    second = {"type-2": "dpp", "title-2": "Passport", "href-2": "https://tea.example/dpp"}
    owner.send(PATH, **changed, **second)
    assert links(brand.deployment) == [Target("dpp", "https://tea.example/dpp", "Passport")]
    owner.get(PATH)
    owner.send(PATH)
    assert links(brand.deployment) == []


def test_what_the_form_does_not_offer_is_kept(brand: Brand, owner: Reader) -> None:
    kept = [Target("jws", "https://tea.example/", "Proof", "pt-BR", "application/jose+json")]
    actions.set_product_links(
        brand.deployment,
        "06901234567892",
        [Target("gs1:jws", kept[0].href, "Proof", "pt-BR", "application/jose+json")],
    )
    owner.get(PATH)
    typed = dict(re.findall(r'<input id="((?:title|href)-0)"[^>]* value="([^"]*)"', owner.page))
    for name in ("type", "language", "media"):
        select = re.search(rf'<select id="{name}-0".*?</select>', owner.page, re.DOTALL)
        assert select
        chosen = re.search(r'value="([^"]*)" selected', select[0])
        assert chosen
        typed[f"{name}-0"] = html.unescape(chosen[1])
    owner.send(PATH, **typed)
    assert links(brand.deployment) == kept


def test_a_refused_link_is_said_at_its_field_and_kept_as_typed(brand: Brand, owner: Reader) -> None:
    for field, value, says in [
        ("href-0", "tea.example", "begins with https:// or http://"),
        ("href-0", "javascript:alert(1)", "begins with https:// or http://"),
        ("href-0", "http://localhost/01/06901234567892", "go in a circle"),
        ("title-0", "", "Please enter a title"),
        ("title-0", "x" * 121, "at most 120 characters"),
        ("language-0", "x", "Please enter a language"),
        ("media-0", "x", "Please enter a media type"),
        ("type-0", "nothing", "one of GS1's link types"),
    ]:
        owner.get(PATH)
        answer = owner.send(PATH, **{**PAGE, field: value})
        assert answer.status_code == 422, field
        assert says in text(owner)
        assert f'id="{field}-error"' in owner.page
        assert html.escape(value) in owner.page
    assert links(brand.deployment) == []


def test_labels_hold_from_the_next_batch_on(brand: Brand, owner: Reader) -> None:
    for sent, kept in [("pair", "pair"), ("three", "pair"), ("single", "single")]:
        owner.get(PATH)
        assert owner.send(f"{PATH}/labels", labels=sent).status_code == 303
        with brand.deployment.db.read() as tx:
            assert product_by_gtin(tx, "06901234567892").labels == kept


def test_a_product_is_added_with_its_labels(owner: Reader, deployment: Deployment) -> None:
    fields = {"gtin": "6901234567892", "name": "Tea", "price": "20", "currency": "CNY"}
    owner.get("/staff/products")
    assert owner.send("/staff/products", **fields, labels="three").status_code == 422
    assert "Please choose one of these." in text(owner)
    answer = owner.send("/staff/products", **fields, labels="pair")
    assert (answer.status_code, answer.location) == (303, PATH)
    with deployment.db.read() as tx:
        assert product_by_gtin(tx, "06901234567892").labels == "pair"
    owner.get(PATH)
    assert "“Tea” is added." in text(owner)
    assert "No batch yet." in text(owner)


def test_an_analyst_reads_and_changes_nothing(brand: Brand, analyst: Reader) -> None:
    link = Target("gs1:pip", "https://tea.example/", "The tea", is_default=True)
    actions.set_product_links(brand.deployment, "06901234567892", [link])
    assert analyst.get(PATH).status_code == 200
    assert "The tea" in text(analyst)
    assert '<form class="form' not in analyst.page
    token = {"csrf_token": analyst.form_token()}
    assert analyst.post(PATH, token).status_code == 403
    assert analyst.post(f"{PATH}/labels", {**token, "labels": "pair"}).status_code == 403
    assert len(links(brand.deployment)) == 1


def test_a_product_nobody_made_has_no_page(brand: Brand, owner: Reader) -> None:
    owner.get("/staff/products")
    for gtin, status in {"06901234567908": 404, "06901234567893": 400, "x%00": 400}.items():
        assert owner.get(f"/staff/products/{gtin}").status_code == status
        owner.get("/staff/products")
        assert owner.send(f"/staff/products/{gtin}").status_code == status


@pytest.mark.parametrize("lang", ["zh-CN", "zh-TW", "en"])
def test_the_page_speaks_the_readers_language(
    brand: Brand, app: object, olga: None, lang: str
) -> None:
    reader = sign_in(Reader(app, lang=lang), "olga")  # type: ignore[arg-type]
    assert reader.get(PATH).status_code == 200
    tag = {"zh-CN": "zh-Hans", "zh-TW": "zh-Hant"}.get(lang, lang)
    assert f'<html lang="{tag}">' in reader.page
    answer = reader.send(PATH, **{**PAGE, "href-0": "no address"})
    assert answer.status_code == 422
    assert "Traceback" not in reader.page


def test_awkward_input_is_never_an_error_of_ours(brand: Brand, owner: Reader) -> None:
    owner.get(PATH)
    token = {"csrf_token": owner.form_token()}
    for field in (*PAGE, "default", "href-999", "href-x", "title-00"):
        for value in (
            "",
            "\0",
            "👩‍👩‍👧",
            "x" * 5000,
            "9" * 400,
            "<script>alert(1)</script>",
            "%s %(x)s",
        ):
            answer = owner.post(PATH, {**token, **PAGE, field: value})
            assert answer.status_code in {303, 422}, field
            assert "<script>alert" not in owner.page
