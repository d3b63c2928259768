"""Orders that the shop reported: which, what each paid and why, and files of them."""

from flask import render_template, request
from flask_babel import gettext as _
from werkzeug.datastructures import FileStorage

from referral import audit, campaigns, graph, orders, rewards
from referral.actions.importing import Imported, check_orders, import_orders
from referral.coupons import returns
from referral.orders import NUMBER_LENGTH_MAX
from referral.orders.files import BadOrderFile, OrderFile
from referral.reports import lists
from referral.reports import orders as report
from referral.staff import Right, StaffMember
from referral.web import order_words
from referral.web.context import deployment
from referral.web.language import in_words
from referral.web.staff.auth import Page, name_of, require
from referral.web.staff.blueprint import staff
from referral.web.staff.forms import Form, offset_of

LINES_MAX = 1_000
"""How many lines a file may have here, where somebody waits for the answer; the command
`referral orders import` takes any number."""
CUSTOMER_MAX = 2**63 - 1


@staff.get("/orders")
@require(Right.read)
def order_list(member: StaffMember) -> Page:
    """All orders, a customer's, or the one with the shop's number."""
    return _page(Form())


@staff.get("/orders/<int(max=9223372036854775807):order_id>")
@require(Right.read)
def order(member: StaffMember, order_id: int) -> Page:
    with deployment().db.read() as tx:
        found = orders.order_by_id(tx, order_id)
        campaign = campaigns.campaign_by_id(tx, found.campaign_id) if found.campaign_id else None
        granted = rewards.of_event(tx, found.event)
        withheld = rewards.withheld_of_event(tx, found.event)
        referrer = graph.referrer_of(tx, found.customer_id)
        mentioned = {found.customer_id, referrer or 0}
        mentioned |= {each for one in granted for each in (one.beneficiary_id, one.holder_id)}
        mentioned |= {each.beneficiary_id for each in withheld}
        return render_template(
            "staff/order.html",
            order=found,
            campaign=campaign,
            rules={rule.id: rule for rule in campaign.checked_rules} if campaign else {},
            rewards=granted,
            withheld=withheld,
            referrer=referrer,
            refunds=orders.refunds_of(tx, found),
            coupon=returns.used_by(tx, found.external_id),
            decisions=audit.of_subject(tx, found.event),
            names=lists.names(tx, deployment().keys, sorted(mentioned)),
            order_words=order_words,
        )


@staff.post("/orders/import")
@require(Right.change)
def add_orders(member: StaffMember) -> Page:
    """Take a file of orders, or with the button for it only look at it."""
    form = Form(request.form)
    sent = request.files.get("file")
    if sent is None or not sent.filename:
        form.refuse("file", _("Please choose a file."))
        return _page(form), 422
    is_check = "check" in request.form
    found = _taken(form, sent, is_check=is_check)
    if found is None:
        return _page(form), 422
    if not is_check:
        _note(member, found)
    return render_template("staff/orders_taken.html", found=found, is_check=is_check)


def _taken(form: Form, sent: FileStorage, *, is_check: bool) -> Imported | None:
    try:
        file = OrderFile(sent.stream)
    except BadOrderFile as problem:
        unknown = ", ".join(problem.details.get("unknown", []))
        said = [_("Not known: %(names)s", names=unknown)] if unknown else []
        form.refuse("file", " ".join([in_words(problem), *said]))
        return None
    if file.lines > LINES_MAX:
        form.refuse(
            "file",
            _(
                "This file has %(lines)s lines, and here at most %(most)s are taken at once. Split "
                "it, or have it read by the command “referral orders import”.",
                lines=file.lines,
                most=LINES_MAX,
            ),
        )
        return None
    work = check_orders if is_check else import_orders
    return work(deployment(), file, lambda done, total: None)


def _note(member: StaffMember, found: Imported) -> None:
    """Keep who took a file of orders."""
    counts = {"orders": found.orders, "refunds": found.refunds, "wrong": found.wrong}
    now = deployment().clock.now()
    deployment().db.transact(
        lambda tx: audit.note(
            tx, by=name_of(member), action="take-orders", subject="orders", details=counts, now=now
        )
    )


def _page(form: Form) -> str:
    asked = Form(request.args)
    number = asked.text("number", most=NUMBER_LENGTH_MAX)
    customer = asked.whole("customer", low=1, high=CUSTOMER_MAX, optional=True)
    with deployment().db.read() as tx:
        listed = report.listed(
            tx, customer_id=customer, number=number or None, offset=offset_of(request.args)
        )
        people = sorted({line.order.customer_id for line in listed.rows})
        names = lists.names(tx, deployment().keys, people)
    return render_template(
        "staff/orders.html",
        listed=listed,
        names=names,
        number=number,
        customer=customer,
        form=form,
        order_words=order_words,
        lines_max=LINES_MAX,
    )
