"""The pictures of the tree and of the spread in a real browser, of trees as campaigns make them."""

import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import ConsoleMessage, Page, Route, expect

from tests import heavy_trees
from tests.accessibility import violations
from tests.conftest import Contexts
from tests.web.conftest import Brand
from tests.web.staff.test_browser import sign_in

pytestmark = [
    pytest.mark.browser,
    # What a picture looks like does not depend on the database.
    pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),
]
TREE = "customers/1/tree/picture"
SPREAD = "campaigns/spring/spread/picture"
PICTURE = "document.querySelector('[data-tree-picture]').picture"
PLACE = f"""id => {{
    const {{ tree, view }} = {PICTURE};
    const node = id === 'rest' ? tree.columns.flat().find((one) => one.rest) : tree.people.get(id);
    return [view.xOf(node.column), view.yOfNode(node)];
}}"""
Rows = list[list[Any]]
Show = Callable[..., Page]


@pytest.fixture
def show(spread_brand: Brand, olga: None, site: str, desktop: Contexts) -> Show:
    """`page = show(rows)`: a picture of these rows, drawn."""

    def drawn(rows: Rows, path: str = TREE, contexts: Contexts = desktop, **options: Any) -> Page:
        page = contexts(options.pop("locale", "en-GB"), **options).new_page()
        page.on("console", _refuse_errors)
        sign_in(page, site)
        answer_with(page, rows)
        open_picture(page, f"{site}/staff/{path}")
        return page

    return drawn


def _refuse_errors(message: ConsoleMessage) -> None:
    # The tests alone read pixels.
    if "willReadFrequently" not in message.text:
        assert message.type not in {"error", "warning"}, message.text


def answer_with(page: Page, rows: Rows) -> None:
    body = {"unit": "CNY", "root": 1, "path": [[1, "Alice"]], "people": len(rows), "nodes": rows}
    page.unroute_all()
    page.route("**/picture.json*", lambda route: route.fulfill(json=body))


def open_picture(page: Page, url: str) -> None:
    page.goto(url)
    page.wait_for_function(f"() => {PICTURE}?.drawn > 0")
    canvas(page).scroll_into_view_if_needed()


def canvas(page: Page) -> Any:
    return page.get_by_role("application")


def card(page: Page) -> Any:
    return page.locator("[data-card]")


def press(page: Page, who: int | str) -> None:
    x, y = page.evaluate(PLACE, who)
    canvas(page).click(position={"x": x, "y": y})


def row_height(page: Page) -> float:
    return float(page.evaluate(f"{PICTURE}.view.row"))


def drawn(page: Page) -> int:
    """How many people the last frame drew, once all moving has come to rest."""
    page.wait_for_function(f"() => !{PICTURE}.frame")
    return int(page.evaluate(f"{PICTURE}.drawn"))


def pixel(page: Page, who: int | str) -> list[int]:
    """The colour in the middle of somebody's dot."""
    x, y = page.evaluate(PLACE, who)
    script = f"""([x, y]) => {{
        const {{ canvas, drawing }} = {PICTURE};
        const at = [x, y].map((one) => Math.round(one * drawing.ratio));
        return [...canvas.getContext('2d').getImageData(...at, 1, 1).data];
    }}"""
    return [int(part) for part in page.evaluate(script, [x, y])]


def settled(page: Page) -> None:
    """Wait until all moving has come to rest."""
    page.wait_for_function(f"() => !{PICTURE}.moving && !{PICTURE}.frame")


def next_frames(page: Page) -> None:
    """Let a moment pass in which whatever still ran would go on."""
    page.evaluate("""async () => {
        for (let n = 0; n < 5; n++) await new Promise(requestAnimationFrame);
    }""")


def test_a_tree_is_drawn_comes_nearer_and_is_moved(show: Show) -> None:
    page = show(heavy_trees.customers(100))
    expect(canvas(page)).to_have_accessible_name(re.compile("Picture of the referral tree"))
    assert drawn(page) == 100
    assert pixel(page, 1)[3] == 255, "a dot where the first stands"
    whole = row_height(page)

    box = canvas(page).bounding_box()
    page.mouse.move(box["x"] + 300, box["y"] + 200)
    page.mouse.wheel(0, -400)
    page.wait_for_function(f"() => {PICTURE}.view.row > {whole}")
    assert drawn(page) < 100, "who is out of sight is not drawn"
    top = page.evaluate(f"{PICTURE}.view.top")
    page.mouse.down()
    page.mouse.move(box["x"] + 300, box["y"] + 120, steps=4)
    page.mouse.up()
    assert page.evaluate(f"{PICTURE}.view.top") > top
    expect(card(page)).to_be_hidden()

    page.get_by_role("button", name="Show all").click()
    settled(page)
    assert row_height(page) == pytest.approx(whole)
    page.get_by_role("button", name="Zoom in").click()
    settled(page)
    assert row_height(page) > whole
    page.set_viewport_size({"width": 900, "height": 700})
    page.wait_for_function(
        f"() => {PICTURE}.canvas.width === Math.round({PICTURE}.canvas.clientWidth)"
    )


def test_a_screen_with_finer_pixels_gets_them(show: Show) -> None:
    page = show(heavy_trees.customers(100), device_scale_factor=3)
    assert page.evaluate(f"{PICTURE}.canvas.width === 3 * {PICTURE}.canvas.clientWidth")
    assert pixel(page, 1)[3] == 255


def test_somebody_is_found_by_name_with_numbers_and_page(show: Show, site: str) -> None:
    rows = heavy_trees.customers(2_000)
    rows[900][2] = "Ｇｒａｃｅ Hopper"
    rows[400][2] = "grace kelly"
    page = show(rows)
    page.get_by_label("Find somebody in the picture").fill("GRACE")
    expect(page.get_by_text("2 found")).to_be_visible()
    page.keyboard.press("Enter")
    expect(card(page).locator("b")).to_have_text("grace kelly")
    page.keyboard.press("Enter")
    expect(card(page).locator("b")).to_have_text("Ｇｒａｃｅ Hopper")
    expect(page.get_by_text("2 of 2")).to_be_visible()
    settled(page)
    x, y = page.evaluate(PLACE, rows[900][0])
    box = canvas(page).bounding_box()
    assert 0 < x < box["width"]
    assert 0 < y < box["height"]
    assert row_height(page) > 19.9, "near enough to be read"
    money = f"Spent by them CN¥{rows[900][8] / 100:,.2f}".removesuffix(".00")
    assert money in " ".join(card(page).inner_text().split())
    link = card(page).get_by_role("link", name="Open the page")
    assert link.get_attribute("href") == f"/staff/customers/{rows[900][0]}"
    assert violations(page) == []

    page.get_by_label("Find somebody in the picture").fill("nobody at all")
    expect(page.get_by_text("Nobody in the picture has that name.")).to_be_visible()
    page.keyboard.press("Escape")
    expect(canvas(page)).to_be_focused()


def test_a_branch_opens_closes_and_brings_who_was_missing(show: Show) -> None:
    at = heavy_trees.BEGAN
    rows: Rows = [
        [1, None, "Alice", at, 4, 6, 3, 2, 900],
        [2, 1, "Bob", at + 60, 2, 2, 1, 1, 500],
        [3, 1, None, at + 90, 0, 0, 0, 0, 0],
    ]
    page = show(rows)
    pages = {
        None: {"nodes": [rows[1], rows[2]], "next": "k1"},
        "k1": {"nodes": [[4, 1, "Dan", None, 0, 0, 0, 0, 0]], "next": None},
    }
    asked: list[str] = []

    def answer(route: Route) -> None:
        asked.append(route.request.url)
        key = parse_qs(urlsplit(route.request.url).query).get("offset_key", [None])[0]
        route.fulfill(json=pages[key])

    page.route("**/customers/1/tree/branch.json*", answer)
    below_bob = {
        "nodes": [[5, 2, "Eve", at, 0, 0, 0, 0, 0], [6, 2, "Fay", at, 0, 0, 0, 0, 0]],
        "next": None,
    }
    page.route("**/customers/2/tree/branch.json*", lambda route: route.fulfill(json=below_bob))

    assert drawn(page) == 4, "three people, and a row for those who are missing"
    press(page, "rest")
    expect(page.get_by_role("status").filter(has_text="Branch of Alice opened")).to_have_count(1)
    assert len(asked) == 2, "the first page had nobody new"
    assert drawn(page) == 4, "one came, and one who was counted is not to be had"
    press(page, 3)
    expect(card(page).locator("b")).to_have_text("Customer 3")

    press(page, 2)
    card(page).get_by_role("button", name="Open the branch").click()
    expect(card(page).get_by_role("button", name="Close the branch")).to_be_visible()
    assert drawn(page) == 6
    card(page).get_by_role("button", name="Close the branch").click()
    expect(card(page).get_by_role("button", name="Open the branch")).to_be_visible()
    assert drawn(page) == 4
    card(page).get_by_role("button", name="Close the card").click()
    expect(card(page)).to_be_hidden()


def test_the_slider_shows_who_was_there(show: Show) -> None:
    page = show(heavy_trees.customers(100))
    slider = page.get_by_label("Until when")
    slider.fill("500")
    expect(page.get_by_text(re.compile("50 of 100 in the picture"))).to_be_visible()
    assert drawn(page) == 50
    assert "50 of 100" in str(slider.get_attribute("aria-valuetext"))
    page.get_by_label("Find somebody in the picture").fill("100")
    page.keyboard.press("Enter")
    expect(page.get_by_text("100 of 100 in the picture")).to_be_visible()
    page.get_by_role("button", name="Play").click()
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    page.wait_for_function(
        f"() => {PICTURE}.time !== null && {PICTURE}.tree.countAt({PICTURE}.time) > 3"
    )
    page.get_by_role("button", name="Pause").click()
    stopped = slider.input_value()
    next_frames(page)
    assert slider.input_value() == stopped


def test_who_wants_no_motion_gets_none(show: Show) -> None:
    page = show(heavy_trees.customers(100), reduced_motion="reduce")
    whole = row_height(page)
    page.get_by_role("button", name="Zoom in").click()
    page.wait_for_function(f"() => !{PICTURE}.frame")
    assert row_height(page) == pytest.approx(1.6 * whole), "at once"
    page.get_by_role("button", name="Play").click()
    slider = page.get_by_label("Until when")
    expect(slider).to_have_value("100")
    next_frames(page)
    expect(slider).to_have_value("100")


def test_the_keys_go_along_the_tree(show: Show) -> None:
    at = heavy_trees.BEGAN
    rows: Rows = [
        [1, None, "Alice", at, 2, 3, 3, 2, 900],
        [2, 1, "Bob", at + 60, 1, 1, 1, 1, 500],
        [3, 1, "Cleo", at + 90, 0, 0, 0, 0, 0],
        [4, 2, "Dan", at + 90, 0, 0, 0, 0, 0],
    ]
    page = show(rows)
    told = page.locator("[data-said]")
    canvas(page).focus()
    for key, name in {
        "Enter": "Alice",
        "ArrowRight": "Bob",
        "ArrowDown": "Cleo",
        "ArrowUp": "Bob",
    }.items():
        page.keyboard.press(key)
        expect(told).to_contain_text(f"{name}, ")
    page.keyboard.press("Enter")
    assert drawn(page) == 3, "Bob's branch is closed"
    page.keyboard.press("ArrowRight")
    assert drawn(page) == 4
    page.keyboard.press("ArrowRight")
    expect(told).to_contain_text("Dan, hop 2")
    page.keyboard.press("ArrowLeft")
    expect(told).to_contain_text("Bob, hop 1, Friends 1, Below in all 1")
    page.keyboard.press("Escape")
    expect(card(page)).to_be_hidden()
    before = row_height(page)
    page.keyboard.press("+")
    settled(page)
    assert row_height(page) > before
    page.keyboard.press("0")
    settled(page)
    assert row_height(page) == before
    page.keyboard.press("/")
    expect(page.get_by_label("Find somebody in the picture")).to_be_focused()


def test_colours_say_value_hop_or_date_and_the_legend_how(show: Show) -> None:
    page = show(heavy_trees.customers(100))
    legend = page.get_by_label("What the colours mean")
    by_value = pixel(page, 1)
    expect(legend).to_contain_text("≤ CN¥50")
    page.get_by_role("combobox").select_option("hop")
    expect(legend.get_by_role("listitem")).to_have_text(
        ["start", "hop 1", "hop 2", "hop 3", "hop 4 +"]
    )
    drawn(page)
    assert pixel(page, 1) != by_value
    assert pixel(page, 1) == swatch(page, 1)
    page.get_by_role("combobox").select_option("date")
    expect(legend).to_contain_text("2026")
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(f"() => {PICTURE}.colours.ramp[1] === '#7d70d0'")
    drawn(page)
    assert pixel(page, 1) == swatch(page, 1)
    assert violations(page) == []


def swatch(page: Page, number: int) -> list[int]:
    colour = page.locator(f".ramp-{number}").evaluate(
        "one => getComputedStyle(one).backgroundColor"
    )
    return [*(int(part) for part in re.findall(r"\d+", colour)), 255]


def test_on_paper_a_dark_page_has_light_colours(show: Show) -> None:
    page = show(heavy_trees.customers(100), color_scheme="dark")
    dark = pixel(page, 1)
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert pixel(page, 1) == [0x17, 0x6A, 0x8C, 255]
    page.emulate_media(media="print")
    expect(page.get_by_role("button", name="Play")).to_be_hidden()
    page.emulate_media(media="screen")
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert pixel(page, 1) == dark


def test_classes_of_people_do_not_overlap(show: Show) -> None:
    at, below = heavy_trees.BEGAN, (1, 1, 2, 2, 4, 4, 9, 9, 30, 30)
    rows: Rows = [
        [f"v{place}", None, "Alice", at, 1, 1, count, 0, 0] for place, count in enumerate(below)
    ]
    legend = show(rows, SPREAD).get_by_label("What the colours mean")
    expect(legend.get_by_role("listitem")).to_have_text(
        ["none", "1 – 2", "3 – 5", "6 – 10", "11 – 50"]
    )


def test_the_spread_has_hollow_hops_and_several_first_sharers(show: Show) -> None:
    at = heavy_trees.BEGAN
    rows: Rows = [
        ["a", None, "Alice", at, 2, 2, 1, 1, 0],
        ["d", None, "Dan", at, 0, 0, 0, 0, 0],
        ["b", "a", None, at + 60, 0, 0, 0, 0, 1],
        ["c", "a", "Cleo", at + 90, 0, 0, 0, 0, 1],
    ]
    page = show(rows, SPREAD, color_scheme="light")
    assert drawn(page) == 5, "four, and the campaign they hang from"
    assert pixel(page, "b") == [255, 255, 255, 255], "hollow"
    assert pixel(page, "c") != [255, 255, 255, 255]
    press(page, "b")
    expect(card(page).locator("b")).to_have_text("Anonymous")
    expect(card(page)).to_contain_text("hop 1")
    link = card(page).get_by_role("link", name="Open the page")
    assert link.get_attribute("href") == "/staff/campaigns/spring/spread/b"
    expect(page.get_by_text("anonymous: never signed in").first).to_be_visible()


@pytest.mark.parametrize("path", [TREE, SPREAD])
def test_on_a_phone_it_fits_and_answers_a_finger(
    show: Show, phone: Contexts, site: str, path: str
) -> None:
    rows = heavy_trees.customers(40) if path == TREE else heavy_trees.visitors(40)
    page = show(rows, path, phone, locale="en-GB", color_scheme="dark")
    open_picture(page, f"{site}/staff/{path}?lang=zh-Hans")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    first = rows[0][0]
    x, y = page.evaluate(PLACE, first)
    canvas(page).tap(position={"x": x + 4, "y": y + 10})
    expect(card(page).locator("b")).to_have_text(rows[0][2])
    assert card(page).bounding_box()["width"] <= 390
    assert violations(page) == []


def test_ten_thousand_are_drawn_as_what_is_seen_of_them(show: Show) -> None:
    page = show(heavy_trees.customers(10_000))
    columns, height = page.evaluate(
        f"[{PICTURE}.tree.columns.length, {PICTURE}.canvas.clientHeight]"
    )
    assert 200 < drawn(page) < columns * height / 2
    assert page.locator("[data-tree-picture] *").count() < 80, "nobody is an element"


def test_the_list_is_there_when_the_picture_is_not(
    spread_brand: Brand, olga: None, site: str, desktop: Contexts
) -> None:
    context = desktop("en-GB")
    page = context.new_page()
    sign_in(page, site)
    page.route("**/picture.json*", lambda route: route.fulfill(status=500, body=json.dumps({})))
    page.goto(f"{site}/staff/{TREE}")
    expect(page.get_by_role("status").or_(page.locator("[data-failed]")).last).to_be_attached()
    expect(page.get_by_text("This could not be loaded.")).to_be_visible()
    expect(canvas(page)).to_be_hidden()
    expect(page.locator(".tree").get_by_role("link", name="Customer 2")).to_be_visible()

    page.unroute_all()
    page.route("**/built/tree.js*", lambda route: route.fulfill(status=404))
    page.goto(f"{site}/staff/{TREE}")
    expect(page.locator(".tree").get_by_role("link", name="Customer 2")).to_be_visible()
    expect(page.locator("[data-tree-picture]")).to_be_hidden()
    page.get_by_role("link", name="As a list").click()
    expect(page.locator(".tree").get_by_role("link", name="Customer 2")).to_be_visible()


def test_signed_out_in_the_meantime_asks_for_a_sign_in(show: Show, site: str) -> None:
    page = show(heavy_trees.customers(3))
    page.unroute_all()

    def sign_out(route: Route) -> None:
        page.context.clear_cookies(name="referral_staff")
        route.continue_(headers={**route.request.headers, "cookie": ""})

    page.route("**/picture.json*", sign_out)
    page.goto(f"{site}/staff/{TREE}")
    expect(page.get_by_role("heading", level=1)).to_have_text("Staff sign-in")


def test_what_the_service_sends_is_drawn(
    spread_brand: Brand, olga: None, site: str, desktop: Contexts
) -> None:
    page = desktop("en-GB").new_page()
    page.on("console", _refuse_errors)
    sign_in(page, site)
    for path, people in ((TREE, 2), (SPREAD, 3)):
        open_picture(page, f"{site}/staff/{path}")
        assert drawn(page) == people, path
        first = page.evaluate(f"{PICTURE}.tree.root.id")
        press(page, first)
        expect(card(page).locator("b")).to_have_text("Alice")
    card(page).get_by_role("link", name="Open the page").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Alice")
