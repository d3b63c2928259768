"""The whole spread of a campaign as a file."""

from flask import Response

from referral.campaigns import campaign_by_slug
from referral.errors import NotFound
from referral.reports import spread_export
from referral.reports.spread_export import Format
from referral.staff import Right, StaffMember
from referral.web.context import deployment
from referral.web.staff.auth import require
from referral.web.staff.blueprint import staff


@staff.get("/campaigns/<slug>/spread.<form>")
@require(Right.export)
def spread_file(member: StaffMember, slug: str, form: str) -> Response:
    """Sent as it is read; the graph may be larger than memory."""
    if form not in set(Format):
        raise NotFound()
    with deployment().db.read() as tx:
        campaign = campaign_by_slug(tx, slug)
    # Bound here: the request is over before the last piece is made.
    pieces = spread_export.lines(deployment().db.read, campaign.id, Format(form))
    response = Response(pieces, content_type=f"{Format(form).mimetype}; charset=utf-8")
    name = f"spread-{campaign.slug}.{form}"
    response.headers.set("Content-Disposition", "attachment", filename=name)
    response.headers["Cache-Control"] = "no-store"
    return response
