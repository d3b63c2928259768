"""What happens to the codes of a batch, by index range: printing, sale, withdrawal, terms."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from referral import actions, lookup
from referral.cli.codes import batch_option, codes, end_option, start_option
from referral.cli.output import BATCH_ID, BY, answer, json_option, opened
from referral.cli.setup import text_of
from referral.cli.terms import terms_in_words, terms_of, terms_options
from referral.deployment import Deployment
from referral.ranges import REASON_LENGTH_MAX, RangeState
from referral.reports import batches as report
from referral.terms import TermsIn

F = TypeVar("F", bound=Callable[..., Any])

reason_option = click.option(
    "--reason", callback=text_of(REASON_LENGTH_MAX), help="Kept with the change."
)


def range_options(command: F) -> F:
    """Which codes: a range of a batch, or all of it; and why."""
    for option in (json_option, reason_option, end_option, start_option, batch_option):
        command = option(command)
    return command


@codes.command()
@range_options
def printed(
    batch_id: int, start: int | None, end: int | None, reason: str | None, as_json: bool
) -> None:
    """Mark codes as printed. They stay dark; what is on sale or withdrawn is left as it is."""
    with opened() as deployment:
        _set_range(deployment, batch_id, RangeState.printed, start, end, reason, as_json)


@codes.command()
@range_options
@click.option("--reinstate", is_flag=True, help="Also codes that were voided or recalled.")
def activate(
    batch_id: int,
    start: int | None,
    end: int | None,
    reason: str | None,
    as_json: bool,
    reinstate: bool,
) -> None:
    """Put codes on sale: from now on they can be claimed. Without a range, the whole batch."""
    state = RangeState.activated
    with opened() as deployment:
        _set_range(deployment, batch_id, state, start, end, reason, as_json, reinstate=reinstate)


@codes.command()
@click.option("--batch", "batch_id", type=BATCH_ID)
@start_option
@end_option
@click.option("--code", help="One code, or its address, instead of a range.")
@reason_option
@json_option
def void(
    batch_id: int | None,
    start: int | None,
    end: int | None,
    code: str | None,
    reason: str | None,
    as_json: bool,
) -> None:
    """Withdraw codes: they can no longer be claimed. Claims that were made stay."""
    if code is not None and (start is not None or end is not None):
        raise click.UsageError("Give a code or a range, not both.")
    with opened() as deployment:
        if code is not None:
            found, batch = lookup.find(deployment, *lookup.in_text(code))
            if batch_id not in (None, batch.id):
                raise lookup.OtherBatch()
            batch_id, start, end = batch.id, found.index, found.index + 1
        if batch_id is None:
            raise click.UsageError("Name a batch with --batch, or one code with --code.")
        _set_range(deployment, batch_id, RangeState.voided, start, end, reason, as_json)


@codes.command()
@range_options
def recall(
    batch_id: int, start: int | None, end: int | None, reason: str | None, as_json: bool
) -> None:
    """Call products back: who scans them is told not to use them. Claims that were made stay."""
    with opened() as deployment:
        _set_range(deployment, batch_id, RangeState.recalled, start, end, reason, as_json)


def _set_range(
    deployment: Deployment,
    batch_id: int,
    state: RangeState,
    start: int | None,
    end: int | None,
    reason: str | None,
    as_json: bool,
    *,
    reinstate: bool = False,
) -> None:
    batch = actions.set_range(
        deployment,
        batch_id,
        state,
        start=start,
        end=end,
        reinstate=reinstate,
        reason=reason or "",
        by=BY,
    )
    first, last = start or 0, batch.size if end is None else end
    with deployment.db.read() as tx:
        count = report.in_state(tx, batch.id, state, first, last)
    left_alone = last - first - count
    found = {"batch": batch.id, "state": state.value, "start": first, "end": last}
    words = f"{_codes(first, last)} of batch {batch.id} are {state.value}"
    if left_alone:
        words += f", but for {left_alone:,} that stay as they were"
    answer(found | {"count": count, "left_alone": left_alone}, as_json, f"{words}.")


@codes.command()
@range_options
@terms_options
@click.option(
    "--clear",
    type=click.Choice([name.replace("_", "-") for name in TermsIn.model_fields]),
    multiple=True,
    help="A term to take away. May be given again.",
)
def assign(
    batch_id: int,
    start: int | None,
    end: int | None,
    reason: str | None,
    as_json: bool,
    clear: tuple[str, ...],
    **options: Any,
) -> None:
    """Say what holds for codes: lot, dates, market, store, sale window.

    Terms that are not named stay as they are.
    """
    with opened() as deployment:
        cleared = tuple(name.replace("-", "_") for name in dict.fromkeys(clear))
        terms = terms_of(deployment, options, cleared)
        if not terms.model_fields_set:
            raise click.UsageError("Name at least one term, such as --lot.")
        with deployment.db.read() as tx:
            changes = terms.changes(tx)
        batch = actions.assign_range(
            deployment, batch_id, changes, start=start, end=end, reason=reason or "", by=BY
        )
    first, last = start or 0, batch.size if end is None else end
    found = {"batch": batch.id, "start": first, "end": last, "count": last - first}
    said = terms.model_dump(mode="json", exclude_unset=True)
    words = f"{_codes(first, last)} of batch {batch.id}: {'; '.join(terms_in_words(terms))}."
    answer(found | {"terms": said}, as_json, words)


def _codes(first: int, last: int) -> str:
    return f"Codes {first:,} to {last - 1:,}"
