"""What happened to a product's codes: over time, by region, and batch by batch."""

from flask import render_template, request

from referral import catalog
from referral.codes import Label, carries
from referral.reports import activity, batches, flags
from referral.staff import Right, StaffMember
from referral.web.context import deployment, now
from referral.web.staff import region_map
from referral.web.staff.auth import Page, require
from referral.web.staff.blueprint import staff
from referral.web.staff.forms import offset_of
from referral.web.staff.lives import PERIOD_DEFAULT, PERIODS, charts_of, period_of

BATCHES_COUNTED = 100
"""The figures are of so many batches at most, the newest."""
BATCHES_SHOWN = 20


@staff.get("/products/<gtin>/life")
@require(Right.read)
def product_life(member: StaffMember, gtin: str) -> Page:
    asked = request.args.get("period", PERIOD_DEFAULT)
    with deployment().db.read() as tx:
        product = catalog.product_by_gtin(tx, gtin)
        counted = batches.newest_of(tx, product.id, BATCHES_COUNTED)
        numbers = [each.id for each in counted]
        period = period_of(min((each.created_at for each in counted), default=now()), asked)
        counts = activity.over_time(tx, numbers, period)
        regions = activity.by_region(tx, numbers, period)
        listed = batches.lines(
            tx, product_id=product.id, offset=offset_of(request.args), limit=BATCHES_SHOWN
        )
        flagged = flags.counts(tx, batches=numbers)
    has_outer = any(carries(each.labels, Label.outer) for each in counted)
    return render_template(
        "staff/product_life.html",
        product=product,
        period=period,
        asked=asked if asked in PERIODS else "all",
        counts=counts,
        charts=charts_of(counts, has_outer=has_outer),
        has_outer=has_outer,
        regions=regions,
        region_map=region_map.of(regions),
        listed=listed,
        flagged=flagged,
        is_part=len(counted) == BATCHES_COUNTED,
        counted=len(counted),
    )
