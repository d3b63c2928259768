"""Checking a code that came from outside: misses counted, and consumers within the limits on
guessing."""

from collections.abc import Callable

from referral import lookup
from referral.batches import Entry
from referral.claims import WrongProduct
from referral.codes import Code, MistypedCode, UnknownCode
from referral.deployment import Deployment
from referral.gs1.gtin import gtin14


def check_code(
    deployment: Deployment,
    text: str,
    *,
    gtin: str | None = None,
    customer: int | Callable[[], int] | None,
    address: str | None,
) -> tuple[Code, Entry]:
    """The genuine code in a text as scanned or typed, and its batch.

    `gtin` is the product's in the address, if it came in one; `customer` and `address` say who
    asks, and without an address it is a system of the brand's own. A customer whom it takes a query
    to know is given as what asks for her; that is done where it matters who it is. Raises
    `MistypedCode`, `UnknownCode`, `WrongProduct`, `BadGTIN`, `TooMany`.
    """
    product_gtin = gtin14(gtin) if gtin is not None else None
    guessing = deployment.guessing
    if guessing.pauses_somebody:
        guessing.may_check(_known(customer), address)
    try:
        # Whoever has an API key is no guesser.
        code = deployment.read_code(text, is_trusted=address is None)
    except MistypedCode:
        raise
    except UnknownCode as unknown:
        _count(deployment, unknown, product_gtin, address)
        guessing.wrong_code(_known(customer), address, unknown.near_batch)
        raise
    if customer is None:  # whoever is signed in may check any batch
        guessing.may_check_batch(code.batch_id, None)
    batch = deployment.directory.batch(code.batch_id)
    if product_gtin not in (None, batch.gtin):
        raise WrongProduct()
    return code, batch


def _known(customer: int | Callable[[], int] | None) -> int | None:
    return customer() if callable(customer) else customer


def look_up(deployment: Deployment, text: str, gtin: str | None) -> tuple[Code, Entry]:
    """As `lookup.find`, for whoever has a package in hand: not limited, but a miss is counted.

    A copy that a distributor holds in hand is news about the batch it imitates.
    """
    try:
        return lookup.find(deployment, text, gtin)
    except MistypedCode:
        raise
    except UnknownCode as unknown:
        _count(deployment, unknown, gtin14(gtin) if gtin is not None else None, None)
        raise


def _count(
    deployment: Deployment, unknown: UnknownCode, product_gtin: str | None, address: str | None
) -> None:
    region = deployment.places.region(address) if address else None
    deployment.misses.count(product_gtin, unknown.near_batch, region)
