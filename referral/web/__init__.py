"""The web: pages for consumers, the staff console, the API, and what surrounds every request."""

from typing import cast

from apiflask import APIFlask

# Importing a file adds its routes to the blueprint of the customer's own pages.
import referral.web.complaints
import referral.web.contacts
import referral.web.coupons
import referral.web.me
import referral.web.ratings
import referral.web.redeeming  # noqa: F401 - all of these
from referral.deployment import Deployment
from referral.web import errors, language, ops, pictures, prizes, security
from referral.web.api import api
from referral.web.api.docs import api_docs
from referral.web.draws import draws
from referral.web.member import member
from referral.web.pages import pages as public
from referral.web.quick import Quick
from referral.web.resolver import resolver
from referral.web.scan import codes
from referral.web.share_links import share_links
from referral.web.staff import staff
from referral.web.till import till
from referral.web.wechat import wechat


def set_up(app: APIFlask) -> None:
    """Register everything; the order of the first five is the order they see a request in."""
    ops.set_up(app)
    pictures.set_up(app)
    security.set_up(app)
    language.set_up(app)
    errors.set_up(app)
    prizes.set_up(app)
    consumers = (public, share_links, codes, pictures.shown, resolver, member, till, draws, wechat)
    for blueprint in (*consumers, staff, api, api_docs, ops.ops):
        app.register_blueprint(blueprint)
    opened = lambda: cast(Deployment, app.extensions["referral"])  # noqa: E731
    app.wsgi_app = Quick(app.wsgi_app, opened)  # type: ignore[method-assign]


def connect(app: APIFlask, deployment: Deployment) -> None:
    """Let an app that is set up serve this deployment, and no longer the one before."""
    app.extensions["referral"] = deployment
    ops.connect(app, deployment)
    security.connect(app, deployment)
