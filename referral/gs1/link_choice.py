"""Which of several links fits a reader best: by media type, then by language."""

from collections.abc import Callable, Sequence

from referral.gs1.target import Target

TRADITIONAL = {"hant", "tw", "hk", "mo"}


def best(
    targets: Sequence[Target], languages: Sequence[str], quality: Callable[[str], float]
) -> list[Target]:
    """Those links that fit best; more than one when nothing in the request decides between them.

    `languages` are tags, the best first; `quality` is how much the reader likes a media type, from
    0 (not at all) to 1.
    """
    chosen = in_language(_of_media_type(targets, quality), languages)
    return [each for each in chosen if each.media_type == chosen[0].media_type]


def in_language(targets: Sequence[Target], languages: Sequence[str]) -> list[Target]:
    """The links in the first of these languages that there is one in.

    Otherwise those without a language, otherwise those in the language of the first link: the
    order is the brand's own.
    """
    for tag in languages:
        if found := _in(targets, tag):
            return found
    if neutral := [target for target in targets if not target.language]:
        return neutral
    return [target for target in targets if target.language == targets[0].language]


def speaks(targets: Sequence[Target], languages: Sequence[str]) -> bool:
    """Whether one of the links is in a language that was asked for."""
    return any(_in(targets, tag) for tag in languages)


def _of_media_type(targets: Sequence[Target], quality: Callable[[str], float]) -> Sequence[Target]:
    """The links of the media type liked best. One that nobody named is a page, as most are."""
    liked = [quality(target.media_type or "text/html") for target in targets]
    most = max(liked, default=0)
    return [target for target, much in zip(targets, liked, strict=True) if much == most]


def _in(targets: Sequence[Target], tag: str) -> list[Target]:
    """The links in a language; failing that in a wider, a narrower or a neighbouring one."""
    wanted = _parts(tag)
    near = wanted[:2] if wanted[0] == "zh" else wanted[:1]
    tagged = [(target.language, _parts(target.language)) for target in targets if target.language]
    for fitting in (
        [language for language, parts in tagged if parts == wanted],
        [language for language, parts in tagged if parts == wanted[: len(parts)]],
        [language for language, parts in tagged if parts[: len(wanted)] == wanted],
        [language for language, parts in tagged if parts[: len(near)] == near],
    ):
        if fitting:
            return [target for target in targets if target.language == fitting[0]]
    return []


def _parts(tag: str) -> tuple[str, ...]:
    """A tag's parts. Chinese gets its script, which decides more than the country it came from."""
    language, *rest = tag.lower().replace("_", "-").split("-")
    if language != "zh":
        return (language, *rest)
    script = "hant" if TRADITIONAL & set(rest) and "hans" not in rest else "hans"
    return (language, script, *(part for part in rest if part not in {"hans", "hant"}))
