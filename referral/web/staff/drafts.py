"""The campaign form: rows a marketer fills in, read into a draft and written back out of one."""

from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from flask_babel import gettext as _
from pydantic import ValidationError

from referral.campaigns import (
    BUDGET_MAX,
    HOLD_DAYS_DEFAULT,
    SLUG,
    WINDOW_DAYS_DEFAULT,
    Campaign,
    CreditedTouch,
    Draft,
)
from referral.content import Landing
from referral.errors import N_
from referral.rewards import AMOUNT_MAX, ForWhom, Rule, When
from referral.web.staff import contents
from referral.web.staff.forms import Form, as_typed

HOLD_DAYS_MAX = 90
WINDOW_DAYS_MAX = 365

RULE_ROWS = (
    ("claim", When.claim, ForWhom.person, N_("For every claim, to the customer")),
    ("first", When.first_claim, ForWhom.person, N_("For a first claim, to the customer")),
    (
        "friend",
        When.referred_first_claim,
        ForWhom.person,
        N_("For a referred friend's first claim, to the friend"),
    ),
    (
        "referrer",
        When.referred_first_claim,
        ForWhom.referrer,
        N_("For a referred friend's first claim, to the referrer"),
    ),
)
"""Field, event, beneficiary and label of each promise the form offers."""

TOUCHES = (
    (
        CreditedTouch.first,
        N_("The first link opened"),
        N_("Whose link somebody opened first is credited; links opened later change nothing."),
    ),
    (
        CreditedTouch.last,
        N_("The last link opened"),
        N_("Whose link somebody opened last before the first claim is credited."),
    ),
)
"""Which link counts: value, label and what it means."""


def new_form() -> Form:
    form = Form()
    form.values |= {"hold_days": str(HOLD_DAYS_DEFAULT), "window_days": str(WINDOW_DAYS_DEFAULT)}
    form.values |= {"touch": CreditedTouch.first, "landing": Landing.page}
    return form


def form_of(campaign: Campaign, zone: ZoneInfo) -> Form:
    """The form as it would have been filled in for this campaign."""
    form = contents.form_of(campaign)
    form.values |= {
        "slug": campaign.slug,
        "budget": str(campaign.budget),
        "hold_days": str(campaign.hold_days),
        "window_days": str(campaign.window_days),
        "touch": campaign.touch,
        "starts_at": as_typed(campaign.starts_at, zone),
        "ends_at": as_typed(campaign.ends_at, zone),
    }
    form.lists.setlist("gtins", campaign.gtins)
    rules = campaign.checked_rules
    for rule in rules:
        form.values |= {row: str(rule.amount) for row in _rows_of(rule, rules)}
    return form


def read(
    form: Form, gtins: list[str], zone: ZoneInfo, campaign: Campaign | None = None
) -> Draft | None:
    """The draft that was typed; None when something in it is not right.

    Of a campaign that is edited stay its short name and what the form cannot show.
    """
    starts_at = _moment(form, "starts_at", zone, campaign.starts_at if campaign else None)
    ends_at = _moment(form, "ends_at", zone, campaign.ends_at if campaign else None)
    if starts_at and ends_at and ends_at <= starts_at:
        form.refuse("ends_at", _("The end must lie after the start."))
    typed = {
        "slug": campaign.slug if campaign else _slug(form),
        **contents.read_fields(form),
        "rules": rules(form, campaign.checked_rules if campaign else []),
        "budget": form.whole("budget", low=1, high=BUDGET_MAX),
        "gtins": form.chosen("gtins", gtins),
        "starts_at": starts_at,
        "ends_at": ends_at,
        "hold_days": form.whole("hold_days", low=0, high=HOLD_DAYS_MAX),
        "window_days": form.whole("window_days", low=1, high=WINDOW_DAYS_MAX),
        "touch": form.choice("touch", CreditedTouch, CreditedTouch.first),
    }
    if not form.ok:
        return None
    try:
        return Draft.model_validate(typed)
    except ValidationError:
        # Every field was checked above; this is for what only all of them together can break.
        form.refuse("", _("Something in what you entered is not right."))
        return None


def beyond_the_form(rules: Sequence[Rule]) -> list[Rule]:
    """The rules the form has no rows for; they can only be set over the API."""
    return [rule for rule in rules if not _rows_of(rule, rules)]


def _rows_of(rule: Rule, rules: Sequence[Rule]) -> list[str]:
    """The rows that show one of these rules; none when the form cannot show it as it is.

    A rule for both fills the row of each of them, unless there is no such row, or another rule
    needs it.
    """
    rows = [
        name
        for name, when, for_whom, _label in RULE_ROWS
        if rule.when is when and rule.for_whom in {for_whom, ForWhom.both}
    ]
    if rule.for_whom is not ForWhom.both:
        return rows
    is_alone = sum(other.when is rule.when for other in rules) == 1
    return rows if is_alone and len(rows) == 2 else []


def _moment(form: Form, name: str, zone: ZoneInfo, was: datetime | None) -> datetime | None:
    """The time that was typed. The one it was stays as it was: the field has no seconds."""
    if was is not None and form.typed(name) == as_typed(was, zone):
        return was
    return form.moment(name, zone)


def _slug(form: Form) -> str:
    slug = form.typed("slug")
    if not SLUG.fullmatch(slug):
        form.refuse(
            "slug", _("Use small letters, digits and dashes, beginning with a letter or digit.")
        )
    return slug


def rules(form: Form, were: Sequence[Rule]) -> list[Rule]:
    """What was typed, each rule in its old place; rules the form cannot show stay as they were."""
    typed = {}
    for name, when, for_whom, _label in RULE_ROWS:
        amount = form.whole(name, low=0, high=AMOUNT_MAX, optional=True)
        if amount:
            rule = Rule.model_validate({"when": when, "for": for_whom, "amount": amount})
            typed[name] = rule
    rules = []
    for rule in were:
        now = [typed.pop(row, None) for row in _rows_of(rule, were)]
        if all(new is not None and new.amount == rule.amount for new in now):
            rules.append(rule)  # and not as one rule for each of two rows
        else:
            rules += [new for new in now if new is not None]
    return [*rules, *typed.values()]
