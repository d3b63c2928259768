"""The form of a segment's conditions: what is typed, as conditions, and conditions as fields."""

from collections.abc import Iterator, Mapping

from flask_babel import gettext as _
from pydantic import ValidationError

from referral.rollups.life import Quadrant, Stage
from referral.segments import AMOUNT_MAX, DAYS_MAX, TIMES_MAX, Conditions
from referral.web.staff import life_words
from referral.web.staff.forms import Form

AMOUNTS = ("own_least", "own_most", "referral_least", "referral_most")
TIMES = ("purchases_least", "purchases_most", "brought_least", "brought_most")
DAYS = ("bought_within", "not_bought_for")
FIELDS = ("stages", "quadrants", *AMOUNTS, *TIMES, *DAYS, "product", "store")
"""All that conditions are made of, as it is named in addresses."""


def read(
    form: Form, currency: str, products: Mapping[str, int], stores: Mapping[str, int]
) -> Conditions | None:
    """None when something that was typed is not right. `products` and `stores` are the numbers of
    those that are offered, by what the form names them by."""
    said: dict[str, object] = {
        "stages": form.chosen("stages", set(Stage)),
        "quadrants": form.chosen("quadrants", set(Quadrant)),
        **{name: _amount(form, name, currency) for name in AMOUNTS},
        **{name: form.whole(name, low=0, high=TIMES_MAX, optional=True) for name in TIMES},
        **{name: form.whole(name, low=0, high=DAYS_MAX, optional=True) for name in DAYS},
    }
    for name, offered in (("product", products), ("store", stores)):
        chosen = form.one_of(name, offered) if form.typed(name) else None
        said[name] = offered[chosen] if chosen else None
    for name in ("own", "referral", "purchases", "brought"):
        least, most = said[f"{name}_least"], said[f"{name}_most"]
        if isinstance(least, int) and isinstance(most, int) and least > most:
            form.refuse(f"{name}_most", _("This has to be as much or more."))
    until, since = said["bought_within"], said["not_bought_for"]
    if isinstance(since, int) and isinstance(until, int) and since > until:
        form.refuse("not_bought_for", _("Nobody has bought later than that and earlier."))
    if any(name in form.errors for name in FIELDS):
        return None
    try:
        return Conditions.model_validate(said)
    except ValidationError:
        # Every field was checked above.
        form.refuse("", _("Something in what you entered is not right."))
        return None


def _amount(form: Form, name: str, currency: str) -> int | None:
    value = form.typed(name)
    if not value:
        return None
    if not value.strip("0"):
        return 0
    amount = form.price(name, currency)
    return None if amount is None else min(amount, AMOUNT_MAX)


def fields(
    said: Conditions, currency: str, products: Mapping[str, int], stores: Mapping[str, int]
) -> Iterator[tuple[str, str]]:
    """The names and values of the fields that say this."""
    yield from (("stages", each.value) for each in said.stages)
    yield from (("quadrants", each.value) for each in said.quadrants)
    for name in AMOUNTS:
        minor = getattr(said, name)
        if minor is not None:
            yield name, life_words.typed(max(minor, 0), currency)
    for name in (*TIMES, *DAYS):
        number = getattr(said, name)
        if number is not None:
            yield name, str(number)
    for name, offered in (("product", products), ("store", stores)):
        chosen = getattr(said, name)
        yield from ((name, key) for key, number in offered.items() if number == chosen)
