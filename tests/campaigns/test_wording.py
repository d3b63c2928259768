"""The check of a campaign's words, on a labelled list.

`wording.csv` holds sentences as brands write them, in simplified and traditional Chinese and in
English: what they are punished for, or nothing for those that are fine. A part of them was written
after the patterns, to see what these miss, and was taken into the list afterwards.
"""

import csv
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import pytest
from flask import Flask
from flask_babel import force_locale

from referral.campaigns import wording
from referral.campaigns.content import texts_of
from referral.campaigns.phrases import Kind
from referral.campaigns.wording import INSTEAD, RULES
from referral.demo import brand
from referral.rewards import Rule
from referral.web import promises
from tests.web.conftest import RULES as PROMISES

LONGEST = 4000


class Sentence(NamedTuple):
    verdict: str
    lang: str
    text: str

    @property
    def kinds(self) -> set[str]:
        return {finding.kind for finding in wording.check({"text": self.text})}


def sentences() -> list[Sentence]:
    with (Path(__file__).parent / "wording.csv").open(encoding="utf-8", newline="") as file:
        return [Sentence(**row) for row in csv.DictReader(file)]


SENTENCES = sentences()


def test_the_list_is_large_and_says_nothing_twice() -> None:
    assert len(SENTENCES) == len({each.text for each in SENTENCES})
    for lang in ("zh-Hans", "zh-Hant", "en"):
        spoken = [each for each in SENTENCES if each.lang == lang]
        assert sum(not each.verdict for each in spoken) >= 15
        assert sum(bool(each.verdict) for each in spoken) >= 15
    assert {each.verdict for each in SENTENCES} == {"", *Kind}


def test_punished_words_are_told_from_ordinary_ones(
    record_property: Callable[[str, object], None],
) -> None:
    """An ordinary text must all but never be refused: nobody can publish it then."""
    found = [each for each in SENTENCES if each.kinds]
    right = [each for each in found if each.verdict]
    precision = len(right) / len(found)
    recall = len(right) / sum(bool(each.verdict) for each in SENTENCES)
    for name, value in (("precision", precision), ("recall", recall)):
        record_property(name, round(value, 4))
        print(f"{name} of punished wording: {value:.4f}")
    wrong = [each for each in SENTENCES if bool(each.kinds) != bool(each.verdict)]
    assert precision >= 0.99, wrong
    assert recall >= 0.97, wrong
    assert all(each.verdict in each.kinds for each in right), "the rule that is named is the one"


@pytest.mark.parametrize(
    "text, words",
    [
        ("好茶。转发到群，就领红包！真的", "转发到群，就领红包"),
        ("好茶。轉發到群，就領紅包！真的", "轉發到群，就領紅包"),
        ("看，转 · 发 · 得 · 红包。", "转 · 发 · 得 · 红包"),
        ("Ｓhare this and get 20 points. Tea.", "Ｓhare this and get 20 points"),
    ],
)
def test_the_words_are_said_as_they_were_written(text: str, words: str) -> None:
    (found,) = wording.check({"content.en.body": text})
    assert (found.field, found.words) == ("content.en.body", words)
    assert found.dump() == {
        "field": "content.en.body",
        "words": words,
        "kind": "paid-sharing",
        "rule": RULES[Kind.paid_sharing],
        "instead": INSTEAD[Kind.paid_sharing],
    }


def test_every_kind_has_its_rule_and_something_to_write_instead() -> None:
    assert set(RULES) == set(INSTEAD) == set(Kind)
    instead = {f"{kind}": words for kind, words in INSTEAD.items()}
    assert wording.check(instead) == [], "what is to be written is fine itself"


def test_a_paragraph_s_end_is_a_sentence_s_end() -> None:
    assert wording.check({"text": "和朋友分享给\n\n每瓶20积分"}) == []


@pytest.mark.parametrize(
    "text",
    [
        "分享给",
        "领红包",
        "好友",
        "集",
        "每分享",
        "share this ",
        "get points ",
        "· ",
        " ",
        "关注我们",
    ],
)
def test_no_text_takes_long(text: str) -> None:
    begun = perf_counter()
    wording.check({"text": (text * LONGEST)[:LONGEST]})
    assert perf_counter() - begun < 1.0


def test_what_we_say_ourselves_is_fine(app: Flask) -> None:
    """The demo's texts, and what the pages suggest and promise, in every language."""

    draft = brand.campaign(datetime(2026, 3, 1, tzinfo=UTC))
    content = {lang: texts.model_dump() for lang, texts in draft.content.items()}
    assert wording.check(texts_of(draft.title, draft.organiser, content)) == []
    rules = [Rule.model_validate(rule) for rule in PROMISES]
    for locale in ("zh_Hans", "zh_Hant", "en"):
        with app.test_request_context(), force_locale(locale):
            said = [*promises.promise(rules), promises.disclosure(rules)]
            said += [promises.suggestion("Tea", rules[:1]), promises.suggestion("Tea", rules)]
        assert wording.check({text: text for text in said}) == []
