"""Words that chat platforms punish, as staff are shown them."""

from collections.abc import Sequence
from dataclasses import dataclass

from flask_babel import gettext as _

from referral.campaigns.wording import Finding
from referral.errors import N_
from referral.web.language import OWN_NAMES
from referral.web.staff.forms import Form

PARTS = {"title": N_("Title"), "body": N_("Text"), "share_text": N_("Text to send along")}


@dataclass(frozen=True)
class ShownFinding:
    """A finding in the reader's language."""

    place: str
    """Which text the words stand in."""
    words: str
    rule: str
    instead: str


def shown(findings: Sequence[Finding]) -> list[ShownFinding]:
    return [
        ShownFinding(_place(each.field), each.words, _(each.rule), _(each.instead))
        for each in findings
    ]


def refuse(form: Form, findings: Sequence[Finding]) -> None:
    """Say at each field of a form what is wrong with its words."""
    for each in findings:
        sentence = _("Chat platforms punish “%(words)s”.", words=each.words)
        form.refuse(_field(each.field), f"{sentence} {_(each.instead)}")


def _place(field: str) -> str:
    if field.startswith("content."):
        _content, lang, part = field.split(".")
        return f"{OWN_NAMES[lang]} · {_(PARTS[part])}"
    return _("Organiser") if field == "organiser" else _("Title")


def _field(field: str) -> str:
    """The name of a form's field for the campaign's."""
    return field.removeprefix("content.").replace(".", "-")
