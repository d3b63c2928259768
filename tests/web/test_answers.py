"""Answers ahead of Flask: each is counted and told once, a moment later."""

import io
import itertools
import json
import select
from collections.abc import Iterator

import pytest
from prometheus_client import REGISTRY

from referral.web import answers
from tests.waits import wait_until

ENDPOINT = "share_links.landing"


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    answers.settle()
    log = io.StringIO()
    monkeypatch.setattr(answers, "_files", [log])
    yield log
    answers.settle()


def counted() -> tuple[float, float]:
    """How many answers were counted, and how many were timed."""
    labels = {"endpoint": ENDPOINT, "method": "GET", "status": "200"}
    found = (
        REGISTRY.get_sample_value("referral_requests_total", labels),
        REGISTRY.get_sample_value("referral_request_seconds_count", {"endpoint": ENDPOINT}),
    )
    return found[0] or 0.0, found[1] or 0.0


def ids(log: io.StringIO) -> list[str]:
    return [json.loads(line)["request_id"] for line in log.getvalue().splitlines()]


def test_each_is_told_in_a_line_and_counted_by_itself_soon(told: io.StringIO) -> None:
    before = counted()
    for number in range(20):
        answers.note_page(ENDPOINT, 0.0015, str(number))
    wait_until(lambda: len(ids(told)) == 20, seconds=30)
    assert ids(told) == [str(number) for number in range(20)]
    assert [now - then for now, then in zip(counted(), before, strict=True)] == [20, 20]
    line = json.loads(told.getvalue().splitlines()[0])
    assert (line["endpoint"], line["method"], line["status"]) == (ENDPOINT, "GET", 200)
    assert line["ms"] == 1.5


def test_more_than_may_wait_are_told_by_whoever_comes(
    told: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers._soon, "ask", lambda: None)  # as if the log took nothing
    monkeypatch.setattr(answers, "WAITING_MAX", 10)
    for number in range(25):
        answers.note_page(ENDPOINT, 0.0, str(number))
    assert len(answers._waiting) <= 10
    answers.settle()
    assert ids(told) == [str(number) for number in range(25)]


class Pipe(io.StringIO):
    """Notes how much is written at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []
        self._flushed = 0

    def flush(self) -> None:
        self.sizes.append(self.tell() - self._flushed)
        self._flushed = self.tell()


def test_other_processes_write_between_whole_lines(
    told: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe = Pipe()
    monkeypatch.setattr(answers, "_files", [pipe])
    for number in range(100):
        answers.note_page(ENDPOINT, 1234.5678, f"{number:016x}")
    answers.settle()
    assert len(ids(pipe)) == 100
    assert max(pipe.sizes) <= select.PIPE_BUF
    ends = list(itertools.accumulate(size for size in pipe.sizes if size))
    assert all(pipe.getvalue()[end - 1] == "\n" for end in ends)


def test_a_log_that_is_gone_stops_nobody(told: io.StringIO) -> None:
    told.close()
    answers.note_page(ENDPOINT, 0.0, "unheard")
    answers.settle()
    answers.settle()
    assert not answers._waiting
