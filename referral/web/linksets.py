"""Linksets: all the links of a product in one JSON document, after RFC 9264 and as GS1 has it."""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from referral.gs1 import link_types
from referral.gs1.target import Target

LINKSET = "application/linkset+json"
JSON = "application/json"
JSON_LD = "application/ld+json"
CONTEXT = "https://ref.gs1.org/standards/resolver/linkset-context"
"""Makes JSON-LD of a linkset."""

# GS1's schema for linksets has no scripts in language tags.
_COUNTRY_OF_SCRIPT = {"zh-Hans": "zh-CN", "zh-Hant": "zh-TW"}


@dataclass(frozen=True)
class Level:
    """A product, or one package of it, and where it leads."""

    anchor: str
    """The address that names it."""
    description: str
    targets: Sequence[Target]
    """One of them is the default."""

    @property
    def default(self) -> Target:
        return next(target for target in self.targets if target.is_default)

    @property
    def defaults_by_language(self) -> list[Target]:
        """The default link with those of its kind in other languages; empty if there are none."""
        default = self.default
        kin = [
            each
            for each in self.targets
            if each.language
            and default.language
            and (each.link_type, each.media_type) == (default.link_type, default.media_type)
        ]
        return kin if len({each.language for each in kin}) > 1 else []

    def of_type(self, name: str) -> list[Target]:
        """The links of a type; `name` is bare."""
        if name == link_types.DEFAULT:
            return [self.default]
        if name == link_types.DEFAULT_MULTI:
            return self.defaults_by_language
        return [target for target in self.targets if target.link_type == name]


def document(levels: Iterable[Level], mimetype: str) -> str:
    """The linkset of these levels in a media type: `LINKSET`, `JSON` or `JSON_LD`."""
    context = {"@context": CONTEXT} if mimetype == JSON_LD else {}
    return json.dumps({**context, "linkset": [_entry(level) for level in levels]})


def some_of(level: Level, targets: Sequence[Target]) -> str:
    """A linkset of a few links only, to choose from."""
    links = [_link(target) for target in targets]
    entry = {"anchor": level.anchor, link_types.uri(targets[0].link_type): links}
    return json.dumps({"linkset": [entry]})


def _entry(level: Level) -> dict[str, Any]:
    links: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for target in level.targets:
        links[link_types.uri(target.link_type)].append(_link(target))
    # The default is for everybody: nothing is said of it that could be held against a request.
    default = {"href": level.default.href, "title": level.default.title}
    links[link_types.uri(link_types.DEFAULT)].append(default)
    for target in level.defaults_by_language:
        links[link_types.uri(link_types.DEFAULT_MULTI)].append(_link(target))
    # The older name beside the one that took its place.
    described = {"itemDescription": level.description, "description": level.description}
    return {"anchor": level.anchor, **described, **links}


def _link(target: Target) -> dict[str, Any]:
    link: dict[str, Any] = {"href": target.href, "title": target.title}
    if target.media_type:
        link["type"] = target.media_type
    if target.language:
        link["hreflang"] = [_COUNTRY_OF_SCRIPT.get(target.language, target.language)]
    return link
