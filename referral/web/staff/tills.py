"""A store's tills: the links that sign its devices in, made and closed."""

from flask import flash, redirect, render_template, request, url_for
from flask_babel import gettext as _

from referral import actions, stores
from referral.redemption import tills
from referral.redemption.tills import NAME_LENGTH_MAX, TillTokens
from referral.staff import Right, StaffMember
from referral.web.context import deployment
from referral.web.staff.auth import Page, name_of, require
from referral.web.staff.blueprint import staff
from referral.web.staff.forms import Form


@staff.get("/stores/<slug>/tills")
@require(Right.read)
def store_tills(member: StaffMember, slug: str) -> Page:
    return _page(member, slug, Form())


@staff.post("/stores/<slug>/tills")
@require(Right.change)
def add_till(member: StaffMember, slug: str) -> Page:
    form = Form(request.form)
    name = form.text("name", least=1, most=NAME_LENGTH_MAX)
    if not form.ok:
        return _page(member, slug, form), 422
    actions.add_till(deployment(), slug, name, by=name_of(member))
    flash(_("“%(name)s” is added.", name=name))
    return redirect(url_for(".store_tills", slug=slug), 303)


@staff.post("/stores/<slug>/tills/<int(max=9223372036854775807):till_id>/close")
@require(Right.change)
def close_till(member: StaffMember, slug: str, till_id: int) -> Page:
    till = actions.close_till(deployment(), till_id, by=name_of(member))
    flash(_("“%(name)s” is closed; its link lets nobody in any more.", name=till.name))
    return redirect(url_for(".store_tills", slug=slug), 303)


def _page(member: StaffMember, slug: str, form: Form) -> str:
    tokens = TillTokens(deployment().keys)
    with deployment().db.read() as tx:
        store = stores.store_by_slug(tx, slug)
        found = tills.tills_of(tx, store.id)
    # The link lets in whoever has it: only those who may make one see it.
    may_see = member.may(Right.change)
    links = {
        till.id: deployment().address(f"/till/{tokens.token(till.id)}")
        for till in found
        if may_see and till.closed_at is None
    }
    return render_template("staff/tills.html", store=store, tills=found, links=links, form=form)
