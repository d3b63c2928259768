"""The web: pages for consumers, the staff console, the API, and what surrounds every request."""

from apiflask import APIFlask

from referral.web import errors, language, ops, security
from referral.web.api import api
from referral.web.api.docs import api_docs
from referral.web.member import member
from referral.web.pages import pages
from referral.web.staff import staff


def set_up(app: APIFlask) -> None:
    """Register everything; the order of the first four is the order they see a request in."""
    ops.set_up(app)
    security.set_up(app)
    language.set_up(app)
    errors.set_up(app)
    for blueprint in (pages, member, staff, api, api_docs, ops.ops):
        app.register_blueprint(blueprint)
