"""Who calls the API: a key of the brand, in the header ``Authorization: Bearer``."""

from flask import g, request

from referral import staff
from referral.web.context import deployment
from referral.web.problems import Unauthorized


def check() -> int:
    """The id of the key this request came with. Raises `Unauthorized`."""
    sent = request.authorization
    if sent is None or sent.type != "bearer" or not sent.token:
        raise Unauthorized()
    with deployment().db.read() as tx:
        api_key_id = staff.api_key_id(tx, sent.token)
    if api_key_id is None:
        raise Unauthorized("This key is not known, or no longer in force.")
    g.api_key_id = api_key_id
    return api_key_id


def caller() -> str:
    """The name records are kept under of what this request does."""
    return f"api key {g.api_key_id}"
