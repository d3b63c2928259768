"""Members of staff: the list, who is added to it, and one member's role, sessions and log."""

from flask import flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import ngettext

from referral import actions, audit
from referral.people import BadContact
from referral.reports import members as report
from referral.reports import stores
from referral.staff import (
    NAME_LENGTH_MAX,
    LastOwner,
    Right,
    Role,
    StaffExists,
    StaffMember,
    StoreOfManager,
    WeakPassword,
    member_by_id,
    second_factors,
    sessions,
)
from referral.stores import UnknownStore
from referral.web.context import deployment, now
from referral.web.staff import audit_words, confirming, words
from referral.web.staff.auth import EMAIL_LENGTH_MAX, Page, name_of, require, this_session
from referral.web.staff.blueprint import staff
from referral.web.staff.forms import Form

_MEMBER = "/members/<int(max=9223372036854775807):staff_id>"
LOG_SHOWN = 20
SESSION_DIGITS_MAX = 18


@staff.get("/members")
@require(Right.manage_staff)
def member_list(member: StaffMember) -> Page:
    return _list(Form())


@staff.post("/members")
@require(Right.manage_staff)
def add_member(member: StaffMember) -> Page:
    form = Form(request.form)
    email = form.text("email", least=3, most=EMAIL_LENGTH_MAX)
    name = form.text("name", most=NAME_LENGTH_MAX)
    role = form.one_of("role", set(Role))
    store = form.values.get("store") or None
    password = form.values.pop("password", "")
    if not form.ok or role is None:
        return _list(form), 422
    fields = {
        StaffExists: "email",
        BadContact: "email",
        WeakPassword: "password",
        StoreOfManager: "store",
        UnknownStore: "store",
    }
    with form.refusing(fields):
        added = _added(
            Role(role), password, email=email, store=store, name=name, by=name_of(member)
        )
    return (_list(form), 422) if form.errors else added


def _added(role: Role, password: str, *, email: str, store: str | None, name: str, by: str) -> Page:
    """With a password the member is in; without one the page shows a link to set it."""
    if password:
        staff_id = actions.add_staff(
            deployment(),
            email=email,
            password=password,
            role=role,
            store=store,
            name=name,
            by=by,
        )
        flash(_("“%(name)s” is added.", name=email))
        return redirect(url_for(".member_page", staff_id=staff_id), 303)
    staff_id, secret = actions.invite_staff(
        deployment(), email=email, role=role, store=store, name=name, by=by
    )
    return _page(staff_id, Form(), _link(secret))


@staff.get(_MEMBER)
@require(Right.manage_staff)
def member_page(member: StaffMember, staff_id: int) -> Page:
    return _page(staff_id, Form())


@staff.post(_MEMBER)
@require(Right.manage_staff)
def change_member(member: StaffMember, staff_id: int) -> Page:
    form = Form(request.form)
    name = form.text("name", most=NAME_LENGTH_MAX)
    role = form.one_of("role", set(Role))
    store = form.values.get("store") or None
    if form.ok and role is not None:
        with form.refusing({LastOwner: "role", StoreOfManager: "store", UnknownStore: "store"}):
            actions.change_member(
                deployment(),
                staff_id,
                role=Role(role),
                store=store,
                name=name,
                by=name_of(member),
            )
            flash(_("Saved."))
            return redirect(url_for(".member_page", staff_id=staff_id), 303)
    return _page(staff_id, form), 422


@staff.post(f"{_MEMBER}/invitation")
@require(Right.manage_staff)
def invite_again(member: StaffMember, staff_id: int) -> Page:
    secret = actions.invite_again(deployment(), staff_id, by=name_of(member))
    return _page(staff_id, Form(), _link(secret))


@staff.post(f"{_MEMBER}/off")
@require(Right.manage_staff)
def switch_member_off(member: StaffMember, staff_id: int) -> Page:
    form = Form()
    with form.refusing({LastOwner: ""}):
        actions.switch_staff_off(deployment(), staff_id, by=name_of(member))
    if not form.ok:
        return _page(staff_id, form), 409
    flash(_("Switched off: this member is signed out everywhere and not let in again."))
    return redirect(url_for(".member_page", staff_id=staff_id), 303)


@staff.post(f"{_MEMBER}/on")
@require(Right.manage_staff)
def switch_member_on(member: StaffMember, staff_id: int) -> Page:
    actions.switch_staff_on(deployment(), staff_id, by=name_of(member))
    flash(_("Switched on: this member may sign in again."))
    return redirect(url_for(".member_page", staff_id=staff_id), 303)


@staff.post(f"{_MEMBER}/second-factors")
@require(Right.manage_staff)
def clear_second_factors(member: StaffMember, staff_id: int) -> Page:
    if not confirming.confirmed_just_now():
        return confirming.ask(url_for(".member_page", staff_id=staff_id))
    actions.clear_second_factors(deployment(), staff_id, by=name_of(member))
    flash(_("The second factors are removed; with the next sign-in new ones can be set up."))
    return redirect(url_for(".member_page", staff_id=staff_id), 303)


@staff.post(f"{_MEMBER}/sessions")
@require(Right.manage_staff)
def end_member_sessions(member: StaffMember, staff_id: int) -> Page:
    end_sessions(staff_id, member)
    return redirect(url_for(".member_page", staff_id=staff_id), 303)


def end_sessions(staff_id: int, member: StaffMember) -> None:
    """End the session that the form names, or all of somebody's but this one."""
    named = request.form.get("session", "")
    if named == "others":
        here = this_session()
        but = here.id if here is not None and here.staff_id == staff_id else None
        ended = actions.end_staff_sessions(deployment(), staff_id, but=but, by=name_of(member))
    else:
        is_number = named.isascii() and named.isdigit() and len(named) <= SESSION_DIGITS_MAX
        ended = is_number and actions.end_staff_session(
            deployment(), staff_id, int(named), by=name_of(member)
        )
    flash(ngettext("%(num)s session is ended.", "%(num)s sessions are ended.", int(ended)))


def _link(secret: str) -> str:
    return deployment().address(f"/staff/invitation/{secret}")


def _choices() -> dict[str, list[tuple[str, str]]]:
    with deployment().db.read() as tx:
        found = stores.choices(tx)
    return {
        "roles": [(role.value, words.role(role)) for role in Role],
        "stores": [(store.slug, store.name) for store in found],
    }


def _list(form: Form) -> str:
    after = request.args.get("after", "")[:EMAIL_LENGTH_MAX].replace("\0", "")
    with deployment().db.read() as tx:
        listed = report.members(tx, now(), after=after)
    return render_template("staff/members.html", listed=listed, form=form, **_choices())


def _page(staff_id: int, form: Form, link: str | None = None) -> str:
    with deployment().db.read() as tx:
        found = member_by_id(tx, staff_id)
        line = report.line_of(tx, found, now())
        running = sessions.running(tx, staff_id, now())
        factors = second_factors.of_member(tx, staff_id)
        log = audit.latest_of_subject(tx, found.subject, LOG_SHOWN)
    if not form.values:
        store = line.store.slug if line.store else ""
        form.values.update({"name": found.name, "role": found.role, "store": store})
    return render_template(
        "staff/member.html",
        line=line,
        sessions=running,
        this=this_session(),
        factors=factors,
        log=log,
        log_words=audit_words,
        link=link,
        form=form,
        **_choices(),
    )
