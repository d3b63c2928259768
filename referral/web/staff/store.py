"""A store's page, for the brand and for who runs the store; and how stores rank."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from flask import flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from sqlalchemy.orm import Session

from referral import actions, campaigns, stores
from referral.campaigns import Campaign, of_stores
from referral.campaigns.of_stores import StoreLimits
from referral.errors import Problem
from referral.links import Channel, Link
from referral.reports import store_life
from referral.reports import stores as report
from referral.reports.store_life import StoreDay
from referral.staff import NotAllowed, Right, StaffMember
from referral.stores import Store
from referral.web.context import deployment, now
from referral.web.language import in_words, language
from referral.web.staff.auth import Page, name_of, require
from referral.web.staff.blueprint import staff
from referral.web.staff.forms import Form, offset_of
from referral.web.staff.words import short_day

PERIODS = {"7": timedelta(days=6), "30": timedelta(days=29), "90": timedelta(days=89)}
"""How far back the figures go, by what the address says."""
PERIOD_DEFAULT = "30"
POSTERS_SHOWN = 12
"""Of as many running campaigns at most."""
CAMPAIGNS_SHOWN = 20
TEMPLATES_OFFERED = 50


@staff.get("/stores/ranking")
@require(Right.read)
def store_ranking(member: StaffMember) -> Page:
    asked = _asked()
    with deployment().db.read() as tx:
        listed = store_life.ranking(
            tx, now() - PERIODS[asked], now(), offset=offset_of(request.args)
        )
    return render_template("staff/store_ranking.html", listed=listed, asked=asked)


@staff.get("/stores/<slug>")
@require(Right.read)
def store(member: StaffMember, slug: str) -> Page:
    return _page(store_named(slug), member, Form())


@staff.post("/stores/<slug>/links")
@require(Right.change)
def open_store_links(member: StaffMember, slug: str) -> Page:
    actions.open_store_links(deployment(), slug, by=name_of(member))
    return redirect(url_for(".store", slug=slug, _anchor="posters"), 303)


@staff.post("/stores/<slug>/limits")
@require(Right.change)
def set_store_limits(member: StaffMember, slug: str) -> Page:
    """What the store may run by itself."""
    found, form = store_named(slug), Form(request.form)
    budget = form.whole("budget_max", low=1, high=of_stores.BUDGET_MAX)
    days = form.whole("days_max", low=1, high=of_stores.DAYS_MAX)
    running = form.whole("running_max", low=1, high=of_stores.RUNNING_MAX)
    with deployment().db.read() as tx:
        templates = form.chosen("templates", [each.slug for each in _templates(tx)])
    if budget and days and running and form.ok:
        actions.set_store_limits(
            deployment(),
            slug,
            templates=templates,
            budget_max=budget,
            days_max=days,
            running_max=running,
            by=name_of(member),
        )
        flash(_("What the store may run is kept."))
        return redirect(url_for(".store", slug=slug, _anchor="limits"), 303)
    return _page(found, member, form), 422


@staff.get("/store")
@require(Right.run_store)
def own_store(member: StaffMember) -> Page:
    return _page(store_of(member), member, Form())


@staff.post("/store/links")
@require(Right.run_store)
def open_own_links(member: StaffMember) -> Page:
    actions.open_store_links(deployment(), store_of(member).slug, by=name_of(member))
    return redirect(url_for(".own_store", _anchor="posters"), 303)


@staff.post("/store/campaigns")
@require(Right.run_store)
def run_store_campaign(member: StaffMember) -> Page:
    """Publish a campaign of the store's own."""
    found, form = store_of(member), Form(request.form)
    with deployment().db.read() as tx:
        limits = of_stores.limits_of(tx, found.id)
    if limits is None:
        raise NotAllowed()
    template = form.one_of("template", limits.templates)
    title = form.text("title", least=1, most=of_stores.TITLE_LENGTH_MAX)
    budget = form.whole("budget", low=1, high=limits.budget_max)
    days = form.whole("days", low=1, high=limits.days_max)
    starts_at = _beginning(form)
    if form.ok and template and budget and days and starts_at:
        try:
            actions.run_store_campaign(
                deployment(),
                found.slug,
                template,
                title=title,
                budget=budget,
                starts_at=starts_at,
                ends_at=starts_at + timedelta(days=days),
                by=name_of(member),
            )
        except Problem as problem:
            form.refuse("", in_words(problem))
        else:
            flash(_("“%(name)s” is published.", name=title))
            return redirect(url_for(".own_store", _anchor="campaigns"), 303)
    return _page(found, member, form), 422


def _beginning(form: Form) -> datetime | None:
    """The midnight a campaign begins at, in the brand's zone; now for today."""
    day = form.day("starts_on")
    if day is None:
        form.refuse("starts_on", _("Please give a day."))
        return None
    local = deployment().local_now()
    if day < local.date():
        form.refuse("starts_on", _("This day is over."))
        return None
    if day == local.date():
        return now()
    zone = ZoneInfo(deployment().config.timezone)
    return datetime.combine(day, time(), zone).astimezone(UTC)


def store_named(slug: str) -> Store:
    with deployment().db.read() as tx:
        return stores.store_by_slug(tx, slug)


def store_of(member: StaffMember) -> Store:
    """The store that a member runs. Raises `NotAllowed`."""
    with deployment().db.read() as tx:
        found = tx.get(Store, member.store_id) if member.store_id else None
    if found is None:
        raise NotAllowed()
    return found


def _templates(tx: Session) -> list[Campaign]:
    """What stores can be offered, the newest first."""
    newest = campaigns.newest(tx, TEMPLATES_OFFERED)
    return [each for each in newest if of_stores.is_template(each)]


def _asked() -> str:
    asked = request.args.get("period", "")
    return asked if asked in PERIODS else PERIOD_DEFAULT


def _page(found: Store, member: StaffMember, form: Form) -> str:
    asked, until = _asked(), now()
    since = until - PERIODS[asked]
    is_own = member.may(Right.run_store)
    with deployment().db.read() as tx:
        days = store_life.days(tx, found.id, since, until)
        running = [
            each for each in campaigns.running(tx, until) if each.store_id in {None, found.id}
        ][:POSTERS_SHOWN]
        came = _came_by(tx, found, running)
        limits = of_stores.limits_of(tx, found.id)
        templates = _templates(tx) if limits or not is_own else []
        _fill(form, limits)
        return render_template(
            "staff/store.html",
            store=found,
            is_own=is_own,
            line=report.line(tx, found),
            days=days,
            picture=_picture(days),
            vouchers=store_life.vouchers(tx, found.id, since, until),
            asked=asked,
            may_open=is_own or member.may(Right.change),
            posters=[(each, came.get(each.id), _links(found, each)) for each in running],
            own_campaigns=of_stores.campaigns_of(tx, found.id, CAMPAIGNS_SHOWN),
            now=until,
            limits=limits,
            templates=templates,
            choices=[
                (each.slug, each.title)
                for each in templates
                if limits and each.slug in limits.templates
            ],
            form=form,
        )


def _came_by(tx: Session, found: Store, running: list[Campaign]) -> dict[int, object]:
    if found.visitor_id is None:
        return {}
    numbers = [each.id for each in running]
    return dict(store_life.came_by(tx, found.visitor_id, numbers))


def _fill(form: Form, limits: StoreLimits | None) -> None:
    """What the forms show first: what is kept, and today."""
    if limits is not None:
        for name in ("budget_max", "days_max", "running_max"):
            form.values.setdefault(name, str(getattr(limits, name)))
        form.values.setdefault("days", str(limits.days_max))
    form.values.setdefault("starts_on", deployment().local_now().date().isoformat())


def _links(found: Store, campaign: Campaign) -> dict[str, str] | None:
    """What a store shares of a campaign: its link, as an address, a poster and a code."""
    if found.visitor_id is None:
        return None
    link = Link(campaign.id, found.visitor_id, None, 0, Channel.poster)
    token = deployment().links.token(link)
    return {
        "address": deployment().address(f"/s/{token}"),
        "poster": url_for("pages.poster", token=token, lang=language()),
        "code": url_for("pages.qr_svg", token=token),
    }


def _picture(days: list[StoreDay]) -> dict[str, object]:
    return {
        "kind": "bars",
        "x": [short_day(each.day.date()) for each in days],
        "series": [
            {"name": _("Scans"), "values": [each.scans for each in days]},
            {"name": _("Claims"), "values": [each.claims for each in days]},
        ],
        "unit": "count",
    }
