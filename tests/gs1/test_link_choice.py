"""Which of several links a reader gets."""

import pytest

from referral.gs1.link_choice import best, in_language, speaks
from referral.gs1.target import Target


def target(name: str, language: str = "", media_type: str = "text/html") -> Target:
    return Target("pip", f"https://tea.example/{name}", name, language, media_type)


SPOKEN = [
    target("de", "de"),
    target("en", "en"),
    target("pt-BR", "pt-BR"),
    target("zh-Hans", "zh-Hans"),
    target("zh-Hant", "zh-Hant"),
]


def titles(targets: list[Target]) -> str:
    return " ".join(each.title for each in targets)


@pytest.mark.parametrize(
    "languages, chosen",
    [
        ([], "de"),
        (["fr"], "de"),
        (["en"], "en"),
        (["en-SG", "de"], "en"),
        (["EN-sg"], "en"),
        (["fr", "en"], "en"),
        (["pt"], "pt-BR"),
        (["pt-PT"], "pt-BR"),
        (["zh"], "zh-Hans"),
        (["zh-CN"], "zh-Hans"),
        (["zh-SG"], "zh-Hans"),
        (["zh-Hans-HK"], "zh-Hans"),
        (["zh-TW", "zh"], "zh-Hant"),
        (["zh-HK"], "zh-Hant"),
        (["zh_Hant"], "zh-Hant"),
        (["zh-Hant-CN"], "zh-Hant"),
    ],
)
def test_the_first_language_there_is_decides(languages: list[str], chosen: str) -> None:
    assert titles(in_language(SPOKEN, languages)) == chosen
    assert speaks(SPOKEN, languages) is (languages not in ([], ["fr"]))


def test_the_nearest_of_several_variants_is_chosen() -> None:
    variants = [target("en-GB", "en-GB"), target("en", "en"), target("en-US", "en-US")]
    assert titles(in_language(variants, ["en-US"])) == "en-US"
    assert titles(in_language(variants, ["en-AU"])) == "en"
    assert titles(in_language([variants[0], variants[2]], ["en"])) == "en-GB"
    countries = [target("zh-TW", "zh-TW"), target("zh-CN", "zh-CN")]
    assert titles(in_language(countries, ["zh-Hans"])) == "zh-CN"
    assert titles(in_language(countries, ["zh-HK"])) == "zh-TW"


def test_without_a_language_in_common_a_link_for_all_is_better_than_the_first() -> None:
    assert titles(in_language([*SPOKEN, target("all")], ["fr"])) == "all"
    assert titles(in_language([*SPOKEN, target("all")], ["en"])) == "en"
    assert not speaks([target("all")], ["en"])


def test_the_media_type_comes_before_the_language() -> None:
    page, paper = target("page", "en"), target("paper", "zh-Hans", "application/pdf")
    unsaid = target("unsaid", "zh-Hans", "")
    liking = {"text/html": 1.0, "application/pdf": 0.8}
    chosen = best([paper, page], ["zh"], lambda kind: liking.get(kind, 0))
    assert titles(chosen) == "page"
    assert titles(best([paper, page], ["en"], lambda kind: kind == "application/pdf")) == "paper"
    assert titles(best([paper, unsaid], ["zh"], lambda kind: liking.get(kind, 0))) == "unsaid"
    assert titles(best([paper, page], ["zh"], lambda kind: 0)) == "paper"


def test_what_nothing_tells_apart_is_left_to_the_reader() -> None:
    papers = [target(name, "en", "application/pdf") for name in ("one", "two")]
    assert titles(best([*papers, target("page", "de")], ["en"], lambda kind: 1)) == "one two"
