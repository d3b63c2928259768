"""Coupons: the pools with their codes, a list that comes in, codes that are made up."""

import re
from datetime import datetime
from zoneinfo import ZoneInfo

from flask import Response, flash, redirect, render_template, request, url_for
from flask_babel import format_number, ngettext
from flask_babel import gettext as _
from pydantic import ValidationError

from referral import actions, coupons
from referral.config import LANGUAGES
from referral.coupons import (
    HOW_TO_LENGTH_MAX,
    LASTS_DAYS_MAX,
    SLUG_PATTERN,
    TITLE_LENGTH_MAX,
    URL_LENGTH_MAX,
    PoolDraft,
    PoolExists,
    PoolFull,
    PoolOver,
    lists,
)
from referral.coupons.lists import (
    BYTES_MAX,
    CODES_MAX,
    BadCouponList,
    CouponListTooLong,
    NotACouponList,
)
from referral.reports import coupons as report
from referral.staff import Right, StaffMember
from referral.web.context import deployment, now
from referral.web.language import OWN_NAMES, in_words
from referral.web.staff.auth import Page, name_of, require
from referral.web.staff.blueprint import staff
from referral.web.staff.forms import Form, offset_of

FAULTS_SHOWN_MAX = 20
SLUG_LENGTH_MAX = 40


@staff.get("/coupons")
@require(Right.read)
def coupon_pools(member: StaffMember) -> Page:
    return _list_page(Form())


@staff.post("/coupons")
@require(Right.change)
def add_pool(member: StaffMember) -> Page:
    form = Form(request.form)
    draft = _draft(form)
    if draft is not None and form.ok:
        with form.refusing({PoolExists: "slug", PoolOver: "expires_at"}):
            pool = actions.add_pool(deployment(), draft, by=name_of(member))
            flash(_("“%(name)s” is added. Now put codes into it.", name=pool.slug))
            return redirect(url_for(".coupon_pool", slug=pool.slug), 303)
    return _list_page(form), 422


@staff.get("/coupons/<slug>")
@require(Right.read)
def coupon_pool(member: StaffMember, slug: str) -> Page:
    return _pool_page(slug, Form())


@staff.post("/coupons/<slug>/codes")
@require(Right.change)
def upload_coupons(member: StaffMember, slug: str) -> Page:
    form = Form()
    sent = request.files.get("list")
    faults: list[lists.Fault] = []
    file = b""
    if sent is not None and sent.filename:
        with sent.stream:
            file = sent.stream.read(BYTES_MAX + 1)
    if not file:
        form.refuse("list", _("Please choose a file."))
        return _pool_page(slug, form), 422
    try:
        added = actions.add_coupons(deployment(), slug, lists.read(file), by=name_of(member))
    except BadCouponList as problem:
        form.refuse("list", _(problem.title))
        faults = problem.faults[:FAULTS_SHOWN_MAX]
        return _pool_page(slug, form, faults, more=problem.count - len(faults)), 422
    except (NotACouponList, CouponListTooLong, PoolOver, PoolFull) as problem:
        form.refuse("list", in_words(problem))
        return _pool_page(slug, form), 422
    _say_added(added)
    return redirect(url_for(".coupon_pool", slug=slug), 303)


@staff.post("/coupons/<slug>/generate")
@require(Right.change)
def generate_coupons(member: StaffMember, slug: str) -> Page:
    form = Form(request.form)
    count = form.whole("count", low=1, high=CODES_MAX)
    prefix = form.typed("prefix").upper()
    if not lists.PREFIX.fullmatch(prefix):
        form.refuse("prefix", _(lists.BadPrefix.advice))
    if form.ok and count is not None:
        with form.refusing({PoolOver: "count", PoolFull: "count"}):
            made = actions.generate_coupons(
                deployment(), slug, prefix=prefix, count=count, by=name_of(member)
            )
            _say_added(len(made))
            return redirect(url_for(".coupon_pool", slug=slug), 303)
    return _pool_page(slug, form), 422


@staff.post("/coupons/<slug>/codes.csv")
@require(Right.change)
def download_coupons(member: StaffMember, slug: str) -> Page:
    """All codes, for the shop's own system. A POST: it is kept who took them."""
    codes = actions.take_out_coupons(deployment(), slug, by=name_of(member))
    response = Response("code\r\n" + "".join(f"{code}\r\n" for code in codes), mimetype="text/csv")
    response.headers["Content-Disposition"] = f'attachment; filename="coupons-{slug}.csv"'
    response.headers["Cache-Control"] = "no-store"
    return response


def _say_added(count: int) -> None:
    flash(
        ngettext(
            "%(count)s code is added.",
            "%(count)s codes are added.",
            count,
            count=format_number(count),
        )
    )


def _draft(form: Form) -> PoolDraft | None:
    slug = form.text("slug", least=1, most=SLUG_LENGTH_MAX)
    if slug and not re.fullmatch(SLUG_PATTERN, slug):
        form.refuse("slug", _("Use small letters and digits, parted by single dashes."))
    content = {}
    for tag in LANGUAGES:
        title = form.text(f"title-{tag}", most=TITLE_LENGTH_MAX)
        how_to = form.paragraphs(f"how_to-{tag}", most=HOW_TO_LENGTH_MAX)
        if title:
            content[tag] = {"title": title, "how_to": how_to}
        elif how_to:
            form.refuse(f"title-{tag}", _("Please fill this in."))
    if not content:
        form.refuse(f"title-{LANGUAGES[0]}", _("Please give a title in at least one language."))
    currency = form.currency("currency")
    value = form.price("value", currency)
    expires_at, lasts_days = _end(form)
    shop_url = form.values.get("shop_url", "").strip() or None
    if not form.ok:
        return None
    said = {
        "slug": slug,
        "content": content,
        "value": value,
        "currency": currency,
        "shop_url": shop_url,
        "expires_at": expires_at,
        "lasts_days": lasts_days,
    }
    try:
        return PoolDraft.model_validate(said)
    except ValidationError:  # whatever else could be wrong has been looked at
        form.refuse("shop_url", _("Please enter an address that begins with https://."))
        return None


def _end(form: Form) -> tuple[datetime | None, int | None]:
    """When the coupons end: all at once, or each so many days after it can be used."""
    expires_at = form.moment("expires_at", ZoneInfo(deployment().config.timezone))
    lasts_days = form.whole("lasts_days", low=1, high=LASTS_DAYS_MAX, optional=True)
    is_said = form.typed("expires_at"), form.typed("lasts_days")
    if all(is_said) or not any(is_said):
        form.refuse("lasts_days", _("Give either a date or a number of days."))
    return expires_at, lasts_days


def _list_page(form: Form) -> str:
    with deployment().db.read() as tx:
        listed = report.lines(tx, now(), offset=offset_of(request.args))
    form.values.setdefault("currency", "CNY")
    return render_template(
        "staff/coupons.html",
        listed=listed,
        form=form,
        tongues={tag: OWN_NAMES[tag] for tag in LANGUAGES},
        limits={"title": TITLE_LENGTH_MAX, "how_to": HOW_TO_LENGTH_MAX, "url": URL_LENGTH_MAX},
    )


def _pool_page(
    slug: str, form: Form, faults: list[lists.Fault] | None = None, more: int = 0
) -> str:
    with deployment().db.read() as tx:
        line = report.line(tx, coupons.pool_by_slug(tx, slug), now())
    return render_template(
        "staff/coupon_pool.html",
        line=line,
        pool=line.pool,
        is_over=line.pool.expires_at is not None and line.pool.expires_at <= now(),
        form=form,
        faults=faults or [],
        more=more,
        tongues=OWN_NAMES,
    )
