"""Alarms: where more wrong codes are tried than mistyping and chance explain."""

from datetime import datetime

from sqlalchemy.orm import Session

from referral.catalog import Product
from referral.reports import alarms as report
from referral.reports.alarms import About, Alarm
from referral.web.api.endpoint import Output, get
from referral.web.context import deployment, now


class AlarmOut(Output):
    """More codes that do not exist than there should be."""

    about: About
    """Tried near a batch, at a product's address, or typed without an address."""
    batch: int | None
    gtin: str | None
    """GTIN-14 of the product."""
    name: str | None
    """The batch's or the product's."""
    misses: int
    """How many codes that do not exist were tried since then."""
    since: datetime
    usual: float
    """How many an hour were tried in the week before."""
    scans: int
    """How many genuine codes were scanned for the first time since then."""
    advice: str
    """What to do, in English."""


class AlarmList(Output):
    """The alarms there are now, the most misses first."""

    items: list[AlarmOut]
    next: None = None
    """All of them are on one page."""


@get("/alarms", answer=AlarmList)
def list_alarms() -> AlarmList:
    """List alarms.

    Reckoned at every call, from this hour and the one before. None are the rule.
    """
    with deployment().db.read() as tx:
        return AlarmList(items=[_shown(tx, alarm) for alarm in report.current(tx, now())])


def _shown(tx: Session, alarm: Alarm) -> AlarmOut:
    product = tx.get(Product, alarm.id) if alarm.about is About.product else None
    return AlarmOut(
        about=alarm.about,
        batch=alarm.id if alarm.about is About.batch else None,
        gtin=product.gtin if product else None,
        name=alarm.name or None,
        misses=alarm.misses,
        since=alarm.since,
        usual=alarm.usual,
        scans=alarm.scans,
        advice=alarm.advice,
    )
