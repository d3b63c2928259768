"""Moments in the console: who goes on from a first scan to what, how soon, and what they say."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time
from typing import Any

import sqlalchemy as sa
from babel.dates import format_skeleton
from flask import redirect, render_template, request, url_for
from flask_babel import format_decimal, get_locale, ngettext
from flask_babel import gettext as _
from sqlalchemy.orm import Session

from referral import batches, catalog, ratings
from referral.batches import Batch, UnknownBatch
from referral.catalog import Product, UnknownProduct
from referral.errors import N_
from referral.gs1.gtin import BadGTIN
from referral.reports import lists
from referral.reports import moments as report
from referral.reports import ratings as said
from referral.reports.moments import SPANS, Passage, Passages
from referral.reports.ratings import Scores
from referral.rollups import moments as kept
from referral.rollups.moments import ALL, Moment
from referral.staff import Right, StaffMember
from referral.web.context import deployment
from referral.web.staff.auth import Page, require
from referral.web.staff.blueprint import staff

LISTED = 20
"""How many products or batches are shown beside each other."""
NUMBER_DIGITS_MAX = 18
MINUTE, HOUR, DAY = 60, 3600, 86_400
TITLES = {
    Moment.claim: N_("First scan → claim"),
    Moment.again: N_("Claim → second purchase"),
    Moment.share: N_("Claim → first share"),
    Moment.friend: N_("Share → first friend who bought"),
}
OF = {
    Moment.claim: N_("of packages that were scanned"),
    Moment.again: N_("of customers who claimed one"),
    Moment.share: N_("of customers who claimed one"),
    Moment.friend: N_("of those who shared"),
}


@dataclass(frozen=True)
class Scope:
    """What the page is about: all products, one of them, or one batch."""

    product: Product | None = None
    batch: Batch | None = None

    @property
    def key(self) -> tuple[int, int]:
        return (self.product.id if self.product else ALL, self.batch.id if self.batch else ALL)

    def address(self, **more: Any) -> dict[str, Any]:
        """The query that leads back here."""
        found = {
            "product": self.product.gtin if self.product else None,
            "batch": self.batch.id if self.batch else None,
        }
        return {name: value for name, value in {**found, **more}.items() if value is not None}


@dataclass(frozen=True)
class Row:
    """A product or a batch beside the others."""

    name: str
    href: str
    passages: Passages
    scores: Scores


@staff.get("/moments")
@require(Right.read)
def moments(member: StaffMember) -> Page:
    with deployment().db.read() as tx:
        scope = _scope(tx)
        if scope is None:
            return redirect(url_for(".moments"))
        behind = _number(request.args.get("after", ""))
        rows, following = _rows(tx, scope, behind)
        comments = said.comments(
            tx,
            deployment().keys,
            product_id=scope.product.id if scope.product else None,
            batch_id=scope.batch.id if scope.batch else None,
            after=request.args.get("comments", ""),
        )
        passages = report.of(tx, *scope.key)
        months = report.by_month(tx, *scope.key)
        return render_template(
            "staff/moments.html",
            scope=scope,
            moments=list(Moment),
            passages=passages,
            spread=_spread(passages),
            spans=[_span(n) for n in range(len(SPANS) + 1)],
            months=months,
            by_month=_by_month(months),
            scores=_scores(tx, scope),
            score_values=ratings.SCORES,
            rows=rows,
            following=following,
            is_beginning=behind is None,
            comments=comments,
            are_first_comments=not request.args.get("comments"),
            names=lists.names(tx, deployment().keys, [each.customer_id for each in comments.rows]),
            until=kept.counted_until(tx),
            title_of=lambda moment: _(TITLES[moment]),
            part_of=lambda moment: _(OF[moment]),
            duration=duration,
            decimal=decimal,
            month_name=month_name,
        )


def _scope(tx: Session) -> Scope | None:
    """What is asked for; None for what there is not."""
    gtin, typed = request.args.get("product", "").strip(), request.args.get("batch", "").strip()
    number = _number(typed)
    try:
        if number is not None:
            batch = batches.batch_by_id(tx, number)
            return Scope(tx.get_one(Product, batch.product_id), batch)
        if typed:
            return None
        return Scope(catalog.product_by_gtin(tx, gtin)) if gtin else Scope()
    except (UnknownBatch, UnknownProduct, BadGTIN):
        return None


def _number(typed: str) -> int | None:
    is_number = typed.isascii() and typed.isdigit() and len(typed) <= NUMBER_DIGITS_MAX
    return int(typed) if is_number else None


def _scores(tx: Session, scope: Scope) -> Scores:
    if scope.batch is not None:
        return said.of_batch(tx, scope.batch.id)
    return said.of_product(tx, scope.product.id) if scope.product else said.of_all(tx)


def _rows(tx: Session, scope: Scope, behind: int | None) -> tuple[list[Row], int | None]:
    """What is beside each other on this page: products, or the batches of one; newest first.

    And the number that the following ones are behind; None on the last page.
    """
    if scope.batch is not None:
        return [], None
    if scope.product is None:
        products = _newest(tx, sa.select(Product), Product.id, behind)
        ids = [each.id for each in products]
        passages = report.by_product(tx, ids[:LISTED])
        scores = ratings.counts(tx, ids[:LISTED])
        rows = [
            _row(each, url_for(".moments", product=each.gtin), passages, scores)
            for each in products[:LISTED]
        ]
    else:
        own = sa.select(Batch).where(Batch.product_id == scope.product.id)
        found = _newest(tx, own, Batch.id, behind)
        ids = [each.id for each in found]
        passages = report.by_batch(tx, scope.product.id, ids[:LISTED])
        scores = ratings.counts_by_batch(tx, ids[:LISTED])
        rows = [
            _row(each, url_for(".moments", batch=each.id), passages, scores)
            for each in found[:LISTED]
        ]
    return rows, ids[LISTED - 1] if len(ids) > LISTED else None


def _newest(tx: Session, statement: sa.Select[Any], number: Any, behind: int | None) -> list[Any]:
    if behind is not None:
        statement = statement.where(number < behind)
    return list(tx.scalars(statement.order_by(number.desc()).limit(LISTED + 1)))


def _row(
    each: Product | Batch,
    href: str,
    passages: Mapping[int, Passages],
    scores: Mapping[int, Counter[int]],
) -> Row:
    return Row(each.name, href, passages[each.id], Scores(scores.get(each.id, Counter())))


# Pictures


def _spread(passages: Passages) -> dict[str, Any]:
    """How long those who went on took, as parts of them."""
    return {
        "kind": "bars",
        "x": [_span(number) for number in range(len(SPANS) + 1)],
        "series": [
            {"name": _(TITLES[moment]), "values": _parts(passages[moment])} for moment in Moment
        ],
        "unit": "share",
        "links": [],
    }


def _parts(passage: Passage) -> list[float | None]:
    found = passage.spans()
    total = sum(found)
    return [each / total if total else None for each in found]


def _by_month(months: Mapping[datetime, Passages]) -> dict[str, Any]:
    return {
        "kind": "lines",
        "x": [month_name(month) for month in months],
        "series": [
            {
                "name": _(TITLES[moment]),
                "values": [_value(each[moment]) for each in months.values()],
            }
            for moment in Moment
        ],
        "unit": "share",
        "links": [],
    }


def _value(passage: Passage) -> float | None:
    return passage.rate.value if passage.rate else None


# In words


def month_name(month: datetime) -> str:
    return format_skeleton("yMMM", datetime.combine(month.date(), time()), locale=get_locale())


def decimal(number: float) -> str:
    return format_decimal(number, "#,##0.0")


def duration(seconds: float | None) -> str:
    """A time between in one unit; a dash where there is none."""
    if seconds is None:
        return "—"
    if seconds < MINUTE:
        return _("under a minute")
    if seconds < HOUR:
        return ngettext("%(num)s minute", "%(num)s minutes", round(seconds / MINUTE))
    if seconds < 2 * DAY:
        hours = seconds / HOUR
        shown = format_decimal(hours, "#,##0.#" if hours < 10 else "#,##0")
        return ngettext("%(hours)s hour", "%(hours)s hours", round(hours), hours=shown)
    days = seconds / DAY
    shown = format_decimal(days, "#,##0.#" if days < 10 else "#,##0")
    return ngettext("%(days)s day", "%(days)s days", max(round(days), 2), days=shown)


def _span(number: int) -> str:
    """What a bar stands for, by its number."""
    names: Sequence[str] = (
        _("1 hour"),
        _("1 day"),
        _("3 days"),
        _("1 week"),
        _("2 weeks"),
        _("30 days"),
        _("90 days"),
        _("180 days"),
    )
    if number < len(SPANS):
        return _("up to %(time)s", time=names[number])
    return _("longer")
