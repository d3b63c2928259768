"""Every figure that the console, the API and the commands read, and every page that shows some.

They are asked about whoever and whatever is largest: the first campaign and its first batch, the
person whose link went furthest, the customer who brought in most.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from http.client import HTTPConnection
from os import sysconf
from pathlib import Path
from re import search
from statistics import median
from time import perf_counter, process_time
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.orm import Session

from bench.large_fill import PASSWORD, STAFF
from bench.measure import Row
from referral import ledger, packages
from referral.campaigns import Campaign, campaign_by_slug
from referral.catalog import Product
from referral.deployment import Deployment
from referral.errors import Unavailable
from referral.intake import parked
from referral.links import visitor_name
from referral.reports import (
    activity,
    alarms,
    batches,
    campaigns,
    cases,
    coupons,
    customers,
    dead_links,
    entries,
    flags,
    forecasts,
    funnel,
    items,
    lists,
    periods,
    products,
    reach,
    results,
    risk_health,
    spread_figures,
    stores,
    trees,
    wallet,
)
from referral.reports import merging as same
from referral.reports import orders as order_lists
from referral.reports import vouchers as voucher_lists
from referral.reports.funnel import Span
from referral.rollups.day_parts import Part
from referral.spread import counters

MILLISECONDS_ASKED = 50
_DAYS = timedelta(days=1)

Figure = Callable[[Session], Any]


@dataclass(frozen=True)
class Largest:
    """Whom and what the figures are asked about."""

    campaign: Campaign
    product: Product
    batch: int
    sharer: int
    referrer: int
    now: datetime


def largest(d: Deployment) -> Largest:
    with d.db.read() as tx:
        campaign = campaign_by_slug(tx, "c0")
        return Largest(
            campaign,
            tx.scalars(sa.select(Product).order_by(Product.id).limit(1)).one(),
            1,
            counters.tops(tx, campaign.id, limit=1)[0],
            counters.tops(tx, counters.TREE, limit=1)[0],
            d.clock.now(),
        )


def figures(d: Deployment, top: Largest) -> dict[str, Figure]:
    """By what each is called in the table."""
    campaign, batch, now, keys = top.campaign, top.batch, top.now, d.keys
    zone = ZoneInfo(d.config.timezone)
    today = now.astimezone(zone).date()
    span = Span(today - 89 * _DAYS, today, zone)
    month = periods.between(now - 29 * _DAYS, now, zone)
    quarter = periods.between(now - 89 * _DAYS, now, zone)
    year = periods.between(now - 360 * _DAYS, now, zone)
    return {
        "a campaign's figures": lambda tx: campaigns.metrics(tx, campaign),
        "a campaign's funnel of 90 days": lambda tx: funnel.funnel(tx, campaign.id, span),
        "a campaign's funnel by channel": lambda tx: funnel.by_part(
            tx, campaign.id, span, Part.channel
        ),
        "a campaign's funnel by region": lambda tx: funnel.by_part(
            tx, campaign.id, span, Part.region
        ),
        "a campaign's results of 90 days": lambda tx: results.results(tx, campaign, span),
        "a campaign's spread": lambda tx: spread_figures.figures(tx, campaign, now),
        "a campaign's budget": lambda tx: ledger.balances(tx, ledger.Kind.budget, campaign.id),
        "a campaign's orders": lambda tx: order_lists.totals(tx, campaign.id),
        "a campaign's ledger": lambda tx: entries.of_budget(tx, campaign.id),
        "a page of a campaign's edges": lambda tx: campaigns.spread(
            tx, campaign.id, after=None, limit=100
        ),
        "the list of campaigns": lists.campaigns,
        "the list of products": lists.products,
        "the list of batches": batches.lines,
        "the list of stores": stores.lines,
        "the list of orders": order_lists.listed,
        "the list of coupons": lambda tx: coupons.lines(tx, now),
        "the list of items": items.lines,
        "the list of vouchers": voucher_lists.all_of,
        "the latest claims": lambda tx: lists.latest_claims(tx, 8),
        "how far setting up is": lists.progress,
        "a product's use": lambda tx: products.usage(tx, top.product),
        "a batch's totals": lambda tx: activity.totals(tx, batch),
        "a batch's 30 days": lambda tx: activity.over_time(tx, [batch], month),
        "a batch's 90 days": lambda tx: activity.over_time(tx, [batch], quarter),
        "a batch's year": lambda tx: activity.over_time(tx, [batch], year),
        "a batch's regions in 30 days": lambda tx: activity.by_region(tx, [batch], month),
        "a batch's regions in a year": lambda tx: activity.by_region(tx, [batch], year),
        "a batch's ranges and changes": lambda tx: (
            batches.spans(tx, batch),
            batches.changes(tx, batch),
            batches.lots(tx, batch),
            packages.packages_of(tx, [batch]),
        ),
        "a batch's flags": lambda tx: (
            flags.counts(tx, batches=[batch]),
            flags.flagged(tx, batch_id=batch),
        ),
        "the latest flags": flags.flagged,
        "flags of seven days": lambda tx: flags.counts(tx, since=now - 7 * _DAYS),
        "alarms": lambda tx: alarms.current(tx, now),
        "dead links of seven days": lambda tx: dead_links.counts(tx, since=now - 7 * _DAYS),
        "the first sharers": lambda tx: trees.spread_children(tx, campaign.id, None),
        "below a sharer": lambda tx: trees.spread_children(tx, campaign.id, top.sharer),
        "a sharer's counters": lambda tx: trees.spread_of(tx, campaign.id, [top.sharer]),
        "who brought in most": lambda tx: trees.roots(tx, keys),
        "a referrer's tree, two levels": lambda tx: trees.branch(
            tx, keys, top.referrer, depth=2, limit=20
        ),
        "a referrer's friends": lambda tx: wallet.friends_of(tx, keys, top.referrer),
        "how far a customer's links went": lambda tx: reach.reach_of(tx, top.referrer),
        "a customer in the API": lambda tx: customers.profile(tx, keys, top.referrer),
        "a customer's rewards and ledger": lambda tx: entries.of_rewards(
            tx, wallet.rewards_of(tx, top.referrer)
        ),
        "two customers side by side": lambda tx: same.preview(
            tx, keys, top.referrer, top.referrer + 1
        ),
        "rates of a campaign": lambda tx: forecasts.measured(tx, now, campaign=campaign),
        "rates of all campaigns": lambda tx: forecasts.measured(tx, now),
        "open cases": lambda tx: cases.cases(tx, cases.Case.open),
        "cases by state": cases.counts,
        "decisions of a day": lambda tx: risk_health.decisions(tx, now - _DAYS),
        "whether risk rules are alive": lambda tx: risk_health.health(tx, keys),
        "parked events": parked.count_waiting,
    }


def pages(top: Largest) -> dict[str, str]:
    """The console's pages by their titles."""
    campaign, sharer = f"/staff/campaigns/{top.campaign.slug}", visitor_name(top.sharer)
    return {
        "first page": "/staff/",
        "campaigns": "/staff/campaigns",
        "campaign": campaign,
        "campaign's ledger": f"{campaign}/ledger",
        "campaign's spread": f"{campaign}/spread",
        "sharer": f"{campaign}/spread/{sharer}",
        "sharer's branches": f"{campaign}/spread/{sharer}/branches",
        "forecast": f"{campaign}/forecast?from=all",
        "products": "/staff/products",
        "product": f"/staff/products/{top.product.gtin}",
        "batches": "/staff/batches",
        "batch": f"/staff/batches/{top.batch}",
        "batch, whole life": f"/staff/batches/{top.batch}?period=all",
        "stores": "/staff/stores",
        "flags": "/staff/flags",
        "flags of a batch": f"/staff/flags?batch={top.batch}",
        "referral tree": "/staff/tree",
        "referrer in the tree": f"/staff/tree/{top.referrer}",
        "referrer's branches": f"/staff/tree/{top.referrer}/branches",
        "customer": f"/staff/customers/{top.referrer}",
        "orders": "/staff/orders",
        "cases": "/staff/cases",
        "coupons": "/staff/coupons",
        "items": "/staff/items",
        "vouchers": "/staff/vouchers",
        "incoming visits": "/staff/intake",
    }


# Measuring


def figure_rows(d: Deployment, top: Largest, words: str, rounds: int) -> Iterator[Row]:
    """How long each figure takes to be read: the processor's time, here and in the server, which
    stands still while others are served. `words` say of how much."""
    for name, figure in figures(d, top).items():
        what, asked = f"large: {name}, {words}", f"{MILLISECONDS_ASKED} ms"
        try:
            _read(d, figure)
            before = _server_seconds(d)
            took = [_read(d, figure) for _ in range(rounds)]
            server = (_server_seconds(d) - before) / rounds
        except Unavailable:
            yield Row(what, "none within 15 s", "above", asked)
            continue
        worked = (median(own for _, own in took) + server) * 1_000
        above = ", above" if worked > MILLISECONDS_ASKED else ""
        wall = median(seconds for seconds, _ in took) * 1_000
        yield Row(what, f"{worked:.1f} ms", f"{wall:.1f} ms by the clock{above}", asked)


def _read(d: Deployment, figure: Figure) -> tuple[float, float]:
    """Seconds by the clock on the wall, and of the processor."""
    begun, own = perf_counter(), process_time()
    with d.db.read() as tx:
        figure(tx)
    return perf_counter() - begun, process_time() - own


def _server_seconds(d: Deployment) -> float:
    """What the server has worked for this process's one connection so far; 0 where nobody says."""
    with d.db.read() as tx:
        status = Path(f"/proc/{tx.scalar(sa.text('SELECT pg_backend_pid()'))}/stat")
    if not status.exists():
        return 0.0
    ticks = status.read_text().rpartition(") ")[2].split()[11:13]
    return sum(map(int, ticks)) / sysconf("SC_CLK_TCK")


def page_rows(port: int, top: Largest, words: str, rounds: int) -> Iterator[Row]:
    """How long each page of the console takes over HTTP, its figures and its making together."""
    browser = Browser(port)
    browser.sign_in()
    for name, path in pages(top).items():
        took = []
        try:
            for _ in range(rounds + 1):
                begun = perf_counter()
                browser.get(path)
                took.append(perf_counter() - begun)
        except RuntimeError as error:
            yield Row(f"large: page {name}, {words}", str(error))
            continue
        milliseconds = median(took[1:]) * 1_000
        yield Row(f"large: page {name}, {words}", f"{milliseconds:.1f} ms by the clock")


class Browser:
    """A member of staff's, as far as pages ask for one."""

    def __init__(self, port: int) -> None:
        self._connection = HTTPConnection("127.0.0.1", port, timeout=120)
        self._cookies: dict[str, str] = {}

    def sign_in(self) -> None:
        page = self.get("/staff/sign-in")
        token = search(r'name="csrf_token" value="([^"]+)"', page)
        fields = {"email": STAFF, "password": PASSWORD, "next": "/staff/"}
        if token:
            fields["csrf_token"] = token[1]
        self._ask("POST", "/staff/sign-in", urlencode(fields), 303)

    def get(self, path: str) -> str:
        """A page. Raises `RuntimeError` for an answer that is none."""
        return self._ask("GET", path, None, 200)

    def _ask(self, method: str, path: str, body: str | None, expected: int) -> str:
        headers: Mapping[str, str] = {
            "Cookie": "; ".join(f"{name}={value}" for name, value in self._cookies.items()),
            "Accept-Language": "zh-CN",
            "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/140.0",
            **({"Content-Type": "application/x-www-form-urlencoded"} if body else {}),
        }
        self._connection.request(method, path, body, headers)
        answer = self._connection.getresponse()
        page = answer.read().decode()
        if answer.status != expected:
            raise RuntimeError(f"{path} was answered with {answer.status}")
        for cookie in answer.headers.get_all("Set-Cookie", []):
            name, _, value = cookie.partition(";")[0].partition("=")
            self._cookies[name] = value
        return page
