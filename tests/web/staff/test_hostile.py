"""What nobody would type: every page and every form of the console says no, and never breaks."""

import html
import inspect
import re
from dataclasses import dataclass, field
from random import Random
from types import SimpleNamespace
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import pytest
from flask import Flask, url_for
from werkzeug.exceptions import HTTPException
from werkzeug.routing import Rule

from referral import actions, limits
from referral.actions import Said, Wish
from referral.campaigns import Draft
from referral.complaints import Kind
from referral.exports import Asked
from referral.limits import Limit, Spent
from referral.segments import Conditions
from referral.staff import Role, staff_by_email
from referral.web import errors
from referral.web.staff import exports
from tests.readers import Reader
from tests.web.conftest import RULES, Brand
from tests.web.staff.conftest import PASSWORD, sign_in
from tests.web.staff.test_roles import TABLE, routes

SEED, TRIES = 11, 1
"""The same hostility every time; with more tries a route one looks for more."""
VALUES = (
    "",
    " ",
    "0",
    "-1",
    "+1",
    "-0",
    "1.5",
    "1e9",
    "1_000",
    "0x10",
    "1,000,000,000,000",
    "2147483648",
    "9223372036854775807",
    "9223372036854775808",
    "9" * 40,
    "9" * 5000,
    "².³",
    "²",
    "٣",
    "１２",
    "½",
    "NaN",
    "-Infinity",
    "0000-00-00",
    "0001-01-01",
    "2000-01-01",
    "2026-02-30",
    "2026-W10-1",
    "20260302",
    "2199-12-31",
    "9999-12-31",
    "9999-12-31T23:59",
    "2199-12-31T23:59",
    "2026-03-29T02:30",
    "2026-03-02T09:30+14:00",
    "2026-13",
    "0000-01",
    "9999-12",
    "2026-03",
    "'",
    '"><script>alert(1)</script>',
    "</script><script>alert(1)</script>",
    "{{ 7 * 7 }}",
    "%s %(x)s %n %",
    "../../etc/passwd",
    "=1+1",
    "a\0b",
    "\0",
    "\ufeff\u202e\u2066",
    "\ud7ff\ue000\ufffe\U0010ffff",
    "\r\nSet-Cookie: a=b",
    "x" * 300,
    "长" * 5000,
    "👩‍👩‍👧‍👦",
    "[]",
    "{}",
    "[1]",
    "null",
    "true",
    "all",
    "none",
    ",",
    ":",
    ".",
    "~",
    "1:1",
    "1,1",
    "1.1.1",
    "2026-03-02.1",
    "customer:99999999999999999999",
    "AAAA",
    "MTox",
    "eyJhIjoxfQ",
    "points",
    "item:cup",
    "CNY",
    "XXX",
    "en",
    "asc",
)
QUERY = [
    "offset",
    "after",
    "before",
    "sort",
    "order",
    "days",
    "from",
    "to",
    "period",
    "by",
    "unit",
    "month",
    "nodes",
    "limit",
    "root",
    "node",
    "offset_key",
    "state",
    "kind",
    "store",
    "item",
    "product",
    "batch",
    "gtin",
    "page",
    "q",
    "search",
    "start",
    "end",
    "changes",
    "owner",
    "customer",
    "number",
    "next",
    "lang",
    "comments",
    "rule",
    "amount",
    "seeds",
    "segment",
    "audience",
    "who",
    "what",
    "subject",
    "action",
    "index",
    "size",
    "paper",
    "field",
    "each",
    "per",
    "a",
    "b",
    "a_days",
    "b_days",
    "a_from",
    "a_to",
    "b_from",
    "b_to",
    "format",
    "form",
]
"""What pages read of their addresses, beside what links have."""
NUMBERS = ("0", "1", "2", "99", "2147483648", "9223372036854775807", "9223372036854775808")
SLUGS = {"/coupons/": "tea", "/items/": "cup", "/stores/": "east", "/edit": "draft"}


@dataclass
class Form:
    """A form as a page has it, or a link with what it asks for."""

    path: str
    fields: dict[str, str] = field(default_factory=dict)


@dataclass
class Console:
    readers: dict[Role, Reader]
    gets: dict[str, Form]
    """One address of each page, by the name of its route, with all that any link asks of it."""
    posts: dict[str, Form]
    tokens: dict[Role, str]
    """Against forgery, for everybody's forms."""

    def role_for(self, route: str, chance: Random) -> Role:
        """Somebody whom a route lets in; whoever comes when it lets in everybody."""
        allowed = TABLE[route] or {*Role}
        return chance.choice([role for role in Role if role in allowed])


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is made in the background, and nobody is told to come again later."""
    monkeypatch.setattr(exports, "_see_to_it", lambda opened: None)
    nothing = Spent("none", 1, in_redis=False)

    def spend(self: limits.Limits, limit: Limit, subject: str) -> Spent:
        return nothing

    monkeypatch.setattr(limits.Limits, "_spend", spend)


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What went wrong behind each answer that says so."""
    found: list[str] = []

    def error(event: str, **told: object) -> None:
        found.append(f"{told.get('endpoint')}: {told.get('exc_info') or told.get('error')}")

    monkeypatch.setattr(errors, "log", SimpleNamespace(error=error))
    return found


@pytest.fixture
def console(app: Flask, busy_brand: Brand) -> Console:
    """A member of every role, and everything that has a page."""
    d = busy_brand.deployment
    for role in Role:
        store = "east" if role == Role.store_manager else None
        email = f"{role}@brand.example"
        actions.add_staff(d, email=email, password=PASSWORD, role=role, store=store)
    limits_of_east = {"budget_max": 100, "days_max": 30, "running_max": 2}
    templates = [busy_brand.campaign.slug]
    actions.set_store_limits(d, "east", templates=templates, by="tests", **limits_of_east)
    said = Said(Kind.damaged, "</script>The cap was open.", (busy_brand.batch.id, 1))
    actions.complain(d, 1, said, key="press")
    actions.add_campaign(d, Draft(slug="draft", title="Draft", hold_days=0, budget=1, rules=RULES))
    with d.db.read() as tx:
        sam = staff_by_email(tx, f"{Role.support}@brand.example")
    assert sam
    wish = Wish("k" * 16, 1, busy_brand.campaign.id, d.config.credit_limit + 1, "late parcel")
    actions.credit_by_hand(d, wish, member=sam)
    actions.ask_export(d, Asked("claims", exports.Form.csv, {}, ["x"] * 20), member=sam)
    actions.add_segment(d, "Friends", Conditions(purchases_least=1), by="tests")
    readers = {role: sign_in(Reader(app), role, then="/staff/account") for role in Role}
    gets, posts = crawled(app, readers[Role.owner])
    for mine, ones in zip((gets, posts), crawled(app, readers[Role.store_manager]), strict=True):
        mine.update({name: form for name, form in ones.items() if name not in mine})
    for rule in routes(app):
        kind = posts if "POST" in (rule.methods or ()) else gets
        kind.setdefault(rule.endpoint.removeprefix("staff."), unlinked(app, rule, busy_brand))
    for reader in readers.values():
        reader.get("/staff/account")
    tokens = {role: reader.form_token() for role, reader in readers.items()}
    return Console(readers, gets, posts, tokens)


def crawled(app: Flask, reader: Reader) -> tuple[dict[str, Form], dict[str, Form]]:
    """Follow every link of the console, once for each route, and read every form."""
    gets: dict[str, Form] = {}
    posts: dict[str, Form] = {}
    addresses = app.url_map.bind("localhost")

    def keep(kind: dict[str, Form], method: str, address: str, fields: dict[str, str]) -> bool:
        parts = urlsplit(html.unescape(address))
        try:
            endpoint = addresses.match(parts.path, method)[0].removeprefix("staff.")
        except HTTPException:
            return False
        is_new = endpoint not in kind
        form = kind.setdefault(endpoint, Form(parts.path))
        form.fields |= {**dict(parse_qsl(parts.query, keep_blank_values=True)), **fields}
        return is_new

    waiting = ["/staff/", "/staff/store"]
    for path in waiting:
        reader.get(path)
        for address in re.findall(r'(?:href|hx-get)="(/staff[^"]*)"', reader.page):
            if keep(gets, "GET", address, {}):
                waiting.append(html.unescape(address))  # noqa: PERF401 - it is being walked
        for head, body in re.findall(r"<form([^>]*)>(.*?)</form>", reader.page, re.DOTALL):
            action = re.search(r'action="([^"]+)"', head)
            address = action[1] if action else path
            is_post = 'method="post"' in head
            keep(*((posts, "POST") if is_post else (gets, "GET")), address, fields_of(body))
    return gets, posts


def unlinked(app: Flask, rule: Rule, brand: Brand) -> Form:
    """An address of a route that no link led to, with whatever its module reads of a form."""
    name = rule.endpoint.removeprefix("staff.")
    slug = next((slug for part, slug in SLUGS.items() if part in rule.rule), brand.campaign.slug)
    known = {"slug": slug, "gtin": brand.product.gtin, "lang": "en", "form": "csv"}
    arguments = {
        each: 1 if type(of).__name__.startswith("Integer") else known.get(each, "x")
        for each, of in rule._converters.items()
    }
    with app.test_request_context():
        path = url_for(rule.endpoint, **arguments)
    module = inspect.getmodule(inspect.unwrap(app.view_functions[rule.endpoint]))
    assert module, name
    read = re.findall(r'(?:form|asked|args|values)\.\w+\(\s*"(\w+)"', inspect.getsource(module))
    return Form(path, dict.fromkeys(read, ""))


def fields_of(form: str) -> dict[str, str]:
    """The fields of a form with what they hold; of a choice the last one."""
    found = dict.fromkeys(re.findall(r'name="([^"]+)"', form), "")
    for tag in re.findall(r"<(?:input|button)[^>]*>", form):
        name, value = (re.search(rf'\b{what}="([^"]*)"', tag) for what in ("name", "value"))
        if name and value:
            found[name[1]] = html.unescape(value[1])
    for name, options in re.findall(r'<select[^>]*name="([^"]+)".*?>(.*?)</select>', form, re.S):
        values = re.findall(r'<option[^>]*value="([^"]+)"', options)
        found[name] = html.unescape(values[-1]) if values else ""
    found.pop("csrf_token", None)
    return found


def hostile(chance: Random, told: str) -> str:
    """Something else than what a field or a link holds."""
    if told and chance.random() < 0.3:  # cut, repeated or with one letter changed
        at = chance.randrange(len(told))
        other = told[:at] + chance.choice("0Az=~-") + told[at + 1 :]
        return chance.choice((told[:at], told * 2, other))
    return chance.choice(VALUES)


def spoilt(chance: Random, fields: dict[str, str]) -> dict[str, str]:
    """The fields with one, some or all of them as nobody would fill them in."""
    names = list(fields)
    count = chance.choice((1, 1, 2, 3, len(names))) if names else 0
    bad = chance.sample(names, min(count, len(names)))
    return {name: hostile(chance, fields[name]) if name in bad else fields[name] for name in names}


def elsewhere(rule: Rule, chance: Random) -> list[str]:
    """Addresses of a route with numbers and names that nobody has."""
    found = []
    if rule.arguments:
        found.append(at(rule, chance.choice(NUMBERS), chance.choice(VALUES)[:300] or "x"))
    if re.search("<[a-z]+>", rule.rule):  # no text that PostgreSQL stores has this letter
        found.append(at(rule, "1", "a\0b"))
    return found


def at(rule: Rule, number: str, text: str) -> str:
    def filled(argument: re.Match[str]) -> str:
        return quote(number if argument[0].startswith("<int") else text, safe="")

    return re.sub(r"<[^>]+>", filled, rule.rule)


def test_nothing_that_is_asked_or_sent_breaks_a_page(
    app: Flask, console: Console, broken: list[str]
) -> None:
    chance = Random(SEED)
    told: list[str] = []
    for rule in routes(app):
        name = rule.endpoint.removeprefix("staff.")
        if name in {"sign_out", "end_own_sessions"}:
            continue
        is_post = "POST" in (rule.methods or ())
        form = (console.posts if is_post else console.gets)[name]
        paths = [form.path] * TRIES + elsewhere(rule, chance)
        for path in paths:
            role = console.role_for(name, chance)
            reader = console.readers[role]
            if is_post:
                sent = spoilt(chance, form.fields)
                answer = reader.post(path, {**sent, "csrf_token": console.tokens[role]})
            else:
                asked = dict.fromkeys(chance.sample(QUERY, 4), "")
                sent = spoilt(chance, {**form.fields, **asked})
                answer = reader.get(f"{path}?{urlencode(sent)}")
            if broken or answer.status_code >= 500:
                told.append(f"{answer.status_code} for {role} at {path[:99]}: {broken}\n{sent}")
                broken.clear()
    assert not told, "\n".join(told)
