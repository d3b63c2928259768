"""No page of the console is left out where every page is looked at in a browser."""

from itertools import chain

from flask import Flask

from tests.web.staff.pages import NO_PAGES, OF_A_STORE, PAGES, WAY_IN

LISTED = (*chain(*PAGES.values()), *OF_A_STORE, *WAY_IN)


def readable(app: Flask) -> set[str]:
    """The routes of the console that a browser can go to, by name."""
    return {
        rule.endpoint.removeprefix("staff.")
        for rule in app.url_map.iter_rules()
        if rule.endpoint.startswith("staff.") and "GET" in (rule.methods or ())
    }


def test_every_page_is_in_the_lists_that_a_browser_goes_through(app: Flask) -> None:
    addresses = app.url_map.bind("localhost")
    found = {addresses.match(f"/staff/{path.partition('?')[0]}")[0] for path in LISTED}
    pages = {endpoint.removeprefix("staff.") for endpoint in found}
    assert pages | set(NO_PAGES) == readable(app), "list the new page in tests/web/staff/pages.py"
    assert not pages & set(NO_PAGES)


def test_no_address_is_looked_at_twice() -> None:
    everywhere = list(chain(*PAGES.values()))
    assert len(everywhere) == len(set(everywhere))
