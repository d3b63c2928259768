"""The console's blueprint, apart from its routes so that each of their files can import it."""

from flask import Blueprint

staff = Blueprint("staff", __name__, url_prefix="/staff")
