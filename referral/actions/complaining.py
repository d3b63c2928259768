"""What customers say of packages, and what staff do about it: ratings and complaints."""

import base64
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from referral import audit, complaints, people, ratings
from referral.batches import batch_by_id
from referral.claims import Claim
from referral.complaints import (
    Complaint,
    ComplaintChanged,
    ComplaintPicture,
    Kind,
    NoReplyNow,
    State,
    UnknownComplaint,
)
from referral.db import transaction
from referral.deployment import Deployment
from referral.pictures import Ready
from referral.ratings import Rating, UnknownPackage
from referral.staff import StaffMember


@transaction
def rate(
    tx: Session,
    deployment: Deployment,
    claim_id: int,
    customer_id: int,
    *,
    score: int | None = None,
    comment: str | None = None,
) -> Rating:
    """Keep what the customer who made a claim says of the package; see `ratings.rate`.

    Raises `UnknownPackage` for somebody else's claim, `BadRating`, `BadComment`.
    """
    claim = own_claim(tx, claim_id, people.hold(tx, customer_id))
    product_id = batch_by_id(tx, claim.batch_id).product_id
    return ratings.rate(
        tx,
        deployment.keys,
        claim_id=claim.id,
        product_id=product_id,
        batch_id=claim.batch_id,
        score=score,
        comment=comment,
        now=deployment.clock.now(),
    )


def own_claim(tx: Session, claim_id: int, customer_id: int) -> Claim:
    """Raises `UnknownPackage`."""
    claim = tx.get(Claim, claim_id)
    if claim is None or claim.customer_id != customer_id:
        raise UnknownPackage()
    return claim


# Complaints: the customer's side


@dataclass(frozen=True)
class Said:
    """What a customer says is wrong: a kind, words, which package and a picture, as far as told."""

    kind: Kind
    text: str
    package: tuple[int, int] | None = None
    """By batch and index."""
    picture: Ready | None = None


@transaction
def complain(tx: Session, deployment: Deployment, customer_id: int, said: Said, *, key: str) -> int:
    """Open a complaint. Returns its number; the same for a form that is sent twice.

    `key` names the form. Raises `UnknownCustomer`, `EmptyText`.
    """
    text, now = complaints.clean_text(said.text), deployment.clock.now()
    customer_id = people.hold(tx, customer_id)
    product_id = None
    if said.package is not None:
        product_id = batch_by_id(tx, said.package[0]).product_id
    number = complaints.add_complaint(
        tx,
        key=key,
        customer_id=customer_id,
        kind=said.kind,
        product_id=product_id,
        package=said.package,
        now=now,
    )
    if number is None:
        known = complaints.number_of(tx, customer_id, key)
        assert known is not None  # what the unique key is about
        return known
    complaints.write(tx, deployment.keys, number, text, staff_id=None, now=now)
    if said.picture is not None:
        _keep_picture(tx, deployment, number, said.picture)
    details = {"kind": said.kind.value, "picture": said.picture is not None}
    _note(tx, number, _by_customer(customer_id), "complaint opened", details, now)
    return number


def _keep_picture(tx: Session, deployment: Deployment, number: int, picture: Ready) -> None:
    data = deployment.keys.encrypt(base64.b64encode(picture.data).decode())
    size = {"width": picture.width, "height": picture.height}
    tx.add(ComplaintPicture(complaint_id=number, data_encrypted=data, **size))


@transaction
def write_back(
    tx: Session, deployment: Deployment, number: int, customer_id: int, text: str
) -> None:
    """Write back to an answer, once; the complaint is open again, also when it was closed.

    Raises `UnknownComplaint` for somebody else's, `EmptyText`, `NoReplyNow`.
    """
    text, now = complaints.clean_text(text), deployment.clock.now()
    customer_id = people.hold(tx, customer_id)
    found = complaints.complaint_by_id(tx, number, for_update=True)
    if found.customer_id != customer_id:
        raise UnknownComplaint()
    if not found.is_open_to_customer(now):
        raise NoReplyNow()
    complaints.write(tx, deployment.keys, number, text, staff_id=None, now=now)
    before = found.state
    _change(found, State.open, now, may_reply=False)
    _note(tx, number, _by_customer(customer_id), "complaint written back", {"before": before}, now)


# The staff's side


@transaction
def take_over_complaint(
    tx: Session, deployment: Deployment, number: int, member: StaffMember, *, seen: int
) -> None:
    """Make a member the owner. `seen` is the step that he has seen.

    Raises `UnknownComplaint`, `ComplaintChanged`.
    """
    found, now = _held(tx, number, seen), deployment.clock.now()
    if found.owner_id == member.id:
        return
    before, found.owner_id = found.owner_id, member.id
    found.step += 1
    _note(tx, number, member.email, "complaint taken over", {"before": before}, now)


@transaction
def answer_complaint(
    tx: Session,
    deployment: Deployment,
    number: int,
    member: StaffMember,
    text: str,
    *,
    state: State,
    seen: int,
) -> None:
    """Write to the customer, who may write back once; `state` is what it is then: `waiting` for the
    customer, `answered` or `closed`. Who answers what nobody owns becomes its owner.

    Raises `UnknownComplaint`, `ComplaintChanged`, `EmptyText`, `ValueError` for another state.
    """
    if state is State.open:
        raise ValueError("what is answered is not open any more")
    text, now = complaints.clean_text(text), deployment.clock.now()
    found = _held(tx, number, seen)
    complaints.write(tx, deployment.keys, number, text, staff_id=member.id, now=now)
    found.owner_id = found.owner_id or member.id
    before = found.state
    _change(found, state, now, may_reply=True)
    details = {"before": before, "after": state.value}
    _note(tx, number, member.email, "complaint answered", details, now)


@transaction
def close_complaint(
    tx: Session, deployment: Deployment, number: int, member: StaffMember, *, seen: int
) -> None:
    """Close it without another word. Raises `UnknownComplaint`, `ComplaintChanged`."""
    _set_state(tx, deployment, number, member, State.closed, seen)


@transaction
def reopen_complaint(
    tx: Session, deployment: Deployment, number: int, member: StaffMember, *, seen: int
) -> None:
    """Open it again: there is something left to do. Raises as `close_complaint`."""
    _set_state(tx, deployment, number, member, State.open, seen)


def _set_state(
    tx: Session, deployment: Deployment, number: int, member: StaffMember, to: State, seen: int
) -> None:
    found, now = _held(tx, number, seen), deployment.clock.now()
    if found.state == to:
        return
    before = found.state
    # Whoever was not answered may still say something about that.
    _change(found, to, now, may_reply=to is State.closed)
    action = "complaint closed" if to is State.closed else "complaint reopened"
    _note(tx, number, member.email, action, {"before": before}, now)


def _held(tx: Session, number: int, seen: int) -> Complaint:
    found = complaints.complaint_by_id(tx, number, for_update=True)
    if found.step != seen:
        raise ComplaintChanged()
    return found


def _change(found: Complaint, state: State, now: datetime, *, may_reply: bool) -> None:
    found.state, found.may_reply, found.changed_at = state.value, may_reply, now
    found.step += 1


def _by_customer(customer_id: int) -> str:
    return f"customer {customer_id}"


def _note(
    tx: Session, number: int, by: str, action: str, details: dict[str, Any], now: datetime
) -> None:
    """Keep a step, without what was written."""
    subject = complaints.subject_of(number)
    audit.note(tx, by=by, action=action, subject=subject, details=details, now=now)
