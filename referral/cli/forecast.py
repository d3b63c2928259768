"""`forecast` and `dry-run`: what a campaign may come to, and what its rules would have come to."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click
import numpy as np
from pydantic import TypeAdapter, ValidationError

from referral import actions, campaigns, catalog
from referral.campaigns import BUDGET_MAX
from referral.cli.output import answer, json_option, opened, progress
from referral.cli.setup import storable
from referral.deployment import Deployment
from referral.forecast import (
    RUNS_DEFAULT,
    RUNS_MAX,
    SEED_DEFAULT,
    Forecast,
    Interval,
    Terms,
    forecast,
)
from referral.forecast.assumptions import Assumptions
from referral.reports import audiences, forecasts
from referral.reports import dry_run as trials
from referral.reports.dry_run import DAYS_MAX, DryRun
from referral.rewards import RULES_MAX, Rule

RULES = TypeAdapter(list[Rule])
SOURCES = ("all", "own", "field")
_Command = Callable[..., None]


def assumed(command: _Command) -> _Command:
    """An option for each assumption."""
    for name, field in reversed(Assumptions.model_fields.items()):
        kind = float if field.annotation in {float, float | None} else int
        option = click.option(
            f"--{name.replace('_', '-')}", name, type=kind, help=field.description
        )
        command = option(command)
    return command


@click.command("forecast")
@click.argument("slug", metavar="[CAMPAIGN]", required=False, callback=storable)
@click.option(
    "--rates",
    "source",
    type=click.Choice(SOURCES),
    help="What the assumptions begin with: the figures of all campaigns, of this one, or the "
    "field's. With a CAMPAIGN: all.",
)
@click.option(
    "--look-back",
    type=click.IntRange(1, DAYS_MAX),
    default=forecasts.LOOK_BACK_DAYS,
    show_default=True,
    help="Of how many last days the figures are taken.",
)
@click.option(
    "--rules",
    "file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A JSON list of rules, in the place of the campaign's.",
)
@click.option("--budget", type=click.IntRange(0, BUDGET_MAX), help="In points.")
@assumed
@click.option("--runs", type=click.IntRange(1, RUNS_MAX), default=RUNS_DEFAULT, show_default=True)
@click.option("--seed", type=click.IntRange(0), default=SEED_DEFAULT, show_default=True)
@json_option
def forecast_command(
    slug: str | None,
    source: str | None,
    look_back: int,
    file: Path | None,
    budget: int | None,
    runs: int,
    seed: int,
    as_json: bool,
    **entered: Any,
) -> None:
    """Simulate a campaign before it starts: how far it reaches, and what it costs.

    Assumptions that are not entered come from your own figures, or else from the field's; see
    docs/forecast.md. The same seed gives the same figures.
    """
    if slug is None and file is None:
        raise click.UsageError("Name a campaign, or a file of rules with --rules.")
    if slug is None and source == "own":
        raise click.UsageError("--rates own goes with a CAMPAIGN.")
    begun, terms, measured = Assumptions(), Terms([]), frozenset[str]()
    if slug is not None or source == "all":
        with opened() as deployment:
            begun, terms, measured = _of_database(deployment, slug, source or "all", look_back)
    if file is not None:
        terms = replace(terms, rules=_rules(file))
    if budget is not None:
        budgets = {**terms.budgets, "points": budget}
        terms = replace(terms, budgets=budgets)
    given = {name: value for name, value in entered.items() if value is not None}
    assumptions = _checked({**begun.model_dump(), **given})
    with progress(f"Simulating {runs:,} runs"):
        found = forecast(np.random.default_rng(seed), assumptions, terms, runs)
    told = {"seed": seed, "assumptions": assumptions.model_dump()}
    told |= {"measured": sorted(measured - given.keys()), "currency": terms.currency}
    answer(told | found.model_dump(), as_json, _words(found, terms, measured - given.keys()))


def _of_database(
    deployment: Deployment, slug: str | None, source: str, look_back: int
) -> tuple[Assumptions, Terms, frozenset[str]]:
    now = deployment.clock.now()
    with deployment.db.read() as tx:
        campaign = campaigns.campaign_by_slug(tx, slug) if slug is not None else None
        of = campaign if source == "own" else None
        rates = None
        if source != "field":
            rates = forecasts.measured(tx, now, days=look_back, campaign=of)
        if campaign is None:
            assert rates is not None
            begun = forecasts.of_rates(rates, Assumptions().days)
            return begun.assumptions, Terms([]), begun.measured
        products = catalog.products_in(tx, campaign.gtins)
        terms = forecasts.terms_of(campaign, products, {})
        worth = actions.worth_of(tx, terms.rules, terms.currency)
        whom = audiences.size(tx, campaign, now)
    begun = forecasts.beginning(campaign, products, rates, whom)
    return begun.assumptions, forecasts.terms_of(campaign, products, worth), begun.measured


def _rules(file: Path) -> list[Rule]:
    """The rules of a file. Raises `BadParameter`."""
    try:
        found = RULES.validate_json(file.read_bytes())
    except ValidationError as error:
        raise click.BadParameter(_first(error), param_hint="--rules") from None
    if len(found) > RULES_MAX or len({rule.id for rule in found}) < len(found):
        raise click.BadParameter(
            f"there are at most {RULES_MAX} rules, and no two that promise the same",
            param_hint="--rules",
        )
    return found


def _checked(values: Mapping[str, Any]) -> Assumptions:
    try:
        return Assumptions.model_validate(values)
    except ValidationError as error:
        place = error.errors()[0]["loc"]
        hint = f"--{str(place[0]).replace('_', '-')}" if place else "--reproduction"
        raise click.BadParameter(_first(error), param_hint=hint) from None


def _first(error: ValidationError) -> str:
    found = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(map(str, found["loc"]))
    said = found["msg"].removeprefix("Value error, ")
    return f"{place}: {said}" if len(found["loc"]) > 1 else said


def _words(found: Forecast, terms: Terms, measured: frozenset[str]) -> str:
    lines = [
        f"{found.runs:,} runs. Half are below the second figure, nine of ten between the others.",
        f"People who open a link:     {_three(found.reach)}",
        f"Purchases:                  {_three(found.purchases)}",
        f"New customers:              {_three(found.new_customers)}",
        f"  brought in by others:     {_three(found.brought_in)}",
    ]
    lines += [f"Paid, {unit:21} {_three(paid)}" for unit, paid in found.paid.items()]
    lines.append(f"Cost, in minor units:       {_three(found.cost)}")
    if found.per_new_customer:
        lines.append(f"  for each new customer:    {_three(found.per_new_customer)}")
    if found.last_day:
        lines.append(
            f"A budget runs out in {found.ends_early:.0%} of the runs, on day "
            f"{_three(found.last_day)}."
        )
    elif terms.budgets:
        lines.append("No budget runs out.")
    if found.runs < found.asked:
        lines.append(f"There are fewer runs than {found.asked:,} because each has so many people.")
    if found.cut:
        lines.append(f"{found.cut:,} runs were cut off; enter an audience.")
    names = ", ".join(sorted(measured))
    lines.append(f"From your own figures: {names}." if names else "None of it is from own figures.")
    return "\n".join(lines)


def _three(found: Interval) -> str:
    return f"{found.low:,.0f} – {found.middle:,.0f} – {found.high:,.0f}"


@click.command("dry-run")
@click.argument("slug", metavar="CAMPAIGN", callback=storable)
@click.option(
    "--days",
    type=click.IntRange(1, DAYS_MAX),
    help="Of how many last days. Left out: 30 for a draft, all its time for another.",
)
@click.option(
    "--rules",
    "file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A JSON list of rules, in the place of the campaign's.",
)
@json_option
def dry_run_command(slug: str, days: int | None, file: Path | None, as_json: bool) -> None:
    """Say what a campaign's rules would have paid for the purchases of the last days.

    Nothing is changed. What was really paid for them stands beside it.
    """
    rules = _rules(file) if file is not None else None
    with opened() as deployment, deployment.db.read() as tx:
        campaign = campaigns.campaign_by_slug(tx, slug)
        found = trials.of_campaign(
            tx,
            deployment.keys,
            ZoneInfo(deployment.config.timezone),
            campaign,
            deployment.clock.now(),
            days=days,
            rules=rules,
        )
    answer(found.model_dump(mode="json"), as_json, _tried(found))


def _tried(found: DryRun) -> str:
    lines = [
        f"From {found.since:%Y-%m-%d} to {found.until:%Y-%m-%d}: {found.purchases:,} purchases.",
        f"First ones: {found.first:,}, of people who were brought in: {found.brought_in:,}.",
    ]
    for unit in sorted({*found.would.by_unit, *found.really.by_unit}):
        would, really = found.would.by_unit.get(unit), found.really.by_unit.get(unit)
        lines.append(
            f"{unit}: {would.amount if would else 0:,} would have been paid, "
            f"{really.amount if really else 0:,} was."
        )
        if would:
            lines.append(
                f"  {would.to_buyers:,} to buyers and {would.to_referrers:,} to referrers; "
                f"{found.per_purchase(unit):,.2f} a purchase; {would.top_share:.0%} to the ten "
                f"of {would.beneficiaries:,} who get most."
            )
    lines += [
        f"  {line.rule}, {'referrer' if line.depth else 'buyer'}: {line.times:,} times, "
        f"{line.amount:,} {line.unit}"
        for line in found.would.by_rule
    ]
    lines += [f"Not paid, {why}: {times:,}" for why, times in sorted(found.withheld.items())]
    return "\n".join(lines)
