"""Codes: the identity of one package, to be printed and to be checked."""

from typing import Self

import numpy as np
from pydantic import Field, model_validator

from referral import actions, lookup
from referral.batches import LostBatchKey, NoSuchLabel, UnknownBatch
from referral.checking import look_up
from referral.claims import WrongProduct
from referral.codes import Label, MistypedCode, UnknownCode, carries
from referral.gs1.gtin import BadGTIN
from referral.lookup import TEXT_LENGTH_MAX, SameLabel
from referral.printing.qr import printed_address
from referral.reports import checks
from referral.reports.checks import CodeCheck
from referral.web.api.endpoint import Output, get, post
from referral.web.api.paging import Count
from referral.web.api.reading import Index, Input, Query
from referral.web.context import deployment
from referral.web.problems import invalid_field

CODES_DEFAULT = 100
CODES_MAX = 1000
"""How many codes one answer holds."""


class CodesQuery(Query):
    start: Index = 0
    """The first index."""
    count: Count = CODES_DEFAULT
    """How many codes; at most 1000 are given."""
    label: Label = Label.inner
    """Which of a package's codes; a batch without pairs has inner ones only."""


class CodeOut(Output):
    """The identity of one package."""

    index: int
    code: str
    url: str
    """The code's address: a GS1 Digital Link."""
    printed: str
    """The same address as it is printed, in capitals: its QR code is smaller."""


class CodeList(Output):
    """A page of a batch's codes."""

    items: list[CodeOut]
    next: int | None
    """The `start` of the next page; null on the last."""


class CheckIn(Input):
    """A code to look up."""

    url: str | None = Field(default=None, max_length=TEXT_LENGTH_MAX)
    """What the package's QR code says. Either this or `code`."""
    code: str | None = Field(default=None, max_length=TEXT_LENGTH_MAX)
    """The 16 characters by themselves; dashes, spaces and case do not matter."""
    outer: str | None = Field(default=None, max_length=TEXT_LENGTH_MAX)
    """The other code on the package, or its address, to see whether the two belong together."""

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.url is None) == (self.code is None):
            raise ValueError("Send either url or code.")
        return self


@get(
    "/batches/<int:batch_id>/codes",
    query=CodesQuery,
    answer=CodeList,
    problems=[UnknownBatch, NoSuchLabel, LostBatchKey],
)
def list_codes(batch_id: int, query: CodesQuery) -> CodeList:
    """List codes.

    With what to print for each.
    """
    batch = deployment().directory.batch(batch_id)
    if not carries(batch.labels, query.label):
        raise NoSuchLabel()
    start = min(query.start, batch.size)
    end = min(start + min(query.count, CODES_MAX), batch.size)
    try:
        texts = deployment().codes.encode_many(batch, start, end, query.label)
    except KeyError:
        raise LostBatchKey() from None
    base_url = deployment().config.base_url
    items = [
        CodeOut(
            index=index,
            code=code,
            url=deployment().address(f"/01/{batch.gtin}/21/{code}"),
            printed=printed_address(base_url, batch.scheme, batch.gtin, code),
        )
        for index, code in enumerate(np.char.decode(texts, "ascii").tolist(), start)
    ]
    return CodeList(items=items, next=end if items and end < batch.size else None)


@post(
    "/codes/check",
    body=CheckIn,
    answer=CodeCheck,
    statuses={200: "Genuine"},
    problems=[BadGTIN, MistypedCode, UnknownCode, WrongProduct, SameLabel],
)
def check_code(body: CheckIn) -> CodeCheck:
    """Look a code up.

    Says what is known of it and of its package, for support desks and distributors. With `outer`
    it says whether the two labels belong to one package; both codes are flagged if they do not.
    """
    code, batch = look_up(deployment(), *_sent(body))
    match = None
    if body.outer is not None:
        other, _ = look_up(deployment(), *lookup.in_text(body.outer))
        match = actions.compare_labels(deployment(), *lookup.pair(code, other), region=None)
    with deployment().db.read() as tx:
        found = checks.check(tx, code, batch, deployment().local_now())
    return found.model_copy(update={"labels_match": match})


def _sent(body: CheckIn) -> tuple[str, str | None]:
    """The code's text, and the product it is said to be of."""
    if body.url is None:
        return body.code or "", None
    found = lookup.in_address(body.url)
    if found is None:
        raise invalid_field("url", "This is not an address such as .../01/GTIN/21/CODE.")
    return found
