"""A code's page: what is true of one package, by its place in the batch.

Its address holds no code: those who may only look see where a code is and what became of it, and
not the code, which is worth what it pays.
"""

from flask import render_template

from referral.codes import Label, carries
from referral.errors import NotFound
from referral.reports import codes as report
from referral.reports import lists
from referral.staff import Right, StaffMember
from referral.web.context import deployment
from referral.web.staff.auth import Page, require
from referral.web.staff.blueprint import staff


@staff.get(
    "/batches/<int(max=9223372036854775807):batch_id>/codes/<int(max=9223372036854775807):index>"
)
@require(Right.read)
def code(member: StaffMember, batch_id: int, index: int) -> Page:
    batch = deployment().directory.batch(batch_id)
    if index >= batch.size:
        raise NotFound()
    keys = deployment().keys
    texts = {}
    if member.may(Right.change):
        labels = [label for label in Label if carries(batch.labels, label)]
        texts = {each: deployment().codes.encode(batch, index, each).grouped for each in labels}
    with deployment().db.read() as tx:
        found = report.report(tx, batch, index, deployment().local_now())
        claimed_by = [found.claim.customer_id] if found.claim else []
        return render_template(
            "staff/code.html",
            found=found,
            packages=report.printed_in(tx, keys, batch, index),
            texts=texts,
            names=lists.names(tx, keys, claimed_by),
        )
