"""What readers see of a campaign, edited and looked at before it is kept."""

import html
import io
import re
from typing import Any

import pytest
from playwright.sync_api import expect
from werkzeug.datastructures import FileStorage

from referral.campaigns import Campaign, campaign_by_slug
from referral.deployment import Deployment
from referral.pictures import Picture
from tests.conftest import Contexts
from tests.photos import photo_file
from tests.readers import Reader
from tests.web.conftest import Brand
from tests.web.staff.conftest import CAMPAIGN, text
from tests.web.staff.test_browser import sign_in

NEW = "/staff/new-campaign"
EDIT = "/staff/campaigns/spring/content"
PREVIEW = "/staff/preview-campaign"
CONTENT = {"title": "Spring together", "landing": "page"}
PAID = "Share this page and get 20 points."


def stored(deployment: Deployment, slug: str = "spring") -> Campaign:
    with deployment.db.read() as tx:
        return campaign_by_slug(tx, slug)


def preview(reader: Reader, fields: dict[str, str], **files: FileStorage) -> str:
    reader.get(NEW)
    answer = reader.post_file(PREVIEW, {**fields, "csrf_token": reader.form_token()}, **files)
    assert answer.status_code == 200, answer.text
    return answer.text


# Editing


def test_content_of_a_running_campaign_is_edited_and_its_terms_stay(
    brand: Brand, owner: Reader, deployment: Deployment, bob: Reader
) -> None:
    before = stored(deployment)
    owner.get("/staff/campaigns/spring")
    assert f'href="{EDIT}"' in owner.page
    owner.get(EDIT)
    answer = owner.send(
        EDIT,
        **CONTENT,
        **{"en-title": "Cold tea", "en-body": "One\r\n \r\n\u200bTwo", "budget": "9", "claim": "9"},
        video_url="https://video.example/1",
        buy_url="https://shop.example/",
        organiser="Tea Co",
        gtins="x",
    )
    assert answer.status_code == 303
    after = stored(deployment)
    assert after.content == {"en": {"title": "Cold tea", "body": "One\n\nTwo", "share_text": ""}}
    assert (after.video_url, after.buy_url) == ("https://video.example/1", "https://shop.example/")
    for term in ("rules", "budget", "gtins", "starts_at", "ends_at", "hold_days", "touch", "state"):
        assert getattr(after, term) == getattr(before, term), term
    owner.get(answer.location)
    assert "Readers see it from now on" in text(owner)
    bob.get("/rules/spring")
    assert bob.heading.endswith("Cold tea")
    assert "Tea Co" in bob.page


def test_an_unchanged_save_of_the_content_changes_nothing(
    brand: Brand, owner: Reader, deployment: Deployment
) -> None:
    owner.get(EDIT)
    file = FileStorage(io.BytesIO(photo_file(600, 500)), "tea.jpg")
    sent = {**CONTENT, "en-title": "Tea & “co”", "csrf_token": owner.form_token()}
    assert owner.post_file(EDIT, sent, upload=file).status_code == 303
    before = stored(deployment)
    owner.get(EDIT)
    fields = dict(re.findall(r'<input [^>]*name="([\w-]+)" type="\w+" value="([^"]*)"', owner.page))
    fields |= dict(re.findall(r'type="hidden" name="([\w-]+)" value="([^"]*)"', owner.page))
    sent = {name: html.unescape(value) for name, value in fields.items()}
    assert owner.post(EDIT, sent).status_code == 303
    after = stored(deployment)
    assert (after.content, after.picture) == (before.content, before.picture)


def test_further_pictures_are_added_and_taken_away_one_by_one(
    brand: Brand, owner: Reader, deployment: Deployment
) -> None:
    for seed in range(5):
        owner.get(EDIT)
        kept = stored(deployment).more_pictures
        assert re.findall(r'name="more_pictures" value="(\w+)"', owner.page) == kept
        sent: dict[str, Any] = {**CONTENT, "more_pictures": kept, "csrf_token": owner.form_token()}
        file = FileStorage(io.BytesIO(photo_file(480, 480, seed=seed)), "tea.jpg")
        assert owner.post_file(EDIT, sent, more_uploads=file).status_code == 303
    kept = stored(deployment).more_pictures
    assert len(kept) == 5
    owner.get(EDIT)
    sent = {**CONTENT, "more_pictures": kept, "csrf_token": owner.form_token()}
    file = FileStorage(io.BytesIO(photo_file(480, 480, seed=9)), "tea.jpg")
    assert owner.post_file(EDIT, sent, more_uploads=file).status_code == 422
    assert "A page shows 5 more pictures at most." in text(owner)
    owner.get(EDIT)
    sent = {**sent, "drop_picture": kept[1:4], "csrf_token": owner.form_token()}
    assert owner.post_file(EDIT, sent).status_code == 303
    assert stored(deployment).more_pictures == [kept[0], kept[4]]


@pytest.mark.parametrize(
    "field, value, says",
    [
        ("title", "", "Please fill this in"),
        ("video_url", "http://video.example", "begins with https://"),
        ("video_url", "javascript:alert(1)", "web address"),
        ("buy_url", "https://shop.example@evil.example/", "web address"),
        ("en-body", "x" * 4001, "at most 4,000 fit"),
        ("landing", "elsewhere", "choose one of these"),
        ("landing", "redirect", "Enter the shop's address"),
        ("picture", "0" * 64, "There is no such picture"),
    ],
)
def test_what_is_wrong_is_said_at_its_field(
    brand: Brand, owner: Reader, deployment: Deployment, field: str, value: str, says: str
) -> None:
    owner.get(EDIT)
    assert owner.send(EDIT, **{**CONTENT, "en-title": "Kept", field: value}).status_code == 422
    assert says in text(owner)
    assert 'value="Kept"' in owner.page
    assert stored(deployment).content == brand.campaign.content


def test_a_shop_has_to_be_on_the_list(brand: Brand, owner: Reader) -> None:
    owner.get(EDIT)
    assert "No shop is on the operator's list yet" in text(owner)
    sent = {**CONTENT, "landing": "redirect", "buy_url": "https://shop.example/"}
    assert owner.send(EDIT, **sent).status_code == 422
    assert "Links may not lead straight to this shop." in text(owner)


def test_an_analyst_edits_and_previews_nothing(
    brand: Brand, analyst: Reader, deployment: Deployment
) -> None:
    analyst.get("/staff/campaigns/spring")
    assert EDIT not in analyst.page
    for path in (EDIT, PREVIEW):
        assert analyst.send(path, **CONTENT).status_code == 403
    assert analyst.get(EDIT).status_code == 403


# Wording


def test_punished_words_are_refused_at_their_field_once_readers_see_them(
    brand: Brand, owner: Reader, deployment: Deployment
) -> None:
    owner.get(EDIT)
    assert owner.send(EDIT, **CONTENT, **{"en-body": PAID}).status_code == 422
    assert "Chat platforms punish “Share this page and get 20 points”." in text(owner)
    assert 'id="en-body-error"' in owner.page
    assert stored(deployment).content == brand.campaign.content


def test_a_draft_with_punished_words_is_kept_and_not_published(
    brand: Brand, owner: Reader, deployment: Deployment
) -> None:
    owner.get(NEW)
    answer = owner.send(NEW, **CAMPAIGN, **{"en-title": "Tea", "en-share_text": PAID})
    assert answer.status_code == 303
    for path in (answer.location, "/staff/campaigns/autumn/edit"):
        owner.get(path)
        said = text(owner)
        assert "“Share this page and get 20 points” English · Text to send along" in said
        assert "WeChat's rules for external links of 28 October 2019" in said
        assert "we both get points" in said, "what to write instead"
    owner.get(answer.location)
    assert owner.send(answer.location).status_code == 422
    assert "They can ban the brand's address for it." in text(owner)
    assert stored(deployment, "autumn").state == "draft"


def test_a_campaign_chooses_which_link_counts(
    brand: Brand, owner: Reader, deployment: Deployment
) -> None:
    owner.get(NEW)
    assert "Whose link somebody opened first is credited" in text(owner)
    owner.send(NEW, **CAMPAIGN, touch="last")
    assert stored(deployment, "autumn").touch == "last"
    owner.get("/staff/campaigns/autumn/edit")
    assert re.search(r'name="touch" value="last" checked', owner.page)
    owner.get("/staff/campaigns/autumn")
    assert "Which link counts The last link opened" in text(owner)


# The preview


def test_the_preview_is_the_page_of_an_unsaved_form(
    brand: Brand, owner: Reader, deployment: Deployment
) -> None:
    owner.get(NEW)
    form = {**CAMPAIGN, "zh-Hans-title": "冷泡茶", "zh-Hans-body": "一\n\n<b>二", "en-title": "Tea"}
    form |= {"buy_url": "https://shop.example/", "video_url": "https://video.example/1"}
    page = preview(owner, {**form, "preview_lang": "zh-Hans"})
    assert '<html lang="zh-Hans">' in page
    assert "<h1>冷泡茶</h1>" in page
    assert "&lt;b&gt;二" in page
    assert "video.example" in page
    assert "Cold Brew Tea" in page
    page = preview(owner, {**form, "preview_lang": "en"})
    assert "<h1>Tea</h1>" in page
    assert "20 points for every package you claim" in page
    with pytest.raises(Exception, match="no such campaign"):
        stored(deployment, "autumn")


def test_a_preview_counts_nothing_sets_nothing_and_leads_nowhere(
    brand: Brand, owner: Reader, deployment: Deployment
) -> None:
    owner.get(EDIT)
    fields = {**CONTENT, "of": "spring", "preview_lang": "zh-Hant"}
    sent = {**fields, "csrf_token": owner.form_token()}
    answer = owner.post(PREVIEW, sent)
    assert answer.headers.getlist("Set-Cookie") == []
    assert "frame-ancestors 'self'" in answer.headers["Content-Security-Policy"]
    assert "frame-src 'none'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["Cache-Control"] == "no-store"
    for absent in ("<script", "data-own-link", "data-seen-url", 'rel="canonical"', "og:title"):
        assert absent not in answer.text
    assert '<base target="_blank">' in answer.text
    token = re.search(r'value="[^"]*/s/([^"]+)"', answer.text)
    assert token
    carried = deployment.links.read(token[1])
    assert carried is not None
    assert (carried.campaign, carried.visitor) == (0, 0), "a link of nobody's to nothing"
    metrics = brand.metrics()
    assert (metrics.opens, metrics.fetches, metrics.visitors) == (0, 0, 0)
    owner.get("/staff/")
    assert '<html lang="en">' in owner.page, "the preview's language is not the reader's"


def test_a_preview_needs_the_form_s_token(brand: Brand, owner: Reader, bob: Reader) -> None:
    assert owner.post(PREVIEW, CONTENT).status_code == 400
    owner.get(EDIT)
    token = owner.form_token()
    assert bob.post(PREVIEW, {**CONTENT, "csrf_token": token}).status_code in {302, 303, 400}
    assert owner.send(PREVIEW, **CONTENT, of="nothing").status_code == 404


def test_only_a_page_with_a_preview_has_frames(brand: Brand, owner: Reader) -> None:
    for path, source in ((NEW, "'self'"), (EDIT, "'self'"), ("/staff/", "'none'")):
        policy = owner.get(path).headers["Content-Security-Policy"]
        assert f"frame-src {source};" in policy
        assert "frame-ancestors 'none'" in policy


def test_a_preview_shows_what_is_wrong_as_far_as_it_can(brand: Brand, owner: Reader) -> None:
    owner.get(NEW)
    form = {**CAMPAIGN, "title": "", "budget": "x", "rule-0-amount": "x", "landing": "redirect"}
    page = preview(owner, {**form, "en-title": "T" * 200, "en-body": "b" * 5000})
    assert f"<h1>{'T' * 80}</h1>" in page
    page = preview(owner, {**form, "en-body": PAID, "preview_lang": "en"})
    assert "data-findings" in page
    assert "“Share this page and get 20 points”" in html.unescape(page)
    assert "<h1>…</h1>" in page
    page = preview(owner, {**form, "buy_url": "https://shop.example/", "preview_lang": "en"})
    assert "Readers are led straight to the shop." in page


def test_a_preview_shows_pictures_that_are_not_kept(
    brand: Brand, owner: Reader, deployment: Deployment
) -> None:
    owner.get(NEW)
    file = FileStorage(io.BytesIO(photo_file(600, 500)), "tea.jpg")
    page = preview(owner, dict(CAMPAIGN), upload=file)
    assert '<img class="picture" src="data:image/jpeg;base64,' in page
    page = preview(owner, {**CAMPAIGN, "upload_held": "1", "more_uploads_held": "2"})
    assert re.findall(r'<img class="picture" src="(data:,[\w-]+)"', page) == [
        "data:,upload-0",
        "data:,more_uploads-0",
        "data:,more_uploads-1",
    ]
    for nonsense in ("-1", "99", "x"):
        assert 'class="picture"' not in preview(owner, {**CAMPAIGN, "upload_held": nonsense})
    with deployment.db.read() as tx:
        assert tx.query(Picture).count() == 0


def test_the_preview_of_edited_content_keeps_the_campaign_s_terms(
    brand: Brand, owner: Reader
) -> None:
    owner.get(EDIT)
    page = preview(owner, {**CONTENT, "of": "spring", "preview_lang": "en", "title": "New"})
    assert "<h1>New</h1>" in page
    assert "20 points for every package you claim" in page


# What a page looks like does not depend on the database.
@pytest.mark.browser
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_preview_follows_what_is_typed(
    brand: Brand, olga: None, site: str, desktop: Contexts
) -> None:
    page = desktop("en-GB", viewport={"width": 1440, "height": 900}).new_page()
    sign_in(page, site)
    page.goto(f"{site}/staff/new-campaign")
    shown = page.frame_locator("iframe[name=preview]")
    heading = shown.get_by_role("heading", level=1)
    expect(heading).to_have_text("…")
    assert page.frames[1].evaluate("innerWidth") == 390
    expect(page.get_by_role("button", name="Show the preview")).to_be_hidden()

    page.locator("#title").fill("Harvest")
    expect(heading).to_have_text("Harvest")
    page.locator("#zh-Hans-title").fill("秋收")
    expect(heading).to_have_text("秋收")
    expect(shown.locator("html")).to_have_attribute("lang", "zh-Hans")
    expect(page.get_by_role("radio", name="简体中文")).to_be_checked()
    page.get_by_role("radio", name="English").check()
    expect(heading).to_have_text("秋收")  # the nearest language there is
    expect(shown.locator("html")).to_have_attribute("lang", "en")

    page.locator("#en-body").fill("Good tea.\n\nShare this page and get 20 points.")
    expect(shown.locator(".prose p")).to_have_count(2)
    findings = page.locator("[data-findings-here]")
    expect(findings).to_contain_text("Share this page and get 20 points")
    expect(shown.locator("[data-findings]")).to_have_count(0)
    page.locator("#en-body").fill("Good tea.")
    expect(findings).to_be_hidden()

    page.set_input_files(
        "#upload",
        {"name": "tea.jpg", "mimeType": "image/jpeg", "buffer": photo_file(480, 480)},
    )
    expect(shown.locator("img.picture")).to_have_js_property("naturalWidth", 480)
    before = page.frames[1].url
    shown.get_by_role("link", name="Cold Brew Tea").click()
    page.locator("#title").fill("Harvest time")
    expect(shown.locator("img.picture")).to_have_count(1)
    assert page.frames[1].url == before, "nothing on it leads anywhere"
    assert len(page.context.pages) == 1
    assert "referral_visitor" not in {each["name"] for each in page.context.cookies()}
    page.go_back()
    assert page.url == f"{site}/staff/", "the preview leaves no trace in the history"


@pytest.mark.browser
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_without_scripts_a_button_shows_the_preview(
    brand: Brand, olga: None, site: str, desktop: Contexts
) -> None:
    page = desktop("en-GB", java_script_enabled=False).new_page()
    sign_in(page, site)
    page.goto(f"{site}/staff/campaigns/spring/content")
    page.locator("#en-title").fill("Harvest")
    page.get_by_role("radio", name="English").check()
    page.get_by_role("button", name="Show the preview").click()
    shown = page.frame_locator("iframe[name=preview]")
    expect(shown.get_by_role("heading", level=1)).to_have_text("Harvest")
    assert page.url.endswith("/content")
    expect(page.locator("#en-title")).to_have_value("Harvest")
