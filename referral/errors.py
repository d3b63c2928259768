"""What can go wrong, as named errors with a kind sentence.

Each part declares its own errors as subclasses of `Problem`. The web turns them into a page or
into RFC 9457 problem+json, the command line into a line on standard error.
"""

from collections.abc import Iterator
from typing import Any, ClassVar


def N_(text: str) -> str:  # noqa: N802 - the gettext convention's name, which the extractor looks for
    """Mark a text for translation where it is written; it is translated where it is shown."""
    return text


class Problem(Exception):
    """Something the caller can understand and act on.

    `slug` is stable: scripts and translations hold on to it. `title` says what is the matter and
    `advice` what to do; both are English and marked for translation. `details` are extra members
    of the problem+json answer and never hold personal data.
    """

    slug: ClassVar[str] = "problem"
    status: ClassVar[int] = 400
    title: ClassVar[str] = N_("That did not work.")
    advice: ClassVar[str] = N_("Please check what you entered and try again.")

    def __init__(self, detail: str | None = None, **details: Any) -> None:
        super().__init__(detail or self.title)
        self.detail = detail
        self.details = details

    @classmethod
    def every(cls) -> Iterator[type["Problem"]]:
        """This error and all that derive from it."""
        yield cls
        for child in cls.__subclasses__():
            yield from child.every()


class NotFound(Problem):
    slug = "not-found"
    status = 404
    title = N_("There is nothing here.")
    advice = N_("The address may be cut off or mistyped. Please check it, or start again.")


class InvalidInput(Problem):
    slug = "invalid-input"
    status = 422
    title = N_("Something in what you entered is not right.")
    advice = N_("Please correct it and send it again.")


class Conflict(Problem):
    slug = "conflict"
    status = 409
    title = N_("This exists already.")
    advice = N_("Use another name, or change the one that is there.")


class TooMany(Problem):
    slug = "too-many-attempts"
    status = 429
    title = N_("That was too often in a short time.")
    advice = N_("Please wait a little and try again.")


class Unavailable(Problem):
    slug = "unavailable"
    status = 503
    title = N_("We are back in a moment.")
    advice = N_("Nothing was lost. Please try again in a few seconds.")
