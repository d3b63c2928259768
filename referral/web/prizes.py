"""What rewards are in words: points, money, so many coupons of a pool or items of the catalogue."""

from apiflask import APIFlask
from flask_babel import format_number, ngettext

from referral import coupons
from referral.redemption import items
from referral.web.context import deployment
from referral.web.language import language, money


def set_up(app: APIFlask) -> None:
    app.add_template_filter(prize, "prize")


def prize(amount: int, unit: str) -> str:
    """An amount of a ledger's unit, as its holder reads it."""
    kind, _colon, slug = unit.partition(":")
    if unit == "points":
        said = format_number(amount)
        return ngettext("%(amount)s point", "%(amount)s points", amount, amount=said)
    if not slug:
        return money(amount, unit)
    title = title_of(kind, slug)
    if amount == 1:
        return title
    return f"{format_number(amount)} × {title}"


def title_of(kind: str, slug: str) -> str:
    """The title of a pool of coupons or of an item; its short name where there is none."""
    with deployment().db.read() as tx:
        if kind == "coupon":
            pool = coupons.pools_by_slug(tx, [slug]).get(slug)
            return pool.title_in(language()).title if pool else slug
        try:
            return items.item_by_slug(tx, slug).title_in(language())
        except items.UnknownItem:
            return slug
