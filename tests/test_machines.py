"""Telling machines from people, on a labelled list of user agents.

`agents.csv` says of each what it is (`person` or `machine`), the app, the platform, what is hard
about it, and where it is from: `maker` (as its maker documents it), `reported` (as seen and quoted
in public) or `pattern` (a phone's agent with the part the app is known to add).
"""

import csv
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest
from crawlerdetect import CrawlerDetect
from werkzeug.datastructures import Headers

from referral.machines import AGENT_LENGTH_MAX, is_listed, machine_reason


class Agent(NamedTuple):
    label: str
    app: str
    platform: str
    source: str
    note: str
    agent: str

    @property
    def reason(self) -> str | None:
        return machine_reason("GET", Headers({"User-Agent": self.agent}))


def agents() -> list[Agent]:
    with (Path(__file__).parent / "agents.csv").open(encoding="utf-8", newline="") as file:
        return [Agent(**row) for row in csv.DictReader(file)]


AGENTS = agents()
CHROME = next(one.agent for one in AGENTS if (one.app, one.platform) == ("Chrome", "Windows"))


def test_the_list_is_large_and_says_nothing_twice() -> None:
    people = [one for one in AGENTS if one.label == "person"]
    machines = [one for one in AGENTS if one.label == "machine"]
    assert len(people) >= 100
    assert len(machines) >= 100
    assert len(people) + len(machines) == len(AGENTS) == len({one.agent for one in AGENTS})
    assert {one.source for one in AGENTS} == {"maker", "reported", "pattern"}


def test_machines_and_people_are_told_apart(
    record_property: Callable[[str, object], None],
) -> None:
    """A person must all but never be taken for a machine: it costs him his link and his credit.

    Machines whose agent is that of a plain browser are on the list too, so not all can be found.
    """
    right = [one for one in AGENTS if (one.reason is None) == (one.label == "person")]
    wrong = [one for one in AGENTS if one not in right]
    measures: dict[str, float] = {}
    for label, of in (("person", "people"), ("machine", "machines")):
        found = sum(one.label == label for one in right)
        taken_for = found + sum(one.label != label for one in wrong)
        measures[f"precision of {of}"] = found / taken_for
        measures[f"recall of {of}"] = found / sum(one.label == label for one in AGENTS)
    for name, value in measures.items():
        record_property(name, round(value, 4))
        print(f"{name}: {value:.4f}")
    listed = "\n".join(f"{one.label} taken for {one.reason}: {one}" for one in wrong)
    assert measures["recall of people"] >= 0.99, listed
    assert measures["precision of people"] >= 0.97, listed
    assert measures["recall of machines"] >= 0.97, listed
    assert measures["precision of machines"] >= 0.99, listed


HARD_PEOPLE = [one for one in AGENTS if one.label == "person" and one.note]
HARD_MACHINES = [
    one
    for one in AGENTS
    if one.label == "machine" and one.note and "cannot be told" not in one.note
]


@pytest.mark.parametrize("one", HARD_PEOPLE, ids=lambda one: f"{one.app}: {one.note}")
def test_a_person_whose_agent_looks_like_a_machines_is_a_person(one: Agent) -> None:
    assert one.reason is None


@pytest.mark.parametrize("one", HARD_MACHINES, ids=lambda one: one.app)
def test_a_machine_that_is_hard_to_tell_is_a_machine(one: Agent) -> None:
    assert one.reason in {"fetcher", "crawler"}


@pytest.mark.parametrize(
    "app, reason",
    [
        ("Facebook preview", "fetcher"),
        ("WhatsApp preview", "fetcher"),
        ("Telegram preview", "fetcher"),
        ("iMessage preview", "fetcher"),
        ("QQ checker", "fetcher"),
        ("Tencent checker", "fetcher"),
        ("curl", "fetcher"),
        ("Playwright", "fetcher"),
        ("Weibo", "crawler"),
        ("X preview", "crawler"),
        ("Baidu", "crawler"),
        ("Google", "crawler"),
        ("headless Chrome", "crawler"),
    ],
)
def test_the_reason_says_what_kind_of_machine(app: str, reason: str) -> None:
    assert reason in {one.reason for one in AGENTS if (one.label, one.app) == ("machine", app)}


@pytest.mark.parametrize(
    "method, headers, reason",
    [
        ("HEAD", {"User-Agent": CHROME}, "head"),
        ("GET", {}, "no-user-agent"),
        ("GET", {"User-Agent": ""}, "no-user-agent"),
        ("GET", {"User-Agent": "   "}, "no-user-agent"),
        ("GET", {"User-Agent": CHROME, "Sec-Purpose": "prefetch"}, "prefetch"),
        ("GET", {"User-Agent": CHROME, "Sec-Purpose": "prefetch;prerender"}, "prefetch"),
        ("GET", {"User-Agent": CHROME, "Sec-Purpose": "prefetch; prerender"}, "prefetch"),
        ("GET", {"User-Agent": CHROME, "Sec-Purpose": "prefetch;anonymous-client-ip"}, "prefetch"),
        ("GET", {"User-Agent": CHROME, "Purpose": "prefetch"}, "prefetch"),
        ("GET", {"User-Agent": CHROME, "Purpose": "Preview"}, "prefetch"),
        ("GET", {"User-Agent": CHROME, "X-Purpose": "preview"}, "prefetch"),
        ("GET", {"User-Agent": CHROME, "X-Moz": "prefetch"}, "prefetch"),
        ("GET", {"user-agent": CHROME, "sec-purpose": "PREFETCH"}, "prefetch"),
        ("GET", {"User-Agent": CHROME, "Sec-Purpose": ""}, None),
        ("GET", {"User-Agent": CHROME, "Sec-Fetch-Dest": "image"}, "embedded"),
        ("GET", {"User-Agent": CHROME, "Sec-Fetch-Dest": "iframe"}, "embedded"),
        ("GET", {"User-Agent": CHROME, "Sec-Fetch-Mode": "navigate"}, None),
        (
            "GET",
            {"User-Agent": CHROME, "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"},
            None,
        ),
        (
            "GET",
            {"User-Agent": CHROME, "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"},
            "embedded",
        ),
        # What the page reports of itself.
        (
            "POST",
            {"User-Agent": CHROME, "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"},
            None,
        ),
        ("POST", {"User-Agent": CHROME}, None),
    ],
)
def test_how_it_asks_tells_a_machine_too(
    method: str, headers: Mapping[str, str], reason: str | None
) -> None:
    assert machine_reason(method, Headers(headers)) == reason


def test_what_is_meant_to_be_a_part_of_a_page_is_no_machines_for_that() -> None:
    picture = Headers({"User-Agent": CHROME, "Sec-Fetch-Dest": "image"})
    assert machine_reason("GET", picture, of_page=False) is None
    robot = Headers({"User-Agent": "facebookexternalhit/1.1", "Sec-Fetch-Dest": "image"})
    assert machine_reason("GET", robot, of_page=False) == "fetcher"


def test_only_the_start_of_a_very_long_agent_is_looked_at() -> None:
    """Looking at all of it would take seconds, and anybody can send one."""
    agent = CHROME + " x" * 30_000 + " Googlebot/2.1"
    assert machine_reason("GET", Headers({"User-Agent": agent})) is None
    just_inside = CHROME.ljust(AGENT_LENGTH_MAX - len(" Googlebot")) + " Googlebot"
    assert machine_reason("GET", Headers({"User-Agent": just_inside})) == "crawler"


@pytest.mark.parametrize("agent", ["\x00", "é" * 600, "(" * 600, "a" * 600, "微信/8.0", "Mozilla/"])
def test_an_agent_may_be_anything(agent: str) -> None:
    assert machine_reason("GET", {"User-Agent": agent}) in {None, "fetcher", "crawler"}


def test_the_list_of_crawlers_is_searched_as_its_own_package_does() -> None:
    package = CrawlerDetect()
    parts = {part for one in AGENTS for part in one.agent.split()}
    for agent in {one.agent for one in AGENTS} | parts:
        assert is_listed(agent) == package.is_crawler(agent), agent
