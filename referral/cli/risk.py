"""The risk rules: how they are set, what they would have found, and the second look."""

from datetime import timedelta
from typing import Any

import click

from referral import actions, risk
from referral.cli.output import BY, answer, json_option, opened, progress
from referral.reports.risk_replays import Replayed, replay
from referral.risk import POINTS_MAX, RULES, Mode

ALL = "all"
DAYS_MAX = 3650


@click.group("risk")
def risk_group() -> None:
    """Risk rules, their verdicts and what they would find."""


@risk_group.command("rules")
@json_option
def rules_command(as_json: bool) -> None:
    """List every rule, whether it counts, and what it weighs."""
    with opened() as deployment, deployment.db.read() as tx:
        settings = risk.settings_of(tx)
    found = [
        {
            "rule": rule.id,
            "mode": settings[rule.id].mode,
            "points": settings[rule.id].points,
            "points_default": rule.points,
            "thresholds": dict(rule.thresholds),
            "refuses": rule.refuses,
            "found": "later" if rule.is_later else "at once",
        }
        for rule in RULES
    ]
    lines = [
        f"{each['rule']:<21}{each['mode']:<8}{each['points']:>3} points  {each['found']:<8} "
        + ", ".join(f"{name} {value:g}" for name, value in rule.thresholds.items())
        for each, rule in zip(found, RULES, strict=True)
    ]
    heading = f"From {risk.REVIEW_FROM} points on staff are asked, from {risk.HOLD_FROM} on held."
    answer({"rules": found}, as_json, "\n".join([*lines, heading]))


@risk_group.command("set")
@click.argument("rule")
@click.argument("mode", type=click.Choice([mode.value for mode in Mode]))
@click.option("--weight", type=click.IntRange(0, POINTS_MAX), help="Its points from now on.")
@json_option
def set_command(rule: str, mode: str, weight: int | None, as_json: bool) -> None:
    """Say how RULE is used from now on.

    `shadow` keeps what it finds without counting it. What was decided before stays as it is.
    """
    with opened() as deployment:
        setting = actions.set_risk_rule(deployment, rule, Mode(mode), points=weight, by=BY)
    told = {"rule": rule, "mode": setting.mode, "points": setting.points}
    answer(told, as_json, f"{rule} is {setting.mode}, with {setting.points} points.")


@risk_group.command("replay")
@click.argument("rule")
@click.option("--days", type=click.IntRange(1, DAYS_MAX), default=30, show_default=True)
@json_option
def replay_command(rule: str, days: int, as_json: bool) -> None:
    """Try RULE, or `all` one by one, on the purchases of the last days. Changes nothing.

    Facts are as they were at each purchase. How many wrong codes were tried is known only of
    purchases since verdicts have been kept.
    """
    rules = [each.id for each in RULES] if rule == ALL else [risk.rule_named(rule).id]
    with opened() as deployment, progress("Replaying purchases") as tell:
        now = deployment.clock.now()
        with deployment.db.read() as tx:
            found = replay(
                tx,
                deployment.keys,
                rules,
                since=now - timedelta(days=days),
                until=now,
                tell=tell,
            )
    results = [_result(each) for each in found]
    words = "\n".join(map(_in_words, found))
    answer({"days": days, "results": results}, as_json, words)


def _result(found: Replayed) -> dict[str, Any]:
    return {
        "rule": found.rule,
        "purchases": found.events,
        "found": found.found,
        "changed": dict(found.changed),
        "amounts": dict(found.amounts),
        "events": found.listed,
    }


def _in_words(found: Replayed) -> str:
    changed = ", ".join(f"{count:,} {what}" for what, count in sorted(found.changed.items()))
    amounts = ", ".join(f"{amount:,} {unit}" for unit, amount in sorted(found.amounts.items()))
    return (
        f"{found.rule}: {found.found:,} of {found.events:,} purchases"
        + (f"; they were granted {amounts}" if amounts else "")
        + (f"; would change: {changed}" if changed else "; no decision would change")
        + "."
    )


@risk_group.command("look")
@json_option
def look_command(as_json: bool) -> None:
    """Look again for what takes longer to find than a claim may take.

    `referral rewards release` does so as well, before it releases anything.
    """
    with opened() as deployment:
        looked = actions.look(deployment)
    told = {"looked": looked.verdicts, "review": looked.to_review, "hold": looked.to_hold}
    words = (
        f"Looked at {looked.verdicts:,} purchases: {looked.to_review:,} more for review, "
        f"{looked.to_hold:,} more held."
    )
    answer(told, as_json, words)
