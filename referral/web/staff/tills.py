"""A store's tills: the links that sign its devices in, made and closed, by the brand or by who runs
the store."""

from flask import flash, redirect, render_template, request, url_for
from flask_babel import gettext as _

from referral import actions
from referral.redemption import tills
from referral.redemption.tills import NAME_LENGTH_MAX, TillTokens
from referral.staff import Right, StaffMember
from referral.stores import Store
from referral.web.context import deployment
from referral.web.staff.auth import Page, name_of, require
from referral.web.staff.blueprint import staff
from referral.web.staff.forms import Form
from referral.web.staff.store import store_named, store_of

TILL = "<int(max=9223372036854775807):till_id>"


@staff.get("/stores/<slug>/tills")
@require(Right.read)
def store_tills(member: StaffMember, slug: str) -> Page:
    return _page(member, store_named(slug), Form())


@staff.post("/stores/<slug>/tills")
@require(Right.change)
def add_till(member: StaffMember, slug: str) -> Page:
    return _add(member, store_named(slug))


@staff.post(f"/stores/<slug>/tills/{TILL}/close")
@require(Right.change)
def close_till(member: StaffMember, slug: str, till_id: int) -> Page:
    return _close(member, store_named(slug), till_id)


@staff.get("/store/tills")
@require(Right.run_store)
def own_tills(member: StaffMember) -> Page:
    return _page(member, store_of(member), Form())


@staff.post("/store/tills")
@require(Right.run_store)
def add_own_till(member: StaffMember) -> Page:
    return _add(member, store_of(member))


@staff.post(f"/store/tills/{TILL}/close")
@require(Right.run_store)
def close_own_till(member: StaffMember, till_id: int) -> Page:
    return _close(member, store_of(member), till_id)


def _add(member: StaffMember, store: Store) -> Page:
    form = Form(request.form)
    name = form.text("name", least=1, most=NAME_LENGTH_MAX)
    if not form.ok:
        return _page(member, store, form), 422
    actions.add_till(deployment(), store.slug, name, by=name_of(member))
    flash(_("“%(name)s” is added.", name=name))
    return redirect(_here(member, store), 303)


def _close(member: StaffMember, store: Store, till_id: int) -> Page:
    till = actions.close_till(deployment(), till_id, store=store.slug, by=name_of(member))
    flash(_("“%(name)s” is closed; its link lets nobody in any more.", name=till.name))
    return redirect(_here(member, store), 303)


def _here(member: StaffMember, store: Store) -> str:
    if member.may(Right.run_store):
        return url_for(".own_tills")
    return url_for(".store_tills", slug=store.slug)


def _page(member: StaffMember, store: Store, form: Form) -> str:
    tokens = TillTokens(deployment().keys)
    with deployment().db.read() as tx:
        found = tills.tills_of(tx, store.id)
    # The link lets in whoever has it: only those who may make one see it.
    is_own = member.may(Right.run_store)
    may_add = is_own or member.may(Right.change)
    links = {
        till.id: deployment().address(f"/till/{tokens.token(till.id)}")
        for till in found
        if may_add and till.closed_at is None
    }
    return render_template(
        "staff/tills.html",
        store=store,
        is_own=is_own,
        may_add=may_add,
        tills=found,
        links=links,
        form=form,
    )
