"""Noting that somebody signed in, where that was on the way from a code or a share link."""

from contextlib import suppress

from referral import campaigns, intake, lookup, ranges, visits
from referral.actions import SignedIn
from referral.batches import Entry
from referral.campaigns import of_stores
from referral.claims import WrongProduct
from referral.codes import Code, UnknownCode
from referral.gs1.gtin import BadGTIN
from referral.links import Channel
from referral.visits import Kind, Visit
from referral.web.context import deployment, now, region, visitor
from referral.web.scan import campaign_for


def note(signed_in: SignedIn, target: str) -> None:
    """Hand it in for the campaign of the code that `target` leads back to, or else of the link that
    this browser opened last. Without either it is nobody's figure."""
    with suppress(UnknownCode, WrongProduct, BadGTIN):
        if visit := _visit(signed_in, target):
            intake.hand_in(deployment(), visit, signed_in.customer)


def _visit(signed_in: SignedIn, target: str) -> Visit | None:
    last = max(visitor().touches, key=lambda touch: touch.at, default=None)
    campaign, store = last.link.campaign if last else None, None
    if address := lookup.in_address(target):
        campaign, store = _of_package(*lookup.find(deployment(), *address))
    if campaign is None:
        return None
    is_by_link = last is not None and last.link.campaign == campaign
    return Visit(
        Kind.sign_in,
        now(),
        visits.new_event_id(now()),
        visitor=signed_in.visitor,
        campaign=campaign,
        channel=last.link.channel if last is not None and is_by_link else Channel.unknown,
        store=store,
        region=region(),
    )


def _of_package(code: Code, batch: Entry) -> tuple[int | None, int | None]:
    """The campaign that a reader of this code sees, and the store that the package went to."""
    with deployment().db.read() as tx:
        store = ranges.span_at(tx, code.batch_id, code.index).terms.store_id
        running = of_stores.for_package(campaigns.running(tx, now(), batch), lambda: store)
    found = campaign_for(running, visitor())
    return (found.id if found else None), store
