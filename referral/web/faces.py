"""The five scores of a rating in words."""

from flask_babel import gettext as _


def faces() -> list[tuple[int, str]]:
    """Each score with its word, the lowest first."""
    return [
        (1, _("Not good at all")),
        (2, _("Not so good")),
        (3, _("All right")),
        (4, _("Good")),
        (5, _("Very good")),
    ]
