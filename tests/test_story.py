"""The main job, played through the running service by four people in four browsers.

Staff set a campaign up. Alice scans a package, claims it and shares. Bob opens her link and never
signs in; he forwards what stands in his address bar. Carol opens that, buys, scans and claims: she
is a customer now and Alice, whom she does not know, is credited through Bob.
"""

import io
import json
import re
from collections.abc import Callable
from urllib.parse import urlsplit

import cv2
import numpy
import pytest
import qrcode
import zxingcpp
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Page, expect

from tests.conftest import Contexts
from tests.servers import ServiceProcess

GTIN = "06901234567892"
PER_CLAIM, PER_FRIEND = 20, 50
PASSWORD = "a password of some length"


def read_back(picture: bytes) -> str:
    """What two independent readers see in a picture; they must agree."""
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    by_zxing = [found.text for found in zxingcpp.read_barcodes(image)]
    pixels = numpy.array(image)[:, :, ::-1].copy()
    by_opencv, _, _ = cv2.QRCodeDetectorAruco().detectAndDecode(pixels)
    assert by_zxing == [by_opencv], f"zxing reads {by_zxing}, OpenCV {by_opencv!r}"
    return by_opencv


def printed(address: str) -> bytes:
    """A package's QR code, as a label would carry it."""
    buffer = io.BytesIO()
    qrcode.make(address).save(buffer)
    return buffer.getvalue()


def check_accessibility(page: Page) -> None:
    results = Axe().run(page)
    assert results.violations_count == 0, f"{page.url}\n{results.generate_report()}"


def sign_in(page: Page, contact: str) -> None:
    """From the sign-in page, with the code that the demo sender shows, to where it leads."""
    page.locator("#contact").fill(contact)
    page.locator("[name=agree]").check()
    check_accessibility(page)
    page.locator("main form button[type=submit]").click()
    code = page.locator("[data-demo-code]").inner_text()
    page.locator("[name=code]").fill(re.sub(r"\D", "", code))
    check_accessibility(page)
    page.locator("main form button[type=submit]").first.click()


@pytest.mark.browser
def test_the_main_job(
    live_server: Callable[..., ServiceProcess], phone: Contexts, desktop: Contexts
) -> None:
    server = live_server(REFERRAL_BRAND="Yunling")
    server.command(
        "staff", "add", "owner@brand.example", "--role", "owner", "--password-stdin", text=PASSWORD
    )

    # 1. Staff create a product, a batch of codes and a campaign, and activate the batch.
    office = desktop("en-SG").new_page()
    office.goto(f"{server.url}/staff/")
    office.locator("[name=email]").fill("owner@brand.example")
    office.locator("[name=password]").fill(PASSWORD)
    office.locator("main button[type=submit], .gatebox button[type=submit]").first.click()
    office.goto(f"{server.url}/staff/products")
    office.locator("[name=gtin]").fill(GTIN)
    office.locator("[name=name]").fill("Cold Brew Tea")
    office.locator("[name=price]").fill("20.00")
    office.locator("[name=currency]").fill("CNY")
    office.get_by_role("button", name="Add the product").click()
    expect(office.locator("h1")).to_have_text("Cold Brew Tea")

    issued = json.loads(
        server.command(
            "codes", "issue", "--gtin", GTIN, "--count", "1000", "--name", "first", "--json"
        ).stdout
    )
    batch = issued["id"]
    office.goto(f"{server.url}/staff/batches/{batch}")
    office.get_by_role("button", name="Change the state").click()
    expect(office.locator("main")).to_contain_text("1,000")

    office.goto(f"{server.url}/staff/new-campaign")
    office.locator("[name=title]").fill("Spring together")
    office.locator("[name=slug]").fill("spring")
    office.locator("[name=budget]").fill("100000")
    office.locator("[name=hold_days]").fill("0")
    for rule, points in {"rule-0": PER_CLAIM, "rule-1": PER_FRIEND}.items():
        office.locator(f"[name={rule}-amount]").fill(str(points))
    office.get_by_role("button", name="Keep the draft").click()
    office.get_by_role("button", name=re.compile("publish", re.IGNORECASE)).click()
    check_accessibility(office)

    server.command(
        "codes",
        "export",
        "--batch",
        str(batch),
        "--start",
        "0",
        "--end",
        "2",
        "--out",
        str(server.folder / "print"),
    )
    addresses = re.findall(r"https?://\S+", (server.folder / "print" / "codes.csv").read_text())
    assert len(addresses) == 2
    scanned = [read_back(printed(address)) for address in addresses]
    assert scanned == addresses

    # 2. Alice scans, sees that it is genuine and new, signs in and claims. Points arrive.
    alice = phone("zh-CN").new_page()
    alice.goto(scanned[0])
    expect(alice.locator("html")).to_have_attribute("lang", "zh-Hans")
    expect(alice.locator("body")).to_have_class(re.compile("first-seen"))
    check_accessibility(alice)
    alice.locator('a[href*="/sign-in?next="]').first.click()
    sign_in(alice, "138 0013 8000")
    assert alice.url == scanned[0]
    alice.locator('form[action$="/claim"] button').click()
    expect(alice.locator(".medal")).to_contain_text(f"+{PER_CLAIM}")
    check_accessibility(alice)

    # 3. She shares: a link, a QR code and a poster, all of them hers.
    hers = alice.locator("#own-link").input_value()
    alice.locator("[data-qr] summary").click()
    picture = alice.locator("[data-qr] img")
    expect(picture).to_be_visible()
    poster = alice.request.get(
        f"{server.url}{alice.locator('[data-poster]').get_attribute('href')}"
    )
    on_poster = read_back(poster.body())
    assert on_poster.startswith(f"{server.url}/s/")
    on_screen = read_back(picture.screenshot())
    assert on_screen.startswith(f"{server.url}/s/")
    alice.locator("[data-copy]").click()
    expect(alice.locator("[data-said]")).not_to_be_empty()

    # 4. Bob opens her link and never signs in. The address bar is his before he can forward it.
    bob = phone("zh-TW").new_page()
    with bob.expect_response(lambda answer: answer.url.endswith("/seen")) as seen:
        bob.goto(hers)
        forwarded = bob.url
    assert seen.value.status == 204
    assert urlsplit(forwarded).path.startswith("/s/")
    assert forwarded != hers
    expect(bob.locator("html")).to_have_attribute("lang", "zh-Hant")
    check_accessibility(bob)
    bob.goto(f"{server.url}/privacy")
    bob.go_back()
    assert bob.url == forwarded, "coming back keeps his own link"

    # 5. Carol opens the forward, buys a bottle, scans it, and becomes a customer.
    carol = phone("en-SG").new_page()
    carol.goto(forwarded)
    assert carol.url not in (hers, forwarded)
    expect(carol.locator("h1")).to_have_text("Spring together")
    carol.goto(scanned[1])
    carol.locator('a[href*="/sign-in?next="]').first.click()
    sign_in(carol, "carol@example.com")
    carol.locator('form[action$="/claim"] button').click()
    expect(carol.locator(".medal")).to_contain_text(f"+{PER_CLAIM + PER_FRIEND}")
    expect(carol.locator("main")).to_contain_text("brought you here")

    alice.goto(f"{server.url}/me")
    expect(alice.locator(".figure")).to_contain_text(str(PER_CLAIM + PER_FRIEND))
    check_accessibility(alice)
    carol.reload()
    alice.goto(scanned[1])
    expect(alice.locator("body")).to_have_class(re.compile("claimed"))

    # 6. Staff see the tree, the spread with its anonymous hop, three counts, and the ledger.
    office.goto(f"{server.url}/staff/tree")
    office.get_by_role("link", name=re.compile("1")).first.wait_for()
    check_accessibility(office)
    office.locator(".twig [data-branches], .twig button, .twig .opener").first.click()
    expect(office.locator("li li .twig")).to_have_count(1)
    office.goto(f"{server.url}/staff/customers/2")
    expect(office.locator("main")).to_contain_text("Through 1 person who never signed in.")
    expect(office.locator("main")).to_contain_text(f"+{PER_FRIEND}")
    check_accessibility(office)
    office.goto(f"{server.url}/staff/campaigns/spring/spread")
    expect(office.locator("main")).to_contain_text("first sharer")
    office.locator(".twig .opener").first.click()
    expect(office.locator("li li .twig").first).to_contain_text("Anonymous")
    check_accessibility(office)

    key = server.command("api-key", "add", "story").stdout.split()[-1]
    metrics = office.request.get(
        f"{server.url}/api/v1/campaigns/spring/metrics",
        headers={"Authorization": f"Bearer {key}"},
    ).json()
    counted = {name: metrics[name] for name in ("opens", "visitors", "claims", "new_customers")}
    assert counted == {"opens": 3, "visitors": 2, "claims": 2, "new_customers": 2}
    assert metrics["referred_customers"] == 1
    assert metrics["engagements"] >= 1
    assert metrics["shares"] >= 2
    edges = office.request.get(
        f"{server.url}/api/v1/campaigns/spring/spread",
        headers={"Authorization": f"Bearer {key}"},
    ).json()["items"]
    assert sorted(edge["hop"] for edge in edges) == [1, 2]
    assert server.command("ledger", "verify").returncode == 0
