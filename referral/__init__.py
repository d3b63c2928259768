"""A referral and social-sharing tracker for consumer-goods brands.

`create_app` is the one place that wires settings, parts and pages together.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from referral.config import Config
from referral.deployment import Deployment, open_deployment

if TYPE_CHECKING:
    from apiflask import APIFlask

__version__ = "0.1.0"

ROOT = Path(__file__).resolve().parent.parent
REQUEST_BYTES_MAX = 1024 * 1024


def create_app(config: Config | None = None, *, deployment: Deployment | None = None) -> "APIFlask":
    """The WSGI application of one deployment. Raises `ConfigError`."""
    # The command line uses the package without the web and starts in half the time.
    from apiflask import APIFlask
    from werkzeug.middleware.proxy_fix import ProxyFix

    from referral import web

    deployment = deployment or open_deployment(config or Config.from_env())
    app = APIFlask(
        __name__,
        title=f"{deployment.config.brand} referral API",
        version=__version__,
        spec_path="/api/openapi.json",
        docs_path=None,
        json_errors=False,
        static_folder=str(ROOT / "static"),
        template_folder=str(ROOT / "templates"),
    )
    app.config["MAX_CONTENT_LENGTH"] = REQUEST_BYTES_MAX
    web.set_up(app)
    web.connect(app, deployment)
    if hops := deployment.config.trusted_proxies:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=0)  # type: ignore[method-assign]
    return app
