"""What another amount in one of a campaign's rules would have cost, asked on its page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from flask_babel import gettext as _
from pydantic import ValidationError
from sqlalchemy.orm import Session

from referral.campaigns import Campaign
from referral.reports import dry_run as trials
from referral.reports.dry_run import DryRun
from referral.reports.funnel import Counts, Span
from referral.reports.purchases import Scope
from referral.rewards import Rule
from referral.rewards.rules import AMOUNT_MAX
from referral.web import promises
from referral.web.context import deployment
from referral.web.staff.forms import Form

PURCHASES_MAX = 20_000
"""Going through more purchases takes longer than somebody waits for a page."""


@dataclass(frozen=True)
class Unit:
    """What would have been granted of one unit, beside what was."""

    unit: str
    would: int
    was: int


@dataclass(frozen=True)
class WhatIf:
    """The form, and the answer once it was sent."""

    form: Form
    rules: Sequence[tuple[str, str]]
    """Those that pay a fixed amount: the name of each, and what it promises."""
    units: Sequence[Unit] = ()
    found: DryRun | None = None


def asked(
    tx: Session, args: Mapping[str, str], campaign: Campaign, span: Span, counts: Counts
) -> WhatIf:
    """`counts` are the steps of these days: they say how many purchases there are."""
    fixed = {rule.id: rule for rule in campaign.checked_rules if isinstance(rule.amount, int)}
    told = [
        (name, " ".join(promises.sentences(rule, campaign.currency)))
        for name, rule in fixed.items()
    ]
    form = Form({name: args[name] for name in ("rule", "amount") if name in args})
    if not form.values or not fixed:
        return WhatIf(form, told)
    name = form.one_of("rule", set(fixed))
    amount = form.whole("amount", low=1, high=AMOUNT_MAX)
    if counts["claim"] + counts["order"] > PURCHASES_MAX:
        form.refuse("", _("There are too many purchases in these days. Please choose fewer."))
    rules = _with(campaign.checked_rules, name, amount) if name and amount else None
    if rules is None and form.ok:
        form.refuse("amount", _("This rule cannot pay that much."))
    if rules is None or not form.ok:
        return WhatIf(form, told)
    found = trials.dry_run(
        tx,
        Scope(span.since, span.until, campaign.id),
        trials.promise_of(tx, deployment().keys, campaign, rules),
        span.zone,
    )
    return WhatIf(form, told, _units(found), found)


def _with(rules: Sequence[Rule], name: str, amount: int) -> list[Rule] | None:
    """The rules, one of them with another amount; None where it cannot be."""
    try:
        return [
            Rule.model_validate({**rule.model_dump(by_alias=True), "amount": amount})
            if rule.id == name
            else rule
            for rule in rules
        ]
    except ValidationError:
        return None


def _units(found: DryRun) -> list[Unit]:
    def amount(paid: trials.Paid, unit: str) -> int:
        return paid.by_unit[unit].amount if unit in paid.by_unit else 0

    units = dict.fromkeys([*found.would.by_unit, *found.really.by_unit])
    return [Unit(unit, amount(found.would, unit), amount(found.really, unit)) for unit in units]
