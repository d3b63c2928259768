"""A member of the staff at a desk: a real browser in one language, and the words it should show."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from babel.support import Translations
from playwright.sync_api import Locator, Page, expect

import referral
from referral import actions
from referral.deployment import Deployment
from referral.staff import Role
from tests.web.staff.conftest import PASSWORD

LANGUAGES = {"zh-CN": "zh-Hans", "en-GB": "en"}
"""What a browser asks for, and what it gets."""
CATALOGUES = Path(referral.__file__).parent / "translations"
STORE = "east"
"""The store that a store manager runs."""


@cache
def _catalogue(locale: str) -> Any:
    return Translations.load(CATALOGUES, [LANGUAGES[locale].replace("-", "_")])


@dataclass(frozen=True)
class Words:
    """What the pages say to a browser that asks for `locale`."""

    locale: str

    def __call__(self, message: str, **values: object) -> str:
        """A message of the catalogue. One that is not translated fails the test."""
        said = str(_catalogue(self.locale).gettext(message))
        assert self.locale == "en-GB" or said != message, f"“{message}” is not translated"
        return said % values if values else said

    def of(self, texts: Mapping[str, str]) -> str:
        """The one of these that is in the language."""
        return texts[self.locale]


def member(deployment: Deployment, role: Role) -> str:
    """Add a member; the address to sign in with."""
    store = STORE if role is Role.store_manager else None
    address = f"{role}@brand.example"
    actions.add_staff(deployment, email=address, password=PASSWORD, role=role, store=store)
    return address


def sign_in(page: Page, url: str, address: str) -> None:
    page.goto(f"{url}/staff/sign-in")
    page.locator("[name=email]").fill(address)
    page.locator("[name=password]").fill(PASSWORD)
    page.locator("main button[type=submit]").first.click()
    page.wait_for_url(lambda there: "sign-in" not in there)


def menu_of(page: Page) -> list[str]:
    return [link.get_attribute("href") or "" for link in page.locator(".menu a").all()]


@dataclass(frozen=True)
class Desk:
    """What a member does on the pages, and sees there."""

    page: Page
    site: str
    says: Words

    def open(self, path: str, status: int = 200) -> None:
        answer = self.page.goto(f"{self.site}{path}")
        assert answer, path
        assert answer.status == status, path
        expect(self.page.locator("html")).to_have_attribute("lang", LANGUAGES[self.says.locale])

    def follow(self, path: str) -> None:
        """Click a link of the page, and wait for where it leads."""
        self.page.locator(f'a[href="{path}"]:visible').first.click()
        self.page.wait_for_url(f"{self.site}{path}")

    def fill(self, **fields: str) -> None:
        """Type into fields of the page, by their names."""
        for name, value in fields.items():
            self.page.locator(f"main [name={name}]").fill(value)

    def choose(self, **fields: str) -> None:
        for name, value in fields.items():
            self.page.locator(f"main select[name={name}]").select_option(value)

    def send(self, action: str) -> None:
        """Send the form that goes to an address, by its button."""
        self.form(action).locator("button[type=submit]:visible").first.click()

    def form(self, action: str) -> Locator:
        return self.page.locator(f'main form[action="{action}"]')

    def link(self, path: str) -> Locator:
        return self.page.locator(f'main a[href="{path}"]')

    def is_headed(self, text: str) -> None:
        expect(self.page.locator("h1")).to_have_text(text)

    def is_told(self, message: str, **values: object) -> None:
        """The notice on top of the page that something is done."""
        notice = self.page.locator("main > .notice[role=status]")
        expect(notice).to_have_text(self.says(message, **values))

    def forge(self, path: str, **fields: str) -> None:
        """Send what no page of this member's has a form for, with the token that the pages have."""
        with self.page.expect_navigation():
            self.page.evaluate(
                """([path, fields]) => {
                  const form = document.createElement("form");
                  form.method = "post";
                  form.action = path;
                  const token = document.querySelector("[name=csrf_token]").value;
                  for (const [name, value] of Object.entries({...fields, csrf_token: token})) {
                    const input = document.createElement("input");
                    Object.assign(input, { type: "hidden", name, value });
                    form.append(input);
                  }
                  document.body.append(form);
                  form.submit();
                }""",
                [path, fields],
            )

    def is_refused(self) -> None:
        """The page says kindly that the role does not allow it, and leads back."""
        self.is_headed(self.says("Your role does not allow this."))
        expect(self.page.locator(".advice")).to_have_text(
            self.says("Please ask an owner of the account.")
        )
        expect(self.link("/staff/")).to_have_text(self.says("To the overview"))
