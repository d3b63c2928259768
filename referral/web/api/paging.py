"""Lists come in pages: ``{"items": [...], "next": cursor-or-null}``."""

from typing import Annotated, Any

from pydantic import Field

from referral.reports.lists import Listed
from referral.web.api.reading import INT64_MAX, Query
from referral.web.problems import invalid_field

PAGE_DEFAULT = 100
PAGE_MAX = 1000
"""How many items one answer holds; more may be asked for and are not given."""

Count = Annotated[int, Field(ge=1, le=INT64_MAX)]


class Page(Query):
    after: str | None = Field(default=None, max_length=40)
    """The `next` of the page before."""
    limit: Count = PAGE_DEFAULT
    """How many items; at most 1000 are given."""

    @property
    def size(self) -> int:
        return min(self.limit, PAGE_MAX)

    @property
    def after_id(self) -> int:
        """The cursor of a list that is ordered by id. Raises `InvalidInput`."""
        if self.after is None:
            return 0
        if not (self.after.isascii() and self.after.isdigit()) or int(self.after) > INT64_MAX:
            raise bad_cursor()
        return int(self.after)

    @property
    def offset(self) -> int:
        """The cursor of a list whose pages follow one another by number. Raises `InvalidInput`."""
        return self.after_id


def following(listed: Listed[Any]) -> str | None:
    """The `next` of such a page."""
    return None if listed.next is None else str(listed.next)


def bad_cursor() -> Exception:
    return invalid_field("after", "This is not the `next` of another page.")
