"""Targets: the places that a product leads to."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """A place that a product leads to, apart from how it is stored."""

    link_type: str
    """The bare name, such as ``pip``; one that is to be stored may be written in any way."""
    href: str
    title: str
    language: str = ""
    media_type: str = ""
    is_default: bool = False
